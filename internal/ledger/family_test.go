package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// kin are meters by customer and service that differ in what they keep of an event.
func kin() []meter.Meter {
	filter := [][]meter.Filter{{{Attribute: "region", Op: meter.OpNotIs, Value: meter.StringValue("x")}}}
	meters := []meter.Meter{
		{Key: "count", Aggregation: meter.AggCount},
		{Key: "sum", Aggregation: meter.AggSum, Value: "bytes"},
		{Key: "average", Aggregation: meter.AggAvg, Value: "bytes"},
		{Key: "rounded", Aggregation: meter.AggSum, Value: "bytes", Excess: meter.ExcessRound},
		{Key: "most", Aggregation: meter.AggMax, Value: "bytes"},
		{Key: "least", Aggregation: meter.AggMin, Value: "bytes"},
		{Key: "last", Aggregation: meter.AggLast, Value: "bytes"},
		{Key: "size", Aggregation: meter.AggSum, Value: "size"},
		{Key: "regions", Aggregation: meter.AggUniqueCount, Value: "region"},
		{Key: "filtered", Aggregation: meter.AggSum, Value: "bytes", Filters: filter},
		{Key: "filtered-count", Aggregation: meter.AggCount, Filters: filter},
	}
	for i := range meters {
		meters[i].EventType, meters[i].GroupBy = simTypes[0], []string{"customer", "service"}
	}
	return meters
}

// Meters of one family that are defined, deleted and defined anew at any time
// answer as the naive model does, through voids, backfills and a crash.
func TestFamiliesDoNotMixFigures(t *testing.T) {
	t.Parallel()
	s := newSim(t, fixedtest.Rand(t))
	o := s.model.org("default")
	do := func(entries []simEntry) {
		s.step++
		for _, e := range entries {
			s.apply(e)
		}
	}
	work := func() {
		for range 8 {
			do(s.append())
			do(s.burst())
		}
		for range 4 {
			do(s.void())
		}
		for i := range o.meters {
			m := &o.meters[i]
			s.ask(o, m, meter.UsageQuery{Organization: o.name, Meter: m.def.Key, From: simFrom, To: simTo, GroupBy: m.def.GroupBy, Window: meter.WindowDay})
		}
	}
	checkpoint := func() {
		s.step++
		if err := s.l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	all := kin()
	for _, m := range all[:8] {
		do(s.define(o, m.Normalize()))
	}
	work()
	for _, m := range all[8:] { // while there is usage: they are backfilled
		do(s.define(o, m.Normalize()))
	}
	work()
	s.settle()
	checkpoint()
	work()
	again := all[1] // another meter under the key of one that is deleted
	again.Aggregation = meter.AggMax
	do(s.deleteMeter(o, o.meter("sum")))
	do(s.define(o, again.Normalize()))
	do(s.deleteMeter(o, o.meter("count")))
	twin := all[2]
	twin.Key = "twin"
	do(s.define(o, twin.Normalize()))
	work()
	s.disk.arm(0, 0)
	s.crash(s.disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: s.r}), s.seq, nil)
	work()
	checkpoint()
	do(s.deleteMeter(o, o.meter("average")))
	work()
	s.finish()
}

// shape says how many families an organization has now, and of how many columns each.
func shape(t *testing.T, l *Ledger) (columns []int, cells int) {
	t.Helper()
	err := l.onFold(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, f := range l.families(l.org("default")) {
			columns = append(columns, len(f.columns))
		}
		cells = l.active.table.Cells()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return columns, cells
}

// Thirty meters of four contents take four cells of each group and slot, and
// look a group up once. A meter that is defined later joins them at the next delta.
func TestFamiliesShareCells(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	kinds := []meter.Aggregation{meter.AggCount, meter.AggSum, meter.AggMax, meter.AggMin, meter.AggAvg}
	var meters []meter.Meter
	for i := range 30 {
		m := meter.Meter{Key: fmt.Sprint("m", i), EventType: "edge.request", Aggregation: kinds[i%len(kinds)], GroupBy: []string{"customer"}}
		if m.Aggregation != meter.AggCount {
			m.Value = "bytes"
		}
		meters = append(meters, m)
	}
	createMeters(t, l, "default", meters)
	const groups = 10
	send := func(salt string) {
		var events []testEvent
		for i := range 3 * groups {
			events = append(events, testEvent{id: fmt.Sprint(salt, i), subject: fmt.Sprint("c", i%groups), at: testStart, data: map[string]any{"bytes": i}})
		}
		appendAll(t, l, "default", events)
	}
	expect := func(when string, wantCells int, want ...int) {
		t.Helper()
		if columns, cells := shape(t, l); fmt.Sprint(columns) != fmt.Sprint(want) || cells != wantCells {
			t.Fatalf("%s: families of %v columns and %d cells, want %v and %d", when, columns, cells, want, wantCells)
		}
	}
	send("a")
	expect("at first", 4*(groups+1), 4)
	late := meters[0]
	late.Key = "late"
	createMeters(t, l, "default", []meter.Meter{late})
	waitBackfilled(t, l)
	expect("with one more", 5*(groups+1), 4, 1)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	send("b")
	expect("after a checkpoint", 4*(groups+1), 4)
	if err := l.DeleteMeter(context.Background(), "default", "m1", "test"); err != nil {
		t.Fatal(err)
	}
	send("c")
	expect("with one less", 4*(groups+1), 4)
	for _, m := range append(meters[2:], meters[0], late) {
		want := map[meter.Aggregation]string{meter.AggCount: "90", meter.AggSum: "1305", meter.AggMax: "29", meter.AggMin: "0", meter.AggAvg: "14.5"}[m.Aggregation]
		if total, source := usageTotal(t, l, "default", m.Key, testStart, testStart.Add(time.Hour)); total != want || source != "cells" {
			t.Errorf("%s: %s from %s, want %s", m.Key, total, source, want)
		}
	}
	verifyClean(t, l)
}
