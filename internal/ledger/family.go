package ledger

import (
	"encoding/json"
	"fmt"
	"slices"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// A family is meters of an organization that take the same events, by the same
// groups and in slots of the same width: filters, group and slot of an event are
// worked out once for all of them, and their cells lie side by side. Meters that
// also keep the same of an event share one column, so one cell.
//
// Families are made anew for each delta, by what the meters are then, and never
// change what a meter's cells hold: one that is defined meanwhile is alone until
// the next delta, and so is one whose cells lag behind those of others, because
// of a backfill or because a checkpoint came within a block.

// family is the meters of one family; its columns have the places that they have in the table.
type family struct {
	number  uint32 // in the delta's table
	lead    *meterState
	columns []column
}

// column is meters whose cells are the same; none if all were deleted.
type column struct {
	meters []*meterState
}

// kinship is what decides which family and which column a meter is of.
type kinship struct{ family, column string }

func kinshipOf(c *state.Cells, m *meter.Meter) kinship {
	filters, _ := json.Marshal(m.Filters)
	value := "" // a COUNT takes none
	if m.Aggregation != meter.AggCount {
		value = m.Value
	}
	return kinship{fmt.Sprintf("%q %s %q %d", m.EventType, filters, c.Order, c.Width),
		fmt.Sprintf("%d %q %t", c.Kind, value, m.Excess == meter.ExcessRound)}
}

// What a family and a meter of it take in memory.
const familyBytes, kinBytes = 256, 192

// families returns the organization's families in the active delta, in order of
// their first meters. Fold goroutine.
func (l *Ledger) families(org *orgState) []*family {
	d := l.active
	if list, ok := d.families[org]; ok {
		return list
	}
	var list []*family
	if l.fold.places == nil {
		l.fold.places = map[string]int{}
	}
	places := l.fold.places
	clear(places)
	for _, sharing := range byStore(org.meters) {
		m := sharing[0]
		if !m.record.Backfilled() || m.record.Crowded {
			list = append(list, newFamily(sharing))
			continue
		}
		name := m.kin.family
		if m.record.Ahead > d.applied {
			name = fmt.Sprint(m.record.Ahead, " ", name)
		}
		at, ok := places[name]
		if !ok || !list[at].take(sharing) {
			places[name] = len(list)
			list = append(list, newFamily(sharing))
		}
	}
	for _, f := range list {
		d.register(f)
	}
	d.families[org] = list
	return list
}

// byStore groups meters that share the keys of their cells, in order of the first of each.
func byStore(meters []*meterState) [][]*meterState {
	var list [][]*meterState
	places := map[uint32]int{}
	for _, m := range meters {
		at, ok := places[m.record.StoreVersion()]
		if !ok {
			at = len(list)
			places[m.record.StoreVersion()] = at
			list = append(list, nil)
		}
		list[at] = append(list[at], m)
	}
	return list
}

// storeFor chooses where the cells of a new meter are, of an organization of
// which nothing has been counted: in values in which others of its family have theirs, told by the
// version in their keys and a column. Sets are large and stay by themselves. 0, 0 is keys of its own.
func (o *orgState) storeFor(r *state.MeterRecord) (store uint32, column int) {
	cells := r.Cells(o.name)
	kin := kinshipOf(&cells, &r.Meter)
	if cells.Kind == cell.Distinct {
		return 0, 0
	}
	for _, sharing := range byStore(o.meters) {
		if sharing[0].Kind == cell.Distinct || sharing[0].kin.family != kin.family {
			continue
		}
		free := 0
		for _, m := range sharing {
			if m.kin.column == kin.column {
				return m.record.StoreVersion(), m.record.Column
			}
			free = max(free, m.record.Column+1)
		}
		if free < cell.MaxStored {
			return sharing[0].record.StoreVersion(), free
		}
	}
	return 0, 0
}

func newFamily(meters []*meterState) *family {
	f := &family{lead: meters[0]}
	f.take(meters)
	return f
}

// take adds meters to the family, unless that has no room for all of them.
func (f *family) take(meters []*meterState) bool {
	columns := slices.Clone(f.columns)
	for _, m := range meters {
		at := slices.IndexFunc(columns, func(c column) bool { return c.meters[0].kin.column == m.kin.column })
		if at < 0 {
			at = len(columns)
			columns = append(columns, column{})
		}
		columns[at].meters = append(slices.Clip(columns[at].meters), m)
	}
	if len(columns) > cell.MaxColumns {
		return false
	}
	f.columns = columns
	return true
}

// register gives the family its place in the delta's table.
func (d *delta) register(f *family) {
	columns := make([]cell.Column, len(f.columns))
	for k, c := range f.columns {
		columns[k].Kind = c.meters[0].Kind
		for _, m := range c.meters {
			columns[k].Versions = append(columns[k].Versions, m.record.Version)
		}
		d.side += int64(len(c.meters)) * kinBytes
	}
	d.side += familyBytes
	f.number = d.table.Family(columns)
}

// addMeter makes a new meter one of the organization's families.
func (d *delta) addMeter(org *orgState, m *meterState) {
	if org.record.Accepted == 0 { // no cells yet; it may share keys with others, so it must be of their family
		delete(d.families, org)
		return
	}
	if list, ok := d.families[org]; ok {
		f := newFamily([]*meterState{m})
		d.register(f)
		d.families[org] = append(list, f)
	}
}

// dropMeter takes a deleted meter out of its family.
func (d *delta) dropMeter(org *orgState, m *meterState) {
	d.families[org] = slices.DeleteFunc(d.families[org], func(f *family) bool { return f.drop(m) })
	if len(d.families[org]) == 0 {
		delete(d.families, org)
	}
}

// drop takes out a meter and says whether none is left.
func (f *family) drop(m *meterState) (empty bool) {
	f.lead = nil
	for k := range f.columns {
		c := &f.columns[k]
		c.meters = slices.DeleteFunc(c.meters, func(o *meterState) bool { return o == m })
		if f.lead == nil && len(c.meters) > 0 {
			f.lead = c.meters[0]
		}
	}
	return f.lead == nil
}

// meters yields all meters of the family.
func (f *family) meters(yield func(*meterState) bool) {
	for _, c := range f.columns {
		for _, m := range c.meters {
			if !yield(m) {
				return
			}
		}
	}
}

// ownFamily returns the family of a meter whose backfill is under way: nobody else is of it.
func (l *Ledger) ownFamily(org *orgState, m *meterState) (*family, error) {
	for _, f := range l.families(org) {
		if f.lead == m && len(f.columns) == 1 && len(f.columns[0].meters) == 1 {
			return f, nil
		}
	}
	return nil, meter.Errorf(meter.KindInternal, "meter %s shares cells while it is backfilled", m.record.Meter.Key)
}
