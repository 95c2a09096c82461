package meter

import "time"

// Window is the width of the rows of a usage answer.
//
// Windows follow the wall clock of a zone and are half-open; together they
// cover time without gap or overlap:
//
//   - "5m", "15m" and "hour" begin where the wall clock shows a multiple of
//     their width since local midnight, and where the clock is changed to
//     another such stretch or set back. So an hour that the clock shows twice
//     is two windows, and no window shows a reading twice.
//   - "day", "week" (from Monday), "month" and "year" begin at the first
//     instant at which the local date is that of their first day or later. So
//     a day without a midnight begins when the clock first shows it, a date
//     that was skipped has no window, and one that came twice has one.
//
// Every start of a longer window is also a start of the shorter ones, except
// that weeks do not end with months.
type Window string

// The windows.
const (
	Window5m    Window = "5m"
	Window15m   Window = "15m"
	WindowHour  Window = "hour"
	WindowDay   Window = "day"
	WindowWeek  Window = "week"
	WindowMonth Window = "month"
	WindowYear  Window = "year"
)

var windows = []Window{Window5m, Window15m, WindowHour, WindowDay, WindowWeek, WindowMonth, WindowYear}

const (
	secondsPerDay = 86_400
	// maxShift is more than any zone's offset from UTC and than any two
	// offsets of a zone differ, in seconds.
	maxShift = 2 * secondsPerDay
)

// ParseWindow reads the name of a window. Errors are of KindInvalid.
func ParseWindow(s string) (Window, error) {
	for _, w := range windows {
		if string(w) == s {
			return w, nil
		}
	}
	return "", Errorf(KindInvalid, "window %q: want one of %s", clip(s), list(windows))
}

// Start returns the first instant of the window that holds t, in loc (nil is UTC).
func (w Window) Start(t time.Time, loc *time.Location) time.Time {
	z := newZone(loc)
	return z.time(w.start(z, t.Unix()))
}

// Next returns the first start of a window after t, in loc (nil is UTC).
func (w Window) Next(t time.Time, loc *time.Location) time.Time {
	z := newZone(loc)
	return z.time(w.next(z, t.Unix()))
}

// Aligned reports whether every start of a window strictly between from and to
// is a multiple of slot since the Unix epoch, so that slots never straddle two
// windows. It is false for a slot that does not divide a day evenly or is wider
// than a window of hours or minutes. It looks at the zone's changes, not at each
// window, so it may say false where a change of the clock off the slots begins
// no window; it never says true wrongly.
func (w Window) Aligned(from, to time.Time, loc *time.Location, slot time.Duration) bool {
	width := int64(slot / time.Second)
	if width <= 0 || slot%time.Second != 0 || secondsPerDay%width != 0 {
		return false
	}
	if span := w.seconds(); span != 0 && span%width != 0 {
		return false
	}
	z := newZone(loc)
	last := ceilUnix(to) // no start at or after it counts
	for at := from.Unix(); at < last; {
		offset, end := z.ahead(at)
		if offset%width != 0 {
			// Starts lie off the slots here; is there any before to?
			if w.next(z, at) < min(last, end) {
				return false
			}
		}
		if end < last && floorMod(end, width) != 0 {
			return false
		}
		at = end
	}
	return true
}

// seconds returns the width of a window shorter than a day, or 0.
func (w Window) seconds() int64 {
	switch w {
	case Window5m:
		return 300
	case Window15m:
		return 900
	case WindowHour:
		return 3600
	default:
		return 0
	}
}

// start returns the Unix second at which the window that holds at begins.
func (w Window) start(z zone, at int64) int64 {
	if width := w.seconds(); width != 0 {
		return z.runBegin(at, width)
	}
	first, _ := w.dates(z.latest(at))
	return z.first(first)
}

// next returns the Unix second at which the window after the one that holds at begins.
func (w Window) next(z zone, at int64) int64 {
	if width := w.seconds(); width != 0 {
		return z.runEnd(at, width)
	}
	_, following := w.dates(z.latest(at))
	return z.first(following)
}

// dates returns the midnights, in local seconds, of the first day of the
// calendar window that holds the local second, and of the one after it.
func (w Window) dates(local int64) (first, following int64) {
	t := time.Unix(local, 0).UTC()
	y, m, d := t.Date()
	switch w {
	case WindowYear:
		return midnight(y, 1, 1), midnight(y+1, 1, 1)
	case WindowMonth:
		return midnight(y, m, 1), midnight(y, m+1, 1)
	case WindowWeek:
		d -= int(t.Weekday()+6) % 7
		return midnight(y, m, d), midnight(y, m, d+7)
	default:
		return midnight(y, m, d), midnight(y, m, d+1)
	}
}

func midnight(y int, m time.Month, d int) int64 {
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()
}
