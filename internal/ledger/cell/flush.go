package cell

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"odometer/internal/meter"
)

// Plan says how the cells of one meter version are written.
type Plan struct {
	Layout
	Projections []Projection // by ascending ID
}

// Flush writes the content of a table as values to be merged: it calls emit in
// strictly ascending order of keys. key and value are only valid during the call.
// plan returns how a meter version is written; if it reports false, the version's cells are left
// out. Meters whose layouts have the same keys must be of one family.
//
// Projections are added up from the full groups, except that a total is taken from the
// empty group where the table has one beside full groups. Each cell is read once
// for all projections that are prefixes of the full group, and once for each other one.
// Cells to which nothing was added are left out. It tells now and then how many
// rows of the table it has read since, some of them for the second time; nil =
// nobody listens.
func Flush(t *Table, tell func(rows int), emit func(key, value []byte) error, plan func(version uint32) (Plan, bool)) error {
	stores := map[string]*store{}
	for version, at := range t.members {
		p, ok := plan(version)
		if !ok {
			continue
		}
		if err := p.check(); err != nil {
			return err
		}
		prefix := p.AppendMeterPrefix(nil)
		s := stores[string(prefix)]
		if s == nil {
			s = &store{plan: p, prefix: prefix, family: at.family}
			stores[string(prefix)] = s
		}
		if err := s.take(&p, at); err != nil {
			return err
		}
	}
	if tell == nil {
		tell = func(int) {}
	}
	f := flusher{t: t, tell: tell, emit: emit}
	f.sortRows()
	for _, prefix := range slices.Sorted(maps.Keys(stores)) {
		s := stores[prefix]
		slices.SortFunc(s.columns, func(a, b storedColumn) int { return cmp.Compare(a.stored, b.stored) })
		if err := f.write(s); err != nil {
			return err
		}
	}
	return nil
}

// store is the meters that share keys.
type store struct {
	plan    Plan // of any of them: but for their columns they are alike
	prefix  []byte
	family  uint32
	columns []storedColumn
}

// storedColumn is where a column is in the table, and where it is stored.
type storedColumn struct {
	table  uint32
	stored int
	kind   Kind
	limit  int // values of a set
}

// take adds a meter's column, unless another meter has brought it.
func (s *store) take(p *Plan, at member) error {
	if at.family != s.family || p.Groups != s.plan.Groups || p.SlotsPerDay != s.plan.SlotsPerDay || len(p.Projections) != len(s.plan.Projections) {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: other meters of its keys are of another family", p.Version)
	}
	for _, c := range s.columns {
		if c.stored == p.Column {
			if c.table != at.column {
				return meter.Errorf(meter.KindInternal, "cells of meter version %d: column %d of its keys is another meter's", p.Version, p.Column)
			}
			return nil
		}
	}
	s.columns = append(s.columns, storedColumn{at.column, p.Column, p.Kind, p.SetValues})
	return nil
}

// flusher writes one store after the other.
type flusher struct {
	t    *Table
	tell func(rows int)
	emit func(key, value []byte) error

	// rows holds (slot, number of the first cell) of all rows, those of one series together
	// from first[series] on; the slot's top bit is flipped so that the entries sort by it.
	rows  []uint64
	first []uint32

	*store
	order  []seriesPlace
	ranked ranking // what order is for
	leaf   dayRow  // one day of one series
	free   []*level
	states []State // by column
	key    []byte
	value  []byte
	chunk  []byte
	warmed int64 // without meaning: what warm reads must be used
}

// seriesPlace is a series and its group's first ids in the order of a pass.
type seriesPlace struct {
	a, b   uint64
	series uint32
}

// ranking is what decides the order of a pass: stores of one family mostly share it.
type ranking struct {
	family uint32
	groups int
	by     string
}

// sortRows brings the rows of each series together. Reading them in the order
// they lie in and noting where they belong is much faster than following each series'
// list through memory.
func (f *flusher) sortRows() {
	t := f.t
	f.first = make([]uint32, len(t.series)+1)
	n := uint32(0)
	for i := range t.series {
		f.first[i] = n
		n += t.series[i].rows
	}
	f.first[len(t.series)] = n
	f.rows = make([]uint64, n)
	next := slices.Clone(f.first)
	for i, c := range t.rows {
		f.rows[next[c.series]] = uint64(uint32(c.at)^1<<31)<<32 | uint64(i)
		next[c.series]++
	}
}

// rowsOf returns the entries of a series in order of slot.
func (f *flusher) rowsOf(n uint32) []uint64 {
	rows := f.rows[f.first[n]:f.first[n+1]]
	if !slices.IsSorted(rows) {
		slices.Sort(rows)
	}
	return rows
}

// write writes all projections of one store.
func (f *flusher) write(s *store) error {
	f.store = s
	p := &s.plan
	f.states = f.states[:0]
	for _, c := range s.columns {
		f.states = append(f.states, State{Kind: c.kind})
	}
	full := make([]int, p.Groups)
	for i := range full {
		full[i] = i
	}
	var chain, others []Projection // prefixes of the full group, and the rest
	all := false
	total := f.t.families[f.family].total
	for _, projection := range p.Projections {
		switch width := len(projection.Take); {
		case slices.ContainsFunc(projection.Take, func(at int) bool { return at < 0 || at >= p.Groups }):
			return meter.Errorf(meter.KindInternal, "cells of meter version %d: projection %d takes an id that groups lack", p.Version, projection.ID)
		case projection.ID == ProjectionAll:
			all = true
		case width == 0 && total != 0, width > p.Groups || !slices.Equal(projection.Take, full[:width]):
			others = append(others, projection)
		default:
			chain = append(chain, projection)
		}
	}
	var levels []*level
	if all || len(chain) > 0 {
		l, err := f.pass(full, all, chain)
		if err != nil {
			return err
		}
		levels = l
	}
	for _, projection := range others {
		if len(projection.Take) == 0 {
			levels = append(levels, f.total(projection, total-1))
			continue
		}
		l, err := f.pass(projection.Take, false, []Projection{projection})
		if err != nil {
			return err
		}
		levels = append(levels, l...)
	}
	slices.SortFunc(levels, func(a, b *level) int { return cmp.Compare(a.id, b.id) })
	for _, l := range levels {
		if err := l.emit(f); err != nil {
			return err
		}
	}
	f.free = append(f.free, levels...)
	return nil
}

// pass goes through the full series in order of the ids at the positions of by.
// It emits each series' chunks if leaves is set, and returns the levels into which it added them up, one
// for each projection of chain; these take the first of the ids of by.
func (f *flusher) pass(by []int, leaves bool, chain []Projection) ([]*level, error) {
	levels := make([]*level, 0, len(chain))
	for _, projection := range chain {
		levels = append(levels, f.newLevel(projection))
	}
	// Widest first: each level is added up from the one before.
	slices.SortFunc(levels, func(a, b *level) int { return cmp.Compare(b.width, a.width) })
	for i := 1; i < len(levels); i++ {
		levels[i-1].next = levels[i]
	}
	var widest *level
	if len(levels) > 0 {
		widest = levels[0]
	}
	f.rank(by)
	warm := 0
	for i, r := range f.order {
		if i == warm {
			warm += f.warm(f.order[i:])
		}
		group := f.t.group(r.series)
		for _, l := range levels {
			if !l.holds(group, by) {
				l.close(f)
				l.open(group, by)
			}
		}
		if err := f.series(r.series, widest, leaves); err != nil {
			return nil, err
		}
	}
	for _, l := range levels {
		l.close(f)
	}
	return levels, nil
}

// warmRows is about how many rows are brought into the processor's caches together.
const warmRows = 128

// warm touches the cells of the next series, in one go: they lie all over the
// table, and waiting for one after the other is most of what a flush takes. It
// returns how many series it went through.
func (f *flusher) warm(order []seriesPlace) (n int) {
	t := f.t
	rows := 0
	for n < len(order) && rows < warmRows {
		s := order[n].series
		n++
		for _, r := range f.rows[f.first[s]:f.first[s+1]] {
			for _, c := range f.columns {
				f.warmed += t.cell(uint32(r) + c.table).count
			}
			rows++
		}
	}
	f.tell(rows)
	return n
}

// total makes the total from the series that the caller keeps it in.
func (f *flusher) total(projection Projection, n uint32) *level {
	l := f.newLevel(projection)
	_ = f.series(n, l, false) // emits nothing, so nothing fails
	l.close(f)
	return l
}

// rank lists the full series of the meter in order of the ids at the positions of by.
func (f *flusher) rank(by []int) {
	ranked := ranking{f.family, f.plan.Groups, fmt.Sprint(by)}
	if f.ranked == ranked {
		return
	}
	f.ranked, f.order = ranked, f.order[:0]
	f.t.seriesOf(f.family, func(n uint32) bool {
		if group := f.t.group(n); len(group) == f.plan.Groups {
			r := seriesPlace{series: n}
			if len(by) > 0 {
				r.a = group[by[0]]
			}
			if len(by) > 1 {
				r.b = group[by[1]]
			}
			f.order = append(f.order, r)
		}
		return true
	})
	slices.SortFunc(f.order, func(x, y seriesPlace) int {
		if x.a != y.a {
			return cmp.Compare(x.a, y.a)
		}
		if x.b != y.b {
			return cmp.Compare(x.b, y.b)
		}
		g, h := f.t.group(x.series), f.t.group(y.series)
		for _, at := range by[min(2, len(by)):] {
			if g[at] != h[at] {
				return cmp.Compare(g[at], h[at])
			}
		}
		return 0
	})
}

// series adds the days of a series to a level, if there is one, and emits them if leaves is set.
func (f *flusher) series(n uint32, widest *level, leaves bool) error {
	perDay := int32(f.plan.SlotsPerDay)
	rows := f.rowsOf(n)
	if leaves {
		f.key = append(append(f.key[:0], f.prefix...), ProjectionAll)
		f.key = appendGroup(f.key, f.t.group(n))
	}
	for len(rows) > 0 {
		day, inDay := splitSlot(int32(uint32(rows[0]>>32)^1<<31), perDay)
		f.leaf.reset(f.store)
		some := false
		for {
			for k := range f.columns {
				some = f.addCell(k, uint32(rows[0]), inDay) || some
			}
			if rows = rows[1:]; len(rows) == 0 {
				break
			}
			// Stay in this day as long as the slot does.
			next := int64(int32(uint32(rows[0]>>32)^1<<31)) - int64(day)*int64(perDay)
			if next >= int64(perDay) {
				break
			}
			inDay = int(next)
		}
		if !some {
			continue
		}
		if widest != nil {
			widest.day(f, day).add(&f.leaf)
		}
		if !leaves {
			continue
		}
		f.value = f.encode(f.value[:0], &f.leaf)
		if err := f.emit(appendDay(f.key, day), f.value); err != nil {
			return err
		}
	}
	return nil
}

// addCell puts the cell of a column of a row into the leaf, unless nothing was added to it.
func (f *flusher) addCell(k int, row uint32, inDay int) bool {
	number := row + f.columns[k].table
	c := f.t.cell(number)
	switch {
	case f.t.blank(c, number):
		return false
	case f.columns[k].kind == Numeric && len(f.t.dirty) == 0:
		f.leaf.pages[k].addNumber(inDay, c.count, wideOf(c.sum))
	default:
		f.t.state(c, number, &f.states[k])
		f.leaf.pages[k].addState(inDay, &f.states[k])
	}
	return true
}

// dayRow is one day of one group while it is put together: a page for each
// column. It is reused.
type dayRow struct{ pages []page }

// reset empties the row and makes it one of a store.
func (r *dayRow) reset(s *store) {
	for len(r.pages) < len(s.columns) {
		r.pages = append(r.pages, page{})
	}
	r.pages = r.pages[:len(s.columns)]
	for k, c := range s.columns {
		r.pages[k].reset(c.kind, s.plan.SlotsPerDay, maxScale)
		r.pages[k].limit = c.limit
	}
}

// add adds all of a row of the same store.
func (r *dayRow) add(o *dayRow) {
	for k := range r.pages {
		r.pages[k].addPage(&o.pages[k])
	}
}

// encode appends the stored value of a row.
func (f *flusher) encode(dst []byte, r *dayRow) []byte {
	plain := f.columns[0].stored == 0
	for k := 1; k < len(r.pages) && plain; k++ {
		plain = !r.pages[k].begun()
	}
	if plain {
		r.pages[0].shrink()
		return r.pages[0].encode(dst)
	}
	dst = append(dst, rowVersion)
	for k := range r.pages {
		if p := &r.pages[k]; p.begun() {
			p.shrink()
			f.chunk = p.encode(f.chunk[:0])
			dst = appendPart(dst, f.columns[k].stored, f.chunk)
		}
	}
	return dst
}
