package idset

import (
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

func ascending(t *testing.T, tab *table) []Entry {
	t.Helper()
	var got []Entry
	if err := tab.ascend(func(e *Entry) error { got = append(got, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTableAscendsInOrder(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	var total atomic.Int64
	for _, homes := range []int{16, 1000, 5000} {
		for _, crowded := range []bool{false, true} {
			tab := newTable(homes, &total)
			hash := randomHash
			if crowded {
				hash = crowdedHash
			}
			es := entries(rng, homes/2, hash)
			for i := range es {
				if !tab.insert(&es[i]) {
					t.Fatalf("no room for entry %d of %d", i, homes)
				}
			}
			if got := ascending(t, tab); !slices.Equal(got, sorted(es)) {
				t.Fatalf("%d homes: %d entries out of order or lost", homes, len(got))
			}
			for _, e := range es {
				if got, ok := tab.lookup(e.Hash); !ok || got != e {
					t.Fatalf("lookup of %v: %v %v", e, got, ok)
				}
			}
			tab.free()
		}
	}
	if total.Load() != 0 {
		t.Errorf("%d bytes not given back", total.Load())
	}
}

func TestTableKeepsTheFirst(t *testing.T) {
	t.Parallel()
	var total atomic.Int64
	tab := newTable(16, &total)
	first := Entry{Hash: block.Hash{Hi: 1, Lo: 2}, Check: 3, Seq: 0, Ord: 5}
	second := first
	second.Check = 9
	if !tab.insert(&first) || !tab.insert(&second) || tab.n != 1 {
		t.Fatal("inserted twice")
	}
	if got, ok := tab.lookup(first.Hash); !ok || got != first {
		t.Fatalf("got %v, want the first", got)
	}
}

func TestTableIsFull(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000})
	defer mustClose(t, s)
	for i, e := range entries(rng, 800, randomHash) {
		if got, want := s.needsFreeze(), i >= 600; got != want {
			t.Fatalf("needsFreeze with %d of 1000: %v", i, got)
		}
		if s.Free() != 800-i || !s.Insert(e) || s.Len() != i+1 {
			t.Fatalf("%d: free %d, len %d", i, s.Free(), s.Len())
		}
	}
	if s.Insert(entries(rng, 1, randomHash)[0]) || s.Free() != 0 || s.Len() != 800 {
		t.Fatal("the table took one more than its bound")
	}
	if f := s.Freeze(); f.Len() != 800 || s.Len() != 0 || s.Free() != 800 {
		t.Fatal("the table was not swapped")
	}
}

// TestTableTailRunsOver crafts hashes that all want the last slot.
func TestTableTailRunsOver(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 5000})
	defer mustClose(t, s)
	want := map[block.Hash]Entry{}
	for i := range tailSlots + 1 {
		e := Entry{Hash: block.Hash{Hi: math.MaxUint64, Lo: uint32(i)}, Seq: 1, Ord: uint32(i)}
		if !s.Insert(e) {
			t.Fatalf("no room for %d", i)
		}
		want[e.Hash] = e
	}
	if s.needsFreeze() {
		t.Fatal("full too early")
	}
	last := Entry{Hash: block.Hash{Hi: math.MaxUint64, Lo: tailSlots + 1}, Seq: 1}
	if s.Insert(last) || !s.needsFreeze() || s.Free() != 0 {
		t.Fatal("the tail is full and does not say so")
	}
	checkAll(t, s, want, []block.Hash{last.Hash})
	seal(t, s, nil)
	checkAll(t, s, want, []block.Hash{last.Hash})
	if !s.Insert(last) {
		t.Fatal("no room in a new table")
	}
}

func TestOptionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opt Options
		ok  bool
	}{
		{Options{}, true},
		{Options{RecentSlots: minRecentSlots, MaxRuns: 2, TierFanout: 2, BitsPerID: 1}, true},
		{Options{RecentSlots: minRecentSlots - 1}, false},
		{Options{RecentSlots: maxRecentSlots + 1}, false},
		{Options{RecentSlots: 16, MaxRuns: 1}, false},
		{Options{RecentSlots: 16, MaxRuns: 1024, TierFanout: 1024, BitsPerID: maxBitsPerID}, true},
		{Options{RecentSlots: 16, MaxRuns: 1025}, false},
		{Options{RecentSlots: 16, TierFanout: 1}, false},
		{Options{RecentSlots: 16, TierFanout: 1025}, false},
		{Options{RecentSlots: 16, BitsPerID: -1}, false},
		{Options{RecentSlots: 16, BitsPerID: maxBitsPerID + 1}, false},
	} {
		s, err := Open(vfs.NewMem(), "ids", nil, c.opt)
		if (err == nil) != c.ok || err != nil && meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%+v: %v", c.opt, err)
		}
		if s != nil {
			mustClose(t, s)
		}
	}
}
