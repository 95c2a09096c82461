package thousandeyes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"odometer/compat/harness"
)

// TestClients runs every release against one server. One that cannot be
// installed fails the test unless ODOMETER_ALLOW_MISSING has pypi or goproxy.
func TestClients(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, "0")
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			v, ok := install(t, release)
			if !ok {
				return
			}
			usage(t, s, v)
			units(t, s, v)
			dates(t, s, v)
			refusals(t, s, v)
		})
	}
}

const everything = "test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded"

// arrays are what each value of expand adds to an answer, and the shop's rows in it.
var arrays = map[string]struct {
	name string
	rows int
}{
	"test": {"tests", 1}, "enterprise-agent": {"enterpriseAgents", 1}, "enterprise-agent-unit": {"enterpriseAgentUnits", 1},
	"endpoint-agent": {"endpointAgents", 0}, "endpoint-agent-essential": {"endpointAgentsEssentials", 0}, "endpoint-agent-embedded": {"endpointAgentsEmbedded", 0},
}

// usage asks for the current cycle, in which home page used 10.5 cloud units;
// it is projected at 600 cloud and 150 enterprise units an hour.
func usage(t *testing.T, s *server, v vendor) {
	t.Helper()
	switching := s.token(t, map[string]any{"default_aid": "77"})
	expands := append(slices.Sorted(maps.Keys(arrays)), everything, "test,endpoint-agent", "endpoint-agent,test,test")
	calls := []call{
		{Operation: "get_usage"},
		{Operation: "get_usage", Arguments: map[string]string{"aid": "1234"}},
		{Operation: "get_usage", Arguments: map[string]string{"aid": "5678"}},
		{Operation: "get_usage", Arguments: map[string]string{"aid": "5678"}, Token: s.Admin},
		{Operation: "get_usage", Token: switching},
	}
	for _, e := range expands {
		calls = append(calls, call{Operation: "get_usage", Arguments: map[string]string{"expand": e}})
	}
	type answer struct {
		Usage map[string]any
		Links struct{ Self struct{ Href string } } `json:"_links"`
	}
	results := v.calls(t, s, calls...)
	for i, r := range results[:4] {
		u := harness.Decode[answer](t, r).Usage
		if got := fmt.Sprint(u["cloudUnitsUsed"], u["enterpriseUnitsUsed"], u["enterpriseAgentsUsed"], u["endpointAgentsUsed"]); got != "11 0 1 0" {
			t.Errorf("%+v: %s", calls[i], got)
		}
		quota := u["quota"].(map[string]any)
		begin, _ := quota["monthStart"].(string)
		if got := fmt.Sprint(quota["cloudUnitsIncluded"], quota["endpointAgentsIncluded"]); got != "4.32e+09 10" || strings.Replace(begin, " ", "T", 1)[:19] != s.next {
			t.Errorf("quota %v", quota)
		}
		for _, name := range []string{"cloudUnitsProjected", "cloudUnitsNextBillingPeriod", "enterpriseUnitsProjected", "enterpriseUnitsNextBillingPeriod"} {
			if n, ok := u[name].(float64); !ok || n < 1 {
				t.Errorf("%s: %v", name, u[name])
			}
		}
	}
	if u := harness.Decode[answer](t, results[4]).Usage; fmt.Sprint(u["quota"].(map[string]any)["enterpriseAgentsIncluded"]) != "5" {
		t.Errorf("the default account group's customer: %v", u)
	}
	for i, e := range append([]string{"", "", "", "", ""}, expands...) {
		u := harness.Decode[answer](t, results[i])
		for value, array := range arrays {
			list, there := u.Usage[array.name].([]any)
			if wanted := slices.Contains(strings.Split(e, ","), value); there != wanted || wanted && len(list) != array.rows {
				t.Errorf("expand %q: %s %v", e, array.name, list)
			}
		}
		if !strings.HasPrefix(u.Links.Self.Href, s.host+"/v7/usage") {
			t.Errorf("self %q", u.Links.Self.Href)
		}
	}
}

// page is what the client decodes of a page.
type page struct {
	Breakdowns []map[string]any
	Links      struct {
		Self, Next *struct{ Href string }
	} `json:"_links"`
}

// lastMonth is the arguments for last month.
func (s *server) lastMonth(more ...string) map[string]string {
	arguments := map[string]string{"start_date": s.month + "+00:00", "end_date": s.next + "+00:00"}
	for i := 0; i+1 < len(more); i += 2 {
		arguments[more[i]] = more[i+1]
	}
	return arguments
}

const (
	testUnits  = "get_tests_units_usage"
	agentUnits = "get_enterprise_agents_units_usage"
)

// units asks the units operations for last month, page by page.
func units(t *testing.T, s *server, v vendor) {
	t.Helper()
	bound := func(customer string) string { return s.token(t, map[string]any{"customer": customer}) }
	calls := []call{
		{Operation: testUnits, Arguments: s.lastMonth(), How: "pages"},
		{Operation: agentUnits, Arguments: s.lastMonth(), How: "pages"},
		{Operation: testUnits, Arguments: s.lastMonth(), How: "pages", Token: bound("hundred")},
		{Operation: testUnits, Arguments: s.lastMonth(), How: "pages", Token: bound("hundredone")},
		{Operation: testUnits, Arguments: s.lastMonth(), How: "pages", Token: bound("nothing")},
		{Operation: testUnits, Arguments: s.lastMonth("aid", "5678"), How: "pages"}, // aid filters nothing
		{Operation: testUnits, Arguments: s.lastMonth(), How: "pages", Token: bound("solo")},
		{Operation: agentUnits, Arguments: s.lastMonth(), How: "pages", Token: bound("big")},
		{Operation: testUnits}, // of the current cycle
		{Operation: agentUnits},
	}
	results := v.calls(t, s, calls...)
	for i, want := range []string{"100 100 5", "2", "100", "100 1", "0", "100 100 5", "1", "1"} {
		var sizes []string
		for _, p := range harness.Decode[[]page](t, results[i]) {
			sizes = append(sizes, fmt.Sprint(len(p.Breakdowns)))
		}
		if got := strings.Join(sizes, " "); got != want {
			t.Errorf("%+v: pages of %s rows, want %s", calls[i], got, want)
		}
	}
	all := harness.Decode[[]page](t, results[0])
	sum, seen, first := 0.0, map[any]bool{}, all[0].Breakdowns[0]
	for _, p := range all {
		for _, row := range p.Breakdowns {
			sum, seen[row["testId"]] = sum+row["cloudUnitsUsed"].(float64), true
		}
	}
	if len(seen) != tests+1 || sum != 1001+tests {
		t.Errorf("%d tests, %v units", len(seen), sum)
	}
	if got := fmt.Sprint(first["aid"], first["accountGroupName"], first["testId"], first["testName"], first["testType"], first["cloudUnitsUsed"], first["enterpriseUnitsUsed"], first["isInstantTest"]); got != "1234Web901home pageWeb - HTTP Server1001 3 false" {
		t.Errorf("the first row: %s", got)
	}
	if got := agentRows(harness.Decode[[]page](t, results[1])[0]); got != "1234 Web 11 Oslo 3, 5678 Nett & ø 11 Oslo 2" {
		t.Errorf("agents: %s", got)
	}
	if got := harness.Decode[[]page](t, results[6])[0].Breakdowns[0]["cloudUnitsUsed"]; got != float64(1<<31-1) {
		t.Errorf("the most of 31 bits: %v", got)
	}
	if got := agentRows(harness.Decode[[]page](t, results[7])[0]); got != "300 Big 31 Bergen 3e+09" {
		t.Errorf("more than 32 bits: %s", got)
	}
	now := harness.Decode[page](t, results[8])
	if len(now.Breakdowns) != 1 || now.Breakdowns[0]["cloudUnitsUsed"] != 11.0 || now.Links.Next != nil {
		t.Errorf("the current cycle: %+v", now)
	}
	if got := agentRows(harness.Decode[page](t, results[9])); got != "1234 Web 11 Oslo 0" {
		t.Errorf("the current cycle's agents: %s", got)
	}
	iterators(t, s, v)
	integers(t, s, v, bound("big"))
}

func agentRows(p page) string {
	var rows []string
	for _, row := range p.Breakdowns {
		rows = append(rows, fmt.Sprint(row["aid"], " ", row["accountGroupName"], " ", row["agentId"], " ", row["agentName"], " ", row["enterpriseUnitsUsed"]))
	}
	return strings.Join(rows, ", ")
}

// iterators walks all pages by the client's own iterators, which the oldest has not.
func iterators(t *testing.T, s *server, v vendor) {
	t.Helper()
	if v.release == "oldest" {
		return
	}
	results := v.calls(t, s,
		call{Operation: testUnits, Arguments: s.lastMonth("aid", "1234"), How: "rows"},
		call{Operation: agentUnits, Arguments: s.lastMonth(), How: "rows"},
		call{Operation: testUnits, How: "rows"})
	for i, want := range []int{tests + 1, 2, 1} {
		if rows := harness.Decode[[]map[string]any](t, results[i]); len(rows) != want {
			t.Errorf("iterator %d: %d rows, want %d", i, len(rows), want)
		}
	}
}

// integers asks for a test with more units than 31 bits hold. The number is
// sent as it is: Go's client, which has 32 bits for it, refuses the page.
func integers(t *testing.T, s *server, v vendor, token string) {
	t.Helper()
	r := v.calls(t, s, call{Operation: testUnits, Arguments: s.lastMonth(), Token: token})[0]
	if v.release == "go" {
		if r.Error == "" || !strings.Contains(r.Body, `"cloudUnitsUsed":2147483648`) {
			t.Errorf("%+v", r)
		}
		return
	}
	if got := harness.Decode[page](t, r).Breakdowns[0]["cloudUnitsUsed"]; got != float64(1<<31) {
		t.Errorf("%v", got)
	}
}

// dates sends one range in several forms; each client writes its own.
func dates(t *testing.T, s *server, v vendor) {
	t.Helper()
	var calls []call
	for _, zone := range []string{"+00:00", "", ".000001+00:00", "-02:30"} {
		calls = append(calls, call{Operation: agentUnits, Arguments: map[string]string{"start_date": s.month + zone, "end_date": s.next + zone}})
	}
	calls = append(calls, call{Operation: agentUnits, Arguments: map[string]string{"start_date": s.month + "+00:00"}},
		call{Operation: agentUnits, Arguments: map[string]string{"start_date": s.month + "+00:00", "end_date": "2037-01-01T00:00:00+00:00"}})
	for i, r := range v.calls(t, s, calls...) {
		// With -02:30 the range begins after the hour in which all was used, and
		// ends in this month: the home page is only projected.
		rows := 0
		for _, row := range harness.Decode[page](t, r).Breakdowns {
			if row["enterpriseUnitsUsed"].(float64) != 0 {
				rows++
			}
		}
		if want := []int{2, 2, 2, 0, 2, 2}[i]; rows != want {
			t.Errorf("%v: %s, want %d rows", calls[i].Arguments, r.Value, want)
		}
	}
}

// refusals makes calls that are refused, and wants the vendor's class or model
// of the error with all that it has.
func refusals(t *testing.T, s *server, v vendor) {
	t.Helper()
	revoked := s.NewKey(t, map[string]any{"role": "read", "customer": "shop"})
	if a := s.Do(t, "DELETE", "/api/v1/keys/"+revoked.ID, "", "Authorization", "Bearer "+s.Admin); a.Status >= 300 {
		t.Fatalf("%+v", a)
	}
	ask := func(operation, token string, arguments ...string) call {
		c := call{Operation: operation, Token: token, Arguments: map[string]string{}}
		for i := 0; i+1 < len(arguments); i += 2 {
			c.Arguments[arguments[i]] = arguments[i+1]
		}
		return c
	}
	type refusal struct {
		call   call
		status int
		field  string // of a 400
	}
	cases := []refusal{
		{ask("get_usage", "x"), 401, ""},
		{ask(testUnits, revoked.Token), 401, ""},
		{ask(agentUnits, "odo_unknown"), 401, ""},
		{ask("get_usage", s.Admin), 400, "aid"},
		{ask(agentUnits, s.Admin), 400, "aid"},
		{ask("get_usage", "", "aid", "x"), 400, "aid"},
		{ask("get_usage", "", "aid", ""), 400, "aid"},
		{ask("get_usage", s.Admin, "aid", "4242"), 403, ""},
		{ask("get_usage", "", "aid", "77"), 403, ""},
		{ask(testUnits, "", "aid", "77"), 403, ""},
		{ask(testUnits, s.Admin, "aid", "77"), 403, ""}, // legacy pricing
		{ask(testUnits, "", "cursor", "damaged/=="), 400, "cursor"},
		{ask(testUnits, "", "cursor", ""), 400, "cursor"},
		{ask(testUnits, "", "end_date", s.next), 400, "startDate"},
		{ask(agentUnits, "", "end_date", s.next), 400, "startDate"},
		{ask(agentUnits, "", "start_date", s.next, "end_date", s.month), 400, "endDate"},
		{ask(agentUnits, "", "start_date", s.month, "end_date", s.month), 400, "endDate"},
		{ask(agentUnits, "", "start_date", "2037-01-01T00:00:00"), 400, "startDate"},
	}
	if v.release != "oldest" { // whose list of values has no such word
		cases = append(cases, refusal{ask("get_usage", "", "expand", "unknown"), 400, "expand"})
	}
	classes := map[int]string{400: "BadRequestException", 401: "UnauthorizedException", 403: "ForbiddenException"}
	calls := make([]call, len(cases))
	for i := range cases {
		calls[i] = cases[i].call
	}
	for i, r := range v.calls(t, s, calls...) {
		c := cases[i]
		problem := r.Data["title"] != nil && r.Data["type"] != nil
		if r.Status != c.status || r.Data == nil || v.release != "go" && r.Error != classes[c.status] || problem != (c.status != 401) {
			t.Errorf("%+v: %+v, want %d with its model", c.call, r, c.status)
			continue
		}
		switch c.status {
		case 401:
			if !strings.Contains(r.Body, `{"error":"invalid_token","error_description":"Invalid access token"}`) || r.Data["error"] != "invalid_token" {
				t.Errorf("%+v: %+v", c.call, r)
			}
		default:
			if r.Data["status"] != float64(c.status) || r.Data["detail"] == nil || r.Data["instance"] == nil {
				t.Errorf("%+v: %+v", c.call, r)
			}
		}
		if c.field != "" && !strings.Contains(fmt.Sprint(r.Data["errors"]), "field:"+c.field+" ") {
			t.Errorf("%+v: %v, want one of %s", c.call, r.Data["errors"], c.field)
		}
	}
}
