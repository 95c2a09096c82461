package meter

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	bigUnit    = big.NewInt(unit)
	bigLimit   = new(big.Int).Exp(big.NewInt(10), big.NewInt(maxDigits), nil)
)

// bigParts returns q's count of 10^-12ths.
func bigParts(q Quantity) *big.Int {
	hi, lo := q.Parts()
	v := new(big.Int).Lsh(big.NewInt(hi), 64)
	return v.Add(v, new(big.Int).SetUint64(lo))
}

// naiveQuantity reads s with math/big. It must not be given large exponents.
func naiveQuantity(s string) (parts *big.Int, ok bool) {
	if !jsonNumber.MatchString(s) {
		return nil, false
	}
	r, good := new(big.Rat).SetString(s)
	if !good {
		return nil, false
	}
	r.Mul(r, new(big.Rat).SetInt(bigUnit))
	if !r.IsInt() || r.Num().CmpAbs(bigLimit) >= 0 {
		return nil, false
	}
	return r.Num(), true
}

func TestParseQuantity(t *testing.T) {
	t.Parallel()
	most := strings.Repeat("9", 26) + "." + strings.Repeat("9", 12)
	for _, c := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"-0.0", "0"}, {"0e5", "0"}, {"0e-999999999999999999999", "0"}, {"0.000e99999999", "0"},
		{"1", "1"}, {"-1", "-1"}, {"12.5", "12.5"}, {"1.50", "1.5"}, {"-0.1", "-0.1"}, {"100", "100"},
		{"1e2", "100"}, {"1E+2", "100"}, {"1.5e3", "1500"}, {"25e-2", "0.25"}, {"1200e-2", "12"},
		{"0.000000000001", "0.000000000001"}, {"1e-12", "0.000000000001"}, {"-1e25", "-10000000000000000000000000"},
		{"999999999999999999", "999999999999999999"}, {"1000000000000000000", "1000000000000000000"},
		{"18446744073709551616", "18446744073709551616"}, {most, most}, {"-" + most, "-" + most},
		{"1." + strings.Repeat("0", 500), "1"}, {"0." + strings.Repeat("0", 500) + "1e490", "0.00000000001"},
		{"1" + strings.Repeat("0", 500) + "e-500", "1"}, {"1234567890123456789e-9", "1234567890.123456789"},
		{"340282366920938463463.374607431768", "340282366920938463463.374607431768"},
	} {
		q, err := ParseQuantity(c.in)
		if err != nil || q.String() != c.want || !q.Valid() {
			t.Errorf("ParseQuantity(%q) = %s, %v; want %s", c.in, q, err, c.want)
		}
		b, err := ParseQuantityBytes([]byte(c.in))
		if err != nil || b != q {
			t.Errorf("ParseQuantityBytes(%q) = %s, %v; want %s", c.in, b, err, c.want)
		}
		if n, ok := ParseNumericText(c.in); !ok || n != q {
			t.Errorf("ParseNumericText(%q) = %s, %t; want %s", c.in, n, ok, c.want)
		}
		if d := q.Decimal().String(); d != c.want {
			t.Errorf("%q as Decimal is %s; want %s", c.in, d, c.want)
		}
	}
}

func TestParseQuantityRefuses(t *testing.T) {
	t.Parallel()
	const syntax, integer, fraction = "is not a JSON number", "more than 26 digits before the point", "more than 12 digits after the point"
	for _, c := range []struct{ in, want string }{
		{"", syntax}, {"-", syntax}, {"+1", syntax}, {".5", syntax}, {"-.5", syntax}, {"1.", syntax}, {"01", syntax}, {"-01", syntax},
		{"00", syntax}, {"NaN", syntax}, {"Infinity", syntax}, {"-inf", syntax}, {"0x10", syntax}, {"1_000", syntax}, {"1,5", syntax},
		{"1e", syntax}, {"1e+", syntax}, {"1e1.5", syntax}, {"1e5x", syntax}, {" 1", syntax}, {"1 ", syntax}, {"1\n", syntax}, {"--1", syntax},
		{"1.2.3", syntax}, {"1.-2", syntax}, {"1e--2", syntax}, {"12345678901234567890x", syntax}, {"٣", syntax}, {"1.5e", syntax}, {".", syntax},
		{"1" + strings.Repeat("0", 26), integer}, {"1e26", integer}, {"-1e26", integer}, {"1e999999999", integer},
		{"1e99999999999999999999999999", integer}, {strings.Repeat("9", 27), integer}, {"0.1e27", integer},
		{"0.0000000000001", fraction}, {"1e-13", fraction}, {"1.0000000000001", fraction}, {"1e-999999999999999999999", fraction},
		{"12345678901234567890.1234567890123", fraction},
	} {
		for name, parse := range map[string]func() error{
			"ParseQuantity":      func() error { _, err := ParseQuantity(c.in); return err },
			"ParseQuantityBytes": func() error { _, err := ParseQuantityBytes([]byte(c.in)); return err },
		} {
			err := parse()
			if err == nil || KindOf(err) != KindInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s(%q): %v; want an error with %q", name, c.in, err, c.want)
			}
		}
		if q, ok := ParseNumericText(c.in); ok {
			t.Errorf("ParseNumericText(%q) = %s; want none", c.in, q)
		}
	}
	_, err := ParseQuantity(strings.Repeat("x", 1<<20))
	if len(err.Error()) > 200 {
		t.Errorf("the error about a text of 1 MiB has %d bytes", len(err.Error()))
	}
}

// randomNumber returns a text that is a JSON number more often than not, near
// the limits often.
func randomNumber(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(3) == 0 {
		b.WriteByte('-')
	}
	digits := func(n int) {
		for range n {
			b.WriteByte("0123456789999000"[r.IntN(16)])
		}
	}
	if r.IntN(8) == 0 {
		b.WriteByte('0')
	} else {
		digits(1 + r.IntN([]int{3, 9, 20, 30, 60}[r.IntN(5)]))
	}
	if r.IntN(2) == 0 {
		b.WriteByte('.')
		digits(r.IntN([]int{4, 14, 40}[r.IntN(3)]))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "%c%s%d", "eE"[r.IntN(2)], []string{"", "+", "-"}[r.IntN(3)], r.IntN(40))
	}
	if r.IntN(50) == 0 {
		b.WriteByte("x .-e"[r.IntN(5)])
	}
	return b.String()
}

func TestQuantityAgainstBig(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	accepted := 0
	for range 30_000 {
		s := randomNumber(r)
		want, ok := naiveQuantity(s)
		q, err := ParseQuantity(s)
		if ok != (err == nil) {
			t.Fatalf("ParseQuantity(%q): %v; math/big says %t", s, err, ok)
		}
		if !ok {
			continue
		}
		accepted++
		if bigParts(q).Cmp(want) != 0 {
			t.Fatalf("ParseQuantity(%q) = %s; want %s/10^12", s, bigParts(q), want)
		}
		checkQuantity(t, q)
	}
	if accepted < 3000 {
		t.Errorf("only %d of the generated texts are quantities", accepted)
	}
}

// checkQuantity checks what must hold of every quantity.
func checkQuantity(t *testing.T, q Quantity) {
	t.Helper()
	v := bigParts(q)
	text := q.String()
	back, err := ParseQuantity(text)
	if err != nil || back != q {
		t.Fatalf("%s reads back as %s, %v", text, back, err)
	}
	if strings.Contains(text, ".") && strings.HasSuffix(text, "0") || strings.HasSuffix(text, ".") || text == "-0" {
		t.Fatalf("%q is not the shortest text", text)
	}
	if string(q.AppendText([]byte("x"))) != "x"+text || q.Decimal().String() != text {
		t.Fatalf("the texts of %s differ", text)
	}
	if q.Sign() != v.Sign() || q.IsZero() != (v.Sign() == 0) || bigParts(q.Neg()).Cmp(new(big.Int).Neg(v)) != 0 {
		t.Fatalf("sign or negation of %s is wrong", text)
	}
	if QuantityFromParts(q.Parts()) != q || !q.Valid() {
		t.Fatalf("parts of %s do not lead back to it", text)
	}
	whole, rest := new(big.Int).QuoRem(v, bigUnit, new(big.Int))
	n, exact := q.int64()
	if want := rest.Sign() == 0 && whole.IsInt64(); exact != want || want && n != whole.Int64() {
		t.Fatalf("Int64 of %s = %d, %t", text, n, exact)
	}
	j, err := json.Marshal(q)
	if err != nil || string(j) != strconv.Quote(text) {
		t.Fatalf("%s as JSON is %s, %v", text, j, err)
	}
	var fromString, fromNumber Quantity
	if json.Unmarshal(j, &fromString) != nil || json.Unmarshal([]byte(text), &fromNumber) != nil || fromString != q || fromNumber != q {
		t.Fatalf("%s does not read back from JSON", text)
	}
}

func TestQuantityCompare(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 5000 {
		a, b := randomQuantity(r), randomQuantity(r)
		if got, want := a.Cmp(b), bigParts(a).Cmp(bigParts(b)); got != want {
			t.Fatalf("%s.Cmp(%s) = %d; want %d", a, b, got, want)
		}
		if a.Cmp(a) != 0 {
			t.Fatalf("%s is not equal to itself", a)
		}
	}
}

// randomQuantity returns a quantity of any size and sign.
func randomQuantity(r *rand.Rand) Quantity {
	for {
		if q, err := ParseQuantity(randomNumber(r)); err == nil {
			return q
		}
	}
}

func TestQuantityFromInt64(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	values := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MinInt64 + 1, 1_000_000_000_000}
	for range 1000 {
		values = append(values, int64(r.Uint64())>>r.IntN(64))
	}
	for _, v := range values {
		q := QuantityFromInt64(v)
		if q.String() != strconv.FormatInt(v, 10) {
			t.Fatalf("QuantityFromInt64(%d) = %s", v, q)
		}
		if back, exact := q.int64(); !exact || back != v {
			t.Fatalf("%d reads back as %d, %t", v, back, exact)
		}
	}
	past := mustQuantity(t, "9223372036854775808")
	if _, exact := past.int64(); exact {
		t.Error("2^63 fits an int64")
	}
	if v, exact := past.Neg().int64(); !exact || v != math.MinInt64 {
		t.Errorf("-2^63 is %d, %t", v, exact)
	}
}

func TestQuantityValid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parts *big.Int
		want  bool
	}{
		{new(big.Int).Sub(bigLimit, big.NewInt(1)), true},
		{bigLimit, false},
		{new(big.Int).Neg(bigLimit), false},
		{new(big.Int).Sub(big.NewInt(1), bigLimit), true},
		{new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127)), false},
	} {
		lo := new(big.Int).And(c.parts, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		hi := new(big.Int).Rsh(c.parts, 64).Int64()
		q := QuantityFromParts(hi, lo)
		if q.Valid() != c.want {
			t.Errorf("%s/10^12 is valid: %t", c.parts, q.Valid())
		}
		// Out of the limits, a text is still right.
		want := new(big.Rat).SetFrac(c.parts, bigUnit).FloatString(12)
		if got, _ := new(big.Rat).SetString(q.String()); got.FloatString(12) != want {
			t.Errorf("%s/10^12 is rendered %s", c.parts, q)
		}
	}
}

func TestQuantityAllocates(t *testing.T) {
	text := []byte("12345.678")
	long := []byte("12345678901234567890123456.123456789012")
	buf := make([]byte, 0, 64)
	var q Quantity
	if n := testing.AllocsPerRun(100, func() {
		q, _ = ParseQuantityBytes(text)
		q, _ = ParseQuantityBytes(long)
		buf = q.AppendText(buf[:0])
		_, _ = ParseNumericText("no number")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func mustQuantity(t testing.TB, s string) Quantity {
	t.Helper()
	q, err := ParseQuantity(s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func FuzzParseQuantity(f *testing.F) {
	for _, s := range []string{"0", "-0", "1.50", "1e2", "1e999999999", "99999999999999999999999999.999999999999", "-1e-12", "01", ".5", "1.", "NaN", "0e99999999999999999999", "12345678901234567890123456789e-5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseQuantity(s)
		if b, berr := ParseQuantityBytes([]byte(s)); b != q || (err == nil) != (berr == nil) {
			t.Fatalf("string and bytes differ for %q", s)
		}
		if err == nil {
			checkQuantity(t, q)
		}
		// math/big would expand a large exponent.
		if i := strings.IndexAny(s, "eE"); len(s) > 200 || i >= 0 && len(s)-i > 4 {
			return
		}
		want, ok := naiveQuantity(s)
		if ok != (err == nil) || ok && bigParts(q).Cmp(want) != 0 {
			t.Fatalf("ParseQuantity(%q) = %s, %v; math/big says %v, %t", s, q, err, want, ok)
		}
	})
}
