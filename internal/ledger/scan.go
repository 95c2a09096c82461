package ledger

import (
	"context"
	"math"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// scanTexts interns for one scan, apart from the stored dictionary.
type scanTexts struct {
	ids   map[string]uint64
	texts []string
	room  *reading
}

func newScanTexts(room *reading) *scanTexts {
	return &scanTexts{room: room, ids: map[string]uint64{"": state.EmptyText}, texts: []string{""}}
}

func (s *scanTexts) intern(text []byte) (uint64, error) {
	if id, ok := s.ids[string(text)]; ok {
		return id, nil
	}
	if err := s.room.grow(int64(len(text)) + addedTextBytes); err != nil {
		return 0, err
	}
	id := uint64(len(s.texts))
	s.texts = append(s.texts, string(text))
	s.ids[s.texts[id]] = id
	return id, nil
}

func (s *scanTexts) text(id uint64) (string, error) { return s.texts[id], nil }

// scanUsage answers a question from the events themselves.
func (l *Ledger) scanUsage(ctx context.Context, qu *question) (*collector, uint64, error) {
	in := newScanTexts(qu.room)
	qu.texts = in.text
	l.mu.RLock()
	if !qu.current(l.peekOrg(qu.m.Org)) {
		l.mu.RUnlock()
		return nil, 0, errMoved
	}
	view := l.viewLocked()
	l.mu.RUnlock()
	defer view.release()
	c := newCollector(qu, l.now(), l.limits)
	s := &usageScan{l: l, qu: qu, in: in, c: c, eval: evaluator{digest: true}}
	err := s.run(ctx, view, qu.bounds[0], qu.bounds[len(qu.bounds)-1])
	return c, view.applied, err
}

// usageScan adds the events of a time range to a collector.
type usageScan struct {
	l    *Ledger
	qu   *question
	in   interner
	c    *collector
	eval evaluator
	take []bool
	want []map[uint64]bool // per filter: wanted group numbers
}

// run scans [from, to) in unix ns.
func (s *usageScan) run(ctx context.Context, view *view, from, to int64) error {
	for _, f := range s.qu.filters {
		ids := make(map[uint64]bool, len(f.Values))
		for _, v := range f.Values {
			if s.eval.digest && len(v) > meter.MaxGroupBytes {
				v = digestOf([]byte(v))
			}
			id, err := s.in.intern([]byte(v))
			if err != nil {
				return err
			}
			if id != state.UnknownText {
				ids[id] = true
			}
		}
		s.want = append(s.want, ids)
	}
	return view.headers(s.qu.q.Organization, 0, math.MaxUint64, func(h *block.Header) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !s.qu.asOf.knows(h.Sequence, h.Accepted.UnixNano()) {
			return false, nil
		}
		if h.Kind != block.KindEvents || h.Rows == 0 || h.MaxTime < from || h.MinTime >= to {
			return true, nil
		}
		return true, s.block(h, from, to, view.applied)
	})
}

func (s *usageScan) block(h *block.Header, from, to int64, applied uint64) error {
	rows, done, err := s.qu.room.rows(h, func(h *block.Header) (*block.Rows, error) { return s.l.loadRows(h, false) })
	if err != nil {
		return err
	}
	defer done()
	if s.take, err = s.l.counting(rows, h.Sequence, applied, s.qu.asOf, s.take); err != nil {
		return err
	}
	for i, t := range rows.Times {
		s.take[i] = s.take[i] && t >= from && t < to
	}
	s.eval.reset(rows, s.in)
	if !s.eval.match(&s.qu.def, s.take) {
		return nil
	}
	if err := s.filter(); err != nil {
		return err
	}
	return s.collect(rows)
}

// counting marks the accepted rows of a block that were not voided by then.
func (l *Ledger) counting(rows *block.Rows, seq, applied uint64, asOf moment, take []bool) ([]bool, error) {
	verdicts, err := l.storedVerdicts(seq, rows.N)
	if err != nil {
		return nil, err
	}
	take = slices.Grow(take[:0], rows.N)[:rows.N]
	for i, v := range verdicts {
		take[i] = v == meter.Accepted
	}
	voids, err := l.voidsOf(seq)
	if err != nil {
		return nil, err
	}
	for ord, n := range voids {
		if n.Sequence <= applied && asOf.knows(n.Sequence, n.At) {
			take[ord] = false
		}
	}
	return take, nil
}

func (s *usageScan) filter() error {
	for i, f := range s.qu.filters {
		ids, err := s.eval.group(f.Attribute)
		if err != nil {
			return err
		}
		want := s.want[i]
		for row, take := range s.take {
			s.take[row] = take && want[ids[row]]
		}
	}
	return nil
}

func (s *usageScan) collect(rows *block.Rows) error {
	columns := make([][]uint64, len(s.qu.q.GroupBy))
	for i, g := range s.qu.q.GroupBy {
		var err error
		if columns[i], err = s.eval.group(g); err != nil {
			return err
		}
	}
	group := make([]uint64, len(columns))
	ms, err := s.eval.measure(&s.qu.def)
	if err != nil {
		return err
	}
	for i := range s.take {
		if !s.take[i] || !ms.has(i) {
			continue
		}
		for c := range columns {
			group[c] = columns[c][i]
		}
		g, err := s.c.group(group)
		if err != nil {
			return err
		}
		if err := s.c.add(g, rows.Times[i], ms.state(rows, i)); err != nil {
			return err
		}
	}
	return nil
}
