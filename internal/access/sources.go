package access

import (
	"encoding/json"
	"odometer/internal/meter"
	"slices"
	"sort"
	"strings"
)

const (
	// MaxSources is how many prefixes of sources a key may have.
	MaxSources = 16
	// MaxSourceBytes bounds one of them.
	MaxSourceBytes = 512
	// InternalSource begins the sources of events that the server makes
	// itself; nobody else may send them.
	InternalSource = "suger/"
)

// Sources are how the sources of a key's events may begin, in order. Equal
// ones are equal in Go too.
type Sources string // one a line

// NewSources makes Sources of prefixes, each once and without those that a shorter one holds.
func NewSources(prefixes ...string) (Sources, error) {
	for _, p := range prefixes {
		if !meter.PlainText(p, MaxSourceBytes) {
			return "", meter.Errorf(meter.KindInvalid, "sources: a prefix is 1 to %d bytes of UTF-8 without control characters", MaxSourceBytes)
		}
		if strings.HasPrefix(p, InternalSource) {
			return "", meter.Errorf(meter.KindInvalid, "sources: %q is kept for usage that is reported against entitlements", InternalSource)
		}
	}
	kept := shortest(slices.Clone(prefixes))
	if len(kept) > MaxSources {
		return "", meter.Errorf(meter.KindTooLarge, "sources: %d prefixes are more than %d", len(kept), MaxSources)
	}
	return Sources(strings.Join(kept, "\n")), nil
}

// shortest sorts prefixes and leaves out those that another one holds.
func shortest(prefixes []string) []string {
	slices.Sort(prefixes)
	out := prefixes[:0]
	for _, p := range prefixes {
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

// List returns the prefixes in order.
func (s Sources) List() []string {
	if s == "" {
		return nil
	}
	return strings.Split(string(s), "\n")
}

// Holds says whether a source begins with one of the prefixes.
func (s Sources) Holds(source string) bool { return holds(s.List(), source) }

// holds says whether a text begins with one of prefixes, which are in order
// and do not hold each other.
func holds(prefixes []string, text string) bool {
	i := sort.Search(len(prefixes), func(i int) bool { return prefixes[i] > text })
	return i > 0 && strings.HasPrefix(text, prefixes[i-1])
}

// MarshalJSON renders a list.
func (s Sources) MarshalJSON() ([]byte, error) { return json.Marshal(s.List()) }

// UnmarshalJSON reads a list.
func (s *Sources) UnmarshalJSON(text []byte) error {
	var prefixes []string
	if err := json.Unmarshal(text, &prefixes); err != nil {
		return err
	}
	var err error
	*s, err = NewSources(prefixes...)
	return err
}
