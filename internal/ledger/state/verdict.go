package state

import (
	"odometer/internal/meter"
)

// PackVerdicts stores two bits a row; nil when every row is accepted.
func PackVerdicts(vs []meter.Verdict) []byte {
	all := true
	for _, v := range vs {
		if v != meter.Accepted {
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
func VerdictOf(packed []byte, i int) meter.Verdict {
	if packed == nil {
		return meter.Accepted
	}
	return meter.Verdict(packed[i/4] >> (2 * (i % 4)) & 3)
}
