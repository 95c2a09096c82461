package verify

import (
	"context"
	"fmt"
	"math/bits"

	"odometer/internal/ledger/cell"
)

// partitions are temporary files of records, by bits of their hashes.
type partitions struct {
	spill *spill
	shift int // of the hash
	parts []*part
	base  []int64 // sizes without what is written twice, about
	least int64   // size from which a file is worth merging
	most  int     // bytes of a buffer
}

// newPartitions makes at least n of them, a power of two.
func newPartitions(s *spill, name string, shift, n, most int) *partitions {
	p := &partitions{spill: s, shift: shift, parts: make([]*part, 1<<bits.Len(uint(n-1))), most: most}
	p.base = make([]int64, len(p.parts))
	for i := range p.parts {
		p.parts[i] = &part{spill: s, name: fmt.Sprintf("%s-%d", name, i)}
	}
	return p
}

func (p *partitions) add(record []byte, hash uint64) error {
	return p.parts[hash>>p.shift&uint64(len(p.parts)-1)].add(record, p.most)
}

func (p *partitions) flush() error {
	for _, part := range p.parts {
		if err := part.flush(); err != nil {
			return err
		}
	}
	return nil
}

// size returns the bytes of all files.
func (p *partitions) size() (n int64) {
	for _, part := range p.parts {
		n += part.size
	}
	return n
}

// write takes over all cells of a table, a record for each day of a group.
func (p *partitions) write(t *table) error {
	return t.records(func(record []byte, hash uint64) error { return p.add(record, hash) })
}

// records makes records of all cells.
func (t *table) records(fn func(record []byte, hash uint64) error) error {
	var w recordWriter
	var days streak
	for _, p := range t.sorted(false) {
		s := &t.series[p.key>>32]
		m := t.meters[s.meter]
		slot := slotOf(p.key)
		if begins, ends := days.next(uint32(p.key>>32), slot, m); begins {
			if ends {
				if err := fn(w.done(), w.hash); err != nil {
					return err
				}
			}
			w.begin(s.meter, s.projection, t.group(s), days.day)
		}
		w.counted(t, m.Kind, slot, t.at(p.cell-1))
	}
	if t.used == 0 {
		return nil
	}
	return fn(w.done(), w.hash)
}

// streak is the day of a group that cells are in.
type streak struct {
	series uint32
	day    int64
	begun  bool
}

// next moves to a cell, and says whether a record begins with it and whether one ends before it.
func (r *streak) next(series uint32, slot int32, m *storedMeter) (begins, ends bool) {
	day := floor(int64(slot)*int64(m.Width), dayNanos)
	if r.begun && series == r.series && day == r.day {
		return false, false
	}
	ends = r.begun
	r.series, r.day, r.begun = series, day, true
	return true, ends
}

// load adds up what a file has; fits is false if that outgrows the bound.
func (t *table) load(p *part, bound int64) (fits bool, err error) {
	fits = true
	var c contents
	err = p.frames(func(payload []byte) error {
		r := recordReader{b: payload}
		for fits && len(r.b) > 0 {
			_, _, g, rest := r.record(len(t.meters))
			if r.bad {
				return p.unreadable(errDamaged)
			}
			texts := make([]uint32, len(g.texts))
			for i, s := range g.texts {
				texts[i] = t.text(s)
			}
			kind := t.meters[g.meter].Kind
			for len(rest.b) > 0 {
				if slot := rest.counted(t, kind, &c); !rest.bad {
					t.add(kind, t.seriesOf(g.meter, g.projection, texts), slot, &c)
				}
			}
			if rest.bad {
				return p.unreadable(errDamaged)
			}
			fits = t.held <= bound
		}
		return nil
	})
	return fits, err
}

// merge adds up what files have written twice, in an empty table, so that they
// are never much larger than their cells.
func (p *partitions) merge(t *table, bound int64) error {
	for i, part := range p.parts {
		if part.size <= 2*max(p.base[i], p.least) {
			continue
		}
		fits, err := t.load(part, bound)
		if err == nil && fits {
			if err = part.remove(); err == nil {
				err = t.records(func(record []byte, _ uint64) error { return part.add(record, p.most) })
			}
			if err == nil {
				err = part.flush()
			}
		}
		t.reset()
		if err != nil {
			return err
		}
		p.base[i] = part.size
	}
	return nil
}

// split distributes one file over others by further bits of the hashes.
func (p *part) split(meters, shift, ways, most int) (*partitions, error) {
	out := newPartitions(p.spill, p.name, shift, ways, most)
	err := p.frames(func(payload []byte) error {
		r := recordReader{b: payload}
		for len(r.b) > 0 {
			whole := r.b
			body, hash, _, _ := r.record(meters)
			if r.bad {
				return p.unreadable(errDamaged)
			}
			if err := out.add(whole[:4+len(body)], hash); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = out.flush()
	}
	if err == nil {
		err = p.remove()
	}
	return out, err
}

// spillStored writes the stored cells of one projection to files.
func (p *partitions) spillStored(ctx context.Context, k *comparison, m int32, projection cell.Projection) error {
	var w recordWriter
	var days streak
	var c storedCell
	known := k.meters[m]
	series := uint32(0)
	var last []uint64
	err := k.chunks(ctx, m, projection, func(ids []uint64, texts []string, fresh bool, slot int32, st *cell.State) error {
		if fresh {
			series++
			last = append(last[:0], ids...)
		}
		if begins, ends := days.next(series, slot, known); begins {
			if ends {
				if err := p.add(w.done(), w.hash); err != nil {
					return err
				}
			}
			w.begin(m, projection.ID, texts, days.day)
			for _, id := range last {
				w.u64(id)
			}
		}
		c.set(slot, st)
		w.storedCell(known.Kind, &c)
		return nil
	})
	if err == nil && days.begun {
		err = p.add(w.done(), w.hash)
	}
	return err
}
