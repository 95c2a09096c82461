package native

import (
	"fmt"
	"strings"
	"testing"

	"odometer/internal/metering"
)

// sold is a catalog with two products, two customers, and contracts of which
// one ends at noon of the day of the events, when the next begins.
const sold = `
meters:
- {key: hits, event_type: edge.request, aggregation: COUNT, group_by: [customer, product, service, region, contract]}
- {key: bytes, event_type: edge.request, aggregation: SUM, value: bytes, group_by: [customer, product, service, region, contract]}
- {key: p95, event_type: edge.request, aggregation: PERCENTILE, value: bytes, rate: true, group_by: [customer, product, contract]}
products:
- id: cdn
  usage_types:
  - {name: EU Hits, meter: hits, where: {region: eu}, unit: unit, billable: true}
  - {name: Total GB, meter: bytes, unit: GB, scale: "0.000000001"}
  - {name: 95/5, meter: p95, unit: Mbps, scale: "0.000008"}
- {id: waf, usage_types: [{name: Hits, meter: hits}]}
customers:
- id: acme
  services: [{id: shop}, {id: blog}]
  contracts:
  - {id: K-1, ends: 2026-11-22T12:00:00Z, terms: [{products: [cdn], regions: GLOBAL}, {from: 2026-11-22T06:00:00Z, products: [cdn], regions: GLOBAL}]}
  - {id: K-2, starts: 2026-11-22T06:00:00Z, terms: [{products: [cdn], regions: GLOBAL}]}
- {id: beta, contracts: [{id: K-9, customers: [acme], terms: [{products: [waf], regions: GLOBAL}]}]}
`

// soldWorld has that catalog and events at every hour from 0 to 23 in the
// past, which name what the hour says.
func soldWorld(t *testing.T) *world {
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", sold, yamlBody...), 200)
	var events []string
	for _, e := range []struct{ at, customer, data string }{
		{"00:00", "acme", `"product":"cdn","service":"shop","region":"eu","bytes":1000000000`},
		{"05:00", "acme", `"product":"cdn","service":"blog","region":"us","bytes":0.5`},                    // names no contract: K-1 is the only one then
		{"07:00", "acme", `"product":"cdn","service":"shop","region":"eu","bytes":1`},                      // no contract, and there are two
		{"08:00", "acme", `"product":"cdn","contract":"K-1","region":"eu","bytes":2`},                      //
		{"09:00", "acme", `"product":"cdn","contract":"K-2","region":"eu","bytes":4`},                      //
		{"11:00", "acme", `"product":"waf","bytes":8`},                                                     // another product, of beta's contract
		{"11:30", "beta", `"product":"cdn","contract":"K-1","region":"eu","bytes":16`},                     // not beta's contract
		{"01:00", "stranger", `"product":"cdn","contract":"K-1","region":"eu","bytes":32`},                 // no customer of the catalog
		{"02:00", "acme", `"service":"shop","region":"eu","bytes":64`},                                     // of any product
		{"03:00", "acme", `"product":"cdn","service":"shop","region":"eu","bytes":"1000000000.000000000"`}, //
	} {
		events = append(events, testEvent(e.at+e.customer, "subject", quote(e.customer), "time", quote("2026-11-22T"+e.at+":00Z"), "data", "{"+e.data+"}"))
	}
	w.ingest("["+strings.Join(events, ",")+"]", len(events), 0, 0, 0)
	return w
}

// rows asks for usage and renders "product usage_type [group=...] value unit" of each row.
func (w *world) rows(query string, header ...string) string {
	w.Helper()
	var out []string
	for _, r := range read[struct {
		Rows []struct {
			Product, Unit, Start, End, Value string
			UsageType                        string `json:"usage_type"`
			Billable                         bool
			Group                            map[string]string
		}
	}](w, w.want(w.call("GET", "/api/v1/usage?"+query, "", header...), 200)).Rows {
		line := fmt.Sprintf("%s %s", r.Product, r.UsageType)
		for _, name := range []string{"service", "region"} {
			if v, ok := r.Group[name]; ok {
				line += " " + name + "=" + v
			}
		}
		if !strings.HasPrefix(r.Start, "2026-11-22T00:00") {
			line += " from " + r.Start[11:13]
		}
		if r.Billable != (r.UsageType == "EU Hits") {
			line += " billable?"
		}
		out = append(out, line+" "+r.Value+" "+r.Unit)
	}
	return strings.Join(out, ", ")
}

func TestProductUsage(t *testing.T) {
	t.Parallel()
	w := soldWorld(t)
	for query, want := range map[string]string{
		"customer=acme&" + today:                                                                        "cdn EU Hits 6 unit, cdn Total GB 2.0000000715 GB, cdn 95/5 0 Mbps, waf Hits 2 ",
		"customer=acme&product=waf&" + today:                                                            "waf Hits 2 ",
		"customer=acme&usage_type=EU%20Hits&" + today:                                                   "cdn EU Hits 6 unit",
		"customer=acme&product=cdn&usage_type=EU+Hits&service=shop&" + today:                            "cdn EU Hits 4 unit",
		"customer=acme&product=cdn&usage_type=EU+Hits&group_by=service,region&" + today:                 "cdn EU Hits service= region=eu 2 unit, cdn EU Hits service=shop region=eu 4 unit",
		"customer=acme&usage_type=EU+Hits&window=day&from=2026-11-22T07:00:00Z&to=2026-11-24T00:00:00Z": "cdn EU Hits from 07 3 unit",
		"customer=acme&usage_type=Total+GB&contract=K-1&" + today:                                       "cdn Total GB 2.0000000665 GB",
		"customer=acme&usage_type=Total+GB&contract=K-2&" + today:                                       "cdn Total GB 0.000000004 GB",
		"customer=acme&contract=K-9&" + today:                                                           "waf Hits 2 ",
		"customer=beta&" + today:                                                                        "cdn EU Hits 1 unit, cdn Total GB 0.000000016 GB, cdn 95/5 0 Mbps",
		"customer=beta&contract=K-9&" + today:                                                           "",
		"customer=acme&from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z":                               "",
	} {
		if got := w.rows(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, c := range map[string]struct {
		status int
		text   string
	}{
		today:                                     {400, "name a customer"},
		"customer=acme":                           {400, "from"},
		"customer=acme&to=x":                      {400, "to"},
		"customer=none&" + today:                  {404, `there is no customer \"none\"`},
		"customer=acme&product=none&" + today:     {404, `there is no product \"none\"`},
		"customer=acme&usage_type=none&" + today:  {404, "there is no usage type"},
		"customer=acme&contract=K-7&" + today:     {404, `there is no contract \"K-7\"`},
		"customer=beta&contract=K-1&" + today:     {404, `there is no contract \"K-1\"`},
		"customer=acme&window=fortnight&" + today: {400, "window"},
		"customer=acme&limit=1&" + today:          {400, "limit"},
		"customer=acme&group_by=" + strings.Repeat("a,", 16) + "b&" + today: {400, "group_by"},
	} {
		w.want(w.call("GET", "/api/v1/usage?"+query, ""), c.status, c.text)
	}
}

func TestProductUsageOfOthers(t *testing.T) {
	t.Parallel()
	w := soldWorld(t)
	bound := as(w.key("read", "beta"))
	const own = "cdn EU Hits 1 unit, cdn Total GB 0.000000016 GB, cdn 95/5 0 Mbps"
	for _, query := range []string{today, "customer=beta&" + today} {
		if got := w.rows(query, bound...); got != own {
			t.Errorf("%s: %s", query, got)
		}
	}
	unseen := w.want(w.call("GET", "/api/v1/usage?customer=acme&"+today, "", bound...), 404).Body
	unknown := w.want(w.call("GET", "/api/v1/usage?customer=nobody&"+today, "", bound...), 404).Body
	if detail(unseen) != strings.Replace(detail(unknown), "nobody", "acme", 1) {
		t.Errorf("unseen: %s, unknown: %s", unseen, unknown)
	}
	w.want(w.call("GET", "/api/v1/usage?contract=K-1&"+today, "", bound...), 404)
	w.want(w.call("GET", "/api/v1/usage?customer=acme&"+today, "", as(w.key("ingest", ""))...), 403)
}

// TestProductUsageAsCSV asks for lines, in which no text is a formula.
func TestProductUsageAsCSV(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", strings.Replace(smallCatalog, `"where":{"service":"shop"},`, "", 1)), 200)
	w.ingest(testEvent("1", "data", `{"service":"=1+1"}`), 1, 0, 0, 0)
	body := w.want(w.call("GET", "/api/v1/usage?customer=acme&group_by=service&"+today, "", "Accept", "text/csv"), 200).Body
	head, lines, _ := strings.Cut(body, "\n")
	if head != "customer,product,usage_type,unit,billable,start,end,service,value,clipped,month,late,closed" || !strings.Contains(lines, ",'=1+1,0.5,") {
		t.Errorf("%q", body)
	}
}

// TestProductUsageLimit asks for as many rows as there may be, and for more.
func TestProductUsageLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", strings.Replace(smallCatalog, `"where":{"service":"shop"},`, "", 1)), 200)
	var events []string
	for i := range metering.MaxProductRows {
		events = append(events, testEvent(fmt.Sprint(i), "data", fmt.Sprintf(`{"service":"s%d"}`, i)))
	}
	w.ingest("["+strings.Join(events, ",")+"]", len(events), 0, 0, 0)
	const query = "/api/v1/usage?customer=acme&group_by=service&" + today
	if rows := strings.Count(w.want(w.call("GET", query, ""), 200).Body, `"value"`); rows != metering.MaxProductRows {
		t.Errorf("%d rows", rows)
	}
	w.ingest(testEvent("more", "data", `{"service":"more"}`), 1, 0, 0, 0)
	w.want(w.call("GET", query, ""), 413, "10000")
}
