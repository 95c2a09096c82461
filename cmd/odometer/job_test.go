package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A job goes on after a failure, runs once at a time, and has ended when its
// context has.
func TestJobs(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		ctx, stop := context.WithCancel(context.Background())
		var log bytes.Buffer
		runs, running := make(chan bool), false
		j := job{every: time.Millisecond, later: later, run: func(ctx context.Context) error {
			if running {
				t.Error("two runs at once")
			}
			running = true
			defer func() { running = false }()
			select {
			case runs <- true:
			case <-ctx.Done():
			}
			return errors.New("out of luck")
		}}
		ended := make(chan bool)
		go func() {
			j.loop(ctx, slog.New(slog.NewTextHandler(&log, nil)), "it failed")
			close(ended)
		}()
		for range 3 {
			<-runs
		}
		stop()
		<-ended
		if n := strings.Count(log.String(), "it failed"); n < 2 || !strings.Contains(log.String(), "out of luck") {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	}
	// A job that waits for its first turn does nothing before it.
	ctx, stop := context.WithCancel(context.Background())
	stop()
	j := job{every: time.Hour, later: true, run: func(context.Context) error { t.Error("it ran"); return nil }}
	j.loop(ctx, slog.New(slog.DiscardHandler), "")
}
