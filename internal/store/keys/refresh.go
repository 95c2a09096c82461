package keys

import (
	"context"

	"odometer/internal/store"
)

// load makes the ring hold the keys that the database holds, those that were
// used last if its room does not take all, and the sources of all.
func (s *Store) load(ctx context.Context) error {
	held, complete, err := s.readKeys(ctx)
	if err != nil {
		return s.db.Fail(err, "cannot load the keys")
	}
	sources, err := store.List(ctx, s.db.Reader(), scanClaimant, stmt.KeyClaims)
	if err != nil {
		return s.db.Fail(err, "cannot load the keys")
	}
	s.openSecrets(held)
	s.ring.reset(held, complete, sources)
	return nil
}

// readKeys reads as many keys as the ring takes; complete says that there are no more.
func (s *Store) readKeys(ctx context.Context) (held []*ringKey, complete bool, err error) {
	most := s.ring.room/ringKeyBytes + 1
	rows, err := s.db.Reader().QueryContext(ctx, stmt.KeyLive, most)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for left := s.ring.room; rows.Next(); {
		k, err := scanRingKey(rows)
		if err != nil {
			return nil, false, err
		}
		if left -= k.size(); left < 0 {
			return held, false, nil
		}
		held = append(held, k)
	}
	return held, true, rows.Err()
}

// refreshRing makes the ring agree with a database that another process has
// changed. A ring that holds all keys reads them again; another forgets its keys,
// and each is looked up when it is used next.
func (s *Store) refreshRing(ctx context.Context) error {
	s.mu.Lock() // no key of this process is between its commit and the ring
	defer s.mu.Unlock()
	if s.ring.holdsAll() {
		return s.load(ctx)
	}
	sources, err := store.List(ctx, s.db.Reader(), scanClaimant, stmt.KeyClaims)
	if err != nil {
		return s.db.Fail(err, "cannot load the keys")
	}
	s.ring.reset(nil, false, sources)
	return nil
}
