package meter

import "math/bits"

// fault is why a text is not a Quantity; a code rather than an error so that
// refusing costs nothing where the caller only asks whether it is a number.
type fault uint8

const (
	faultNone fault = iota
	faultSyntax
	faultInteger
	faultFraction
)

// err returns the fault as an error about the text s.
func (f fault) err(s string) error {
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "..."
	}
	switch f {
	case faultInteger:
		return Errorf(KindInvalid, "quantity %q has more than %d digits before the point", s, MaxIntegerDigits)
	case faultFraction:
		return Errorf(KindInvalid, "quantity %q has more than %d digits after the point", s, MaxFractionDigits)
	default:
		return Errorf(KindInvalid, "quantity %q is not a JSON number", s)
	}
}

// parseQuantity reads a JSON number. Short numbers without an exponent, which
// are nearly all, take the first path; the second takes every number.
func parseQuantity[T string | []byte](s T) (Quantity, fault) {
	i, negative := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, negative = 1, true
	}
	digits := len(s) - i
	if digits == 0 || digits > fastDigits {
		return parseLongQuantity(s)
	}
	if s[i] == '0' && digits > 1 && s[i+1] != '.' {
		return parseLongQuantity(s)
	}
	var v uint64
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
	}
	scale := uint64(unit)
	if i < len(s) {
		point := i
		if s[i] != '.' || i == len(s)-digits {
			return parseLongQuantity(s)
		}
		for i++; i < len(s); i++ {
			d := s[i] - '0'
			if d > 9 {
				return parseLongQuantity(s)
			}
			v = v*10 + uint64(d)
		}
		places := i - point - 1
		if places == 0 || places > MaxFractionDigits {
			return parseLongQuantity(s)
		}
		scale = pow10[MaxFractionDigits-places]
	}
	hi, lo := bits.Mul64(v, scale)
	return signed(hi, lo, negative), faultNone
}

// number is the shape of a JSON number: its digits without the point, and
// where the point is.
type number struct {
	negative bool
	first    int   // index of the first digit that is not 0
	last     int   // index of the last digit that is not 0; -1 if the number is 0
	count    int   // digits from first to last, the point left out
	exponent int64 // value = digits(first..last) * 10^exponent, saturated
}

// maxExponent bounds the exponent while it is read; no text is long enough to
// bring a number with a larger one back within any limit.
const maxExponent = 1 << 40

// scanNumber checks the grammar of a JSON number and measures it.
func scanNumber[T string | []byte](s T) (number, bool) {
	n := number{first: -1, last: -1}
	i := 0
	if i < len(s) && s[i] == '-' {
		n.negative = true
		i++
	}
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	if i == start || s[start] == '0' && i > start+1 {
		return n, false
	}
	point, end := i, i // point: index after the last integer digit
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && s[i]-'0' <= 9; i++ {
		}
		if i == point+1 {
			return n, false
		}
		end = i
	}
	var exponent int64
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		var ok bool
		if exponent, ok = scanExponent(s[i+1:]); !ok {
			return n, false
		}
		i = len(s)
	}
	if i != len(s) {
		return n, false
	}
	for j := start; j < end; j++ {
		if s[j] != '0' && s[j] != '.' {
			if n.first < 0 {
				n.first = j
			}
			n.last = j
		}
	}
	if n.last < 0 {
		return n, true
	}
	n.count = n.last - n.first + 1
	if n.first < point && n.last > point {
		n.count-- // the point itself
	}
	if n.last < point {
		n.exponent = exponent + int64(point-1-n.last)
	} else {
		n.exponent = exponent - int64(n.last-point)
	}
	return n, true
}

// scanExponent reads what follows the 'e', saturating at maxExponent.
func scanExponent[T string | []byte](s T) (int64, bool) {
	i, negative := 0, false
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		i, negative = 1, s[0] == '-'
	}
	if i == len(s) {
		return 0, false
	}
	var v int64
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		v = min(v*10+int64(d), maxExponent)
	}
	if negative {
		v = -v
	}
	return v, true
}

// parseLongQuantity reads any JSON number within the limits.
func parseLongQuantity[T string | []byte](s T) (Quantity, fault) {
	n, ok := scanNumber(s)
	switch {
	case !ok:
		return Quantity{}, faultSyntax
	case n.last < 0:
		return Quantity{}, faultNone
	case int64(n.count)+n.exponent > MaxIntegerDigits:
		return Quantity{}, faultInteger
	case n.exponent < -MaxFractionDigits:
		return Quantity{}, faultFraction
	}
	// At most maxDigits digits from here on: first to last, then zeros.
	var hi, lo uint64
	for j := n.first; j <= n.last; j++ {
		if s[j] != '.' {
			hi, lo = mulAdd(hi, lo, 10, uint64(s[j]-'0'))
		}
	}
	for zeros := n.exponent + MaxFractionDigits; zeros > 0; {
		step := min(zeros, fastDigits)
		hi, lo = mulAdd(hi, lo, pow10[step], 0)
		zeros -= step
	}
	return signed(hi, lo, n.negative), faultNone
}

// mulAdd returns (hi,lo)*m + a; the caller knows that it fits.
func mulAdd(hi, lo, m, a uint64) (uint64, uint64) {
	over, low := bits.Mul64(lo, m)
	low, carry := bits.Add64(low, a, 0)
	return hi*m + over + carry, low
}
