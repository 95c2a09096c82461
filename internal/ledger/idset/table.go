package idset

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"

	"odometer/internal/ledger/block"
)

// slot is one identity of a table: 32 bytes, two to a cache line. An empty
// slot has seq 0; a filled one the sequence plus one.
type slot struct {
	hi, check, seq uint64
	lo, ord        uint32
}

func (s *slot) entry() Entry {
	return Entry{Hash: block.Hash{Hi: s.hi, Lo: s.lo}, Check: s.check, Seq: s.seq - 1, Ord: s.ord}
}

const (
	slotBytes = 32

	// softPercent is the load at which a table should be frozen; hardPercent
	// the one at which it takes no more. Between them is room for the blocks
	// that arrive until the owner gets round to it.
	softPercent = 60
	hardPercent = 80

	// tailSlots follow the last home slot, so that probing never wraps round
	// and the slots stay in order of hash but for short displacements.
	tailSlots = 1024
)

// table is a fixed open-addressing hash table with linear probing. The home
// slot of a hash grows with the hash, which makes a run of filled slots
// between two empty ones a range of hashes of its own: sealing sorts each such
// cluster and never the whole.
type table struct {
	slots      []slot
	homes      uint64
	n          int
	soft, hard int
	mem        *memory
}

func newTable(homes int, total *atomic.Int64) *table {
	mem := allocate((homes+tailSlots)*slotBytes, total)
	return &table{slots: sliceOf[slot](mem), homes: uint64(homes), mem: mem,
		soft: max(1, homes*softPercent/100), hard: max(1, homes*hardPercent/100)}
}

// clear empties the table and touches all of its memory.
func (t *table) clear() {
	clear(t.slots)
	t.n = 0
}

func (t *table) free() { t.mem.free(); t.slots = nil }

func (t *table) lookup(h block.Hash) (Entry, bool) {
	i, _ := bits.Mul64(h.Hi, t.homes)
	for ; i < uint64(len(t.slots)); i++ {
		s := &t.slots[i]
		if s.seq == 0 {
			break
		}
		if s.hi == h.Hi && s.lo == h.Lo {
			return s.entry(), true
		}
	}
	return Entry{}, false
}

// touch reads the home slot of every hash.
func (t *table) touch(hashes []block.Hash) uint64 {
	var sum uint64
	for i := range hashes {
		j, _ := bits.Mul64(hashes[i].Hi, t.homes)
		sum += t.slots[j].seq
	}
	return sum
}

// insert adds e, or keeps what is there under the same hash. It returns false
// when there is no room.
func (t *table) insert(e *Entry) bool {
	if t.n >= t.hard {
		return false
	}
	i, _ := bits.Mul64(e.Hash.Hi, t.homes)
	for ; i < uint64(len(t.slots)); i++ {
		s := &t.slots[i]
		if s.seq == 0 {
			*s = slot{hi: e.Hash.Hi, check: e.Check, seq: e.Seq + 1, lo: e.Hash.Lo, ord: e.Ord}
			t.n++
			return true
		}
		if s.hi == e.Hash.Hi && s.lo == e.Hash.Lo {
			return true
		}
	}
	// The tail ran over: as full as can be, whatever the count.
	t.soft, t.hard = min(t.soft, t.n), t.n
	return false
}

// ascend calls fn with every entry in order of hash. It only reads the table.
func (t *table) ascend(fn func(*Entry) error) error {
	var cluster []Entry
	for i := 0; i < len(t.slots); {
		if t.slots[i].seq == 0 {
			i++
			continue
		}
		cluster = cluster[:0]
		for ; i < len(t.slots) && t.slots[i].seq != 0; i++ {
			cluster = append(cluster, t.slots[i].entry())
		}
		sortCluster(cluster)
		for j := range cluster {
			if err := fn(&cluster[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sortCluster sorts by hash. Clusters are short and nearly in order, unless
// someone chose the hashes.
func sortCluster(c []Entry) {
	if len(c) > 64 {
		slices.SortFunc(c, func(a, b Entry) int { return compareHash(a.Hash, b.Hash) })
		return
	}
	for i := 1; i < len(c); i++ {
		if !lessHash(c[i].Hash, c[i-1].Hash) {
			continue
		}
		e := c[i]
		j := i
		for ; j > 0 && lessHash(e.Hash, c[j-1].Hash); j-- {
			c[j] = c[j-1]
		}
		c[j] = e
	}
}

func compareHash(a, b block.Hash) int {
	if c := cmp.Compare(a.Hi, b.Hi); c != 0 {
		return c
	}
	return cmp.Compare(a.Lo, b.Lo)
}

func lessHash(a, b block.Hash) bool {
	return a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo
}
