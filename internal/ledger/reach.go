package ledger

import (
	"time"

	"odometer/internal/ledger/block"
)

// reach says, for each UTC month of event time, which block was the last to
// have events in it or to void one; blocks in between count for each month
// that their range of times touches. Months are numbered from January of year 0.
type reach map[int32]uint64

// note takes over that an entry reaches [from, to], in unix ns.
func (r *reach) note(from, to int64, sequence uint64) {
	if *r == nil {
		*r = reach{}
	}
	last := monthNumber(to)
	for m := monthNumber(from); m <= last; m++ {
		(*r)[m] = max((*r)[m], sequence)
	}
}

// noteHeader takes over a block of events.
func (r *reach) noteHeader(h *block.Header) {
	if h.Kind == block.KindEvents && h.Rows > 0 {
		r.note(h.MinTime, h.MaxTime, h.Sequence)
	}
}

func monthNumber(ns int64) int32 {
	y, m, _ := time.Unix(0, ns).UTC().Date()
	return int32(y)*12 + int32(m) - 1
}

// Reached returns the last log sequence that may have changed what an
// organization's events of [from, to) add up to; 0 if nothing ever did. It
// looks at whole UTC months, so that it may name a later one than needed.
func (l *Ledger) Reached(org string, from, to time.Time) (sequence uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.peekOrg(org)
	if o == nil || !from.Before(to) {
		return 0
	}
	return o.record.Reached.last(clampNanos(from), clampNanos(to))
}

// last returns the last sequence that reached a month of [from, to), in unix ns.
func (r reach) last(from, to int64) (sequence uint64) {
	last := monthNumber(to - 1)
	for m := monthNumber(from); m <= last; m++ {
		sequence = max(sequence, r[m])
	}
	return sequence
}
