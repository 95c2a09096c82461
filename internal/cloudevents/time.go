package cloudevents

import (
	"encoding/binary"
	"math"
)

// dayCache remembers the last date read: the dates of a batch are mostly one.
type dayCache struct {
	head  uint64 // the first 8 bytes of the date's text
	tail  uint16 // the other 2
	start int64  // unix seconds of its midnight, UTC
	valid bool
}

// Reasons for which a time is refused.
const (
	timeMalformed = `time: want RFC 3339, such as "2025-01-31T23:59:59.999Z"`
	timeNoSuchDay = "time: no such day"
	timeOfDay     = "time: no such time of day"
	timeLeap      = "time: leap seconds (second 60) are not supported"
	timeFraction  = "time: more than 9 digits after the second's point"
	timeOffset    = "time: no such offset from UTC"
	timeRange     = "time: outside the years 1678 to 2261"
)

// parse reads an RFC 3339 time as unix nanoseconds. The reason is "" if it
// could be read.
func (c *dayCache) parse(s []byte) (nanos int64, reason string) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, timeMalformed
	}
	head, tail := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint16(s[8:])
	if !c.valid || head != c.head || tail != c.tail {
		start, reason := parseDate(s)
		if reason != "" {
			return 0, reason
		}
		*c = dayCache{head, tail, start, true}
	}
	hour, minute, second := two(s[11:]), two(s[14:]), two(s[17:])
	if hour|minute|second >= notTwo {
		return 0, timeMalformed
	}
	if hour > 23 || minute > 59 || second > 59 {
		if second == 60 && hour <= 23 && minute <= 59 {
			return 0, timeLeap
		}
		return 0, timeOfDay
	}
	seconds := c.start + int64(hour*3600+minute*60+second)
	i := 19
	fraction := int64(0)
	if s[i] == '.' {
		digits := digitsEnd(s, i+1) - i - 1
		if digits == 0 {
			return 0, timeMalformed
		}
		if digits > 9 {
			return 0, timeFraction
		}
		for _, ch := range s[i+1 : i+1+digits] {
			fraction = fraction*10 + int64(ch-'0')
		}
		for range 9 - digits {
			fraction *= 10
		}
		i += 1 + digits
	}
	offset, reason := parseOffset(s[i:])
	if reason != "" {
		return 0, reason
	}
	seconds -= offset
	if seconds <= math.MinInt64/1_000_000_000 || seconds >= math.MaxInt64/1_000_000_000 {
		return 0, timeRange
	}
	return seconds*1e9 + fraction, ""
}

// parseOffset reads what ends a time, as seconds east of UTC.
func parseOffset(s []byte) (seconds int64, reason string) {
	if len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, ""
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, timeMalformed
	}
	hours, minutes := two(s[1:]), two(s[4:])
	if hours|minutes >= notTwo {
		return 0, timeMalformed
	}
	if hours > 23 || minutes > 59 {
		return 0, timeOffset
	}
	seconds = int64(hours*3600 + minutes*60)
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, ""
}

// notTwo is what two returns at least if its bytes are not two digits.
const notTwo = 1 << 10

// two reads two digits.
func two(s []byte) uint {
	a, b := uint(s[0]-'0'), uint(s[1]-'0')
	if a > 9 || b > 9 {
		return notTwo
	}
	return a*10 + b
}

// parseDate reads the date that starts s, as the unix seconds of its midnight.
func parseDate(s []byte) (start int64, reason string) {
	century, year, month, day := two(s), two(s[2:]), two(s[5:]), two(s[8:])
	if century|year|month|day >= notTwo || s[4] != '-' || s[7] != '-' {
		return 0, timeMalformed
	}
	y := int64(century*100 + year)
	if month < 1 || month > 12 || day < 1 || day > daysIn(y, month) {
		return 0, timeNoSuchDay
	}
	// Days since 1970-01-01 in the proleptic Gregorian calendar, counting
	// years from March so that the leap day is the last one.
	m := int64(month)
	if m <= 2 {
		y--
		m += 12
	}
	y += 400 // never negative
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(day) - 1 - 719468 - 146097
	return days * 86400, ""
}

func daysIn(year int64, month uint) uint {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
