package keys

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
	"time"

	"odometer/internal/access"
)

// LastUsedGrain is how exactly a key's last use is known: the hour it fell in.
const LastUsedGrain = time.Hour

// usesAtOnce is how many last uses one transaction writes.
const usesAtOnce = 1000

// uses are last uses that the database does not know yet, whether their keys are held or not.
type uses struct {
	mu sync.Mutex // nothing is taken under it
	us map[string]int64
}

// touch notes a use, at most once for each LastUsedGrain while the key is held.
func (u *uses) touch(k *ringKey, now time.Time) {
	us := now.Truncate(LastUsedGrain).UnixMicro()
	if had := k.usedUS.Load(); us > had && k.usedUS.CompareAndSwap(had, us) {
		u.note(k.key.ID, us)
	}
}

func (u *uses) note(id string, us int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.us[id] = max(u.us[id], us)
}

// last is the last use of a key as the database told it, or a later one.
func (u *uses) last(k access.Key) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if us := u.us[k.ID]; us != 0 && (k.LastUsed.IsZero() || us > k.LastUsed.UnixMicro()) {
		return time.UnixMicro(us).UTC()
	}
	return k.LastUsed
}

// UseKey notes that a key was used now. AuthenticateKey does it by itself.
func (s *Store) UseKey(id string) {
	now := s.db.Now()
	held, certain := s.ring.get(id)
	switch {
	case held != nil:
		s.uses.touch(held, now)
	case !certain:
		s.uses.note(id, now.Truncate(LastUsedGrain).UnixMicro())
	}
}

// FlushLastUsed writes the last uses that the database does not know yet.
// Close does it too; a server calls it now and then, since a crash loses what
// was not written.
func (s *Store) FlushLastUsed(ctx context.Context) error {
	s.uses.mu.Lock()
	all := maps.Clone(s.uses.us)
	s.uses.mu.Unlock()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(all)), usesAtOnce) {
		err := s.db.Write(ctx, "store when keys were last used", func(tx *sql.Tx) error {
			for _, id := range ids {
				if _, err := tx.ExecContext(ctx, stmt.KeyUsed, id, all[id]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.uses.mu.Lock()
		for _, id := range ids {
			if s.uses.us[id] == all[id] {
				delete(s.uses.us, id)
			}
		}
		s.uses.mu.Unlock()
	}
	return nil
}
