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
	rests bool // a run that takes long is followed by a longer rest: nobody waits for the next
	run   func(ctx context.Context) error
	clock func() time.Time // nil = time.Now

	failed string // logged with the error of a run
}

// jobRest is how many times as long as a run took a job that rests does so: it
// takes no more than a twentieth of a processor, whatever there is to do.
const jobRest = 19

// pause is how long a job waits after a run before the next.
func (j *job) pause(took time.Duration) time.Duration {
	if j.rests {
		return max(j.every-took, jobRest*took)
	}
	return max(j.every-took, 0)
}

// loop runs the job until ctx is done, one run at a time; none begins after
// that. A run that fails is logged and tried again at its next turn.
func (j *job) loop(ctx context.Context, logger *slog.Logger) {
	now := j.clock
	if now == nil {
		now = time.Now
	}
	timer := time.NewTimer(j.every)
	defer timer.Stop()
	for first := true; ctx.Err() == nil; first = false {
		start := now()
		if !first || !j.later {
			if err := j.run(ctx); err != nil && ctx.Err() == nil {
				logger.Warn(j.failed, "error", err)
			}
		}
		timer.Reset(j.pause(now().Sub(start)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}
