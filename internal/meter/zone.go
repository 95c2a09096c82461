package meter

import (
	"math"
	"time"
)

// zone answers where in a location's wall clock a Unix second lies. All its
// arithmetic is in seconds, which is what zones are defined in; "local" seconds
// are what the wall clock shows, counted as if it were UTC.
type zone struct{ loc *time.Location }

// segment is a stretch of time with one offset from UTC, half-open.
type segment struct{ begin, end, offset int64 }

func newZone(loc *time.Location) zone {
	if loc == nil {
		loc = time.UTC
	}
	return zone{loc}
}

func (z zone) time(unix int64) time.Time { return time.Unix(unix, 0).In(z.loc) }

// segment returns the stretch that holds the Unix second at.
func (z zone) segment(at int64) segment {
	if z.loc == time.UTC {
		return segment{math.MinInt64, math.MaxInt64, 0}
	}
	t := z.time(at)
	_, offset := t.Zone()
	s := segment{math.MinInt64, math.MaxInt64, int64(offset)}
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		s.begin = begin.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	return s
}

// latest returns the latest reading of the wall clock up to and including at:
// the reading at at, or a later one from before the clock was set back.
func (z zone) latest(at int64) int64 {
	s := z.segment(at)
	local := at + s.offset
	for s.begin > at-maxShift {
		begin := s.begin
		s = z.segment(begin - 1)
		local = max(local, begin-1+s.offset)
	}
	return local
}

// first returns the first instant at which the wall clock shows local or later.
func (z zone) first(local int64) int64 {
	for at := local - maxShift; ; {
		s := z.segment(at)
		if hit := max(at, local-s.offset); hit < s.end {
			return hit
		}
		at = s.end
	}
}

// stretchStart returns the begin of the stretch around at in which the wall
// clock shows the same multiple of width and is not set back.
func (z zone) stretchStart(at, width int64) int64 {
	for {
		s := z.segment(at)
		begin := at - floorMod(at+s.offset, width)
		if begin >= s.begin {
			return begin
		}
		// The clock was changed within the stretch: forward or not at all, it goes on before.
		before := z.segment(s.begin - 1)
		if before.offset > s.offset || floorDiv(s.begin-1+before.offset, width) != floorDiv(at+s.offset, width) {
			return s.begin
		}
		at = s.begin - 1
	}
}

// stretchEnd returns the end of the stretch that stretchStart begins.
func (z zone) stretchEnd(at, width int64) int64 {
	for {
		s := z.segment(at)
		end := at - floorMod(at+s.offset, width) + width
		if end <= s.end {
			return end
		}
		after := z.segment(s.end)
		if after.offset < s.offset || floorDiv(s.end+after.offset, width) != floorDiv(at+s.offset, width) {
			return s.end
		}
		at = s.end
	}
}

func floorDiv(a, b int64) int64 { return (a - floorMod(a, b)) / b }

func floorMod(a, b int64) int64 {
	if m := a % b; m >= 0 {
		return m
	} else {
		return m + b
	}
}

// ceilUnix returns the first Unix second at or after t.
func ceilUnix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
