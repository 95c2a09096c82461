package cell

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// big returns w as a big integer.
func (w wide) big() *big.Int {
	negative, m := w.abs()
	b := new(big.Int).SetUint64(m.w2)
	b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(m.w1))
	b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(m.w0))
	if negative {
		b.Neg(b)
	}
	return b
}

// randomWide returns numbers of every length and sign, some divisible by powers of ten.
func randomWide(rng *rand.Rand) wide {
	w := wide{rng.Uint64(), rng.Uint64(), rng.Uint64()}
	shift := rng.IntN(193)
	for ; shift >= 64; shift -= 64 {
		w = wide{w.w1, w.w2, 0}
	}
	w = wide{w.w0>>shift | w.w1<<(64-shift), w.w1>>shift | w.w2<<(64-shift), w.w2 >> shift}
	if up, ok := w.scaleUp(uint8(rng.IntN(maxScale + 1))); ok {
		w = up
	}
	if rng.IntN(2) == 0 {
		w = w.neg()
	}
	return w
}

func TestWideAgainstBig(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	limit := new(big.Int).Lsh(big.NewInt(1), 191)
	for range 20_000 {
		w, o := randomWide(rng), randomWide(rng)
		if got, want := w.less(o), w.big().Cmp(o.big()) < 0; got != want {
			t.Fatalf("%v less %v: %v", w, o, got)
		}
		k := uint8(rng.IntN(maxScale + 1))
		p := new(big.Int).SetUint64(pow10[k])
		up, ok := w.scaleUp(k)
		want := new(big.Int).Mul(w.big(), p)
		if fits := want.CmpAbs(limit) < 0; ok != fits || ok && up.big().Cmp(want) != 0 {
			t.Fatalf("%v times 10^%d: %v, %v", w, k, up, ok)
		}
		if ok && up.scaleDown(k) != w {
			t.Fatalf("%v by 10^%d: %v", up, k, up.scaleDown(k))
		}
		checkDecimals(t, w)
	}
	checkDecimals(t, wide{})
}

// checkDecimals tests decimals and units against big arithmetic.
func checkDecimals(t *testing.T, w wide) {
	t.Helper()
	divides := func(k uint8) bool {
		return new(big.Int).Rem(w.big(), new(big.Int).SetUint64(pow10[k])).Sign() == 0
	}
	var need uint8
	for need < maxScale && !divides(maxScale-need) {
		need++
	}
	if got := w.decimals(); got != need {
		t.Fatalf("%v has %d decimals, not %d", w, need, got)
	}
	q, ok := w.units()
	if ok != (need == 0) || ok && q != w.scaleDown(maxScale) {
		t.Fatalf("units of %v: %v, %v", w, q, ok)
	}
}

func TestWideStored(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	check := func(w wide) {
		t.Helper()
		var b [maxWideBytes]byte
		w.put(b[:])
		code := w.code()
		clear(b[wideBytes[code]:])
		if got := loadWide(b[:], code); got != w {
			t.Fatalf("%v stored with code %d: %v", w, code, got)
		}
		if code > 0 {
			if got := loadWide(b[:], code-1); got == w {
				t.Fatalf("%v needs code %d, not %d", w, code-1, code)
			}
		}
	}
	for range 20_000 {
		check(randomWide(rng))
	}
	// Both sides of every boundary.
	for bit := range 192 {
		var w wide
		switch {
		case bit < 64:
			w.w0 = 1 << bit
		case bit < 128:
			w.w1 = 1 << (bit - 64)
		default:
			w.w2 = 1 << (bit - 128)
		}
		below := w
		below.add(wide{1, 0, 0}.neg())
		for _, v := range []wide{w, w.neg(), below, below.neg()} {
			check(v)
		}
	}
}

func TestWideQuantity(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"99999999999999999999999999.999999999999": true, "-99999999999999999999999999.999999999999": true, "0": true, "-1": true,
	} {
		q, err := meter.ParseQuantity(text)
		if err != nil {
			t.Fatal(err)
		}
		w := wideOfQuantity(q)
		if got, valid := w.quantity(); valid != ok || got != q {
			t.Fatalf("%s: %v, %v", text, got, valid)
		}
		// One past the largest.
		w.add(wide{1, 0, 0})
		if _, valid := w.quantity(); text[0] == '9' && valid {
			t.Fatalf("%s plus the smallest step is a quantity", text)
		}
	}
	for _, w := range []wide{{0, 0, 1}, {0, 0, 1 << 63}, {0, 1 << 63, 0}, {0, 1 << 63, ^uint64(0)}} {
		if _, valid := w.quantity(); valid {
			t.Fatalf("%v is a quantity", w)
		}
	}
}
