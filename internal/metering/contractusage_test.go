package metering

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func date(t testing.TB, text string) catalog.Date {
	t.Helper()
	if text == "" {
		return catalog.Date{}
	}
	d, err := catalog.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// contract makes one of terms, each "FROM PRODUCT,PRODUCT REGIONS".
func contract(t testing.TB, id, starts, ends, further string, terms ...string) *catalog.Contract {
	t.Helper()
	c := &catalog.Contract{ID: id, Starts: date(t, starts), Ends: date(t, ends), Customers: strings.Fields(further)}
	for _, text := range terms {
		f := strings.Split(text, " ")
		c.Terms = append(c.Terms, catalog.Term{From: date(t, f[0]), Products: strings.Split(f[1], ","), Regions: catalog.Regions{Attribute: f[2]}})
	}
	return c
}

func within(t testing.TB, from, to string) meter.Period {
	return meter.Period{From: date(t, from).Time, To: date(t, to).Time}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		c    *catalog.Contract
		want string
	}{
		"one term":           {contract(t, "K", "2020-01-01", "", "", "2020-01-01 cdn "), "2026-11-01/2026-12-01"},
		"always":             {contract(t, "K", "", "", "", " cdn "), "2026-11-01/2026-12-01"},
		"no terms":           {contract(t, "K", "2020-01-01", "", ""), ""},
		"starts inside":      {contract(t, "K", "2026-11-10", "", "", " cdn "), "2026-11-10/2026-12-01"},
		"ends inside":        {contract(t, "K", "2020-01-01", "2026-11-20", "", " cdn "), "2026-11-01/2026-11-20"},
		"ended":              {contract(t, "K", "2020-01-01", "2026-11-01", "", " cdn "), ""},
		"not yet":            {contract(t, "K", "2026-12-01", "", "", " cdn "), ""},
		"another product":    {contract(t, "K", "2020-01-01", "", "", " dns "), ""},
		"a change inside":    {contract(t, "K", "2020-01-01", "", "", " cdn ", "2026-11-16 cdn region"), "2026-11-01/2026-11-16 2026-11-16/2026-12-01 region"},
		"a change at the to": {contract(t, "K", "2020-01-01", "", "", " cdn ", "2026-12-01 cdn region"), "2026-11-01/2026-12-01"},
		"a change before":    {contract(t, "K", "2020-01-01", "", "", " cdn ", "2026-10-31 cdn region"), "2026-11-01/2026-12-01 region"},
		"without it between": {contract(t, "K", "2020-01-01", "", "", " cdn,dns ", "2026-11-10 dns ", "2026-11-20 cdn "), "2026-11-01/2026-11-10 2026-11-20/2026-12-01"},
	} {
		var got []string
		for _, s := range Spans(c.c, "cdn", within(t, "2026-11-01", "2026-12-01")) {
			got = append(got, strings.TrimSpace(s.From.Format(time.DateOnly)+"/"+s.To.Format(time.DateOnly)+" "+s.Regions.Attribute))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}

func TestContractScopes(t *testing.T) {
	t.Parallel()
	whole := contract(t, "K-1", "2020-01-01", "", "", " cdn ")
	shared := contract(t, "K-1", "2020-01-01", "", "zeta", " cdn ")
	for name, c := range map[string]struct {
		known []Agreement // the first is asked for
		want  string
	}{
		"the only one":         {[]Agreement{{"acme", whole}}, "01-01 acme /K-1"},
		"another product":      {[]Agreement{{"acme", whole}, {"acme", contract(t, "K-2", "", "", "", " dns ")}}, "01-01 acme /K-1"},
		"another one":          {[]Agreement{{"acme", whole}, {"acme", contract(t, "K-2", "", "", "", " cdn ")}}, "01-01 acme K-1"},
		"another one inside":   {[]Agreement{{"acme", whole}, {"acme", contract(t, "K-2", "2026-11-10", "2026-11-20", "", " cdn ")}}, "01-10 acme /K-1 10-20 acme K-1 20-01 acme /K-1"},
		"another's":            {[]Agreement{{"acme", whole}, {"zeta", contract(t, "K-2", "", "", "", " cdn ")}}, "01-01 acme /K-1"},
		"two customers":        {[]Agreement{{"acme", shared}}, "01-01 acme,zeta /K-1"},
		"one of two has more":  {[]Agreement{{"acme", shared}, {"zeta", contract(t, "K-2", "", "", "", " cdn ")}}, "01-01 acme /K-1 01-01 zeta K-1"},
		"one has more for now": {[]Agreement{{"acme", shared}, {"x", contract(t, "K-2", "2026-11-10", "", "zeta", " cdn ")}}, "01-10 acme,zeta /K-1 10-01 acme /K-1 10-01 zeta K-1"},
	} {
		var got []string
		for _, s := range ContractScopes(c.known[0], c.known, "cdn", within(t, "2026-11-01", "2026-12-01")) {
			got = append(got, fmt.Sprint(s.From.Format("02-"), s.To.Format("02 "), strings.Join(s.Customers, ","), " ", strings.Join(s.Contracts, "/")))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}

// belongs is what ContractScopes must say, event by event.
func belongs(a Agreement, known []Agreement, e edge) bool {
	has := func(a Agreement) bool {
		return slices.Contains(a.customers(), e.customer) && len(Spans(a.Contract, "cdn", meter.Period{From: e.at, To: e.at.Add(1)})) > 0
	}
	if !has(a) || e.contract != "" {
		return has(a) && e.contract == a.Contract.ID
	}
	for _, o := range known {
		if has(o) && o.Contract != a.Contract {
			return false
		}
	}
	return true
}

// TestContractUsage compares with a naive calculation over random traffic of
// customers with several contracts.
func TestContractUsage(t *testing.T) {
	t.Parallel()
	random := fixedtest.Rand(t)
	service := edgeService(t)
	month := within(t, "2026-10-01", "2026-11-01")
	known := []Agreement{
		{"acme", contract(t, "K-1", "2020-01-01", "", "zeta", " cdn ")},
		{"acme", contract(t, "K-2", "2026-10-10", "2026-10-20", "", " cdn ")},
		{"zeta", contract(t, "K-3", "2026-10-15", "", "", " cdn ")},
		{"acme", contract(t, "K-4", "2020-01-01", "", "", " dns ")},
	}
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	var events []edge
	for range 5000 {
		at := month.From.Add(time.Duration(random.Int64N(int64(31 * 24 * time.Hour)))).Truncate(time.Millisecond)
		events = append(events, edge{pick("acme", "acme", "zeta", "other"), pick("cdn", ""), pick("K-1", "K-2", "K-3", "K-9", "", ""), pick("eu", "na", ""), at, random.Int64N(1e9)})
	}
	ingestEdges(t, service, events)
	for _, a := range known[:3] {
		for _, period := range []meter.Period{month, within(t, "2026-10-03", "2026-10-12"), within(t, "2026-10-21", "2026-10-22")} {
			for _, c := range []struct {
				u      catalog.UsageType
				window meter.Window
				by     []string
			}{{hits, "", nil}, {volume, "", []string{"region"}}, {volume, "day", []string{"region"}}, {p95, "", nil}, {peak, "", []string{"region"}}} {
				for _, span := range Spans(a.Contract, "cdn", period) {
					q := ProductQuery{Product: "cdn", UsageType: c.u, From: span.From, To: span.To, Window: c.window, By: c.by}
					rows, err := service.ContractUsage(context.Background(), admin, q, ContractScopes(a, known, "cdn", span.Period))
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, r := range rows {
						got = append(got, fmt.Sprintf("%s %s %v=%s", r.Start.Format("01-02"), r.End.Format("01-02"), r.Group, r.Value))
					}
					if want := naive(a, known, events, q); !slices.Equal(got, want) {
						t.Fatalf("%s %s %q from %s to %s:\n%s\nwant\n%s", a.Contract.ID, c.u.Name, c.window, span.From, span.To, got, want)
					}
				}
			}
		}
	}
}

// naive computes the rows of a query event by event.
func naive(a Agreement, known []Agreement, events []edge, q ProductQuery) []string {
	sums := map[string]meter.Decimal{}
	samples := map[string]map[time.Time]meter.Decimal{}
	for _, e := range events {
		if e.at.Before(q.From) || !e.at.Before(q.To) || !belongs(a, known, e) {
			continue
		}
		start, end := q.From, q.To
		if q.Window == "day" {
			start = e.at.Truncate(24 * time.Hour)
			end = start.Add(24 * time.Hour)
		}
		var group []string
		if len(q.By) > 0 {
			group = []string{e.region}
		}
		key := fmt.Sprintf("%s %s %v=", start.Format("01-02"), end.Format("01-02"), group)
		add := meter.NewDecimal(e.bytes)
		if q.UsageType.Meter == "requests" {
			add = meter.NewDecimal(1)
		}
		sums[key] = sums[key].Add(add)
		if samples[key] == nil {
			samples[key] = map[time.Time]meter.Decimal{}
		}
		at := e.at.Truncate(5 * time.Minute)
		samples[key][at] = samples[key][at].Add(add)
	}
	var out []string
	for key, sum := range sums {
		v := sum.Mul(q.UsageType.ScaleDecimal())
		if q.UsageType.Meter == "p95" || q.UsageType.Meter == "peak" {
			list := make([]meter.Decimal, int(q.To.Sub(q.From)/(5*time.Minute))-len(samples[key]))
			for _, s := range samples[key] {
				list = append(list, s)
			}
			slices.SortFunc(list, meter.Decimal.Cmp)
			rank := len(list)
			if q.UsageType.Meter == "p95" {
				rank = (95*rank + 99) / 100
			}
			v = list[rank-1].Mul(q.UsageType.ScaleDecimal()).Quo(meter.NewDecimal(300))
		}
		out = append(out, key+v.String())
	}
	slices.Sort(out)
	return out
}

func TestContractUsageThatCannotBeJoined(t *testing.T) {
	t.Parallel()
	service := edgeService(t)
	ctx := context.Background()
	for _, m := range []meter.Meter{
		{Key: "top", EventType: "edge", Aggregation: meter.AggMax, Value: "bytes"},
		{Key: "odd", EventType: "edge", Aggregation: meter.AggPeak, Value: "bytes", Sample: meter.Duration(10 * time.Minute)},
		{Key: "hourly", EventType: "edge", Aggregation: meter.AggPeak, Value: "bytes", Sample: meter.Duration(time.Hour)},
	} {
		if _, _, err := service.CreateMeter(ctx, admin, m); err != nil {
			t.Fatal(err)
		}
	}
	month := within(t, "2026-10-01", "2026-11-01")
	ingestEdges(t, service, []edge{{"acme", "cdn", "K-1", "", month.From, 1}, {"zeta", "cdn", "K-1", "", month.From.Add(time.Minute), 2}})
	one := []Scope{{month, "acme", []string{"acme", "zeta"}, []string{"", "K-1"}}}
	two := []Scope{{month, "acme", []string{"acme"}, []string{"", "K-1"}}, {month, "acme", []string{"zeta"}, []string{"K-1"}}}
	for _, c := range []struct {
		meter  string
		window meter.Window
		scopes []Scope
		want   string
	}{
		{"top", "", one, "2"}, {"top", "", two, "unavailable"}, {"odd", "", one, "3"}, {"odd", "", two, "unavailable"},
		{"hourly", "", two, "3"}, {"hourly", "day", one, "3"}, {"hourly", "day", two, "unavailable"}, {"gone", "", two, "unavailable"}, {"top", "", nil, "unavailable"},
		{"requests", "", nil, ""}, {"gone", "", nil, "unavailable"},
	} {
		q := ProductQuery{Product: "cdn", UsageType: catalog.UsageType{Meter: c.meter}, From: month.From, To: month.To, Window: c.window}
		rows, err := service.ContractUsage(ctx, admin, q, c.scopes)
		var got string
		switch {
		case err != nil:
			got = meter.KindOf(err).String()
		case len(rows) > 0:
			got = rows[0].Value.String()
		}
		if got != c.want {
			t.Errorf("%s %q of %d scopes: %s (%v), want %s", c.meter, c.window, len(c.scopes), got, err, c.want)
		}
	}
}

// TestRatesAreExact: a figure of a rate is made of the exact sum of its sample,
// whatever the sample's width, the scale, and the parts that it is put together from.
func TestRatesAreExact(t *testing.T) {
	t.Parallel()
	service := edgeService(t)
	ctx := context.Background()
	month := within(t, "2026-10-01", "2026-11-01")
	var events []string
	for i, amount := range []string{"0.000000000001", "0.000000000003", "7.000000000001"} {
		customer := []string{"acme", "zeta", "other"}[i]
		events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"rate-%d","source":"s","type":"rate","subject":%q,"time":"2026-10-01T00:00:%02dZ","data":{"amount":%q,"contract":"K-1"}}`, i, customer, i, amount))
	}
	for _, sample := range []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour} {
		m := meter.Meter{Key: "peak-" + meter.Duration(sample).String(), EventType: "rate", Aggregation: meter.AggPeak, Value: "amount", Sample: meter.Duration(sample), Rate: true, GroupBy: []string{"contract"}}
		if _, _, err := service.CreateMeter(ctx, admin, m); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := service.Ingest(ctx, admin, []byte("["+strings.Join(events, ",")+"]"), cloudevents.Auto, false); err != nil || r.Accepted != 3 {
		t.Fatal(r, err)
	}
	decimal := func(text string) meter.Decimal {
		d, err := meter.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	acme := []Scope{{month, "acme", []string{"acme"}, nil}}
	both := append(slices.Clone(acme), Scope{month, "acme", []string{"zeta"}, nil})
	for _, sample := range []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour} {
		for _, c := range []struct {
			scopes []Scope
			sum    string
		}{{acme, "0.000000000001"}, {both, "0.000000000004"}} {
			if sample < 5*time.Minute && len(c.scopes) > 1 {
				continue // no window is as wide: such figures are not put together
			}
			for _, scale := range []string{"", "1000000000000", "8", "0.000008"} {
				u := catalog.UsageType{Name: "rate", Meter: "peak-" + meter.Duration(sample).String(), Scale: scale}
				want := decimal(c.sum).Mul(u.ScaleDecimal()).Quo(meter.NewDecimal(int64(sample / time.Second)))
				rows, err := service.ContractUsage(ctx, admin, ProductQuery{Product: "cdn", UsageType: u, From: month.From, To: month.To}, c.scopes)
				if err != nil || len(rows) != 1 || rows[0].Value.Cmp(want) != 0 {
					t.Errorf("%s by %q in samples of %s: %+v, %v, want %s", c.sum, scale, sample, rows, err, want)
				}
			}
		}
	}
}
