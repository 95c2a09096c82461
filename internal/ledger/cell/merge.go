package cell

import (
	"io"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Merger adds up the chunks written under one key. Merging is associative and commutative:
// every part of a chunk is (count and sum: addition; Min, Max, Last: the extreme of
// a total order; Distinct: union; dirty: the larger sequence; scale: the larger one), and a slot is left out
// exactly when its state is the identity, which changes no later result.
//
// It never deletes a key, not even when nothing is left in it: Pebble would
// drop the record without a tombstone, and older ones beneath a recomputed
// (Set) chunk would show again.
var Merger = NewMerger(0)

// NewMerger returns a Merger that keeps at most setValues distinct values a
// slot, 0 = any number. A slot with more becomes dirty for good, see Permanent. Stores written with one limit may
// be opened with another.
func NewMerger(setValues int) *pebble.Merger {
	return &pebble.Merger{
		Name: "odometer.cell.v1",
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			return newMerging(value, setValues), nil
		},
	}
}

// merging is one merge under way. A single operand is passed through; from the second
// on they are added up in the page.
type merging struct {
	buf    []byte // the first operand, later the result
	added  bool   // page holds the operands
	page   page
	reader chunkReader
}

var mergings = sync.Pool{New: func() any { return new(merging) }}

func newMerging(value []byte, setValues int) *merging {
	m := mergings.Get().(*merging)
	m.added, m.page.limit = false, setValues
	m.buf = append(m.buf[:0], value...)
	return m
}

// MergeNewer adds an operand.
func (m *merging) MergeNewer(value []byte) error { return m.add(value) }

// MergeOlder adds an operand.
func (m *merging) MergeOlder(value []byte) error { return m.add(value) }

func (m *merging) add(value []byte) error {
	if !m.added {
		m.added = true
		if err := m.reader.Reset(m.buf); err != nil {
			return err
		}
		m.page.reset(m.reader.kind, m.reader.perDay, m.reader.scale)
		if err := m.page.addChunk(&m.reader); err != nil {
			return err
		}
	}
	if err := m.reader.Reset(value); err != nil {
		return err
	}
	return m.page.addChunk(&m.reader)
}

// Finish returns the merged chunk, which holds until the Closer is closed.
func (m *merging) Finish(bool) ([]byte, io.Closer, error) {
	if m.added {
		m.buf = m.page.encode(m.buf[:0])
	}
	return m.buf, m, nil
}

// Close gives the merging and its buffers to the next merge.
func (m *merging) Close() error {
	m.reader.forget()
	mergings.Put(m)
	return nil
}

// Merge returns the chunk that one or more chunks of one key add up to, as Merger does.
func Merge(values ...[]byte) ([]byte, error) { return merge(0, values...) }

func merge(setValues int, values ...[]byte) ([]byte, error) {
	m := newMerging(values[0], setValues)
	defer func() { _ = m.Close() }() // gives its memory back, and cannot fail
	for _, v := range values[1:] {
		if err := m.add(v); err != nil {
			return nil, err
		}
	}
	value, _, err := m.Finish(true)
	return slices.Clone(value), err
}

// Recomputed is the state of one slot, computed again from the log.
type Recomputed struct {
	Slot  int // number in its day
	State State
}

// Install returns the chunk in which the given slots of base have the
// recomputed states and are no longer dirty. base must be the whole merged
// chunk of its key, holding every delta up to the sequence upTo and none after it (nil if
// there is none), and the states must be what the log up to upTo adds up to. The result is
// for Set, not for Merge. A slot that became dirty after upTo is left as it is.
func Install(l *Layout, base []byte, slots []Recomputed, upTo uint64) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	var p page
	p.reset(l.Kind, l.SlotsPerDay, maxScale)
	p.limit = l.SetValues
	if base != nil {
		var r chunkReader
		if err := r.Reset(base); err != nil {
			return nil, err
		}
		if err := p.addChunk(&r); err != nil {
			return nil, err
		}
	}
	for i := range slots {
		slot := slots[i].Slot
		if slot < 0 || slot >= l.SlotsPerDay {
			return nil, corrupt("recomputed slot outside its day")
		}
		bit := uint64(1) << (slot & 63)
		if p.marked && p.set[slot>>6]&bit != 0 {
			if p.dirty[slot] > upTo {
				continue
			}
			p.dirty[slot] = 0
		}
		p.set[slot>>6] &^= bit
		p.addState(slot, &slots[i].State)
	}
	p.shrink()
	return p.encode(nil), nil
}
