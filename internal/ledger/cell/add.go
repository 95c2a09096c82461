package cell

import "odometer/internal/meter"

// Cells have the numbers that Table.Cell gives.

// AddNumeric adds count events whose values sum to q; a void takes both back by
// giving them negative.
func (t *Table) AddNumeric(number uint32, count int64, q meter.Quantity) {
	c := t.cell(number)
	c.count += count
	c.sum.Add(q)
}

// addCount adds count events that have no value.
func (t *Table) addCount(number uint32, count int64) {
	t.cell(number).count += count
}

// AddMin counts an event of a MIN cell.
func (t *Table) AddMin(number uint32, q meter.Quantity) {
	c := t.cell(number)
	v := wideOfQuantity(q)
	if c.count == 0 || v.less(wideOf(c.sum)) {
		c.sum = v.sum()
	}
	c.count = addCount(c.count, 1)
}

// AddMax counts an event of a MAX cell.
func (t *Table) AddMax(number uint32, q meter.Quantity) {
	c := t.cell(number)
	v := wideOfQuantity(q)
	if c.count == 0 || wideOf(c.sum).less(v) {
		c.sum = v.sum()
	}
	c.count = addCount(c.count, 1)
}

// AddLast counts an event of a LAST cell. Source and id are copied if the event is the latest.
func (t *Table) AddLast(number uint32, time int64, source, id []byte, q meter.Quantity) {
	c := t.cell(number)
	if c.side == 0 {
		t.lasts = append(t.lasts, lastEvent{})
		c.side = uint32(len(t.lasts))
		t.sideSize += 56
	}
	l := &t.lasts[c.side-1]
	now := State{Time: time, Source: source, ID: id, Value: q}
	held, _ := wideOf(c.sum).quantity()
	if c.count == 0 || now.after(&State{Time: l.time, Source: l.source, ID: l.id, Value: held}) {
		t.sideSize -= int64(cap(l.source) + cap(l.id))
		l.time, l.source, l.id = time, append(l.source[:0], source...), append(l.id[:0], id...)
		t.sideSize += int64(cap(l.source) + cap(l.id))
		c.sum = wideOfQuantity(q).sum()
	}
	c.count = addCount(c.count, 1)
}

// AddSet counts an event of a UNIQUE_COUNT cell whose value has the interned
// id, and returns how many distinct ids the cell now holds.
func (t *Table) AddSet(number uint32, id uint64) int {
	c := t.cell(number)
	if c.side == 0 {
		t.sets = append(t.sets, Set{})
		c.side = uint32(len(t.sets))
		t.sideSize += 32
	}
	set := &t.sets[c.side-1]
	t.sideSize += int64(set.Add(id))
	c.count = addCount(c.count, 1)
	return set.Len()
}

// Dirty marks a cell whose state no longer follows from what was added,
// because an event was voided that cannot be subtracted. Sequences start at 1.
func (t *Table) Dirty(number uint32, sequence uint64) {
	t.dirty[number] = max(t.dirty[number], sequence)
}
