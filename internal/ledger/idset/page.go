package idset

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/ledger/block"
)

const (
	pageBytes       = 4096
	pageHeaderBytes = 32

	// pageSlack follows a page in memory so that a column can be read eight
	// bytes at a time up to its end.
	pageSlack = 16

	// maxPageEntries is reached when every entry has the same high half,
	// sequence and ordinal, so that it takes 12 bytes and a bit.
	maxPageEntries = 334
)

// pageBuffer is a page and its slack.
type pageBuffer [pageBytes + pageSlack]byte

// pageShape gives the widths and places of a page's columns.
type pageShape struct {
	n                         int
	lowBits, seqBits, ordBits uint
	words                     int // of the upper column
	checks, los, lows, seqs   int // offsets of the columns; the upper one follows the header
	ords, end                 int
	baseHi, baseSeq           uint64
}

// shapePage lays out n entries whose high hash halves span hiSpan, whose
// sequences span seqSpan and whose ordinals reach maxOrd.
func shapePage(n int, hiSpan, seqSpan uint64, maxOrd uint32) pageShape {
	s := pageShape{n: n, seqBits: uint(bits.Len64(seqSpan)), ordBits: uint(bits.Len32(maxOrd))}
	if per := hiSpan / uint64(n); per > 0 {
		s.lowBits = uint(bits.Len64(per)) - 1
	}
	s.words = (int(hiSpan>>s.lowBits) + n + 63) / 64
	s.place()
	return s
}

func (s *pageShape) place() {
	s.checks = pageHeaderBytes + 8*s.words
	s.los = s.checks + 8*s.n
	s.lows = s.los + 4*s.n
	s.seqs = s.lows + columnBytes(s.n, s.lowBits)
	s.ords = s.seqs + columnBytes(s.n, s.seqBits)
	s.end = s.ords + columnBytes(s.n, s.ordBits)
}

func columnBytes(n int, width uint) int { return (n*int(width) + 7) / 8 }

// errPage is what a page that passes its checksum and still makes no sense
// yields; only a faulty or hostile writer makes one.
var errPage = errors.New("malformed page")

func readShape(p *pageBuffer) (pageShape, error) {
	s := pageShape{
		n:       int(binary.LittleEndian.Uint16(p[8:])),
		lowBits: uint(p[10]), seqBits: uint(p[11]), ordBits: uint(p[12]),
		words:   int(binary.LittleEndian.Uint16(p[14:])),
		baseHi:  binary.LittleEndian.Uint64(p[16:]),
		baseSeq: binary.LittleEndian.Uint64(p[24:]),
	}
	s.place()
	if s.n == 0 || s.lowBits > 63 || s.seqBits > 64 || s.ordBits > 32 || s.end > pageBytes || p[13] != 0 {
		return pageShape{}, errPage
	}
	return s, nil
}

// getBits reads width (at most 64) bits at bit position i*width of the column
// that starts at off.
func getBits(p *pageBuffer, off, i int, width uint) uint64 {
	pos := uint(i) * width
	at := uint(off) + pos/8
	shift := pos % 8
	v := binary.LittleEndian.Uint64(p[at:]) >> shift
	if shift+width > 64 {
		v |= uint64(p[at+8]) << (64 - shift)
	}
	return v & (1<<width - 1)
}

// bitWriter fills a column.
type bitWriter struct {
	p    []byte
	acc  uint64
	fill uint
}

func (w *bitWriter) put(v uint64, width uint) {
	w.acc |= v << w.fill
	if w.fill+width < 64 {
		w.fill += width
		return
	}
	binary.LittleEndian.PutUint64(w.p, w.acc)
	w.p = w.p[8:]
	used := 64 - w.fill // bits of v already written; a shift by 64 gives 0
	w.acc = v >> used
	w.fill = w.fill + width - 64
}

func (w *bitWriter) flush() {
	for w.fill > 0 {
		w.p[0] = byte(w.acc)
		w.p, w.acc = w.p[1:], w.acc>>8
		w.fill -= min(8, w.fill)
	}
}

// pageSum is the checksum of a page at its place: a good page at another
// place, or in another run, does not pass.
func pageSum(p []byte, run, page uint64) uint64 {
	return xxhash.Sum64(p[8:pageBytes]) + run*0x9e3779b97f4a7c15 + (page+1)*0xd6e8feb86659fd93
}

func pageIntact(p *pageBuffer, run, page uint64) bool {
	return binary.LittleEndian.Uint64(p[:]) == pageSum(p[:pageBytes], run, page)
}

// pageBuilder gathers entries in order of hash for one page.
type pageBuilder struct {
	entries        []Entry
	minSeq, maxSeq uint64
	maxOrd         uint32
	shape          pageShape // of the entries when it was last worked out

	// Up to sure entries fit without asking, as long as the widths of shape
	// grow by no more than one low bit.
	sure int
}

// add takes e unless the page would overflow.
func (b *pageBuilder) add(e *Entry) bool {
	n := len(b.entries) + 1
	if n == 1 {
		b.minSeq, b.maxSeq, b.maxOrd, b.sure = e.Seq, e.Seq, e.Ord, 0
		b.entries = append(b.entries, *e)
		return true
	}
	minSeq, maxSeq, maxOrd := min(b.minSeq, e.Seq), max(b.maxSeq, e.Seq), max(b.maxOrd, e.Ord)
	span := e.Hash.Hi - b.entries[0].Hash.Hi
	if n > b.sure || span>>(b.shape.lowBits+2) >= uint64(n) || (maxSeq-minSeq)>>b.shape.seqBits != 0 || maxOrd>>b.shape.ordBits != 0 {
		s := shapePage(n, span, maxSeq-minSeq, maxOrd)
		if s.end > pageBytes {
			return false
		}
		b.shape = s
		// The upper column takes less than three bits an entry and 16 bytes
		// of rounding; the three packed columns round up by a byte each.
		b.sure = (pageBytes - pageHeaderBytes - 19) * 8 / (8*8 + 4*8 + int(s.lowBits+1+3+s.seqBits+s.ordBits))
	}
	b.minSeq, b.maxSeq, b.maxOrd = minSeq, maxSeq, maxOrd
	b.entries = append(b.entries, *e)
	return true
}

// encode writes the page, with its checksum for its place, and empties the builder.
func (b *pageBuilder) encode(p []byte, run, page uint64) {
	clear(p[:pageBytes])
	base := b.entries[0].Hash.Hi
	s := shapePage(len(b.entries), b.entries[len(b.entries)-1].Hash.Hi-base, b.maxSeq-b.minSeq, b.maxOrd)
	binary.LittleEndian.PutUint16(p[8:], uint16(s.n))
	p[10], p[11], p[12] = byte(s.lowBits), byte(s.seqBits), byte(s.ordBits)
	binary.LittleEndian.PutUint16(p[14:], uint16(s.words))
	binary.LittleEndian.PutUint64(p[16:], base)
	binary.LittleEndian.PutUint64(p[24:], b.minSeq)
	lows, seqs, ords := bitWriter{p: p[s.lows:]}, bitWriter{p: p[s.seqs:]}, bitWriter{p: p[s.ords:]}
	for i := range b.entries {
		e := &b.entries[i]
		d := e.Hash.Hi - base
		at := int(d>>s.lowBits) + i
		p[pageHeaderBytes+at/8] |= 1 << (at % 8)
		binary.LittleEndian.PutUint64(p[s.checks+8*i:], e.Check)
		binary.LittleEndian.PutUint32(p[s.los+4*i:], e.Hash.Lo)
		lows.put(d&(1<<s.lowBits-1), s.lowBits)
	}
	lows.flush()
	for i := range b.entries {
		seqs.put(b.entries[i].Seq-b.minSeq, s.seqBits)
	}
	seqs.flush()
	for i := range b.entries {
		ords.put(uint64(b.entries[i].Ord), s.ordBits)
	}
	ords.flush()
	binary.LittleEndian.PutUint64(p, pageSum(p, run, page))
	b.entries = b.entries[:0]
}

// entry reads entry i, whose upper hash bits are known.
func (s *pageShape) entry(p *pageBuffer, i int, upper uint64) Entry {
	return Entry{
		Hash: block.Hash{
			Hi: s.baseHi + upper<<s.lowBits + getBits(p, s.lows, i, s.lowBits),
			Lo: binary.LittleEndian.Uint32(p[s.los+4*i:]),
		},
		Check: binary.LittleEndian.Uint64(p[s.checks+8*i:]),
		Seq:   s.baseSeq + getBits(p, s.seqs, i, s.seqBits),
		Ord:   uint32(getBits(p, s.ords, i, s.ordBits)),
	}
}

// bitReader reads a column in order.
type bitReader struct {
	p          *pageBuffer
	pos, width uint
	mask       uint64
}

func (s *pageShape) column(p *pageBuffer, off int, width uint) bitReader {
	return bitReader{p, 8 * uint(off), width, 1<<width - 1}
}

func (r *bitReader) next() uint64 {
	at, shift := r.pos/8, r.pos%8
	v := binary.LittleEndian.Uint64(r.p[at:]) >> shift
	if shift+r.width > 64 {
		v |= uint64(r.p[at+8]) << (64 - shift)
	}
	r.pos += r.width
	return v & r.mask
}

// decodePage appends the page's entries to dst, in the order stored. Column
// by column it takes a third of the time that entry by entry would.
func decodePage(p *pageBuffer, dst []Entry) ([]Entry, error) {
	s, err := readShape(p)
	if err != nil {
		return dst, err
	}
	all := slices.Grow(dst, s.n)[:len(dst)+s.n]
	es := all[len(dst):]
	i := 0
	for w := range s.words {
		for u := binary.LittleEndian.Uint64(p[pageHeaderBytes+8*w:]); u != 0; u &= u - 1 {
			if i == len(es) {
				return dst, errPage
			}
			upper := 64*w + bits.TrailingZeros64(u) - i
			es[i].Hash.Hi = s.baseHi + uint64(upper)<<s.lowBits
			i++
		}
	}
	if i != len(es) {
		return dst, errPage
	}
	checks, los := p[s.checks:s.los], p[s.los:s.lows]
	for i := range es {
		es[i].Check = binary.LittleEndian.Uint64(checks[8*i:])
		es[i].Hash.Lo = binary.LittleEndian.Uint32(los[4*i:])
	}
	lows, seqs, ords := s.column(p, s.lows, s.lowBits), s.column(p, s.seqs, s.seqBits), s.column(p, s.ords, s.ordBits)
	for i := range es {
		e := &es[i]
		e.Hash.Hi += lows.next()
		e.Seq = s.baseSeq + seqs.next()
		e.Ord = uint32(ords.next())
	}
	return all, nil
}

// searchPage looks for h in the page.
func searchPage(p *pageBuffer, h block.Hash) (Entry, bool, error) {
	s, err := readShape(p)
	if err != nil {
		return Entry{}, false, err
	}
	if h.Hi < s.baseHi {
		return Entry{}, false, nil
	}
	d := h.Hi - s.baseHi
	upper := d >> s.lowBits
	low := d & (1<<s.lowBits - 1)
	// Entries with these upper bits are the ones between zero number upper
	// and the next: find where they start.
	if upper >= uint64(64*s.words) {
		return Entry{}, false, nil
	}
	at := selectZero(p, s.words, int(upper))
	for ; at < 64*s.words && p[pageHeaderBytes+at/8]>>(at%8)&1 == 1; at++ {
		i := at - int(upper)
		if i >= s.n {
			return Entry{}, false, errPage
		}
		if getBits(p, s.lows, i, s.lowBits) == low && binary.LittleEndian.Uint32(p[s.los+4*i:]) == h.Lo {
			return s.entry(p, i, upper), true, nil
		}
	}
	return Entry{}, false, nil
}

// selectZero returns the bit position after the k-th zero of the upper
// column, 0 for k = 0, or the column's end when there are fewer.
func selectZero(p *pageBuffer, words, k int) int {
	if k == 0 {
		return 0
	}
	for w := range words {
		u := ^binary.LittleEndian.Uint64(p[pageHeaderBytes+8*w:])
		c := bits.OnesCount64(u)
		if k > c {
			k -= c
			continue
		}
		for ; k > 1; k-- {
			u &= u - 1
		}
		return 64*w + bits.TrailingZeros64(u) + 1
	}
	return 64 * words
}
