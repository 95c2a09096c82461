package verify

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// number is a two's complement count of 10^-12ths in three words, lowest first:
// room for any sum of quantities. It is added up here and not by meter.Sum, which the fold uses.
type number [3]uint64

func numberOf(q meter.Quantity) number {
	hi, lo := q.Parts()
	return number{lo, uint64(hi), uint64(hi >> 63)}
}

func (n *number) add(o number) {
	var carry uint64
	for i := range n {
		n[i], carry = bits.Add64(n[i], o[i], carry)
	}
}

func (n number) compare(o number) int {
	return cmp.Or(cmp.Compare(int64(n[2]), int64(o[2])), cmp.Compare(n[1], o[1]), cmp.Compare(n[0], o[0]))
}

func (n number) String() string { return meter.SumFromWords(n[0], n[1], int64(n[2])).String() }

// contents is what one cell has counted, or a part of it.
type contents struct {
	count  int64
	number number // the sum, the least, the largest or the latest value
	latest latest
	texts  []uint32 // distinct ones, by their numbers in the table
}

// latest is the event that a LAST cell has its value of.
type latest struct {
	time int64
	meter.Identity
}

func (l *latest) compare(o *latest) int {
	return cmp.Or(cmp.Compare(l.time, o.time), l.Identity.Compare(o.Identity))
}

// counted is a cell of the table.
type counted struct {
	count  int64
	number number
	side   uint32 // in latest, or the last node of its values, from 1; 0 = none
	seen   bool   // by the comparison
}

// series is one group of one projection of a meter.
type series struct {
	meter      int32
	projection uint8
	texts      []uint32
}

// node is one of a cell's distinct texts; the nodes of a cell are a list.
type node struct{ text, next uint32 }

// table adds up cells in memory. Texts and groups are numbered as they come.
type table struct {
	meters  []*storedMeter
	numbers map[string]uint32 // of texts
	texts   []string
	known   map[string]uint32 // series by meter, projection and texts
	series  []series
	cells   places // by series and slot, see cellKey
	slabs   [][]counted
	used    int // cells
	latest  []latest
	values  map[uint64]struct{} // cell and text
	nodes   []node
	held    int64 // bytes
	peak    int64
	age     int // how often it was emptied
	key     []byte
}

// What the table holds in memory for a cell (key, place in the map, the cell,
// its place when all are sorted), for a text and a group beside their bytes, for
// a value of a set, and for a latest event beside its texts.
const (
	cellBytes   = 96
	textBytes   = 72
	seriesBytes = 128
	valueBytes  = 64
	latestBytes = 64
	slabCells   = 1 << 10
)

func newTable(meters []*storedMeter) *table {
	t := &table{meters: meters}
	t.reset()
	return t
}

// reset empties the table, and keeps the room of its cells for the next ones.
// Numbers of texts and series are void from then on.
func (t *table) reset() {
	t.numbers, t.texts = map[string]uint32{"": 0}, []string{""}
	t.known, t.series = map[string]uint32{}, nil
	t.cells.clear()
	t.used = 0
	t.latest, t.values, t.nodes = nil, map[uint64]struct{}{}, nil
	t.held = 0
	t.age++
}

func (t *table) hold(n int64) {
	t.held += n
	t.peak = max(t.peak, t.held)
}

// text numbers a text.
func (t *table) text(s string) uint32 {
	n, ok := t.numbers[s]
	if !ok {
		n = uint32(len(t.texts))
		s = strings.Clone(s)
		t.numbers[s] = n
		t.texts = append(t.texts, s)
		t.hold(int64(len(s)) + textBytes)
	}
	return n
}

func (t *table) seriesKey(m int32, projection uint8, texts []uint32) []byte {
	t.key = append(binary.LittleEndian.AppendUint32(t.key[:0], uint32(m)), projection)
	for _, n := range texts {
		t.key = binary.LittleEndian.AppendUint32(t.key, n)
	}
	return t.key
}

// seriesOf numbers a group.
func (t *table) seriesOf(m int32, projection uint8, texts []uint32) uint32 {
	key := t.seriesKey(m, projection, texts)
	n, ok := t.known[string(key)]
	if !ok {
		n = uint32(len(t.series))
		t.known[string(key)] = n
		t.series = append(t.series, series{m, projection, slices.Clone(texts)})
		t.hold(seriesBytes + int64(len(key)+4*len(texts)))
	}
	return n
}

// find returns the number of a group that the table has.
func (t *table) find(m int32, projection uint8, texts []string) (uint32, bool) {
	numbers := make([]uint32, len(texts))
	for i, s := range texts {
		n, ok := t.numbers[s]
		if !ok {
			return 0, false
		}
		numbers[i] = n
	}
	n, ok := t.known[string(seriesKeyOf(m, projection, numbers))]
	return n, ok
}

// seriesKeyOf is seriesKey for those who read the table at the same time.
func seriesKeyOf(m int32, projection uint8, texts []uint32) []byte {
	var t table
	return t.seriesKey(m, projection, texts)
}

// cellKey orders cells by series, then slot.
func cellKey(series uint32, slot int32) uint64 {
	return uint64(series)<<32 | uint64(uint32(slot)^1<<31)
}

func slotOf(key uint64) int32 { return int32(uint32(key) ^ 1<<31) }

func (t *table) at(n uint32) *counted { return &t.slabs[n/slabCells][n%slabCells] }

// get returns a cell, nil if the table has none.
func (t *table) get(series uint32, slot int32) (uint32, *counted) {
	n, ok := t.cells.get(cellKey(series, slot))
	if !ok {
		return 0, nil
	}
	return n, t.at(n)
}

// add counts what was seen for a cell.
func (t *table) add(kind cell.Kind, series uint32, slot int32, c *contents) {
	key := cellKey(series, slot)
	n, ok := t.cells.get(key)
	if !ok {
		n = uint32(t.used)
		if t.used++; int(n) == len(t.slabs)*slabCells {
			t.slabs = append(t.slabs, make([]counted, slabCells))
		}
		*t.at(n) = counted{}
		t.cells.put(key, n)
		t.hold(cellBytes)
	}
	at := t.at(n)
	first := at.count == 0
	at.count += c.count
	switch kind {
	case cell.Numeric:
		at.number.add(c.number)
	case cell.Min:
		if first || c.number.compare(at.number) < 0 {
			at.number = c.number
		}
	case cell.Max:
		if first || c.number.compare(at.number) > 0 {
			at.number = c.number
		}
	case cell.Last:
		t.addLatest(at, c)
	case cell.Distinct:
		for _, text := range c.texts {
			t.addValue(n, at, text)
		}
	}
}

func (t *table) addLatest(at *counted, c *contents) {
	if at.side == 0 {
		t.latest = append(t.latest, latest{})
		at.side = uint32(len(t.latest))
		t.hold(latestBytes)
	} else if c.latest.compare(&t.latest[at.side-1]) <= 0 {
		return
	}
	l := &t.latest[at.side-1]
	t.hold(int64(len(c.latest.Source) + len(c.latest.ID) - len(l.Source) - len(l.ID)))
	*l, at.number = c.latest, c.number
}

func (t *table) addValue(n uint32, at *counted, text uint32) {
	key := uint64(n)<<32 | uint64(text)
	if _, ok := t.values[key]; ok {
		return
	}
	t.values[key] = struct{}{}
	t.nodes = append(t.nodes, node{text, at.side})
	at.side = uint32(len(t.nodes))
	t.hold(valueBytes)
}

// has says whether a cell has counted a distinct text.
func (t *table) has(n, text uint32) bool {
	_, ok := t.values[uint64(n)<<32|uint64(text)]
	return ok
}

// valuesOf returns the numbers of a cell's distinct texts.
func (t *table) valuesOf(at *counted) []uint32 {
	var out []uint32
	for n := at.side; n != 0; n = t.nodes[n-1].next {
		out = append(out, t.nodes[n-1].text)
	}
	return out
}

// sorted returns the places of all cells, or of those not seen, by series and slot.
func (t *table) sorted(unseen bool) []place {
	var all []place
	if !unseen {
		all = make([]place, 0, t.cells.used)
	}
	for _, p := range t.cells.slots {
		if p.cell != 0 && !(unseen && t.at(p.cell-1).seen) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.key, b.key) })
	return all
}

// group returns the texts of a series.
func (t *table) group(s *series) []string {
	out := make([]string, len(s.texts))
	for i, n := range s.texts {
		out[i] = t.texts[n]
	}
	return out
}

// say is a cell as problems name it.
func (t *table) say(kind cell.Kind, at *counted) string {
	switch kind {
	case cell.Last:
		l := &t.latest[at.side-1]
		return sayCell(kind, at.count, at.number, l.Source, l.ID, nil)
	case cell.Distinct:
		var texts []string
		for _, n := range t.valuesOf(at) {
			texts = append(texts, t.texts[n])
		}
		return sayCell(kind, at.count, at.number, "", "", texts)
	default:
		return sayCell(kind, at.count, at.number, "", "", nil)
	}
}

func sayCell(kind cell.Kind, count int64, n number, source, id string, texts []string) string {
	switch kind {
	case cell.Numeric:
		return fmt.Sprintf("%d events, sum %s", count, n)
	case cell.Min:
		return fmt.Sprintf("%d events, least %s", count, n)
	case cell.Max:
		return fmt.Sprintf("%d events, largest %s", count, n)
	case cell.Last:
		return fmt.Sprintf("%d events, last %s of %q %q", count, n, source, id)
	default:
		slices.Sort(texts)
		return fmt.Sprintf("%d events, values %q", count, texts)
	}
}

// floor is the whole part of a/b, downwards.
func floor(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}
