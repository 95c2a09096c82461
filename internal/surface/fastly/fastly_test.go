package fastly

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// newKey makes a key of the default organization.
// sample are events of two customers with every odd case of attribution.
var sample = []edge{
	{acme, "S1", "na", month(1), "1500000000.5"},
	{acme, "S1", "na", month(31), "500000000"},
	{acme, "S1", "eu", month(2), "0.25"},
	{acme, "S2", "na", month(15), "1"},
	{acme, "S4", "eu", month(15), "12345678901234.5"},
	{acme, "Z/1", "na", month(15), "7"},                 // another customer's service
	{acme, "unknown", "na", month(15), "7"},             // nobody's
	{acme, "", "na", month(15), "7"},                    // none
	{zeta, "Z/1", "na", month(15), "3"},                 // another customer
	{"nobody", "S1", "na", month(15), "3"},              // one that the catalog does not know
	{acme, "S1", "na", month(31).AddDate(0, 0, 1), "8"}, // April
	{acme, "S1", "na", start.Add(-time.Hour), "16"},     // today
	{acme, "S1", "na", start.Add(20 * time.Hour), "32"}, // tomorrow
}

func TestServiceUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	metrics := v2(acme, "service-usage-metrics?")
	const gb = "product_id=cdn_usage&usage_type_name=Total%20GB"
	for query, want := range map[string]struct{ rows, usageType, unit, window string }{
		metrics + na + march: {"S1=2, S2=1", "North America Requests", "unit", "2026-03-01T00:00:00Z 2026-03-31T23:59:59Z"},
		metrics + gb + march: {"S1=2.00000000075, S2=0.000000001, S4=12345.6789012345", "Total GB", "GB", "2026-03-01T00:00:00Z 2026-03-31T23:59:59Z"},
		metrics + na + "&time_granularity=day&start_date=2026-03-31&end_date=2026-03-31": {"S1=1", "North America Requests", "unit", "2026-03-31T00:00:00Z 2026-03-31T23:59:59Z"},
		metrics + na + "&time_granularity=day&start_date=2026-03-02&end_date=2026-03-30": {"S2=1", "North America Requests", "unit", "2026-03-02T00:00:00Z 2026-03-30T23:59:59Z"},
		metrics + na + "&time_granularity=month":                                         {"S1=1", "North America Requests", "unit", "2026-11-01T00:00:00Z 2026-11-30T23:59:59Z"},
		metrics + na + "&time_granularity=day":                                           {"S1=1", "North America Requests", "unit", "2026-11-01T00:00:00Z 2026-11-22T23:59:59Z"},
		metrics + na + "&time_granularity=month&start_month=2026-03":                     {"S1=4, S2=1", "North America Requests", "unit", "2026-03-01T00:00:00Z 2026-11-30T23:59:59Z"},
		metrics + na + "&time_granularity=day&start_date=2025-10-18&end_date=2026-11-22": {"S1=4, S2=1", "North America Requests", "unit", "2025-10-18T00:00:00Z 2026-11-22T23:59:59Z"},
		metrics + na + "&time_granularity=month&start_month=2027-01&end_month=2027-02":   {"", "North America Requests", "unit", "2027-01-01T00:00:00Z 2027-02-28T23:59:59Z"},
		metrics + na + "&time_granularity=month&start_month=0001-01&end_month=9999-12":   {"S1=4, S2=1", "North America Requests", "unit", "0001-01-01T00:00:00Z 9999-12-31T23:59:59Z"},
		metrics + "product_id=dns&usage_type_name=Queries" + march:                       {"", "Queries", "unit", "2026-03-01T00:00:00Z 2026-03-31T23:59:59Z"},
		v2(url.PathEscape(zeta), "service-usage-metrics?") + na + march:                  {"Z/1=1", "North America Requests", "unit", "2026-03-01T00:00:00Z 2026-03-31T23:59:59Z"},
		v2("zeta%2f%C3%B8%20x", "service-usage-metrics?unknown=%zz&") + na + march:       {"Z/1=1", "North America Requests", "unit", "2026-03-01T00:00:00Z 2026-03-31T23:59:59Z"},
	} {
		u := w.get(w.key, query).usage(t)
		if got := u.rows(); got != want.rows || u.UsageType != want.usageType || u.Unit != want.unit || u.StartTime+" "+u.EndTime != want.window {
			t.Errorf("%s: %s %q %s %s %s", query, got, u.UsageType, u.Unit, u.StartTime, u.EndTime)
		}
		if u.Meta.Total != len(u.Details) || u.Meta.Limit != 5 || u.Meta.NextCursor != "" {
			t.Errorf("%s: %+v", query, u.Meta)
		}
	}
	const body = `{"data":{"customer_id":"` + acme + `","start_time":"2026-03-01T00:00:00Z","end_time":"2026-03-31T23:59:59Z","usage_type":"North America Requests",` +
		`"unit":"unit","details":[{"customer_id":"` + acme + `","service_id":"S1","service_name":"shop","usage_units":2},` +
		`{"customer_id":"` + acme + `","service_id":"S2","service_name":"=blog","usage_units":1}],"meta":{"next_cursor":"","limit":5,"total":2}}}` + "\n"
	if got := w.get(w.bound, metrics+na+march).Body; got != body {
		t.Errorf("%s, want\n%s", got, body)
	}
}

func TestServiceUsageOfV3(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	const metrics, inMarch = "/billing/v3/service-usage-metrics?", "&start_month=2026-03&end_month=2026-03"
	for query, want := range map[string]string{
		na + inMarch:                 "S1=2, S2=1",
		na + inMarch + "&service=S2": "S2=1",
		na + inMarch + "&service=S9": "",
		inMarch: "S1=2 North America Requests, S1=3 Requests, S1=2.00000000075 Total GB, S2=1 North America Requests, S2=1 Requests, " +
			"S2=0.000000001 Total GB, S4=1 Requests, S4=12345.6789012345 Total GB",
		inMarch + "&service=S2":              "S2=1 North America Requests, S2=1 Requests, S2=0.000000001 Total GB",
		"start_month=2026-11":                "S1=1 North America Requests, S1=1 Requests, S1=0.000000016 Total GB",
		"":                                   "S1=1 North America Requests, S1=1 Requests, S1=0.000000016 Total GB",
		"service=S4&product_id=&limit=10000": "",
	} {
		u := w.get(w.bound, metrics+query).usage(t)
		if got := u.rows(); got != want || u.Meta.Total != len(u.Details) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if u := w.get(w.bound, metrics+inMarch).usage(t); u.Unit != "" || u.Details[0].ProductID != "cdn_usage" || u.Meta.Limit != 1000 {
		t.Errorf("without a usage type: %+v", u)
	}
}

// TestPages walks through answers of every page size, by row and by usage type.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var events []edge
	for i, service := range []string{"S7", "S1", "S2", "S6", "S4", "S5"} {
		for range i + 1 {
			events = append(events, edge{acme, service, "na", month(3), "1"})
		}
	}
	w.ingest(events...)
	const whole = "S1=2, S2=3, S4=5, S5=6, S6=4, S7=1"
	const allTypes = "/billing/v3/service-usage-metrics?start_month=2026-03&end_month=2026-03"
	for _, c := range []struct{ path, want string }{
		{v2(acme, "service-usage-metrics?") + na + march, whole},
		{"/billing/v3/service-usage-metrics?start_month=2026-03&end_month=2026-03&" + na, whole},
		{allTypes, w.get(w.bound, allTypes).usage(t).rows()},
	} {
		rows := strings.Split(c.want, ", ")
		for limit := 1; limit <= len(rows)+1; limit++ {
			var got []string
			cursor := ""
			for range len(rows) + 1 {
				page := w.get(w.bound, c.path+"&limit="+strconv.Itoa(limit)+"&cursor="+cursor).usage(t)
				if page.Meta.Total != len(rows) || len(page.Details) > limit {
					t.Fatalf("%s limit %d: %+v", c.path, limit, page)
				}
				got = append(got, strings.Split(page.rows(), ", ")...)
				if cursor = page.Meta.NextCursor; cursor == "" {
					break
				}
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s limit %d: %s, want %s", c.path, limit, text, c.want)
			}
		}
	}
}

func TestCursorsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	path := v2(acme, "service-usage-metrics?") + na + march
	cursor := w.get(w.key, path+"&limit=1").usage(t).Meta.NextCursor
	if cursor == "" {
		t.Fatal("no cursor")
	}
	for range 2 { // replayed, with another key of the organization, another page size
		if got := w.get(w.bound, path+"&limit=7&cursor="+cursor).usage(t).rows(); got != "S2=1" {
			t.Error(got)
		}
	}
	for name, other := range map[string]string{
		"customer":    v2(url.PathEscape(zeta), "service-usage-metrics?") + na + march,
		"window":      v2(acme, "service-usage-metrics?") + na + "&time_granularity=month&start_month=2026-02&end_month=2026-03",
		"usage type":  v2(acme, "service-usage-metrics?product_id=cdn_usage&usage_type_name=Requests") + march,
		"granularity": v2(acme, "service-usage-metrics?") + na + "&time_granularity=day&start_date=2026-03-01&end_date=2026-03-31",
	} {
		if a := w.get(w.key, other+"&cursor="+cursor); a.Status != 400 || !strings.Contains(a.Body, `"code":"invalid_parameter"`) {
			t.Errorf("another %s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, damaged := range []string{"x", cursor[1:], cursor + "A", "%00", "%ff", strings.Repeat("A", 5000)} {
		if a := w.get(w.key, path+"&cursor="+damaged); a.Status != 400 {
			t.Errorf("%.20s: %d %s", damaged, a.Status, a.Body)
		}
	}
}

// TestTimePasses shows that a window without ends stays the same from page to
// page, and that a key expires.
func TestTimePasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(edge{acme, "S1", "na", start, "1"}, edge{acme, "S2", "na", start, "1"})
	_, key, err := w.Service.CreateKey(t.Context(), w.Admin, metering.NewKey{Role: "read", Expires: start.AddDate(0, 1, 0)})
	w.Check(err)
	path := v2(acme, "service-usage-metrics?") + na + "&time_granularity=month&limit=1"
	first := w.get(key, path).usage(t)
	december := start.AddDate(0, 0, 10)
	w.Clock.Set(december)
	if u := w.get(key, path+"&cursor="+first.Meta.NextCursor).usage(t); u.rows() != "S2=1" || u.StartTime != "2026-11-01T00:00:00Z" || u.EndTime != first.EndTime {
		t.Errorf("%+v", u)
	}
	if u := w.get(key, path).usage(t); u.rows() != "" || u.StartTime != "2026-12-01T00:00:00Z" {
		t.Errorf("%+v", u)
	}
	expired := start.AddDate(0, 1, 0)
	w.Clock.Set(expired)
	if a := w.get(key, path); a.Status != 401 || a.Body != unauthorized {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestCSVAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	const (
		head   = "customer_id,product_id,usage_type,unit,service_id,service_name,start_time,end_time,usage_units\r\n"
		period = ",2026-03-01T00:00:00Z,2026-03-31T23:59:59Z,"
		s1     = acme + ",cdn_usage,North America Requests,unit,S1,shop" + period + "2\r\n"
		s2     = acme + ",cdn_usage,North America Requests,unit,S2,'=blog" + period + "1\r\n"
	)
	for query, want := range map[string]string{
		na + march: head + s1 + s2,
		"usage_type_name=North+America+Requests&limit=1&cursor=x" + march: head + s1 + s2,
		"product_id=dns" + march: head,
		march: head + s1 + acme + ",cdn_usage,Requests,unit,S1,shop" + period + "3\r\n" + acme + ",cdn_usage,Total GB,GB,S1,shop" + period + "2.00000000075\r\n" +
			s2 + acme + ",cdn_usage,Requests,unit,S2,'=blog" + period + "1\r\n" + acme + ",cdn_usage,Total GB,GB,S2,'=blog" + period + "0.000000001\r\n" +
			acme + ",cdn_usage,Requests,unit,S4,api" + period + "1\r\n" + acme + ",cdn_usage,Total GB,GB,S4,api" + period + "12345.6789012345\r\n",
	} {
		a := w.send("GET", v2(acme, "service-usage-metrics?")+query, "Fastly-Key", w.key, "Accept", "text/csv")
		if a.Status != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || a.Body != want {
			t.Errorf("%s: %d %s\n%s, want\n%s", query, a.Status, a.Header, a.Body, want)
		}
	}
	if a := w.send("GET", v2(acme, "service-usage-metrics?product_id=none")+march, "Fastly-Key", w.key, "Accept", "text/csv"); a.Status != 400 {
		t.Errorf("an unknown product: %d %s", a.Status, a.Body)
	}
}

func TestUsageTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.get(w.key, v2(acme, "service-usage-types")); a.Status != 200 || a.Body != `{"data":[]}`+"\n" {
		t.Errorf("without usage: %d %s", a.Status, a.Body)
	}
	w.ingest(sample...)
	all := `{"data":[{"product_id":"cdn_usage","name":"North America Requests"},{"product_id":"cdn_usage","name":"Requests"},{"product_id":"cdn_usage","name":"Total GB"}]}`
	for _, customer := range []string{acme, url.PathEscape(zeta)} {
		if a := w.get(w.key, v2(customer, "service-usage-types?anything=x")); a.Status != 200 || a.Body != all+"\n" {
			t.Errorf("%s: %d %s", customer, a.Status, a.Body)
		}
	}
}

func TestMonthlyUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	const path = "/billing/v3/usage-metrics?"
	const want = `{"data":[` +
		`{"month":"2026-03","usage_type":"North America Requests","name":"North America Requests","region":"na","unit":"unit","quantity":6,"raw_quantity":6,` +
		`"product_id":"cdn_usage","last_updated_at":"2026-04-01T00:00:00Z"},` +
		`{"month":"2026-03","usage_type":"Requests","name":"Requests","region":"","unit":"unit","quantity":8,"raw_quantity":8,` +
		`"product_id":"cdn_usage","last_updated_at":"2026-04-01T00:00:00Z"},` +
		`{"month":"2026-03","usage_type":"Total GB","name":"Total GB","region":"","unit":"GB","quantity":12347.67890125725,"raw_quantity":12347678901257.25,` +
		`"product_id":"cdn_usage","last_updated_at":"2026-04-01T00:00:00Z"}]}` + "\n"
	if a := w.get(w.bound, path+"start_month=2026-02&end_month=2026-03"); a.Status != 200 || a.Body != want {
		t.Errorf("%d %s, want\n%s", a.Status, a.Body, want)
	}
	now := w.get(w.bound, path+"start_month=2026-11&end_month=2027-01")
	if now.Status != 200 || strings.Count(now.Body, `"month":"2026-11"`) != 3 || strings.Count(now.Body, `"last_updated_at":"2026-11-22T12:00:00Z"`) != 3 {
		t.Errorf("this month: %s", now.Body)
	}
	if a := w.get(w.bound, path+"start_month=2026-01&end_month=2026-02"); a.Body != `{"data":[]}`+"\n" {
		t.Errorf("without usage: %s", a.Body)
	}
	for _, query := range []string{"", "start_month=2026-03", "start_month=2026-01&end_month=2026-04", "start_month=2026-04&end_month=2026-03"} {
		if a := w.get(w.bound, path+query); a.Status != 400 {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

// unauthorized is the one answer to a key that may not see what it asks for.
const unauthorized = `{"type":"unauthorized","title":"provided credentials are missing or invalid","code":"invalid_token","status":"401"}` + "\n"

func TestKeysSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(sample...)
	_, err := w.Service.CreateOrganization(t.Context(), w.Admin, catalog.NewOrganization{ID: "other"})
	w.Check(err)
	other := w.Admin
	other.Organization = "other"
	w.define(other)
	w.ApplyAs(other, catalogs["other"], metering.ApplyOptions{})
	v2Paths := func(customer string) []string {
		return []string{v2(customer, "service-usage-types"), v2(customer, "service-usage-metrics?") + na + march, v2(customer, "service-usage-metrics")}
	}
	v3Paths := []string{"/billing/v3/service-usage-metrics?" + na, "/billing/v3/service-usage-metrics?limit=0", "/billing/v3/usage-metrics?start_month=2026-03&end_month=2026-03"}
	all := append(v2Paths(acme), v3Paths...)
	k, revoked, err := w.Service.CreateKey(t.Context(), w.Admin, metering.NewKey{Role: "read", Customer: acme})
	w.Check(err)
	w.Check(w.Service.RevokeKey(t.Context(), w.Admin, k.ID, false))
	for name, c := range map[string]struct {
		header []string
		paths  []string
	}{
		"no key":                 {nil, all},
		"an empty key":           {[]string{"Fastly-Key", ""}, all},
		"an unknown key":         {[]string{"Fastly-Key", "odo_unknown"}, all},
		"a revoked key":          {[]string{"Fastly-Key", revoked}, all},
		"another header":         {[]string{"Authorization", "Bearer " + w.bound}, all},
		"two keys":               {[]string{"Fastly-Key", w.bound, "Fastly-Key", w.bound}, all},
		"a key that cannot read": {[]string{"Fastly-Key", w.NewKey(access.RoleIngest, "")}, all},
		"an unbound key":         {[]string{"Fastly-Key", w.key}, v3Paths},
		"an unknown customer":    {[]string{"Fastly-Key", w.key}, append(v2Paths("nobody"), v2Paths("x%2Fy")...)},
		"another organization's": {[]string{"Fastly-Key", w.key}, v2Paths("foreign")},
		"another customer":       {[]string{"Fastly-Key", w.bound}, append(v2Paths(url.PathEscape(zeta)), v2Paths("nobody")...)},
	} {
		for _, path := range c.paths {
			if a := w.send("GET", path, c.header...); a.Status != 401 || a.Body != unauthorized || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s: %d %s", name, path, a.Status, a.Body)
			}
		}
	}
	if a := w.get("Bearer "+w.bound, v2(acme, "service-usage-types")); a.Status != 200 {
		t.Errorf("Bearer: %d %s", a.Status, a.Body)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	metrics := v2(acme, "service-usage-metrics?")
	for path, want := range map[string]string{
		metrics:                                                      "time_granularity must be day or month",
		metrics + na + "&time_granularity=hour":                      "time_granularity must be day or month",
		metrics + "time_granularity=day":                             "product_id and usage_type_name are required, except for CSV",
		metrics + na + march + "&limit=0":                            "limit must be a whole number from 1 to 100",
		metrics + na + march + "&limit=101":                          "limit must be a whole number from 1 to 100",
		metrics + na + march + "&start_date=2026-03-01":              "start_date cannot be used with time_granularity month",
		metrics + na + "&time_granularity=month&start_month=2023-13": "start_month must be a calendar month, YYYY-MM",
		metrics + "product_id=cdn_usage&usage_type_name=north+america+requests" + march: "product_id and usage_type_name do not name a usage type",
		metrics + "product_id=none&usage_type_name=Requests" + march:                    "product_id and usage_type_name do not name a usage type",
		metrics + "product_id=cdn_usage&usage_type_name=Total+Hits" + march:             "product_id and usage_type_name do not name a usage type",
		metrics + "product_id=cdn_usage&usage_type_name=95%2F5+Mbps" + march:            "product_id and usage_type_name do not name a usage type",
		metrics + na + march + "&cursor=x":                                              "cursor is not one that was given for this request",
		"/billing/v3/service-usage-metrics?product_id=cdn_usage":                        "product_id and usage_type_name must be used together, except for CSV",
		"/billing/v3/service-usage-metrics?limit=10001":                                 "limit must be a whole number from 1 to 10000",
		"/billing/v3/usage-metrics?start_month=2026-01":                                 "end_month is required",
	} {
		a := w.get(w.bound, path)
		if want := `{"type":"bad_request","title":"` + want + `","code":"invalid_parameter","status":"400"}` + "\n"; a.Status != 400 || a.Body != want || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want %s", path, a.Status, a.Body, want)
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	types := v2(acme, "service-usage-types")
	if a := w.send("HEAD", types, "Fastly-Key", w.key); a.Status != 200 || a.Body != "" {
		t.Errorf("HEAD: %d %q", a.Status, a.Body)
	}
	if a := w.send("OPTIONS", types); a.Status != 204 || a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", a.Status, a.Header)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		a := w.send(method, types, "Fastly-Key", w.key)
		if a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD, OPTIONS" || !strings.Contains(a.Body, `"code":"method_not_allowed"`) {
			t.Errorf("%s: %d %v %s", method, a.Status, a.Header, a.Body)
		}
	}
	for _, path := range []string{"/billing/v2//account_customers/" + acme + "/service-usage-types", types + "/", v2("", "service-usage-types"), v2("a/b", "service-usage-types"),
		"/billing/v2/account_customers/" + acme + "/../" + acme + "/service-usage-types"} {
		if a := w.get(w.key, path); a.Status != 404 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := w.get(w.key, v2("%2e%2e", "service-usage-types")); a.Status != 401 {
		t.Errorf("an encoded dot segment: %d %s", a.Status, a.Body)
	}
}

// TestServicesThatMove shows that usage is a service's until it is removed, and
// whenever it was created, under its last name.
func TestServicesThatMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(edge{acme, "S1", "na", month(1), "1"}, edge{acme, "S1", "na", month(20), "1"}, edge{acme, "S1", "na", month(25), "1"},
		edge{acme, "S2", "na", month(20), "1"}, edge{acme, "S2", "na", month(25), "1"},
		edge{zeta, "S2", "na", month(1), "1"}, edge{zeta, "S2", "na", month(25), "1"})
	w.Apply("customers: [{id: "+acme+", name: Acme, services: [{id: S1, name: store}]}]", metering.ApplyOptions{Effective: month(10)})
	w.Apply(strings.ReplaceAll(catalogs["default"], "{id: S2, name: =blog}, ", ""), metering.ApplyOptions{Prune: true, Effective: month(22)})
	w.Apply("customers: [{id: '"+zeta+"', name: Zeta, services: [{id: S2, name: blog}]}]", metering.ApplyOptions{Effective: month(23)})
	for customer, want := range map[string]string{acme: "S1=3, S2=1", url.PathEscape(zeta): "S2=2"} {
		if got := w.get(w.key, v2(customer, "service-usage-metrics?")+na+march).usage(t).rows(); got != want {
			t.Errorf("%s: %s, want %s", customer, got, want)
		}
	}
}

// TestExactness compares what is served with a naive sum of exact decimals.
func TestExactness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	texts := []string{"0.1", "0.2", "0.000000000001", "99999999999999999999999999", "-0.3", "1e3", "123456789.25"}
	var sum meter.Decimal
	var events []edge
	for i, text := range texts {
		d, err := meter.ParseDecimal(text)
		w.Check(err)
		sum = sum.Add(d)
		events = append(events, edge{acme, "S1", "eu", month(i + 1), text})
	}
	w.ingest(events...)
	scale, err := meter.ParseDecimal("0.000000001")
	w.Check(err)
	want := "S1=" + sum.Mul(scale).Round(12, meter.HalfEven).String()
	if got := w.get(w.key, v2(acme, "service-usage-metrics?product_id=cdn_usage&usage_type_name=Total+GB")+march).usage(t).rows(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
