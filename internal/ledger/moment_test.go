package ledger

import (
	"context"
	"testing"
	"time"

	"odometer/internal/meter"
)

// As of a sequence, cells answer while nothing since then reached the range,
// and the events after that; the figure stays what it was.
func TestUsageAsOfSequence(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Clock: func() time.Time { return testStart.AddDate(0, 1, 0) }})
	createMeters(t, l, "default", testMeters()[:2])
	add := func(id string, at time.Time, bytes int) {
		t.Helper()
		appendAll(t, l, "default", []testEvent{{id: id, subject: "acme", at: at, data: map[string]any{"bytes": bytes}}})
	}
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	q := meter.UsageQuery{Organization: "default", Meter: "bytes", From: october, To: october.AddDate(0, 1, 0)}
	ask := func(value, source string) {
		t.Helper()
		u, err := l.Usage(context.Background(), q)
		if err != nil || u.Total.String() != value || u.Source != source || q.AsOfSequence != 0 && u.Sequence != q.AsOfSequence {
			t.Fatalf("%+v, %v; want %s from %s", u, err, value, source)
		}
	}
	add("a", october.Add(time.Hour), 5)
	ask("5", "cells")
	q.AsOfSequence = l.Stats().Last
	add("b", october.AddDate(0, 1, 3), 7) // in November
	createMeters(t, l, "default", testMeters()[2:3])
	ask("5", "cells")
	add("late", october.Add(2*time.Hour), 11)
	ask("5", "events")
	q.AsOfSequence = l.Stats().Last
	ask("16", "cells")
	if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "a"}}, "test", "gone"); err != nil {
		t.Fatal(err)
	}
	ask("16", "events")
	q.AsOfSequence = 0
	ask("11", "cells")
	for _, wrong := range []meter.UsageQuery{{AsOfSequence: l.Stats().Last + 1}, {AsOfSequence: 1, AsOf: october}} {
		wrong.Organization, wrong.Meter, wrong.From, wrong.To = q.Organization, q.Meter, q.From, q.To
		if _, err := l.Usage(context.Background(), wrong); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestReached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := func() time.Time { return testStart.AddDate(0, 1, 0) }
	l, err := Open(context.Background(), Options{Dir: dir, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	month := func(n int) time.Time { return time.Date(2026, time.Month(n), 1, 0, 0, 0, 0, time.UTC) }
	one := func(id string, at time.Time) testEvent {
		return testEvent{id: id, subject: "acme", at: at, data: map[string]any{"bytes": 1}}
	}
	var want [13]uint64
	want[9] = appendAll(t, l, "default", []testEvent{one("a", month(9))}).Sequence
	want[10] = appendAll(t, l, "default", []testEvent{one("b", month(11).Add(-1))}).Sequence
	r := appendAll(t, l, "default", []testEvent{one("c", month(9)), one("d", month(11))})
	want[9], want[10], want[11] = r.Sequence, r.Sequence, r.Sequence
	v, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "b"}}, "test", "gone")
	if err != nil {
		t.Fatal(err)
	}
	want[10] = v.Sequence
	check := func() {
		t.Helper()
		for m := 8; m <= 12; m++ {
			if got := l.Reached("default", month(m), month(m+1)); got != want[m] {
				t.Errorf("month %d: %d, want %d", m, got, want[m])
			}
		}
		if got := l.Reached("default", month(8), month(12)); got != v.Sequence {
			t.Errorf("all: %d, want %d", got, v.Sequence)
		}
		if l.Reached("default", month(9), month(9)) != 0 || l.Reached("nobody", month(8), month(12)) != 0 {
			t.Error("nothing is reached")
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: dir, Clock: clock})
	check()
	verifyClean(t, l)
}
