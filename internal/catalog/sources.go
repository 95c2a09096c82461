package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"odometer/internal/meter"
)

// An event's identity is (organization, source, id), so whoever sends a source
// first takes its ids. Sources that a key bound to a customer is given are its
// customer's: no key bound to another customer may send them.

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
		if !validText(p, MaxSourceBytes) {
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

// unrestricted says whether the key sends a customer's events of any source:
// it was made before keys had sources, or without.
func (k Key) unrestricted() bool { return k.Customer != "" && k.Role == RoleIngest && k.Sources == "" }

// checkSources refuses a key whose sources meet those of a key of another
// customer. A key that is expired keeps its sources until it is revoked.
func checkSources(ctx context.Context, q queryer, k Key) error {
	if k.Sources == "" {
		return nil
	}
	taken, err := list(ctx, q, func(r row) (string, error) {
		var customer, sources string
		return sources, r.Scan(&customer, &sources)
	}, stmtKeys.KeySources, k.Organization, k.Customer)
	if err != nil {
		return err
	}
	own := k.Sources.List()
	for _, sources := range taken {
		for _, other := range Sources(sources).List() {
			if p := meets(own, other); p != "" {
				return meter.Errorf(meter.KindConflict, "sources: %q meets %q of a key that is bound to another customer; revoke that key first", clip(p), clip(other))
			}
		}
	}
	return nil
}

// meets returns the prefix that holds other or is held by it.
func meets(own []string, other string) string {
	for _, p := range own {
		if strings.HasPrefix(p, other) || strings.HasPrefix(other, p) {
			return p
		}
	}
	return ""
}

// claims are the sources that keys of one organization hold, by customer.
type claims struct {
	keys   map[string]*ringKey
	sorted []claim // nil = to be made again
}

// claim is a prefix and whose it is. Claims of different customers do not meet.
type claim struct{ prefix, customer string }

// ClaimedByOther says whether a source is one that keys bound to another
// customer of the organization hold. It does no I/O.
func (s *Store) ClaimedByOther(organization, customer, source string) bool {
	list := s.ring.claimed(organization)
	i := sort.Search(len(list), func(i int) bool { return list[i].prefix > source })
	return i > 0 && strings.HasPrefix(source, list[i-1].prefix) && list[i-1].customer != customer
}

// claimed returns an organization's claims in order; none holds another.
func (r *ring) claimed(organization string) []claim {
	r.mu.RLock()
	c := r.claims[organization]
	var have []claim
	if c != nil {
		have = c.sorted
	}
	r.mu.RUnlock()
	if c == nil || have != nil {
		return have
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.sorted != nil {
		return c.sorted
	}
	var all []claim
	for _, k := range c.keys {
		for _, p := range k.key.Sources.List() {
			all = append(all, claim{p, k.key.Customer})
		}
	}
	slices.SortFunc(all, func(a, b claim) int { return strings.Compare(a.prefix, b.prefix) })
	kept := []claim{}
	for _, one := range all {
		if len(kept) == 0 || !strings.HasPrefix(one.prefix, kept[len(kept)-1].prefix) {
			kept = append(kept, one)
		}
	}
	c.sorted = kept
	return kept
}

// claim notes a key's sources. r.mu is held.
func (r *ring) claim(k *ringKey) {
	if k.key.Sources == "" {
		return
	}
	c := r.claims[k.key.Organization]
	if c == nil {
		c = &claims{keys: map[string]*ringKey{}}
		r.claims[k.key.Organization] = c
	}
	c.keys[k.key.ID], c.sorted = k, nil
}

// unclaim forgets them. r.mu is held.
func (r *ring) unclaim(k *ringKey) {
	c := r.claims[k.key.Organization]
	if c == nil || k.key.Sources == "" {
		return
	}
	delete(c.keys, k.key.ID)
	if c.sorted = nil; len(c.keys) == 0 {
		delete(r.claims, k.key.Organization)
	}
}
