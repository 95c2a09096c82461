package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Integers are stored relative to their least value, divided by a common
// power of 1000 and packed into as few bits as the greatest one needs; or, if
// only a few distinct ones occur, as codes into these.
const (
	intsPacked = 0
	intsCoded  = 1
)

// codedMax is how many distinct integers are still worth coding.
const codedMax = 32

// divisors are tried in order. Times in whole seconds, milliseconds and
// microseconds are the usual case.
var divisors = [...]uint64{1_000_000_000, 1_000_000, 1000, 1}

// bitsFor returns how many bits hold codes 0..n-1.
func bitsFor(n int) uint {
	if n <= 1 {
		return 0
	}
	return uint(bits.Len64(uint64(n - 1)))
}

func packedLen(n int, width uint) int { return (n*int(width) + 7) / 8 }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// appendBits packs values of at most width bits, first one lowest.
func appendBits[T uint8 | uint32 | uint64](dst []byte, values []T, width uint) []byte {
	if width == 0 {
		return dst
	}
	at := len(dst)
	size := packedLen(len(values), width)
	dst = slices.Grow(dst, size+8)[:at+size+8]
	out := dst[at:]
	var acc uint64
	var fill uint
	pos := 0
	for _, value := range values {
		v := uint64(value)
		acc |= v << fill
		fill += width
		if fill >= 64 {
			binary.LittleEndian.PutUint64(out[pos:], acc)
			pos += 8
			fill -= 64
			acc = v >> (width - fill)
		}
	}
	if fill > 0 {
		binary.LittleEndian.PutUint64(out[pos:], acc)
	}
	return dst[:at+size]
}

// bitsAt returns value i of a packed list. At least 8 bytes must follow the list.
func bitsAt(b []byte, i int, width uint) uint64 {
	bit := uint(i) * width
	shift := bit & 7
	at := bit >> 3
	v := binary.LittleEndian.Uint64(b[at:]) >> shift
	if shift+width > 64 {
		v |= uint64(b[at+8]) << (64 - shift)
	}
	return v & (1<<width - 1)
}

// appendInts stores a list of integers whose length the reader knows. The
// list is changed.
func appendInts(dst []byte, v []int64) []byte {
	if len(v) == 0 {
		return dst
	}
	lo, hi := v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	width := uint(bits.Len64(uint64(hi) - uint64(lo)))
	if width >= 4 && len(v) >= 16 {
		if out, ok := appendCodedInts(dst, v, width); ok {
			return out
		}
	}
	return appendPackedInts(append(dst, intsPacked), v, lo, hi)
}

func appendPackedInts(dst []byte, v []int64, lo, hi int64) []byte {
	d := 0
	for _, x := range v {
		for (uint64(x)-uint64(lo))%divisors[d] != 0 {
			d++
		}
		if d == len(divisors)-1 {
			break
		}
	}
	divisor := divisors[d]
	width := uint(bits.Len64((uint64(hi) - uint64(lo)) / divisor))
	dst = binary.AppendUvarint(dst, zigzag(lo))
	dst = append(dst, byte(d), byte(width))
	if width == 0 {
		return dst
	}
	enc := getEncoder()
	defer putEncoder(enc)
	rel := slices.Grow(enc.rel[:0], len(v))[:len(v)]
	enc.rel = rel
	if divisor == 1 {
		for i, x := range v {
			rel[i] = uint64(x) - uint64(lo)
		}
	} else {
		for i, x := range v {
			rel[i] = (uint64(x) - uint64(lo)) / divisor
		}
	}
	return appendBits(dst, rel, width)
}

// appendCodedInts stores the list as codes if that is smaller than width bits
// each. Lists of many distinct values are found out after a few of them.
func appendCodedInts(dst []byte, v []int64, width uint) ([]byte, bool) {
	var slots [4 * codedMax]uint8 // code+1, by hash
	var distinct [codedMax]int64
	n := 0
	enc := getEncoder()
	defer putEncoder(enc)
	codes := slices.Grow(enc.codes[:0], len(v))[:len(v)]
	enc.codes = codes
	for i, x := range v {
		h := uint64(x) * 0x9e3779b97f4a7c15 >> 57
		for slots[h] != 0 && distinct[slots[h]-1] != x {
			h = (h + 1) % uint64(len(slots))
		}
		if slots[h] == 0 {
			if n == codedMax {
				return dst, false
			}
			distinct[n] = x
			n++
			slots[h] = uint8(n)
		}
		codes[i] = slots[h] - 1
	}
	codeWidth := bitsFor(n)
	if n*int(width)+len(v)*int(codeWidth)+16 >= len(v)*int(width) {
		return dst, false
	}
	dst = append(dst, intsCoded, byte(n))
	lo, hi := slices.Min(distinct[:n]), slices.Max(distinct[:n])
	dst = appendPackedInts(dst, distinct[:n], lo, hi)
	return appendBits(dst, codes, codeWidth), true
}

// ints reads a list of n integers into dst.
func (r *reader) ints(dst []int64) {
	if len(dst) == 0 {
		return
	}
	switch r.byte() {
	case intsPacked:
		r.packedInts(dst)
	case intsCoded:
		var distinct [codedMax]int64
		n := int(r.byte())
		if n < 1 || n > codedMax {
			r.fail("integer codes")
			return
		}
		r.packedInts(distinct[:n])
		width := bitsFor(n)
		b := r.bits(len(dst), width)
		if b == nil {
			return
		}
		for i := range dst {
			c := bitsAt(b, i, width)
			if c >= uint64(n) {
				r.fail("integer code")
				return
			}
			dst[i] = distinct[c]
		}
	default:
		r.fail("integer form")
	}
}

func (r *reader) packedInts(dst []int64) {
	lo := uint64(unzigzag(r.uvarint()))
	d, width := r.byte(), uint(r.byte())
	if int(d) >= len(divisors) || width > 64 {
		r.fail("integer packing")
		return
	}
	b := r.bits(len(dst), width)
	if b == nil {
		return
	}
	divisor := divisors[d]
	switch {
	case width == 0:
		for i := range dst {
			dst[i] = int64(lo)
		}
	case width <= 56:
		mask := uint64(1)<<width - 1
		bit := uint(0)
		for i := range dst {
			v := binary.LittleEndian.Uint64(b[bit>>3:]) >> (bit & 7) & mask
			dst[i] = int64(lo + v*divisor)
			bit += width
		}
	default:
		for i := range dst {
			dst[i] = int64(lo + bitsAt(b, i, width)*divisor)
		}
	}
}

// codes reads len(dst) packed codes below n.
func (r *reader) codes(dst []uint32, width uint, n int) {
	b := r.bits(len(dst), width)
	if b == nil {
		return
	}
	if width == 0 {
		clear(dst)
		if n == 0 && len(dst) > 0 {
			r.fail("code")
		}
		return
	}
	mask := uint64(1)<<width - 1
	bit := uint(0)
	high := uint64(0)
	for i := range dst {
		v := binary.LittleEndian.Uint64(b[bit>>3:]) >> (bit & 7) & mask
		dst[i] = uint32(v)
		high = max(high, v)
		bit += width
	}
	if high >= uint64(n) && len(dst) > 0 {
		r.fail("code")
	}
}
