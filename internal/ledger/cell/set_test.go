package cell

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func setOf(ids ...uint64) *Set {
	s := new(Set)
	for _, id := range ids {
		s.Add(id)
	}
	return s
}

// randomIDs returns ids that are scattered, clustered or both, repeats among them.
func randomIDs(rng *rand.Rand) []uint64 {
	var ids []uint64
	for range rng.IntN(4) {
		base := rng.Uint64() >> rng.IntN(60)
		spread := uint64(1) << rng.IntN(20)
		for range rng.IntN(9000) {
			ids = append(ids, base+rng.Uint64N(spread))
		}
	}
	return ids
}

func TestSetAgainstSorted(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 40 {
		a, b := randomIDs(rng), randomIDs(rng)
		s, o := setOf(a...), setOf(b...)
		requireIDs(t, s, a)
		both := append(slices.Clone(a), b...)
		rng.Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
		direct := setOf(both...)
		s.union(o)
		requireIDs(t, s, both)
		if !bytes.Equal(s.appendTo(nil), direct.appendTo(nil)) {
			t.Fatal("equal sets have different bytes")
		}
		// Reused memory must not shine through.
		back := setOf(randomIDs(rng)...)
		n, err := back.take(append(s.appendTo(nil), 1, 2, 3))
		if err != nil || n != len(s.appendTo(nil)) {
			t.Fatalf("take: %d, %v", n, err)
		}
		requireIDs(t, back, both)
		requireIDs(t, o, b)
	}
}

func requireIDs(t *testing.T, s *Set, ids []uint64) {
	t.Helper()
	want := slices.Clone(ids)
	slices.Sort(want)
	want = slices.Compact(want)
	var got []uint64
	s.All(func(id uint64) bool {
		got = append(got, id)
		return true
	})
	if !slices.Equal(got, want) || s.Len() != len(want) {
		t.Fatalf("%d ids, Len %d, want %d", len(got), s.Len(), len(want))
	}
	for _, id := range want {
		if !s.has(id) {
			t.Fatalf("id %d is missing", id)
		}
	}
	if len(want) > 0 && s.has(want[len(want)-1]+1) {
		t.Fatal("has an id that was not added")
	}
}

// TestSetUnionOfBitmaps unites bitmaps that are just large enough to be some.
func TestSetUnionOfBitmaps(t *testing.T) {
	t.Parallel()
	var a, b Set
	var ids []uint64
	for i := range uint64(denseIDs) {
		a.Add(2 * i)
		b.Add(2*i + 1)
		ids = append(ids, 2*i, 2*i+1)
	}
	a.union(&b)
	requireIDs(t, &a, ids)
}

// TestSetForms crosses the line between array and bitmap by adding and by union.
func TestSetForms(t *testing.T) {
	t.Parallel()
	for _, n := range []int{denseIDs - 1, denseIDs, denseIDs + 1, 1 << 16} {
		var up, down, odd, even Set
		for i := range n {
			up.Add(uint64(i))
			down.Add(uint64(n - 1 - i))
			if i%2 == 0 {
				even.Add(uint64(i))
			} else {
				odd.Add(uint64(i))
			}
		}
		odd.union(&even)
		even.union(&up)
		for _, s := range []*Set{&down, &odd, &even} {
			if !bytes.Equal(s.appendTo(nil), up.appendTo(nil)) {
				t.Fatalf("%d ids: the form depends on the history", n)
			}
		}
		if dense := up.boxes[0].n >= denseIDs; dense != (n >= denseIDs) || dense != (len(up.boxes[0].bitmap) > 0) {
			t.Fatalf("%d ids: wrong form", n)
		}
	}
}

func TestSetDamaged(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	good := setOf(randomIDs(rng)...)
	good.Add(1 << 63)
	good.Add(5)
	b := good.appendTo(nil)
	var s Set
	for i := range min(len(b), 300) {
		if _, err := s.take(b[:i]); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for name, bad := range map[string][]byte{
		"not ascending":      {1, 0, 1, 5, 0, 5, 0},
		"key beyond 48 bits": {2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0, 1, 0, 0, 0, 2, 0},
		"too many ids":       {1, 0, 0x80, 0x80, 0x04, 0, 0},
		"bitmap count":       append([]byte{1, 0, 0xff, 0x1f}, make([]byte, bitmapBytes)...),
	} {
		if _, err := s.take(bad); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetGrowthIsCounted(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	var s Set
	var counted int64
	for range 200_000 {
		counted += int64(s.Add(rng.Uint64N(300_000)))
	}
	if held := s.bytes(); counted < held || counted > 2*held {
		t.Fatalf("counted %d bytes, holds %d", counted, held)
	}
}
