package marketplace

import (
	"maps"
	"sync"
	"sync/atomic"
)

// counters are what the reporter has done since the start.
type counters struct {
	passes, failures atomic.Uint64

	mu    sync.Mutex
	lines map[[2]string]uint64 // by partner and state
}

func (c *counters) add(partner, state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines == nil {
		c.lines = map[[2]string]uint64{}
	}
	c.lines[[2]string{partner, state}]++
}

// snapshot returns the counts of outcomes.
func (c *counters) snapshot() map[[2]string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.lines)
}

// settlements are organizations of which something was settled.
type settlements struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *settlements) add(organization string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	s.all[organization] = true
}

// take says whether something of an organization was settled since it was asked last.
func (s *settlements) take(organization string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.all[organization]
	delete(s.all, organization)
	return is
}
