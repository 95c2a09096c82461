package cell

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func openMem(t *testing.T) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Merger: Merger, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestReadFindsExactlyItsChunks writes groups with gaps of many lengths between
// their days, neighbours of other versions and organizations beside them, and
// compares what Read finds in random ranges with what was written.
func TestReadFindsExactlyItsChunks(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	db := openMem(t)
	type place struct {
		a, b uint64
		day  int32
	}
	var written []place
	scope := Scope{Layout: Layout{Org: "acme", Version: 5, Kind: Numeric, Groups: 2, SlotsPerDay: 4}}
	ids := []uint64{0, 1, 255, 1 << 40, ^uint64(0)}
	for _, a := range ids {
		for _, b := range ids {
			for day := int32(-200); day < 200; day++ {
				if rng.IntN(3) == 0 || day%7 != 0 && rng.IntN(2) == 0 {
					continue
				}
				written = append(written, place{a, b, day})
				key := scope.AppendKey(nil, ProjectionAll, []uint64{a, b}, day)
				if err := db.Set(key, emptyChunk(Numeric, 4), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, l := range []Layout{{Org: "acme", Version: 4}, {Org: "acme", Version: 6}, {Org: "acmf", Version: 5}, {Org: "acm", Version: 5}} {
		if err := db.Set(l.AppendKey(nil, ProjectionAll, []uint64{1, 1}, 0), []byte("not ours"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Set(scope.AppendKey(nil, ProjectionCustomer, []uint64{1}, 0), []byte("not ours"), nil); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		first := int32(rng.IntN(420) - 210)
		last := first + int32(rng.IntN(30))
		scope.From, scope.To = first*4+int32(rng.IntN(4)), last*4+1+int32(rng.IntN(4))
		scope.From = min(scope.From, scope.To-1)
		scope.Group = []uint64{ids[rng.IntN(len(ids))], ids[rng.IntN(len(ids))]}[:rng.IntN(3)]
		var want, got []place
		for _, p := range written {
			if p.day >= first && p.day <= last && slices.Equal([]uint64{p.a, p.b}[:len(scope.Group)], scope.Group) {
				want = append(want, p)
			}
		}
		err := readChunks(db, &scope, func(group []uint64, day int32, _ []byte) error {
			got = append(got, place{group[0], group[1], day})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("days %d to %d of %v: %d chunks, want %d", first, last, scope.Group, len(got), len(want))
		}
	}
}

func TestReadReportsDamage(t *testing.T) {
	t.Parallel()
	layout := Layout{Org: "acme", Version: 5, Kind: Numeric, Groups: 1, SlotsPerDay: 4}
	key := layout.AppendKey(nil, ProjectionAll, []uint64{1}, 0)
	for name, kv := range map[string][2][]byte{
		"key too long":  {append(slices.Clone(key[:len(key)-4]), 1, 2, 3, 4, 5), emptyChunk(Numeric, 4)},
		"value damaged": {key, []byte("no chunk")},
		"another kind":  {key, emptyChunk(Max, 4)},
		"other slots":   {key, emptyChunk(Numeric, 8)},
	} {
		db := openMem(t)
		if err := db.Set(kv[0], kv[1], nil); err != nil {
			t.Fatal(err)
		}
		scope := Scope{Layout: layout, From: -1 << 31, To: 1<<31 - 1}
		err := scope.collect(db, func([]uint64, int32, *State) error { return nil })
		if meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, slots := range [][2]int32{{0, 0}, {5, 4}, {0, -1 << 31}} {
		scope := Scope{Layout: layout, From: slots[0], To: slots[1]}
		if err := scope.collect(openMem(t), nil); err != nil {
			t.Errorf("no slots: %v", err)
		}
	}
	scope := Scope{Layout: layout, Group: []uint64{1, 2}, To: 1}
	if err := scope.collect(openMem(t), nil); err == nil {
		t.Error("more ids than the projection has were accepted")
	}
}

// TestCollectPassesErrorsOn stops at the first error of the callback, in chunks and in tables.
func TestCollectPassesErrorsOn(t *testing.T) {
	t.Parallel()
	db := openMem(t)
	tab := NewTable(0)
	for slot := range int32(5) {
		tab.addCount(tab.Cell(tab.Series(only(tab, 5, Numeric), []uint64{1}), slot), 1)
	}
	plan := Plan{Layout: Layout{Org: "acme", Version: 5, Kind: Numeric, Groups: 1, SlotsPerDay: 4}, Projections: []Projection{{ID: ProjectionAll}}}
	flushInto(t, db, tab, plan)
	stop := fmt.Errorf("stop")
	scope := Scope{Layout: plan.Layout, To: 100}
	for _, r := range []pebble.Reader{db, nil} {
		calls := 0
		err := scope.collect(r, func([]uint64, int32, *State) error {
			calls++
			return stop
		}, tab)
		if err != stop || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
	}
}

// TestAddingAllocatesNothing covers what a query does per slot.
func TestAddingAllocatesNothing(t *testing.T) {
	rng := fixedtest.Rand(t)
	for _, kind := range []Kind{Numeric, Min, Max} {
		chunk := randomChunk(t, rng, kind, 96, 500)
		slots := make([]State, 96)
		for i := range slots {
			slots[i].Kind = kind
		}
		var r chunkReader
		allocs := testing.AllocsPerRun(10, func() {
			if err := r.Reset(chunk); err != nil {
				t.Fatal(err)
			}
			for r.Next() {
				slots[r.Slot()].Merge(r.State())
			}
		})
		if allocs > 0 || r.Err() != nil {
			t.Errorf("kind %d: %v allocations, %v", kind, allocs, r.Err())
		}
	}
}

// collect calls fn for everything that is known about the scope's cells: the
// chunks in r (nil = none), then the cells of the tables. The states of one group and slot
// come in as many calls as there are parts; merging them gives the whole.
func (s *Scope) collect(r pebble.Reader, fn VisitFunc, tables ...*Table) error {
	if r != nil {
		if err := s.Chunks(r, fn); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if err := s.Cells(t, fn); err != nil {
			return err
		}
	}
	return nil
}
