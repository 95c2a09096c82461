package meter

import (
	"math"
	"time"
)

// zone answers where in a location's wall clock a Unix second lies. All its
// arithmetic is in seconds, which is what zones are defined in; "local" seconds
// are what the wall clock shows, counted as if it were UTC.
//
// It sees time as stretches with one offset from UTC. Neighbours may have the
// same offset, so nothing may be concluded from a stretch's end alone.
type zone struct{ loc *time.Location }

func newZone(loc *time.Location) zone {
	if loc == nil {
		loc = time.UTC
	}
	return zone{loc}
}

func (z zone) time(unix int64) time.Time { return time.Unix(unix, 0).In(z.loc) }

// ahead returns the offset at the Unix second at and the end of the stretch
// with it.
func (z zone) ahead(at int64) (offset, end int64) {
	offset, _, end = z.bounds(at)
	return offset, end
}

// behind returns the offset at the Unix second at and the begin of the stretch
// with it.
func (z zone) behind(at int64) (offset, begin int64) {
	offset, begin, _ = z.bounds(at)
	// Past the last change that a zone file lists, ZoneBounds may begin a
	// stretch before that change; ends are reliable, so follow them.
	for begin != math.MinInt64 {
		_, end := z.ahead(begin)
		if end > at {
			break
		}
		begin = end
	}
	return offset, begin
}

// bounds returns what time.Time.ZoneBounds does, with an end that is always
// after at; math.MinInt64 and math.MaxInt64 stand for no bound.
func (z zone) bounds(at int64) (offset, begin, end int64) {
	begin, end = math.MinInt64, math.MaxInt64
	if z.loc == time.UTC {
		return 0, begin, end
	}
	t := z.time(at)
	_, seconds := t.Zone()
	from, to := t.ZoneBounds()
	if !from.IsZero() {
		begin = from.Unix()
	}
	if !to.IsZero() {
		end = to.Unix()
	}
	if end <= at {
		// Past the last change that a zone file lists, ZoneBounds ends a
		// stretch with the year and takes every year for 365 days.
		end = time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return int64(seconds), begin, end
}

// latest returns the latest reading of the wall clock up to and including at:
// the reading at at, or a later one from before the clock was set back.
func (z zone) latest(at int64) int64 {
	offset, begin := z.behind(at)
	local := at + offset
	for begin > at-maxShift {
		last := begin - 1
		offset, begin = z.behind(last)
		local = max(local, last+offset)
	}
	return local
}

// first returns the first instant at which the wall clock shows local or later.
func (z zone) first(local int64) int64 {
	for at := local - maxShift; ; {
		offset, end := z.ahead(at)
		if hit := max(at, local-offset); hit < end {
			return hit
		}
		at = end
	}
}

// runBegin returns the begin of the run around at in which the wall clock shows
// the same multiple of width and is not set back.
func (z zone) runBegin(at, width int64) int64 {
	for {
		offset, begin := z.behind(at)
		run := at - floorMod(at+offset, width)
		if run >= begin {
			return run
		}
		last := begin - 1
		before, _ := z.ahead(last)
		if before > offset || floorDiv(last+before, width) != floorDiv(at+offset, width) {
			return begin
		}
		at = last // not set back, and still the same reading: the run goes on
	}
}

// runEnd returns the end of the run that runBegin begins.
func (z zone) runEnd(at, width int64) int64 {
	for {
		offset, end := z.ahead(at)
		run := at - floorMod(at+offset, width) + width
		if run <= end {
			return run
		}
		after, _ := z.ahead(end)
		if after < offset || floorDiv(end+after, width) != floorDiv(at+offset, width) {
			return end
		}
		at = end
	}
}

func floorDiv(a, b int64) int64 { return (a - floorMod(a, b)) / b }

func floorMod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// ceilUnix returns the first Unix second at or after t.
func ceilUnix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
