package ledger

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// Percentiles and peaks count every whole sample of the range that has ended,
// empty ones as zero, wherever in it the events are.
func TestEmptySamplesCount(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart.Add(40 * 24 * time.Hour))
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Clock: clock.Now})
	sampled := func(key string, a meter.Aggregation, p meter.Percentage) meter.Meter {
		return meter.Meter{Key: key, EventType: "edge.request", Aggregation: a, Value: "bytes", Percentile: p, GroupBy: []string{"region"}}
	}
	createMeters(t, l, "default", []meter.Meter{sampled("p95", meter.AggPercentile, "95"), sampled("p0.1", meter.AggPercentile, "0.1"), sampled("peak", meter.AggPeak, "")})
	var events []testEvent // an hour of 12 samples: -1, 1, 2 ... 11
	for i := range 12 {
		n := i
		if i == 0 {
			n = -1
		}
		events = append(events, testEvent{id: string(rune('a' + i)), at: testStart.Add(time.Duration(i) * 5 * time.Minute), data: map[string]any{"bytes": n, "region": "x"}})
	}
	appendAll(t, l, "default", events)
	hour := testStart.Add(time.Hour)
	for _, c := range []struct {
		key      string
		from, to time.Time
		window   meter.Window
		total    string
		row      string // the only one
	}{
		{"p95", testStart, hour, meter.WindowHour, "11", "11"},                   // ceil(0.95*12) = 12th of 12
		{"p95", testStart.Add(-time.Hour), hour, meter.WindowHour, "10", "11"},   // 23rd of 24
		{"p95", testStart.AddDate(0, 0, -10), hour, meter.WindowHour, "0", "11"}, // most are empty
		{"p95", testStart, testStart.AddDate(0, 0, 10), "", "0", "0"},
		{"p0.1", testStart.AddDate(0, 0, -10), testStart.AddDate(0, 0, 10), meter.WindowHour, "0", "-1"}, // 6th of 5760
		{"p0.1", testStart.Add(-time.Hour), hour, meter.WindowDay, "-1", "-1"},                           // first of 24
		{"peak", testStart, testStart.Add(5 * time.Minute), meter.WindowHour, "-1", "-1"},
		{"peak", testStart.Add(-time.Hour), testStart.Add(5 * time.Minute), meter.WindowHour, "0", "-1"}, // an empty sample is larger
		{"peak", testStart, testStart.Add(9 * time.Minute), "", "-1", "-1"},                              // only whole samples
		{"peak", testStart.Add(time.Second), hour, "", "11", "11"},
	} {
		q := meter.UsageQuery{Organization: "default", Meter: c.key, From: c.from, To: c.to, Window: c.window}
		for _, ask := range []func() (*meter.Usage, error){func() (*meter.Usage, error) { return l.Usage(context.Background(), q) }, func() (*meter.Usage, error) { return l.usageOfEvents(q) }} {
			u, err := ask()
			if err != nil || u.Total.String() != c.total || len(u.Rows) != 1 || u.Rows[0].Value.String() != c.row {
				t.Errorf("%s of [%s, %s) by %q: %+v %v, want %s in a row of %s", c.key, c.from, c.to, c.window, u, err, c.total, c.row)
			}
		}
	}
	// A range that reaches into the future counts what has ended.
	q := meter.UsageQuery{Organization: "default", Meter: "p0.1", From: testStart.AddDate(0, 0, -1), To: testStart.AddDate(0, 0, 100)}
	u, err := l.Usage(context.Background(), q)
	if err != nil || u.Total.String() != "0" {
		t.Errorf("now: %+v %v", u, err)
	}
	none := meter.UsageQuery{Organization: "default", Meter: "p95", From: clock.Now(), To: clock.Now().Add(time.Hour)}
	if u, err := l.Usage(context.Background(), none); err != nil || u.HasTotal || len(u.Rows) != 0 {
		t.Errorf("a range that has not begun: %+v %v", u, err)
	}
}

// What was known then includes which samples had ended then.
func TestSamplesAsOf(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart.Add(10 * time.Minute))
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Clock: clock.Now})
	createMeters(t, l, "default", []meter.Meter{{Key: "median", EventType: "edge.request", Aggregation: meter.AggPercentile, Percentile: "50", Value: "bytes"}})
	appendAll(t, l, "default", []testEvent{{id: "a", at: testStart, data: map[string]any{"bytes": 7}}, {id: "b", at: testStart.Add(6 * time.Minute), data: map[string]any{"bytes": 9}}})
	q := meter.UsageQuery{Organization: "default", Meter: "median", From: testStart, To: testStart.Add(time.Hour)}
	then := clock.Now()
	if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != "7" {
		t.Fatalf("then: %+v %v", u, err)
	}
	clock.Advance(time.Hour)
	if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != "0" {
		t.Fatalf("now: %+v %v", u, err)
	}
	q.AsOf = then
	if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != "7" {
		t.Fatalf("as of then: %+v %v", u, err)
	}
}
