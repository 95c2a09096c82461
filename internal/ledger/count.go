package ledger

import (
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// change says how rows are taken into the cells: counted, or taken back by
// the void at a sequence.
type change struct {
	sign int64 // +1 or -1
	seq  uint64
}

// columnMeasure is what a column of a family takes of the rows of a block.
type columnMeasure struct {
	measure
	column uint32
	meters []*meterState
	misses bool // some row lacks it
}

// countFamily adds the accepted rows of the evaluator's block to the cells of
// one family, or takes them back.
func (l *Ledger) countFamily(fam *family, rows *block.Rows, verdicts []meter.Verdict, by change) error {
	f := &l.fold
	f.eval.trim()
	if cap(f.take) < rows.N {
		f.take = make([]bool, rows.N)
	}
	take := f.take[:rows.N]
	for i, v := range verdicts {
		take[i] = v == meter.Accepted
	}
	if !f.eval.match(&fam.lead.record.Meter, take) {
		return nil
	}
	f.columns = f.columns[:0]
	for _, attr := range fam.lead.Order {
		ids, err := f.eval.group(attr)
		if err != nil {
			return err
		}
		f.columns = append(f.columns, ids)
	}
	f.measures = f.measures[:0]
	for k, c := range fam.columns {
		if len(c.meters) == 0 {
			continue
		}
		ms, err := f.eval.measure(&c.meters[0].record.Meter)
		if err != nil {
			return err
		}
		f.measures = append(f.measures, columnMeasure{measure: ms, column: uint32(k), meters: c.meters})
	}
	if err := l.addRows(fam, rows, take, by); err != nil {
		return err
	}
	if by.sign > 0 {
		l.noteMisses(rows, take)
	}
	for m := range fam.meters {
		l.active.meters[m] = struct{}{}
	}
	return nil
}

// addRows walks the taken rows and updates the family's cells in the active table.
func (l *Ledger) addRows(fam *family, rows *block.Rows, take []bool, by change) error {
	f := &l.fold
	table := l.active.table
	width := int64(fam.lead.Width)
	f.group = append(f.group[:0], make([]uint64, len(f.columns))...)
	grouped := len(f.columns) > 0
	var totals, total uint32 // series, and the cells of the slot at hand
	if grouped {
		totals = table.Series(fam.number, nil)
	}
	for i := range take {
		if !take[i] {
			continue
		}
		has := uint16(0)
		for k := range f.measures {
			if m := &f.measures[k]; m.has(i) {
				has |= 1 << m.column
			} else {
				m.misses = true
			}
		}
		if has == 0 {
			continue
		}
		for c, ids := range f.columns {
			f.group[c] = ids[i]
		}
		series, err := l.series(fam, f.group, has)
		if err != nil {
			return err
		}
		slot := int32(floorDiv(rows.Times[i], width))
		first := table.Cell(series, slot)
		if grouped {
			total = table.Cell(totals, slot)
		}
		for k := range f.measures {
			m := &f.measures[k]
			if has>>m.column&1 == 0 {
				continue
			}
			l.addCell(&m.measure, rows, i, first+m.column, by)
			if grouped {
				l.addCell(&m.measure, rows, i, total+m.column, by)
			}
		}
	}
	return nil
}

// addCell updates one cell by a row. A void cannot be subtracted from what is
// not a sum: the cell is marked and answered by scanning until it is recomputed.
func (l *Ledger) addCell(ms *measure, rows *block.Rows, i int, number uint32, by change) {
	t := l.active.table
	switch {
	case ms.kind == cell.Numeric:
		q := ms.quantity(i)
		if by.sign < 0 {
			q = q.Neg()
		}
		t.AddNumeric(number, by.sign, q)
	case by.sign < 0:
		t.Dirty(number, by.seq)
	case ms.kind == cell.Min:
		t.AddMin(number, ms.quantity(i))
	case ms.kind == cell.Max:
		t.AddMax(number, ms.quantity(i))
	case ms.kind == cell.Distinct:
		if t.AddSet(number, ms.texts.ids[i]) > l.limits.SetValues {
			t.Forget(number)
		}
	default:
		source, _ := rows.Sources.At(i)
		t.AddLast(number, rows.Times[i], source, rows.IDs.At(i), ms.quantity(i))
	}
}

// noteMisses notes the taken rows that lack what a meter of the family takes.
func (l *Ledger) noteMisses(rows *block.Rows, take []bool) {
	for k := range l.fold.measures {
		c := &l.fold.measures[k]
		if !c.misses {
			continue
		}
		for _, m := range c.meters {
			for i := range take {
				if take[i] && !c.has(i) {
					m.record.Skipped++
					l.noteSkip(rows, i, m)
				}
			}
		}
	}
}

// series returns the series of a group, in which the columns of has count. Of one that a
// crowded meter does not keep apart it changes group to the one that stands for such groups.
func (l *Ledger) series(fam *family, group []uint64, has uint16) (uint32, error) {
	t := l.active.table
	apart := len(group) > 0
	n, ok := t.FindSeries(fam.number, group)
	if !ok {
		if m := fam.lead; apart && m.record.Crowded {
			var err error
			if apart, err = l.listed(m, group); err != nil {
				return 0, err
			}
			if !apart {
				m.overflow(group)
			}
		}
		n = t.Series(fam.number, group)
	}
	if first := t.Meet(n, has); first != 0 && apart {
		h := groupHash(group)
		for k, c := range fam.columns {
			if first>>k&1 == 0 {
				continue
			}
			for _, m := range c.meters {
				m.groups.note(h)
			}
		}
	}
	return n, nil
}

// listed says whether a crowded meter keeps the group apart.
func (l *Ledger) listed(m *meterState, group []uint64) (bool, error) {
	return l.stateHas(state.GroupKey(m.record.Version, group))
}
