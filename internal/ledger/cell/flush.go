package cell

import (
	"bytes"
	"cmp"
	"slices"
)

// Plan says how the cells of one meter version are written.
type Plan struct {
	Layout
	Projections []Projection // by ascending ID; ProjectionAll among them
}

// Flush writes the content of a table as chunks to be merged: it calls emit in
// strictly ascending order of keys, once for each key. key and value are only valid during the call.
// plan returns how a meter version is written; if it reports false, the version's cells are left out.
//
// Projections are added up from the full groups, except that a total is taken from the
// version's empty group where the table has one beside full groups.
func Flush(t *Table, emit func(key, value []byte) error, plan func(version uint32) (Plan, bool)) error {
	type job struct {
		prefix []byte
		plan   Plan
	}
	var jobs []job
	for version := range t.meters {
		p, ok := plan(version)
		if !ok {
			continue
		}
		if err := p.Check(); err != nil {
			return err
		}
		jobs = append(jobs, job{p.AppendMeterPrefix(nil), p})
	}
	slices.SortFunc(jobs, func(a, b job) int { return bytes.Compare(a.prefix, b.prefix) })
	f := flusher{t: t, emit: emit}
	for i := range jobs {
		for _, projection := range jobs[i].plan.Projections {
			if err := f.projection(&jobs[i].plan, jobs[i].prefix, projection); err != nil {
				return err
			}
		}
	}
	return nil
}

// flusher writes one projection after the other.
type flusher struct {
	t     *Table
	emit  func(key, value []byte) error
	order []uint32 // series
	ids   []uint64 // projected ids of order, one after the other
	key   []byte
	value []byte
	days  []dayPage
	free  []*page
}

// dayPage is the page of one day of the group being written.
type dayPage struct {
	day  int32
	page *page
}

func (f *flusher) projection(p *Plan, prefix []byte, projection Projection) error {
	f.gather(p, projection.Take)
	if projection.ID == ProjectionAll {
		f.gatherFull(p)
	}
	width := len(projection.Take)
	if projection.ID == ProjectionAll {
		width = p.Groups
	}
	group := func(i int) []uint64 { return f.ids[i*width : (i+1)*width] }
	order := make([]int, len(f.order))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := slices.Compare(group(a), group(b)); c != 0 {
			return c
		}
		return cmp.Compare(f.order[a], f.order[b])
	})
	for i, k := range order {
		f.addSeries(p, f.order[k])
		if i+1 < len(order) && slices.Equal(group(k), group(order[i+1])) {
			continue
		}
		f.key = appendGroup(append(append(f.key[:0], prefix...), projection.ID), group(k))
		if err := f.write(); err != nil {
			return err
		}
	}
	return nil
}

// gather lists the series that a projection is made from.
func (f *flusher) gather(p *Plan, take []int) {
	f.order, f.ids = f.order[:0], f.ids[:0]
	m := f.t.meters[p.Version]
	if len(take) == 0 && m.total != 0 {
		f.order = append(f.order, m.total-1)
		return
	}
	f.t.SeriesOf(p.Version, func(n uint32) bool {
		if g := f.t.Group(n); len(g) == p.Groups {
			f.order = append(f.order, n)
			for _, at := range take {
				f.ids = append(f.ids, g[at])
			}
		}
		return true
	})
}

// gatherFull lists all full groups.
func (f *flusher) gatherFull(p *Plan) {
	f.order, f.ids = f.order[:0], f.ids[:0]
	f.t.SeriesOf(p.Version, func(n uint32) bool {
		if g := f.t.Group(n); len(g) == p.Groups {
			f.order = append(f.order, n)
			f.ids = append(f.ids, g...)
		}
		return true
	})
}

// addSeries adds the cells of a series to the pages of their days.
func (f *flusher) addSeries(p *Plan, n uint32) {
	f.t.Visit(n, func(slot int32, s *State) {
		day, inDay := p.Day(slot)
		f.page(p, day).addState(inDay, s)
	})
}

func (f *flusher) page(p *Plan, day int32) *page {
	i, ok := slices.BinarySearchFunc(f.days, day, func(d dayPage, day int32) int { return cmp.Compare(d.day, day) })
	if ok {
		return f.days[i].page
	}
	if len(f.free) == 0 {
		f.free = append(f.free, new(page))
	}
	pg := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	pg.reset(p.Kind, p.SlotsPerDay, maxScale)
	f.days = slices.Insert(f.days, i, dayPage{day, pg})
	return pg
}

// write emits the pages of one group, whose key is there but for the day.
func (f *flusher) write() error {
	for _, d := range f.days {
		d.page.shrink()
		f.value = d.page.encode(f.value[:0])
		f.free = append(f.free, d.page)
		if err := f.emit(appendDay(f.key, d.day), f.value); err != nil {
			return err
		}
	}
	f.days = f.days[:0]
	return nil
}
