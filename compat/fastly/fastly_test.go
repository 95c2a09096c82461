package fastly

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"odometer/compat/harness"
)

// TestClients runs every client against one server. One that cannot be
// installed fails the test unless ODOMETER_ALLOW_MISSING (a list with commas)
// has pypi or npm.
func TestClients(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	t.Run("python v2", func(t *testing.T) {
		t.Parallel()
		if v, ok := python(t, "v2"); ok {
			pythonV2(t, s, v)
		}
	})
	t.Run("python v3", func(t *testing.T) {
		t.Parallel()
		if v, ok := python(t, "v3"); ok {
			v3(t, s, v, "get_service_level_usage")
			pythonMonthly(t, s, v)
		}
	})
	t.Run("javascript v3", func(t *testing.T) {
		t.Parallel()
		if v, ok := node(t); ok {
			v3(t, s, v, "getServiceLevelUsage")
			javascriptMonthly(t, s, v)
		}
	})
}

// usage is what the clients decode of usage by service.
type usage struct {
	Data struct {
		CustomerID string `json:"customer_id"`
		StartTime  string `json:"start_time"`
		EndTime    string `json:"end_time"`
		UsageType  string `json:"usage_type"`
		Unit       string `json:"unit"`
		Details    []struct {
			CustomerID  string      `json:"customer_id"`
			ServiceID   string      `json:"service_id"`
			ServiceName string      `json:"service_name"`
			UsageUnits  json.Number `json:"usage_units"`
		} `json:"details"`
		Meta struct {
			NextCursor   string `json:"next_cursor"`
			Limit, Total int
		} `json:"meta"`
	} `json:"data"`
}

func (u usage) rows() string {
	var rows []string
	for _, d := range u.Data.Details {
		rows = append(rows, fmt.Sprintf("%s %s=%s", d.ServiceID, d.ServiceName, strings.TrimSuffix(d.UsageUnits.String(), ".0")))
	}
	return strings.Join(rows, ", ")
}

// with returns arguments and more of them.
func with(arguments map[string]string, more ...string) map[string]string {
	all := maps.Clone(arguments)
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

const allRows = "SU1 shop=3, SU2 blog=2, SU3 api=1"

// question is the arguments of a call and the rows that it has to give.
type question struct {
	arguments map[string]string
	want      string
}

// answers makes calls for usage by service, all of it in one page of a size.
func answers(t *testing.T, s *server, v vendor, token, operation string, limit int, questions map[string]question) {
	t.Helper()
	names := slices.Sorted(maps.Keys(questions))
	var list []call
	for _, name := range names {
		list = append(list, call{Operation: operation, Arguments: questions[name].arguments})
	}
	for i, r := range v.calls(t, s, token, "", list...) {
		q := questions[names[i]]
		var u usage
		if err := json.Unmarshal(r.Value, &u); err != nil {
			t.Errorf("%s: %v %+v", names[i], err, r)
			continue
		}
		m := u.Data.Meta
		if got := u.rows(); got != q.want || m.Total != len(u.Data.Details) || m.Limit != limit || u.Data.UsageType != q.arguments["usage_type_name"] {
			t.Errorf("%s: %s, want %s: %+v", names[i], got, q.want, u.Data)
		}
	}
}

func pythonV2(t *testing.T, s *server, v vendor) {
	const operation = "get_service_level_usage"
	plain := map[string]string{"customer_id": shop, "product_id": "cdn_usage", "usage_type_name": "North America Requests", "time_granularity": "month"}
	month := with(plain, "start_month", s.month, "end_month", s.month)
	day := with(plain, "time_granularity", "day", "start_date", s.month+"-01", "end_date", s.last)
	answers(t, s, v, s.Admin, operation, 5, map[string]question{
		"month":            {month, allRows},
		"days":             {day, allRows},
		"one day":          {with(day, "end_date", s.month+"-01"), "SU1 shop=1"},
		"only its end":     {with(plain, "end_month", s.month), allRows},
		"a day by its end": {with(plain, "time_granularity", "day", "end_date", s.month+"-02"), "SU1 shop=1"},
		"since a day":      {with(plain, "time_granularity", "day", "start_date", s.month+"-04"), "SU2 blog=2, SU3 api=1"},
		"a future end":     {with(month, "end_month", "2099-12"), allRows},
		"since the month":  {with(plain, "start_month", s.month), allRows},
		"this month":       {plain, ""},
		"until today":      {with(plain, "time_granularity", "day"), ""},
		"an empty cursor":  {with(month, "cursor", ""), allRows},
		"an exact amount":  {with(month, "usage_type_name", "Total GB"), "SU1 shop=0.37037036775, SU2 blog=0.2469135785, SU3 api=0.12345678925"},
		"an odd name":      {with(month, "usage_type_name", "Søk & +1/2"), "SU1 shop=370370367.75, SU2 blog=246913578.5, SU3 api=123456789.25"},
		"another customer": {with(month, "customer_id", "a/b ø"), "SL slashed=1"},
		"no usage":         {with(month, "product_id", "dns", "usage_type_name", "Queries"), ""},
	})
	var u usage
	v.call(t, s, s.bound, call{Operation: operation, Arguments: month}, &u)
	if u.Data.CustomerID != shop || u.Data.StartTime != s.month+"-01 00:00:00+00:00" || u.Data.EndTime != s.last+" 23:59:59+00:00" || u.Data.Unit != "unit" {
		t.Errorf("%+v", u.Data)
	}
	of := func(customer string, more ...string) call {
		return call{Operation: operation, Arguments: with(with(month, "customer_id", customer), more...)}
	}
	pages(t, s, v, s.Admin,
		map[string]string{"one": "1 1 1", "default": "5", "default and one": "5 1", "two whole pages": "3 3", "the most": "100", "the most and one": "100 1", "none": "0"},
		map[string]call{"one": of(shop, "limit", "1"), "default": of(crowd(5)), "default and one": of(crowd(6)), "two whole pages": of(crowd(6), "limit", "3"),
			"the most": of(crowd(100), "limit", "100"), "the most and one": of(crowd(101), "limit", "100"),
			"none": of(shop, "product_id", "dns", "usage_type_name", "Queries")})
	var types struct {
		Data []struct {
			ProductID string `json:"product_id"`
			Name      string
		}
	}
	v.call(t, s, s.bound, call{Operation: "get_service_level_usage_types", Arguments: map[string]string{"customer_id": shop}}, &types)
	if got := fmt.Sprint(types.Data); got != "[{cdn_usage North America Requests} {cdn_usage Søk & +1/2} {cdn_usage Total GB}]" {
		t.Error(got)
	}
	refused(t, s, v, map[string]call{
		"limit":            {Operation: operation, Arguments: with(month, "limit", "101")},
		"month 13":         {Operation: operation, Arguments: with(month, "start_month", "2023-13")},
		"reversed":         {Operation: operation, Arguments: with(day, "start_date", s.last, "end_date", s.month+"-01")},
		"months of days":   {Operation: operation, Arguments: with(day, "start_month", s.month)},
		"no such day":      {Operation: operation, Arguments: with(day, "start_date", "2023-02-30")},
		"no page":          {Operation: operation, Arguments: with(month, "limit", "0")},
		"another's cursor": {Operation: operation, Arguments: with(month, "cursor", s.cursor(t))},
		"both kinds":       {Operation: operation, Arguments: with(month, "start_date", s.last)},
		"no such type":     {Operation: operation, Arguments: with(month, "usage_type_name", "none")},
		"no product":       {Operation: operation, Arguments: with(month, "product_id", "")},
		"a wrong cursor":   {Operation: operation, Arguments: with(month, "cursor", "x")},
	})
	unauthorized(t, s, v, call{Operation: operation, Arguments: month}, call{Operation: operation, Arguments: with(month, "customer_id", "a/b ø")}, call{Operation: operation, Arguments: with(month, "customer_id", "nobody")})
	if r := v.calls(t, s, s.bound, "Bearer", call{Operation: operation, Arguments: month})[0]; r.Error != "" {
		t.Errorf("Bearer: %+v", r)
	}
}

// v3 makes the calls that all v3 clients make alike.
func v3(t *testing.T, s *server, v vendor, operation string) {
	month := map[string]string{"product_id": "cdn_usage", "usage_type_name": "North America Requests", "start_month": s.month, "end_month": s.month}
	answers(t, s, v, s.bound, operation, 1000, map[string]question{
		"month":           {month, allRows},
		"one service":     {with(month, "service", "SU2"), "SU2 blog=2"},
		"an odd name":     {with(month, "usage_type_name", "Søk & +1/2", "service", "SU1"), "SU1 shop=370370367.75"},
		"no usage":        {with(month, "product_id", "dns", "usage_type_name", "Queries"), ""},
		"an empty cursor": {with(month, "cursor", ""), allRows},
		"no usage type":   {map[string]string{"start_month": s.month, "end_month": s.month, "service": "SU3"}, "SU3 api=1, SU3 api=123456789.25, SU3 api=0.12345678925"},
		"nothing":         {map[string]string{}, ""},
	})
	answers(t, s, v, s.bound, operation, 10000, map[string]question{"the most rows": {with(month, "limit", "10000"), allRows}})
	pages(t, s, v, s.bound, map[string]string{"one": "1 1 1"}, map[string]call{"one": {Operation: operation, Arguments: with(month, "limit", "1")}})
	pages(t, s, v, s.keyOf(t, crowd(101)), map[string]string{"default": "101", "whole": "101", "and one": "100 1"}, map[string]call{
		"default": {Operation: operation, Arguments: month}, "whole": {Operation: operation, Arguments: with(month, "limit", "101")},
		"and one": {Operation: operation, Arguments: with(month, "limit", "100")}})
	refused(t, s, v, map[string]call{
		"limit":          {Operation: operation, Arguments: with(month, "limit", "10001")},
		"reversed":       {Operation: operation, Arguments: with(month, "end_month", "2020-01")},
		"a wrong cursor": {Operation: operation, Arguments: with(month, "cursor", "x")},
		"half a type":    {Operation: operation, Arguments: map[string]string{"product_id": "cdn_usage"}},
	})
	unauthorized(t, s, v, call{Operation: operation, Arguments: month})
	if r := v.calls(t, s, s.Admin, "", call{Operation: operation, Arguments: month})[0]; r.Status != 401 {
		t.Errorf("a key of no customer: %+v", r)
	}
}

// pages walks through answers page by page: of a whole number of pages, of one
// row more, and one row at a time. Sizes has the rows of each page.
func pages(t *testing.T, s *server, v vendor, token string, sizes map[string]string, walks map[string]call) {
	t.Helper()
	names := slices.Sorted(maps.Keys(walks))
	var list []call
	for _, name := range names {
		c := walks[name]
		c.Follow = true
		list = append(list, c)
	}
	for i, r := range v.calls(t, s, token, "", list...) {
		var rows []string
		seen := map[string]bool{}
		list := harness.Decode[[]usage](t, r)
		for _, u := range list {
			rows = append(rows, fmt.Sprint(len(u.Data.Details)))
			for _, d := range u.Data.Details {
				seen[d.ServiceID] = true
			}
		}
		if got := strings.Join(rows, " "); got != sizes[names[i]] || len(seen) != list[0].Data.Meta.Total {
			t.Errorf("%s: pages of %s rows, want %s; %d services of %+v", names[i], got, sizes[names[i]], len(seen), list[0].Data.Meta)
		}
	}
}

// refused makes calls that are answered 400, with a body that the client passes on.
func refused(t *testing.T, s *server, v vendor, calls map[string]call) {
	t.Helper()
	names := slices.Sorted(maps.Keys(calls))
	var list []call
	for _, name := range names {
		list = append(list, calls[name])
	}
	for i, r := range v.calls(t, s, s.bound, "", list...) {
		if r.Error == "" || r.Status != 400 || !strings.Contains(r.Body, "bad_request") {
			t.Errorf("%s: %+v", names[i], r)
		}
	}
}

// unauthorized makes calls with keys that may not make them; the last ones
// name customers that the bound key may not see.
func unauthorized(t *testing.T, s *server, v vendor, first call, others ...call) {
	t.Helper()
	results := append(v.calls(t, s, "odo_unknown", "", first), v.calls(t, s, s.bound, "", others...)...)
	for _, r := range results {
		if r.Status != 401 || r.Body != results[0].Body || !strings.Contains(r.Body, "invalid_token") {
			t.Errorf("%+v", r)
		}
	}
}

// monthly is one row of usage-metrics.
type monthly struct {
	Month, Name, Region, Unit string
	UsageType                 string      `json:"usage_type"`
	ProductID                 string      `json:"product_id"`
	Quantity                  json.Number `json:"quantity"`
	RawQuantity               json.Number `json:"raw_quantity"`
}

// pythonMonthly shows that the client keeps the list, though it declares one row.
func pythonMonthly(t *testing.T, s *server, v vendor) {
	var months struct{ Data []monthly }
	v.call(t, s, s.bound, call{Operation: "get_usage_metrics", Arguments: map[string]string{"start_month": s.month, "end_month": s.month}}, &months)
	want := "[{" + s.month + " North America Requests na unit North America Requests cdn_usage 6 6} " +
		"{" + s.month + " Søk & +1/2  byte Søk & +1/2 cdn_usage 740740735.5 740740735.5} " +
		"{" + s.month + " Total GB  GB Total GB cdn_usage 0.7407407355 740740735.5}]"
	if got := fmt.Sprint(months.Data); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	refused(t, s, v, map[string]call{"four months": {Operation: "get_usage_metrics", Arguments: map[string]string{"start_month": "2023-01", "end_month": "2023-04"}}})
}

// javascriptMonthly shows what the contract says: the client declares one row
// and so drops the list.
func javascriptMonthly(t *testing.T, s *server, v vendor) {
	var one map[string]any
	v.call(t, s, s.bound, call{Operation: "getUsageMetrics", Arguments: map[string]string{"start_month": s.month, "end_month": s.month}}, &one)
	if len(one) != 0 {
		t.Errorf("%v", one)
	}
	refused(t, s, v, map[string]call{"four months": {Operation: "getUsageMetrics", Arguments: map[string]string{"start_month": "2023-01", "end_month": "2023-04"}}})
}
