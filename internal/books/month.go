package books

import (
	"slices"
	"time"

	"odometer/internal/meter"
)

// Month is a closed calendar month without its figures.
type Month struct {
	meter.Period
	Name     string    // such as 2026-10
	Sequence uint64    // of the log, as of which its figures are
	Late     bool      // something that was stored since may be usage of it
	At       time.Time // when it was closed
}

// Months are a customer's closed months as of one moment, the oldest first.
type Months []Month

// Month returns a calendar month if it is closed.
func (c Months) Month(in meter.Period) (Month, bool) {
	i, found := c.search(in)
	if !found {
		return Month{}, false
	}
	return c[i], true
}

func (c Months) search(in meter.Period) (int, bool) {
	return slices.BinarySearchFunc(c, in, func(m Month, in meter.Period) int { return m.From.Compare(in.From) })
}

// In returns those that lie in a range with at least an instant.
func (c Months) In(in meter.Period) Months {
	var out Months
	for _, m := range c {
		if m.From.Before(in.To) && in.From.Before(m.To) {
			out = append(out, m)
		}
	}
	return out
}

// KnownAt leaves out the months that were closed after an instant; the zero
// time leaves out none.
func (c Months) KnownAt(at time.Time) Months {
	if at.IsZero() {
		return c
	}
	return slices.DeleteFunc(slices.Clone(c), func(m Month) bool { return m.At.After(at) })
}

// Hold says whether closed months hold all of a range.
func (c Months) Hold(in meter.Period) bool {
	for _, m := range c.In(in) {
		if m.From.After(in.From) {
			return false
		}
		in.From = m.To
	}
	return !in.From.Before(in.To)
}

// Piece is a part of a range that lies in one closed month or in none.
type Piece struct {
	meter.Period
	Closed *Month // nil = open
}

// Whole says whether the piece is all of a closed month.
func (p Piece) Whole() bool { return p.Closed != nil && p.Closed.Period == p.Period }

// Cut cuts a range where closed months begin and end.
func (c Months) Cut(in meter.Period) []Piece {
	var out []Piece
	at := in.From
	for _, m := range c.In(in) {
		if at.Before(m.From) {
			out = append(out, Piece{Period: meter.Period{From: at, To: m.From}})
			at = m.From
		}
		end := m.To
		if in.To.Before(end) {
			end = in.To
		}
		out = append(out, Piece{meter.Period{From: at, To: end}, &m})
		at = end
	}
	if at.Before(in.To) {
		out = append(out, Piece{Period: meter.Period{From: at, To: in.To}})
	}
	return out
}

// Begun returns the calendar months whose first instant a range holds, from the
// first that is closed to the one after the last: no other shows late usage.
func (c Months) Begun(in meter.Period) []meter.Period {
	if len(c) == 0 {
		return nil
	}
	from, end := in.From, c[len(c)-1].To
	if from.Before(c[0].From) {
		from = c[0].From
	}
	k := meter.Month(from)
	if k.From.Before(in.From) {
		k = meter.Month(k.To)
	}
	var out []meter.Period
	for ; k.From.Before(in.To) && !k.From.After(end); k = meter.Month(k.To) {
		out = append(out, k)
	}
	return out
}
