package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// groupEvent is one event of a group named by two numbers.
func groupEvent(n, customer, region int) testEvent {
	return testEvent{id: fmt.Sprint("g", n), subject: fmt.Sprint("cust-", customer), at: testStart.Add(time.Duration(n) * time.Minute),
		data: map[string]any{"region": fmt.Sprint("r", region), "contract": fmt.Sprint("k", region%2), "service": fmt.Sprint("s", n), "bytes": n}}
}

// At Limits.GroupsPerMeter groups are answered from cells; one past it only
// what is known of customers, contracts and the total is.
func TestGroupsPerMeter(t *testing.T) {
	t.Parallel()
	const limit = 4
	for _, backfilled := range []bool{false, true} {
		l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{GroupsPerMeter: limit}})
		meters := []meter.Meter{
			{Key: "sum", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"region", "customer"}},
			{Key: "max", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes", GroupBy: []string{"customer", "region"}},
			{Key: "peak", EventType: "edge.request", Aggregation: meter.AggPeak, Value: "bytes", GroupBy: []string{"customer", "region", "contract"}},
		}
		n := 0
		add := func(customer, region int) {
			n++
			appendAll(t, l, "default", []testEvent{groupEvent(n, customer, region)})
		}
		if !backfilled {
			createMeters(t, l, "default", meters)
		}
		for i := range 2 * limit {
			add(i%limit/2, i%2)
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
						t.Errorf("%s by %v of a meter of %d groups is answered from %s, want %s (backfilled %v)", m.Key, by, limit, got, want, backfilled)
					}
				}
				if st, _ := l.Meter("default", m.Key); st.Groups != limit || st.Crowded != crowded {
					t.Errorf("%s: %d groups, crowded %v", m.Key, st.Groups, st.Crowded)
				}
			}
		}
		if backfilled {
			add(2, 0) // one too many, before the meters are defined
			createMeters(t, l, "default", meters)
			waitBackfilled(t, l)
		} else {
			check(false)
			add(2, 0)
		}
		check(true)
		add(2, 1)
		add(0, 0)
		verifyClean(t, l)
		check(true)
		if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: fmt.Sprint("g", n-1)}, {Source: "test", ID: fmt.Sprint("g", n)}}, "tester", "wrong"); err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		check(true)
		verifyClean(t, l)
	}
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
