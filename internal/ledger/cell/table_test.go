package cell

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// TestTableGrowth registers enough series and cells to grow every index, and
// does it again after Reset.
func TestTableGrowth(t *testing.T) {
	t.Parallel()
	tab := NewTable(0)
	one := meter.QuantityFromInt64(1)
	for round := range 3 {
		const series, slots = 5000, 7
		group := func(i int) []uint64 { return []uint64{uint64(i % 50), uint64(i) << 30} }
		numbers := make([]uint32, series)
		for i := range series {
			numbers[i] = tab.Series(only(tab, uint32(1+i%2), Numeric), group(i))
		}
		for slot := range int32(slots) {
			for i := range series {
				if n := tab.Series(only(tab, uint32(1+i%2), Numeric), group(i)); n != numbers[i] {
					t.Fatalf("series %d was %d, is %d", i, numbers[i], n)
				}
				tab.AddNumeric(tab.Cell(numbers[i], -slot), 1, one)
				tab.AddNumeric(tab.Cell(numbers[i], -slot), 2, one)
			}
		}
		if tab.Cells() != series*slots || tab.empty() || seriesCount(tab, 1) != series/2 || seriesCount(tab, 3) != 0 {
			t.Fatalf("round %d: %d cells, %d series", round, tab.Cells(), seriesCount(tab, 1))
		}
		for i, n := range numbers {
			if found, ok := tab.FindSeries(only(tab, uint32(1+i%2), Numeric), group(i)); !ok || found != n || !slices.Equal(tab.group(n), group(i)) {
				t.Fatalf("series %d: %d, %v", i, found, ok)
			}
			var seen []int32
			tab.visit(n, 0, func(slot int32, s *State) {
				seen = append(seen, slot)
				if s.Count != 3 || s.Sum.String() != "2" {
					t.Fatalf("slot %d: %+v", slot, s)
				}
			})
			if slices.Sort(seen); !slices.Equal(seen, []int32{-6, -5, -4, -3, -2, -1, 0}) {
				t.Fatalf("series %d has slots %v", i, seen)
			}
		}
		if _, ok := tab.FindSeries(only(tab, 1, Numeric), group(1)); ok {
			t.Fatal("found a series of another family")
		}
		tab.Reset()
		if !tab.empty() || tab.Bytes() != 0 || seriesCount(tab, 1) != 0 {
			t.Fatalf("after Reset: %d bytes", tab.Bytes())
		}
		if _, ok := tab.FindSeries(only(tab, 1, Numeric), group(0)); ok {
			t.Fatal("found a series after Reset")
		}
	}
}

func TestTableLists(t *testing.T) {
	t.Parallel()
	tab := NewTable(0)
	byFirst := map[string][]uint32{}
	for version := range uint32(3) {
		for i := range uint64(30) {
			n := tab.Series(only(tab, version, Numeric), []uint64{i % 4, i})
			k := fmt.Sprint(version, i%4)
			byFirst[k] = append(byFirst[k], n)
		}
		tab.Series(only(tab, version, Numeric), nil)
	}
	for version := range uint32(3) {
		all := 0
		tab.seriesOf(only(tab, version, Numeric), func(n uint32) bool { all++; return true })
		if all != 31 {
			t.Fatalf("version %d: %d series", version, all)
		}
		for id := range uint64(5) {
			var got []uint32
			tab.seriesOfFirst(only(tab, version, Numeric), id, func(n uint32) bool {
				got = append(got, n)
				return true
			})
			slices.Sort(got)
			if want := byFirst[fmt.Sprint(version, id)]; !slices.Equal(got, want) {
				t.Fatalf("version %d, id %d: %v, want %v", version, id, got, want)
			}
		}
	}
	stop := 0
	tab.seriesOf(only(tab, 1, Numeric), func(uint32) bool { stop++; return stop < 3 })
	tab.seriesOfFirst(only(tab, 1, Numeric), 1, func(uint32) bool { stop++; return stop < 5 })
	if stop != 5 {
		t.Fatalf("went on after false: %d", stop)
	}
}

// TestTableBytes holds the estimate against what is really there, and requires
// that a Reset after a burst gives memory back.
func TestTableBytes(t *testing.T) {
	t.Parallel()
	tab := NewTable(0)
	fill := func(cells int) {
		for i := range cells {
			tab.addCount(tab.Cell(tab.Series(only(tab, 1, Numeric), []uint64{uint64(i % 1000), 1}), int32(i/1000)), 1)
		}
	}
	held := func() int64 {
		return int64(len(tab.cells))*blockCells*cellSize + int64(len(tab.index)+len(tab.sindex))*4 +
			int64(cap(tab.series))*seriesSize + int64(cap(tab.arena))*8
	}
	fill(300_000)
	if b, h := tab.Bytes(), held(); b < h/2 || b > 2*h {
		t.Fatalf("Bytes %d, holds %d", b, h)
	}
	large := held()
	tab.Reset()
	fill(2000)
	tab.Reset()
	if h := held(); h > large/8 {
		t.Fatalf("holds %d after a small interval, %d after a large one", h, large)
	}
	last := tab.Series(only(tab, 2, Last), []uint64{1})
	before := tab.Bytes()
	tab.AddLast(tab.Cell(last, 0), 5, make([]byte, 100), make([]byte, 200), meter.Quantity{})
	if grown := tab.Bytes() - before; grown < 300 {
		t.Fatalf("the strings of Last are not counted: %d", grown)
	}
	set := tab.Series(only(tab, 3, Distinct), []uint64{1})
	before = tab.Bytes()
	for i := range uint64(100_000) {
		if n := tab.AddSet(tab.Cell(set, 0), i); n != int(i)+1 {
			t.Fatalf("%d distinct values, want %d", n, i+1)
		}
	}
	if grown := tab.Bytes() - before; grown < 100_000/8 || grown > 100_000 {
		t.Fatalf("a set of 100,000 counts as %d bytes", grown)
	}
}

// TestFrozenTableIsShared reads a table from several goroutines while two others flush it.
func TestFrozenTableIsShared(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for _, kind := range allKinds {
		tab := NewTable(0)
		for range 500 {
			add(rng, tab, kind, tab.Series(only(tab, 1, kind), []uint64{rng.Uint64N(5), rng.Uint64N(5)}), int32(rng.IntN(50)))
		}
		plan := Plan{Layout: Layout{Version: 1, Kind: kind, Groups: 2, SlotsPerDay: 24},
			Projections: []Projection{{ID: ProjectionAll}, {ID: ProjectionCustomer, Take: []int{0}}, {ID: ProjectionTotal}}}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if i < 2 {
					if err := Flush(tab, nil, func(_, _ []byte) error { return nil }, func(uint32) (Plan, bool) { return plan, true }); err != nil {
						t.Error(err)
					}
					return
				}
				scope := Scope{Layout: plan.Layout, Projection: plan.Projections[i%3], From: 0, To: 100}
				first := State{Kind: kind}
				err := scope.collect(nil, func(_ []uint64, slot int32, s *State) error {
					if slot < 10 {
						first.Merge(s)
					}
					return nil
				}, tab)
				if err != nil || first.empty() {
					t.Error("nothing read", err)
				}
			})
		}
		wg.Wait()
	}
}

// TestDirtySlots lists what was marked, with the latest sequence of each slot;
// one that is never recomputed stays so through merge and install.
func TestDirtySlots(t *testing.T) {
	t.Parallel()
	tab := NewTable(0)
	a, b := tab.Series(only(tab, 1, Min), []uint64{1}), tab.Series(only(tab, 2, Distinct), []uint64{2})
	tab.AddMin(tab.Cell(a, 3), meter.QuantityFromInt64(1))
	tab.Dirty(tab.Cell(a, 3), 7)
	tab.Dirty(tab.Cell(a, 3), 5)
	tab.Dirty(tab.Cell(b, -4), Permanent)
	tab.Dirty(tab.Cell(b, -4), 9)
	got := map[string]uint64{}
	tab.DirtySlots(func(version uint32, group []uint64, slot int32, sequence uint64) {
		got[fmt.Sprint(version, group, slot)] = sequence
	})
	if want := map[string]uint64{"1 [1] 3": 7, "2 [2] -4": Permanent}; !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	l := Layout{Version: 1, Kind: Distinct, SlotsPerDay: 96}
	one := NewTable(0)
	one.Dirty(one.Cell(one.Series(only(one, 1, Distinct), nil), 0), Permanent)
	base, err := Merge(flushOne(t, one, Distinct, 96), flushOne(t, one, Distinct, 96))
	if err != nil {
		t.Fatal(err)
	}
	base, err = Install(&l, base, []Recomputed{{0, State{Kind: Distinct, Count: 1, Set: setOf(4)}}}, Permanent-1)
	if err != nil {
		t.Fatal(err)
	}
	if states, err := decode(base); err != nil || states[0] == nil || states[0].Dirty != Permanent {
		t.Fatalf("%+v, %v", states[0], err)
	}
	tab.Reset()
	tab.DirtySlots(func(uint32, []uint64, int32, uint64) { t.Fatal("dirty after Reset") })
}

func TestFlushRefusesBadPlans(t *testing.T) {
	t.Parallel()
	tab := NewTable(0)
	tab.addCount(tab.Cell(tab.Series(only(tab, 1, Numeric), []uint64{1, 2}), 0), 1)
	good := Layout{Version: 1, Kind: Numeric, Groups: 2, SlotsPerDay: 96}
	noSlots := good
	noSlots.SlotsPerDay = 0
	for _, p := range []Plan{
		{Layout: noSlots},
		{Layout: good, Projections: []Projection{{ID: ProjectionCustomer, Take: []int{2}}}},
		{Layout: good, Projections: []Projection{{ID: ProjectionCustomer, Take: []int{-1}}}},
	} {
		err := Flush(tab, nil, func(_, _ []byte) error { return nil }, func(uint32) (Plan, bool) { return p, true })
		if err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	// What emit says is passed on, whichever projection it is about.
	full := fmt.Errorf("full")
	for id := range uint8(3) {
		p := Plan{Layout: good, Projections: []Projection{{ID: id, Take: []int{0}}}}
		err := Flush(tab, nil, func(_, _ []byte) error { return full }, func(uint32) (Plan, bool) { return p, true })
		if err != full {
			t.Errorf("projection %d: %v", id, err)
		}
	}
}
