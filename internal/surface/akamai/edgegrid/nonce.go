package edgegrid

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// nonces remembers what verified requests used, each for the window or a
// little longer. What is full refuses: forgetting early would let a request
// in twice.
type nonces struct {
	window          time.Duration
	journal         *Journal // nil = they are kept in memory only
	most, perClient int

	mu      sync.Mutex
	seen    map[nonceKey]struct{}
	clients map[string]int // how many of seen
	queue   []nonceUse     // of seen, the oldest first; queue[:head] is free
	head    int
}

// nonceKey is a hash of client and nonce, so that long ones take no more room.
type nonceKey [16]byte

type nonceUse struct {
	key    nonceKey
	client string
	until  time.Time
}

func newNonces(window time.Duration, most, perClient int, journal *Journal) *nonces {
	n := &nonces{window: window, journal: journal, most: most, perClient: perClient, seen: map[nonceKey]struct{}{}, clients: map[string]int{}}
	if journal != nil { // whose they were is not in the file; they count for all
		for _, u := range journal.left {
			n.seen[u.key] = struct{}{}
			n.clients[u.client]++
		}
		n.queue, journal.left = journal.left, nil
	}
	return n
}

func newNonceKey(client, nonce string) nonceKey {
	sum := sha256.Sum256([]byte(client + ";" + nonce)) // no client token holds a ";"
	return nonceKey(sum[:])
}

// use remembers a nonce. Errors: nonceUsed, TooManyNonces.
func (n *nonces) use(client, nonce string, now time.Time) error {
	key := newNonceKey(client, nonce)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(now)
	if _, used := n.seen[key]; used {
		return nonceUsed
	}
	if len(n.seen) >= n.most || n.clients[client] >= n.perClient {
		return TooManyNonces
	}
	n.seen[key] = struct{}{}
	n.clients[client]++
	n.queue = append(n.queue, nonceUse{key, client, now.Add(n.window)})
	if n.journal != nil {
		n.journal.note(&n.queue[len(n.queue)-1], n.queue[n.head:])
	}
	return nil
}

// forget drops what is older than the window: at its very end a timestamp is
// still good, so the nonce still counts.
func (n *nonces) forget(now time.Time) {
	for n.head < len(n.queue) && now.After(n.queue[n.head].until) {
		u := &n.queue[n.head]
		delete(n.seen, u.key)
		if n.clients[u.client]--; n.clients[u.client] == 0 {
			delete(n.clients, u.client)
		}
		*u = nonceUse{}
		n.head++
	}
	if n.head > len(n.queue)/2 {
		n.queue = slices.Delete(n.queue, 0, n.head)
		n.head = 0
	}
}
