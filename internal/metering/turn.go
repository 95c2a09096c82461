package metering

import (
	"context"
	"errors"
	"sync"
	"time"

	"odometer/internal/meter"
	"odometer/internal/share"
)

// heldTurn is a request's place among the reads. It is taken at the request's
// first read and held until its answer has been written, so that answers that
// nobody reads are no more than there are places.
type heldTurn struct {
	mu    sync.Mutex
	done  func() // nil until the place is taken
	until time.Time
}

type heldTurnKey struct{}

// HoldTurn makes all reads under the context share one place among the reads,
// which is given back by release, and one time limit.
func HoldTurn(ctx context.Context) (held context.Context, release func()) {
	h := &heldTurn{}
	return context.WithValue(ctx, heldTurnKey{}, h), h.release
}

func (h *heldTurn) take(ctx context.Context, s *Service, p Principal) (until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		return h.until, nil
	}
	done, err := s.place(ctx, p)
	if err == nil {
		h.done, h.until = done, s.queryEnd(ctx)
	}
	return h.until, err
}

func (h *heldTurn) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		h.done()
		h.done = nil
	}
}

// readTurn is one read at work: its place among the reads, and its time.
type readTurn struct {
	ctx   context.Context // for the read; ends with Limits.QueryTime
	limit time.Duration
	done  func()
}

// turn waits for a place among the reads at work. Places are shared by
// organization and key: see the package share.
func (s *Service) turn(ctx context.Context, p Principal) (*readTurn, error) {
	t := &readTurn{limit: s.limits.QueryTime}
	var until time.Time
	var err error
	giveBack := func() {}
	if h, ok := ctx.Value(heldTurnKey{}).(*heldTurn); ok {
		until, err = h.take(ctx, s, p)
	} else if giveBack, err = s.place(ctx, p); err == nil {
		until = s.queryEnd(ctx)
	}
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithDeadlineCause(ctx, until, errQueryTime)
	t.ctx = limited
	t.done = func() {
		cancel()
		giveBack()
	}
	return t, nil
}

var errQueryTime = errors.New("the time for queries is over")

// queryEnd is when queries that begin now are given up, by the clock of contexts.
func (s *Service) queryEnd(ctx context.Context) time.Time {
	limited, cancel := context.WithTimeout(ctx, s.limits.QueryTime)
	defer cancel()
	end, _ := limited.Deadline()
	return end
}

// because returns err, or that the time was over where that ended the read.
func (t *readTurn) because(err error) error {
	if err == nil || context.Cause(t.ctx) != errQueryTime || !errors.Is(err, context.DeadlineExceeded) && meter.KindOf(err) != meter.KindInternal {
		return err
	}
	return meter.WrapError(meter.KindUnavailable, err,
		"the query took longer than %s and was given up; ask for a shorter range, or for what a meter groups by", t.limit)
}

// place waits for a place; done gives it back.
func (s *Service) place(ctx context.Context, p Principal) (done func(), err error) {
	who := share.Who{Organization: p.Organization, Key: p.actor()}
	wait, cancel := context.WithTimeout(ctx, s.limits.ReadWait)
	defer cancel()
	if s.reads.Take(wait, who) {
		return func() { s.reads.Give(who) }, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, meter.WrapError(meter.KindUnavailable, err, "the query was given up")
	}
	return nil, &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second,
		Message: "too many queries at work; send this one again"}
}
