package ledger

import (
	"context"
	"maps"
	"slices"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
)

// overflow turns a group that the meter does not keep, because it has too many
// already, into the one that stands for all such groups: what the projections
// take of a group stays, so that they stay exact, the rest becomes unknownText.
func (m *meterState) overflow(group []uint64) {
	projections := m.Projections()
	for i := range group {
		if !slices.ContainsFunc(projections, func(p cell.Projection) bool { return slices.Contains(p.Take, i) }) {
			group[i] = state.UnknownText
		}
	}
}

// cellPrefix begins all keys of a meter's cells.
func cellPrefix(m *meterState) []byte {
	l := m.Layout()
	return l.AppendMeterPrefix(nil)
}

// flushCells merges the delta's cells into the stored ones; chunks with
// recomputed slots are replaced.
func (l *Ledger) flushCells(w *stateWriter, d *delta, installs map[string][]*install) error {
	byVersion := map[uint32]*meterState{}
	for m := range d.meters {
		byVersion[m.record.Version] = m
	}
	apart := slices.Sorted(maps.Keys(installs)) // what is recomputed, in order of keys
	until := func(key string) error {           // chunks before the key that the delta does not touch
		for len(apart) > 0 && apart[0] < key {
			if err := l.installChunk(w, []byte(apart[0]), nil, installs[apart[0]], d.applied); err != nil {
				return err
			}
			apart = apart[1:]
		}
		return nil
	}
	emit := func(key, value []byte) error {
		if len(apart) == 0 {
			return w.merge(key, value)
		}
		if err := until(string(key)); err != nil {
			return err
		}
		if len(apart) > 0 && apart[0] == string(key) {
			apart = apart[1:]
			return l.installChunk(w, key, value, installs[string(key)], d.applied)
		}
		return w.merge(key, value)
	}
	err := cell.Flush(d.table, func(rows int) { w.didCells(int64(rows) * cellRowSteps) }, emit, func(version uint32) (cell.Plan, bool) {
		m, ok := byVersion[version]
		if !ok {
			return cell.Plan{}, false // deleted in the same delta
		}
		p := cell.Plan{Layout: m.Layout(), Projections: m.Projections()}
		p.SetValues = l.limits.SetValues
		return p, true
	})
	if err != nil {
		return err
	}
	return until(string([]byte{state.KeyCell + 1}))
}

// cellRead is one question answered from cells.
type cellRead struct {
	qu      *question
	c       *collector
	take    []int // position in the projection of each GroupBy attribute
	wanted  []map[uint64]bool
	at      []int // position in the projection of each filter
	group   []uint64
	dirty   bool
	width   int64
	scope   cell.Scope
	leading [][]uint64 // ids that the groups wanted begin with, one part of the cells each
	stop    func() error
	cells   int // seen so far

	last   []uint64 // the group seen last: a chunk's slots are all of one
	wants  bool     // it matches the filters
	number int      // of it in the collector
}

// readCells answers from the stored chunks, the frozen and the active delta,
// and scans what the range has beyond whole slots. ok is false when the cells
// cannot answer after all: a backfill is under way, or a void made a slot dirty.
func (l *Ledger) readCells(ctx context.Context, qu *question) (*collector, uint64, bool, error) {
	l.mu.RLock()
	m := qu.m
	if !qu.current(l.peekOrg(m.Org)) {
		l.mu.RUnlock()
		return nil, 0, false, errMoved
	}
	if !m.record.Backfilled() {
		l.mu.RUnlock()
		return nil, 0, false, nil
	}
	view := l.viewLocked()
	defer view.release()
	if m.record.Ahead > view.applied {
		l.mu.RUnlock()
		return nil, 0, false, nil // it holds a part of a block that is not counted yet
	}
	r := &cellRead{qu: qu, width: int64(m.Width), stop: ctx.Err}
	r.c = newCollector(qu, l.now(), l.limits)
	qu.texts = l.texts.text
	known, err := r.plan(l)
	if m.record.Crowded && r.scope.Projection.ID == cell.ProjectionAll {
		l.mu.RUnlock()
		return nil, 0, false, nil // new groups are not kept apart
	}
	if err != nil || !known {
		// Nobody has ever used a text that a filter asks for: nothing matches.
		l.mu.RUnlock()
		return r.c, view.applied, err == nil, err
	}
	// Under the lock: what no checkpoint holds yet.
	err = r.tables(l)
	l.mu.RUnlock()
	if err == nil {
		err = r.each(func() error { return r.scope.Chunks(view.base.snap, r.add) })
	}
	qu.cells = r.cells
	if err == nil && !r.dirty {
		r.dirty, err = l.changedSince(qu, view)
	}
	if err != nil || r.dirty {
		return nil, 0, false, err
	}
	return r.c, view.applied, true, r.edges(ctx, l, view)
}

// plan picks the smallest projection that knows every attribute asked for.
func (r *cellRead) plan(l *Ledger) (bool, error) {
	need := slices.Clone(r.qu.q.GroupBy)
	for _, f := range r.qu.filters {
		need = append(need, f.Attribute)
	}
	m := r.qu.m
	best := -1
	var names []string
	for _, p := range m.Projections() {
		have := m.Order
		if p.ID != cell.ProjectionAll {
			have = nil
			for _, at := range p.Take {
				have = append(have, m.Order[at])
			}
		}
		covers := !slices.ContainsFunc(need, func(n string) bool { return !slices.Contains(have, n) })
		if covers && (best < 0 || len(have) < best) {
			best, names = len(have), have
			r.scope = cell.Scope{Layout: m.Layout(), Projection: p}
		}
	}
	for _, g := range r.qu.q.GroupBy {
		r.take = append(r.take, slices.Index(names, g))
	}
	r.group = make([]uint64, len(r.take))
	r.slots(&l.peekOrg(m.Org).record)
	return r.planFilters(l, names)
}

// slots takes the whole slots of the range. Where no event lies before or
// after the range, the slot at its edge is as good as whole.
func (r *cellRead) slots(o *state.OrgRecord) {
	lo, hi := r.qu.bounds[0], r.qu.bounds[len(r.qu.bounds)-1]
	r.scope.From, r.scope.To = int32(-floorDiv(-lo, r.width)), int32(floorDiv(hi, r.width))
	if lo <= o.MinTime {
		r.scope.From = int32(floorDiv(lo, r.width))
	}
	if hi > o.MaxTime {
		r.scope.To = int32(-floorDiv(-hi, r.width))
	}
}

// planFilters resolves the filters' texts; false if one has no text in use.
func (r *cellRead) planFilters(l *Ledger, names []string) (bool, error) {
	var first []uint64
	for _, f := range r.qu.filters {
		want := map[uint64]bool{}
		for _, v := range f.Values {
			id, ok, err := l.texts.lookup(r.qu.q.Organization, v)
			if err != nil {
				return false, err
			}
			if ok {
				want[id] = true
			}
		}
		if len(want) == 0 {
			return false, nil
		}
		at := slices.Index(names, f.Attribute)
		r.at = append(r.at, at)
		r.wanted = append(r.wanted, want)
		if at == 0 && first == nil {
			for id := range want {
				first = append(first, id)
			}
			slices.Sort(first)
		}
	}
	if first == nil {
		r.leading = [][]uint64{nil}
	}
	for _, id := range first {
		r.leading = append(r.leading, []uint64{id})
	}
	return true, nil
}

// each runs fn for every leading group id that can match.
func (r *cellRead) each(fn func() error) error {
	if r.scope.From >= r.scope.To {
		return nil
	}
	for _, p := range r.leading {
		r.scope.Group = p
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}

// tables adds the active and the frozen delta. Ledger.mu is held.
func (r *cellRead) tables(l *Ledger) error {
	return r.each(func() error {
		if l.frozen != nil {
			if err := r.scope.Cells(l.frozen.table, r.add); err != nil {
				return err
			}
		}
		return r.scope.Cells(l.active.table, r.add)
	})
}

// add takes one slot of one group.
func (r *cellRead) add(group []uint64, slot int32, s *cell.State) error {
	if r.cells++; r.cells%1024 == 0 {
		if err := r.stop(); err != nil {
			return err
		}
	}
	if r.cells == 1 || !slices.Equal(group, r.last) {
		if err := r.turnTo(group); err != nil {
			return err
		}
	}
	if !r.wants {
		return nil
	}
	if s.Dirty != 0 {
		r.dirty = true
		return nil
	}
	// The slot that holds the start of the range begins before it.
	return r.c.add(r.number, max(int64(slot)*r.width, r.qu.bounds[0]), s)
}

// turnTo finds out about a group.
func (r *cellRead) turnTo(group []uint64) (err error) {
	if r.choose(group); r.wants {
		r.number, err = r.c.group(r.group)
	}
	return err
}

// choose says whether a group matches the filters, and what is asked of it.
func (r *cellRead) choose(group []uint64) {
	r.last = append(r.last[:0], group...)
	r.wants = false
	for i, at := range r.at {
		if !r.wanted[i][group[at]] {
			return
		}
	}
	for i, at := range r.take {
		r.group[i] = group[at]
	}
	r.wants = true
}

// complete says whether the cells are all there: no backfill is under way, they
// hold no part of a block that is not counted yet, and no group stands for
// others. l.mu is held.
func (r *cellRead) complete(l *Ledger) bool {
	m := &r.qu.m.record
	return m.Backfilled() && m.Ahead <= l.active.applied && !(m.Crowded && r.scope.Projection.ID == cell.ProjectionAll)
}

// edges scans what lies in the range but in no whole slot of it. A sampled
// meter counts whole samples only.
func (r *cellRead) edges(ctx context.Context, l *Ledger, view *view) error {
	if r.qu.def.Sampled() {
		return nil
	}
	for _, p := range r.edgeParts() {
		s := &usageScan{l: l, qu: r.qu, in: storedTexts{l, r.qu.q.Organization}, c: r.c}
		if err := s.run(ctx, view, p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// edgeParts are the parts of the range that are in no whole slot of it.
func (r *cellRead) edgeParts() (parts [][2]int64) {
	from, to := r.qu.bounds[0], r.qu.bounds[len(r.qu.bounds)-1]
	lo, hi := int64(r.scope.From)*r.width, int64(r.scope.To)*r.width
	if r.scope.From >= r.scope.To {
		parts = append(parts, [2]int64{from, to})
	} else {
		if from < lo {
			parts = append(parts, [2]int64{from, lo})
		}
		if hi < to {
			parts = append(parts, [2]int64{hi, to})
		}
	}
	return parts
}
