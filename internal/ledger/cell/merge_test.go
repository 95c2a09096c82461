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

// mergeTree merges values in a random order and a random grouping.
func mergeTree(t *testing.T, rng *rand.Rand, values [][]byte) []byte {
	t.Helper()
	values = append([][]byte(nil), values...)
	rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	for len(values) > 1 {
		n := min(2+rng.IntN(3), len(values))
		at := rng.IntN(len(values) - n + 1)
		m, err := Merger.Merge(nil, values[at])
		for i := 1; err == nil && i < n; i++ {
			if rng.IntN(2) == 0 {
				err = m.MergeNewer(values[at+i])
			} else {
				err = m.MergeOlder(values[at+i])
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		merged, closer, err := m.Finish(rng.IntN(2) == 0)
		if err != nil {
			t.Fatal(err)
		}
		merged = bytes.Clone(merged)
		closer.Close()
		values = append(append(append([][]byte(nil), values[:at]...), merged), values[at+n:]...)
	}
	return values[0]
}

// TestMergeGrouping merges the same chunks in many orders and groupings: the
// bytes must be the same, and say what adding the states says.
func TestMergeGrouping(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			rng := fixedtest.Rand(t)
			for range 20 {
				perDay := []int{1, 24, 96, 1440}[rng.IntN(4)]
				var values [][]byte
				want := map[int]*State{}
				for range 2 + rng.IntN(8) {
					v := randomChunk(t, rng, kind, perDay, rng.IntN(60))
					values = append(values, v)
					if kind == Numeric && rng.IntN(2) == 0 {
						values = append(values, negated(t, v))
					}
				}
				for _, v := range values {
					states, err := decode(v)
					if err != nil {
						t.Fatal(err)
					}
					for slot, s := range states {
						if want[slot] == nil {
							want[slot] = &State{Kind: kind}
						}
						want[slot].Merge(s)
					}
				}
				for slot, s := range want {
					if s.empty() {
						delete(want, slot)
					}
				}
				first := mergeTree(t, rng, values)
				got, err := decode(first)
				if err != nil {
					t.Fatal(err)
				}
				sameChunk(t, "merged", want, got)
				for range 10 {
					if other := mergeTree(t, rng, values); !bytes.Equal(first, other) {
						t.Fatalf("another grouping gives\n%x\nnot\n%x", other, first)
					}
				}
			}
		})
	}
}

// negated returns the Numeric chunk that takes v back.
func negated(t *testing.T, v []byte) []byte {
	t.Helper()
	var r chunkReader
	if err := r.Reset(v); err != nil {
		t.Fatal(err)
	}
	var p page
	p.reset(Numeric, r.perDay, maxScale)
	for r.Next() {
		p.addNumber(r.Slot(), -r.State().Count, wideOf(r.State().Sum.Neg()))
	}
	p.shrink()
	return p.encode(nil)
}

func TestMergeTakesBack(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	v := randomChunk(t, rng, Numeric, 96, 200)
	got, err := Merge(v, negated(t, v))
	if err != nil {
		t.Fatal(err)
	}
	states, err := decode(got)
	if err != nil || len(states) != 0 {
		t.Fatalf("%d slots are left, %v", len(states), err)
	}
	// Nothing left is still an operand, and the identity.
	back, err := Merge(got, v)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decode(v)
	states, err = decode(back)
	if err != nil {
		t.Fatal(err)
	}
	sameChunk(t, "identity", want, states)
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	good := randomChunk(t, rng, Numeric, 96, 20)
	for name, other := range map[string][]byte{
		"damage":           good[:len(good)-1],
		"another kind":     randomChunk(t, rng, Min, 96, 20),
		"other slot width": randomChunk(t, rng, Numeric, 48, 20),
	} {
		if _, err := Merge(good, other); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s second: %v", name, err)
		}
		if _, err := Merge(other, good); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s first: %v", name, err)
		}
	}
	// A sum that no longer fits 192 bits is damage, not a wrong total.
	var p page
	p.reset(Numeric, 96, 0)
	p.addNumber(3, 1, wide{0, 0, 1 << 62})
	large := p.encode(nil)
	p.reset(Numeric, 96, 12)
	p.addNumber(3, 1, wide{1, 0, 0})
	small := p.encode(nil)
	for _, pair := range [][2][]byte{{large, small}, {small, large}} {
		if _, err := Merge(pair[0], pair[1]); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("overflow: %v", err)
		}
	}
}

// TestInstall replaces dirty slots and leaves the others and the later voids alone.
func TestInstall(t *testing.T) {
	t.Parallel()
	l := Layout{Org: "acme", Version: 1, Kind: Max, SlotsPerDay: 96}
	tab := NewTable(0)
	n := tab.Series(only(tab, 1, Max), nil)
	q := meter.QuantityFromInt64
	for slot := range int32(4) {
		tab.AddMax(tab.Cell(n, slot), q(100))
		tab.AddMax(tab.Cell(n, slot), q(5))
	}
	tab.Dirty(tab.Cell(n, 1), 10)
	tab.Dirty(tab.Cell(n, 2), 11)
	tab.Dirty(tab.Cell(n, 2), 7) // an earlier one must not win
	tab.Dirty(tab.Cell(n, 3), 10)
	var base []byte
	err := Flush(tab, nil, func(_, value []byte) error {
		base = bytes.Clone(value)
		return nil
	}, func(uint32) (Plan, bool) {
		return Plan{Layout: l, Projections: []Projection{{ID: ProjectionAll}}}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if base[1]&flagDirty == 0 {
		t.Fatal("the chunk lists no dirty slots")
	}
	five := State{Kind: Max, Count: 1, Value: q(5)}
	got, err := Install(&l, base, []Recomputed{{1, five}, {2, five}, {3, State{Kind: Max}}, {4, five}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	states, err := decode(got)
	if err != nil {
		t.Fatal(err)
	}
	sameChunk(t, "installed", map[int]*State{
		0: {Kind: Max, Count: 2, Value: q(100)},
		1: &five,
		2: {Kind: Max, Count: 2, Value: q(100), Dirty: 11}, // voided after the recompute
		// 3: nothing is left of it
		4: &five,
	}, states)
	if got, err = Install(&l, got, []Recomputed{{2, five}}, 11); err != nil || got[1]&flagDirty != 0 {
		t.Fatalf("still dirty: %v", err)
	}
	if got, err = Install(&l, nil, []Recomputed{{95, five}}, 11); err != nil {
		t.Fatal(err)
	}
	if states, err = decode(got); err != nil || len(states) != 1 || !sameState(states[95], &five) {
		t.Fatalf("without a base: %v, %v", states, err)
	}
	for _, slot := range []int{-1, 96} {
		if _, err := Install(&l, nil, []Recomputed{{slot, five}}, 11); err == nil {
			t.Errorf("slot %d was installed", slot)
		}
	}
	if _, err := Install(&l, base[:5], nil, 11); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("damaged base: %v", err)
	}
}

// TestInstalledShadowsOlder sets a recomputed chunk over older operands in
// lower levels of Pebble and voids it down to nothing: the older ones must not show again.
func TestInstalledShadowsOlder(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Merger: Merger, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := []byte("k")
	old, later := randomChunk(t, rng, Numeric, 96, 50), randomChunk(t, rng, Numeric, 96, 50)
	do(db.Merge(key, old, nil))
	do(db.Flush())
	do(db.Set(key, later, nil))
	do(db.Flush())
	do(db.Merge(key, negated(t, later), nil))
	do(db.Flush())
	do(db.Compact(t.Context(), []byte("a"), []byte("z"), false))
	value, closer, err := db.Get(key)
	do(err)
	defer closer.Close()
	if states, err := decode(value); err != nil || len(states) != 0 {
		t.Fatalf("%d slots, %v", len(states), err)
	}
}
