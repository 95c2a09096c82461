package keys

import (
	"container/list"
	"crypto/sha256"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"unique"

	"odometer/internal/access"
	"odometer/internal/store"
)

// ring holds keys that are not revoked, as many as its room takes: those that
// were used last stay. While it holds all of them, a request is authenticated
// without asking the database, and a key that does not exist costs as much as
// one that does.
type ring struct {
	room int64 // bytes of the keys that are held, about

	mu       sync.RWMutex
	keys     map[string]*ringKey
	clients  map[string]*ringKey // EdgeGrid keys by client token
	queue    *list.List          // of *ringKey; the first leaves next, unless it was used since it came there
	bytes    int64
	complete bool               // no key that is not revoked is missing
	removals uint64             // counts what made keys leave that may be valid no more
	claims   map[string]*claims // sources by organization, of all keys

	decoy *ringKey // stands in for unknown ids; no secret has its hash, and nobody its credential
}

// ringKey is a key as the ring holds it; only what is atomic changes.
type ringKey struct {
	key        access.Key
	hash       [sha256.Size]byte  // zero, which is no secret's, for an EdgeGrid key
	client     string             // token of an EdgeGrid key
	credential *access.Credential // of an EdgeGrid key whose secret is known, else nil
	sealed     []byte             // the credential's secret while it is read
	usedUS     atomic.Int64       // last use that is known, in microseconds since 1970; 0 = never
	recent     atomic.Bool        // used since it came to its place in the queue
	place      *list.Element      // in the queue
}

// ringKeyBytes is what a key takes beside its texts, with its places in the maps and the queue.
const ringKeyBytes = 450

func newRingKey(k access.Key, hash [sha256.Size]byte, c *access.Credential) *ringKey {
	k.Organization = unique.Make(k.Organization).Value() // the same text for all its keys
	k.Role, k.Kind = unique.Make(k.Role).Value(), unique.Make(k.Kind).Value()
	r := &ringKey{key: k, hash: hash, credential: c}
	if c != nil {
		r.client = c.ClientToken
	}
	if !k.LastUsed.IsZero() {
		r.usedUS.Store(k.LastUsed.UnixMicro())
	}
	return r
}

// size is what the key takes of the ring's room.
func (k *ringKey) size() int64 {
	n := ringKeyBytes + len(k.key.ID) + len(k.key.Customer) + len(k.key.Accounts) + len(k.key.DefaultAID) + len(k.key.Sources) + len(k.client)
	if k.credential != nil {
		n += 256 // its texts, which have fixed lengths
	}
	return int64(n)
}

// newRing returns a ring for a catalog without keys.
func newRing(room int64) *ring {
	// A hash of 256 random bits that nobody knows: the decoy never matches.
	r := &ring{room: room, decoy: newRingKey(access.Key{}, hashSecret(randomText(secretBytes)), newCredential())}
	r.reset(nil, true, nil)
	return r
}

// reset makes the ring hold some keys, and the claims of all.
func (r *ring) reset(held []*ringKey, complete bool, sources []claimant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.clients, r.queue, r.bytes = make(map[string]*ringKey, len(held)), map[string]*ringKey{}, list.New(), 0
	r.complete = complete
	r.removals++
	r.claims = map[string]*claims{}
	for _, c := range sources {
		r.claim(c)
	}
	for _, k := range held {
		r.hold(k)
	}
}

// get returns a key that is held. Of one that is not, certain says that there is none.
func (r *ring) get(id string) (k *ringKey, certain bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return used(r.keys[id]), r.complete
}

// client is get, of the EdgeGrid key of a client token.
func (r *ring) client(token string) (k *ringKey, certain bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return used(r.clients[token]), r.complete
}

func used(k *ringKey) *ringKey {
	if k != nil && !k.recent.Load() { // many read the same key at once
		k.recent.Store(true)
	}
	return k
}

// add takes a new key.
func (r *ring) add(k *ringKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claim(claimant{k.key.Organization, k.key.ID, k.key.Customer, k.key.Sources})
	r.hold(k)
}

// removed is what keep is to be called with.
func (r *ring) removed() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.removals
}

// keep holds a key that was read, unless a key has been removed since: it may have been this one.
func (r *ring) keep(k *ringKey, removals uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removals == removals && r.keys[k.key.ID] == nil {
		r.hold(k)
	}
}

// hold takes a key and makes room for it. r.mu is held.
func (r *ring) hold(k *ringKey) {
	r.drop(r.keys[k.key.ID])
	k.place = r.queue.PushBack(k)
	r.bytes += k.size()
	r.keys[k.key.ID] = k
	if k.client != "" {
		r.clients[k.client] = k
	}
	for r.bytes > r.room && r.queue.Len() > 0 {
		first, _ := r.queue.Front().Value.(*ringKey)
		if first.recent.Swap(false) {
			r.queue.MoveToBack(first.place)
			continue
		}
		r.drop(first)
		r.complete = false
	}
}

// drop gives a key's room back; nil is none. r.mu is held.
func (r *ring) drop(k *ringKey) {
	if k == nil {
		return
	}
	r.queue.Remove(k.place)
	r.bytes -= k.size()
	delete(r.keys, k.key.ID)
	if k.client != "" {
		delete(r.clients, k.client)
	}
}

// remove forgets a key that is valid no more.
func (r *ring) remove(k access.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removals++
	r.unclaim(k)
	r.drop(r.keys[k.ID])
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

// holdsAll says whether no key that is not revoked is missing.
func (r *ring) holdsAll() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.complete
}
