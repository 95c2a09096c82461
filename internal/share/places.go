package share

import (
	"context"
	"sync"
)

// Places are a number of places at something, with a queue. A place that
// becomes free goes to the organization that holds the fewest among those
// whose share allows it, within it to the key that holds the fewest, and of
// equal ones to who came first. Its methods may be called from many goroutines.
type Places struct {
	mu      sync.Mutex
	ledger  account
	waiting map[Who][]*waiter // each in order of arrival
	arrived uint64
}

type waiter struct {
	arrival uint64
	ready   chan struct{} // closed when it has its place
}

// NewPlaces makes n places.
func NewPlaces(n int) *Places {
	return &Places{ledger: newAccount(int64(n)), waiting: map[Who][]*waiter{}}
}

// Take waits for a place, at most until ctx is done: then it returns false.
// The place is given back by Give.
func (p *Places) Take(ctx context.Context, who Who) bool {
	p.mu.Lock()
	// Nobody who waits could have a place, so that this takes none from them.
	if len(p.waiting[who]) == 0 && p.ledger.fits(who, 0, 1) {
		p.ledger.add(who, 1)
		p.mu.Unlock()
		return true
	}
	p.arrived++
	w := &waiter{arrival: p.arrived, ready: make(chan struct{})}
	p.waiting[who] = append(p.waiting[who], w)
	p.mu.Unlock()
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.ready: // meanwhile
		p.ledger.add(who, -1)
		p.fill()
	default:
		p.leave(who, w)
	}
	return false
}

// Give gives a place back.
func (p *Places) Give(who Who) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger.add(who, -1)
	p.fill()
}

// Taken is how many places are taken.
func (p *Places) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.ledger.used)
}

// Waiting is how many wait for a place.
func (p *Places) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, list := range p.waiting {
		n += len(list)
	}
	return n
}

// fill lets in who may. mu is held.
func (p *Places) fill() {
	for p.ledger.used < p.ledger.most {
		var next Who
		var first *waiter
		for who, list := range p.waiting {
			if p.ledger.fits(who, 0, 1) && (first == nil || p.before(who, list[0], next, first)) {
				next, first = who, list[0]
			}
		}
		if first == nil {
			return
		}
		p.ledger.add(next, 1)
		p.leave(next, first)
		close(first.ready)
	}
}

// before says who of two comes first.
func (p *Places) before(a Who, wa *waiter, b Who, wb *waiter) bool {
	if x, y := p.ledger.orgs[a.Organization], p.ledger.orgs[b.Organization]; x != y {
		return x < y
	}
	if x, y := p.ledger.keys[a], p.ledger.keys[b]; x != y {
		return x < y
	}
	return wa.arrival < wb.arrival
}

// leave takes a waiter out of its queue.
func (p *Places) leave(who Who, w *waiter) {
	list := p.waiting[who]
	for i := range list {
		if list[i] == w {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(p.waiting, who)
	} else {
		p.waiting[who] = list
	}
}
