package fastly

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

// difference is a difference, the request that shows it, and what our answer
// has to say; MONTH stands for the month with usage.
type difference struct {
	harness.Difference
	target string
	header []string
	status int
	has    string // in the body; "!" before it: must not be there
}

const (
	v2   = "/billing/v2/account_customers/" + shop + "/service-usage-metrics"
	na   = "?product_id=cdn_usage&usage_type_name=North%20America%20Requests&time_granularity=month"
	inV3 = "/billing/v3/service-usage-metrics"
)

var differences = []difference{
	{harness.Difference{What: "CSV", Vendor: "there is CSV without `product_id` and `usage_type_name`; its form is not documented",
		Evidence: "vendor's documentation; no SDK asks for it", Ours: "`Accept: text/csv`, preferred to JSON, answers every row in one page"},
		v2 + "?time_granularity=month&start_month=MONTH&end_month=MONTH", []string{"Accept", "text/csv"}, 200,
		"customer_id,product_id,usage_type,unit,service_id,service_name,start_time,end_time,usage_units\r\n" + shop + ",cdn_usage,North America Requests,unit,SU1,shop,"},
	{harness.Difference{What: "v3 by service without a usage type", Vendor: "the schema has one `usage_type` and `unit` for the whole answer",
		Evidence: "read in the SDK", Ours: "each service once for each usage type, with `product_id`, `usage_type` and `unit` in each row, and `\"\"` above"},
		inV3 + "?start_month=MONTH&end_month=MONTH&service=SU3", nil, 200, `"usage_type":"Total GB"`},
	{harness.Difference{What: "v3 `usage-metrics`", Vendor: "a single row is declared; clients read a list",
		Evidence: "read in the SDK; seen in clients", Ours: "a list: the JavaScript client shows nothing, Python's keeps it"},
		"/billing/v3/usage-metrics?start_month=MONTH&end_month=MONTH", nil, 200, `{"data":[{"month":"MONTH"`},
	{harness.Difference{What: "a customer that the key may not see, or that does not exist", Vendor: "400, 401 and 500 are declared, no 403 or 404",
		Evidence: "read in the SDK", Ours: "401, with the body of a bad token"},
		"/billing/v2/account_customers/nobody/service-usage-metrics" + na, nil, 401, `"code":"invalid_token"`},
	{harness.Difference{What: "`limit` below 1 or above the most", Vendor: "not known", Evidence: "no source", Ours: "400; nothing is clamped"},
		v2 + na + "&limit=101", nil, 400, `"code":"invalid_parameter"`},
	{harness.Difference{What: "neither dates nor months", Vendor: "allowed; the window is not known", Evidence: "vendor's documentation", Ours: "the current month"},
		v2 + na, nil, 200, `"details":[]`},
	{harness.Difference{What: "dates with `month`, months with `day`", Vendor: "not known", Evidence: "no source", Ours: "400"},
		v2 + na + "&start_date=MONTH-01", nil, 400, "start_date cannot be used"},
	{harness.Difference{What: "`meta.sort`", Vendor: "`billing_start_date` by default, which is a word of invoices", Evidence: "read in the SDK", Ours: "left out: it would be untrue"},
		v2 + na + "&start_month=MONTH", nil, 200, `!"sort"`},
	{harness.Difference{What: "unit of requests", Vendor: "`billable_units` of another API divides by 10000", Evidence: "read in the SDK", Ours: "single requests, as the catalog's unit says"},
		v2 + na + "&start_month=MONTH&end_month=MONTH", nil, 200, `"unit":"unit"`},
	{harness.Difference{What: "a usage type that is not defined", Vendor: "not known", Evidence: "no source", Ours: "400; one that is defined and unused has no rows"},
		v2 + "?product_id=cdn_usage&usage_type_name=none&time_granularity=month", nil, 400, "do not name a usage type"},
	{harness.Difference{What: "v3 without a customer in the path", Vendor: "the customer of the token", Evidence: "read in the SDK", Ours: "the customer that the key is bound to; 401 for a key of none"},
		inV3 + "?start_month=MONTH", []string{"Fastly-Key", "ADMIN"}, 401, `"code":"invalid_token"`},
	{harness.Difference{What: "invoices and `/stats`", Vendor: "answered", Evidence: "read in the SDK", Ours: "404"},
		"/billing/v3/invoices", nil, 404, ""},
}

// TestDifferences states both answers where they differ.
func TestDifferences(t *testing.T) {
	t.Parallel()
	var list []harness.Difference
	for _, d := range differences {
		list = append(list, d.Difference)
	}
	harness.Mirrored(t, "fastly", append(list, lateUsage))
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	fill := func(text string) string { return strings.NewReplacer("MONTH", s.month, "ADMIN", s.Admin).Replace(text) }
	for _, d := range differences {
		header := []string{"Fastly-Key", s.bound}
		for _, h := range d.header {
			header = append(header, fill(h))
		}
		a := s.Do(t, http.MethodGet, fill(d.target), "", header...)
		text, not := strings.CutPrefix(fill(d.has), "!")
		if a.Status != d.status || strings.Contains(a.Body, text) == not {
			t.Errorf("%s: %d %s, want %d with %s", d.What, a.Status, a.Body, d.status, d.has)
		}
	}
	wire(t, s)
	csv(t, s)
}

// lateUsage is a difference that TestClosedMonth shows.
var lateUsage = harness.Difference{What: "usage that comes after its month was closed", Vendor: "not known", Evidence: "no source",
	Ours: "a row of its own in the open month, whose name says of which month"}

// TestClosedMonth closes the month with usage and then sends more of it.
func TestClosedMonth(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	v, ok := python(t, "v2")
	if !ok {
		return
	}
	s := startServer(t)
	a := s.Do(t, http.MethodPost, "/api/v1/periods", `{"customer":"`+shop+`","month":"`+s.month+`"}`, "Authorization", "Bearer "+s.Admin, "Content-Type", "application/json")
	if a.Status >= 300 {
		t.Fatalf("closing: %d %s", a.Status, a.Body)
	}
	day, err := time.Parse(time.DateOnly, s.last)
	harness.Check(t, err)
	s.Send(t, client.Event{ID: "late", Source: "test", Type: "edge", Subject: shop, Time: day, Data: map[string]any{"service": "SU2", "region": "na", "bytes": 1}})
	this := map[string]string{"customer_id": shop, "product_id": "cdn_usage", "usage_type_name": "North America Requests", "time_granularity": "month"}
	answers(t, s, v, s.bound, "get_service_level_usage", 5, map[string]question{
		"closed":       {with(this, "start_month", s.month, "end_month", s.month), allRows},
		lateUsage.What: {this, "SU2 blog (late usage of " + s.month + ")=1"},
	})
}

// wire asks what clients do not ask, and looks at answers as they are sent.
func wire(t *testing.T, s *server) {
	t.Helper()
	ask := v2 + na + "&start_month=" + s.month + "&end_month=" + s.month
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", ask, 200}, {"HEAD", ask, 200}, {"POST", ask, 405}, {"DELETE", ask, 405},
		{"GET", ask + "&unknown=%zz&x", 200},
		{"GET", strings.Replace(ask, "month&", "hour&", 1), 400}, {"GET", strings.Replace(ask, "month&", "Month&", 1), 400},
		{"GET", strings.Replace(ask, "time_granularity=month", "", 1), 400},
		{"GET", strings.Replace(ask, "product_id=cdn_usage", "", 1), 400}, {"GET", strings.Replace(ask, "usage_type_name", "other", 1), 400},
		{"GET", ask + "&limit=", 400}, {"GET", ask + "&limit=0", 400}, {"GET", ask + "&limit=-1", 400}, {"GET", ask + "&limit=1.0", 400}, {"GET", ask + "&limit=x", 400},
		{"GET", ask + "&limit=100", 200}, {"GET", ask + "&limit=1", 200},
		{"GET", "/billing/v2/account_customers/" + shop + "/service-usage-types", 200},
		{"GET", "/billing/v3/usage-metrics", 400}, {"GET", "/billing/v3/usage-metrics?start_month=" + s.month, 400},
	} {
		a := s.Do(t, c.method, c.target, "", "Fastly-Key", s.bound)
		if a.Status != c.status || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Location") != "" ||
			c.method == "HEAD" && a.Body != "" || strings.Contains(a.Body, "null") || a.Header.Get("Fastly-RateLimit-Remaining") != "" {
			t.Errorf("%s %s: %d %v %s, want %d", c.method, c.target, a.Status, a.Header, a.Body, c.status)
		}
		if a.Status >= 400 && !strings.Contains(a.Body, fmt.Sprintf(`"status":"%d"`, a.Status)) {
			t.Errorf("%s: status is not a string: %s", c.target, a.Body)
		}
	}
	for _, header := range [][]string{{}, {"Fastly-Key", ""}, {"Fastly-Key", "x"}, {"Authorization", "Bearer " + s.bound}, {"Cookie", "Fastly-Key=" + s.bound}} {
		if a := s.Do(t, "GET", ask, "", header...); a.Status != 401 {
			t.Errorf("%q: %d", header, a.Status)
		}
	}
	if a := s.Do(t, "GET", ask, "", "Fastly-Key", "Bearer "+s.bound); a.Status != 200 {
		t.Errorf("Bearer: %d %s", a.Status, a.Body)
	}
}

// csv asks for CSV, which no client does.
func csv(t *testing.T, s *server) {
	t.Helper()
	window := "?time_granularity=month&start_month=" + s.month + "&end_month=" + s.month
	header := "customer_id,product_id,usage_type,unit,service_id,service_name,start_time,end_time,usage_units\r\n"
	span := "," + s.month + "-01T00:00:00Z," + s.last + "T23:59:59Z,"
	requests := func(service, n string) string {
		return shop + ",cdn_usage,North America Requests,unit," + service + span + n + "\r\n"
	}
	for _, c := range []struct {
		query, accept, want string
		lines               int
	}{
		{"&product_id=cdn_usage&usage_type_name=North+America+Requests", "text/csv", header + requests("SU1,shop", "3") + requests("SU2,blog", "2") + requests("SU3,api", "1"), 4},
		{"&usage_type_name=North+America+Requests&limit=1&cursor=x", "text/csv, application/json;q=0.5", header + requests("SU1,shop", "3") + requests("SU2,blog", "2") + requests("SU3,api", "1"), 4},
		{"", "text/csv", "", 10},
		{"&product_id=dns", "text/csv", header, 1},
	} {
		a := s.Do(t, "GET", v2+window+c.query, "", "Fastly-Key", s.bound, "Accept", c.accept)
		if a.Status != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || strings.Count(a.Body, "\r\n") != c.lines || c.want != "" && a.Body != c.want {
			t.Errorf("%s: %d %v\n%s", c.query, a.Status, a.Header, a.Body)
		}
	}
	a := s.Do(t, "GET", strings.Replace(v2, shop, crowd(101), 1)+window+"&usage_type_name=North+America+Requests", "", "Fastly-Key", s.Admin, "Accept", "text/csv")
	if strings.Count(a.Body, "\r\n") != 102 || !strings.Contains(a.Body, ",C007,'=7,") {
		t.Errorf("all rows, formulas made plain: %d %s", a.Status, a.Body)
	}
	for _, accept := range []string{"*/*", "text/csv;q=0.5, application/json", "application/json, text/csv", "application/pdf"} {
		a := s.Do(t, "GET", v2+na+"&start_month="+s.month, "", "Fastly-Key", s.bound, "Accept", accept)
		if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Accept %s: %d %v", accept, a.Status, a.Header)
		}
	}
}
