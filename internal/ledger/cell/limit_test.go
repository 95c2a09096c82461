package cell

import (
	"bytes"
	"testing"

	"odometer/internal/fixedtest"
)

// A slot whose parts hold more values than allowed ends up the same, dirty for
// good and without values, in whatever order and grouping its parts are merged.
func TestMergeBeyondSetValues(t *testing.T) {
	t.Parallel()
	const limit = 5
	rng := fixedtest.Rand(t)
	layout := Layout{Version: 1, Kind: Distinct, SlotsPerDay: 4, SetValues: limit}
	over := 0
	for range 300 {
		parts := make([][]byte, 2+rng.IntN(5))
		all := map[uint64]bool{}
		for i := range parts {
			table := NewTable(0)
			n := table.Series(only(table, 1, Distinct), nil)
			for range 1 + rng.IntN(3) {
				id := rng.Uint64N(9)
				all[id] = true
				if table.AddSet(table.Cell(n, 2), id) > limit {
					table.Forget(table.Cell(n, 2))
				}
			}
			err := Flush(table, nil, func(_, value []byte) error { parts[i] = bytes.Clone(value); return nil },
				func(uint32) (Plan, bool) {
					return Plan{Layout: layout, Projections: []Projection{{ID: ProjectionAll}}}, true
				})
			if err != nil {
				t.Fatal(err)
			}
		}
		var first []byte
		for round := range 4 {
			list := append([][]byte(nil), parts...)
			rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for len(list) > 1 {
				i := rng.IntN(len(list) - 1)
				v, err := merge(limit, list[i], list[i+1])
				if err != nil {
					t.Fatal(err)
				}
				list = append(list[:i], append([][]byte{v}, list[i+2:]...)...)
			}
			if round == 0 {
				first = list[0]
			} else if !bytes.Equal(first, list[0]) {
				t.Fatalf("%x and %x from the same parts", first, list[0])
			}
		}
		var r chunkReader
		if err := r.Reset(first); err != nil || !r.Next() {
			t.Fatal(err, r.Err())
		}
		s := r.State()
		if tooMany := len(all) > limit; (s.Dirty == Permanent) != tooMany || tooMany && s.Set.Len() != 0 || !tooMany && s.Set.Len() != len(all) {
			t.Fatalf("%d values: dirty %d, %d kept", len(all), s.Dirty, s.Set.Len())
		}
		if len(all) > limit {
			over++
		}
	}
	if over == 0 {
		t.Error("no slot was over the limit")
	}
}

// Forget gives the memory of a slot's values back.
func TestForget(t *testing.T) {
	t.Parallel()
	table := NewTable(0)
	n := table.Series(only(table, 1, Distinct), nil)
	table.AddSet(table.Cell(n, 0), 1)
	before := table.Bytes()
	for id := range uint64(10_000) {
		table.AddSet(table.Cell(n, 0), id<<16)
	}
	grown := table.Bytes()
	table.Forget(table.Cell(n, 0))
	if after := table.Bytes(); after > before+dirtyCost || grown < before+10_000 {
		t.Errorf("%d bytes, %d with values, %d after", before, grown, after)
	}
	table.visit(n, 0, func(_ int32, s *State) {
		if s.Dirty != Permanent || s.Set.Len() != 0 || s.Count != 10_001 {
			t.Errorf("%+v", s)
		}
	})
}
