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
//	index  ──►  cells   hash of (series, slot) to a cell; cells of one series are linked
//	sindex ──►  series  hash of (meter version, ids) to a series; ids lie in one arena
//	findex ──►  series  hash of (meter version, first id) to the newest of its series, which are linked
//
// Nothing in the four large arrays holds a pointer.
type Table struct {
	seed uint64

	index []uint32 // see place
	cells []*cellBlock
	used  uint32 // cells in use

	sindex  []uint32
	series  []series
	arena   []uint64
	meters  map[uint32]*meterList
	version uint32 // of the list in last
	last    *meterList
	findex  []uint32 // newest series + 1 of a (meter, first group id)
	firsts  int      // entries of findex

	lasts    []lastEvent
	sets     []Set
	dirty    map[uint32]uint64 // cell number to the sequence of its latest void
	sideSize int64             // bytes held by lasts and sets
}

// slot is one cell; 48 bytes without a pointer.
type slot struct {
	series uint32
	at     int32
	next   uint32 // cell number + 1 of the next cell of the same series
	side   uint32 // Last, Distinct: index + 1 in lasts or sets
	count  int64
	sum    meter.Sum // Min, Max, Last: the value
}

const (
	blockBits  = 12
	blockCells = 1 << blockBits
	cellSize   = 48
)

// cellBlock is the unit in which cells are allocated, so that growing never copies.
type cellBlock [blockCells]slot

type series struct {
	meter     uint32
	ids       uint32 // offset in the arena
	width     uint16 // ids in the group
	kind      Kind
	lastSlot  int32  // slot of the cell used last
	lastCell  uint32 // its number + 1; 0 = the series has no cell
	head      uint32 // cell number + 1 of the newest cell
	nextMeter uint32 // series + 1
	nextFirst uint32 // series + 1
	cells     uint32
}

// What Bytes counts beside cells and ids.
const (
	seriesSize = 40
	indexCost  = 4 * 2 // an index is half full on average
	firstsCost = 8     // an entry of findex, at most one a series
	dirtyCost  = 32
)

type meterList struct {
	head  uint32 // series + 1
	count int
	width int    // ids of its widest group
	total uint32 // series + 1 of the empty group
}

type lastEvent struct {
	time       int64
	source, id []byte
}

// NewTable returns an empty table with room for about cells cells; 0 is fine.
func NewTable(cells int) *Table {
	t := &Table{seed: rand.Uint64(), meters: map[uint32]*meterList{}, dirty: map[uint32]uint64{}}
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
	t.used, t.series, t.arena, t.last = 0, t.series[:0], t.arena[:0], nil
	clear(t.meters)
	t.firsts = 0
	t.lasts, t.sets, t.sideSize = nil, nil, 0
	clear(t.dirty)
}

// empty tells whether nothing was added since the last Reset.
func (t *Table) empty() bool { return t.used == 0 }

// Cells returns the number of cells.
func (t *Table) Cells() int { return int(t.used) }

// seriesCount returns the number of series of one meter version.
func (t *Table) seriesCount(version uint32) int {
	if m := t.meters[version]; m != nil {
		return m.count
	}
	return 0
}

// Bytes returns how much memory the content takes, indexes included.
func (t *Table) Bytes() int64 {
	return int64(t.used)*(cellSize+indexCost) + int64(len(t.series))*(seriesSize+indexCost+firstsCost) + int64(len(t.arena))*8 +
		int64(len(t.dirty))*dirtyCost + t.sideSize
}

// Series returns the number of the series of a meter version and a group,
// registering it at the first call. The number holds until Reset. All groups of a version have
// the same number of ids, except that the empty group may be given as well and then
// stands for the total that the caller keeps by adding every event to it too.
// A version has one kind; it must be unique over all organizations.
func (t *Table) Series(version uint32, kind Kind, group []uint64) uint32 {
	h := t.groupHash(version, group)
	mask := uint32(len(t.sindex) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := t.sindex[i]
		if e == 0 {
			return t.addSeries(h, version, kind, group)
		}
		if (e^h)&^mask == 0 {
			if n := e&mask - 1; t.isSeries(n, version, group) {
				return n
			}
		}
	}
}

// FindSeries returns the series of a meter version and a group if there is one.
func (t *Table) FindSeries(version uint32, group []uint64) (uint32, bool) {
	h := t.groupHash(version, group)
	mask := uint32(len(t.sindex) - 1)
	for i := h & mask; t.sindex[i] != 0; i = (i + 1) & mask {
		e := t.sindex[i]
		if n := e&mask - 1; (e^h)&^mask == 0 && t.isSeries(n, version, group) {
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

// seriesOf yields the series of a meter version, latest first.
func (t *Table) seriesOf(version uint32, yield func(n uint32) bool) {
	m := t.meters[version]
	if m == nil {
		return
	}
	for n := m.head; n != 0; n = t.series[n-1].nextMeter {
		if !yield(n - 1) {
			return
		}
	}
}

// visit calls fn for each cell of a series in no particular order. The state
// is a view that holds during the call.
func (t *Table) visit(n uint32, fn func(slot int32, s *State)) {
	st := State{Kind: t.series[n].kind}
	for i := t.series[n].head; i != 0; {
		c := t.cell(i - 1)
		t.state(c, i-1, &st)
		fn(c.at, &st)
		i = c.next
	}
}

// AddNumeric adds count events whose values sum to q; a void takes both back by
// giving them negative.
func (t *Table) AddNumeric(n uint32, at int32, count int64, q meter.Quantity) {
	c := t.at(n, at)
	c.count += count
	c.sum.Add(q)
}

// addCount adds count events that have no value.
func (t *Table) addCount(n uint32, at int32, count int64) {
	t.at(n, at).count += count
}

// AddSum adds count events whose values sum to sum, as AddNumeric does for one value.
func (t *Table) AddSum(n uint32, at int32, count int64, sum meter.Sum) {
	c := t.at(n, at)
	c.count += count
	c.sum.AddSum(sum)
}

// AddMin counts an event of a MIN series.
func (t *Table) AddMin(n uint32, at int32, q meter.Quantity) {
	c := t.at(n, at)
	v := wideOfQuantity(q)
	if c.count == 0 || v.less(wideOf(c.sum)) {
		c.sum = v.sum()
	}
	c.count = addCount(c.count, 1)
}

// AddMax counts an event of a MAX series.
func (t *Table) AddMax(n uint32, at int32, q meter.Quantity) {
	c := t.at(n, at)
	v := wideOfQuantity(q)
	if c.count == 0 || wideOf(c.sum).less(v) {
		c.sum = v.sum()
	}
	c.count = addCount(c.count, 1)
}

// AddLast counts an event of a LAST series. Source and id are copied if the event is the latest.
func (t *Table) AddLast(n uint32, at int32, time int64, source, id []byte, q meter.Quantity) {
	c := t.at(n, at)
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

// AddSet counts an event of a UNIQUE_COUNT series whose value has the interned
// id, and returns how many distinct ids the cell now holds.
func (t *Table) AddSet(n uint32, at int32, id uint64) int {
	c := t.at(n, at)
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

// Dirty marks a slot whose state no longer follows from what was added,
// because an event was voided that cannot be subtracted. Sequences start at 1.
func (t *Table) Dirty(n uint32, at int32, sequence uint64) {
	t.at(n, at)
	i := t.series[n].lastCell - 1
	t.dirty[i] = max(t.dirty[i], sequence)
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

// at returns the cell of a series and a slot, making it if need be, and
// remembers it as the series' last.
func (t *Table) at(n uint32, at int32) *slot {
	s := &t.series[n]
	if s.lastSlot == at && s.lastCell != 0 {
		return t.cell(s.lastCell - 1)
	}
	return t.find(s, n, at)
}

func (t *Table) find(s *series, n uint32, at int32) *slot {
	h := t.cellHash(n, at)
	mask := uint32(len(t.index) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := t.index[i]
		if e == 0 {
			return t.addCell(s, h, n, at)
		}
		if (e^h)&^mask == 0 {
			if c := t.cell(e&mask - 1); c.series == n && c.at == at {
				s.lastSlot, s.lastCell = at, e&mask
				return c
			}
		}
	}
}

func (t *Table) addCell(s *series, h, n uint32, at int32) *slot {
	if full(int(t.used), len(t.index)) {
		t.index = make([]uint32, 2*len(t.index))
		for i := range t.used {
			c := t.cell(i)
			place(t.index, t.cellHash(c.series, c.at), i+1)
		}
	}
	if int(t.used)>>blockBits == len(t.cells) {
		t.cells = append(t.cells, new(cellBlock))
	}
	t.used++
	place(t.index, h, t.used)
	c := t.cell(t.used - 1)
	*c = slot{series: n, at: at, next: s.head}
	s.head, s.lastCell, s.lastSlot = t.used, t.used, at
	s.cells++
	return c
}

func (t *Table) addSeries(h, version uint32, kind Kind, group []uint64) uint32 {
	if full(len(t.series), len(t.sindex)) {
		t.sindex = make([]uint32, 2*len(t.sindex))
		for i := range t.series {
			n := uint32(i)
			place(t.sindex, t.groupHash(t.series[n].meter, t.group(n)), n+1)
		}
	}
	m := t.last
	if m == nil || t.version != version {
		if m = t.meters[version]; m == nil {
			m = new(meterList)
			t.meters[version] = m
		}
		t.last, t.version = m, version
	}
	s := series{meter: version, ids: uint32(len(t.arena)), width: uint16(len(group)), kind: kind, nextMeter: m.head}
	t.arena = append(t.arena, group...)
	n := uint32(len(t.series) + 1)
	m.head = n
	m.count++
	m.width = max(m.width, len(group))
	if len(group) == 0 {
		m.total = n
	} else {
		at := t.firstPlace(version, group[0])
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

func (t *Table) isSeries(n, version uint32, group []uint64) bool {
	s := &t.series[n]
	if s.meter != version || int(s.width) != len(group) {
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

func (t *Table) groupHash(version uint32, group []uint64) uint32 {
	h := t.seed ^ uint64(version)
	for _, id := range group {
		hi, lo := bits.Mul64(h^id, 0x9e3779b97f4a7c15)
		h = hi ^ lo ^ 0xd6e8feb86659fd93
	}
	hi, lo := bits.Mul64(h, 0xa0761d6478bd642f)
	return uint32((hi ^ lo) >> 16)
}
