package state

import (
	"time"

	"odometer/internal/ledger/block"
)

// Reach says, for each UTC month of event time, which block was the last to
// have events in it or to void one; blocks in between count for each month
// that their range of times touches. Months are numbered from January of year 0.
type Reach map[int32]uint64

// Note takes over that an entry reaches [from, to], in unix ns.
func (r *Reach) Note(from, to int64, sequence uint64) {
	if *r == nil {
		*r = Reach{}
	}
	last := monthNumber(to)
	for m := monthNumber(from); m <= last; m++ {
		(*r)[m] = max((*r)[m], sequence)
	}
}

// NoteHeader takes over a block of events.
func (r *Reach) NoteHeader(h *block.Header) {
	if h.Kind == block.KindEvents && h.Rows > 0 {
		r.Note(h.MinTime, h.MaxTime, h.Sequence)
	}
}

func monthNumber(ns int64) int32 {
	y, m, _ := time.Unix(0, ns).UTC().Date()
	return int32(y)*12 + int32(m) - 1
}

// Last returns the last sequence that reached a month of [from, to), in unix ns.
func (r Reach) Last(from, to int64) (sequence uint64) {
	last := monthNumber(to - 1)
	for m := monthNumber(from); m <= last; m++ {
		sequence = max(sequence, r[m])
	}
	return sequence
}
