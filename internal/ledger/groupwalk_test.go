package ledger

import (
	"context"
	"slices"
	"strings"
	"testing"

	"odometer/internal/meter"
)

// The rows of the largest values are the first of all rows by value and group,
// with events, voids, checkpoints and frozen deltas in between, and of any
// grouping and filter.
func TestLargestByValue(t *testing.T) {
	t.Parallel()
	w := newPageWorld(t, Limits{})
	rounds := 120
	if testing.Short() {
		rounds = 40
	}
	walked := 0
	for range rounds {
		for range 1 + w.r.IntN(3) {
			w.change()
		}
		q := w.question()
		if q.Meter == "late" {
			q.Meter = "requests"
		}
		q.FillZero, q.Limit = false, pick(w.r, 0, 1, 2, 5, 30)
		if chance(w.r, 30) {
			q.Filters = []meter.AttrFilter{{Attribute: q.GroupBy[0], Values: []string{"a1", "b2", "a", "z", "", "ab3"}}}
		}
		if chance(w.r, 10) {
			q.To = q.To.Add(-17 * 60e9)
		}
		want, err := w.l.usageOfEvents(meter.UsageQuery{Organization: q.Organization, Meter: q.Meter, From: q.From, To: q.To, GroupBy: q.GroupBy, Filters: q.Filters})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(want.Rows, compareValues)
		want.Rows = want.Rows[:min(len(want.Rows), max(q.Limit, defaultLargest*(1-min(q.Limit, 1))))]
		q.ByValue = true
		u := ask(t, w.l, q)
		if !sameRows(u.Rows, want.Rows) || u.NextCursor != "" || u.Sequence != want.Sequence || u.HasTotal != want.HasTotal || u.Total.Cmp(want.Total) != 0 {
			t.Fatalf("the largest of %+v:\n%+v\ntotal %s %t at %d, want\n%+v\ntotal %s %t at %d", q, u.Rows, u.Total, u.HasTotal, u.Sequence, want.Rows, want.Total, want.HasTotal, want.Sequence)
		}
		qu, err := w.l.question(q)
		if err == nil && qu.fitsCells() {
			var ok bool
			if ok, err = w.l.walkGroups(context.Background(), qu, new(meter.Usage)); ok {
				walked++
			}
			qu.room.release()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if walked < rounds/5 {
		t.Errorf("%d of %d questions were answered in one walk", walked, rounds)
	}
}

func TestLargestByValueRefused(t *testing.T) {
	t.Parallel()
	w := newPageWorld(t, Limits{})
	good := w.question()
	good.Meter, good.GroupBy, good.FillZero, good.ByValue, good.Limit = "bytes", []string{"customer"}, false, true, 1000
	ask(t, w.l, good)
	for what, change := range map[string]func(*meter.UsageQuery){
		"missing":         func(q *meter.UsageQuery) { q.GroupBy = nil },
		"without windows": func(q *meter.UsageQuery) { q.Window = "day" },
		"whole range":     func(q *meter.UsageQuery) { q.FillZero = true },
		"no cursor":       func(q *meter.UsageQuery) { q.Cursor = "x" },
		"1 to 1000":       func(q *meter.UsageQuery) { q.Limit = 1001 },
	} {
		q := good
		change(&q)
		if _, err := w.l.Usage(context.Background(), q); meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
