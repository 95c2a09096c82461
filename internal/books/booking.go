package books

import (
	"cmp"
	"slices"

	"odometer/internal/meter"
)

// BookedTo returns the closed months whose late usage an open month shows,
// the oldest first: all those before it that no other open month parts from it.
func (c Months) BookedTo(open meter.Period) Months {
	end, closed := c.search(open)
	if closed {
		return nil
	}
	first := end
	for next := open.From; first > 0 && c[first-1].To.Equal(next); first-- {
		next = c[first-1].From
	}
	return c[first:end]
}

// Due is a closed month whose late usage an open one shows, by the calendar.
type Due struct {
	Month
	Between Months // that may have billed some of it before: closed, after Month, and before the open one
}

// DueIn returns the closed months whose late usage an open month shows, those
// for which something may have come, the oldest first.
func (c Months) DueIn(open meter.Period) []Due {
	var out []Due
	for _, m := range c.BookedTo(open) {
		if m.Late {
			out = append(out, Due{m, c.between(m, open)})
		}
	}
	return out
}

func (c Months) between(m Month, open meter.Period) Months {
	var out Months
	for _, other := range c {
		if other.From.After(m.From) && other.From.Before(open.From) {
			out = append(out, other)
		}
	}
	return out
}

// Booking says that a month shows what came late for another after it was
// billed last, by the order of closings.
type Booking struct {
	Of    Month
	Since uint64 // the log sequence up to which it has been billed
}

// Bookings are the closed months whose late usage other months show, by the
// order of closings.
type Bookings struct {
	months Months
	shown  map[string][]Booking // by the closed month that shows it
	billed map[string]uint64    // by closed month: the log sequence up to which it has been billed
}

// Bookings follows the closings in their order, which their sequences are in;
// where two are equal, nothing came between them.
func (c Months) Bookings() Bookings {
	order := slices.Clone(c)
	slices.SortStableFunc(order, func(a, b Month) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), a.At.Compare(b.At))
	})
	out := Bookings{c, map[string][]Booking{}, map[string]uint64{}}
	var then Months
	for _, k := range order {
		for _, m := range then.BookedTo(k.Period) {
			out.shown[k.Name] = append(out.shown[k.Name], Booking{m, out.billed[m.Name]})
			out.billed[m.Name] = k.Sequence
		}
		out.billed[k.Name] = k.Sequence
		i, _ := then.search(k.Period)
		then = slices.Insert(then, i, k)
	}
	return out
}

// In returns what a calendar month shows, closed or open, by the oldest month first.
func (b Bookings) In(month meter.Period) []Booking {
	if k, closed := b.months.Month(month); closed {
		return slices.Clone(b.shown[k.Name])
	}
	var out []Booking
	for _, m := range b.months.BookedTo(month) {
		out = append(out, Booking{m, b.billed[m.Name]})
	}
	return out
}

// Before returns the closed months that showed what came late for a booking's
// month before it did.
func (b Bookings) Before(of Booking) Months {
	var out Months
	for _, m := range b.months {
		if m.Sequence <= of.Since && slices.ContainsFunc(b.shown[m.Name], func(o Booking) bool { return o.Of.Name == of.Of.Name }) {
			out = append(out, m)
		}
	}
	return out
}
