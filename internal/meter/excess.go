package meter

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// A number beyond the limits of a Quantity is kept as its canonical text: a
// minus if it is negative, its digits from the first to the last that is not 0,
// "e", and the power of ten that they count. 0.30000000000000004 is
// "30000000000000004e-17". So equal numbers have equal texts, and no number is
// ever written out: 1e999999999 is "1e999999999".

// shownDigits is how many digits a number beyond the limits may take to be
// shown without an exponent.
const shownDigits = 64

// ParseNumber reads a JSON number of any size: a value of kind Number where it is
// within the limits of a Quantity, else of kind Excess. KindInvalid if the text
// is no JSON number.
func ParseNumber(s string) (Value, error) {
	q, fault := parseQuantity(s)
	switch fault {
	case faultNone:
		return NumberValue(q), nil
	case faultSyntax:
		return Value{}, fault.err(s)
	}
	text, _ := ExcessText(s)
	return Value{Kind: Excess, Str: text}, nil
}

// ExcessText returns the canonical text of a JSON number that is not zero, and
// false for everything else. It is meant for numbers that ParseQuantity refuses.
func ExcessText[T string | []byte](s T) (text string, ok bool) {
	n, ok := scanNumber(s)
	if !ok || n.last < 0 {
		return "", false
	}
	var b strings.Builder
	b.Grow(n.count + 24)
	if n.negative {
		b.WriteByte('-')
	}
	for j := n.first; j <= n.last; j++ {
		if s[j] != '.' {
			b.WriteByte(s[j])
		}
	}
	b.WriteByte('e')
	if n.exponent > -maxExponent/2 && n.exponent < maxExponent/2 {
		b.WriteString(strconv.FormatInt(n.exponent, 10))
	} else {
		b.WriteString(longExponent(string(s)))
	}
	return b.String(), true
}

// ValidExcess reports whether a text is a canonical one, as ExcessText returns it.
func ValidExcess(text []byte) bool {
	canonical, ok := ExcessText(text)
	return ok && canonical == string(text)
}

// longExponent works out an exponent that scanNumber may have saturated.
func longExponent(s string) string {
	mantissa, written, _ := strings.Cut(strings.ToLower(s), "e")
	n, _ := scanNumber(mantissa)
	exponent, _ := new(big.Int).SetString(written, 10)
	return exponent.Add(exponent, big.NewInt(n.exponent)).String()
}

// excessNumber is a canonical text taken apart.
type excessNumber struct {
	negative bool
	digits   string
	exponent string // an integer of any size
}

func splitExcess(text string) excessNumber {
	digits, negative := strings.CutPrefix(text, "-")
	digits, exponent, _ := strings.Cut(digits, "e")
	return excessNumber{negative, digits, exponent}
}

// smallExponent returns the exponent if it is small enough to count digits by.
func (n *excessNumber) smallExponent() (int, bool) {
	e, err := strconv.Atoi(n.exponent)
	return e, err == nil && e > -maxExponent && e < maxExponent
}

// point returns the place of the decimal point after the first digit: the
// exponent in scientific notation.
func (n *excessNumber) point() *big.Int {
	e, _ := new(big.Int).SetString(n.exponent, 10)
	if e == nil {
		e = new(big.Int)
	}
	return e.Add(e, big.NewInt(int64(len(n.digits)-1)))
}

// excessDisplay returns the text under which a number beyond the limits is
// shown and grouped: in plain decimals where it has at most shownDigits of them,
// else in scientific notation. Equal numbers have equal texts.
func excessDisplay(text string) string {
	n := splitExcess(text)
	out := ""
	if n.negative {
		out = "-"
	}
	if e, ok := n.smallExponent(); ok {
		switch whole := len(n.digits) + e; { // digits before the point
		case e >= 0 && whole <= shownDigits:
			return out + n.digits + strings.Repeat("0", e)
		case e < 0 && whole > 0 && len(n.digits) <= shownDigits:
			return out + n.digits[:whole] + "." + n.digits[whole:]
		case whole <= 0 && -e <= shownDigits:
			return out + "0." + strings.Repeat("0", -whole) + n.digits
		}
	}
	out += n.digits[:1]
	if len(n.digits) > 1 {
		out += "." + n.digits[1:]
	}
	return out + "e" + n.point().String()
}

// compareNumbers compares the value of an event with that of a filter by number:
// -1, 0 or 1, exactly and whatever their size. ok is false unless both are
// numbers. A text of an event is one only within the limits of a Quantity, as
// everywhere; what a filter names is one at any size.
func compareNumbers(v, with Value) (c int, ok bool) {
	if x, ok := v.Numeric(); ok {
		if y, ok := with.Numeric(); ok {
			return x.Cmp(y), true
		}
	} else if v.Kind != Excess {
		return 0, false
	}
	if !with.isNumber() {
		return 0, false
	}
	return compareCanonical(v.canonical(), with.canonical()), true
}

// isNumber reports whether v is a number or a text that holds one, of any size.
func (v Value) isNumber() bool {
	switch v.Kind {
	case Number, Excess:
		return true
	case String:
		_, ok := scanNumber(v.Str)
		return ok
	default:
		return false
	}
}

// canonical returns the canonical text of a number of any size, "" for zero.
func (v Value) canonical() string {
	if v.Kind == Excess {
		return v.Str
	}
	text, _ := ExcessText(v.Group())
	return text
}

// compareCanonical compares two canonical texts, "" being zero.
func compareCanonical(a, b string) int {
	if sa, sb := canonicalSign(a), canonicalSign(b); sa != sb {
		if sa < sb {
			return -1
		}
		return 1
	}
	if a == b {
		return 0
	}
	x, y := splitExcess(a), splitExcess(b)
	c := x.point().Cmp(y.point())
	if c == 0 {
		// Of equal magnitude the digits decide, like fractions: a missing digit is 0.
		c = strings.Compare(x.digits, y.digits)
	}
	if x.negative {
		return -c
	}
	return c
}

func canonicalSign(text string) int {
	switch {
	case text == "":
		return 0
	case text[0] == '-':
		return -1
	default:
		return 1
	}
}

// NoQuantity says why v is no quantity, such as "is absent", for a message that
// names the attribute before it.
func (v Value) NoQuantity() string {
	switch v.Kind {
	case Excess, String:
		if v.isNumber() {
			side := "after"
			if _, fault := parseQuantity(v.Group()); fault == faultInteger {
				side = "before"
			}
			most := map[string]int{"before": MaxIntegerDigits, "after": MaxFractionDigits}[side]
			return fmt.Sprintf("is %s, which has more than %d digits %s the point", clip(v.Group()), most, side)
		}
		return "is the text " + strconv.Quote(clip(v.Str)) + ", not a number"
	case True, False:
		return "is " + v.Group() + ", not a number"
	default:
		return v.NoText()
	}
}

// NoText says why v has no text, for a message that names the attribute before it.
func (v Value) NoText() string {
	switch v.Kind {
	case Absent:
		return "is absent"
	case Null:
		return "is null"
	default:
		return "is an array or an object"
	}
}

// Rounded is Numeric that rounds a number with too many digits after the point,
// sent as a number or as a text, to MaxFractionDigits, half to even. It reports
// false for one that has too many before the point, then or before.
func (v Value) Rounded() (Quantity, bool) {
	if q, ok := v.Numeric(); ok {
		return q, true
	}
	if !v.isNumber() {
		return Quantity{}, false
	}
	n := splitExcess(v.canonical())
	e, small := n.smallExponent()
	if !small {
		return Quantity{}, strings.HasPrefix(n.exponent, "-") // far too small: 0
	}
	if len(n.digits)+e > MaxIntegerDigits {
		return Quantity{}, false
	}
	kept := len(n.digits) + e + MaxFractionDigits // digits that are not rounded away
	if kept < 0 {
		return Quantity{}, true
	}
	var hi, lo uint64
	for _, c := range []byte(n.digits[:kept]) {
		hi, lo = mulAdd(hi, lo, 10, uint64(c-'0'))
	}
	// The last digit is not 0, so a 5 with anything after it is more than half.
	if rest := n.digits[kept:]; rest[0] > '5' || rest[0] == '5' && (len(rest) > 1 || lo&1 == 1) {
		hi, lo = mulAdd(hi, lo, 1, 1)
	}
	q := signed(hi, lo, n.negative)
	return q, q.Valid()
}
