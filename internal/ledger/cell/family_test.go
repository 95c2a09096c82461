package cell

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"odometer/internal/fixedtest"
)

// only returns the family of a meter that shares nothing.
func only(t *Table, version uint32, kind Kind) uint32 {
	if m, ok := t.members[version]; ok {
		return m.family
	}
	return t.Family([]Column{{kind, []uint32{version}}})
}

// seriesCount returns the number of series of such a family.
func seriesCount(t *Table, version uint32) (n int) {
	if m, ok := t.members[version]; ok {
		t.seriesOf(m.family, func(uint32) bool { n++; return true })
	}
	return n
}

// A family's cells are flushed and read as those of meters that share nothing,
// whatever of an event each column lacks.
func TestFamilyIsAsItsMetersAlone(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 20 {
		columns := make([]Column, 1+rng.IntN(MaxColumns))
		version := uint32(0)
		for k := range columns {
			columns[k].Kind = allKinds[rng.IntN(len(allKinds))]
			for range 1 + rng.IntN(2) {
				version++
				columns[k].Versions = append(columns[k].Versions, version)
			}
		}
		shared, apart := NewTable(0), NewTable(0)
		family := shared.Family(columns)
		for range 3000 {
			group, slot := []uint64{rng.Uint64N(4), rng.Uint64N(4)}, int32(rng.IntN(60)-30)
			seed := rng.Uint64()
			n := shared.Series(family, group)
			for k, c := range columns {
				if rng.IntN(3) == 0 {
					continue
				}
				fresh := shared.Meet(n, 1<<k) != 0
				addTo(rand.New(rand.NewPCG(seed, 2)), shared, c.Kind, shared.Cell(n, slot)+uint32(k))
				for _, v := range c.Versions {
					before := seriesCount(apart, v)
					one := apart.Series(only(apart, v, c.Kind), group)
					addTo(rand.New(rand.NewPCG(seed, 2)), apart, c.Kind, apart.Cell(one, slot))
					if fresh != (seriesCount(apart, v) > before) {
						t.Fatalf("group %v of version %d: first is %v", group, v, fresh)
					}
				}
			}
		}
		kinds := map[uint32]Kind{}
		for _, c := range columns {
			for _, v := range c.Versions {
				kinds[v] = c.Kind
			}
		}
		content := func(tab *Table) (lines []string) {
			plan := func(v uint32) (Plan, bool) {
				return Plan{Layout: Layout{Version: v, Kind: kinds[v], Groups: 2, SlotsPerDay: 24}, Projections: []Projection{
					{ID: ProjectionAll}, {ID: ProjectionCustomer, Take: []int{1}}, {ID: ProjectionTotal}}}, true
			}
			emit := func(key, value []byte) error {
				lines = append(lines, fmt.Sprintf("%x %x", key, value))
				return nil
			}
			if err := Flush(tab, nil, emit, plan); err != nil {
				t.Fatal(err)
			}
			var dirty []string
			tab.DirtySlots(func(version uint32, group []uint64, slot int32, sequence uint64) {
				dirty = append(dirty, fmt.Sprint(version, group, slot, sequence))
			})
			slices.Sort(dirty)
			return append(lines, dirty...)
		}
		if got, want := content(shared), content(apart); !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("line %d of %d: %s\nwant of %d: %s", i, len(got), got[i], len(want), want[i])
				}
			}
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
	}
}
