package cell

import (
	"math/bits"
	"math/rand/v2"

	"odometer/internal/meter"
)

// Slot widths are at least a minute, so a slot number (unix seconds divided by
// the width, rounded down) of any time that unix nanoseconds can express,
// 1677 to 2262, fits an int32 with a wide margin.
const minSlotSeconds = 60

// maxSlotsPerDay is the largest number of slots in a day: one a minute.
const maxSlotsPerDay = 24 * 3600 / minSlotSeconds

// Table holds the cell deltas of one flush interval. One goroutine changes it;
// once that has stopped, any number may read it at the same time. Reading while
// it is being changed needs a lock of the caller's around both.
//
//	index  ──►  cells   hash of (series, slot) to a row of cells, one for each column; rows of one series are linked
//	sindex ──►  series  hash of (family, ids) to a series; ids lie in one arena
//	findex ──►  series  hash of (family, first id) to the newest of its series, which are linked
//
// A family is meters of the same groups and slots, see Column.
//
// Nothing in the four large arrays holds a pointer.
type Table struct {
	seed uint64

	index []uint32 // see place
	cells []*cellBlock
	used  uint32 // cells in use, those left out included

	sindex   []uint32
	series   []series
	arena    []uint64
	families []family
	members  map[uint32]member // by meter version
	findex   []uint32          // newest series + 1 of a (family, first group id)
	firsts   int               // entries of findex

	lasts    []lastEvent
	sets     []Set
	dirty    map[uint32]uint64 // cell number to the sequence of its latest void
	sideSize int64             // bytes held by lasts and sets
}

// slot is one cell; 48 bytes without a pointer.
type slot struct {
	series uint32 // noSeries: left out, because a row did not fit the rest of a block
	at     int32
	next   uint32 // first of a row: cell number + 1 of the next row of the same series; others: ^ column
	side   uint32 // Last, Distinct: index + 1 in lasts or sets
	count  int64
	sum    meter.Sum // Min, Max, Last: the value
}

// noSeries is more than there can be series of cells.
const noSeries = ^uint32(0)

// column returns the place of a cell in its row.
func (s *slot) column() uint32 {
	if c := ^s.next; c < MaxColumns {
		return c
	}
	return 0
}

const (
	blockBits  = 12
	blockCells = 1 << blockBits
	cellSize   = 48
)

// cellBlock is the unit in which cells are allocated, so that growing never copies.
type cellBlock [blockCells]slot

type series struct {
	family     uint32
	ids        uint32 // offset in the arena
	width      uint16 // ids in the group
	met        uint16 // columns that have counted here, see Meet
	lastSlot   int32  // slot of the row used last
	lastCell   uint32 // number + 1 of its first cell; 0 = the series has no cell
	head       uint32 // number + 1 of the first cell of the newest row
	nextFamily uint32 // series + 1
	nextFirst  uint32 // series + 1
	rows       uint32
}

// What Bytes counts beside cells and ids.
const (
	seriesSize = 40
	indexCost  = 4 * 2 // an index is half full on average
	firstsCost = 8     // an entry of findex, at most one a series
	dirtyCost  = 32
)

type lastEvent struct {
	time       int64
	source, id []byte
}

// NewTable returns an empty table with room for about cells cells; 0 is fine.
func NewTable(cells int) *Table {
	t := &Table{seed: rand.Uint64(), members: map[uint32]member{}, dirty: map[uint32]uint64{}}
	t.index = make([]uint32, indexSize(cells))
	t.sindex = make([]uint32, indexSize(0))
	t.findex = make([]uint32, indexSize(0))
	return t
}

// indexSize returns the smallest allowed size of an index of n entries.
func indexSize(n int) int {
	size := 1024
	for full(n, size) {
		size *= 2
	}
	return size
}

// full says that an index of the given size must grow before it takes another entry.
func full(n, size int) bool { return n >= size/8*5 }

// Reset empties the table and keeps its memory for the next interval, unless
// this one used only a small part of it.
func (t *Table) Reset() {
	if len(t.index) > indexSize(8*int(t.used)) {
		t.index = make([]uint32, indexSize(2*int(t.used)))
	} else {
		clear(t.index)
	}
	if n := len(t.series); len(t.sindex) > indexSize(8*n) {
		t.sindex = make([]uint32, indexSize(2*n))
		t.findex = make([]uint32, indexSize(2*n))
		t.series = make([]series, 0, 2*n)
		t.arena = make([]uint64, 0, 2*len(t.arena))
	} else {
		clear(t.sindex)
		clear(t.findex)
	}
	if keep := 2*int(t.used)/blockCells + 1; keep < len(t.cells) {
		clear(t.cells[keep:])
		t.cells = t.cells[:keep]
	}
	t.used, t.series, t.arena = 0, t.series[:0], t.arena[:0]
	t.families = nil
	clear(t.members)
	t.firsts = 0
	t.lasts, t.sets, t.sideSize = nil, nil, 0
	clear(t.dirty)
}

// empty tells whether nothing was added since the last Reset.
func (t *Table) empty() bool { return t.used == 0 }

// Cells returns the number of cells.
func (t *Table) Cells() int { return int(t.used) }

// Bytes returns how much memory the content takes, indexes included.
func (t *Table) Bytes() int64 {
	return int64(t.used)*(cellSize+indexCost) + int64(len(t.series))*(seriesSize+indexCost+firstsCost) + int64(len(t.arena))*8 +
		int64(len(t.dirty))*dirtyCost + t.sideSize
}

// Series returns the number of the series of a family and a group,
// registering it at the first call. The number holds until Reset. All groups of a family have
// the same number of ids, except that the empty group may be given as well and then
// stands for the total that the caller keeps by adding every event to it too.
func (t *Table) Series(family uint32, group []uint64) uint32 {
	h := t.groupHash(family, group)
	mask := uint32(len(t.sindex) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := t.sindex[i]
		if e == 0 {
			return t.addSeries(h, family, group)
		}
		if (e^h)&^mask == 0 {
			if n := e&mask - 1; t.isSeries(n, family, group) {
				return n
			}
		}
	}
}

// FindSeries returns the series of a family and a group if there is one.
func (t *Table) FindSeries(family uint32, group []uint64) (uint32, bool) {
	h := t.groupHash(family, group)
	mask := uint32(len(t.sindex) - 1)
	for i := h & mask; t.sindex[i] != 0; i = (i + 1) & mask {
		e := t.sindex[i]
		if n := e&mask - 1; (e^h)&^mask == 0 && t.isSeries(n, family, group) {
			return n, true
		}
	}
	return 0, false
}

// group returns the ids of a series; the caller must not change them.
func (t *Table) group(n uint32) []uint64 {
	s := &t.series[n]
	return t.arena[s.ids : s.ids+uint32(s.width) : s.ids+uint32(s.width)]
}

// seriesOf yields the series of a family, latest first.
func (t *Table) seriesOf(family uint32, yield func(n uint32) bool) {
	for n := t.families[family].head; n != 0; n = t.series[n-1].nextFamily {
		if !yield(n - 1) {
			return
		}
	}
}

// visit calls fn for each cell of a column of a series in no particular order,
// but for those that nothing was added to. The state is a view that holds during
// the call.
func (t *Table) visit(n, column uint32, fn func(slot int32, s *State)) {
	st := State{Kind: t.families[t.series[n].family].columns[column].Kind}
	for i := t.series[n].head; i != 0; {
		first := t.cell(i - 1)
		if c := t.cell(i - 1 + column); !t.blank(c, i-1+column) {
			t.state(c, i-1+column, &st)
			fn(first.at, &st)
		}
		i = first.next
	}
}

// blank says that a cell's state is the identity: its row was made for others, or it was all taken back.
func (t *Table) blank(c *slot, number uint32) bool {
	return c.count == 0 && c.side == 0 && c.sum.IsZero() && (len(t.dirty) == 0 || t.dirty[number] == 0)
}

// cell returns the cell of a number.
func (t *Table) cell(i uint32) *slot {
	return &t.cells[i>>blockBits][i&(blockCells-1)]
}

// state fills st with the state of cell number i.
func (t *Table) state(c *slot, i uint32, st *State) {
	st.Count, st.Dirty = c.count, 0
	if len(t.dirty) != 0 {
		st.Dirty = t.dirty[i]
	}
	switch st.Kind {
	case Numeric:
		st.Sum = c.sum
		return
	case Distinct:
		st.Set = nil
		if c.side != 0 {
			st.Set = &t.sets[c.side-1]
		}
		return
	case Last:
		st.Time, st.Source, st.ID = 0, nil, nil
		if c.side != 0 {
			l := &t.lasts[c.side-1]
			st.Time, st.Source, st.ID = l.time, l.source, l.id
		}
	}
	st.Value, _ = wideOf(c.sum).quantity()
}

// Cell returns the number of a cell of a series and a slot, making it if need be: the
// cell of the family's first column, behind which are those of the others in
// order. It holds until Reset.
func (t *Table) Cell(n uint32, at int32) uint32 {
	s := &t.series[n]
	if s.lastSlot == at && s.lastCell != 0 {
		return s.lastCell - 1
	}
	return t.find(s, n, at)
}

func (t *Table) find(s *series, n uint32, at int32) uint32 {
	h := t.cellHash(n, at)
	mask := uint32(len(t.index) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := t.index[i]
		if e == 0 {
			return t.addRow(s, h, n, at)
		}
		if (e^h)&^mask == 0 {
			if c := t.cell(e&mask - 1); c.series == n && c.at == at {
				s.lastSlot, s.lastCell = at, e&mask
				return s.lastCell - 1
			}
		}
	}
}

func (t *Table) addRow(s *series, h, n uint32, at int32) uint32 {
	columns := uint32(len(t.families[s.family].columns))
	if full(int(t.used+columns), len(t.index)) {
		t.index = make([]uint32, 2*len(t.index))
		for i, c := range t.rows {
			place(t.index, t.cellHash(c.series, c.at), i+1)
		}
	}
	if left := blockCells - t.used&(blockCells-1); left < columns { // a row lies in one block
		for range left {
			*t.cell(t.used) = slot{series: noSeries}
			t.used++
		}
	}
	if int(t.used)>>blockBits == len(t.cells) {
		t.cells = append(t.cells, new(cellBlock))
	}
	first := t.used
	t.used += columns
	place(t.index, h, first+1)
	block, from := t.cells[first>>blockBits], first&(blockCells-1)
	block[from] = slot{series: n, at: at, next: s.head}
	for k := uint32(1); k < columns; k++ {
		block[from+k] = slot{series: n, at: at, next: ^k}
	}
	s.head, s.lastCell, s.lastSlot = first+1, first+1, at
	s.rows++
	return first
}

// rows yields the first cell of each row, with its number.
func (t *Table) rows(yield func(i uint32, c *slot) bool) {
	for at, block := range t.cells {
		from := uint32(at) << blockBits
		for i := range min(t.used-min(from, t.used), blockCells) {
			if c := &block[i]; c.series != noSeries && c.column() == 0 && !yield(from+i, c) {
				return
			}
		}
	}
}

func (t *Table) addSeries(h, number uint32, group []uint64) uint32 {
	if full(len(t.series), len(t.sindex)) {
		t.sindex = make([]uint32, 2*len(t.sindex))
		for i := range t.series {
			n := uint32(i)
			place(t.sindex, t.groupHash(t.series[n].family, t.group(n)), n+1)
		}
	}
	f := &t.families[number]
	s := series{family: number, ids: uint32(len(t.arena)), width: uint16(len(group)), nextFamily: f.head}
	t.arena = append(t.arena, group...)
	n := uint32(len(t.series) + 1)
	f.head = n
	if len(group) == 0 {
		f.total = n
	} else {
		at := t.firstPlace(number, group[0])
		if s.nextFirst = t.findex[at]; s.nextFirst == 0 {
			t.firsts++
		}
		t.findex[at] = n
	}
	t.series = append(t.series, s)
	if full(t.firsts, len(t.findex)) {
		t.growFirsts()
	}
	place(t.sindex, h, n)
	return n - 1
}

func (t *Table) isSeries(n, family uint32, group []uint64) bool {
	s := &t.series[n]
	if s.family != family || int(s.width) != len(group) {
		return false
	}
	ids := t.arena[s.ids:]
	for i, id := range group {
		if ids[i] != id {
			return false
		}
	}
	return true
}

// place enters number n, counted from 1, into an index with a free place. The lower
// bits of the hash say where it belongs; as many bits of the entry hold n, the others are those of the hash, so
// that most comparisons need not look further. 0 is a free place.
func place(index []uint32, h, n uint32) {
	mask := uint32(len(index) - 1)
	i := h & mask
	for index[i] != 0 {
		i = (i + 1) & mask
	}
	index[i] = h&^mask | n
}

func (t *Table) cellHash(n uint32, at int32) uint32 {
	hi, lo := bits.Mul64(uint64(n)<<32|uint64(uint32(at))^t.seed, 0x9e3779b97f4a7c15)
	return uint32((hi ^ lo) >> 16)
}

func (t *Table) groupHash(family uint32, group []uint64) uint32 {
	h := t.seed ^ uint64(family)
	for _, id := range group {
		hi, lo := bits.Mul64(h^id, 0x9e3779b97f4a7c15)
		h = hi ^ lo ^ 0xd6e8feb86659fd93
	}
	hi, lo := bits.Mul64(h, 0xa0761d6478bd642f)
	return uint32((hi ^ lo) >> 16)
}
