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
		j := job{every: time.Millisecond, later: later, failed: "it failed", run: func(ctx context.Context) error {
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
			j.loop(ctx, slog.New(slog.NewTextHandler(&log, nil)))
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
	j.loop(ctx, slog.New(slog.DiscardHandler))
}

// A job that has come to take long runs less often, so that it never takes more
// than a twentieth of the time.
func TestJobsRest(t *testing.T) {
	t.Parallel()
	j := job{every: 5 * time.Minute, rests: true}
	for took, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, 10 * time.Second: 4*time.Minute + 50*time.Second, 15 * time.Second: 285 * time.Second, time.Minute: 19 * time.Minute} {
		if got := j.pause(took); got != want {
			t.Errorf("after a run of %s it waits %s, want %s", took, got, want)
		}
	}
	prompt := job{every: time.Minute}
	if got := prompt.pause(2 * time.Minute); got != 0 {
		t.Errorf("a job that is waited for rests %s", got)
	}
}
