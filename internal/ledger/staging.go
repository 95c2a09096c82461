package ledger

import (
	"container/list"
	"context"
	"sync"

	"odometer/internal/meter"
)

// staging bounds the memory of what is being decoded and waits to be folded:
// the text of a body becomes columns that are larger than it is. Requests come in
// turn, so that a large one is not passed by small ones for ever.
type staging struct {
	mu    sync.Mutex
	most  int64
	used  int64
	queue list.List // of *stagingTurn
}

type stagingTurn struct {
	weight int64
	ready  chan struct{}
}

// stagedFactor is how much memory a byte of a body takes as columns at most,
// about: a short number in an object of many.
const stagedFactor = 4

// Stage waits until there is memory for the events of a body of so many bytes.
// Call done once they are answered or discarded.
func (l *Ledger) Stage(ctx context.Context, bytes int) (done func(), err error) {
	return l.staging.take(ctx, min(int64(bytes)*stagedFactor, l.limits.StagedBytes))
}

func (s *staging) take(ctx context.Context, weight int64) (func(), error) {
	done := func() { s.give(weight) }
	s.mu.Lock()
	if s.queue.Len() == 0 && s.used+weight <= s.most {
		s.used += weight
		s.mu.Unlock()
		return done, nil
	}
	turn := &stagingTurn{weight: weight, ready: make(chan struct{})}
	e := s.queue.PushBack(turn)
	s.mu.Unlock()
	select {
	case <-turn.ready:
		return done, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-turn.ready: // meanwhile
		s.used -= weight
	default:
		s.queue.Remove(e)
	}
	s.next()
	return nil, meter.WrapError(meter.KindUnavailable, ctx.Err(), "the request was given up")
}

func (s *staging) give(weight int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= weight
	s.next()
}

// next lets those in that there is room for. mu is held.
func (s *staging) next() {
	for e := s.queue.Front(); e != nil; e = s.queue.Front() {
		turn := e.Value.(*stagingTurn)
		if s.used+turn.weight > s.most {
			return
		}
		s.used += turn.weight
		s.queue.Remove(e)
		close(turn.ready)
	}
}
