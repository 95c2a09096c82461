package meter

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

func mustDecimal(t testing.TB, s string) Decimal {
	t.Helper()
	d, err := ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func bigRat(t testing.TB, d Decimal) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		t.Fatalf("%q is no number", d.String())
	}
	return r
}

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	nines := strings.Repeat("9", MaxDecimalDigits)
	for _, c := range []struct{ in, want string }{
		{"0", "0"}, {"-0.00", "0"}, {"1.50", "1.5"}, {"-12e3", "-12000"}, {"0.000008", "0.000008"}, {"1e-6", "0.000001"}, {"1200e-2", "12"},
		{"10", "10"}, {"0.5e1", "5"}, {nines + "." + nines, nines + "." + nines}, {"-0.25e1", "-2.5"},
		{"1e99", "1" + strings.Repeat("0", 99)}, {"1e-100", "0." + strings.Repeat("0", 99) + "1"},
	} {
		if d, err := ParseDecimal(c.in); err != nil || d.String() != c.want {
			t.Errorf("ParseDecimal(%q) = %s, %v; want %s", c.in, d, err, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"", "not a JSON number"}, {"abc", "not a JSON number"}, {"1.", "not a JSON number"}, {"1e", "not a JSON number"},
		{"1e100", "more than 100 digits before"}, {"1" + nines, "more than 100 digits before"}, {"1e999999999999", "more than 100 digits before"},
		{"1e-101", "more than 100 digits after"}, {"0." + nines + "1", "more than 100 digits after"},
	} {
		_, err := ParseDecimal(c.in)
		if err == nil || KindOf(err) != KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseDecimal(%q): %v; want an error with %q", c.in, err, c.want)
		}
	}
}

// randomDecimal returns a decimal with up to 30 digits on each side.
func randomDecimal(t testing.TB, r *rand.Rand) Decimal {
	t.Helper()
	for {
		if d, err := ParseDecimal(randomNumber(r)); err == nil {
			return d
		}
	}
}

func TestDecimalAgainstBig(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 5000 {
		a, b := randomDecimal(t, r), randomDecimal(t, r)
		x, y := bigRat(t, a), bigRat(t, b)
		for name, c := range map[string]struct {
			got  Decimal
			want *big.Rat
		}{
			"Add": {a.Add(b), new(big.Rat).Add(x, y)},
			"Sub": {a.Sub(b), new(big.Rat).Sub(x, y)},
			"Mul": {a.Mul(b), new(big.Rat).Mul(x, y)},
			"Neg": {a.Neg(), new(big.Rat).Neg(x)},
		} {
			if bigRat(t, c.got).Cmp(c.want) != 0 {
				t.Fatalf("%s of %s and %s = %s; want %s", name, a, b, c.got, c.want.RatString())
			}
			checkDecimal(t, c.got)
		}
		if a.Cmp(b) != x.Cmp(y) || a.Sign() != x.Sign() || a.IsZero() != (x.Sign() == 0) {
			t.Fatalf("%s compares wrongly with %s", a, b)
		}
		if !b.IsZero() {
			checkRounded(t, "Quo", new(big.Rat).Quo(x, y), a.Quo(b), QuotientPlaces, HalfEven)
		}
		places := r.IntN(14)
		checkRounded(t, "Round half-even", x, a.Round(places, HalfEven), places, HalfEven)
		checkRounded(t, "Round half-up", x, a.Round(places, HalfUp), places, HalfUp)
	}
}

// checkDecimal checks that d is canonical and survives its text.
func checkDecimal(t *testing.T, d Decimal) {
	t.Helper()
	text := d.String()
	if strings.Contains(text, ".") && strings.HasSuffix(text, "0") || text == "-0" || strings.HasPrefix(text, ".") {
		t.Fatalf("%q is not the shortest text", text)
	}
	if len(text) <= MaxDecimalDigits {
		if back := mustDecimal(t, text); back.Cmp(d) != 0 || back.scale != d.scale || back.String() != text {
			t.Fatalf("%s reads back as %s", text, back)
		}
	}
}

// checkRounded checks that got is want rounded, by the definition of rounding.
func checkRounded(t *testing.T, what string, want *big.Rat, got Decimal, places int, mode Rounding) {
	t.Helper()
	checkDecimal(t, got)
	if got.scale > places {
		t.Fatalf("%s of %s = %s has more than %d decimals", what, want.RatString(), got, places)
	}
	step := new(big.Rat).SetFrac(big.NewInt(1), powerOfTen(places))
	off := new(big.Rat).Sub(bigRat(t, got), want)
	twice := new(big.Rat).Abs(off)
	twice.Add(twice, twice)
	switch twice.Cmp(step) {
	case 1:
		t.Fatalf("%s of %s = %s is not the nearest with %d decimals", what, want.RatString(), got, places)
	case 0:
		last := new(big.Rat).Quo(bigRat(t, got), step).Num()
		if mode == HalfEven && last.Bit(0) == 1 || mode == HalfUp && off.Sign() != want.Sign() {
			t.Fatalf("%s of the tie %s = %s", what, want.RatString(), got)
		}
	}
}

func TestDecimalRound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in       string
		places   int
		even, up string
	}{
		{"2.5", 0, "2", "3"}, {"3.5", 0, "4", "4"}, {"-2.5", 0, "-2", "-3"}, {"-0.5", 0, "0", "-1"}, {"0.5", 0, "0", "1"},
		{"2.51", 0, "3", "3"}, {"2.49", 0, "2", "2"}, {"0.1234565", 6, "0.123456", "0.123457"}, {"1.5", 6, "1.5", "1.5"},
		{"9.9999999", 6, "10", "10"}, {"15", -1, "15", "15"}, {"0.25", -1, "0", "0"},
	} {
		d := mustDecimal(t, c.in)
		if even, up := d.Round(c.places, HalfEven), d.Round(c.places, HalfUp); even.String() != c.even || up.String() != c.up {
			t.Errorf("%s to %d places: half-even %s, half-up %s; want %s, %s", c.in, c.places, even, up, c.even, c.up)
		}
		if d.String() != c.in {
			t.Errorf("rounding changed %s to %s", c.in, d)
		}
	}
}

func TestDecimalRoundDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in     string
		places int
		want   string
	}{
		{"2.999999", 0, "2"}, {"-2.999999", 0, "-2"}, {"0.9", 0, "0"}, {"1.2345678", 6, "1.234567"}, {"1.5", 6, "1.5"}, {"3", 0, "3"},
	} {
		if got := mustDecimal(t, c.in).Round(c.places, Down); got.String() != c.want {
			t.Errorf("%s cut to %d places = %s; want %s", c.in, c.places, got, c.want)
		}
	}
}

func TestDecimalQuo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{"1", "3", "0.333333333333"}, {"2", "3", "0.666666666667"}, {"-2", "3", "-0.666666666667"}, {"0", "7", "0"},
		{"0.000000000001", "2", "0"}, {"0.000000000003", "2", "0.000000000002"}, {"1", "0.5", "2"}, {"1500", "300", "5"},
	} {
		if got := mustDecimal(t, c.a).Quo(mustDecimal(t, c.b)); got.String() != c.want {
			t.Errorf("%s / %s = %s; want %s", c.a, c.b, got, c.want)
		}
	}
}

func TestDecimalInt64(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		want  int64
		exact bool
	}{{"0", 0, true}, {"-12", -12, true}, {"12.5", 0, false}, {"9223372036854775807", 1<<63 - 1, true}, {"9223372036854775808", 0, false}, {"1e3", 1000, true}} {
		if v, exact := mustDecimal(t, c.in).Int64(); v != c.want || exact != c.exact {
			t.Errorf("%s is %d, %t", c.in, v, exact)
		}
	}
}

func TestDecimalJSON(t *testing.T) {
	t.Parallel()
	var d Decimal
	for _, in := range []string{`"0.1"`, `0.1`, ` "0.1" `} {
		d = Decimal{}
		if err := json.Unmarshal([]byte(in), &d); err != nil || d.String() != "0.1" {
			t.Errorf("%s reads as %s, %v", in, d, err)
		}
	}
	for _, in := range []string{`"x"`, `null`, `{}`, `""`, `true`, `" 0.1"`, `"0.1 "`} { // a text is a number or it is not, as in events
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s is a decimal", in)
		}
	}
	r := fixedtest.Rand(t)
	for range 500 {
		d := randomDecimal(t, r)
		text, err := json.Marshal(map[string]Decimal{"v": d})
		if err != nil || string(text) != `{"v":`+strconv.Quote(d.String())+`}` {
			t.Fatalf("%s as JSON is %s, %v", d, text, err)
		}
	}
	var zero Decimal
	if text, err := json.Marshal(zero); err != nil || string(text) != `"0"` {
		t.Errorf("zero as JSON is %s, %v", text, err)
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.10", "1e99", "1e-100", "1e100", "12.5e-3", "0e999999999999999999999", "1.", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDecimal(s)
		if (err == nil) && !jsonNumber.MatchString(s) {
			t.Fatalf("%q is read as %s", s, d)
		}
		if err != nil {
			return
		}
		checkDecimal(t, d)
		if q, err := ParseQuantity(s); err == nil && q.Decimal().Cmp(d) != 0 {
			t.Fatalf("%q is the quantity %s but the decimal %s", s, q, d)
		}
		if back := mustDecimal(t, d.String()); back.Cmp(d) != 0 {
			t.Fatalf("%q is read as %s, which reads as %s", s, d, back)
		}
	})
}

// A rank is the same whichever way it is computed.
func TestPercentileRankFast(t *testing.T) {
	t.Parallel()
	random := fixedtest.Rand(t)
	for range 5000 {
		scale := random.IntN(14)
		p := newDecimal(big.NewInt(1+random.Int64N(int64(pow10[scale])*100)), scale)
		n := 1 + random.IntN(1<<random.IntN(40))
		num := new(big.Int).Mul(p.int(), big.NewInt(int64(n)))
		den := new(big.Int).Mul(big.NewInt(100), powerOfTen(p.scale))
		want := num.Add(num, den).Sub(num, big.NewInt(1)).Quo(num, den).Int64()
		if got := PercentileRank(p, n); int64(got) != want {
			t.Fatalf("%s of %d: %d, want %d", p, n, got, want)
		}
	}
}
