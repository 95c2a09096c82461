package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// after returns the pause before the next attempt: doubled each time, half
// of it random so that clients do not come back in step, and at least what
// the server asked for. said is nil when nobody answered.
func (r Retry) after(attempt int, said *Error) time.Duration {
	d := r.Longest
	if shift := attempt - 1; shift < 32 && r.First<<shift>>shift == r.First {
		d = min(d, r.First<<shift)
	}
	d = d/2 + rand.N(d/2+1)
	if said != nil {
		d = max(d, min(said.RetryAfter, r.Longest))
	}
	return d
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
