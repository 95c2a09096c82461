package cell

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/meter"
)

// ChunksOf is Chunks for the groups that begin with one of some ids, which
// ascend: it seeks from one to the next and reads nothing in between. Group of
// the scope is not looked at.
func (s *Scope) ChunksOf(r pebble.Reader, ids []uint64, fn VisitFunc) error {
	var cr chunkReader
	return readChunksOf(r, s, ids, func(group []uint64, day int32, value []byte) error {
		return s.visitChunk(&cr, group, day, value, fn)
	})
}

// stepsToNext is how far the next id may be where a step may reach it.
const stepsToNext = 4

func readChunksOf(r pebble.Reader, s *Scope, ids []uint64, fn func(group []uint64, day int32, value []byte) error) error {
	if err := s.check(); err != nil || s.From >= s.To || len(ids) == 0 {
		return err
	}
	width := s.width()
	if width == 0 {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: groups asked of a projection without ids", s.Version)
	}
	firstDay, _ := s.Day(s.From)
	lastDay, _ := s.Day(s.To - 1)
	projection := append(s.AppendMeterPrefix(nil), s.Projection.ID)
	var buf []byte
	target := func(id uint64) []byte {
		buf = binary.BigEndian.AppendUint64(append(buf[:0], projection...), id)
		if width == 1 {
			buf = appendDay(buf, firstDay)
		}
		return buf
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: target(ids[0]), UpperBound: successor(binary.BigEndian.AppendUint64(projection[:len(projection):len(projection)], ids[len(ids)-1]))})
	if err != nil {
		return meter.WrapError(meter.KindInternal, err, "cells of meter version %d cannot be read", s.Version)
	}
	defer it.Close()
	group := make([]uint64, width)
	for ok := it.First(); ok && len(ids) > 0; {
		key := it.Key()
		if len(key) != len(projection)+8*width+dayBytes {
			return corrupt("key has the wrong length")
		}
		for i := range group {
			group[i] = binary.BigEndian.Uint64(key[len(projection)+8*i:])
		}
		for len(ids) > 0 && ids[0] < group[0] {
			ids = ids[1:]
		}
		if len(ids) == 0 {
			break
		}
		day := takeDay(key)
		switch {
		case group[0] < ids[0] || width == 1 && day < firstDay:
			ok = it.SeekGE(target(ids[0]))
			continue
		case width == 1 && day > lastDay:
			ids = ids[1:]
			if len(ids) > 0 {
				ok = it.SeekGE(target(ids[0]))
			}
			continue
		case day >= firstDay && day <= lastDay:
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			if err := fn(group, day, value); err != nil {
				return err
			}
			if width == 1 && day == lastDay && len(ids) > 1 && ids[1]-ids[0] > stepsToNext {
				ids = ids[1:]
				ok = it.SeekGE(target(ids[0]))
				continue
			}
		}
		ok = it.Next()
	}
	return it.Error()
}
