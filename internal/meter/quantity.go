package meter

import (
	"math/bits"
	"strconv"
)

// The limits of a Quantity. Zeros that do not change the value are not counted.
const (
	MaxIntegerDigits  = 26 // digits before the point
	MaxFractionDigits = 12 // digits after the point
)

const (
	maxDigits    = MaxIntegerDigits + MaxFractionDigits
	unit         = 1_000_000_000_000 // 10^MaxFractionDigits: the parts of one
	fastDigits   = 18                // digits that fit a uint64 whatever they are
	maxErrorText = 64                // bytes of a refused text repeated in an error
)

// Quantity is an exact decimal number with at most MaxIntegerDigits digits
// before and MaxFractionDigits after the point. The zero value is 0, and equal
// quantities are equal under ==.
//
// It is a 128-bit two's complement count of 10^-12ths: hi is the upper half,
// lo the lower.
type Quantity struct {
	hi int64
	lo uint64
}

// pow10 holds the powers of ten that fit a uint64.
var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// ParseQuantity reads a JSON number: an optional minus, digits without a
// leading zero, an optional fraction and an optional exponent. The limits apply
// to the value, so "1.50" and "1e2" are fine and so is any number of zeros that
// change nothing. Errors are of KindInvalid and name the limit.
func ParseQuantity(s string) (Quantity, error) {
	q, fault := parseQuantity(s)
	if fault != faultNone {
		return Quantity{}, fault.err(s)
	}
	return q, nil
}

// ParseQuantityBytes is ParseQuantity for bytes. It does not keep or change b,
// and allocates only for an error.
func ParseQuantityBytes(b []byte) (Quantity, error) {
	q, fault := parseQuantity(b)
	if fault != faultNone {
		return Quantity{}, fault.err(string(b[:min(len(b), maxErrorText+1)]))
	}
	return q, nil
}

// ParseNumericText reads a number that was sent as a string: the same grammar,
// without surrounding space. It reports false for text that is no number or is
// beyond the limits of a Quantity, and never allocates.
func ParseNumericText(s string) (Quantity, bool) {
	q, fault := parseQuantity(s)
	return q, fault == faultNone
}

// ParseNumericBytes is ParseNumericText for bytes. It does not keep or change b.
func ParseNumericBytes(b []byte) (Quantity, bool) {
	q, fault := parseQuantity(b)
	return q, fault == faultNone
}

// QuantityFromInt64 returns v as a Quantity.
func QuantityFromInt64(v int64) Quantity {
	mag := uint64(v)
	if v < 0 {
		mag = -mag
	}
	hi, lo := bits.Mul64(mag, unit)
	return signed(hi, lo, v < 0)
}

// QuantityFromParts returns the Quantity whose Parts are hi and lo. It does not
// check the limits: a decoder of stored data calls Valid.
func QuantityFromParts(hi int64, lo uint64) Quantity { return Quantity{hi, lo} }

// Parts returns the halves of the 128-bit two's complement count of 10^-12ths.
func (q Quantity) Parts() (hi int64, lo uint64) { return q.hi, q.lo }

// Valid reports whether q is within the limits, which everything parsed is.
func (q Quantity) Valid() bool {
	// 10^38, the first magnitude past the limit.
	const limitHi, limitLo = 0x4b3b4ca85a86c47a, 0x098a224000000000
	hi, lo := q.magnitude()
	return hi < limitHi || hi == limitHi && lo < limitLo
}

// int64 returns q as an integer; exact is false if it is not one or does not fit.
func (q Quantity) int64() (v int64, exact bool) {
	hi, lo := q.magnitude()
	if hi >= unit {
		return 0, false
	}
	whole, rest := bits.Div64(hi, lo, unit)
	if rest != 0 {
		return 0, false
	}
	if q.hi < 0 {
		return -int64(whole), whole <= 1<<63
	}
	return int64(whole), whole < 1<<63
}

// Cmp returns -1, 0 or 1 as q is less than, equal to or greater than o.
func (q Quantity) Cmp(o Quantity) int {
	switch {
	case q == o:
		return 0
	case q.hi < o.hi || q.hi == o.hi && q.lo < o.lo:
		return -1
	default:
		return 1
	}
}

// Neg returns -q.
func (q Quantity) Neg() Quantity {
	lo, borrow := bits.Sub64(0, q.lo, 0)
	hi, _ := bits.Sub64(0, uint64(q.hi), borrow)
	return Quantity{int64(hi), lo}
}

// Sign returns -1, 0 or 1.
func (q Quantity) Sign() int {
	switch {
	case q.hi < 0:
		return -1
	case q == Quantity{}:
		return 0
	default:
		return 1
	}
}

// IsZero reports whether q is 0.
func (q Quantity) IsZero() bool { return q == Quantity{} }

// Decimal returns q as a Decimal.
func (q Quantity) Decimal() Decimal {
	hi, lo := q.magnitude()
	return decimalFromWords(lo, hi, 0, q.hi < 0)
}

// String returns the shortest decimal text, such as "12.5", "-0.1" or "0".
func (q Quantity) String() string {
	var buf [maxDigits + 3]byte
	return string(q.AppendText(buf[:0]))
}

// AppendText appends what String returns to dst.
func (q Quantity) AppendText(dst []byte) []byte {
	hi, lo := q.magnitude()
	if q.hi < 0 {
		dst = append(dst, '-')
	}
	upper, rest := bits.Div64(0, hi, unit)
	whole, fraction := bits.Div64(rest, lo, unit)
	if upper == 0 {
		dst = strconv.AppendUint(dst, whole, 10)
	} else {
		// upper < 2^64/10^12, so the quotient by 10^18 fits 64 bits.
		head, tail := bits.Div64(upper, whole, pow10[fastDigits])
		dst = strconv.AppendUint(dst, head, 10)
		dst = appendPadded(dst, tail, fastDigits)
	}
	if fraction == 0 {
		return dst
	}
	width := MaxFractionDigits
	for fraction%10 == 0 {
		fraction /= 10
		width--
	}
	return appendPadded(append(dst, '.'), fraction, width)
}

// MarshalJSON renders q as a JSON string with all its digits.
func (q Quantity) MarshalJSON() ([]byte, error) {
	dst := make([]byte, 0, maxDigits+4)
	dst = append(dst, '"')
	return append(q.AppendText(dst), '"'), nil
}

// UnmarshalJSON reads a JSON number or a JSON string that holds one.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		b = b[1 : n-1]
	}
	v, err := ParseQuantityBytes(b)
	if err == nil {
		*q = v
	}
	return err
}

// appendPadded appends v in decimal with zeros in front, width digits in all.
func appendPadded(dst []byte, v uint64, width int) []byte {
	n := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := n + width - 1; i >= n; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// magnitude returns |q| as an unsigned 128-bit number.
func (q Quantity) magnitude() (hi, lo uint64) {
	if q.hi < 0 {
		q = q.Neg()
	}
	return uint64(q.hi), q.lo
}

// signed returns the Quantity of a magnitude and a sign.
func signed(hi, lo uint64, negative bool) Quantity {
	q := Quantity{int64(hi), lo}
	if negative {
		return q.Neg()
	}
	return q
}
