package catalog

import (
	"context"
	"sync"
)

// Keys are the keys of a catalogue. Its methods may be called concurrently.
//
// It holds every key that is not revoked in memory. In PostgreSQL a change of
// keys by another process is seen as soon as the database tells of it, and at
// the latest after KeysCheckEvery while the database answers.
type Keys struct {
	db     *Store
	mu     sync.Mutex // held from a key's commit until the ring agrees with it
	ring   *ring
	sealer sealer
}

// OpenKeys loads the keys of a catalogue and keeps them current until it is
// closed. A catalogue has one of it in a process. secretFile is the file of the
// key under which the secrets of EdgeGrid keys are encrypted; it is made when the
// first is. "" = SecretKeyFile next to an SQLite catalogue, and none for another.
func OpenKeys(ctx context.Context, db *Store, secretFile string) (*Keys, error) {
	if secretFile == "" {
		secretFile = db.Beside(SecretKeyFile)
	}
	s := &Keys{db: db, sealer: sealer{path: secretFile}}
	live, err := List(ctx, db.Reader(), scanRingKey, stmtKeys.KeyLive)
	if err != nil {
		return nil, db.Fail(err, "cannot load the keys")
	}
	// A hash of 256 random bits that nobody knows: the decoy never matches.
	s.ring = &ring{
		keys: make(map[string]*ringKey, len(live)), clients: map[string]*ringKey{}, claims: map[string]*claims{},
		decoy: newRingKey(Key{}, hashSecret(randomText(secretBytes)), newCredential()),
	}
	s.openSecrets(live)
	for _, k := range live {
		s.ring.add(k)
	}
	db.OnFlush(s.FlushLastUsed)
	db.OnKeysChanged(ctx, s.refreshRing)
	return s, nil
}
