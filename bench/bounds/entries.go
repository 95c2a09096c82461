package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// entry is one operation with its dearest request. An operation may have several.
type entry struct {
	route string // METHOD PATH, as the surface's table of routes spells it
	key   string // of the least role that may
	what  string
	want  int // status; 0 = 200
	make  func(w *world) request
}

// request is what is sent.
type request struct {
	target string
	header map[string]string
	body   []byte
}

func (e entry) String() string { return e.route + ": " + e.what }
func (e entry) method() string { method, _, _ := strings.Cut(e.route, " "); return method }
func (e entry) status() int {
	if e.want == 0 {
		return http.StatusOK
	}
	return e.want
}

// at is a request without a body.
func at(target string) func(*world) request {
	return func(*world) request { return request{target: target} }
}

// send is a request with a body that is there already.
func send(target, body string) func(*world) request {
	return func(*world) request { return request{target: target, body: []byte(body)} }
}

// entries are all operations: those that only read first, since the others change what is read.
func entries() []entry {
	var all []entry
	for _, some := range [][]entry{systemEntries(), fastlyEntries(), akamaiEntries(), thousandEyesEntries(), usageEntries(), readEntries(), nounReads(), sugerEntries(), eventEntries(), changeEntries(), nounWrites(), lastEntries()} {
		all = append(all, some...)
	}
	return all
}

func systemEntries() []entry {
	return []entry{
		{route: "GET /healthz", key: "none", what: "-", make: at("/healthz")},
		{route: "GET /readyz", key: "none", what: "-", make: at("/readyz")},
		{route: "GET /metrics", key: "operator", what: "300 organizations", make: at("/metrics")},
		{route: "GET /openapi.json", key: "none", what: "-", make: at("/openapi.json")},
		{route: "GET /docs", key: "none", what: "-", make: at("/docs")},
	}
}

func month(w *world) string { return w.estate.Month.Format("2006-01") }

// months are parameters for as long as is allowed around the estate's month.
func months(w *world, back int) string {
	return w.estate.Month.AddDate(0, -back, 0).Format("2006-01")
}

func fastlyEntries() []entry {
	return []entry{
		{route: "GET /billing/v2/account_customers/{customer_id}/service-usage-metrics", key: "read", what: "5,000 services by day, CSV of all usage types", make: func(w *world) request {
			return request{target: fmt.Sprintf("/billing/v2/account_customers/%s/service-usage-metrics?limit=10000&time_granularity=day&start_date=%s-01&end_date=%s-31", w.estate.Customer(0), month(w), month(w)), header: map[string]string{"Accept": "text/csv"}}
		}},
		{route: "GET /billing/v2/account_customers/{customer_id}/service-usage-metrics", key: "read", what: "a page of 5,000 services, one usage type, a month", make: func(w *world) request {
			return request{target: fmt.Sprintf("/billing/v2/account_customers/%s/service-usage-metrics?limit=100&product_id=cdn&usage_type_name=Requests&time_granularity=month&start_month=%s&end_month=%s", w.estate.Customer(0), month(w), month(w))}
		}},
		{route: "GET /billing/v2/account_customers/{customer_id}/service-usage-types", key: "read", what: "1,000 usage types", make: func(w *world) request {
			return request{target: "/billing/v2/account_customers/" + w.estate.Customer(0) + "/service-usage-types"}
		}},
		{route: "GET /billing/v3/service-usage-metrics", key: "read, bound", what: "5,000 services, all usage types, three months", make: func(w *world) request {
			return request{target: fmt.Sprintf("/billing/v3/service-usage-metrics?limit=10000&start_month=%s&end_month=%s", months(w, 2), month(w))}
		}},
		{route: "GET /billing/v3/usage-metrics", key: "read, bound", what: "all usage types, three months", make: func(w *world) request {
			return request{target: fmt.Sprintf("/billing/v3/usage-metrics?start_month=%s&end_month=%s", months(w, 2), month(w))}
		}},
	}
}

func akamaiEntries() []entry {
	var out []entry
	for _, o := range []struct{ path, what string }{
		{"/contracts/{contract}/products/{product}/usage/monthly-summary", "15 months, four statistics"},
		{"/reporting-groups/{group}/products/{product}/usage/monthly-summary", "15 months"},
		{"/contracts/{contract}/products/{product}/usage/by-cp-code/monthly-summary", "15 months by CP code"},
		{"/contracts/{contract}/products/{product}/usage/daily", "a month by day"},
		{"/reporting-groups/{group}/products/{product}/usage/daily", "a month by day"},
		{"/contracts/{contract}/products", "15 months"},
	} {
		out = append(out, entry{route: "GET /billing/v1" + o.path, key: "read", what: o.what, make: func(w *world) request {
			path := strings.NewReplacer("{contract}", w.estate.Contract(0), "{group}", "1", "{product}", "cdn").Replace("/billing/v1" + o.path)
			next := w.estate.Month.AddDate(0, 1, 0)
			if strings.HasSuffix(path, "/daily") {
				return request{target: path + "?month=" + month(w)}
			}
			return request{target: path + "?start=" + next.AddDate(0, -15, 0).Format("2006-01") + "&end=" + next.Format("2006-01")}
		}})
	}
	return out
}

func thousandEyesEntries() []entry {
	window := func(w *world) string {
		return "&startDate=" + w.estate.Month.AddDate(-5, 0, 0).Format(time.RFC3339) + "&endDate=" + w.estate.Month.AddDate(0, 1, 0).Format(time.RFC3339)
	}
	return []entry{
		{route: "GET /v7/usage", key: "read", what: "2,000 tests, everything expanded", make: func(w *world) request {
			return request{target: "/v7/usage?aid=" + w.estate.AID(0, 0) + "&expand=test&expand=enterprise-agent&expand=enterprise-agent-unit&expand=endpoint-agent&expand=endpoint-agent-essential&expand=endpoint-agent-embedded"}
		}},
		{route: "GET /v7/usage/units/tests", key: "read", what: "2,000 tests, five years", make: func(w *world) request {
			return request{target: "/v7/usage/units/tests?aid=" + w.estate.AID(0, 0) + window(w)}
		}},
		{route: "GET /v7/usage/units/enterprise-agents", key: "read, bound", what: "five years", make: func(w *world) request {
			return request{target: "/v7/usage/units/enterprise-agents?" + window(w)[1:]}
		}},
	}
}

// years is a range of everything.
func years() string {
	now := time.Now().UTC()
	return "from=" + now.AddDate(-5, 0, 0).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly)
}

func lately() string {
	now := time.Now().UTC()
	return "from=" + now.AddDate(0, 0, -31).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly)
}

func usageEntries() []entry {
	const usage = "GET /api/v1/meters/{key}/usage"
	return []entry{
		{route: usage, key: "read", what: "a page of 100,000 groups of 512 bytes", make: at("/api/v1/meters/texts/usage?" + years() + "&group_by=customer,a&limit=10000")},
		{route: usage, key: "read", what: "the same by day, as CSV", make: func(*world) request {
			return request{target: "/api/v1/meters/texts/usage?" + years() + "&window=day&group_by=customer,a&limit=10000", header: map[string]string{"Accept": "text/csv"}}
		}},
		{route: usage, key: "read", what: "every 5 minutes of five years, also those without usage", make: at("/api/v1/meters/texts/usage?" + years() + "&window=5m&fill=zero&limit=10000")},
		{route: usage, key: "read", what: "UNIQUE_COUNT of 100,000 texts by day from the events", make: at("/api/v1/meters/unique/usage?" + lately() + "&window=day&tz=Asia/Kathmandu&group_by=n&limit=10000")},
		{route: usage, key: "read", what: "PERCENTILE of all, 31 days", make: at("/api/v1/meters/p95/usage?" + lately() + "&group_by=customer&limit=10000")},
		{route: usage, key: "read", what: "as it was known, from the events, by attributes that the meter does not group by", make: func(*world) request {
			return request{target: "/api/v1/meters/texts/usage?" + years() + "&group_by=a,n&limit=10000&as_of=" + time.Now().UTC().Format("2006-01-02T15:04:05Z")}
		}},
		{route: usage, key: "read", what: "the 1,000 largest of 100,000 groups of 512 bytes", make: at("/api/v1/meters/texts/usage?" + years() + "&group_by=customer,a&sort=-value&limit=1000")},
		{route: "GET /api/v1/usage", key: "read", what: "four customers, three usage types by day, 31 days", make: func(w *world) request {
			return request{target: "/api/v1/usage?" + customers(w) + "&product=cdn&window=day&group_by=region&" + monthRange(w)}
		}},
		{route: "GET /api/v1/usage", key: "read", what: "one customer's 5,000 services, all usage types of two products", want: 413, make: func(w *world) request {
			return request{target: "/api/v1/usage?customer=" + w.estate.Customer(0) + "&group_by=service&" + monthRange(w)}
		}},
		{route: "GET /api/v1/unattributed", key: "read", what: "five years, 100,000 events without a product", make: at("/api/v1/unattributed?" + years())},
		{route: "GET /api/v1/unattributed", key: "read", what: "five years, a page of 100 rows", make: at("/api/v1/unattributed?limit=100&" + years())},
		{route: "GET /api/v1/events", key: "read", what: "a page of texts of 32 KiB", make: at("/api/v1/events?type=l&limit=1000")},
		{route: "GET /api/v1/events", key: "read", what: "filters that match nothing", make: at("/api/v1/events?type=t&subject=nobody&source=s&limit=1000")},
		{route: "GET /api/v1/events/lookup", key: "read", what: "an id with 119 conflicts of 32 KiB", make: at("/api/v1/events/lookup?source=s&id=e2000000")},
	}
}

func customers(w *world) string {
	var b []string
	for i := range w.estate.Customers {
		b = append(b, "customer="+w.estate.Customer(i))
	}
	return strings.Join(b, "&")
}

func monthRange(w *world) string {
	return "from=" + w.estate.Month.Format(time.DateOnly) + "&to=" + w.estate.Month.AddDate(0, 1, 0).Format(time.DateOnly)
}

func readEntries() []entry {
	return []entry{
		{route: "GET /api/v1/meters", key: "read", what: "410 meters", make: at("/api/v1/meters")},
		{route: "GET /api/v1/meters/{key}", key: "read", what: "-", make: at("/api/v1/meters/texts")},
		{route: "GET /api/v1/keys", key: "admin", what: "906 keys", make: at("/api/v1/keys?limit=1000")},
		{route: "GET /api/v1/organizations", key: "operator", what: "300", make: at("/api/v1/organizations?limit=1000")},
		{route: "GET /api/v1/organizations/{id}", key: "admin", what: "-", make: at("/api/v1/organizations/big")},
		{route: "GET /api/v1/audit", key: "admin", what: "a page of 1,000", make: at("/api/v1/audit?limit=1000")},
		{route: "GET /api/v1/catalog", key: "read", what: "60,000 services, 9,000 tests and agents", make: at("/api/v1/catalog")},
		{route: "GET /api/v1/units", key: "read", what: "-", make: at("/api/v1/units")},
		{route: "GET /api/v1/entitlements/{id}/credits", key: "read", what: "-", make: at("/api/v1/entitlements/ent/credits?limit=1000")},
		{route: "GET /api/v1/reports/stuck", key: "admin", what: "3,000 groups", make: at("/api/v1/reports/stuck")},
	}
}

func sugerEntries() []entry {
	const org = "/org/{organization}"
	at := func(path string) func(*world) request { return at("/org/big" + path) }
	send := func(path, body string) func(*world) request { return send("/org/big"+path, body) }
	const metric = `{"id":"%s","name":"a metric","description":"%s","aggregationType":"SUM","info":{"propertyToAggregate":"n"}}`
	return []entry{
		{route: "GET " + org + "/usageRecordGroup", key: "report", what: "a page of 1,000 groups of 20 records", make: at("/usageRecordGroup?limit=1000")},
		{route: "GET " + org + "/usageRecordReport", key: "report", what: "a page of 1,000", make: at("/usageRecordReport?limit=1000")},
		{route: "GET " + org + "/usageRecordGroup/aggregate", key: "report", what: "60,000 records by day", make: at("/usageRecordGroup/aggregate?partner=AWS&granularity=DAY")},
		{route: "GET " + org + "/usageRecordReport/aggregate", key: "report", what: "by day", make: at("/usageRecordReport/aggregate?partner=AWS&granularity=DAY")},
		{route: "GET " + org + "/billableMetric", key: "report", what: "410 meters", make: at("/billableMetric?limit=1000")},
		{route: "GET " + org + "/usageMeteringConfigInfo", key: "report", what: "-", make: at("/usageMeteringConfigInfo")},
		{route: "POST " + org + "/batchValidateUsageRecordGroups", key: "report", what: "1,000 groups of 20 records", make: send("/batchValidateUsageRecordGroups", records(7, 1000))},
		{route: "POST " + org + "/batchCreateUsageRecordGroups", key: "report", what: "1,000 groups of 20 records", make: send("/batchCreateUsageRecordGroups", records(8, 1000))},
		{route: "POST " + org + "/entitlement/{entitlement}/usageRecordGroup", key: "report", what: "10,000 records", make: send("/entitlement/wide/usageRecordGroup",
			`{"id":"single","organizationID":"big","entitlementID":"wide","records":{`+list(10_000, func(i int) string { return fmt.Sprintf(`"d%05d":1`, i) })+`}}`)},
		{route: "POST " + org + "/usageRecordGroup/{group}/retry", key: "report", what: "a group that did not fail", want: 400, make: at("/usageRecordGroup/g0-0000/retry")},
		{route: "DELETE " + org + "/usageRecordGroup/{group}", key: "report", what: "a group of 20 records", make: at("/usageRecordGroup/g0-0000")},
		{route: "POST " + org + "/billableMetric", key: "report", what: "-", make: send("/billableMetric", fmt.Sprintf(metric, "metric", strings.Repeat("d", 300)))},
		{route: "GET " + org + "/billableMetric/{metric}", key: "report", what: "-", make: at("/billableMetric/metric")},
		{route: "PATCH " + org + "/billableMetric/{metric}", key: "report", what: "-", make: send("/billableMetric/metric", `{"description":"`+strings.Repeat("e", 300)+`"}`)},
		{route: "PATCH " + org + "/usageMeteringConfigInfo", key: "report", what: "1,000 sources of 20 destinations", make: send("/usageMeteringConfigInfo",
			`{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,"dimensionMappingV2":{`+list(1000, func(i int) string {
				return fmt.Sprintf(`"s%d":[`, i) + list(20, func(d int) string { return fmt.Sprintf(`{"dimensionKey":"d%05d"}`, d) }) + "]"
			})+`}}]}`)},
	}
}

// packed is a body under gzip, as large as may be before it.
func packed(make func(w *world) []byte) func(*world) request {
	return func(w *world) request {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is one of its own
		_, _ = z.Write(make(w))                         // to memory
		_ = z.Close()
		return request{target: "/api/v1/events", body: b.Bytes(), header: map[string]string{"Content-Type": "application/cloudevents-batch+json", "Content-Encoding": "gzip"}}
	}
}

func eventEntries() []entry {
	const events = "POST /api/v1/events"
	return []entry{
		{route: events, key: "ingest", what: "1,900 texts of 32 KiB, 60 MiB before gzip", make: packed(func(w *world) []byte {
			return w.batch(10_000_000, 1900, func(n int) string { return fmt.Sprintf(`"type":"l","data":{"a":"%s"}`, text(n, 32<<10)) })
		})},
		{route: events, key: "ingest", what: "20,000 new groups and UNIQUE_COUNT texts of 512 bytes", make: packed(func(w *world) []byte {
			return w.batch(11_000_000, 20_000, func(n int) string { return fmt.Sprintf(`"type":"t","data":{"n":1,"a":"%s"}`, text(n, 512)) })
		})},
		{route: events, key: "ingest", what: "20,000 events of 128 numbers", make: packed(func(w *world) []byte {
			numbers := list(126, func(i int) string { return fmt.Sprintf(`"b%d":%d`, i, i) })
			return w.batch(12_000_000, 20_000, func(n int) string { return fmt.Sprintf(`"type":"t","data":{"n":1,"a":"x",%s}`, numbers) })
		})},
		{route: events, key: "ingest", what: "20,000 conflicts", want: 400, make: packed(func(w *world) []byte {
			return w.batch(0, 20_000, func(n int) string { return `"type":"t","data":{"n":1,"a":"conflict"}` })
		})},
		{route: events, key: "ingest", what: "20,000 events that are no events", want: 400, make: packed(func(w *world) []byte {
			return w.batch(13_000_000, 20_000, func(n int) string { return fmt.Sprintf(`"data":{"a":"%s"}`, text(n, 1024)) })
		})},
	}
}

// definition is a meter with as many conditions as it may have.
func definition(key string) string {
	group := "[" + list(64, func(i int) string { return fmt.Sprintf(`{"attribute":"a","op":"NOT_IS","value":"%s"}`, text(i, 256)) }) + "]"
	return `{"key":"` + key + `","event_type":"t","aggregation":"SUM","value":"n","group_by":["customer","a","b1","b2","b3","b4","b5","b6"],"filters":[` + list(16, func(int) string { return group }) + `]}`
}

func changeEntries() []entry {
	return []entry{
		{route: "POST /api/v1/meters", key: "admin", what: "16 x 64 conditions of 256 bytes, all events are counted again", want: 201, make: send("/api/v1/meters", definition("dear"))},
		{route: "PATCH /api/v1/meters/{key}", key: "admin", what: "-", make: send("/api/v1/meters/dear", `{"description":"changed"}`)},
		{route: "DELETE /api/v1/meters/{key}", key: "admin", what: "100,000 groups", want: 204, make: at("/api/v1/meters/dear")},
		{route: "POST /api/v1/keys", key: "admin", what: "1,000 accounts of 256 bytes", want: 201, make: send("/api/v1/keys", `{"role":"read","kind":"edgegrid","accounts":[`+list(1000, func(i int) string { return `"` + text(i, 256) + `"` })+`]}`)},
		{route: "DELETE /api/v1/keys/{id}", key: "admin", what: "-", want: 204, make: func(w *world) request { return request{target: "/api/v1/keys/" + w.spare} }},
		{route: "POST /api/v1/organizations", key: "operator", what: "-", want: 201, make: send("/api/v1/organizations", `{"id":"one-more"}`)},
		{route: "PATCH /api/v1/organizations/{id}", key: "admin", what: "-", make: send("/api/v1/organizations/big", `{"name":"Big"}`)},
		{route: "PUT /api/v1/organizations/{id}/listings", key: "operator", what: "4,000 listings of 200 bytes", make: send("/api/v1/organizations/big/listings", `{"listings":[{"partner":"AWS","listing":"p-wide"},`+list(4000, func(i int) string { return `{"partner":"AWS","listing":"` + text(i, 200) + `"}` })+`]}`)},
		{route: "GET /api/v1/organizations/{id}/listings", key: "admin", what: "4,000 listings of 200 bytes", make: at("/api/v1/organizations/big/listings")},
		{route: "PUT /api/v1/units", key: "admin", what: "8,000 rates", make: send("/api/v1/units", `{"cloud":{"meter":"estate_cloud"},"enterprise":{"meter":"estate_enterprise"},"rates":{`+list(8000, func(i int) string { return fmt.Sprintf(`"type %d":{"cloud":"1","enterprise":"0.5"}`, i) })+`}}`)},
		{route: "POST /api/v1/entitlements/{id}/credits", key: "admin", what: "-", want: 201, make: send("/api/v1/entitlements/ent/credits", `{"amount":"100.5"}`)},
		{route: "POST /api/v1/reports/run", key: "admin", what: "an hour of 10,000 dimensions, only shown", make: func(w *world) request {
			return request{target: "/api/v1/reports/run", body: []byte(`{"entitlement":"wide","hour":"` + time.Now().UTC().Truncate(time.Hour).Add(-2*time.Hour).Format(time.RFC3339) + `","dry_run":true}`)}
		}},
		{route: "POST /api/v1/reports/reconcile", key: "admin", what: "-", make: at("/api/v1/reports/reconcile")},
		{route: "POST /api/v1/reports/resolve", key: "admin", what: "a report that does not exist", want: 404, make: send("/api/v1/reports/resolve", `{"report":"0c5ad0e3-8f4b-4b59-9a38-30f4a3b0b2a0","dimension":"gb","as":"settled"}`)},
	}
}

// lastEntries change everything, so they come last.
func lastEntries() []entry {
	return []entry{
		{route: "POST /api/v1/catalog", key: "admin", what: "a document of 10 MiB: every service of 40,000 has another name", make: func(w *world) request {
			return request{target: "/api/v1/catalog", body: w.document("y"), header: map[string]string{"Content-Type": "application/yaml"}}
		}},
		{route: "POST /api/v1/periods", key: "admin", what: "a month of a customer, 5,000 services, 1,007 usage types", want: 201, make: func(w *world) request {
			return request{target: "/api/v1/periods", body: []byte(`{"customer":"` + w.estate.Customer(0) + `","month":"` + month(w) + `"}`)}
		}},
		{route: "GET /api/v1/periods", key: "read", what: "a customer's months", make: at("/api/v1/periods?customer=customer-0000&limit=1000")},
		{route: "GET /api/v1/periods/{customer}/{month}", key: "read", what: "figures of 5,000 services", make: func(w *world) request {
			return request{target: "/api/v1/periods/" + w.estate.Customer(0) + "/" + month(w)}
		}},
		{route: "POST /api/v1/backup", key: "operator", what: "all of the directory", make: at("/api/v1/backup")},
		// What goes on in the background comes last.
		{route: "POST /api/v1/periods", key: "admin", what: "a month of all customers: a closing is begun", want: 202, make: func(w *world) request {
			return request{target: "/api/v1/periods", body: []byte(`{"month":"` + month(w) + `"}`)}
		}},
		{route: "GET /api/v1/closings", key: "read", what: "-", make: at("/api/v1/closings?limit=1000")},
		{route: "GET /api/v1/closings/{id}", key: "read", what: "-", make: at("/api/v1/closings/1")},
	}
}
