package wire

import (
	"strings"
	"time"
)

// The instants that a range may name.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	Latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

const dateTime = "2006-01-02T15:04:05"

// parseDate reads a complete date and time in every form that the vendor's
// clients send, and returns it in UTC:
//
//	2022-07-17T22:00:54Z                Java, the documentation
//	2022-07-17T22:00:54.12+02:00        Go, Java
//	2022-07-17T22:00:54.000000+0000     Python
//	2022-07-17T22:00:54                 Python's naive values: UTC
//	2022-07-17T22:00:54 0000            a + that was not escaped
//
// A fraction has one to nine digits. A date without its time is refused, and
// so is one before Earliest or after Latest.
func parseDate(text string) (time.Time, bool) {
	if len(text) < len(dateTime) || len(text) > len(dateTime)+len(".123456789+00:00") {
		return time.Time{}, false
	}
	head, rest := text[:len(dateTime)], text[len(dateTime):]
	for i := range len(head) { // time.Parse takes one digit where two belong
		if want := dateTime[i]; want >= '0' && want <= '9' != (head[i] >= '0' && head[i] <= '9') {
			return time.Time{}, false
		}
	}
	t, err := time.Parse(dateTime, head)
	if err != nil {
		return time.Time{}, false
	}
	fraction, rest, ok := cutFraction(rest)
	if !ok {
		return time.Time{}, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return time.Time{}, false
	}
	t = t.Add(fraction).Add(-offset)
	return t, !t.Before(earliest) && !t.After(Latest)
}

// cutFraction reads a fraction of a second, if one is there.
func cutFraction(s string) (d time.Duration, rest string, ok bool) {
	digits, found := strings.CutPrefix(s, ".")
	if !found {
		return 0, s, true
	}
	n := 0
	for place := time.Second / 10; n < len(digits) && isDigit(digits[n]); place /= 10 {
		d += time.Duration(digits[n]-'0') * place
		n++
	}
	return d, digits[n:], n >= 1 && n <= 9
}

// parseOffset reads Z, nothing, +HH:MM, +HHMM and the same after - or a space.
func parseOffset(s string) (time.Duration, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	digits := strings.Replace(s[1:], ":", "", 1)
	if len(digits) != 4 || len(s) == 6 && s[3] != ':' {
		return 0, false
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, false
		}
	}
	hours, minutes := 10*(digits[0]-'0')+digits[1]-'0', 10*(digits[2]-'0')+digits[3]-'0'
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	switch s[0] {
	case '+', ' ':
		return offset, true
	case '-':
		return -offset, true
	}
	return 0, false
}

// parseWindow reads a length of time up to now: a whole number and s, m, h, d
// or w, seconds if there is no letter. It is at most maxWindow.
func parseWindow(s string) (time.Duration, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit := time.Second
	if n := len(s); n > 1 {
		if u, ok := units[s[n-1]]; ok {
			unit, s = u, s[:n-1]
		}
	}
	if s == "" || len(s) > 9 {
		return 0, false
	}
	var n time.Duration
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = 10*n + time.Duration(s[i]-'0')
	}
	if n == 0 || n > maxWindow/unit {
		return 0, false
	}
	return n * unit, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// formatDate writes t as parseDate reads it, "" for nil.
func formatDate(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
