package loadgen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

// grown is a profile of small requests, made larger.
func grown(t *testing.T, name string, g Growth) Profile {
	t.Helper()
	p, err := FindProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Batch, p.Variants = min(p.Batch, 50), 2
	if p.Duplicates > 0 {
		p.Duplicates = 200
	}
	if p, err = g.Of(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// wants recomputes what the meters of an organization must say from the events that came with its key.
func wants(s *sink, plan Plan, key string) (totals []string) {
	var events int64
	var last testEvent
	values := func(e testEvent) [3]int64 { return [3]int64{e.Data.Bytes, e.Data.Requests, e.Data.Millis} }
	var sum, most, least [3]int64
	for _, e := range s.events {
		if e.Key != key {
			continue
		}
		if events == 0 {
			last, most, least = e, values(e), values(e)
		}
		events++
		for i, v := range values(e) {
			sum[i], most[i], least[i] = sum[i]+v, max(most[i], v), min(least[i], v)
		}
		if c := e.Time.Compare(last.Time); c > 0 || c == 0 && e.Source+" "+e.ID > last.Source+" "+last.ID {
			last = e
		}
	}
	for _, m := range plan.drawnMeters() {
		switch v := m.value; m.aggregation {
		case "COUNT":
			totals = append(totals, fmt.Sprint(events))
		case "SUM":
			totals = append(totals, fmt.Sprint(sum[v]))
		case "MAX":
			totals = append(totals, fmt.Sprint(most[v]))
		case "MIN":
			totals = append(totals, fmt.Sprint(least[v]))
		case "AVG":
			totals = append(totals, meter.NewDecimal(sum[v]).Quo(meter.NewDecimal(events)).String())
		case "LAST":
			totals = append(totals, fmt.Sprint(values(last)[v]))
		}
	}
	return totals
}

func TestDrawnEventsAreKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile string
		growth  Growth
	}{
		"many":          {"batch-1000", Growth{Customers: 1_000_000, Services: 5_000_000, Meters: 18}},
		"few":           {"batch-1000", Growth{Meters: 6, Span: shortestSpan}},
		"duplicates":    {"duplicates", Growth{Customers: 1000, Meters: 18, Span: 365 * 24 * time.Hour}},
		"single":        {"batch-1", Growth{Customers: 10, Services: 50}},
		"organizations": {"month", Growth{Customers: 70, Services: 350, Organizations: 7, Meters: 18}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, target := newSink(t)
			plan := newPlan(grown(t, c.profile, c.growth), 7, testNow, 3)
			keys := []string{target.Key}
			if n := plan.Profile.Organizations; n > 0 {
				keys = nil
				for i := range n {
					keys = append(keys, fmt.Sprintf("odo_%d", i))
				}
				target.Key, target.keys = keys[0], keys
			}
			result, err := send(t.Context(), options{Target: target, Plan: plan, Events: 1500})
			if err != nil {
				t.Fatal(err)
			}
			if err := checkVerdicts(result); err != nil || result.Verdicts != s.verdicts {
				t.Errorf("verdicts %+v, the server gave %+v: %v", result.Verdicts, s.verdicts, err)
			}
			if (result.Totals.Duplicates > 100) != (plan.Profile.Duplicates > 0) {
				t.Errorf("%d duplicates", result.Totals.Duplicates)
			}
			checkDrawnNames(t, s, plan, keys)
			for i, key := range keys {
				var got []string
				for _, m := range plan.drawnMeters() {
					got = append(got, result.Totals.Organizations[i].want(m))
				}
				if want := wants(s, plan, key); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("organization %d: totals\n%s, the server saw\n%s", i, got, want)
				}
			}
			again, err := Resend(t.Context(), target, plan, result.Batches, 200)
			if err != nil {
				t.Fatal(err)
			}
			if again.Verdicts.Duplicates < 200 || again.Verdicts.Duplicates != again.Verdicts.Sum() {
				t.Errorf("resent: %+v, want at least 200 duplicates and nothing else", again.Verdicts)
			}
		})
	}
}

// checkDrawnNames checks whom the events belong to, and that it is not always the same few.
func checkDrawnNames(t *testing.T, s *sink, plan Plan, keys []string) {
	t.Helper()
	p := plan.Profile
	services := map[string]bool{}
	for _, e := range s.events {
		var customer, service int
		if _, err := fmt.Sscanf(e.Subject+" "+e.Data.Service, "customer-%07d service-%08d", &customer, &service); err != nil {
			t.Fatalf("%s, %s: %v", e.Subject, e.Data.Service, err)
		}
		if service >= p.Services || service%p.Customers != customer || e.Key != keys[customer%p.organizations()] {
			t.Fatalf("service %d of customer %d with key %s", service, customer, e.Key)
		}
		if e.Time.Before(plan.Start()) || !e.Time.Before(plan.Base) {
			t.Fatalf("event at %s, want within [%s, %s)", e.Time, plan.Start(), plan.Base)
		}
		services[e.Data.Service] = true
	}
	// Of n services, m draws leave out about n*exp(-m/n).
	if want := min(p.Services, len(s.events)) / 2; len(services) < want {
		t.Errorf("%d events of %d services, want at least %d", len(s.events), len(services), want)
	}
}

func TestDrawnRunIsAFunctionOfItsPlan(t *testing.T) {
	t.Parallel()
	p := grown(t, "batch-1000", Growth{Customers: 1000})
	raw := func(seed uint64) string {
		return string(newStream(newPlan(p, seed, testNow, 2), 1, Target{Key: "k"}).fill(3, false).raw)
	}
	if first, again := raw(1), raw(1); first != again || first == raw(2) {
		t.Error("the seed does not say what is sent")
	}
}

func TestGrowthRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		profile string
		growth  Growth
	}{
		"3 services cannot be spread evenly over 2 customers":      {"month", Growth{Customers: 2, Services: 3}},
		"200 customers cannot be spread evenly over 3":             {"month", Growth{Organizations: 3}},
		"profile duplicates repeats events":                        {"duplicates", Growth{Organizations: 2}},
		"10000001 customers: at most 10000000":                     {"month", Growth{Customers: 10_000_001}},
		"a span of 1m0s: want whole seconds, from 10m0s":           {"month", Growth{Span: time.Minute}},
		"a number of customers, services, meters or organizations": {"month", Growth{Customers: 1, Meters: -1}},
	} {
		p, _ := FindProfile(c.profile)
		if _, err := c.growth.Of(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c.growth, err, want)
		}
	}
	p, _ := FindProfile("month")
	if same, err := (Growth{}).Of(p); err != nil || same != p {
		t.Errorf("nothing made larger: %+v, %v", same, err)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p, other pace
	if p.worst() != nil {
		t.Error("a worst rate of nothing")
	}
	// Ten seconds of 1,000 events/s; nothing in the first half second, the last, and from 4.5 to 5 s; double from 6 to 7 s.
	for slot := range 100 {
		at := time.Duration(slot)*paceSlot + 7*time.Millisecond
		switch {
		case slot < 5 || slot >= 95 || slot >= 45 && slot < 50:
			p.add(at, 0)
		case slot >= 60 && slot < 70:
			p.add(at, 100)
			other.add(at, 100)
		default:
			other.add(at, 100)
		}
	}
	p.merge(&other)
	if got := p.worst(); got == nil || *got != 750 {
		t.Errorf("worst two seconds: %v events/s, want 750", got)
	}
	// 9,500 events; a tenth are in after 1.45 s; the last tenth came from 8.55 to 9.5 s.
	if first, last := p.ends(); first != 655 || last != 1000 {
		t.Errorf("first and last tenth: %d and %d events/s", first, last)
	}
}

func BenchmarkFillDrawn(b *testing.B) {
	for name, g := range map[string]Growth{"one": {Customers: 1_000_000, Services: 5_000_000}, "organizations": {Customers: 1_000_000, Organizations: 1000}} {
		b.Run(name, func(b *testing.B) {
			p, _ := FindProfile("batch-1000")
			p, err := g.Of(p)
			if err != nil {
				b.Fatal(err)
			}
			s := newStream(newPlan(p, 1, testNow, 16), 0, Target{})
			b.ReportAllocs()
			b.ResetTimer()
			for n := range uint64(b.N) {
				s.fill(n, true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Batch), "ns/event")
		})
	}
}
