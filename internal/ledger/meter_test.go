package ledger

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// A meter that is deleted and made again under its key between two
// checkpoints, with another definition, is there after a restart.
func TestMeterMadeAgainUnderItsKey(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs})
	createMeters(t, l, "default", testMeters()[1:2])
	appendAll(t, l, "default", sampleEvents(100, "a"))
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteMeter(context.Background(), "default", "bytes", "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart, To: testStart.Add(time.Hour)}); meter.KindOf(err) != meter.KindNotFound {
		t.Fatalf("a deleted meter answers: %v", err)
	}
	again := testMeters()[1]
	again.GroupBy, again.Aggregation = nil, meter.AggMax
	createMeters(t, l, "default", []meter.Meter{again})
	for range 3 {
		waitBackfilled(t, l)
		if total, source := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(time.Hour)); total != "99" || source != "cells" {
			t.Fatalf("%s from %s", total, source)
		}
		verifyClean(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, Options{Dir: "data", FS: fs})
		if got := l.Meters("default"); len(got) != 1 || got[0].Aggregation != meter.AggMax || got[0].Version != 2 {
			t.Fatalf("meters after a restart: %+v", got)
		}
	}
}

// Descriptions change while checkpoints, lookups and questions read the meter.
func TestMeterChangesWhileRead(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters())
	events := sampleEvents(50, "a")
	appendAll(t, l, "default", events)
	var wg sync.WaitGroup
	run := func(fn func(i int) error) {
		wg.Go(func() {
			for i := range 15 {
				if err := fn(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ctx := context.Background()
	run(func(i int) error {
		name := fmt.Sprint("name ", i)
		_, err := l.UpdateMeter(ctx, "default", "p95", meter.MeterPatch{Name: &name, Unit: &name}, "test")
		return err
	})
	run(func(i int) error {
		appendAll(t, l, "default", sampleEvents(5, fmt.Sprint("b", i)))
		return l.Checkpoint()
	})
	run(func(i int) error {
		_, err := l.Lookup(ctx, "default", "test", events[i].id)
		return err
	})
	run(func(int) error {
		_, err := l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: "p95", From: testStart, To: testStart.Add(time.Hour), GroupBy: []string{"region"}})
		return err
	})
	run(func(int) error { l.Stats(); l.Meters("default"); return nil })
	wg.Wait()
	verifyClean(t, l)
}

// The first event of all times counts like any other when it is at the epoch.
func TestEventAtTheEpoch(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters()[:1])
	appendAll(t, l, "default", []testEvent{{id: "epoch", at: time.Unix(0, 0)}})
	appendAll(t, l, "default", []testEvent{{id: "later", at: testStart}})
	u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "requests", From: time.Unix(-1, 0), To: testStart.Add(1), Window: meter.WindowYear})
	if err != nil || u.Total.String() != "2" || len(u.Rows) != 2 {
		t.Fatalf("%+v %v", u, err)
	}
}

// What a meter skips is counted, live and in a backfill.
func TestSkippedIsCounted(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters()[1:2])
	var events []testEvent
	for i, v := range []any{1, "2", "x", nil, true, "100000000000000000000000000", "0.1"} {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart, data: map[string]any{"bytes": v}})
	}
	appendAll(t, l, "default", append(events, testEvent{id: "none", at: testStart}))
	createMeters(t, l, "default", testMeters()[3:4])
	waitBackfilled(t, l)
	for _, m := range l.Meters("default") {
		if m.Skipped != 5 || m.Groups != 1 {
			t.Errorf("%s skipped %d, has %d groups", m.Key, m.Skipped, m.Groups)
		}
	}
	if total, _ := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(1)); total != "3.1" {
		t.Error(total)
	}
}
