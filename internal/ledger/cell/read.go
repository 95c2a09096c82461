package cell

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/meter"
)

// Scope selects cells of one meter version: one projection, the groups that
// begin with the ids of Group, and the slots of [From, To).
type Scope struct {
	Layout
	Projection Projection
	Group      []uint64 // leading ids of the projection; may be empty
	From, To   int32
}

// VisitFunc takes the state of one slot of one group: the ids of the projection.
// group and s are views that hold during the call.
type VisitFunc func(group []uint64, slot int32, s *State) error

// Chunks calls fn for each stored slot of the scope, in order of group and slot.
func (s *Scope) Chunks(r pebble.Reader, fn VisitFunc) error {
	var cr chunkReader
	return readChunks(r, s, func(group []uint64, day int32, value []byte) error {
		return s.visitChunk(&cr, group, day, value, fn)
	})
}

// visitChunk calls fn for each slot that is in the scope of the meter's chunk in a stored value.
func (s *Scope) visitChunk(cr *chunkReader, group []uint64, day int32, value []byte, fn VisitFunc) error {
	chunk, err := columnOf(value, s.Column)
	if err != nil || chunk == nil {
		return err
	}
	if err := cr.Reset(chunk); err != nil {
		return err
	}
	if cr.kind != s.Kind || cr.perDay != s.SlotsPerDay {
		return corrupt("kind or slot width is not its meter's")
	}
	base := int64(day) * int64(s.SlotsPerDay)
	for cr.Next() {
		slot := base + int64(cr.slot)
		if slot < int64(s.From) || slot >= int64(s.To) {
			continue
		}
		if err := fn(group, int32(slot), &cr.state); err != nil {
			return err
		}
	}
	return cr.err
}

// readChunks calls fn for each stored chunk of the scope's groups and days, in order
// of group and day. group and value are only valid during the call.
func readChunks(r pebble.Reader, s *Scope, fn func(group []uint64, day int32, value []byte) error) error {
	if err := s.check(); err != nil || s.From >= s.To {
		return err
	}
	firstDay, _ := s.Day(s.From)
	lastDay, _ := s.Day(s.To - 1)
	ids := s.width()
	if len(s.Group) > ids {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: %d ids asked of a projection of %d", s.Version, len(s.Group), ids)
	}
	projection := append(s.AppendMeterPrefix(nil), s.Projection.ID)
	lower := appendGroup(slices.Clone(projection), s.Group)
	upper := slices.Clone(lower)
	if len(s.Group) == ids {
		lower, upper = appendDay(lower, firstDay), append(appendDay(upper, lastDay), 0)
	} else {
		upper = successor(upper)
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return meter.WrapError(meter.KindInternal, err, "cells of meter version %d cannot be read", s.Version)
	}
	defer it.Close()
	group := make([]uint64, ids)
	var target []byte
	skipped := 0
	for ok := it.First(); ok; {
		key := it.Key()
		if len(key) != len(projection)+8*ids+dayBytes {
			return corrupt("key has the wrong length")
		}
		day := takeDay(key)
		if day < firstDay || day > lastDay {
			if skipped++; skipped <= stepsBeforeSeek {
				ok = it.Next()
				continue
			}
			target = append(target[:0], key[:len(key)-dayBytes]...)
			if day < firstDay {
				target = appendDay(target, firstDay)
			} else {
				target = append(appendDay(target, math.MaxInt32), 0)
			}
			ok = it.SeekGE(target)
			continue
		}
		skipped = 0
		for i := range group {
			group[i] = binary.BigEndian.Uint64(key[len(projection)+8*i:])
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(group, day, value); err != nil {
			return err
		}
		ok = it.Next()
	}
	return it.Error()
}

// stepsBeforeSeek is the number of chunks outside the range that Read steps
// over before it seeks. A seek was measured to cost as much as about 40 steps.
const stepsBeforeSeek = 64

// width returns how many ids the projection has.
func (s *Scope) width() int {
	if s.Projection.ID == ProjectionAll {
		return s.Groups
	}
	return len(s.Projection.Take)
}

// successor returns the first key after all that begin with prefix, nil if there is none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			prefix[i]++
			return prefix[:i+1]
		}
	}
	return nil
}

// Cells calls fn for each cell of a table that is in the scope, in no particular order. A projection is
// read from the full groups, or a total from the empty group if the table has it.
func (s *Scope) Cells(t *Table, fn VisitFunc) error {
	m, ok := t.members[s.Version]
	if !ok {
		return nil
	}
	total := t.families[m.family].total
	take := s.Projection.Take
	full := s.Projection.ID == ProjectionAll
	var err error
	group := make([]uint64, s.width())
	visit := func(n uint32) bool {
		g := t.group(n)
		if len(g) != s.Groups && !(len(group) == 0 && len(g) == 0) {
			return true
		}
		for i := range group {
			at := i
			if !full {
				at = take[i]
			}
			group[i] = g[at]
			if i < len(s.Group) && group[i] != s.Group[i] {
				return true
			}
		}
		t.visit(n, m.column, func(slot int32, st *State) {
			if err == nil && slot >= s.From && slot < s.To {
				err = fn(group, slot, st)
			}
		})
		return err == nil
	}
	switch {
	case len(group) == 0 && total != 0:
		visit(total - 1)
	case full && len(s.Group) == s.Groups:
		if n, ok := t.FindSeries(m.family, s.Group); ok {
			visit(n)
		}
	case len(s.Group) > 0 && (full || take[0] == 0):
		t.seriesOfFirst(m.family, s.Group[0], visit)
	default:
		t.seriesOf(m.family, visit)
	}
	return err
}
