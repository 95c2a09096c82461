package cell

import (
	"bytes"
	"slices"
)

// openDays is the number of days that a level holds as pages, each at the
// place of its day modulo openDays. A day that finds its place taken by another has that one
// written as a partial chunk; such are merged when the level is emitted.
const openDays = 512

// level adds up one projection during a pass: pages for the days of the
// group at hand, and a buffer of the chunks of the groups before.
type level struct {
	id    uint8
	width int
	next  *level // the projection that this one is added up into, nil = none
	group []uint64
	begun bool // group is set

	places [openDays]dayPlace
	days   []int32 // of the places in use
	free   []*dayRow

	buffer  []byte  // keys and values, one after the other
	entries []entry // in the order written
	spilled bool    // entries may be out of order and several have one key
}

// dayPlace has the row of one day, nil if the place is free.
type dayPlace struct {
	day int32
	row *dayRow
}

// entry is one chunk in a level's buffer.
type entry struct {
	key, value, end int
}

func (f *flusher) newLevel(p Projection) *level {
	l := new(level)
	if n := len(f.free); n > 0 {
		l, f.free = f.free[n-1], f.free[:n-1]
	}
	l.id, l.width, l.next, l.begun, l.spilled = p.ID, len(p.Take), nil, false, false
	l.group, l.buffer, l.entries = l.group[:0], l.buffer[:0], l.entries[:0]
	return l
}

// holds tells whether group belongs to the projected group at hand.
func (l *level) holds(group []uint64, by []int) bool {
	if !l.begun {
		l.open(group, by)
	}
	for i := range l.width {
		if group[by[i]] != l.group[i] {
			return false
		}
	}
	return true
}

// open makes group's projection the one at hand.
func (l *level) open(group []uint64, by []int) {
	l.begun = true
	l.group = l.group[:0]
	for _, at := range by[:l.width] {
		l.group = append(l.group, group[at])
	}
}

// day returns the row of a day.
func (l *level) day(f *flusher, day int32) *dayRow {
	d := &l.places[uint32(day)%openDays]
	if d.row != nil {
		if d.day == day {
			return d.row
		}
		l.spilled = true
		l.days = slices.DeleteFunc(l.days, func(other int32) bool { return other == d.day })
		l.write(f, d)
	}
	if n := len(l.free); n > 0 {
		d.row, l.free = l.free[n-1], l.free[:n-1]
	} else {
		d.row = new(dayRow)
	}
	d.day = day
	d.row.reset(f.store)
	l.days = append(l.days, day)
	return d.row
}

// close ends the group at hand.
func (l *level) close(f *flusher) {
	slices.Sort(l.days)
	for _, day := range l.days {
		l.write(f, &l.places[uint32(day)%openDays])
	}
	l.days = l.days[:0]
}

// write adds a day to the next level, moves it to the buffer and frees its place.
func (l *level) write(f *flusher, d *dayPlace) {
	if l.next != nil {
		l.next.day(f, d.day).add(d.row)
	}
	e := entry{key: len(l.buffer)}
	l.buffer = append(append(l.buffer, f.prefix...), l.id)
	l.buffer = appendDay(appendGroup(l.buffer, l.group), d.day)
	e.value = len(l.buffer)
	l.buffer = f.encode(l.buffer, d.row)
	e.end = len(l.buffer)
	l.entries = append(l.entries, e)
	l.free = append(l.free, d.row)
	d.row = nil
}

func (l *level) keyOf(e entry) []byte   { return l.buffer[e.key:e.value] }
func (l *level) valueOf(e entry) []byte { return l.buffer[e.value:e.end] }

// emit hands the buffered chunks on.
func (l *level) emit(f *flusher) error {
	if l.spilled {
		slices.SortStableFunc(l.entries, func(a, b entry) int { return bytes.Compare(l.keyOf(a), l.keyOf(b)) })
	}
	for i := 0; i < len(l.entries); {
		e := l.entries[i]
		value := l.valueOf(e)
		for i++; i < len(l.entries) && bytes.Equal(l.keyOf(e), l.keyOf(l.entries[i])); i++ {
			var err error
			if value, err = merge(f.plan.SetValues, value, l.valueOf(l.entries[i])); err != nil {
				return err
			}
		}
		if err := f.emit(l.keyOf(e), value); err != nil {
			return err
		}
	}
	return nil
}
