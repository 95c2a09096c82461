package meter

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
	return 0, Errorf(KindInvalid, "verdict %q: want accepted, duplicate, conflict or rejected", s)
}
