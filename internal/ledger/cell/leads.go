package cell

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/meter"
)

// StoredLeads calls fn with the first id of each stored group of the scope's
// projection, whatever its slots. Ids ascend.
func (s *Scope) StoredLeads(r pebble.Reader, fn func(id uint64) error) error {
	width := s.width()
	if err := s.check(); err != nil || width == 0 {
		return err
	}
	projection := append(s.AppendMeterPrefix(nil), s.Projection.ID)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: projection, UpperBound: successor(bytes.Clone(projection))})
	if err != nil {
		return meter.WrapError(meter.KindInternal, err, "cells of meter version %d cannot be read", s.Version)
	}
	defer it.Close()
	var target []byte
	steps, last := 0, uint64(0)
	for ok := it.First(); ok; {
		key := it.Key()
		if len(key) != len(projection)+8*width+dayBytes {
			return corrupt("key has the wrong length")
		}
		id := binary.BigEndian.Uint64(key[len(projection):])
		if steps == 0 || id != last {
			if err := fn(id); err != nil {
				return err
			}
			steps, last = 0, id
		}
		if steps++; steps <= stepsBeforeSeek {
			ok = it.Next()
			continue
		}
		if target = successor(append(target[:0], key[:len(projection)+8]...)); target == nil {
			break
		}
		ok, steps = it.SeekGE(target), 0
	}
	return it.Error()
}

// Leads calls fn with the first id of each group of the scope's projection
// that a table has, from a series on, and returns how many series there are.
// An id may come more than once, and one of which nothing is left.
func (s *Scope) Leads(t *Table, from int, fn func(id uint64)) int {
	m, ok := t.members[s.Version]
	if !ok || s.width() == 0 {
		return len(t.series)
	}
	at := 0
	if s.Projection.ID != ProjectionAll {
		at = s.Projection.Take[0]
	}
	for n := from; n < len(t.series); n++ {
		if t.series[n].family == m.family && int(t.series[n].width) == s.Groups {
			fn(t.arena[int(t.series[n].ids)+at])
		}
	}
	return len(t.series)
}
