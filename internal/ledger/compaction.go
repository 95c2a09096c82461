package ledger

import (
	"context"
	"time"

	"odometer/internal/ledger/block"
)

// Pace of the background: a look for cold entries a second, a run every 50 ms.
const (
	compactLook  = time.Second
	compactPause = 50 * time.Millisecond
)

// compactLoop rewrites cold entries until the ledger closes.
func (l *Ledger) compactLoop(ctx context.Context) {
	if l.limits.CompactRows < 0 {
		return
	}
	c, err := l.log.Compactor(l.limits.CompactRows, func(h *block.Header, err error) { l.noteDamage(h, err) })
	timer := time.NewTimer(compactLook)
	defer timer.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		if ctx.Err() != nil || l.stopped() != nil {
			return
		}
		// The last entry is never merged: the log's end is found by its key.
		var more bool
		if done := l.checkpointed.Load(); done > 0 && !l.diskLow.Load() {
			more, err = c.Step(done - 1)
		}
		timer.Reset(pace(more))
	}
	l.logger.Error("small blocks are not merged any more until the next start", "error", err)
}

func pace(more bool) time.Duration {
	if more {
		return compactPause
	}
	return compactLook
}
