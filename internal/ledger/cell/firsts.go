package cell

// seriesOfFirst yields the series of a family whose first group id is id.
func (t *Table) seriesOfFirst(family uint32, id uint64, yield func(n uint32) bool) {
	for n := t.findex[t.firstPlace(family, id)]; n != 0; n = t.series[n-1].nextFirst {
		if !yield(n - 1) {
			return
		}
	}
}

// firstPlace returns where in findex the newest series of a family and a
// first group id is, or is to be.
func (t *Table) firstPlace(family uint32, id uint64) uint32 {
	mask := uint32(len(t.findex) - 1)
	i := t.firstHash(family, id) & mask
	for n := t.findex[i]; n != 0; n = t.findex[i] {
		if s := &t.series[n-1]; s.family == family && t.arena[s.ids] == id {
			break
		}
		i = (i + 1) & mask
	}
	return i
}

func (t *Table) firstHash(family uint32, id uint64) uint32 {
	return t.groupHash(family, []uint64{id})
}

func (t *Table) growFirsts() {
	old := t.findex
	t.findex = make([]uint32, 2*len(old))
	for _, n := range old {
		if n != 0 {
			s := &t.series[n-1]
			t.findex[t.firstPlace(s.family, t.arena[s.ids])] = n
		}
	}
}
