package idset

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

func randomHashes(rng *rand.Rand, n int) []block.Hash {
	hashes := make([]block.Hash, n)
	for i := range hashes {
		hashes[i] = block.Hash{Hi: rng.Uint64(), Lo: rng.Uint32()}
	}
	return hashes
}

// crowdedHash returns hashes that share high halves, and meet both ends.
func crowdedHash(rng *rand.Rand) block.Hash {
	h := block.Hash{Hi: rng.Uint64N(4) - 2, Lo: rng.Uint32()}
	switch rng.IntN(8) {
	case 0:
		h.Hi = rng.Uint64()
	case 1:
		h.Hi = 1<<63 + rng.Uint64N(1000)
	case 2:
		h.Lo = rng.Uint32N(4) - 2
	}
	return h
}

func randomHash(rng *rand.Rand) block.Hash { return block.Hash{Hi: rng.Uint64(), Lo: rng.Uint32()} }

// entries returns n entries with hashes of their own.
func entries(rng *rand.Rand, n int, hash func(*rand.Rand) block.Hash) []Entry {
	seen := map[block.Hash]bool{}
	out := make([]Entry, 0, n)
	for i := 0; len(out) < n; i++ {
		h := hash(rng)
		if seen[h] {
			continue
		}
		seen[h] = true
		out = append(out, Entry{Hash: h, Check: rng.Uint64(), Seq: 1 + uint64(len(out)/50), Ord: uint32(len(out) % 50)})
	}
	return out
}

func sorted(es []Entry) []Entry {
	es = slices.Clone(es)
	slices.SortFunc(es, func(a, b Entry) int { return compareHash(a.Hash, b.Hash) })
	return es
}

func mustOpen(tb testing.TB, fs vfs.FS, manifest []RunInfo, opt Options) *Set {
	tb.Helper()
	s, err := Open(fs, "ids", manifest, opt)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustClose(tb testing.TB, s *Set) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// seal makes the entries a run of the set, through the recent table.
func seal(tb testing.TB, s *Set, es []Entry) RunInfo {
	tb.Helper()
	for _, e := range es {
		if !s.Insert(e) {
			tb.Fatal("the table is full")
		}
	}
	f := s.Freeze()
	info, err := f.Write(nil)
	if err != nil {
		tb.Fatal(err)
	}
	s.Install(f, info)
	return info
}

// mergeAll merges all runs into one.
func mergeAll(tb testing.TB, s *Set) {
	tb.Helper()
	s.opt.MaxRuns = 2
	for {
		m := s.PlanMerge()
		if m == nil {
			return
		}
		info, err := m.Run(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		s.InstallMerge(m, info)
	}
}

// checkAll compares what the set knows with what it should: through Lookup,
// and through a probed view with a Lookup of what came after.
func checkAll(tb testing.TB, s *Set, want map[block.Hash]Entry, absent []block.Hash) {
	tb.Helper()
	hashes := slices.Clone(absent)
	for h := range want {
		hashes = append(hashes, h)
	}
	found := make([]Found, len(hashes))
	v := s.Sealed()
	defer v.Release()
	if err := v.Probe(hashes, found); err != nil {
		tb.Fatal(err)
	}
	s.Warm(hashes, v.Version())
	for i, h := range hashes {
		e, known := want[h]
		got, ok, err := s.Lookup(h, 0)
		if err != nil || ok != known || got != e {
			tb.Fatalf("Lookup(%v, 0) = %v %v %v, want %v %v", h, got, ok, err, e, known)
		}
		if found[i].OK {
			got, ok = found[i].Entry, true
		} else {
			got, ok, err = s.Lookup(h, v.Version())
		}
		if err != nil || ok != known || got != e {
			tb.Fatalf("Probe and Lookup of %v = %v %v %v, want %v %v", h, got, ok, err, e, known)
		}
	}
}

func model(es ...[]Entry) map[block.Hash]Entry {
	m := map[block.Hash]Entry{}
	for _, list := range es {
		for _, e := range list {
			m[e.Hash] = e
		}
	}
	return m
}

func wantKind(tb testing.TB, err error, kind meter.Kind, what string) {
	tb.Helper()
	if err == nil || meter.KindOf(err) != kind {
		tb.Fatalf("%s: got error %v of kind %v, want kind %v", what, err, meter.KindOf(err), kind)
	}
}

// noContext is a context that never ends, for code that runs outside a test.
type noContext struct{ context.Context }

func (noContext) Err() error { return nil }

func filesIn(tb testing.TB, fs vfs.FS, dir string) []string {
	tb.Helper()
	names, err := fs.List(dir)
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// twoRuns is a set with two runs of so many entries each, that may be merged.
func twoRuns(tb testing.TB, fs vfs.FS, each int) (*Set, []Entry) {
	tb.Helper()
	s := mustOpen(tb, fs, nil, Options{RecentSlots: 1000, MaxRuns: 2})
	tb.Cleanup(func() { mustClose(tb, s) })
	es := entries(fixedtest.Rand(tb), 2*each, randomHash)
	seal(tb, s, es[:each])
	seal(tb, s, es[each:])
	return s, es
}
