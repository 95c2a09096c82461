package cell

import (
	"encoding/binary"
	"math/bits"

	"odometer/internal/meter"
)

// maxScale is the number of decimals a quantity can have.
const maxScale = 12

// pow10 holds the powers of ten that rescale a stored number.
var pow10 = [maxScale + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// wide is a 192-bit two's complement integer, least significant word first:
// a sum in units of some power of ten.
type wide struct{ w0, w1, w2 uint64 }

func wideOf(s meter.Sum) wide {
	a, b, c := s.Words()
	return wide{a, b, uint64(c)}
}

func wideOfQuantity(q meter.Quantity) wide {
	hi, lo := q.Parts()
	return wide{lo, uint64(hi), uint64(hi >> 63)}
}

func (w wide) sum() meter.Sum { return meter.SumFromWords(w.w0, w.w1, int64(w.w2)) }

// quantity returns w as a quantity; ok is false beyond 26 digits before the point.
func (w wide) quantity() (q meter.Quantity, ok bool) {
	if w.w2 != uint64(int64(w.w1)>>63) {
		return q, false
	}
	q = meter.QuantityFromParts(int64(w.w1), w.w0)
	return q, q.Valid()
}

func (w wide) isZero() bool { return w.w0|w.w1|w.w2 == 0 }

func (w *wide) add(o wide) {
	var c uint64
	w.w0, c = bits.Add64(w.w0, o.w0, 0)
	w.w1, c = bits.Add64(w.w1, o.w1, c)
	w.w2, _ = bits.Add64(w.w2, o.w2, c)
}

func (w wide) neg() wide {
	var r wide
	var b uint64
	r.w0, b = bits.Sub64(0, w.w0, 0)
	r.w1, b = bits.Sub64(0, w.w1, b)
	r.w2, _ = bits.Sub64(0, w.w2, b)
	return r
}

// abs returns whether w is negative and its magnitude.
func (w wide) abs() (bool, wide) {
	if int64(w.w2) < 0 {
		return true, w.neg()
	}
	return false, w
}

func (w wide) less(o wide) bool {
	switch {
	case w.w2 != o.w2:
		return int64(w.w2) < int64(o.w2)
	case w.w1 != o.w1:
		return w.w1 < o.w1
	default:
		return w.w0 < o.w0
	}
}

// scaleUp multiplies by 10^k; ok is false if the product does not fit.
func (w wide) scaleUp(k uint8) (wide, bool) {
	if k == 0 {
		return w, true
	}
	negative, m := w.abs()
	var r wide
	var carry, over uint64
	p := pow10[k]
	h0, l0 := bits.Mul64(m.w0, p)
	h1, l1 := bits.Mul64(m.w1, p)
	h2, l2 := bits.Mul64(m.w2, p)
	r.w0 = l0
	r.w1, carry = bits.Add64(l1, h0, 0)
	r.w2, carry = bits.Add64(l2, h1, carry)
	over = h2 + carry
	if over != 0 || int64(r.w2) < 0 {
		return wide{}, false
	}
	if negative {
		r = r.neg()
	}
	return r, true
}

// scaleDown divides by 10^k, which must divide w.
func (w wide) scaleDown(k uint8) wide {
	if k == 0 {
		return w
	}
	negative, m := w.abs()
	q, _ := m.divmod(pow10[k])
	if negative {
		q = q.neg()
	}
	return q
}

// divmod divides a magnitude by d.
func (w wide) divmod(d uint64) (q wide, r uint64) {
	if w.w2 != 0 {
		q.w2, r = w.w2/d, w.w2%d
	}
	if w.w1|r != 0 {
		q.w1, r = bits.Div64(r, w.w1, d)
	}
	if r == 0 {
		q.w0, r = w.w0/d, w.w0%d
	} else {
		q.w0, r = bits.Div64(r, w.w0, d)
	}
	return q, r
}

// units divides by 10^12; ok is false if that leaves a remainder.
func (w wide) units() (q wide, ok bool) {
	if w.w0&(1<<maxScale-1) != 0 {
		return q, false
	}
	negative, m := w.abs()
	q, r := m.divmod(pow10[maxScale])
	if negative {
		q = q.neg()
	}
	return q, r == 0
}

// decimals returns how many decimals w needs, given in units of 10^-12.
func (w wide) decimals() uint8 {
	_, m := w.abs()
	// 10^k divides m only if 2^k does.
	if m.w0&1 != 0 {
		return maxScale
	}
	_, r := m.divmod(pow10[maxScale])
	if r == 0 {
		return 0
	}
	d := uint8(maxScale)
	for r%10 == 0 {
		r /= 10
		d--
	}
	return d
}

// Stored numbers are two's complement, little endian, with as few bytes as
// restore them by extending the sign: 0 to 8, or one of some larger lengths, so
// that a code of four bits says which.
const (
	shortCodes   = 8  // codes up to this one are lengths
	maxWideBytes = 24 // the largest length
)

var wideBytes = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, maxWideBytes}

// shortBytes returns the number of bytes that v needs, 0 to 8.
func shortBytes(v int64) uint8 {
	if v == 0 {
		return 0
	}
	return uint8(bits.Len64(uint64(v^v>>63))+8) >> 3
}

// code returns the smallest code whose length fits w.
func (w wide) code() uint8 {
	sign := uint64(int64(w.w0) >> 63)
	if w.w1 == sign && w.w2 == sign {
		return shortBytes(int64(w.w0))
	}
	var n int // bits of the magnitude's two's complement, sign included
	sign = uint64(int64(w.w2) >> 63)
	if w.w2 != sign {
		n = 128 + bits.Len64(w.w2^sign) + 1
	} else {
		n = 64 + bits.Len64(w.w1^sign) + 1
	}
	code := uint8(shortCodes + 1)
	for int(wideBytes[code])*8 < n {
		code++
	}
	return code
}

// put writes w at the start of b, which has room for maxWideBytes.
func (w wide) put(b []byte) {
	_ = b[maxWideBytes-1]
	binary.LittleEndian.PutUint64(b, w.w0)
	binary.LittleEndian.PutUint64(b[8:], w.w1)
	binary.LittleEndian.PutUint64(b[16:], w.w2)
}

// loadShort reads a number of n bytes, 0 to 8, from the start of b, which has at least 8.
func loadShort(b []byte, n uint8) int64 {
	shift := 64 - 8*uint(n)
	return int64(binary.LittleEndian.Uint64(b)<<shift) >> shift
}

// loadWide reads a number with the given code from the start of b, which has
// at least maxWideBytes.
func loadWide(b []byte, code uint8) wide {
	if code <= shortCodes {
		v := loadShort(b, code)
		sign := uint64(v >> 63)
		return wide{uint64(v), sign, sign}
	}
	return loadLong(b, wideBytes[code])
}

// loadLong reads a number of more than 8 bytes.
func loadLong(b []byte, n uint8) wide {
	_ = b[maxWideBytes-1]
	w := wide{w0: binary.LittleEndian.Uint64(b)}
	if n <= 16 {
		v := loadShort(b[8:], n-8)
		w.w1, w.w2 = uint64(v), uint64(v>>63)
		return w
	}
	w.w1 = binary.LittleEndian.Uint64(b[8:])
	w.w2 = uint64(loadShort(b[16:], n-16))
	return w
}
