package state

import (
	"odometer/internal/meter"
)

// Verdict is what the fold decided about one event.
type Verdict uint8

// The four verdicts; every event sent gets exactly one.
const (
	Accepted  Verdict = iota // counted
	Duplicate                // same identity, same content as one accepted before
	Conflict                 // same identity, other content; kept, never counted
	Rejected                 // not an event we can count; kept with its reason
)

// String returns the verdict's lower-case name.
func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Duplicate:
		return "duplicate"
	case Conflict:
		return "conflict"
	default:
		return "rejected"
	}
}

// ParseVerdict reads a verdict's name.
func ParseVerdict(s string) (Verdict, error) {
	for v := Accepted; v <= Rejected; v++ {
		if v.String() == s {
			return v, nil
		}
	}
	return 0, meter.Errorf(meter.KindInvalid, "verdict %q: want accepted, duplicate, conflict or rejected", s)
}

// PackVerdicts stores two bits a row; nil when every row is accepted.
func PackVerdicts(vs []Verdict) []byte {
	all := true
	for _, v := range vs {
		if v != Accepted {
			all = false
			break
		}
	}
	if all {
		return nil
	}
	out := make([]byte, (len(vs)+3)/4)
	for i, v := range vs {
		out[i/4] |= byte(v) << (2 * (i % 4))
	}
	return out
}

// VerdictOf reads row i of packed verdicts.
func VerdictOf(packed []byte, i int) Verdict {
	if packed == nil {
		return Accepted
	}
	return Verdict(packed[i/4] >> (2 * (i % 4)) & 3)
}
