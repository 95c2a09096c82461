package idset

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
)

// request is a batch on its way to the fold: probed against a view, which is
// released, at version since.
type request struct {
	hashes []block.Hash
	found  []Found
	since  uint64
}

// TestExactlyOnce runs the set as the ledger does: requests probe, one fold
// judges, a checkpointer writes, installs, merges and removes, a backup pins.
// The identities are sent several times each; each must be new once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	batches := 1500
	if testing.Short() {
		batches = 300
	}
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 3000, MaxRuns: 4})
	es := entries(rng, 20*batches, randomHash)
	requests := make(chan request, 8)
	var requesters sync.WaitGroup
	for range 4 {
		seed := rng.Uint64()
		requesters.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 0))
			for n := range batches / 4 {
				requests <- send(t, s, rng, es[:20*4*(n+1)])
			}
		})
	}
	go func() { requesters.Wait(); close(requests) }()

	checkpoints := make(chan *Frozen)
	var background sync.WaitGroup
	background.Go(func() {
		for f := range checkpoints {
			checkpointOnce(t, s, f)
		}
	})
	background.Go(func() { // a backup now and then
		for range batches / 10 {
			if p, err := s.Pin(s.manifest()); err == nil { // else merged away since
				if err := p.LinkTo("backup"); err != nil && s.fs.RemoveAll("backup") == nil {
					t.Error(err)
				}
				if err := s.fs.RemoveAll("backup"); err != nil {
					t.Error(err)
				}
				p.Release()
			}
		}
	})

	known := map[block.Hash]Entry{}
	seq := uint64(0)
	for r := range requests {
		seq++
		judge(t, s, r, known, seq)
		if s.needsFreeze() {
			checkpoints <- s.Freeze()
		}
	}
	close(checkpoints)
	background.Wait()
	checkAll(t, s, known, nil)
	mustClose(t, s)
	if s.Memory() != 0 {
		t.Errorf("%d bytes not given back", s.Memory())
	}
}

func send(t *testing.T, s *Set, rng *rand.Rand, from []Entry) request {
	r := request{hashes: make([]block.Hash, 50), found: make([]Found, 50)}
	for i := range r.hashes {
		r.hashes[i] = from[rng.IntN(len(from))].Hash
	}
	v := s.Sealed()
	defer v.Release()
	r.since = v.Version()
	if err := v.Probe(r.hashes, r.found); err != nil {
		t.Error(err)
	}
	return r
}

func judge(t *testing.T, s *Set, r request, known map[block.Hash]Entry, seq uint64) {
	s.Warm(r.hashes, r.since)
	for i, h := range r.hashes {
		want, seen := known[h]
		got, ok := r.found[i].Entry, r.found[i].OK
		if !ok {
			var err error
			if got, ok, err = s.Lookup(h, r.since); err != nil {
				t.Fatal(err)
			}
		}
		if ok != seen || got != want {
			t.Fatalf("block %d, row %d: got %v %v, want %v %v", seq, i, got, ok, want, seen)
		}
		if !ok {
			e := Entry{Hash: h, Check: h.Hi ^ seq, Seq: seq, Ord: uint32(i)}
			if !s.Insert(e) {
				t.Fatal("the table is full")
			}
			known[h] = e
		}
	}
}

func checkpointOnce(t *testing.T, s *Set, f *Frozen) {
	info, err := f.Write(nil)
	if err != nil {
		t.Error(err)
		return
	}
	s.Install(f, info)
	if m := s.PlanMerge(); m != nil {
		info, err := m.Run(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		s.InstallMerge(m, info)
	}
	if err := s.RemoveObsolete(); err != nil {
		t.Error(err)
	}
}

// TestCloseDuringWork: what is under way when the set closes fails, and
// nothing it used is freed under it.
func TestCloseDuringWork(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 30 {
		s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 4000, MaxRuns: 2})
		es := entries(rng, 6000, randomHash)
		seal(t, s, es[:2000])
		seal(t, s, es[2000:4000])
		for _, e := range es[4000:] {
			s.Insert(e)
		}
		f, m, v := s.Freeze(), s.PlanMerge(), s.Sealed()
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := f.Write(nil); err != nil && err != error(errClosed) {
				t.Error(err)
			}
		})
		work.Go(func() {
			if _, err := m.Run(t.Context()); err != nil && err != error(errClosed) {
				t.Error(err)
			}
		})
		work.Go(func() {
			defer v.Release()
			found := make([]Found, 4000)
			if err := v.Probe(hashesOf(es[:4000]), found); err != nil || !found[3999].OK {
				t.Error("a view that is held must stay readable", err)
			}
		})
		mustClose(t, s)
		work.Wait()
		if s.Memory() != 0 {
			t.Fatalf("%d bytes not given back", s.Memory())
		}
	}
}
