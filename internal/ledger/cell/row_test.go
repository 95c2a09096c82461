package cell

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// Meters that share keys are stored, merged, recomputed and read as if each had
// its own, whatever columns a group lacks, and whoever is deleted meanwhile.
func TestStoreIsAsItsMetersAlone(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 20 {
		compareStores(t, rng)
	}
}

// pairOfStores are meters of one table, stored together and each by itself.
type pairOfStores struct {
	columns         []Column
	kinds           map[uint32]Kind
	places          map[uint32]int
	deleted         map[uint32]bool
	together, apart *pebble.DB
	operands        map[string][][]byte // of values of several
}

func newPairOfStores(t *testing.T, rng *rand.Rand) *pairOfStores {
	p := &pairOfStores{columns: make([]Column, 1+rng.IntN(MaxStored)), kinds: map[uint32]Kind{}, places: map[uint32]int{}, deleted: map[uint32]bool{}, operands: map[string][][]byte{}}
	order := rng.Perm(MaxStored) // the places in the table are not those in the store
	version := uint32(0)
	for k := range p.columns {
		c := &p.columns[k]
		c.Kind = allKinds[rng.IntN(len(allKinds))]
		for range 1 + rng.IntN(2) {
			version++
			c.Versions = append(c.Versions, version)
			p.kinds[version], p.places[version] = c.Kind, order[k]
		}
	}
	for _, db := range []**pebble.DB{&p.together, &p.apart} {
		opened, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Merger: Merger})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = opened.Close() })
		*db = opened
	}
	return p
}

func (p *pairOfStores) plan(v uint32, shared bool) Plan {
	plan := Plan{Layout: Layout{Version: v, Kind: p.kinds[v], Groups: 2, SlotsPerDay: 24}, Projections: []Projection{
		{ID: ProjectionAll}, {ID: ProjectionCustomer, Take: []int{1}}, {ID: ProjectionTotal}}}
	if shared {
		plan.Store, plan.Column = 1, p.places[v]
	}
	return plan
}

func (p *pairOfStores) flush(t *testing.T, tab *Table, db *pebble.DB, shared bool) {
	t.Helper()
	var last []byte
	err := Flush(tab, nil, func(key, value []byte) error {
		if bytes.Compare(last, key) >= 0 {
			t.Fatalf("key %x after %x", key, last)
		}
		last = append(last[:0], key...)
		if shared {
			p.operands[string(key)] = append(p.operands[string(key)], slices.Clone(value))
		}
		return db.Merge(key, value, pebble.NoSync)
	}, func(v uint32) (Plan, bool) { return p.plan(v, shared), !p.deleted[v] })
	if err != nil {
		t.Fatal(err)
	}
}

// lines are all cells of a version in one projection.
func (p *pairOfStores) lines(t *testing.T, v uint32, projection Projection, db *pebble.DB, shared bool) (lines []string) {
	t.Helper()
	s := Scope{Layout: p.plan(v, shared).Layout, Projection: projection, From: -1 << 31, To: 1<<31 - 1}
	err := s.Chunks(db, func(group []uint64, slot int32, st *State) error {
		lines = append(lines, fmt.Sprintf("%v %d %s", group, slot, sayState(st)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func compareStores(t *testing.T, rng *rand.Rand) {
	p := newPairOfStores(t, rng)
	for range 5 {
		tab := NewTable(0)
		family := tab.Family(p.columns)
		for range 400 {
			n := tab.Series(family, []uint64{rng.Uint64N(4), rng.Uint64N(4)})
			row := tab.Cell(n, int32(rng.IntN(80)-40))
			for k, c := range p.columns {
				if rng.IntN(3) > 0 {
					addTo(rng, tab, c.Kind, row+uint32(k))
				}
			}
		}
		p.flush(t, tab, p.together, true)
		p.flush(t, tab, p.apart, false)
		p.deleted[uint32(1+rng.IntN(2*len(p.kinds)))] = true // or nobody
	}
	for v := range p.kinds {
		if p.deleted[v] {
			continue
		}
		for _, projection := range p.plan(v, true).Projections {
			got, want := p.lines(t, v, projection, p.together, true), p.lines(t, v, projection, p.apart, false)
			if !slices.Equal(got, want) || len(want) == 0 {
				t.Fatalf("version %d, projection %d: %d cells\n%v\nwant %d\n%v", v, projection.ID, len(got), got, len(want), want)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.operands)) {
		requireOneSum(t, rng, p.operands[key])
	}
}

func sayState(s *State) string {
	set := []byte(nil)
	if s.Set != nil {
		set = s.Set.appendTo(nil)
	}
	return fmt.Sprintf("%d %d %v %v %d %s %s %x", s.Count, s.Dirty, s.Sum, s.Value, s.Time, s.Source, s.ID, set)
}

// requireOneSum merges values in two groupings, and wants the same bytes.
func requireOneSum(t *testing.T, rng *rand.Rand, values [][]byte) {
	t.Helper()
	want, err := Merge(values...)
	if err != nil {
		t.Fatal(err)
	}
	values = slices.Clone(values)
	for len(values) > 1 {
		i := rng.IntN(len(values) - 1)
		both, err := Merge(values[i], values[i+1])
		if err != nil {
			t.Fatal(err)
		}
		values = slices.Replace(values, i, i+2, both)
	}
	if !bytes.Equal(values[0], want) {
		t.Fatalf("%x, want %x", values[0], want)
	}
}

// Recomputing one column leaves the others of the value as they are.
func TestInstallLeavesOtherColumns(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	chunk := func(k Kind) []byte {
		tab := NewTable(0)
		row := tab.Cell(tab.Series(tab.Family([]Column{{k, []uint32{1}}}), nil), 5)
		addTo(rng, tab, k, row)
		var out []byte
		err := Flush(tab, nil, func(_, value []byte) error { out = slices.Clone(value); return nil }, func(uint32) (Plan, bool) {
			return Plan{Layout: Layout{Version: 1, Kind: k, SlotsPerDay: 24}, Projections: []Projection{{ID: ProjectionAll}}}, true
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	sum, most := chunk(Numeric), chunk(Max)
	row, err := withColumn(sum, 3, most)
	if err != nil {
		t.Fatal(err)
	}
	quantity, err := meter.ParseQuantity("41")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		column int
		base   []byte
		others map[int][]byte
	}{
		{3, row, map[int][]byte{0: sum}}, {0, row, map[int][]byte{3: most}}, {5, row, map[int][]byte{0: sum, 3: most}},
		{2, row, map[int][]byte{0: sum, 3: most}}, {0, nil, nil}, {7, nil, nil}, {0, sum, nil}, {4, sum, map[int][]byte{0: sum}},
	} {
		l := Layout{Kind: Max, SlotsPerDay: 24, Column: c.column}
		if c.column == 0 && len(c.base) > 0 {
			l.Kind = Numeric
		}
		state := State{Kind: l.Kind, Count: 2, Value: quantity}
		got, err := Install(&l, c.base, []Recomputed{{Slot: 5, State: state}}, 9)
		if err != nil {
			t.Fatal(err)
		}
		own, err := columnOf(got, c.column)
		var r chunkReader
		if err != nil || r.Reset(own) != nil || !r.Next() || r.state.Count != 2 || r.Slot() != 5 {
			t.Fatalf("column %d of %x: %x, %v", c.column, c.base, got, err)
		}
		n := 0
		for p := partsOf(got); p.next(); {
			if want, ok := c.others[p.column]; ok && bytes.Equal(p.chunk, want) {
				n++
			}
		}
		if n != len(c.others) {
			t.Errorf("column %d of %x: %x has %d of %d others", c.column, c.base, got, n, len(c.others))
		}
	}
	if _, err := Install(&Layout{Kind: Max, SlotsPerDay: 24, Column: MaxStored}, nil, nil, 9); meter.KindOf(err) != meter.KindInternal {
		t.Errorf("a column past the last: %v", err)
	}
}

// FuzzRow merges and reads arbitrary values. What is refused is KindCorrupt, and
// what is accepted has the same columns after it was put together again.
func FuzzRow(f *testing.F) {
	f.Add([]byte{1, 1, 0, 24, 1, 5, 0x11, 2, 7})
	f.Add([]byte{2, 0, 9, 1, 1, 0, 24, 1, 5, 0x11, 2, 7, 3, 9, 1, 1, 0, 24, 1, 5, 0x11, 2, 7})
	f.Add([]byte{2, 3, 0x80, 1})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, value []byte) {
		if sum, err := Merge(value, value); err == nil {
			if again, err := Merge(sum); err != nil || !bytes.Equal(again, sum) {
				t.Fatalf("%x: %x, %v", sum, again, err)
			}
		} else if meter.KindOf(err) != meter.KindCorrupt {
			t.Fatal(err)
		}
		if len(value) == 0 || value[0] != rowVersion {
			return
		}
		var rebuilt []byte
		p := partsOf(value)
		for p.next() {
			var err error
			if rebuilt, err = withColumn(rebuilt, p.column, p.chunk); err != nil {
				t.Fatal(err)
			}
			if at, err := columnOf(value, p.column); err != nil || !bytes.Equal(at, p.chunk) {
				t.Fatalf("column %d: %x, %v, want %x", p.column, at, err, p.chunk)
			}
		}
		if p.err() != nil && meter.KindOf(p.err()) != meter.KindCorrupt {
			t.Fatal(p.err())
		}
	})
}
