package idset

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := Open(fs, "ids", nil, Options{RecentSlots: 2000})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[block.Hash]Entry{}
	var hs []block.Hash
	for i := range 20000 {
		if s.NeedsFreeze() {
			f := s.Freeze()
			info, err := f.Write()
			if err != nil {
				t.Fatal(err)
			}
			s.Install(f, info)
			if m := s.PlanMerge(); m != nil {
				info, err := m.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.InstallMerge(m, info)
				if err := s.RemoveObsolete(); err != nil {
					t.Fatal(err)
				}
			}
		}
		e := Entry{Hash: block.Hash{Hi: rng.Uint64(), Lo: rng.Uint32()}, Check: rng.Uint64(), Seq: uint64(i / 10), Ord: uint32(i % 10)}
		if _, ok, err := s.Lookup(e.Hash, 0); ok || err != nil {
			t.Fatal(ok, err)
		}
		if !s.Insert(e) {
			t.Fatal("full")
		}
		model[e.Hash] = e
		hs = append(hs, e.Hash)
	}
	for _, h := range hs {
		e, ok, err := s.Lookup(h, 0)
		if err != nil || !ok || e != model[h] {
			t.Fatal(e, ok, err)
		}
	}
	t.Log(s.Manifest())
	mf := s.Manifest()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.Memory(); n != 0 {
		t.Fatal(n)
	}
	s, err = Open(fs, "ids", mf, Options{RecentSlots: 2000})
	if err != nil {
		t.Fatal(err)
	}
	v := s.Sealed()
	out := make([]Found, len(hs))
	if err := v.Probe(hs, out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range out {
		if out[i].OK {
			n++
			if out[i].Entry != model[hs[i]] {
				t.Fatal(i)
			}
		}
	}
	if uint64(n) != v.Len() {
		t.Fatal(n, v.Len())
	}
	v.Release()
}
