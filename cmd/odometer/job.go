package main

import (
	"context"
	"log/slog"
	"time"
)

// job is something that a server does again and again. All jobs have this one
// loop: it begins with the server and has ended when the server is closed.
type job struct {
	every time.Duration
	later bool // not at once when the server starts
	run   func(ctx context.Context) error
}

// loop runs the job until ctx is done, one run at a time. A run that fails is
// logged and tried again at its next turn.
func (j *job) loop(ctx context.Context, logger *slog.Logger, failed string) {
	ticker := time.NewTicker(j.every)
	defer ticker.Stop()
	for first := true; ; first = false {
		if !first || !j.later {
			if err := j.run(ctx); err != nil && ctx.Err() == nil {
				logger.Warn(failed, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
