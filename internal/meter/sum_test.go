package meter

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

// bigWords returns s's count of 10^-12ths.
func bigWords(s Sum) *big.Int {
	w0, w1, w2 := s.Words()
	v := big.NewInt(w2)
	for _, w := range [...]uint64{w1, w0} {
		v.Lsh(v, 64)
		v.Add(v, new(big.Int).SetUint64(w))
	}
	return v
}

// bigText renders a count of 10^-12ths as the shortest decimal.
func bigText(parts *big.Int) string {
	text := new(big.Rat).SetFrac(parts, bigUnit).FloatString(MaxFractionDigits)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" || text == "" {
		return "0"
	}
	return text
}

func TestSumAgainstBig(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var s, other Sum
	want, wantOther := new(big.Int), new(big.Int)
	for i := range 20_000 {
		q := randomQuantity(r)
		v := bigParts(q)
		switch r.IntN(6) {
		case 0:
			s.sub(q)
			want.Sub(want, v)
		case 1:
			other.Add(q)
			wantOther.Add(wantOther, v)
		case 2:
			s.AddSum(other)
			want.Add(want, wantOther)
		case 3:
			s = s.Neg()
			want.Neg(want)
		default:
			s.Add(q)
			want.Add(want, v)
		}
		if bigWords(s).Cmp(want) != 0 {
			t.Fatalf("after %d steps the sum is %s; want %s", i, bigWords(s), want)
		}
		if got := s.Cmp(other); got != want.Cmp(wantOther) {
			t.Fatalf("%s.Cmp(%s) = %d", s, other, got)
		}
		if i%16 == 0 && s.String() != bigText(want) {
			t.Fatalf("the sum's text is %s; want %s", s, bigText(want))
		}
		if SumFromWords(s.Words()) != s || s.IsZero() != (want.Sign() == 0) {
			t.Fatalf("words of %s do not lead back to it", s)
		}
	}
}

func TestSumIsGroup(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var quantities []Quantity
	for range 500 {
		quantities = append(quantities, randomQuantity(r))
	}
	var forward, shuffled Sum
	for _, q := range quantities {
		forward.Add(q)
	}
	for _, i := range r.Perm(len(quantities)) {
		shuffled.Add(quantities[i])
	}
	if forward != shuffled {
		t.Error("the order of addition changes the sum")
	}
	for _, q := range quantities {
		forward.sub(q)
	}
	if forward != (Sum{}) {
		t.Errorf("%s is left after taking everything out", forward)
	}
}

func TestSumPastOneQuantity(t *testing.T) {
	t.Parallel()
	most := mustQuantity(t, strings.Repeat("9", 26)+"."+strings.Repeat("9", 12))
	var s Sum
	for range 1000 {
		s.Add(most)
	}
	want := new(big.Int).Mul(bigParts(most), big.NewInt(1000))
	if s.String() != bigText(want) || s.Neg().String() != "-"+bigText(want) {
		t.Errorf("1,000 times the largest quantity is %s; want %s", s, bigText(want))
	}
	if edge := SumFromWords(math.MaxUint64, math.MaxUint64, math.MaxInt64); edge.String() != bigText(bigWords(edge)) {
		t.Errorf("the largest sum is rendered %s", edge)
	}
}

func TestSumCompare(t *testing.T) {
	t.Parallel()
	ordered := []Sum{
		SumFromWords(0, 0, -2), SumFromWords(5, 9, -1), SumFromWords(6, 9, -1), SumFromWords(0, 10, -1), {},
		SumFromWords(1, 0, 0), SumFromWords(0, 1, 0), SumFromWords(math.MaxUint64, 1, 0), SumFromWords(0, 0, 1),
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Cmp(b); got != min(max(i-j, -1), 1) {
				t.Errorf("%s.Cmp(%s) = %d", a, b, got)
			}
		}
	}
}
