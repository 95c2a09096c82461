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

// appendWide writes w as a zigzag base-128 varint, least significant group
// first, of at most 28 bytes.
func appendWide(dst []byte, w wide) []byte {
	sign := uint64(int64(w.w2) >> 63)
	z := wide{w.w0<<1 ^ sign, (w.w1<<1 | w.w0>>63) ^ sign, (w.w2<<1 | w.w1>>63) ^ sign}
	for z.w1|z.w2 != 0 {
		dst = append(dst, byte(z.w0)|0x80)
		z.w0 = z.w0>>7 | z.w1<<57
		z.w1 = z.w1>>7 | z.w2<<57
		z.w2 >>= 7
	}
	return binary.AppendUvarint(dst, z.w0)
}

// takeWide reads what appendWide wrote; n is 0 if b does not begin with it.
func takeWide(b []byte) (w wide, n int) {
	var z uint64
	for i := 0; i < len(b) && i < 9; i++ {
		c := b[i]
		z |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			s := -(z & 1)
			return wide{z>>1 ^ s, s, s}, i + 1
		}
	}
	return takeLongWide(b)
}

func takeLongWide(b []byte) (w wide, n int) {
	var z [3]uint64
	for i := 0; i < len(b) && i < 28; i++ {
		c := uint64(b[i] & 0x7f)
		at, shift := 7*i/64, uint(7*i%64)
		z[at] |= c << shift
		if rest := c >> (64 - shift); shift > 57 && rest != 0 {
			if at == 2 {
				return w, 0
			}
			z[at+1] |= rest
		}
		if b[i] < 0x80 {
			s := -(z[0] & 1)
			return wide{(z[0]>>1 | z[1]<<63) ^ s, (z[1]>>1 | z[2]<<63) ^ s, z[2]>>1 ^ s}, i + 1
		}
	}
	return w, 0
}
