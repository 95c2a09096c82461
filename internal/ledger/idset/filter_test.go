package idset

import (
	"sync/atomic"
	"testing"

	"odometer/internal/fixedtest"
)

func TestFilterNeverDenies(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	var total atomic.Int64
	const n = 200_000
	f := newFilter(filterBlocks(n, defaultBitsPerID), &total)
	defer f.free()
	in, out := randomHashes(rng, n), randomHashes(rng, n)
	for _, h := range in {
		f.add(h)
	}
	again := newFilter(uint64(len(f.blocks)), &total)
	defer again.free()
	for at, to := 0, 0; at < len(f.blocks); {
		var b []byte
		b, at = f.encode(make([]byte, 0, 1000), at)
		to = again.decode(b, to)
	}
	buf := make([]uint32, n)
	for _, f := range []*filter{f, again} {
		if got := f.candidates(in, buf); got != n {
			t.Fatalf("%d of %d found", got, n)
		}
		// 0.12 % are expected; twice that would mean that the bits are ill chosen.
		if got := f.candidates(out, buf); got > n*24/10_000 {
			t.Fatalf("%d of %d hashes that are not in the set pass", got, n)
		}
	}
	for i, at := range buf[:f.candidates(out, buf)] {
		if f.has(out[at]) != 1 || i > 0 && at <= buf[i-1] {
			t.Fatal("candidates are out of order or wrong")
		}
	}
}

func TestFilterSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    uint64
		want uint64
	}{{0, 1}, {1, 1}, {34, 1}, {35, 2}, {1_000_000, 29297}} {
		if got := filterBlocks(c.n, 15); got != c.want {
			t.Errorf("%d identities: %d blocks, want %d", c.n, got, c.want)
		}
	}
}
