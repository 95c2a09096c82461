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
			m := newMerging(setValues)
			if err := m.add(value); err != nil {
				_ = m.Close()
				return nil, err
			}
			return m, nil
		},
	}
}

// merging is one merge under way: a sum for each column.
type merging struct {
	sums  [MaxStored]*chunkSum // made when first needed
	has   uint16               // columns that have a sum, a bit each
	limit int                  // values of a set, 0 = any number
	buf   []byte               // the result
	chunk []byte               // one column of it
}

// chunkSum is what the chunks of one column add up to. A single one is passed
// through; from the second on they are added up in the page.
type chunkSum struct {
	first  []byte
	added  bool // page holds the chunks
	page   page
	reader chunkReader
}

var mergings = sync.Pool{New: func() any { return new(merging) }}

func newMerging(setValues int) *merging {
	m := mergings.Get().(*merging)
	m.has, m.limit = 0, setValues
	return m
}

// MergeNewer adds an operand.
func (m *merging) MergeNewer(value []byte) error { return m.add(value) }

// MergeOlder adds an operand.
func (m *merging) MergeOlder(value []byte) error { return m.add(value) }

func (m *merging) add(value []byte) error {
	p := partsOf(value)
	for p.next() {
		if err := m.addChunk(p.column, p.chunk); err != nil {
			return err
		}
	}
	return p.err()
}

func (m *merging) addChunk(column int, chunk []byte) error {
	s := m.sums[column]
	if s == nil {
		s = new(chunkSum)
		m.sums[column] = s
	}
	if m.has>>column&1 == 0 {
		m.has |= 1 << column
		s.added, s.page.limit = false, m.limit
		s.first = append(s.first[:0], chunk...)
		return nil
	}
	return s.add(chunk)
}

func (s *chunkSum) add(chunk []byte) error {
	if !s.added {
		s.added = true
		if err := s.reader.Reset(s.first); err != nil {
			return err
		}
		s.page.reset(s.reader.kind, s.reader.perDay, s.reader.scale)
		if err := s.page.addChunk(&s.reader); err != nil {
			return err
		}
	}
	if err := s.reader.Reset(chunk); err != nil {
		return err
	}
	return s.page.addChunk(&s.reader)
}

// appendTo appends the chunk.
func (s *chunkSum) appendTo(dst []byte) []byte {
	if s.added {
		return s.page.encode(dst)
	}
	return append(dst, s.first...)
}

// Finish returns the merged value, which holds until the Closer is closed.
func (m *merging) Finish(bool) ([]byte, io.Closer, error) {
	if m.has == 1 {
		m.buf = m.sums[0].appendTo(m.buf[:0])
		return m.buf, m, nil
	}
	m.buf = append(m.buf[:0], rowVersion)
	for k := range m.sums {
		if m.has>>k&1 != 0 {
			m.chunk = m.sums[k].appendTo(m.chunk[:0])
			m.buf = appendPart(m.buf, k, m.chunk)
		}
	}
	return m.buf, m, nil
}

// Close gives the merging and its buffers to the next merge.
func (m *merging) Close() error {
	for _, s := range m.sums {
		if s != nil {
			s.reader.forget()
		}
	}
	mergings.Put(m)
	return nil
}

// Merge returns the value that one or more values of one key add up to, as Merger does.
func Merge(values ...[]byte) ([]byte, error) { return merge(0, values...) }

func merge(setValues int, values ...[]byte) ([]byte, error) {
	m := newMerging(setValues)
	defer func() { _ = m.Close() }() // gives its memory back, and cannot fail
	for _, v := range values {
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

// Install returns the value in which the given slots of the layout's column have
// the recomputed states and are no longer dirty. base must be the whole merged
// value of its key, holding every delta up to the sequence upTo and none after it (nil if
// there is none), and the states must be what the log up to upTo adds up to. The result is
// for Set, not for Merge. A slot that became dirty after upTo is left as it is.
func Install(l *Layout, base []byte, slots []Recomputed, upTo uint64) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	var p page
	p.reset(l.Kind, l.SlotsPerDay, maxScale)
	p.limit = l.SetValues
	own, err := columnOf(base, l.Column)
	if err != nil {
		return nil, err
	}
	if own != nil {
		var r chunkReader
		if err := r.Reset(own); err != nil {
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
	chunk := p.encode(nil)
	if l.Column == 0 && (base == nil || base[0] != rowVersion) {
		return chunk, nil
	}
	return withColumn(base, l.Column, chunk)
}
