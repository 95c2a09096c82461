// Package share divides what is scarce among keys and organizations, so that
// none can take all of it.
//
// An organization may hold up to three times what it leaves free, and a key
// up to three times what it leaves to the other keys of its organization:
// alone an organization gets three quarters, two get three sevenths each, and
// whoever comes next finds something. Who holds nothing yet gets whatever is free.
package share

import "sync"

// part is how many times what it leaves free one holder may have.
const part = 3

// Who holds a share.
type Who struct{ Organization, Key string }

// Budget is a number of bytes, or of anything else. Its methods may be called
// from many goroutines.
type Budget struct {
	mu     sync.Mutex
	ledger account
}

// NewBudget makes a budget of most.
func NewBudget(most int64) *Budget { return &Budget{ledger: newAccount(most)} }

// Take takes n for a request of who that holds own of it already; false if
// that is more than its share. A request beside which its organization has no
// other gets whatever is free.
func (b *Budget) Take(who Who, own, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ledger.fits(who, own, n) {
		return false
	}
	b.ledger.add(who, n)
	return true
}

// Give gives n back.
func (b *Budget) Give(who Who, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.add(who, -n)
}

// Used is what all hold together.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.used
}

// Most is what there is.
func (b *Budget) Most() int64 { return b.ledger.most }

// account says who holds how much; who holds nothing is not in it.
type account struct {
	most, used int64
	orgs       map[string]int64
	keys       map[Who]int64
}

func newAccount(most int64) account {
	return account{most: most, orgs: map[string]int64{}, keys: map[Who]int64{}}
}

func (a *account) fits(who Who, own, n int64) bool {
	free, org, key := a.most-a.used, a.orgs[who.Organization], a.keys[who]
	switch {
	case n > free:
		return false
	case org == own:
		return true
	case org+n > part*(free-n):
		return false
	case key == own, who.Key == "": // without a key an organization is one
		return true
	}
	room := (part*free - org) / (part + 1) // what the organization may take before it comes to its share
	return key+n <= part*(room-n)
}

func (a *account) add(who Who, n int64) {
	a.used += n
	change(a.orgs, who.Organization, n)
	change(a.keys, who, n)
}

func change[K comparable](m map[K]int64, k K, n int64) {
	if left := m[k] + n; left == 0 {
		delete(m, k)
	} else {
		m[k] = left
	}
}
