package verify

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// A record of a temporary file is one day of a group's cells, counted or stored:
//
//	length of the rest u32 | hash u64 | meter uvarint | projection u8
//	number of texts uvarint | for each its length uvarint, text | stored: its id u64 for each
//	then cells to the end: slot varint | count varint | stored: dirty uvarint | length of the number u8, number
//	  last:     time varint | length uvarint, source | length uvarint, id
//	  distinct: number uvarint | for each its length uvarint, text; stored: its id uvarint
//
// The hash is of meter, projection, texts and day: it says into which file the record goes.

const recordHead = 12

// recordWriter makes records.
type recordWriter struct {
	b    []byte
	hash uint64
}

func (w *recordWriter) text(s string) {
	w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...)
}

func (w *recordWriter) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

// begin starts a record.
func (w *recordWriter) begin(m int32, projection uint8, texts []string, day int64) {
	w.b = append(w.b[:0], make([]byte, recordHead)...)
	w.b = append(binary.AppendUvarint(w.b, uint64(m)), projection)
	w.b = binary.AppendUvarint(w.b, uint64(len(texts)))
	for _, s := range texts {
		w.text(s)
	}
	n := len(w.b)
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(day))
	w.hash = xxhash.Sum64(w.b[recordHead:])
	w.b = w.b[:n]
}

// number writes a number without the bytes that follow from its sign.
func (w *recordWriter) number(n number) {
	var b [24]byte
	for i := range n {
		binary.LittleEndian.PutUint64(b[8*i:], n[i])
	}
	fill := byte(int64(n[2]) >> 63)
	size := len(b)
	for size > 0 && b[size-1] == fill {
		size--
	}
	if size < len(b) && (size == 0 && fill != 0 || size > 0 && (b[size-1]^fill)&0x80 != 0) {
		size++
	}
	w.b = append(append(w.b, byte(size)), b[:size]...)
}

// done returns the record.
func (w *recordWriter) done() []byte {
	binary.LittleEndian.PutUint32(w.b, uint32(len(w.b)-4))
	binary.LittleEndian.PutUint64(w.b[4:], w.hash)
	return w.b
}

// recordReader reads the front of b; bad is set once something does not fit.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *recordReader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *recordReader) text() string { return string(r.bytes(r.uvarint())) }

func (r *recordReader) number() (n number) {
	b := r.bytes(uint64(r.byte()))
	if len(b) > 24 {
		r.bad = true
		return n
	}
	var full [24]byte
	if len(b) > 0 && b[len(b)-1]&0x80 != 0 {
		for i := range full {
			full[i] = 0xff
		}
	}
	copy(full[:], b)
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(full[8*i:])
	}
	return n
}

// group is what a record begins with.
type group struct {
	meter      int32
	projection uint8
	texts      []string
}

// record takes the next record off the front of a frame; rest reads its cells.
func (r *recordReader) record(meters int) (raw []byte, hash uint64, g group, rest recordReader) {
	head := r.bytes(4)
	if head == nil {
		return nil, 0, g, rest
	}
	body := r.bytes(uint64(binary.LittleEndian.Uint32(head)))
	rest = recordReader{b: body}
	hash = rest.u64()
	g.meter = int32(min(rest.uvarint(), 1<<31-1))
	g.projection = rest.byte()
	for n := rest.uvarint(); n > 0 && !rest.bad; n-- {
		g.texts = append(g.texts, rest.text())
	}
	if rest.bad || int(g.meter) >= meters {
		r.b, r.bad = nil, true
	}
	return body, hash, g, rest
}

// storedCell is a cell as the state has it.
type storedCell struct {
	slot       int32
	count      int64
	dirty      uint64
	number     number
	source, id []byte
	texts      []uint64 // numbers of the state
}

// set takes over what a visitor is shown.
func (c *storedCell) set(slot int32, st *cell.State) {
	w0, w1, w2 := st.Sum.Words()
	*c = storedCell{slot: slot, count: st.Count, dirty: st.Dirty, number: number{w0, w1, uint64(w2)}, source: st.Source, id: st.ID, texts: c.texts[:0]}
	if st.Kind != cell.Numeric {
		c.number = numberOf(st.Value)
	}
	if st.Kind == cell.Distinct {
		c.number = number{}
	}
	if st.Kind == cell.Distinct && st.Set != nil {
		for id := range st.Set.All {
			c.texts = append(c.texts, id)
		}
	}
}

func (w *recordWriter) storedCell(kind cell.Kind, c *storedCell) {
	w.b = binary.AppendVarint(w.b, int64(c.slot))
	w.b = binary.AppendVarint(w.b, c.count)
	w.b = binary.AppendUvarint(w.b, c.dirty)
	w.number(c.number)
	switch kind {
	case cell.Last:
		w.b = append(binary.AppendUvarint(w.b, uint64(len(c.source))), c.source...)
		w.b = append(binary.AppendUvarint(w.b, uint64(len(c.id))), c.id...)
	case cell.Distinct:
		w.b = binary.AppendUvarint(w.b, uint64(len(c.texts)))
		for _, id := range c.texts {
			w.b = binary.AppendUvarint(w.b, id)
		}
	}
}

func (r *recordReader) storedCell(kind cell.Kind, c *storedCell) {
	*c = storedCell{slot: int32(r.varint()), count: r.varint(), dirty: r.uvarint(), number: r.number(), texts: c.texts[:0]}
	switch kind {
	case cell.Last:
		c.source, c.id = r.bytes(r.uvarint()), r.bytes(r.uvarint())
	case cell.Distinct:
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			c.texts = append(c.texts, r.uvarint())
		}
	}
}

// counted writes a cell of a table.
func (w *recordWriter) counted(t *table, kind cell.Kind, slot int32, at *counted) {
	w.b = binary.AppendVarint(w.b, int64(slot))
	w.b = binary.AppendVarint(w.b, at.count)
	w.number(at.number)
	switch kind {
	case cell.Last:
		l := &t.latest[at.side-1]
		w.b = binary.AppendVarint(w.b, l.time)
		w.text(l.Source)
		w.text(l.ID)
	case cell.Distinct:
		values := t.valuesOf(at)
		w.b = binary.AppendUvarint(w.b, uint64(len(values)))
		for _, n := range values {
			w.text(t.texts[n])
		}
	}
}

// counted reads a cell into a table.
func (r *recordReader) counted(t *table, kind cell.Kind, c *contents) (slot int32) {
	slot = int32(r.varint())
	*c = contents{count: r.varint(), number: r.number(), texts: c.texts[:0]}
	switch kind {
	case cell.Last:
		c.latest = latest{r.varint(), meter.Identity{Source: r.text(), ID: r.text()}}
	case cell.Distinct:
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			c.texts = append(c.texts, t.text(r.text()))
		}
	}
	return slot
}
