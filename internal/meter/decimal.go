package meter

import (
	"bytes"
	"cmp"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// The limits of a Decimal's text when it is read; arithmetic has none.
const (
	MaxDecimalDigits = 100 // digits before the point, and as many after it
	QuotientPlaces   = 12  // decimals of every quotient
)

// Rounding says what happens to a value between two results: HalfEven and
// HalfUp differ where it is exactly between them, Down cuts always.
type Rounding uint8

const (
	HalfEven Rounding = iota // to the even neighbour
	HalfUp                   // away from zero
	Down                     // what lies between is cut, not only half of it: toward zero
)

// Decimal is an exact decimal number of any size, in which answers are
// computed. It is immutable; the zero value is 0. Compare with Cmp: == compares
// pointers.
type Decimal struct {
	// value = coef / 10^scale. Canonical: coef is nil for 0 and not a multiple
	// of ten unless scale is 0.
	coef  *big.Int
	scale int
}

var (
	bigTen  = big.NewInt(10)
	bigZero = new(big.Int)
)

// NewDecimal returns v as a Decimal.
func NewDecimal(v int64) Decimal { return newDecimal(big.NewInt(v), 0) }

// ParseDecimal reads a JSON number with at most MaxDecimalDigits digits before
// and after the point. Errors are of KindInvalid and name the limit.
func ParseDecimal(s string) (Decimal, error) {
	shown := clip(s)
	n, ok := scanNumber(s)
	switch {
	case !ok:
		return Decimal{}, Errorf(KindInvalid, "decimal %q is not a JSON number", shown)
	case n.last < 0:
		return Decimal{}, nil
	case int64(n.count)+n.exponent > MaxDecimalDigits:
		return Decimal{}, Errorf(KindInvalid, "decimal %q has more than %d digits before the point", shown, MaxDecimalDigits)
	case n.exponent < -MaxDecimalDigits:
		return Decimal{}, Errorf(KindInvalid, "decimal %q has more than %d digits after the point", shown, MaxDecimalDigits)
	}
	coef, ok := new(big.Int).SetString(strings.Replace(s[n.first:n.last+1], ".", "", 1), 10)
	if !ok {
		return Decimal{}, Errorf(KindInvalid, "decimal %q is not a JSON number", shown)
	}
	if n.negative {
		coef.Neg(coef)
	}
	if n.exponent >= 0 {
		return newDecimal(coef.Mul(coef, powerOfTen(int(n.exponent))), 0), nil
	}
	return newDecimal(coef, int(-n.exponent)), nil
}

// newDecimal takes coef over and brings it to canonical form.
func newDecimal(coef *big.Int, scale int) Decimal {
	if coef.Sign() == 0 {
		return Decimal{}
	}
	// Strip zeros by halves: most coefficients lose all twelve or none.
	var quo, rem big.Int
	for step := scale; step > 0; {
		step = min(step, scale)
		if quo.QuoRem(coef, powerOfTen(step), &rem); rem.Sign() == 0 {
			coef.Set(&quo)
			scale -= step
			continue
		}
		step /= 2
	}
	return Decimal{coef: coef, scale: scale}
}

// decimalFromWords returns a 192-bit magnitude of 10^-12ths, w0 lowest.
func decimalFromWords(w0, w1, w2 uint64, negative bool) Decimal {
	scale := MaxFractionDigits
	if w2 == 0 && w1 < unit { // below 2^64, as most totals are: strip zeros without math/big
		_, fraction := bits.Div64(w1, w0, unit)
		for ; scale > 0 && fraction%10 == 0; scale-- {
			fraction /= 10
		}
		strip := pow10[MaxFractionDigits-scale]
		var rest uint64
		w1, rest = w1/strip, w1%strip
		w0, _ = bits.Div64(rest, w0, strip)
	}
	coef := new(big.Int).SetUint64(w0)
	if w1|w2 != 0 {
		upper := new(big.Int).SetUint64(w2)
		upper.Lsh(upper, 64).Or(upper, new(big.Int).SetUint64(w1))
		coef.Or(coef, upper.Lsh(upper, 64))
	}
	if negative {
		coef.Neg(coef)
	}
	return newDecimal(coef, scale)
}

// bigPow10 holds the powers of ten that arithmetic needs most; never changed.
var bigPow10 = func() (table [2*QuotientPlaces + 1]*big.Int) {
	for i := range table {
		table[i] = new(big.Int).Exp(bigTen, big.NewInt(int64(i)), nil)
	}
	return table
}()

// powerOfTen returns 10^n, which must not be changed.
func powerOfTen(n int) *big.Int {
	if n < len(bigPow10) {
		return bigPow10[n]
	}
	return new(big.Int).Exp(bigTen, big.NewInt(int64(n)), nil)
}

// int returns the coefficient, which must not be changed.
func (d Decimal) int() *big.Int {
	if d.coef == nil {
		return bigZero
	}
	return d.coef
}

// at returns the coefficient at a scale not below d's own, which must not be changed.
func (d Decimal) at(scale int) *big.Int {
	if scale == d.scale {
		return d.int()
	}
	return new(big.Int).Mul(d.int(), powerOfTen(scale-d.scale))
}

// Add returns d + o, exactly.
func (d Decimal) Add(o Decimal) Decimal {
	scale := max(d.scale, o.scale)
	return newDecimal(new(big.Int).Add(d.at(scale), o.at(scale)), scale)
}

// Sub returns d - o, exactly.
func (d Decimal) Sub(o Decimal) Decimal {
	scale := max(d.scale, o.scale)
	return newDecimal(new(big.Int).Sub(d.at(scale), o.at(scale)), scale)
}

// Mul returns d * o, exactly.
func (d Decimal) Mul(o Decimal) Decimal {
	return newDecimal(new(big.Int).Mul(d.int(), o.int()), d.scale+o.scale)
}

// Quo returns d / o with QuotientPlaces decimals, half-even. Like integer
// division it panics if o is 0.
func (d Decimal) Quo(o Decimal) Decimal {
	num := new(big.Int).Mul(d.int(), powerOfTen(QuotientPlaces+o.scale))
	den := new(big.Int).Mul(o.int(), powerOfTen(d.scale))
	return newDecimal(divide(num, den, HalfEven), QuotientPlaces)
}

// Round returns d with at most places decimals; fewer than 0 count as 0.
func (d Decimal) Round(places int, mode Rounding) Decimal {
	places = max(places, 0)
	if d.scale <= places {
		return d
	}
	return newDecimal(divide(d.int(), powerOfTen(d.scale-places), mode), places)
}

// divide returns num / den rounded to an integer.
func divide(num, den *big.Int, mode Rounding) *big.Int {
	quo, rem := new(big.Int).QuoRem(num, den, new(big.Int))
	twice := rem.Lsh(rem.Abs(rem), 1)
	half := twice.CmpAbs(den)
	if mode != Down && (half > 0 || half == 0 && (mode == HalfUp || quo.Bit(0) == 1)) {
		quo.Add(quo, big.NewInt(int64(num.Sign()*den.Sign())))
	}
	return quo
}

// Neg returns -d.
func (d Decimal) Neg() Decimal { return newDecimal(new(big.Int).Neg(d.int()), d.scale) }

// Cmp returns -1, 0 or 1 as d is less than, equal to or greater than o.
func (d Decimal) Cmp(o Decimal) int {
	if a, b := d.Sign(), o.Sign(); a != b || a == 0 {
		return cmp.Compare(a, b)
	}
	scale := max(d.scale, o.scale)
	return d.at(scale).Cmp(o.at(scale))
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int { return d.int().Sign() }

// IsZero reports whether d is 0.
func (d Decimal) IsZero() bool { return d.coef == nil }

// Fraction returns d as num / den, den being a power of ten. Neither may be changed.
func (d Decimal) Fraction() (num, den *big.Int) { return d.int(), powerOfTen(d.scale) }

// Int64 returns d as an integer; exact is false if it is not one or does not fit.
func (d Decimal) Int64() (v int64, exact bool) {
	if d.scale != 0 || !d.int().IsInt64() {
		return 0, false
	}
	return d.int().Int64(), true
}

// String returns the shortest decimal text, without an exponent.
func (d Decimal) String() string {
	var text [64]byte
	return string(d.append(text[:0]))
}

// append appends what String returns.
func (d Decimal) append(b []byte) []byte {
	from := len(b)
	if v := d.int(); v.IsInt64() {
		b = strconv.AppendInt(b, v.Int64(), 10)
	} else {
		b = v.Append(b, 10)
	}
	if d.scale == 0 {
		return b
	}
	if b[from] == '-' {
		from++
	}
	if missing := d.scale + 1 - (len(b) - from); missing > 0 {
		b = slices.Insert(b, from, bytes.Repeat([]byte{'0'}, missing)...)
	}
	return slices.Insert(b, len(b)-d.scale, '.')
}

// MarshalJSON renders d as a JSON string with all its digits.
func (d Decimal) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 24), '"')
	return append(d.append(b), '"'), nil
}

// UnmarshalJSON reads a JSON number or a JSON string that holds one.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		b = b[1 : n-1] // blanks in it are part of a text that is no number
	}
	return d.UnmarshalText(b)
}

// MarshalText renders what String returns.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDecimal.
func (d *Decimal) UnmarshalText(b []byte) error {
	v, err := ParseDecimal(string(b))
	if err == nil {
		*d = v
	}
	return err
}
