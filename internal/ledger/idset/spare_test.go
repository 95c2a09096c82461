package idset

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Installed tables are emptied and used again, so that memory stays at three
// tables however often the set is frozen, and no identity shows up in a table
// that it was not inserted into.
func TestTablesAreUsedAgain(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 4096})
	defer mustClose(t, s)
	one := s.Memory()
	known := map[int][]Entry{}
	for round := range 12 {
		es := entries(rand.New(rand.NewPCG(uint64(round), 7)), 1000, randomHash)
		known[round] = es
		for i := range es {
			if !s.Insert(es[i]) {
				t.Fatalf("round %d: no room at %d", round, i)
			}
		}
		f := s.Freeze()
		s.Prepare()
		if s.Len() != 0 {
			t.Fatalf("round %d: a fresh table holds %d identities", round, s.Len())
		}
		info, err := f.Write(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Install(f, info)
		s.Free() // adopts the run, retires the table
		if tables := s.spareTables(); tables > 3 {
			t.Fatalf("round %d: %d tables of %d bytes", round, tables, one)
		}
		for r := range known {
			for _, e := range known[r] {
				got, ok, err := s.Lookup(e.Hash, 0)
				if err != nil || !ok || got != e {
					t.Fatalf("round %d: an identity of round %d: %v %v %v", round, r, got, ok, err)
				}
			}
		}
	}
}

// spareTables counts the tables in memory.
func (s *Set) spareTables() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 1 + len(s.frozen) + len(s.retired) + len(s.idle)
	if s.spare != nil {
		n++
	}
	return n
}
