package cell

// Permanent as a dirty slot's sequence, says that the slot is never
// recomputed: it has more distinct values than a slot may hold, keeps none of
// them and is answered from the events for good.
const Permanent = ^uint64(0)

// DirtySlots calls fn for each cell that Dirty has marked since the last
// Reset and for each meter that it is of, in no particular order. group is a view that must not be changed.
func (t *Table) DirtySlots(fn func(version uint32, group []uint64, slot int32, sequence uint64)) {
	for n, sequence := range t.dirty {
		c := t.cell(n)
		for _, version := range t.families[t.series[c.series].family].columns[c.column()].Versions {
			fn(version, t.group(c.series), c.at, sequence)
		}
	}
}

// Forget makes a Distinct cell dirty for good and lets go of its values: for a
// caller to whom AddSet says that the cell holds too many.
func (t *Table) Forget(number uint32) {
	t.Dirty(number, Permanent)
	if side := t.cell(number).side; side != 0 {
		t.sideSize -= t.sets[side-1].bytes()
		t.sets[side-1] = Set{}
	}
}
