package meter

import "time"

// Period is a half-open range of time, [From, To), in UTC.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains reports whether t lies in p.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.From) && t.Before(p.To) }

// Month returns the UTC calendar month that holds t.
func Month(t time.Time) Period {
	y, m, _ := t.UTC().Date()
	return Period{day(y, m, 1), day(y, m+1, 1)}
}

// ParseMonth reads a UTC calendar month, YYYY-MM.
func ParseMonth(text string) (Period, bool) {
	t, err := time.Parse(monthForm, text)
	if err != nil || t.Year() == 0 {
		return Period{}, false
	}
	return Month(t), true
}

const monthForm = "2006-01"

// MonthName returns the calendar month in which the period begins, YYYY-MM.
func (p Period) MonthName() string { return p.From.UTC().Format(monthForm) }

// Cycle returns the billing cycle that holds t: from midnight UTC of cycleDay
// to the same of the next month. In a month without that day the cycle begins
// on its last day. A cycleDay below 1 counts as 1 and above 31 as 31.
func Cycle(t time.Time, cycleDay int) Period {
	t = t.UTC()
	y, m, _ := t.Date()
	from := cycleStart(y, m, cycleDay)
	if t.Before(from) {
		return Period{cycleStart(y, m-1, cycleDay), from}
	}
	return Period{from, cycleStart(y, m+1, cycleDay)}
}

// cycleStart returns when the cycle of a month begins.
func cycleStart(y int, m time.Month, cycleDay int) time.Time {
	last := day(y, m+1, 0).Day()
	return day(y, m, min(max(cycleDay, 1), last))
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// Samples returns the start of the first whole sample in [from, to) and how
// many there are that have ended by now. Samples lie on multiples of their
// width since the Unix epoch.
func Samples(from, to, now time.Time, sample time.Duration) (first time.Time, n int) {
	if now.Before(to) {
		to = now
	}
	width := int64(sample / time.Second)
	if width <= 0 {
		return from, 0
	}
	begin := -floorDiv(-ceilUnix(from), width)
	end := floorDiv(to.Unix(), width)
	return time.Unix(begin*width, 0).UTC(), int(max(end-begin, 0))
}
