package block

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Texts are stored without their common prefix, in the smallest of these forms.
const (
	textsPlain  = 0 // the bytes
	textsPacked = 1 // a few bits per byte, codes into the alphabet that occurs
	textsS2     = 2 // compressed with S2
	textsUUID   = 3 // canonical UUIDs, 16 bytes each
)

const (
	packedAlphabet = 64  // the largest alphabet that is packed
	s2MinBytes     = 256 // fewer bytes are not worth compressing
	s2MinAverage   = 6   // shorter texts have nothing that S2 could find

	largeTexts = 1 << 20 // bytes that are handled at once; a multiple of 8
)

// appendTexts stores texts whose number the reader knows. Uuids are the same
// texts as 16 bytes each, or empty if they are not all UUIDs or not known to be.
func appendTexts(dst []byte, s *Strings, uuids []byte) []byte {
	n := s.Len()
	if n == 0 {
		return dst
	}
	enc := getEncoder()
	defer putEncoder(enc)
	if len(uuids) == 0 && len(s.buf) == 36*n {
		uuids = enc.packUUIDs(s)
	}
	if len(uuids) == 16*n {
		return append(append(dst, textsUUID), uuids...)
	}
	prefix := commonPrefix(s)
	if n*prefix < len(s.buf)/8 && len(s.buf) > largeTexts {
		prefix = 0 // S2 finds it as well, and needs no copy of all
	}
	rest := enc.withoutPrefix(s, prefix)
	alphabet, width := enc.alphabetOf(rest)
	form, size := textsPlain, len(rest)
	if len(alphabet) <= packedAlphabet && len(rest) > 0 {
		if packed := packedLen(len(rest), width) + len(alphabet) + 1; packed < size {
			form, size = textsPacked, packed
		}
	}
	var compressed []byte
	if len(rest) >= s2MinBytes && len(rest) >= s2MinAverage*n {
		if compressed = enc.compress(rest, size-4); compressed != nil {
			form = textsS2
		}
	}
	dst = append(dst, byte(form))
	dst = appendText(dst, s.At(0)[:prefix])
	lens := enc.lens[:0]
	for i := range n {
		lens = append(lens, int64(len(s.At(i))-prefix))
	}
	enc.lens = lens
	dst = appendInts(dst, lens)
	switch form {
	case textsPacked:
		dst = appendText(dst, alphabet)
		return enc.appendCoded(dst, rest, alphabet, width)
	case textsS2:
		return appendText(dst, compressed)
	default:
		return append(dst, rest...)
	}
}

// appendText stores one text with its length.
func appendText[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (e *encoder) packUUIDs(s *Strings) []byte {
	e.uuids = e.uuids[:0]
	var u [16]byte
	for i := range s.Len() {
		if !parseUUID(&u, s.At(i)) {
			return nil
		}
		e.uuids = append(e.uuids, u[:]...)
	}
	return e.uuids
}

func commonPrefix(s *Strings) int {
	first := s.At(0)
	n := len(first)
	for i := 1; i < s.Len() && n > 0; i++ {
		t := s.At(i)
		n = min(n, len(t))
		for j := range n {
			if t[j] != first[j] {
				n = j
				break
			}
		}
	}
	return n
}

// withoutPrefix returns all texts, each without its first n bytes: the texts
// themselves, which must not be changed, or scratch.
func (e *encoder) withoutPrefix(s *Strings, n int) []byte {
	if n == 0 {
		return s.buf
	}
	e.text = slices.Grow(e.text[:0], len(s.buf)-n*s.Len())
	for i := range s.Len() {
		e.text = append(e.text, s.At(i)[n:]...)
	}
	return e.text
}

// compress returns b as one block of S2, in scratch; nil if that is not smaller
// than size. Large texts are compressed piece by piece, so that scratch need
// not be larger than they are.
func (e *encoder) compress(b []byte, size int) []byte {
	if need := s2.MaxEncodedLen(min(len(b), largeTexts)); cap(e.s2) < need {
		e.s2 = make([]byte, need)
	}
	if len(b) <= largeTexts {
		out := s2.Encode(e.s2[:cap(e.s2)], b)
		if len(out) >= size {
			return nil
		}
		return out
	}
	out := binary.AppendUvarint(e.pieces[:0], uint64(len(b)))
	for len(b) > 0 {
		n := min(len(b), largeTexts)
		piece := s2.Encode(e.s2[:cap(e.s2)], b[:n])
		_, head := binary.Uvarint(piece) // its length: that of all is told already
		out = append(out, piece[head:]...)
		if b = b[n:]; len(out) >= size {
			return nil
		}
	}
	e.pieces = out
	return out
}

// appendCoded packs the codes of bytes into an alphabet.
func (e *encoder) appendCoded(dst, b, alphabet []byte, width uint) []byte {
	var code [256]byte
	for i, c := range alphabet {
		code[c] = byte(i)
	}
	dst = slices.Grow(dst, packedLen(len(b), width)+8)
	for len(b) > 0 { // pieces of whole bytes, whatever the width
		n := min(len(b), largeTexts)
		e.coded = slices.Grow(e.coded[:0], n)[:n]
		for i, c := range b[:n] {
			e.coded[i] = code[c]
		}
		dst = appendBits(dst, e.coded, width)
		b = b[n:]
	}
	return dst
}

// alphabetOf returns the bytes that occur, in order, and the bits for a code.
func (e *encoder) alphabetOf(b []byte) (alphabet []byte, width uint) {
	var seen [256]bool
	for _, c := range b {
		seen[c] = true
	}
	n := 0
	for c, ok := range seen {
		if ok {
			e.alphabet[n] = byte(c)
			n++
		}
	}
	return e.alphabet[:n], bitsFor(n)
}

// texts reads n texts. For UUIDs it also returns them as 16 bytes each.
func (r *reader) texts(n int) (s Strings, uuids []byte) {
	if n == 0 || r.err != nil {
		return s, nil
	}
	form := r.byte()
	if form == textsUUID {
		return r.uuids(n)
	}
	prefix := r.text()
	lens := make([]int64, n)
	r.ints(lens)
	if r.err != nil {
		return s, nil
	}
	total := uint64(0)
	for _, l := range lens {
		if uint64(l) > maxTextBytes {
			r.fail("length of a text")
			return s, nil
		}
		total += uint64(l)
	}
	all := total
	if over, whole := bits.Mul64(uint64(n), uint64(len(prefix))); over != 0 || !r.takeText(total+whole) {
		return s, nil
	} else {
		all += whole
	}
	s.ends = make([]uint32, n)
	at := 0
	if len(prefix) == 0 {
		if s.buf = r.rest(nil, form, int(total)); r.err != nil {
			return Strings{}, nil
		}
		for i, l := range lens {
			at += int(l)
			s.ends[i] = uint32(at)
		}
		return s, nil
	}
	enc := getEncoder() // for its scratch: the texts are made of it
	defer putEncoder(enc)
	rest := r.rest(enc.text[:0], form, int(total))
	if r.err != nil {
		return s, nil
	}
	enc.text = rest
	s.buf = make([]byte, 0, all)
	for i, l := range lens {
		s.buf = append(append(s.buf, prefix...), rest[at:at+int(l)]...)
		at += int(l)
		s.ends[i] = uint32(len(s.buf))
	}
	return s, nil
}

// rest reads the bytes of all texts, prefixes left out, into a buffer that is
// empty, and is made here if it is nil.
func (r *reader) rest(into []byte, form byte, total int) []byte {
	switch form {
	case textsPlain:
		return append(into, r.take(total)...)
	case textsPacked:
		alphabet := r.text()
		if len(alphabet) == 0 || len(alphabet) > packedAlphabet {
			r.fail("alphabet")
			return nil
		}
		width := bitsFor(len(alphabet))
		b := r.bits(total, width)
		if b == nil {
			return nil
		}
		out := slices.Grow(into, total)[:total]
		var table [1 << 6]byte
		copy(table[:], alphabet)
		mask := uint64(1)<<width - 1
		bit := uint(0)
		for i := range out {
			out[i] = table[binary.LittleEndian.Uint64(b[bit>>3:])>>(bit&7)&mask&63]
			bit += width
		}
		return out
	case textsS2:
		b := r.text()
		if n, err := s2.DecodedLen(b); err != nil || n != total {
			r.fail("compressed texts")
			return nil
		}
		out, err := s2.Decode(slices.Grow(into, total)[:total], b)
		if err != nil {
			r.fail("compressed texts")
			return nil
		}
		return out
	default:
		r.fail("form of texts")
		return nil
	}
}

func (r *reader) uuids(n int) (s Strings, uuids []byte) {
	if !r.takeText(36 * uint64(n)) {
		return s, nil
	}
	b := r.take(16 * n)
	if b == nil {
		return s, nil
	}
	s.buf = make([]byte, 0, 36*n)
	s.ends = make([]uint32, n)
	for i := range n {
		s.buf = appendUUID(s.buf, b[16*i:16*i+16])
		s.ends[i] = uint32(len(s.buf))
	}
	return s, append([]byte(nil), b...)
}
