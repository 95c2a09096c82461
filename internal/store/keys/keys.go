// Package keys keeps the keys of organizations: in memory, so that a request is
// authenticated without I/O, and in their table, where only hashes and sealed
// secrets stand.
package keys

import (
	"context"
	"sync"

	"odometer/internal/access"
	"odometer/internal/store"
)

// Store has the keys of a catalog. Its methods may be called concurrently.
//
// It holds every key that is not revoked in memory. In PostgreSQL a change of
// keys by another process is seen as soon as the database tells of it, and at
// the latest after KeysCheckEvery while the database answers.
type Store struct {
	db *store.Store
	// mu is held from a key's commit until the ring agrees with it. It is taken
	// before the database's writer and the ring's lock. Of the ring and of the
	// sealer nothing is taken under their own.
	mu     sync.Mutex
	ring   *ring
	sealer sealer
}

// Open loads the keys of a catalog and keeps them current until it is
// closed. A catalog has one of it in a process. secretFile is the file of the
// key under which the secrets of EdgeGrid keys are encrypted; it is made when the
// first is. "" = SecretKeyFile next to an SQLite catalog, and none for another.
func Open(ctx context.Context, db *store.Store, secretFile string) (*Store, error) {
	if secretFile == "" {
		secretFile = db.Beside(SecretKeyFile)
	}
	s := &Store{db: db, sealer: sealer{path: secretFile}}
	live, err := store.List(ctx, db.Reader(), scanRingKey, stmt.KeyLive)
	if err != nil {
		return nil, db.Fail(err, "cannot load the keys")
	}
	// A hash of 256 random bits that nobody knows: the decoy never matches.
	s.ring = &ring{
		keys: make(map[string]*ringKey, len(live)), clients: map[string]*ringKey{}, claims: map[string]*claims{},
		decoy: newRingKey(access.Key{}, hashSecret(randomText(secretBytes)), newCredential()),
	}
	s.openSecrets(live)
	for _, k := range live {
		s.ring.add(k)
	}
	db.OnFlush(s.FlushLastUsed)
	db.OnKeysChanged(ctx, s.refreshRing)
	return s, nil
}
