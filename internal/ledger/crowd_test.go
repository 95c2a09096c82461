package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// groupEvent is one event of a group named by two numbers.
func groupEvent(n, customer, region int) testEvent {
	return testEvent{id: fmt.Sprint("g", n), subject: fmt.Sprint("cust-", customer), at: testStart.Add(time.Duration(n) * time.Minute),
		data: map[string]any{"region": fmt.Sprint("r", region), "contract": fmt.Sprint("k", region%2), "service": fmt.Sprint("s", n), "bytes": n}}
}

// crowd makes a meter what an older program left of one with too many groups:
// those that it has are listed, and others are not kept apart from now on.
func crowd(t *testing.T, l *Ledger, key string) {
	t.Helper()
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	err := l.onFold(func() error {
		m := l.org("default").meter(key)
		prefix := append(cellPrefix(m), cell.ProjectionAll)
		err := l.scanState(prefix, func(key, _ []byte) error {
			group := key[len(prefix) : len(key)-4]
			return l.state.Set(append(state.VersionKey(state.KeyGroup, m.record.Version), group...), nil, pebble.Sync)
		})
		m.record.Crowded = true
		l.active.meters[m], l.active.started = struct{}{}, 1
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A meter that an older program had no room for keeps to the groups that it has:
// those are answered from cells by customer, contract and in total, and from
// the events by all that it groups by.
func TestCrowdedMeters(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	meters := []meter.Meter{
		{Key: "sum", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"region", "customer"}},
		{Key: "max", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes", GroupBy: []string{"customer", "region"}},
		{Key: "peak", EventType: "edge.request", Aggregation: meter.AggPeak, Value: "bytes", GroupBy: []string{"customer", "region", "contract"}},
	}
	createMeters(t, l, "default", meters)
	n := 0
	add := func(customer, region int) {
		n++
		appendAll(t, l, "default", []testEvent{groupEvent(n, customer, region)})
	}
	check := func(crowded bool) {
		t.Helper()
		for _, m := range meters {
			for _, by := range [][]string{{"customer"}, {}, {"customer", "region"}, {"region"}, {"customer", "contract"}} {
				if slices.Contains(by, "contract") && m.Key != "peak" {
					continue
				}
				want := "cells"
				if crowded && slices.Contains(by, "region") {
					want = "events"
				}
				if got := compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, GroupBy: by, Window: "hour"}); got != want {
					t.Errorf("%s by %v is answered from %s, want %s", m.Key, by, got, want)
				}
			}
			if st, _ := l.Meter("default", m.Key); st.Crowded != crowded {
				t.Errorf("%s: crowded %v", m.Key, st.Crowded)
			}
		}
	}
	for i := range 8 {
		add(i%4/2, i%2)
	}
	check(false)
	for _, m := range meters {
		crowd(t, l, m.Key)
	}
	for _, g := range [][2]int{{2, 0}, {2, 1}, {0, 0}, {3, 5}} {
		add(g[0], g[1])
	}
	check(true)
	verifyClean(t, l)
	if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: fmt.Sprint("g", n-1)}, {Source: "test", ID: fmt.Sprint("g", n)}}, "tester", "wrong"); err != nil {
		t.Fatal(err)
	}
	flushDirty(t, l, 5)
	check(true)
	verifyClean(t, l)
}

// A UNIQUE_COUNT slot of Limits.SetValues values is answered from cells, one of
// more from the events, however its values arrived.
func TestSetValues(t *testing.T) {
	t.Parallel()
	const limit = 6
	rng := fixedtest.Rand(t)
	for range 8 {
		l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{SetValues: limit}})
		def := meter.Meter{Key: "services", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "service", GroupBy: []string{"customer"}}
		early := rng.IntN(2) == 0
		if early {
			createMeters(t, l, "default", []meter.Meter{def})
		}
		add := func(i, service int) {
			appendAll(t, l, "default", []testEvent{{id: fmt.Sprint("e", i), subject: fmt.Sprint("cust-", i%2), at: testStart, data: map[string]any{"service": fmt.Sprint("s", service)}}})
			if rng.IntN(3) == 0 {
				if err := l.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 3 * limit {
			add(i, i%limit)
		}
		if !early {
			createMeters(t, l, "default", []meter.Meter{def})
			waitBackfilled(t, l)
		}
		want := func(source string) {
			t.Helper()
			if got := compareWithScan(t, l, meter.UsageQuery{Meter: "services", Window: "hour"}); got != source {
				t.Errorf("the total of %d values is answered from %s, want %s", limit, got, source)
			}
			if got := compareWithScan(t, l, meter.UsageQuery{Meter: "services", GroupBy: []string{"customer"}}); got != "cells" {
				t.Errorf("customers of at most %d values are answered from %s", limit, got)
			}
		}
		want("cells")
		verifyClean(t, l)
		add(1000, limit) // one too many in all; each customer has at most limit
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		want("events")
		verifyClean(t, l)
		if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "e1000"}}, "tester", "wrong"); err != nil {
			t.Fatal(err)
		}
		flushDirty(t, l, 5)
		want("events")
		verifyClean(t, l)
	}
}
