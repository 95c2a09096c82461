package keys

import (
	"context"

	"odometer/internal/store"
)

// refreshRing makes the ring hold the keys that the database holds. Those that
// it held before keep what it knows of their last use.
func (s *Store) refreshRing(ctx context.Context) error {
	s.mu.Lock() // no key of this process is between its commit and the ring
	defer s.mu.Unlock()
	live, err := store.List(ctx, s.db.Reader(), scanRingKey, stmt.KeyLive)
	if err != nil {
		return s.db.Fail(err, "cannot load the keys")
	}
	gone := s.ring.ids()
	var added []*ringKey
	for _, k := range live {
		if _, held := gone[k.key.ID]; held {
			delete(gone, k.key.ID)
		} else {
			added = append(added, k)
		}
	}
	for id := range gone {
		s.ring.remove(id)
	}
	s.openSecrets(added)
	for _, k := range added {
		s.ring.add(k)
	}
	return nil
}
