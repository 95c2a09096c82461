package share

import (
	"context"
	"errors"
	"sync"
	"time"

	"odometer/internal/meter"
)

// Reads are the reads at work: so many places, and so much time for each. Its
// methods may be called from many goroutines.
type Reads struct {
	places      *Places
	wait, limit time.Duration
}

// NewReads makes n places. A read waits for one as long as wait says before it
// is KindOverloaded, and ends limit after it has one.
func NewReads(n int, wait, limit time.Duration) *Reads {
	return &Reads{places: NewPlaces(n), wait: wait, limit: limit}
}

// Taken is how many reads are at work.
func (r *Reads) Taken() int { return r.places.Taken() }

// heldTurn is a request's place among the reads. It is taken at the request's
// first read and held until its answer has been written, so that answers that
// nobody reads are no more than there are places.
type heldTurn struct {
	mu    sync.Mutex // held while the request waits for its place: taken before the lock of Places
	done  func()     // nil until the place is taken
	until time.Time
}

type heldTurnKey struct{}

// HoldTurn makes all reads under the context share one place among the reads,
// which is given back by release, and one time limit.
func HoldTurn(ctx context.Context) (held context.Context, release func()) {
	h := &heldTurn{}
	return context.WithValue(ctx, heldTurnKey{}, h), h.release
}

func (h *heldTurn) take(ctx context.Context, r *Reads, who Who) (until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		return h.until, nil
	}
	done, err := r.place(ctx, who)
	if err == nil {
		h.done, h.until = done, r.end(ctx)
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

// ReadTurn is one read at work: its place among the reads.
type ReadTurn struct {
	limit time.Duration
	done  func()
}

// Turn waits for a place among the reads at work. Done gives it back. The
// context that is returned is for the read, and ends with its time.
func (r *Reads) Turn(ctx context.Context, who Who) (context.Context, *ReadTurn, error) {
	t := &ReadTurn{limit: r.limit}
	var until time.Time
	var err error
	giveBack := func() {}
	if h, ok := ctx.Value(heldTurnKey{}).(*heldTurn); ok {
		until, err = h.take(ctx, r, who)
	} else if giveBack, err = r.place(ctx, who); err == nil {
		until = r.end(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithDeadlineCause(ctx, until, errQueryTime)
	t.done = func() {
		cancel()
		giveBack()
	}
	return limited, t, nil
}

// Done ends the read.
func (t *ReadTurn) Done() { t.done() }

var errQueryTime = errors.New("the time for queries is over")

// end is when queries that begin now are given up, by the clock of contexts.
func (r *Reads) end(ctx context.Context) time.Time {
	limited, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	end, _ := limited.Deadline()
	return end
}

// Because returns err, or that the time was over where that ended the read,
// whose context this is.
func (t *ReadTurn) Because(ctx context.Context, err error) error {
	if err == nil || context.Cause(ctx) != errQueryTime || !errors.Is(err, context.DeadlineExceeded) && meter.KindOf(err) != meter.KindInternal {
		return err
	}
	return meter.WrapError(meter.KindUnavailable, err,
		"the query took longer than %s and was given up; ask for a shorter range, or for what a meter groups by", t.limit)
}

// place waits for a place; done gives it back.
func (r *Reads) place(ctx context.Context, who Who) (done func(), err error) {
	wait, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if r.places.Take(wait, who) {
		return func() { r.places.Give(who) }, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, meter.WrapError(meter.KindUnavailable, err, "the query was given up")
	}
	return nil, &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second,
		Message: "too many queries at work; send this one again"}
}
