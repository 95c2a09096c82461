package meter

import (
	"strings"
	"time"
)

// LocalTime returns the instant at which the wall clock of a zone (nil is UTC)
// shows a reading: of a reading that comes twice the first, of one that the
// clock skips the first instant after. The reading is taken of t as it stands,
// whatever t's own zone.
func LocalTime(t time.Time, loc *time.Location) time.Time {
	z := newZone(loc)
	y, m, d := t.Date()
	local := time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC).Unix()
	at := z.first(local)
	if offset, _ := z.ahead(at); at+offset != local {
		return z.time(at) // skipped, with its fraction of a second
	}
	return z.time(at).Add(time.Duration(t.Nanosecond()))
}

// LocalDate returns the first instant of a date in a zone (nil is UTC): the
// first at which its wall clock shows the date or a later one.
func LocalDate(y int, m time.Month, d int, loc *time.Location) time.Time {
	return LocalTime(time.Date(y, m, d, 0, 0, 0, 0, time.UTC), loc)
}

// The forms of a local time, without and with a fraction of a second.
var localForms = []string{"2006-01-02T15:04:05", "2006-01-02T15:04"}

// ParseTime reads an RFC 3339 time, or a date, or a local time such as
// 2026-01-31T23:59:59, both in a zone (nil is UTC); see LocalTime. A blank may
// stand for the T. ok is false for any other text.
func ParseTime(text string, loc *time.Location) (t time.Time, ok bool) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, !strings.Contains(text, ",") // which package time takes for a point
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return LocalDate(t.Year(), t.Month(), t.Day(), loc), true
	}
	for _, form := range localForms {
		if t, err := time.Parse(form, text); err == nil && !strings.Contains(text, ",") {
			return LocalTime(t, loc), true
		}
	}
	return time.Time{}, false
}
