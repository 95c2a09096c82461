package books

import (
	"maps"

	"odometer/internal/meter"
)

// Figures are exact values by what they are of. What is not there is 0.
type Figures[K comparable] map[K]meter.Decimal

// Add adds to a figure. Adding 0 makes it known.
func (f Figures[K]) Add(of K, v meter.Decimal) { f[of] = f[of].Add(v) }

// Page is what a closed month's book says of one subject: its own figures under
// "", and what it billed of months closed before it under their names.
type Page[K comparable] map[string]Figures[K]

// Add adds to a figure; late is "" or the name of the month that it came late for.
func (p Page[K]) Add(late string, of K, v meter.Decimal) {
	if p[late] == nil {
		p[late] = Figures[K]{}
	}
	p[late].Add(of, v)
}

// Own are the month's own figures, to be changed where the book does not have them.
func (p Page[K]) Own() Figures[K] {
	if p[""] == nil {
		p[""] = Figures[K]{}
	}
	return p[""]
}

// Late returns what came late for a closed month and has not been billed: what
// would be read of it now, less what its own page and those of the months that
// billed some of it since have said. There are no zeros in it.
func Late[K comparable](month string, now Figures[K], own Page[K], since ...Page[K]) Figures[K] {
	late := maps.Clone(now)
	if late == nil {
		late = Figures[K]{}
	}
	less := func(billed Figures[K]) {
		for of, v := range billed {
			late[of] = late[of].Sub(v)
		}
	}
	less(own[""])
	for _, p := range since {
		less(p[month])
	}
	maps.DeleteFunc(late, func(_ K, v meter.Decimal) bool { return v.IsZero() })
	return late
}
