package idset

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
)

// benchIDs sizes the benchmarks; go test -bench Probe -ids 200000000 gives the
// figures at the size of the budget (needs 5 GB of disk).
var benchIDs = flag.Int("ids", 4_000_000, "identities in the benchmarked runs")

// benchEntry is like an entry of a log of n events in blocks of 1,000.
func benchEntry(rng *rand.Rand, hi uint64, n int) Entry {
	return Entry{Hash: block.Hash{Hi: hi, Lo: rng.Uint32()}, Check: rng.Uint64(), Seq: 1 + rng.Uint64N(uint64(n/1000+1)), Ord: rng.Uint32N(1000)}
}

// addRun seals a run of n random identities out of a history of total.
func addRun(tb testing.TB, s *Set, rng *rand.Rand, n, total int) {
	tb.Helper()
	r, err := s.createRun(uint64(n), 0, func(w *runWriter) error {
		mean := math.Ldexp(1, 64) / float64(n+1)
		hi := uint64(0)
		for range n {
			next := hi + uint64(rng.ExpFloat64()*mean)
			if next < hi {
				return nil
			}
			hi = next
			e := benchEntry(rng, hi, total)
			if err := w.add(&e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	f := &Frozen{set: s, table: &table{mem: &memory{total: &s.memory}}, run: r, info: r.info}
	s.waiting = append(s.waiting, f)
	s.Install(f, r.info)
}

func benchSet(tb testing.TB, opt Options) *Set {
	tb.Helper()
	s, err := Open(vfs.Default, tb.TempDir(), nil, opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// BenchmarkFold is what the fold does with a block of new identities: look
// each up, insert it, and swap the table when it is full.
func BenchmarkFold(b *testing.B) {
	for _, warm := range []bool{false, true} {
		b.Run(fmt.Sprintf("warm=%t", warm), func(b *testing.B) {
			s := benchSet(b, Options{})
			rng := rand.New(rand.NewPCG(1, 1))
			const batch = 1000
			hashes := randomHashes(rng, batch)
			for b.Loop() {
				for i := range hashes {
					hashes[i].Hi += 0x9e3779b97f4a7c15
				}
				if s.needsFreeze() {
					s.recent.free()
					s.recent = newTable(defaultRecentSlots, &s.memory)
				}
				if warm {
					s.Warm(hashes, 0)
				}
				for i, h := range hashes {
					if _, ok, _ := s.Lookup(h, 0); ok {
						b.Fatal("found")
					}
					s.Insert(Entry{Hash: h, Check: h.Hi, Seq: 1, Ord: uint32(i)})
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/id")
		})
	}
}

func BenchmarkLookupRecent(b *testing.B) {
	s := benchSet(b, Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	present := randomHashes(rng, s.recent.soft)
	for i, h := range present {
		s.Insert(Entry{Hash: h, Seq: 1, Ord: uint32(i)})
	}
	for _, bench := range []struct {
		name   string
		hashes []block.Hash
		want   bool
	}{{"missing", randomHashes(rng, len(present)), false}, {"present", present, true}} {
		b.Run(bench.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if _, ok, _ := s.Lookup(bench.hashes[i], 0); ok != bench.want {
					b.Fatal("wrong answer")
				}
				if i++; i == len(bench.hashes) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, runs := range []int{1, 4, 8} {
		s := benchSet(b, Options{})
		rng := rand.New(rand.NewPCG(1, 1))
		for range runs {
			addRun(b, s, rng, *benchIDs/runs, *benchIDs)
		}
		var bytes uint64
		for _, info := range s.manifest() {
			bytes += info.Bytes
		}
		v := s.Sealed()
		const batch = 1000
		known := knownHashes(b, v, rng, 100*batch)
		out := make([]Found, batch)
		b.Run(fmt.Sprintf("new/runs=%d", runs), func(b *testing.B) {
			hashes := randomHashes(rng, batch)
			for b.Loop() {
				for i := range hashes {
					hashes[i].Hi += 0x9e3779b97f4a7c15
				}
				if err := v.Probe(hashes, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/id")
			b.ReportMetric(float64(bytes)/float64(v.Len()), "disk-B/id")
			b.ReportMetric(float64(s.Memory()-int64((defaultRecentSlots+tailSlots)*slotBytes))/float64(v.Len()), "mem-B/id")
		})
		b.Run(fmt.Sprintf("known/runs=%d", runs), func(b *testing.B) {
			at := 0
			for b.Loop() {
				if err := v.Probe(known[at:at+batch], out); err != nil || !out[0].OK {
					b.Fatal(err)
				}
				at = (at + batch) % len(known)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/id")
		})
		v.Release()
	}
}

// knownHashes returns hashes from pages all over the runs of a view.
func knownHashes(tb testing.TB, v *Sealed, rng *rand.Rand, n int) []block.Hash {
	tb.Helper()
	hashes := make([]block.Hash, n)
	for i := range hashes {
		r := v.view.runs[rng.IntN(len(v.view.runs))]
		page := rng.Uint64N(r.foot.pages)
		p := new(pageBuffer)
		if err := r.read(p[:pageBytes], page*pageBytes); err != nil {
			tb.Fatal(err)
		}
		es, err := decodePage(p, nil)
		if err != nil {
			tb.Fatal(err)
		}
		hashes[i] = es[rng.IntN(len(es))].Hash
	}
	return hashes
}

func BenchmarkWrite(b *testing.B) {
	s := benchSet(b, Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	for !s.needsFreeze() {
		s.Insert(benchEntry(rng, rng.Uint64(), 1e8))
	}
	f := s.Freeze()
	for b.Loop() {
		info, err := f.Write(nil)
		if err != nil {
			b.Fatal(err)
		}
		f.run.close()
		f.run, f.info = nil, RunInfo{}
		if err := s.fs.Remove(s.path(runName(info.ID))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(f.Len()), "ns/id")
}

func BenchmarkMerge(b *testing.B) {
	for _, runs := range []int{2, 4, 8} {
		b.Run(fmt.Sprintf("runs=%d", runs), func(b *testing.B) {
			s := benchSet(b, Options{MaxRuns: 2})
			rng := rand.New(rand.NewPCG(1, 1))
			for range runs {
				addRun(b, s, rng, *benchIDs/runs, *benchIDs)
			}
			var n uint64
			b.ResetTimer()
			for b.Loop() {
				m := &Merge{set: s, inputs: s.sealed.runs}
				info, err := m.Run(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				n = info.Entries
				m.out.close()
				if err := s.fs.Remove(s.path(runName(info.ID))); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/id")
		})
	}
}
