package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// pageWorld is a ledger whose questions are asked page by page while it changes.
type pageWorld struct {
	t      *testing.T
	l      *Ledger
	r      *rand.Rand
	n      int // events
	read   int // pages read by key
	walked int // pages that a walk through all groups gives
	held   bool
}

func newPageWorld(t *testing.T, lim Limits) *pageWorld {
	clock := fixedtest.NewClock(testStart.Add(26 * time.Hour))
	w := &pageWorld{t: t, r: fixedtest.Rand(t), l: openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Clock: clock.Now, Limits: lim})}
	t.Cleanup(func() { w.hold(false) }) // before the ledger is closed
	createMeters(t, w.l, "default", append(testMeters(),
		meter.Meter{Key: "crowded", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "region"}},
		meter.Meter{Key: "by-region", EventType: "edge.request", Aggregation: meter.AggMin, Value: "bytes", GroupBy: []string{"region"}}))
	return w
}

// change does something that may happen between two pages.
func (w *pageWorld) change() {
	w.t.Helper()
	switch n := w.r.IntN(100); {
	case n < 70:
		events := make([]testEvent, 1+w.r.IntN(20))
		for i := range events {
			events[i] = w.event()
		}
		appendAll(w.t, w.l, pick(w.r, "default", "default", "default", "other"), events)
	case n < 80:
		if _, err := w.l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: fmt.Sprint("e", w.r.IntN(w.n+1))}}, "test", "wrong"); err != nil {
			w.t.Fatal(err)
		}
	case n < 90:
		w.hold(false)
		if err := w.l.Checkpoint(); err != nil {
			w.t.Fatal(err)
		}
	default:
		w.hold(true)
	}
}

// hold makes a checkpoint begin that does not end, so that its delta stays frozen.
func (w *pageWorld) hold(on bool) {
	w.t.Helper()
	switch {
	case on && !w.held:
		w.l.ckpt.copying.Lock()
		err := w.l.onFold(func() error {
			if err := w.l.ckpt.failed; err != nil || w.l.ckpt.busy && w.l.frozen != nil {
				return err
			}
			w.l.freeze(nil)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	case !on && w.held:
		w.l.ckpt.copying.Unlock()
	}
	w.held = on
}

func (w *pageWorld) event() testEvent {
	w.n++
	at := testStart.Add(time.Duration(w.r.Int64N(int64(24 * time.Hour)))) // one in ten is alone in its day
	if chance(w.r, 10) {
		at = at.AddDate(0, 0, w.r.IntN(5)-2)
	}
	texts := []string{"", "a", "a\x00", "ab", "b", "\U0010ffff", "ä", "z"}
	e := testEvent{id: fmt.Sprint("e", w.n), subject: pick(w.r, texts...) + fmt.Sprint(w.r.IntN(30)), at: at,
		data: map[string]any{"bytes": w.r.IntN(10), "service": fmt.Sprint(pick(w.r, texts...), w.r.IntN(4)), "region": pick(w.r, texts...)}}
	if chance(w.r, 5) {
		e.subject = ""
	}
	return e
}

func (w *pageWorld) question() meter.UsageQuery {
	q := meter.UsageQuery{Organization: "default", From: testStart.Truncate(24 * time.Hour), To: testStart.AddDate(0, 0, 1).Truncate(time.Hour)}
	switch w.r.IntN(4) {
	case 0:
		q.From = q.From.AddDate(0, 0, -3)
	case 1:
		q.To = q.To.AddDate(0, 0, 3)
	}
	q.Meter = pick(w.r, "requests", "bytes", "p95", "largest", "services", "crowded", "by-region", "late")
	q.GroupBy = []string{"customer"}
	switch {
	case q.Meter == "by-region":
		q.GroupBy = []string{"region"}
	case chance(w.r, 50) && slices.Contains([]string{"p95", "crowded"}, q.Meter):
		q.GroupBy = []string{"customer", "region"}
	case chance(w.r, 50) && slices.Contains([]string{"requests", "bytes", "late"}, q.Meter):
		q.GroupBy = [][]string{{"customer", "service", "region"}, {"customer", "region"}, {"service"}}[w.r.IntN(3)]
	}
	q.FillZero = chance(w.r, 10)
	return q
}

// page asks for a page and holds it against all rows, as they are now.
func (w *pageWorld) page(q meter.UsageQuery) *meter.Usage {
	w.t.Helper()
	whole := q
	whole.Limit, whole.Cursor = 0, ""
	want, err := w.l.usageOfEvents(whole)
	if err != nil {
		w.t.Fatal(err)
	}
	qu, err := w.l.question(q)
	if err != nil {
		w.t.Fatal(err)
	}
	byKey, walks, err := false, false, error(nil)
	walked := new(meter.Usage)
	if qu.fitsCells() {
		if byKey, err = w.l.pageByKey(context.Background(), qu, new(meter.Usage)); err == nil {
			walks, err = w.l.walkGroups(context.Background(), qu, walked)
		}
		qu.room.release()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if byKey {
		w.read++
	}
	u := ask(w.t, w.l, q)
	if walks {
		w.walked++
		if !sameRows(u.Rows, walked.Rows) || u.NextCursor != walked.NextCursor || u.Total.Cmp(walked.Total) != 0 || u.HasTotal != walked.HasTotal || u.Sequence != walked.Sequence {
			w.t.Fatalf("page of %+v by a walk:\n%+v\nwant\n%+v", q, walked, u)
		}
	}
	left := want.Rows
	if after := qu.after; after != nil {
		for len(left) > 0 && !qu.isAfter(&left[0]) {
			left = left[1:]
		}
	}
	n := min(q.Limit, len(left))
	if !sameRows(u.Rows, left[:n]) || (u.NextCursor != "") != (n < len(left)) || u.Sequence != want.Sequence ||
		u.HasTotal != want.HasTotal || u.Total.Cmp(want.Total) != 0 {
		w.t.Fatalf("page of %+v (by key: %t) after %+v:\n%+v\ntotal %s, more: %t, at %d; want\n%+v\ntotal %s, more: %t, at %d", q, byKey, qu.after,
			u.Rows, u.Total, u.NextCursor != "", u.Sequence, left[:n], want.Total, n < len(left), want.Sequence)
	}
	return u
}

func sameRows(a, b []meter.UsageRow) bool {
	return slices.EqualFunc(a, b, func(a, b meter.UsageRow) bool {
		return a.Start.Equal(b.Start) && a.End.Equal(b.End) && slices.Equal(a.Group, b.Group) && a.Value.Cmp(b.Value) == 0 && a.Clipped == b.Clipped
	})
}

// Each page is what the events give at its moment, from the row of its cursor
// on: with events, voids, checkpoints, frozen deltas and a backfill between
// pages, on meters that are crowded, and at every length of a page.
func TestPagesByKey(t *testing.T) {
	t.Parallel()
	w := newPageWorld(t, Limits{})
	for range 20 {
		w.change()
	}
	w.hold(false)
	crowd(t, w.l, "crowded")
	createMeters(t, w.l, "default", []meter.Meter{{Key: "late", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"customer", "service", "region"}}})
	rounds := 50
	if testing.Short() {
		rounds = 12
	}
	for range rounds {
		w.change()
		q := w.question()
		for range 8 {
			q.Limit = pick(w.r, 1, 2, 3, 7, 20, 50)
			u := w.page(q)
			if q.Cursor = u.NextCursor; q.Cursor == "" {
				break
			}
			if chance(w.r, 30) {
				w.change()
			}
		}
	}
	if w.read < rounds || w.walked < rounds {
		t.Errorf("%d pages of %d questions were read by key, %d by walks", w.read, rounds, w.walked)
	}
}

// Texts of other attributes between those of a page's groups are passed over.
func TestPagesAmongOtherTexts(t *testing.T) {
	t.Parallel()
	w := newPageWorld(t, Limits{})
	events := []testEvent{}
	for i := range 14_000 {
		events = append(events, testEvent{id: fmt.Sprint("x", i), subject: "m", at: testStart, typ: "other", data: map[string]any{"service": fmt.Sprintf("c%05d", i)}})
	}
	createMeters(t, w.l, "default", []meter.Meter{{Key: "other", EventType: "other", Aggregation: meter.AggCount, GroupBy: []string{"service"}}})
	appendAll(t, w.l, "default", events)
	for i := range 200 {
		appendAll(t, w.l, "default", []testEvent{{id: fmt.Sprint("y", i), subject: fmt.Sprintf("%c%03d", "bd"[i%2], i), at: testStart, data: map[string]any{"bytes": i}}})
	}
	q := meter.UsageQuery{Organization: "default", Meter: "largest", From: testStart.Truncate(time.Hour), To: testStart.AddDate(0, 0, 1).Truncate(time.Hour), GroupBy: []string{"customer"}, Limit: 90}
	for rows := 0; ; {
		u := w.page(q)
		if rows += len(u.Rows); u.NextCursor == "" {
			if rows != 200 {
				t.Fatalf("%d rows", rows)
			}
			break
		}
		q.Cursor = u.NextCursor
	}
	if w.read != 3 {
		t.Errorf("%d pages were read by key, want all", w.read)
	}
}

// A text that groups begin with only while a page is made is on it, with all
// that was stored and what was not when it began.
func TestPageOfNewLeads(t *testing.T) {
	t.Parallel()
	for _, checkpoint := range []bool{false, true} {
		w := newPageWorld(t, Limits{})
		event := func(subject string) {
			w.n++
			appendAll(t, w.l, "default", []testEvent{{id: fmt.Sprint("n", w.n), subject: subject, at: testStart, data: map[string]any{"bytes": 1, "service": "s-of-" + subject}}})
		}
		event("a")
		event("z")
		if checkpoint {
			if err := w.l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		event("t")
		qu, err := w.l.question(meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart.Truncate(time.Hour), To: testStart.Truncate(time.Hour).Add(time.Hour), GroupBy: []string{"customer"}, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		p := &keyPage{l: w.l, qu: qu, now: w.l.now(), limit: 2, most: 3, only: true}
		v, pending, ok, err := p.begin(t.Context())
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		err = p.stored(t.Context(), v, &pending)
		v.release()
		if err != nil {
			t.Fatal(err)
		}
		if p.texts[p.list[0].id] != "" || len(p.list) != 3 || p.list[1].text != "a" || p.list[2].text != "t" {
			t.Fatalf("%+v", p.list)
		}
		event("s-of-t") // a service so far
		event("b")
		w.l.mu.RLock()
		again, err := p.addLeads()
		w.l.mu.RUnlock()
		var texts []string
		for _, text := range p.texts {
			texts = append(texts, text)
		}
		slices.Sort(texts)
		if again || err != nil || !slices.Equal(texts, []string{"", "a", "b", "s-of-t", "t"}) {
			t.Errorf("%q, %t, %v", texts, again, err)
		}
		if err := w.l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		w.l.mu.RLock()
		again, err = p.addLeads()
		w.l.mu.RUnlock()
		if !again || err != nil {
			t.Errorf("after a checkpoint: %t, %v", again, err)
		}
		qu.room.release()
	}
}
