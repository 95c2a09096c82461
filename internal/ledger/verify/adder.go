package verify

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// counting is a block of events that is to be counted.
type counting struct {
	org  string
	rows *block.Rows
	out  []bool // rows that do not count; nil = all do
}

// adder adds up the events of all meters, one at a time. What outgrows the
// memory goes to temporary files.
type adder struct {
	table  *table
	byOrg  map[string][]int32 // places of meters
	bound  int64              // of what the table holds
	full   func() error       // makes room
	stored *stateReader
	found  *problems
	groups map[string][]uint32 // series of the projections, by meter and texts
	age    int                 // of the table, when groups was made
	kept   map[string]bool     // whether a crowded meter keeps a group
	key    []byte
	part   contents
}

func newAdder(t *table, bound int64, stored *stateReader, found *problems, full func() error) *adder {
	a := &adder{table: t, byOrg: map[string][]int32{}, bound: bound, full: full, stored: stored, found: found}
	for i, m := range t.meters {
		a.byOrg[m.Org] = append(a.byOrg[m.Org], int32(i))
	}
	return a
}

// reading is one meter as it reads one block.
type reading struct {
	*storedMeter
	number      int32
	projections []cell.Projection
	typ         uint32 // code of the event type
	value       *attribute
	order       []*attribute
	texts       []uint32 // of the row at hand
}

// block counts the events of a block.
func (a *adder) block(c *counting) error {
	cols := newColumns(c.rows, a.table)
	var meters []*reading
	for _, n := range a.byOrg[c.org] {
		if r := a.reading(cols, n); r != nil {
			meters = append(meters, r)
		}
	}
	if len(meters) == 0 {
		return nil
	}
	for row := range c.rows.N {
		if c.out != nil && c.out[row] {
			continue
		}
		cols.refresh()
		for _, r := range meters {
			if r.typ == c.rows.Types.Codes[row] {
				a.event(cols, r, row)
			}
		}
		if a.table.held > a.bound {
			if err := a.full(); err != nil {
				return err
			}
		}
	}
	return nil
}

// reading prepares a meter for a block, nil if the block has no event of its type.
func (a *adder) reading(cols *columns, n int32) *reading {
	m := a.table.meters[n]
	types := &cols.rows.Types.Values
	for code := range types.Len() {
		if string(types.At(code)) != m.Record.Meter.EventType {
			continue
		}
		r := &reading{storedMeter: m, number: n, projections: m.Projections(), typ: uint32(code), texts: make([]uint32, len(m.Order))}
		r.value = cols.attribute(m.Record.Meter.Value)
		for _, name := range m.Order {
			r.order = append(r.order, cols.attribute(name))
		}
		return r
	}
	return nil
}

// event counts one event for one meter, the way the documentation says it.
func (a *adder) event(cols *columns, r *reading, row int) {
	def := &r.Record.Meter
	if len(def.Filters) > 0 && !meter.MatchAny(def.Filters, func(name string) meter.Value { return cols.value(cols.attribute(name), row) }) {
		return
	}
	part := &a.part
	*part = contents{count: 1, texts: part.texts[:0]}
	switch def.Aggregation {
	case meter.AggCount:
	case meter.AggUniqueCount:
		text, ok := cols.value(r.value, row).Text()
		if !ok || len(text) > meter.MaxGroupBytes {
			return
		}
		part.texts = append(part.texts, a.table.text(text))
	default:
		q, ok := def.Take(cols.value(r.value, row))
		if !ok {
			return
		}
		part.number = numberOf(q)
	}
	for i, at := range r.order {
		if r.texts[i] = cols.group(at, row); r.texts[i] == tooLong {
			return
		}
	}
	if r.Kind == cell.Last {
		part.latest = latest{cols.rows.Times[row], meter.Identity{Source: string(cols.rows.Sources.Values.At(int(cols.rows.Sources.Codes[row]))), ID: string(cols.rows.IDs.At(row))}}
	}
	slot := int32(floor(cols.rows.Times[row], int64(r.Width)))
	for _, series := range a.seriesOf(r) {
		a.table.add(r.Kind, series, slot, part)
	}
}

// seriesOf returns the series that the row at hand belongs to, one for each projection.
func (a *adder) seriesOf(r *reading) []uint32 {
	if a.age != a.table.age || a.groups == nil {
		a.groups, a.age = map[string][]uint32{}, a.table.age
	}
	a.key = binary.LittleEndian.AppendUint32(a.key[:0], uint32(r.number))
	for _, n := range r.texts {
		a.key = binary.LittleEndian.AppendUint32(a.key, n)
	}
	if list, ok := a.groups[string(a.key)]; ok {
		return list
	}
	var list []uint32
	for _, p := range r.projections {
		texts := r.texts
		if p.ID != cell.ProjectionAll {
			texts = nil
			for _, at := range p.Take {
				texts = append(texts, r.texts[at])
			}
		} else if r.Record.Crowded {
			texts = a.crowded(r)
		}
		list = append(list, a.table.seriesOf(r.number, p.ID, texts))
	}
	a.groups[string(a.key)] = list
	a.table.hold(seriesBytes + int64(len(a.key)))
	return list
}

// overflowText stands, in a group of texts, for what an overflowing group does not keep.
const overflowText = "\xfe"

// crowded returns the group under which a crowded meter keeps the group at
// hand: itself if the state lists it, else the one for all others.
func (a *adder) crowded(r *reading) []uint32 {
	texts := make([]string, len(r.texts))
	for i, n := range r.texts {
		texts[i] = a.table.texts[n]
	}
	key := fmt.Sprint(r.number, "\xff", strings.Join(texts, "\xff"))
	kept, ok := a.kept[key]
	if !ok {
		var err error
		if kept, err = a.stored.listsGroup(r.storedMeter, texts); err != nil {
			a.found.add("meter %s of %s: %v", r.Record.Meter.Key, r.Org, err)
		}
		if a.kept == nil || len(a.kept) >= maxKept {
			a.kept = map[string]bool{}
		}
		a.kept[key] = kept
	}
	if kept {
		return r.texts
	}
	out := slices.Clone(r.texts)
	for i := range out {
		if !slices.ContainsFunc(r.projections, func(q cell.Projection) bool { return slices.Contains(q.Take, i) }) {
			out[i] = a.table.text(overflowText)
		}
	}
	return out
}

// maxKept bounds what is remembered of the groups that crowded meters keep.
const maxKept = 1 << 16
