package wire

import (
	"time"

	"odometer/internal/meter"
)

// Forms of dates, months and instants on the wire.
const (
	dateForm    = "2006-01-02"
	monthForm   = "2006-01"
	instantForm = "2006-01-02T15:04:05Z"
)

// Window is what a request asks for: whole days in UTC, both ends included.
type Window struct {
	First, Last time.Time // midnight at which the first and the last day begin
}

// Start is the window's first instant as the wire shows it.
func (w Window) Start() string { return w.First.Format(instantForm) }

// End is the window's last second as the wire shows it, also where it lies in
// the future.
func (w Window) End() string { return w.end().Add(-time.Second).Format(instantForm) }

// end is the first instant after the window.
func (w Window) end() time.Time { return w.Last.AddDate(0, 0, 1) }

// earliest is where usage is looked for at the earliest; nothing is older.
var earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// Usage is the half-open range in which usage is looked for: the window
// without the days after now's. It is empty, with From equal to To, where the
// window lies before 1970 or begins after now's day.
func (w Window) Usage(now time.Time) meter.Period {
	p := meter.Period{From: w.First, To: w.end()}
	if p.From.Before(earliest) {
		p.From = earliest
	}
	if tomorrow := today(now).AddDate(0, 0, 1); p.To.After(tomorrow) {
		p.To = tomorrow
	}
	if p.To.Before(p.From) {
		p.To = p.From
	}
	return p
}

// Months returns the window's calendar months, in order, as YYYY-MM and the
// window of each.
func (w Window) Months() []Month {
	var months []Month
	for first := monthOf(w.First); !first.After(w.Last); first = first.AddDate(0, 1, 0) {
		months = append(months, Month{first.Format(monthForm), Window{first, lastDay(first)}})
	}
	return months
}

// Month is one calendar month of a window.
type Month struct {
	Name   string // YYYY-MM
	Window Window
}

func today(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// monthOf returns the first day of the month that holds t.
func monthOf(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// lastDay returns the last day of the month that begins at first.
func lastDay(first time.Time) time.Time { return first.AddDate(0, 1, -1) }

// months reads start_month and end_month: by default the current month; one
// that starts without an end runs to the current month, one that ends without
// a start is that month.
func (p parameters) months(now time.Time) (Window, error) {
	start, end, err := p.ends("start_month", "end_month", monthForm, "month, YYYY-MM", monthOf(now), monthOf(now))
	return Window{start, lastDay(end)}, err
}

// days reads start_date and end_date: by default the current month until
// today; one that starts without an end runs to today, one that ends without a
// start is that day.
func (p parameters) days(now time.Time) (Window, error) {
	start, end, err := p.ends("start_date", "end_date", dateForm, "date, YYYY-MM-DD", monthOf(now), today(now))
	return Window{start, end}, err
}

// ends reads both ends of a window; first and last stand in for those that were
// not sent, but a start that was not is the end that was.
func (p parameters) ends(start, end, form, shape string, first, last time.Time) (from, to time.Time, err error) {
	_, starts := p[start]
	_, ends := p[end]
	if to, err = p.date(end, form, shape, last); err != nil {
		return from, to, err
	}
	if ends && !starts {
		return to, to, nil
	}
	if from, err = p.date(start, form, shape, first); err != nil {
		return from, to, err
	}
	if from.After(to) && ends {
		return from, to, meter.Errorf(meter.KindInvalid, "%s must not be after %s", start, end)
	}
	if from.After(to) {
		return from, to, meter.Errorf(meter.KindInvalid, "%s must not be after %s (by default %s)", start, end, last.Format(form))
	}
	return from, to, nil
}

// date reads a date or month, or takes the one given for its absence.
func (p parameters) date(name, form, shape string, absent time.Time) (time.Time, error) {
	text, given := p[name]
	if !given {
		return absent, nil
	}
	t, err := time.Parse(form, text)
	if err != nil || t.Year() == 0 {
		return time.Time{}, meter.Errorf(meter.KindInvalid, "%s must be a calendar %s", name, shape)
	}
	return t, nil
}

// Instant renders an instant as the wire shows it, to the second.
func Instant(t time.Time) string { return t.UTC().Format(instantForm) }
