package ledger

import (
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// measure is what a meter takes from each row of a block: nothing (COUNT), a
// number, or a text (UNIQUE_COUNT).
type measure struct {
	kind   cell.Kind
	values *valueColumn // nil: nothing is taken
	texts  *textColumn
	long   []bool // rows that a group or a distinct value is too long in, nil if none

	st  cell.State // scratch of state
	set cell.Set
}

// textColumn is an attribute taken as distinct values.
type textColumn struct {
	ids []uint64
	ok  []bool
}

// measure reads the meter's value attribute for the evaluator's block.
func (e *evaluator) measure(m *meter.Meter) (measure, error) {
	ms := measure{kind: cell.KindFor(m.Aggregation)}
	ms.noteLong(e, m)
	switch m.Aggregation {
	case meter.AggCount:
		return ms, nil
	case meter.AggUniqueCount:
		texts, err := e.distinct(m.Value)
		ms.texts = texts
		return ms, err
	default:
		ms.values = e.numeric(takenAs{m.Value, m.Excess == meter.ExcessRound})
		return ms, nil
	}
}

// distinct returns the number of the attribute's text for each row that has one.
func (e *evaluator) distinct(name string) (*textColumn, error) {
	ids, err := e.group(name)
	if err != nil {
		return nil, err
	}
	t := &textColumn{ids: ids, ok: make([]bool, e.rows.N)}
	for i, id := range ids {
		// The group of a missing value and of "" are one; as a value only "" counts.
		t.ok[i] = id != state.EmptyText
		if id == state.EmptyText {
			_, t.ok[i] = e.value(name, i).Text()
		}
	}
	return t, nil
}

// has says whether row i has what the meter takes; if not, the meter skips it.
func (m *measure) has(i int) bool {
	switch {
	case m.tooLong(i):
		return false
	case m.values != nil:
		return m.values.ok[i]
	case m.texts != nil:
		return m.texts.ok[i]
	default:
		return true
	}
}

func (m *measure) tooLong(i int) bool { return m.long != nil && m.long[i] }

// quantity returns the value of row i, zero where the meter takes none.
func (m *measure) quantity(i int) meter.Quantity {
	if m.values == nil {
		return meter.Quantity{}
	}
	return m.values.q[i]
}

// state returns the cell state of row i alone; it holds until the next call.
func (m *measure) state(rows *block.Rows, i int) *cell.State {
	m.st = cell.State{Kind: m.kind, Count: 1}
	switch m.kind {
	case cell.Numeric:
		m.st.Sum.Add(m.quantity(i))
	case cell.Distinct:
		m.set.Reset()
		m.set.Add(m.texts.ids[i])
		m.st.Set = &m.set
	case cell.Last:
		m.st.Time, m.st.Value = rows.Times[i], m.quantity(i)
		m.st.Source, _ = rows.Sources.At(i)
		m.st.ID = rows.IDs.At(i)
	default:
		m.st.Value = m.quantity(i)
	}
	return &m.st
}
