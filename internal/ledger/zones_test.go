package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// zoneLedger has one event every 15 minutes, 1 s before each quarter's end,
// from the start of September to the end of April.
func zoneLedger(t *testing.T) (l *Ledger, from, to time.Time, n int) {
	t.Helper()
	l = openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", []meter.Meter{
		{Key: "count", EventType: "edge.request", Aggregation: meter.AggCount},
		{Key: "largest", EventType: "edge.request", Aggregation: meter.AggMax, Value: "n"},
		{Key: "peak", EventType: "edge.request", Aggregation: meter.AggPeak, Value: "n", Sample: meter.Duration(15 * time.Minute)},
	})
	from, to = time.Date(2025, 9, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var events []testEvent
	for at := from; at.Before(to); at = at.Add(15 * time.Minute) {
		events = append(events, testEvent{id: fmt.Sprint(at.Unix()), at: at.Add(15*time.Minute - time.Second), data: map[string]any{"n": n}})
		n++
		if len(events) == 10_000 || at.Add(15*time.Minute).Equal(to) {
			appendAll(t, l, "default", events)
			events = nil
		}
	}
	return l, from, to, n
}

// Windows follow the wall clock of the zone: half-hour and 45-minute zones,
// changes of the clock by an hour and by half an hour, in both directions.
func TestWindowsInZones(t *testing.T) {
	t.Parallel()
	l, from, to, n := zoneLedger(t)
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		zone     string
		window   meter.Window
		date     time.Time     // local midnight, as UTC
		start    string        // of the window that begins there
		quarters int           // that it has
		next     time.Duration // length of the window
	}{
		{"Asia/Kolkata", meter.WindowDay, day(2025, 10, 10), "2025-10-09T18:30:00Z", 96, 24 * time.Hour},
		{"Asia/Kolkata", meter.WindowMonth, day(2026, 2, 1), "2026-01-31T18:30:00Z", 28 * 96, 28 * 24 * time.Hour},
		{"Asia/Kathmandu", meter.WindowDay, day(2025, 10, 10), "2025-10-09T18:15:00Z", 96, 24 * time.Hour},
		{"Asia/Kathmandu", meter.WindowHour, day(2025, 10, 10), "2025-10-09T18:15:00Z", 4, time.Hour},
		{"Australia/Lord_Howe", meter.WindowDay, day(2025, 10, 5), "2025-10-04T13:30:00Z", 94, 23*time.Hour + 30*time.Minute},
		{"Australia/Lord_Howe", meter.WindowDay, day(2026, 4, 5), "2026-04-04T13:00:00Z", 98, 24*time.Hour + 30*time.Minute},
		{"Australia/Lord_Howe", meter.WindowMonth, day(2025, 10, 1), "2025-09-30T13:30:00Z", 31*96 - 2, 31*24*time.Hour - 30*time.Minute},
		{"Europe/Berlin", meter.WindowDay, day(2025, 10, 26), "2025-10-25T22:00:00Z", 100, 25 * time.Hour},
		{"Europe/Berlin", meter.WindowDay, day(2026, 3, 29), "2026-03-28T23:00:00Z", 92, 23 * time.Hour},
		{"Europe/Berlin", meter.WindowMonth, day(2025, 10, 1), "2025-09-30T22:00:00Z", 31*96 + 4, 31*24*time.Hour + time.Hour},
		{"Europe/Berlin", meter.WindowWeek, day(2026, 3, 23), "2026-03-22T23:00:00Z", 7*96 - 4, 7*24*time.Hour - time.Hour},
		{"America/New_York", meter.WindowDay, day(2025, 11, 2), "2025-11-02T04:00:00Z", 100, 25 * time.Hour},
		{"America/New_York", meter.WindowDay, day(2026, 3, 8), "2026-03-08T05:00:00Z", 92, 23 * time.Hour},
		{"America/New_York", meter.WindowMonth, day(2025, 11, 1), "2025-11-01T04:00:00Z", 30*96 + 4, 30*24*time.Hour + time.Hour},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "count", From: from, To: to, Window: c.window, Location: loc})
		if err != nil {
			t.Fatal(err)
		}
		if u.Source != "cells" || u.Total.String() != fmt.Sprint(n) {
			t.Errorf("%s by %s: %s from %s, want %d from cells", c.zone, c.window, u.Total, u.Source, n)
		}
		found := false
		for _, r := range u.Rows {
			if r.Start.Format(time.RFC3339) != c.start {
				continue
			}
			found = true
			if r.Value.String() != fmt.Sprint(c.quarters) || r.End.Sub(r.Start) != c.next {
				t.Errorf("%s: the %s from %s is %s long and counts %s, want %s and %d", c.zone, c.window, c.start, r.End.Sub(r.Start), r.Value, c.next, c.quarters)
			}
		}
		if !found {
			t.Errorf("%s: no %s begins at %s", c.zone, c.window, c.start)
		}
	}
}

// In every zone and window the rows tile the range and add up to the total,
// and the largest of the rows is the largest of all.
func TestWindowsAddUp(t *testing.T) {
	t.Parallel()
	l, from, to, _ := zoneLedger(t)
	for _, loc := range simZones {
		for _, w := range []meter.Window{meter.Window15m, meter.WindowHour, meter.WindowDay, meter.WindowWeek, meter.WindowMonth, meter.WindowYear} {
			q := meter.UsageQuery{Organization: "default", Meter: "count", From: from.Add(7 * time.Minute), To: to.Add(-time.Second / 2), Window: w, Location: loc}
			if w == meter.Window15m {
				q.From = to.AddDate(0, 0, -40)
			}
			for _, key := range []string{"count", "largest", "peak"} {
				q.Meter, q.Limit = key, 10_000
				u, err := l.Usage(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				at, sum, most := q.From, meter.NewDecimal(0), meter.NewDecimal(-1)
				for _, r := range u.Rows {
					if !r.Start.Equal(at) && key == "count" {
						t.Fatalf("%s in %s: a row from %s after one to %s", w, loc, r.Start, at)
					}
					at, sum = r.End, sum.Add(r.Value)
					if r.Value.Cmp(most) > 0 {
						most = r.Value
					}
				}
				want := sum
				if key != "count" {
					want = most
				}
				if u.Total.Cmp(want) != 0 || key == "count" && !at.Equal(q.To) {
					t.Errorf("%s of %s in %s: rows to %s make %s, the total is %s from %s", key, w, loc, at, want, u.Total, u.Source)
				}
			}
		}
	}
}

// Where the local clock shows an hour twice there are two windows of it.
func TestRepeatedHourIsTwoWindows(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters()[:1])
	first := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC) // 02:00 in Berlin, summer time
	appendAll(t, l, "default", []testEvent{
		{id: "summer", at: first.Add(30 * time.Minute)}, {id: "winter", at: first.Add(90 * time.Minute)}, {id: "winter2", at: first.Add(119 * time.Minute)}})
	loc := loadZones("Europe/Berlin")[0]
	u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "requests", From: first.Add(-time.Hour), To: first.Add(3 * time.Hour), Window: meter.WindowHour, Location: loc})
	if err != nil || len(u.Rows) != 2 || !u.Rows[0].Start.Equal(first) || !u.Rows[1].Start.Equal(first.Add(time.Hour)) || u.Rows[0].Value.String() != "1" || u.Rows[1].Value.String() != "2" {
		t.Fatalf("%+v %v", u, err)
	}
}
