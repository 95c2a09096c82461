package meter

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

func TestNumbersBeyondTheLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, canonical, shown, rounded string }{
		{"0.30000000000000004", "30000000000000004e-17", "0.30000000000000004", "0.3"},
		{"-0.30000000000000004", "-30000000000000004e-17", "-0.30000000000000004", "-0.3"},
		{"30000000000000004.00E-17", "30000000000000004e-17", "0.30000000000000004", "0.3"},
		{"1e-13", "1e-13", "0.0000000000001", "0"},
		{"5e-13", "5e-13", "0.0000000000005", "0"},
		{"15e-13", "15e-13", "0.0000000000015", "0.000000000002"},
		{"25e-13", "25e-13", "0.0000000000025", "0.000000000002"},
		{"2500000000000001e-27", "2500000000000001e-27", "0.000000000002500000000000001", "0.000000000003"},
		{"-15e-13", "-15e-13", "-0.0000000000015", "-0.000000000002"},
		{"99999999999999999999999999.9999999999995", "999999999999999999999999999999999999995e-13", "99999999999999999999999999.9999999999995", ""},
		{"99999999999999999999999999.9999999999994", "999999999999999999999999999999999999994e-13", "99999999999999999999999999.9999999999994", "99999999999999999999999999.999999999999"},
		{"1e26", "1e26", "1" + strings.Repeat("0", 26), ""},
		{"1e63", "1e63", "1" + strings.Repeat("0", 63), ""},
		{"1e64", "1e64", "1e64", ""},
		{"12e64", "12e64", "1.2e65", ""},
		{"1e-64", "1e-64", "0." + strings.Repeat("0", 63) + "1", "0"},
		{"1e-65", "1e-65", "1e-65", "0"},
		{"-1.25e-9999", "-125e-10001", "-1.25e-9999", "0"},
		{"1e999999999", "1e999999999", "1e999999999", ""},
		{"10e99999999999999999999", "1e100000000000000000000", "1e100000000000000000000", ""},
		{"0.1e-99999999999999999999", "1e-100000000000000000000", "1e-100000000000000000000", "0"},
	} {
		v, err := ParseNumber(c.in)
		if err != nil || v != (Value{Kind: Excess, Str: c.canonical}) {
			t.Errorf("%s is %+v, %v; want %s", c.in, v, err, c.canonical)
			continue
		}
		if v.Group() != c.shown {
			t.Errorf("%s is shown as %s, want %s", c.in, v.Group(), c.shown)
		}
		if again, err := ParseNumber(v.Group()); err != nil || again != v {
			t.Errorf("%s, shown as %s, reads as %+v, %v", c.in, v.Group(), again, err)
		}
		if q, ok := v.Numeric(); ok {
			t.Errorf("%s is the quantity %s", c.in, q)
		}
		for _, form := range []Value{v, StringValue(c.in)} {
			if q, ok := form.Rounded(); ok != (c.rounded != "") || ok && q.String() != c.rounded {
				t.Errorf("%+v rounds to %s, %t; want %q", form, q, ok, c.rounded)
			}
		}
		text, err := json.Marshal(v)
		var back Value
		if err != nil || json.Unmarshal(text, &back) != nil || back != v {
			t.Errorf("%s becomes %s, %v", c.in, text, err)
		}
	}
	for _, in := range []string{"", "01", "1e", "NaN", "+1", "0x10", "1 "} {
		if v, err := ParseNumber(in); KindOf(err) != KindInvalid {
			t.Errorf("%q is the number %+v, %v", in, v, err)
		}
	}
	if v, err := ParseNumber("0e999999999999999999999"); err != nil || v != NumberValue(Quantity{}) {
		t.Errorf("zero is %+v, %v", v, err)
	}
}

// randomNearLimits is the text of a number near the limits, in one of many forms.
func randomNearLimits(r *rand.Rand) string {
	digits := make([]byte, 1+r.IntN(45))
	for i := range digits {
		digits[i] = "0000155999234678"[r.IntN(16)]
	}
	s := strings.TrimLeft(string(digits), "0")
	if s == "" {
		s = "0"
	}
	if r.IntN(2) == 0 {
		s += "." + string(digits[:1+r.IntN(len(digits))])
	}
	if r.IntN(2) == 0 {
		s += fmt.Sprintf("e%d", r.IntN(60)-40)
	}
	if r.IntN(3) == 0 {
		s = "-" + s
	}
	return s
}

// TestNumbersAgreeWithRationals holds comparison, equality and rounding against math/big.
func TestNumbersAgreeWithRationals(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	rat := func(s string) *big.Rat {
		v, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q is no rational", s)
		}
		return v
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(MaxFractionDigits), nil))
	for range 20_000 {
		a, b := randomNearLimits(r), randomNearLimits(r)
		x, errX := ParseNumber(a)
		y, errY := ParseNumber(b)
		if errX != nil || errY != nil {
			t.Fatalf("%s: %v; %s: %v", a, errX, b, errY)
		}
		want := rat(a).Cmp(rat(b))
		if c, ok := compareNumbers(x, y); !ok || c != want {
			t.Fatalf("%s and %s compare as %d, %t; want %d", a, b, c, ok, want)
		}
		if (x == y) != (want == 0) {
			t.Fatalf("%s and %s: one value is %t", a, b, x == y)
		}
		if rat(x.Group()).Cmp(rat(a)) != 0 {
			t.Fatalf("%s is shown as %s", a, x.Group())
		}
		q, ok := x.Rounded()
		exact := new(big.Rat).Mul(rat(a), scale)
		nearest, rest := new(big.Int).DivMod(exact.Num(), exact.Denom(), new(big.Int))
		if half := new(big.Int).Lsh(rest, 1).Cmp(exact.Denom()); half > 0 || half == 0 && nearest.Bit(0) == 1 {
			nearest.Add(nearest, big.NewInt(1))
		}
		limit, _ := new(big.Int).SetString("1"+strings.Repeat("0", MaxIntegerDigits+MaxFractionDigits), 10)
		fits := new(big.Int).Abs(nearest).Cmp(limit) < 0
		if ok != fits || ok && new(big.Rat).Mul(rat(q.String()), scale).Num().Cmp(nearest) != 0 {
			t.Fatalf("%s rounds to %s, %t; want %s, %t", a, q, ok, nearest, fits)
		}
	}
}

func TestExcessRule(t *testing.T) {
	t.Parallel()
	m := Meter{Key: "k", EventType: "e", Aggregation: AggSum, Value: "v"}
	round := m
	round.Excess = ExcessRound
	skip := m
	skip.Excess = ExcessSkip
	if !m.SameDefinition(skip) || m.SameDefinition(round) {
		t.Error("skip is not the default, or round is no other definition")
	}
	for _, bad := range []Meter{{Excess: "floor"}, {Aggregation: AggCount, Excess: ExcessRound}, {Aggregation: AggUniqueCount, Excess: ExcessRound}} {
		bad.Key, bad.EventType = "k", "e"
		if bad.Aggregation != AggCount {
			bad.Value = "v"
		}
		if bad.Aggregation == "" {
			bad.Aggregation = AggSum
		}
		if err := bad.Validate(); KindOf(err) != KindInvalid || !strings.Contains(err.Error(), "excess") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := round.Validate(); err != nil {
		t.Error(err)
	}
	half := Value{Kind: Excess, Str: "25e-13"}
	if _, ok := m.Take(half); ok {
		t.Error("skip takes a value beyond the limits")
	}
	if q, ok := round.Take(half); !ok || q.String() != "0.000000000002" {
		t.Errorf("round takes %s, %t", q, ok)
	}
	if _, ok := round.Take(StringValue("many")); ok {
		t.Error("round takes a text that is no number")
	}
}

// FuzzParseNumber: what is shown of a number reads as the same number, and its
// canonical text is one.
func FuzzParseNumber(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		f.Add(randomNearLimits(r), randomNearLimits(r))
	}
	f.Add("1e999999999999999999999", "-0.0e-99999999999999999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := ParseNumber(a)
		if err != nil {
			return
		}
		if x.Kind == Excess && !ValidExcess([]byte(x.Str)) {
			t.Fatalf("%q has the text %q", a, x.Str)
		}
		if again, err := ParseNumber(x.Group()); err != nil || again != x {
			t.Fatalf("%q is shown as %q, which reads as %+v, %v", a, x.Group(), again, err)
		}
		if q, ok := x.Rounded(); ok && !q.Valid() {
			t.Fatalf("%q rounds to %s", a, q)
		}
		y, err := ParseNumber(b)
		if err != nil {
			return
		}
		c, ok := compareNumbers(x, y)
		d, _ := compareNumbers(y, x)
		if !ok || c != -d || (c == 0) != (x == y) {
			t.Fatalf("%q and %q compare as %d and %d", a, b, c, d)
		}
	})
}
