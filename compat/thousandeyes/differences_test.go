package thousandeyes

import (
	"strings"
	"testing"

	"odometer/compat/harness"
)

// difference is a difference, the request that shows it, and what our answer
// has to say; MONTH and NEXT stand for the instants that last month and this one began.
type difference struct {
	harness.Difference
	token  string // "" = the shop's; admin = of no customer
	target string
	status int
	has    string // in the body or the headers; "!" before it: must not be there
}

var differences = []difference{
	{harness.Difference{What: "period of `/v7/usage`", Vendor: "the last month by default; newer: the current period", Evidence: "vendor's documentation; read in the SDK", Ours: "the current billing cycle"},
		"", "/v7/usage", 200, `"monthStart":"NEXTZ"`},
	{harness.Difference{What: "the cycle's first instant", Vendor: "the contract's, 08:00 in the sample", Evidence: "read in the SDK", Ours: "midnight UTC of the customer's `cycle_day`"},
		"", "/v7/usage", 200, "T00:00:00Z"},
	{harness.Difference{What: "projections", Vendor: "refreshed every hour", Evidence: "read in the SDK", Ours: "at the time of the request"},
		"", "/v7/usage", 200, `"cloudUnitsProjected":`},
	{harness.Difference{What: "`connectedDevices...`, `allocations`, `deviceAgentsIncluded`", Vendor: "optional members", Evidence: "read in the SDK", Ours: "left out"},
		"", "/v7/usage?expand=test", 200, "!connectedDevices"},
	{harness.Difference{What: "`window`", Vendor: "excludes dates; not declared on these operations", Evidence: "vendor's documentation", Ours: "with dates 400; alone a length of time up to now"},
		"", "/v7/usage/units/tests?window=6h&startDate=MONTH", 400, `"field":"window"`},
	{harness.Difference{What: "only `endDate`", Vendor: "not known", Evidence: "no source", Ours: "400 for `startDate`"},
		"", "/v7/usage/units/tests?endDate=NEXT", 400, `"field":"startDate"`},
	{harness.Difference{What: "an `aid` that is not assigned, or not a number", Vendor: "an error", Evidence: "vendor's documentation", Ours: "403; 400 if it is not a number"},
		"", "/v7/usage?aid=77", 403, `"status":403`},
	{harness.Difference{What: "no `aid` and no default account group", Vendor: "cannot happen", Evidence: "vendor's documentation", Ours: "400 for `aid`"},
		"admin", "/v7/usage", 400, `"field":"aid"`},
	{harness.Difference{What: "units of one test above 2147483647", Vendor: "not known; the SDKs have 32 bits", Evidence: "seen by running the SDK", Ours: "the exact number: Go's client refuses the page, Python's takes it"},
		"admin", "/v7/usage/units/tests?aid=300&startDate=MONTH&endDate=NEXT", 200, `"cloudUnitsUsed":2147483648`},
	{harness.Difference{What: "rows in which nothing is used or projected", Vendor: "not known", Evidence: "no source", Ours: "left out"},
		"admin", "/v7/usage/units/tests?aid=600", 200, `"breakdowns":[]`},
	{harness.Difference{What: "`previous` link", Vendor: "sent", Evidence: "read in the SDK", Ours: "left out: paging goes forward only"},
		"", "/v7/usage/units/tests?startDate=MONTH&endDate=NEXT", 200, "!previous"},
	{harness.Difference{What: "rows of a page", Vendor: "not known, and no parameter", Evidence: "read in the SDK", Ours: "100"},
		"", "/v7/usage/units/tests?startDate=MONTH&endDate=NEXT", 200, `"next":{"href":"`},
	{harness.Difference{What: "401", Vendor: "`invalid_token` and no word of headers", Evidence: "read in the SDK", Ours: "with `WWW-Authenticate: Bearer`"},
		"odo_unknown", "/v7/usage", 401, "WWW-Authenticate: Bearer"},
	{harness.Difference{What: "`/v7/quotas` and what is below it", Vendor: "answered", Evidence: "read in the SDK", Ours: "404: quotas are part of the catalog"},
		"", "/v7/quotas", 404, "application/problem+json"},
}

// TestDifferences states both answers where they differ.
func TestDifferences(t *testing.T) {
	t.Parallel()
	var list []harness.Difference
	for _, d := range differences {
		list = append(list, d.Difference)
	}
	harness.Mirrored(t, "thousandeyes", list)
	if harness.Short(t) {
		return
	}
	s := startServer(t, "0")
	fill := strings.NewReplacer("MONTH", s.month, "NEXT", s.next).Replace
	for _, d := range differences {
		token := d.token
		switch token {
		case "":
			token = s.bound
		case "admin":
			token = s.Admin
		}
		a := s.Do(t, "GET", fill(d.target), "", "Authorization", "Bearer "+token)
		all := a.Body
		for name, values := range a.Header {
			all += "\n" + name + ": " + strings.Join(values, ", ")
		}
		text, not := strings.CutPrefix(fill(d.has), "!")
		if name := "Www-Authenticate"; strings.HasPrefix(text, "WWW-") {
			text = name + text[len(name):]
		}
		if a.Status != d.status || strings.Contains(all, text) == not {
			t.Errorf("%s: %d %s, want %d with %s", d.What, a.Status, all, d.status, d.has)
		}
	}
	wire(t, s)
}

// wire asks in ways that the clients under test do not.
func wire(t *testing.T, s *server) {
	t.Helper()
	span := "startDate=" + s.month + "Z&endDate=" + s.next + "Z"
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"HEAD", "/v7/usage", 200}, {"POST", "/v7/usage", 405}, {"GET", "/v7/usage/", 404},
		{"GET", "/v7/usage?expand=test&expand=endpoint-agent", 200}, {"GET", "/v7/usage?expand=test%2Cendpoint-agent", 200},
		{"GET", "/v7/usage?expand=", 200}, {"GET", "/v7/usage?expand=tests", 400}, {"GET", "/v7/usage?expand=test,", 400},
		{"GET", "/v7/usage?unknown=x", 200}, {"GET", "/v7/usage?unknown=%zz", 200}, {"GET", "/v7/usage?aid=%zz", 400},
		{"GET", "/v7/usage/units/tests?window=7d", 200}, {"GET", "/v7/usage/units/tests?window=x", 400},
		{"GET", "/v7/usage/units/tests?startDate=" + s.month[:10], 400},
		{"GET", "/v7/usage/units/tests?startDate=" + s.month + "+0000", 200},      // the + of Python, unescaped
		{"GET", "/v7/usage/units/tests?startDate=" + s.month + ".5%2B02:00", 200}, // Go, Java
		{"GET", "/v7/usage/units/enterprise-agents?aid=77&" + span, 200},          // takes no aid
		{"GET", "/v7/usage/units/tests?" + span + "&cursor=", 400},
	} {
		a := s.Do(t, c.method, c.target, "", "Authorization", "Bearer "+s.bound, "Accept", "application/hal+json")
		kind := "application/hal+json"
		if c.status >= 400 {
			kind = "application/problem+json"
		}
		if a.Status != c.status || a.Header.Get("Content-Type") != kind || a.Header.Get("Location") != "" {
			t.Errorf("%s %s: %d %v %s, want %d", c.method, c.target, a.Status, a.Header, a.Body, c.status)
		}
	}
	for _, accept := range []string{"application/hal+json, application/json, application/problem+json", "application/hal+json, application/problem+json", "*/*", "text/html"} {
		if a := s.Do(t, "GET", "/v7/usage", "", "Authorization", "Bearer "+s.bound, "Accept", accept); a.Status != 200 || a.Header.Get("Content-Type") != "application/hal+json" {
			t.Errorf("Accept %s: %d %v", accept, a.Status, a.Header)
		}
	}
	// Other clients than the vendor's follow links as they are.
	rows, href := 0, "/v7/usage/units/tests?"+span
	for href != "" {
		a := s.Do(t, "GET", href, "", "Authorization", "Bearer "+s.bound)
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", href, a.Status, a.Body)
		}
		rows += strings.Count(a.Body, `"testId"`)
		_, next, more := strings.Cut(a.Body, `"next":{"href":"`+s.URL)
		if href = ""; more {
			href, _, _ = strings.Cut(next, `"`)
		}
	}
	if rows != tests+1 {
		t.Errorf("%d rows by links, want %d", rows, tests+1)
	}
}
