// Package thousandeyes answers the ThousandEyes usage API v7: the units that
// tests and agents of one customer used and will use, and how many agents
// were enabled.
//
//	used       the meters' sums of a range, each row under its account group
//	rate       of every enabled, scheduled test: units a run / interval
//	projected  used + rate x what remains of the cycle
//
// All of it is exact until each reported number is rounded once.
package thousandeyes

import (
	"math/big"
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// Rate is what one run of a type of test costs one agent, in units; PerTimeout
// multiplies it by the test's timeout in seconds.
type Rate struct {
	Cloud, Enterprise meter.Decimal
	PerTimeout        bool
}

// CloudRun returns the units of one run on a number of cloud agents.
func (r Rate) CloudRun(timeoutS, agents int) meter.Decimal {
	return r.per(r.Cloud, timeoutS).Mul(meter.NewDecimal(int64(agents)))
}

// EnterpriseRun returns the units of one run on one enterprise agent.
func (r Rate) EnterpriseRun(timeoutS int) meter.Decimal { return r.per(r.Enterprise, timeoutS) }

func (r Rate) per(units meter.Decimal, timeoutS int) meter.Decimal {
	if r.PerTimeout {
		return units.Mul(meter.NewDecimal(int64(timeoutS)))
	}
	return units
}

// Load is a current rate of use: units a run, for each interval between runs.
// It is kept so because a rate per hour need not be a decimal. The zero value
// is no load.
type Load struct{ parts []part }

type part struct {
	intervalS int
	units     meter.Decimal
}

// Add adds runs of so many units each, every intervalS seconds, which must be positive.
func (l *Load) Add(units meter.Decimal, intervalS int) {
	i, found := slices.BinarySearchFunc(l.parts, intervalS, func(p part, s int) int { return p.intervalS - s })
	if !found {
		l.parts = slices.Insert(l.parts, i, part{intervalS: intervalS})
	}
	l.parts[i].units = l.parts[i].units.Add(units)
}

// AddLoad adds all of another load.
func (l *Load) AddLoad(o Load) {
	for _, p := range o.parts {
		l.Add(p.units, p.intervalS)
	}
}

// Projected returns used + l x d, exactly. A negative d counts as none. All
// parts are brought to one denominator, so that there is one fraction to reduce.
func (l Load) Projected(used meter.Decimal, d time.Duration) *big.Rat {
	if d <= 0 || len(l.parts) == 0 {
		return new(big.Rat).SetFrac(used.Fraction())
	}
	intervals := big.NewInt(1) // their least common multiple
	for _, p := range l.parts {
		each := big.NewInt(int64(p.intervalS))
		intervals.Mul(intervals, each.Quo(each, new(big.Int).GCD(nil, nil, intervals, each)))
	}
	whole, scale := used.Fraction() // scale: the largest of all; they are powers of ten
	for _, p := range l.parts {
		if _, den := p.units.Fraction(); den.Cmp(scale) > 0 {
			scale = den
		}
	}
	units, one := new(big.Int), new(big.Int) // of d, times intervals and scale
	for _, p := range l.parts {
		num, den := p.units.Fraction()
		one.Quo(scale, den)
		one.Mul(one, num)
		one.Mul(one, new(big.Int).Quo(intervals, big.NewInt(int64(p.intervalS))))
		units.Add(units, one)
	}
	units.Mul(units, big.NewInt(int64(d)))
	_, part := used.Fraction()
	seconds := new(big.Int).Mul(intervals, nanoseconds)
	one.Quo(scale, part)
	one.Mul(one, whole)
	units.Add(units, one.Mul(one, seconds))
	return new(big.Rat).SetFrac(units, seconds.Mul(seconds, scale))
}

var nanoseconds = big.NewInt(int64(time.Second))

// IsZero reports whether nothing runs.
func (l Load) IsZero() bool {
	return !slices.ContainsFunc(l.parts, func(p part) bool { return !p.units.IsZero() })
}

// roundUnits rounds an exact number half up, away from zero, as wire.RoundUnits does.
func roundUnits(r *big.Rat) wire.Units {
	// floor((2*|num| + den) / (2*den))
	num := new(big.Int).Abs(r.Num())
	num.Lsh(num, 1).Add(num, r.Denom())
	num.Quo(num, new(big.Int).Lsh(r.Denom(), 1))
	if r.Sign() < 0 {
		num.Neg(num)
	}
	if num.IsInt64() {
		return wire.RoundUnits(meter.NewDecimal(num.Int64()))
	}
	d, err := meter.ParseDecimal(num.String())
	if err != nil { // more than 100 digits: sums are of at most 58, see meter.Sum
		return wire.Units{}
	}
	return wire.RoundUnits(d)
}

// hourlyMaximum returns the most agents that were enabled in any one hour of
// the cycle that has begun by now. agents holds the intervals in which each
// one was enabled, half-open; a zero From is always, a zero To not yet ended.
// An agent counts in every hour in which it was enabled at any instant, once.
func hourlyMaximum(agents [][]meter.Period, cycle meter.Period, now time.Time) int {
	type step struct {
		hour  int64
		delta int
	}
	var steps []step
	last := min(hourOf(now), hourOf(cycle.To.Add(-1)))
	for _, periods := range agents {
		var hours [][2]int64 // first and last of each interval
		for _, p := range periods {
			if first, end, ok := hoursOf(p, cycle, now, last); ok {
				hours = append(hours, [2]int64{first, end})
			}
		}
		slices.SortFunc(hours, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		counted := int64(-1 << 62) // hours up to here have this agent
		for _, h := range hours {
			if first := max(h[0], counted+1); first <= h[1] {
				steps = append(steps, step{first, 1}, step{h[1] + 1, -1})
				counted = h[1]
			}
		}
	}
	slices.SortFunc(steps, func(a, b step) int {
		if a.hour != b.hour {
			return int(a.hour - b.hour)
		}
		return a.delta - b.delta // an hour ends before the next begins
	})
	most, have := 0, 0
	for _, s := range steps {
		have += s.delta
		most = max(most, have)
	}
	return most
}

// hoursOf returns the first and the last hour that an interval touches, within
// the cycle and up to the hour last.
func hoursOf(p, cycle meter.Period, now time.Time, last int64) (from, to int64, ok bool) {
	if p.From.Before(cycle.From) {
		p.From = cycle.From
	}
	to = last
	if !p.To.IsZero() {
		if !p.From.Before(p.To) {
			return 0, 0, false
		}
		to = min(to, hourOf(p.To.Add(-1)))
	}
	from = hourOf(p.From)
	return from, to, from <= to && !p.From.After(now)
}

// hourOf numbers the hours since 1970, also before it.
func hourOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= 3599
	}
	return s / 3600
}
