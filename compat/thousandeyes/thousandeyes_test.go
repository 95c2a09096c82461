package thousandeyes

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"odometer/compat/harness"
)

// TestClients runs every release against one server. One that cannot be
// installed fails the test unless ODOMETER_ALLOW_MISSING has pypi.
func TestClients(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	for _, release := range []string{"oldest", "newest"} {
		t.Run("python "+release, func(t *testing.T) {
			t.Parallel()
			if v, ok := python(t, release); ok {
				usage(t, s, v)
				pages(t, s, v)
				dates(t, s, v)
				refusals(t, s, v)
				if release == "newest" { // the oldest has none
					iterators(t, s, v)
				}
			}
		})
	}
}

const everything = "test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded"

// usage asks for the current cycle, in which nothing was used yet: home page
// is projected at 600 cloud and 150 enterprise units an hour.
func usage(t *testing.T, s *server, v vendor) {
	t.Helper()
	results := v.calls(t, s, s.bound, call{"get_usage", nil}, call{"get_usage", map[string]string{"aid": "5678", "expand": everything}})
	type answer struct{ Usage map[string]any }
	plain := harness.Decode[answer](t, results[0]).Usage
	if fmt.Sprint(plain["cloudUnitsUsed"], plain["enterpriseAgentsUsed"]) != "0 1" || plain["tests"] != nil {
		t.Errorf("%v", plain)
	}
	if got := fmt.Sprint(plain["quota"].(map[string]any)["cloudUnitsIncluded"]); got != "4.32e+09" {
		t.Errorf("cloudUnitsIncluded %s", got)
	}
	all := harness.Decode[answer](t, results[1]).Usage
	for name, rows := range map[string]int{"tests": 1, "enterpriseAgents": 1, "enterpriseAgentUnits": 1, "endpointAgents": 0, "endpointAgentsEssentials": 0, "endpointAgentsEmbedded": 0} {
		if list, ok := all[name].([]any); !ok || len(list) != rows {
			t.Errorf("%s: %v, want %d rows", name, all[name], rows)
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

// pages walks the three pages of last month's tests, with the client's own filters beside the cursor.
func pages(t *testing.T, s *server, v vendor) {
	t.Helper()
	cursor, sizes, sum := "", []int{}, 0.0
	seen := map[string]bool{}
	for range 4 {
		arguments := s.lastMonth()
		if cursor != "" {
			arguments["cursor"] = cursor
		}
		p := harness.Decode[page](t, v.calls(t, s, s.bound, call{"get_tests_units_usage", arguments})[0])
		sizes = append(sizes, len(p.Breakdowns))
		for _, row := range p.Breakdowns {
			sum += row["cloudUnitsUsed"].(float64)
			seen[row["testId"].(string)] = true
		}
		if p.Links.Next == nil {
			break
		}
		u, err := url.Parse(p.Links.Next.Href)
		harness.Check(t, err)
		cursor = u.Query().Get("cursor")
	}
	if fmt.Sprint(sizes) != "[100 100 5]" || len(seen) != tests+1 || sum != 1001+tests {
		t.Errorf("pages of %v rows, %d tests, %v units", sizes, len(seen), sum)
	}
	agents := harness.Decode[page](t, v.calls(t, s, s.bound, call{"get_enterprise_agents_units_usage", s.lastMonth()})[0])
	var rows []string
	for _, row := range agents.Breakdowns {
		rows = append(rows, fmt.Sprint(row["aid"], " ", row["accountGroupName"], " ", row["agentId"], " ", row["agentName"], " ", row["enterpriseUnitsUsed"]))
	}
	if got, want := strings.Join(rows, ", "), "1234 Web 11 Oslo 3, 5678 Nett & ø 11 Oslo 2"; got != want {
		t.Errorf("agents: %s, want %s", got, want)
	}
}

// dates sends one range in several forms; the client writes its own.
func dates(t *testing.T, s *server, v vendor) {
	t.Helper()
	var calls []call
	for _, zone := range []string{"+00:00", "", ".000001+00:00", "-02:30"} {
		calls = append(calls, call{"get_enterprise_agents_units_usage", map[string]string{"start_date": s.month + zone, "end_date": s.next + zone}})
	}
	for i, r := range v.calls(t, s, s.bound, calls...) {
		// With -02:30 the range begins after the hour in which all was used, and
		// ends in this month: the home page is only projected.
		rows := 0
		for _, row := range harness.Decode[page](t, r).Breakdowns {
			if row["enterpriseUnitsUsed"].(float64) != 0 {
				rows++
			}
		}
		if want := map[int]int{0: 2, 1: 2, 2: 2, 3: 0}[i]; rows != want {
			t.Errorf("%v: %s, want %d rows", calls[i].Arguments, r.Value, want)
		}
	}
}

func refusals(t *testing.T, s *server, v vendor) {
	t.Helper()
	for _, c := range []struct {
		token  string
		call   call
		status int
		class  string
	}{
		{"x", call{"get_usage", nil}, 401, "UnauthorizedException"},
		{s.Admin, call{"get_usage", nil}, 400, "BadRequestException"},
		{s.Admin, call{"get_usage", map[string]string{"aid": "4242"}}, 403, "ForbiddenException"},
		{s.bound, call{"get_usage", map[string]string{"aid": "77"}}, 403, "ForbiddenException"},
		{s.Admin, call{"get_tests_units_usage", map[string]string{"aid": "77"}}, 403, "ForbiddenException"},
		{s.bound, call{"get_tests_units_usage", map[string]string{"cursor": "damaged/=="}}, 400, "BadRequestException"},
		{s.bound, call{"get_tests_units_usage", map[string]string{"end_date": s.next}}, 400, "BadRequestException"},
	} {
		r := v.calls(t, s, c.token, c.call)[0]
		if r.Status != c.status || r.Error != c.class || r.Data == nil {
			t.Errorf("%+v: %s %d %v %s, want %s %d with its model", c.call, r.Error, r.Status, r.Data, r.Body, c.class, c.status)
		}
	}
}

// iterators walks all pages by the client's own iterators.
func iterators(t *testing.T, s *server, v vendor) {
	t.Helper()
	results := v.calls(t, s, s.bound, call{"get_tests_units_usage_paginated", s.lastMonth("aid", "1234")},
		call{"get_enterprise_agents_units_usage_paginated", s.lastMonth()})
	for i, want := range []int{tests + 1, 2} {
		if rows := harness.Decode[[]map[string]any](t, results[i]); len(rows) != want {
			t.Errorf("iterator %d: %d rows, want %d", i, len(rows), want)
		}
	}
}
