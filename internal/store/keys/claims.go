package keys

import (
	"context"
	"odometer/internal/access"
	"odometer/internal/meter"
	"odometer/internal/store"
	"slices"
	"sort"
	"strings"
)

// checkSources refuses a key whose sources meet those of a key of another
// customer. A key that is expired keeps its sources until it is revoked.
func checkSources(ctx context.Context, q store.Queryer, k access.Key) error {
	if k.Sources == "" {
		return nil
	}
	taken, err := store.List(ctx, q, func(r store.Row) (string, error) {
		var customer, sources string
		return sources, r.Scan(&customer, &sources)
	}, stmt.KeySources, k.Organization, k.Customer)
	if err != nil {
		return err
	}
	own := k.Sources.List()
	for _, sources := range taken {
		for _, other := range access.Sources(sources).List() {
			if p := meets(own, other); p != "" {
				return meter.Errorf(meter.KindConflict, "sources: %q meets %q of a key that is bound to another customer; revoke that key first", meter.Clip(p), meter.Clip(other))
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
	keys   map[string]claimant // by id
	sorted []claim             // nil = to be made again
}

// claimant is a key that has sources.
type claimant struct {
	organization, id, customer string
	sources                    access.Sources
}

func scanClaimant(r store.Row) (c claimant, err error) {
	err = r.Scan(&c.organization, &c.id, &c.customer, &c.sources)
	return c, err
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
		for _, p := range k.sources.List() {
			all = append(all, claim{p, k.customer})
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
func (r *ring) claim(k claimant) {
	if k.sources == "" {
		return
	}
	c := r.claims[k.organization]
	if c == nil {
		c = &claims{keys: map[string]claimant{}}
		r.claims[k.organization] = c
	}
	c.keys[k.id], c.sorted = k, nil
}

// unclaim forgets them. r.mu is held.
func (r *ring) unclaim(k access.Key) {
	c := r.claims[k.Organization]
	if c == nil || k.Sources == "" {
		return
	}
	delete(c.keys, k.ID)
	if c.sorted = nil; len(c.keys) == 0 {
		delete(r.claims, k.Organization)
	}
}
