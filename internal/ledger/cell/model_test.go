package cell

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

var allKinds = []Kind{Numeric, Min, Max, Last, Distinct}

// randomQuantity makes integers, decimals and extremes of either sign.
func randomQuantity(rng *rand.Rand) meter.Quantity {
	var q meter.Quantity
	switch rng.IntN(5) {
	case 0:
		q = meter.QuantityFromInt64(rng.Int64N(1000))
	case 1:
		q = meter.QuantityFromInt64(rng.Int64())
	case 2:
		q = meter.QuantityFromParts(0, uint64(rng.Int64N(100))*1e10)
	case 3:
		q, _ = meter.ParseQuantity("99999999999999999999999999.999999999999")
	case 4:
		q = meter.QuantityFromParts(rng.Int64N(1<<60), rng.Uint64())
	}
	if rng.IntN(3) == 0 {
		q = q.Neg()
	}
	return q
}

// add puts one random event into a series and returns its state.
func add(rng *rand.Rand, tab *Table, kind Kind, n uint32, slot int32) *State {
	return addTo(rng, tab, kind, tab.Cell(n, slot))
}

// addTo puts one random event into a cell and returns its state.
func addTo(rng *rand.Rand, tab *Table, kind Kind, number uint32) *State {
	s := &State{Kind: kind, Count: 1}
	q := randomQuantity(rng)
	if rng.IntN(50) == 0 && kind != Numeric {
		s.Count, s.Dirty = 0, 1+rng.Uint64N(1000)
		tab.Dirty(number, s.Dirty)
		return s
	}
	switch kind {
	case Numeric:
		if rng.IntN(3) == 0 {
			s.Count = -1
		}
		if rng.IntN(4) == 0 {
			tab.addCount(number, s.Count)
			break
		}
		s.Sum.Add(q)
		tab.AddNumeric(number, s.Count, q)
	case Min:
		s.Value = q
		tab.AddMin(number, q)
	case Max:
		s.Value = q
		tab.AddMax(number, q)
	case Last:
		s.Value, s.Time = q, rng.Int64N(5)
		s.Source, s.ID = fmt.Append(nil, rng.IntN(3)), fmt.Append(nil, rng.IntN(100))
		tab.AddLast(number, s.Time, s.Source, s.ID, q)
	case Distinct:
		id := rng.Uint64N(200_000)
		s.Set = new(Set)
		s.Set.Add(id)
		tab.AddSet(number, id)
	}
	return s
}

// where is a group and a slot in a model.
type where struct {
	group string
	slot  int32
}

// model holds states by place, the naive way.
type model map[where]*State

func (m model) add(group []uint64, slot int32, s *State) {
	k := where{fmt.Sprint(group), slot}
	if m[k] == nil {
		m[k] = &State{Kind: s.Kind}
	}
	m[k].Merge(s)
}

// sameState compares what two states say.
func sameState(a, b *State) bool {
	if a.Kind != b.Kind || a.Count != b.Count || a.Dirty != b.Dirty || a.Sum != b.Sum || a.Value != b.Value || a.Time != b.Time ||
		!bytes.Equal(a.Source, b.Source) || !bytes.Equal(a.ID, b.ID) {
		return false
	}
	return bytes.Equal(setBytes(a.Set), setBytes(b.Set))
}

func setBytes(s *Set) []byte {
	if s == nil {
		s = new(Set)
	}
	return s.appendTo(nil)
}

func requireModel(t *testing.T, what string, want, got model) {
	t.Helper()
	for k, w := range want {
		g := got[k]
		if g == nil {
			g = &State{Kind: w.Kind}
		}
		if !sameState(w, g) {
			t.Fatalf("%s: %v:\nwant %+v\ngot  %+v", what, k, w, g)
		}
	}
	for k, g := range got {
		if want[k] == nil && !g.empty() {
			t.Fatalf("%s: %v: unexpected %+v", what, k, g)
		}
	}
}

// TestHistoryAgainstModel folds random events into tables, flushes some of
// them into Pebble, keeps the last ones frozen and active, and compares every
// projection, whole and in part, with a naive model.
func TestHistoryAgainstModel(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			for range 4 {
				testHistory(t, kind)
			}
		})
	}
}

func testHistory(t *testing.T, kind Kind) {
	rng := fixedtest.Rand(t)
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Merger: Merger})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	plan := Plan{
		Layout: Layout{Prefix: []byte{'c'}, Org: "acme", Version: 7, Kind: kind, Groups: 3, SlotsPerDay: []int{1, 96, 288, 1440}[rng.IntN(4)]},
		Projections: []Projection{{ID: ProjectionAll}, {ID: ProjectionCustomer, Take: []int{0}}, {ID: ProjectionTotal},
			{ID: ProjectionCustomerContract, Take: []int{0, 2}}},
	}
	// Another organization's meter lies before this one, though its version is higher.
	other := plan
	other.Version, other.Org, other.Groups, other.Projections = 8, "abc", 1, plan.Projections[:3]
	days := []int{1, 5, 3 * openDays}[rng.IntN(3)]
	liveTotal := rng.IntN(2) == 0
	takes := [][]int{{0, 1, 2}, {0}, {}, {0, 2}}
	want := make([]model, len(takes))
	for i := range want {
		want[i] = model{}
	}
	fill := func(tab *Table, events int) {
		for range events {
			group := []uint64{rng.Uint64N(4), rng.Uint64N(3), rng.Uint64N(2) << 40}
			slot := int32(rng.IntN(days*plan.SlotsPerDay)) - int32(days/2*plan.SlotsPerDay)
			var s *State
			if liveTotal {
				// The same event goes to the total: replay it there with the same randomness.
				seed := rng.Uint64()
				s = add(rand.New(rand.NewPCG(seed, 2)), tab, kind, tab.Series(only(tab, 7, kind), group), slot)
				add(rand.New(rand.NewPCG(seed, 2)), tab, kind, tab.Series(only(tab, 7, kind), nil), slot)
			} else {
				s = add(rng, tab, kind, tab.Series(only(tab, 7, kind), group), slot)
			}
			add(rng, tab, kind, tab.Series(only(tab, 8, kind), group[:1]), slot)
			tab.Series(only(tab, 9, kind), group)
			for i, take := range takes {
				var ids []uint64
				for _, at := range take {
					ids = append(ids, group[at])
				}
				want[i].add(ids, slot, s)
			}
		}
	}
	frozen, active := NewTable(0), NewTable(0)
	for range 1 + rng.IntN(6) {
		fill(frozen, rng.IntN(300))
		flushInto(t, db, frozen, plan, other)
		if rng.IntN(2) == 0 {
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		frozen.Reset()
	}
	fill(frozen, 100)
	fill(active, 100)
	for i, projection := range plan.Projections {
		scope := Scope{Layout: plan.Layout, Projection: projection, From: -1 << 31, To: 1<<31 - 1}
		cut := int32(rng.IntN(days*plan.SlotsPerDay)) - int32(days/2*plan.SlotsPerDay)
		requireCollected(t, db, scope, cut, want[i], frozen, active)
	}
}

// requireCollected reads a projection whole, and in parts: by first id and by
// the slots before and after cut.
func requireCollected(t *testing.T, db *pebble.DB, scope Scope, cut int32, want model, tables ...*Table) {
	t.Helper()
	got := model{}
	collect := func() {
		t.Helper()
		err := scope.collect(db, func(group []uint64, slot int32, s *State) error {
			got.add(group, slot, s)
			return nil
		}, tables...)
		if err != nil {
			t.Fatal(err)
		}
	}
	collect()
	requireModel(t, fmt.Sprint("projection ", scope.Projection.ID), want, got)
	got = model{}
	for id := range uint64(4) {
		if scope.width() > 0 {
			scope.Group = []uint64{id}
		} else if id > 0 {
			break
		}
		scope.From, scope.To = -1<<31, cut
		collect()
		scope.From, scope.To = cut, 1<<31-1
		collect()
	}
	requireModel(t, fmt.Sprint("parts of projection ", scope.Projection.ID), want, got)
}

// flushInto merges a table into db and checks the order of keys.
func flushInto(t *testing.T, db *pebble.DB, tab *Table, plans ...Plan) {
	t.Helper()
	b := db.NewBatch()
	var last []byte
	err := Flush(tab, nil, func(key, value []byte) error {
		if bytes.Compare(last, key) >= 0 {
			t.Fatalf("key %x after %x", key, last)
		}
		last = append(last[:0], key...)
		return b.Merge(key, value, nil)
	}, func(version uint32) (Plan, bool) {
		for _, p := range plans {
			if p.Version == version {
				return p, true
			}
		}
		return Plan{}, false
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}
