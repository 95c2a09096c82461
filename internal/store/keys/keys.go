// Package keys keeps the keys of organizations: in their table, where only
// hashes and sealed secrets stand, and in memory as many as there is room for, so
// that a request is authenticated without I/O.
package keys

import (
	"context"
	"sync"

	"odometer/internal/store"
)

// Store has the keys of a catalog. Its methods may be called concurrently.
//
// It holds keys that are not revoked in memory, up to Limits.KeyBytes of the
// catalog; others are looked up when they are used. In PostgreSQL a change of
// keys by another process is seen as soon as the database tells of it, and at
// the latest after KeysCheckEvery while the database answers.
type Store struct {
	db *store.Store
	// mu is held from a key's commit until the ring agrees with it. It is taken
	// before the database's writer and the ring's lock. Of the ring, the uses and
	// the sealer nothing is taken under their own.
	mu      sync.Mutex
	ring    *ring
	uses    uses
	lookups chan struct{} // places of those who read one key
	sealer  sealer
}

// Open loads the keys of a catalog and keeps them current until it is
// closed. A catalog has one of it in a process. secretFile is the file of the
// key under which the secrets of EdgeGrid keys are encrypted; it is made when the
// first is. "" = SecretKeyFile next to an SQLite catalog, and none for another.
func Open(ctx context.Context, db *store.Store, secretFile string) (*Store, error) {
	if secretFile == "" {
		secretFile = db.Beside(SecretKeyFile)
	}
	s := &Store{db: db, sealer: sealer{path: secretFile}, ring: newRing(db.Limits().KeyBytes),
		uses: uses{us: map[string]int64{}}, lookups: make(chan struct{}, lookups)}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	db.OnFlush(s.FlushLastUsed)
	db.OnKeysChanged(ctx, s.refreshRing)
	return s, nil
}
