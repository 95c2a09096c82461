package meter

import (
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"odometer/internal/fixedtest"
)

func TestMonth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, from, to string }{
		{"2024-02-29T23:59:59.999Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2024-12-01T00:00:00Z", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{"2024-03-01T00:30:00+01:00", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
	} {
		want := Period{mustTime(t, c.from), mustTime(t, c.to)}
		got := Month(mustTime(t, c.at))
		if got != want {
			t.Errorf("the month of %s is %v", c.at, got)
		}
		if !got.Contains(got.From) || got.Contains(got.To) || !got.Contains(mustTime(t, c.at)) {
			t.Errorf("%v is not half-open around %s", got, c.at)
		}
	}
}

func TestCycle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at       string
		day      int
		from, to string
	}{
		{"2026-10-05T00:00:00Z", 5, "2026-10-05", "2026-11-05"},
		{"2026-10-04T23:59:59Z", 5, "2026-09-05", "2026-10-05"},
		{"2026-01-15T00:00:00Z", 20, "2025-12-20", "2026-01-20"},
		{"2026-12-31T12:00:00Z", 31, "2026-12-31", "2027-01-31"},
		{"2026-02-15T00:00:00Z", 31, "2026-01-31", "2026-02-28"},
		{"2026-02-28T00:00:00Z", 31, "2026-02-28", "2026-03-31"},
		{"2024-02-28T00:00:00Z", 30, "2024-01-30", "2024-02-29"},
		{"2024-02-29T00:00:00Z", 30, "2024-02-29", "2024-03-30"},
		{"2024-03-30T00:00:00Z", 30, "2024-03-30", "2024-04-30"},
		{"2024-03-15T00:00:00Z", 1, "2024-03-01", "2024-04-01"},
		{"2024-03-15T00:00:00Z", 0, "2024-03-01", "2024-04-01"},
		{"2024-03-15T00:00:00Z", 99, "2024-02-29", "2024-03-31"},
	} {
		want := Period{mustTime(t, c.from+"T00:00:00Z"), mustTime(t, c.to+"T00:00:00Z")}
		if got := Cycle(mustTime(t, c.at), c.day); got != want {
			t.Errorf("the cycle of day %d at %s is %v; want %v", c.day, c.at, got, want)
		}
	}
}

// TestCyclesTile walks the days of five years: each lies in the cycle that the
// day before it lies in, or begins the next.
func TestCyclesTile(t *testing.T) {
	t.Parallel()
	for cycleDay := 1; cycleDay <= 31; cycleDay++ {
		cycles := 0
		open := Cycle(day(2022, 12, 31), cycleDay)
		for at := day(2023, 1, 1); at.Before(day(2028, 1, 1)); at = at.AddDate(0, 0, 1) {
			p := Cycle(at, cycleDay)
			if !p.Contains(at) || !p.Contains(at.Add(24*time.Hour-1)) {
				t.Fatalf("%s is not in its cycle %v", at, p)
			}
			if p == open {
				continue
			}
			last := at.AddDate(0, 1, -at.Day()).Day()
			if !p.From.Equal(open.To) || !p.From.Equal(at) || at.Day() != min(cycleDay, last) {
				t.Fatalf("a cycle of day %d begins %s after %v", cycleDay, p.From, open)
			}
			open = p
			cycles++
		}
		if cycles != 60 {
			t.Errorf("five years have %d cycles of day %d", cycles, cycleDay)
		}
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	const five = 5 * time.Minute
	for _, c := range []struct {
		from, to, now string
		sample        time.Duration
		first         string
		n             int
	}{
		{"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z", five, "2026-10-01T00:00:00Z", 8928},
		{"2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z", five, "2026-09-01T00:00:00Z", 8640},
		{"2026-10-01T00:00:00Z", "2026-10-01T00:14:59Z", "2027-01-01T00:00:00Z", five, "2026-10-01T00:00:00Z", 2},
		{"2026-10-01T00:00:00.000000001Z", "2026-10-01T00:15:00Z", "2027-01-01T00:00:00Z", five, "2026-10-01T00:05:00Z", 2},
		{"2026-10-01T00:01:00Z", "2026-10-01T00:14:00Z", "2027-01-01T00:00:00Z", five, "2026-10-01T00:05:00Z", 1},
		{"2026-10-01T00:01:00Z", "2026-10-01T00:09:00Z", "2027-01-01T00:00:00Z", five, "2026-10-01T00:05:00Z", 0},
		{"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-10-01T00:10:00Z", five, "2026-10-01T00:00:00Z", 2},
		{"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-10-01T00:09:59.999Z", five, "2026-10-01T00:00:00Z", 1},
		{"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-09-01T00:00:00Z", five, "2026-10-01T00:00:00Z", 0},
		{"2026-10-01T00:00:00Z", "2026-09-01T00:00:00Z", "2026-12-01T00:00:00Z", five, "2026-10-01T00:00:00Z", 0},
		{"1969-12-31T23:50:30Z", "1970-01-01T00:05:00Z", "2026-12-01T00:00:00Z", five, "1969-12-31T23:55:00Z", 2},
		{"2026-10-01T05:30:00Z", "2026-10-03T05:30:00Z", "2026-12-01T00:00:00Z", 24 * time.Hour, "2026-10-02T00:00:00Z", 1},
	} {
		first, n := Samples(mustTime(t, c.from), mustTime(t, c.to), mustTime(t, c.now), c.sample)
		if !first.Equal(mustTime(t, c.first)) || n != c.n {
			t.Errorf("[%s, %s) at %s has %d samples from %s; want %d from %s", c.from, c.to, c.now, n, first, c.n, c.first)
		}
	}
	if _, n := Samples(day(2026, 1, 1), day(2027, 1, 1), day(2028, 1, 1), 0); n != 0 {
		t.Errorf("%d samples of no width", n)
	}
}

func TestPercentileRank(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    string
		n    int
		want int
	}{
		{"95", 8640, 8640 - 432}, {"95", 8928, 8928 - 446}, {"95", 20, 19}, {"95", 21, 20}, {"95", 1, 1}, {"95", 0, 0}, {"95", -1, 0},
		{"100", 7, 7}, {"50", 2, 1}, {"50", 3, 2}, {"99.9", 1000, 999}, {"99.9", 1001, 1000}, {"0.000000000001", 1_000_000, 1},
		{"0", 10, 1}, {"200", 10, 10}, {"1e50", 10, 10},
	} {
		if got := PercentileRank(mustDecimal(t, c.p), c.n); got != c.want {
			t.Errorf("element %s of %d is %d; want %d", c.p, c.n, got, c.want)
		}
	}
	// For whole percentages, the integer formula of 95/5 billing.
	for n := 1; n < 10_000; n += 7 {
		if got, want := PercentileRank(NewDecimal(95), n), (95*n+99)/100; got != want {
			t.Fatalf("element 95 of %d is %d; want %d", n, got, want)
		}
	}
}

// TestPercentileIsLeast checks the definition: the element is the least that at
// least p percent of the samples do not exceed.
func TestPercentileIsLeast(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 500 {
		p := NewDecimal(1 + r.Int64N(100_000)).Quo(NewDecimal(1000))
		samples := make([]int, 1+r.IntN(300))
		for i := range samples {
			samples[i] = r.IntN(1000)
		}
		slices.Sort(samples)
		rank := PercentileRank(p, len(samples))
		covers := func(rank int) bool {
			share := big.NewRat(int64(rank)*100, int64(len(samples)))
			return share.Cmp(bigRat(t, p)) >= 0
		}
		if !covers(rank) || rank > 1 && covers(rank-1) {
			t.Fatalf("element %s of %d is %d", p, len(samples), rank)
		}
	}
}

func TestRateAndAverage(t *testing.T) {
	t.Parallel()
	if got := Rate(NewDecimal(1000), 300); got.String() != "3.333333333333" {
		t.Errorf("1000 in 300 seconds is %s", got)
	}
	var s Sum
	for _, v := range []int64{1, 2, 2} {
		s.Add(QuantityFromInt64(v))
	}
	if got := Average(s, 3); got.String() != "1.666666666667" {
		t.Errorf("the average of 1, 2, 2 is %s", got)
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	inner := fmt.Errorf("disk on fire")
	err := fmt.Errorf("append: %w", WrapError(KindStorageFull, inner, "no space left"))
	if KindOf(err) != KindStorageFull || KindOf(inner) != KindInternal || KindOf(nil) != KindInternal {
		t.Errorf("the kind of %v is %s", err, KindOf(err))
	}
	seen := map[string]bool{}
	for k := KindInternal; k <= KindUnsupported; k++ {
		seen[k.String()] = true
	}
	if len(seen) != int(KindUnsupported)+1 || Kind(200).String() != "internal" {
		t.Errorf("kinds have the names %v", seen)
	}
}
