package background_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"odometer/internal/background"
	"odometer/internal/background/backgroundtest"
)

// A job that waits for its end, and one that is done at once, keep to the contract.
func TestJobs(t *testing.T) {
	t.Parallel()
	backgroundtest.Jobs(t, map[string]func(t *testing.T) backgroundtest.Job{
		"waits": func(*testing.T) backgroundtest.Job {
			var begun atomic.Int64
			return backgroundtest.Job{Begun: func() int { return int(begun.Load()) }, Run: func(ctx context.Context) {
				if ctx.Err() == nil {
					begun.Add(1)
				}
				<-ctx.Done()
			}}
		},
		"is done at once": func(*testing.T) backgroundtest.Job {
			var begun atomic.Int64
			return backgroundtest.Job{Once: true, Begun: func() int { return int(begun.Load()) }, Run: func(ctx context.Context) {
				if ctx.Err() == nil {
					begun.Add(1)
				}
			}}
		},
	})
}

// Jobs that are started while others stop run to their end, or not at all.
func TestStartBesideStop(t *testing.T) {
	t.Parallel()
	for range 100 {
		var jobs background.Jobs
		var started, ended atomic.Int64
		var starting sync.WaitGroup
		for range 8 {
			starting.Go(func() {
				if jobs.Start(t.Context(), func(ctx context.Context) {
					<-ctx.Done()
					ended.Add(1)
				}) {
					started.Add(1)
				}
			})
		}
		jobs.Stop()
		starting.Wait()
		jobs.Stop()
		if started.Load() != ended.Load() {
			t.Fatalf("%d were started and %d have ended", started.Load(), ended.Load())
		}
	}
}
