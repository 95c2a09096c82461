package metering

import (
	"context"
	"sync"
)

// heldTurn is a request's place among the reads. It is taken at the request's
// first read and held until its answer has been written, so that answers that
// nobody reads are no more than there are places.
type heldTurn struct {
	mu   sync.Mutex
	done func() // nil until the place is taken
}

type heldTurnKey struct{}

// HoldTurn makes all reads under the context share one place among the reads,
// which is given back by release.
func HoldTurn(ctx context.Context) (held context.Context, release func()) {
	h := &heldTurn{}
	return context.WithValue(ctx, heldTurnKey{}, h), h.release
}

func (h *heldTurn) take(ctx context.Context, s *Service) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		return nil
	}
	done, err := s.freeTurn(ctx)
	if err == nil {
		h.done = done
	}
	return err
}

func (h *heldTurn) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		h.done()
		h.done = nil
	}
}
