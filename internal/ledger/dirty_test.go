package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// voidableMeters are of the kinds that a void makes dirty, in several groupings.
func voidableMeters() []meter.Meter {
	return []meter.Meter{
		{Key: "largest", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes", GroupBy: []string{"region", "customer"}},
		{Key: "least", EventType: "edge.request", Aggregation: meter.AggMin, Value: "bytes", GroupBy: []string{"customer"}},
		{Key: "latest", EventType: "edge.request", Aggregation: meter.AggLast, Value: "bytes"},
		{Key: "services", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "service", GroupBy: []string{"customer", "region"}},
		{Key: "regional", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "service", GroupBy: []string{"region"}},
		{Key: "bytes", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "region"}},
	}
}

func randomEvents(rng *rand.Rand, n int, next *int) []testEvent {
	out := make([]testEvent, n)
	for i := range out {
		*next++
		out[i] = testEvent{id: fmt.Sprintf("e%d", *next), subject: fmt.Sprintf("cust-%d", rng.IntN(3)),
			at:   testStart.Add(-time.Duration(rng.IntN(3*24*4)) * 15 * time.Minute / 2),
			data: map[string]any{"service": fmt.Sprintf("svc-%d", rng.IntN(40)), "region": fmt.Sprintf("r%d", rng.IntN(3)), "bytes": rng.IntN(1000) - 500}}
	}
	return out
}

// dirtyLeft counts the slots that wait to be recomputed.
func dirtyLeft(t *testing.T, l *Ledger) int {
	t.Helper()
	n := 0
	if err := l.scanState([]byte{state.KeyDirty}, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// compareWithScan asks the same question of the cells and of the events.
// It returns where the first answer came from.
func compareWithScan(t *testing.T, l *Ledger, q meter.UsageQuery) string {
	t.Helper()
	q.Organization, q.From, q.To = "default", testStart.Add(-4*24*time.Hour), testStart.Add(24*time.Hour)
	have, err := l.Usage(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	q.AsOf = l.now().Add(time.Hour)
	want, err := l.Usage(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	text := func(u *meter.Usage) []string {
		out := []string{fmt.Sprint(u.Total, u.HasTotal)}
		for _, r := range u.Rows {
			out = append(out, fmt.Sprint(r.Start, r.End, r.Group, r.Value))
		}
		return out
	}
	if want.Source != "events" || !slices.Equal(text(have), text(want)) {
		t.Fatalf("meter %s by %v window %q: from %s\n%q\nfrom the events\n%q", q.Meter, q.GroupBy, q.Window, have.Source, text(have), text(want))
	}
	return have.Source
}

func compareMeters(t *testing.T, l *Ledger, meters []meter.Meter, window meter.Window) (sources []string) {
	t.Helper()
	for _, m := range meters {
		for n := range len(m.GroupBy) + 1 {
			s := compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, Window: window, GroupBy: m.GroupBy[:n]})
			sources = append(sources, fmt.Sprintf("%s by %v: %s", m.Key, m.GroupBy[:n], s))
		}
		if slices.Contains(m.GroupBy, meter.CustomerAttribute) {
			sources = append(sources, m.Key+" by customer: "+compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, Window: window, GroupBy: []string{meter.CustomerAttribute}}))
		}
	}
	return sources
}

// Slots made dirty by voids are recomputed at checkpoints, a few at a time or
// all at once, across restarts and beside a backfill, and then equal the log
// without the voided events.
func TestDirtySlotsAreRecomputed(t *testing.T) {
	t.Parallel()
	for i, lim := range []Limits{{}, {DirtyPerFlush: 3}, {DirtyBytes: 1}, {DirtyBytes: 2000, DirtyPerFlush: 20}, {MergeRows: 1, DirtyBytes: 500}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			runDirtyHistory(t, fixedtest.Rand(t), lim)
		})
	}
}

func runDirtyHistory(t *testing.T, rng *rand.Rand, lim Limits) {
	o := Options{FS: vfs.NewMem(), Dir: "/data", Limits: lim}
	l := openTest(t, o)
	meters := voidableMeters()
	createMeters(t, l, "default", meters[:4])
	next := 0
	for step := range 30 {
		switch k := rng.IntN(10); {
		case k < 4:
			appendAll(t, l, "default", randomEvents(rng, 1+rng.IntN(60), &next))
		case k < 7 && next > 0:
			voidRandom(t, l, rng, 1+rng.IntN(5), next)
		case k == 7:
			if err := l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		case k == 8 && rng.IntN(2) == 0:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openTest(t, o)
		case step > 20 && len(l.Meters("default")) < len(meters):
			createMeters(t, l, "default", meters[4:])
		}
		if step%8 == 0 {
			compareMeters(t, l, meters[:4], "day")
		}
	}
	createMeters(t, l, "default", meters)
	voidRandom(t, l, rng, 1, next)
	waitBackfilled(t, l)
	flushDirty(t, l, 2000)
	for _, w := range []meter.Window{"", "hour", "day"} {
		for _, s := range compareMeters(t, l, meters, w) {
			if !strings.HasSuffix(s, "cells") && lim.SetValues == 0 {
				t.Errorf("%q", s)
			}
		}
	}
	verifyClean(t, l)
}

// A history of meters that outgrow their limits is as exact as any.
func TestHistoriesBeyondTheLimits(t *testing.T) {
	t.Parallel()
	for i, lim := range []Limits{{SetValues: 6}, {SetValues: 3, DirtyPerFlush: 7}, {SetValues: 3, DirtyBytes: 1000}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			runDirtyHistory(t, fixedtest.Rand(t), lim)
		})
	}
}

func voidRandom(t *testing.T, l *Ledger, rng *rand.Rand, n, next int) {
	t.Helper()
	var ids []meter.Identity
	for range n {
		ids = append(ids, meter.Identity{Source: "test", ID: fmt.Sprintf("e%d", 1+rng.IntN(next+1))})
	}
	if _, err := l.Void(context.Background(), "default", ids, "tester", "wrong"); err != nil {
		t.Fatal(err)
	}
}

// flushDirty writes checkpoints until no slot is dirty.
func flushDirty(t *testing.T, l *Ledger, most int) {
	t.Helper()
	for range most {
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		if dirtyLeft(t, l) == 0 {
			return
		}
	}
	t.Fatalf("%d groups are dirty after %d checkpoints", dirtyLeft(t, l), most)
}

// waitBackfilled waits until all meters are backfilled.
func waitBackfilled(t *testing.T, l *Ledger) {
	t.Helper()
	waitFor(t, func() bool {
		return !slices.ContainsFunc(l.Meters("default"), func(m meter.MeterState) bool { return !m.Backfill.Done })
	})
}

// Exactly Limits.DirtyPerFlush slots are recomputed at one checkpoint.
func TestDirtyPerFlush(t *testing.T) {
	t.Parallel()
	const limit = 4
	for slots, want := range map[int]int{limit: 0, limit + 1: 1} {
		l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{DirtyPerFlush: limit}})
		createMeters(t, l, "default", []meter.Meter{{Key: "largest", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes"}})
		var ids []meter.Identity
		for i := range slots {
			at := testStart.Add(time.Duration(i) * 15 * time.Minute)
			appendAll(t, l, "default", []testEvent{{id: fmt.Sprintf("a%d", i), at: at, data: map[string]any{"bytes": 9}}, {id: fmt.Sprintf("b%d", i), at: at, data: map[string]any{"bytes": 7}}})
			ids = append(ids, meter.Identity{Source: "test", ID: fmt.Sprintf("a%d", i)})
		}
		if _, err := l.Void(context.Background(), "default", ids, "tester", "wrong"); err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		if n := dirtyLeft(t, l); n != want {
			t.Errorf("%d dirty slots: %d left after one checkpoint, want %d", slots, n, want)
		}
		source := compareWithScan(t, l, meter.UsageQuery{Meter: "largest", Window: "hour"})
		if (source == "cells") != (want == 0) {
			t.Errorf("%d dirty slots are answered from %s", slots, source)
		}
	}
}

// A deleted meter leaves no dirty slots behind, nor does a job install any for it.
func TestDeletedMeterWithDirtySlots(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{DirtyBytes: 1}})
	meters := voidableMeters()
	createMeters(t, l, "default", meters)
	next := 0
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		appendAll(t, l, "default", randomEvents(rng, 50, &next))
	}
	voidRandom(t, l, rng, 20, next)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if dirtyLeft(t, l) == 0 {
		t.Fatal("one block sufficed")
	}
	for _, m := range meters[:5] {
		if err := l.DeleteMeter(context.Background(), "default", m.Key, "tester"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if n := dirtyLeft(t, l); n != 0 {
		t.Errorf("%d dirty groups are left", n)
	}
	cells := 0
	if err := l.scanState([]byte{state.KeyCell}, func(key, _ []byte) error { cells++; return nil }); err != nil {
		t.Fatal(err)
	}
	if r := verifyClean(t, l); r.Cells == 0 || cells == 0 {
		t.Errorf("%d chunks, %d cells", cells, r.Cells)
	}
}
