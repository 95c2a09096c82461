package meter

import "math/bits"

// Sum adds quantities exactly. It is a 192-bit two's complement count of
// 10^-12ths, w0 lowest: room for 10^19 quantities of the largest size, so it
// cannot overflow in practice. The zero value is 0; equal sums are equal under ==.
type Sum struct {
	w0, w1 uint64
	w2     int64
}

// Add adds q.
func (s *Sum) Add(q Quantity) {
	var c uint64
	s.w0, c = bits.Add64(s.w0, q.lo, 0)
	s.w1, c = bits.Add64(s.w1, uint64(q.hi), c)
	s.w2 += q.hi>>63 + int64(c)
}

// sub subtracts q.
func (s *Sum) sub(q Quantity) {
	var b uint64
	s.w0, b = bits.Sub64(s.w0, q.lo, 0)
	s.w1, b = bits.Sub64(s.w1, uint64(q.hi), b)
	s.w2 -= q.hi>>63 + int64(b)
}

// AddSum adds o.
func (s *Sum) AddSum(o Sum) {
	var c uint64
	s.w0, c = bits.Add64(s.w0, o.w0, 0)
	s.w1, c = bits.Add64(s.w1, o.w1, c)
	s.w2 += o.w2 + int64(c)
}

// Neg returns -s.
func (s Sum) Neg() Sum {
	w0, b := bits.Sub64(0, s.w0, 0)
	w1, b := bits.Sub64(0, s.w1, b)
	return Sum{w0, w1, -s.w2 - int64(b)}
}

// IsZero reports whether s is 0.
func (s Sum) IsZero() bool { return s == Sum{} }

// Words returns the three words, lowest first, for storage.
func (s Sum) Words() (w0, w1 uint64, w2 int64) { return s.w0, s.w1, s.w2 }

// SumFromWords returns the Sum whose Words are these.
func SumFromWords(w0, w1 uint64, w2 int64) Sum { return Sum{w0, w1, w2} }

// Cmp returns -1, 0 or 1 as s is less than, equal to or greater than o.
func (s Sum) Cmp(o Sum) int {
	switch {
	case s == o:
		return 0
	case s.w2 != o.w2:
		return sign(s.w2 > o.w2)
	case s.w1 != o.w1:
		return sign(s.w1 > o.w1)
	default:
		return sign(s.w0 > o.w0)
	}
}

func sign(greater bool) int {
	if greater {
		return 1
	}
	return -1
}

// Decimal returns s as a Decimal.
func (s Sum) Decimal() Decimal {
	negative := s.w2 < 0
	if negative {
		s = s.Neg()
	}
	return decimalFromWords(s.w0, s.w1, uint64(s.w2), negative)
}

// String returns the shortest decimal text.
func (s Sum) String() string { return s.Decimal().String() }
