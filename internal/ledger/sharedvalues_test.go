package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// cellKeys counts the stored values of cells by the version in their keys.
func cellKeys(t *testing.T, l *Ledger, org string) map[uint32]int {
	t.Helper()
	n := map[uint32]int{}
	prefix := state.OrgKey(state.KeyCell, org, "")
	err := l.scanState(prefix, func(key, _ []byte) error {
		var version uint32
		for _, b := range key[len(prefix) : len(prefix)+4] {
			version = version<<8 | uint32(b)
		}
		n[version]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sharingMeters are one COUNT, a MAX of each of some values, a set, and two of what others keep.
func sharingMeters() (meters []meter.Meter) {
	add := func(key string, a meter.Aggregation, value string) {
		meters = append(meters, meter.Meter{Key: key, EventType: "edge.request", Aggregation: a, Value: value, GroupBy: []string{"customer", "service"}})
	}
	add("count", meter.AggCount, "")
	for i := range cell.MaxStored {
		add(fmt.Sprint("max", i), meter.AggMax, fmt.Sprint("v", i))
	}
	add("regions", meter.AggUniqueCount, "region")
	add("again", meter.AggMax, "v3") // shares max3's column
	add("least", meter.AggMin, "v0")
	return meters
}

// sharingPlaces are the versions in the keys of sharingMeters, and their columns.
var sharingPlaces = map[string]string{"count": "1 0", "max0": "1 1", "max6": "1 7", "max7": "9 0", "regions": "10 0", "again": "1 4", "least": "9 1", "late": "13 0"}

func comparePlaces(t *testing.T, l *Ledger, when string) {
	t.Helper()
	for key, want := range sharingPlaces {
		if m := l.org("default").meter(key); m != nil {
			if got := fmt.Sprint(m.record.StoreVersion(), " ", m.record.Column); got != want {
				t.Errorf("%s, %s: %s, want %s", when, key, got, want)
			}
		}
	}
}

// sharingEvents are events that do not all have all values.
func sharingEvents(salt int) (events []testEvent) {
	for i := range 60 {
		data := map[string]any{"service": fmt.Sprint("s", i%3), "region": fmt.Sprint("r", i%4)}
		for v := range cell.MaxStored {
			if (i+v)%3 > 0 {
				data[fmt.Sprint("v", v)] = i * (v + salt)
			}
		}
		events = append(events, testEvent{id: fmt.Sprint(salt, "-", i), subject: fmt.Sprint("c", i%5), at: testStart.Add(-time.Duration(i) * time.Hour), data: data})
	}
	return events
}

// compareAll compares every meter with the events, before and after a checkpoint.
func compareAll(t *testing.T, l *Ledger) {
	t.Helper()
	for range 2 {
		for _, m := range l.Meters("default") {
			compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, Window: "day"})
			compareWithScan(t, l, meter.UsageQuery{Meter: m.Key, Window: "day", GroupBy: []string{"customer"}})
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	verifyClean(t, l)
}

// Meters of one family that are defined before the first usage have their cells
// in one value, up to a number of columns; sets have none of it, nor has a meter
// that is defined later. A deleted meter takes nothing of others with it, and the
// last one takes the keys.
func TestSharedValues(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs})
	createMeters(t, l, "default", sharingMeters())
	comparePlaces(t, l, "defined")
	appendAll(t, l, "default", sharingEvents(1))
	compareAll(t, l)
	n := cellKeys(t, l, "default")
	if n[1] == 0 || n[1] != n[9] || n[1] != n[10] || len(n) != 3 {
		t.Errorf("values by the version in their keys: %v", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: "data", FS: fs})
	late := sharingMeters()[2]
	late.Key = "late"
	createMeters(t, l, "default", []meter.Meter{late})
	waitBackfilled(t, l)
	comparePlaces(t, l, "after a restart")
	appendAll(t, l, "default", sharingEvents(2))
	// The largest values are voided: they are recomputed within a value of several meters.
	var void []meter.Identity
	for i := 40; i < 60; i++ {
		void = append(void, meter.Identity{Source: "test", ID: fmt.Sprint("2-", i)})
	}
	if _, err := l.Void(t.Context(), "default", void, "tester", "wrong"); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, "default", sharingEvents(3))
	compareAll(t, l)
	flushDirty(t, l, 20)
	compareAll(t, l)

	remove := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			if err := l.DeleteMeter(context.Background(), "default", key, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove("count", "max3", "max7") // the first of each value, and one of two of a column
	appendAll(t, l, "default", sharingEvents(4))
	compareAll(t, l)
	if n := cellKeys(t, l, "default"); n[1] == 0 || n[9] == 0 {
		t.Errorf("values after some were deleted: %v", n)
	}
	remove("max0", "max1", "max2", "max4", "max5", "max6", "again")
	compareAll(t, l)
	remove("regions", "least")
	compareAll(t, l)
	if n := cellKeys(t, l, "default"); len(n) != 1 || n[13] == 0 {
		t.Errorf("values after all but the last were deleted: %v", n)
	}
}

// A request of which nothing is counted makes families, but no cells: a meter
// that is defined after it still shares the keys of others.
func TestSharedValuesAfterRefusedUsage(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	meters := []meter.Meter{
		{Key: "count", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"customer"}},
		{Key: "sum", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer"}},
	}
	createMeters(t, l, "default", meters[:1])
	r := appendAtomic(t, l, []testEvent{{id: "a", subject: "c1", at: testStart, data: map[string]any{"bytes": 1}}}, 1)
	if columns, _ := shape(t, l); r.Accepted != 0 || len(columns) != 1 {
		t.Fatalf("%+v, families of %v columns", r, columns)
	}
	createMeters(t, l, "default", meters[1:])
	appendAll(t, l, "default", []testEvent{{id: "b", subject: "c1", at: testStart, data: map[string]any{"bytes": 7}}})
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"count": "1", "sum": "7"} {
		if got, source := usageTotal(t, l, "default", key, testStart, testStart.Add(time.Hour)); got != want || source != "cells" {
			t.Errorf("%s: %s from %s, want %s", key, got, source, want)
		}
	}
	if n := cellKeys(t, l, "default"); len(n) != 1 {
		t.Errorf("values by the version in their keys: %v", n)
	}
	verifyClean(t, l)
}
