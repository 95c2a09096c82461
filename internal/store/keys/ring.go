package keys

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// LastUsedGrain is how exactly a key's last use is known: the hour it fell in.
const LastUsedGrain = time.Hour

// ring holds every key that is not revoked, so that a request is
// authenticated without asking the database and a key that does not exist
// costs as much as one that does.
type ring struct {
	mu      sync.RWMutex
	keys    map[string]*ringKey
	clients map[string]*ringKey // EdgeGrid keys by client token
	claims  map[string]*claims  // sources by organization
	decoy   *ringKey            // stands in for unknown ids; no secret has its hash, and nobody its credential
}

// ringKey is a key as the ring holds it; key, hash and credential do not change.
type ringKey struct {
	key        access.Key
	hash       [sha256.Size]byte  // zero, which is no secret's, for an EdgeGrid key
	credential *access.Credential // of an EdgeGrid key whose secret is known, else nil
	sealed     []byte             // the credential's secret while it is read
	usedUS     atomic.Int64       // last use, in microseconds since 1970; 0 = never
	savedUS    atomic.Int64       // what the database knows of usedUS
}

func newRingKey(k access.Key, hash [sha256.Size]byte, c *access.Credential) *ringKey {
	r := &ringKey{key: k, hash: hash, credential: c}
	if !k.LastUsed.IsZero() {
		r.usedUS.Store(k.LastUsed.UnixMicro())
		r.savedUS.Store(k.LastUsed.UnixMicro())
	}
	return r
}

func (r *ring) get(id string) (*ringKey, bool) {
	r.mu.RLock()
	k, ok := r.keys[id]
	r.mu.RUnlock()
	if !ok {
		return r.decoy, false
	}
	return k, true
}

// client returns the EdgeGrid key of a client token.
func (r *ring) client(token string) (*ringKey, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.clients[token]
	return k, ok
}

func (r *ring) add(k *ringKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[k.key.ID] = k
	r.claim(k)
	if k.credential != nil {
		r.clients[k.credential.ClientToken] = k
	}
}

func (r *ring) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[id]
	if k == nil {
		return
	}
	if r.unclaim(k); k.credential != nil {
		delete(r.clients, k.credential.ClientToken)
	}
	delete(r.keys, id)
}

// ids returns the ids of all keys, as the caller's own.
func (r *ring) ids() map[string]struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := make(map[string]struct{}, len(r.keys))
	for id := range r.keys {
		ids[id] = struct{}{}
	}
	return ids
}

func (r *ring) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.keys)
}

// lastUsed is the last use of a key that is known here, or else what the database said.
func (r *ring) lastUsed(k access.Key) time.Time {
	if held, ok := r.get(k.ID); ok {
		if us := held.usedUS.Load(); us != 0 {
			return time.UnixMicro(us).UTC()
		}
	}
	return k.LastUsed
}

// AuthenticateKey returns the key that a token belongs to. It does no I/O.
// A token that is malformed, unknown, wrong, expired or revoked is
// KindUnauthenticated in the same words, and finding out takes the same time
// for an unknown id as for a wrong secret.
func (s *Store) AuthenticateKey(_ context.Context, token string) (access.Key, error) {
	id, secret, ok := parseToken(token)
	if !ok {
		return access.Key{}, errUnauthenticated()
	}
	held, known := s.ring.get(id)
	hash := hashSecret(secret)
	match := subtle.ConstantTimeCompare(hash[:], held.hash[:]) == 1
	now := s.db.Now()
	if !known || !match || held.key.Kind != access.KindToken || held.key.Expired(now) {
		return access.Key{}, errUnauthenticated()
	}
	held.touch(now)
	return held.key, nil
}

func errUnauthenticated() error {
	return meter.Errorf(meter.KindUnauthenticated, "the key is not valid")
}

// touch notes a use, at most once for each LastUsedGrain.
func (k *ringKey) touch(now time.Time) {
	us := now.Truncate(LastUsedGrain).UnixMicro()
	if had := k.usedUS.Load(); us > had {
		k.usedUS.CompareAndSwap(had, us)
	}
}

// FlushLastUsed writes the last uses that the database does not know yet.
// Close does it too; a server calls it now and then, since a crash loses what
// was not written.
func (s *Store) FlushLastUsed(ctx context.Context) error {
	type use struct {
		key *ringKey
		us  int64
	}
	var uses []use
	s.ring.mu.RLock()
	for _, k := range s.ring.keys {
		if us := k.usedUS.Load(); us != k.savedUS.Load() {
			uses = append(uses, use{k, us})
		}
	}
	s.ring.mu.RUnlock()
	if len(uses) == 0 {
		return nil
	}
	err := s.db.Write(ctx, "store when keys were last used", func(tx *sql.Tx) error {
		for _, u := range uses {
			if _, err := tx.ExecContext(ctx, stmt.KeyUsed, u.key.key.ID, u.us); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, u := range uses {
		u.key.savedUS.Store(u.us)
	}
	return nil
}

func scanRingKey(r store.Row) (*ringKey, error) {
	var hash, sealed []byte
	var client, accessToken sql.NullString
	k, err := scanKey(rowWith{r, []any{&hash, &client, &accessToken, &sealed}})
	if err != nil {
		return nil, err
	}
	if k.Kind == access.KindEdgeGrid {
		held := newRingKey(k, [sha256.Size]byte{}, &access.Credential{ClientToken: client.String, AccessToken: accessToken.String})
		held.sealed = sealed
		return held, nil
	}
	if len(hash) != sha256.Size {
		return nil, errors.New("a key's hash has a wrong length")
	}
	return newRingKey(k, [sha256.Size]byte(hash), nil), nil
}

// rowWith reads some columns more than its reader knows of.
type rowWith struct {
	store.Row
	last []any
}

// Scan fills dest and the last columns.
func (r rowWith) Scan(dest ...any) error { return r.Row.Scan(append(dest, r.last...)...) }
