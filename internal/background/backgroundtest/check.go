// Package backgroundtest is the one test of everything that goes on beyond a
// call: jobs, and what is opened and closed with goroutines of its own.
package backgroundtest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/background"
)

// promptly is how soon what was told to end has ended, on a machine that does
// much else.
const promptly = 20 * time.Second

// Job is a job and what a test sees of it.
type Job struct {
	Run func(ctx context.Context)
	// Begun says how much of its work was begun so far.
	Begun func() int
	// Once says that it ends by itself when its work is done.
	Once bool
}

// Jobs checks each job, made anew for every check, against the contract of the
// package background.
func Jobs(t *testing.T, jobs map[string]func(t *testing.T) Job) {
	for name, make := range jobs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("ends when it is told, once", func(t *testing.T) { endsWhenTold(t, make(t)) })
			t.Run("begins nothing after it was stopped", func(t *testing.T) { beginsNothing(t, make(t)) })
		})
	}
}

func endsWhenTold(t *testing.T, j Job) {
	label := t.Name()
	var running background.Jobs
	var ends atomic.Int64
	ended := make(chan struct{})
	running.Start(t.Context(), func(ctx context.Context) {
		defer close(ended)
		defer ends.Add(1)
		labelled(ctx, label, j.Run)
	})
	until(t, func() string { return "it has begun its work" }, func() bool { return j.Begun() > 0 })
	if !j.Once && ends.Load() != 0 {
		t.Error("it ended by itself")
	}
	within(t, "stop it", running.Stop)
	select {
	case <-ended:
	default:
		t.Error("Stop returned before it had ended")
	}
	before := j.Begun()
	within(t, "stop it again", running.Stop)
	within(t, "stop it from two sides", func() {
		go running.Stop()
		running.Stop()
	})
	if running.Start(t.Context(), j.Run) {
		t.Error("it was started after it was stopped")
	}
	noneLeft(t, label)
	if ends.Load() != 1 || j.Begun() != before {
		t.Errorf("it ended %d times, and began work after its end: %v", ends.Load(), j.Begun() != before)
	}
}

// beginsNothing runs a job whose context has ended before it began.
func beginsNothing(t *testing.T, j Job) {
	label := t.Name()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := j.Begun()
	within(t, "run it with a context that has ended", func() { labelled(ctx, label, j.Run) })
	if j.Begun() != before {
		t.Error("it began work under a context that had ended")
	}
	noneLeft(t, label)
}

// Opened checks things that have goroutines from when they are opened until
// they are closed: closing ends them all, and a second time is harmless.
func Opened(t *testing.T, things map[string]func(t *testing.T) (closeIt func())) {
	for name, open := range things {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			label := t.Name()
			var closeIt func()
			labelled(t.Context(), label, func(context.Context) { closeIt = open(t) })
			within(t, "close it", closeIt)
			noneLeft(t, label)
			within(t, "close it again", closeIt)
		})
	}
}

// labelled runs something so that its goroutines, and those that they start,
// are known by a label.
func labelled(ctx context.Context, label string, do func(ctx context.Context)) {
	pprof.Do(ctx, pprof.Labels("background", label), do)
}

// noneLeft waits until no goroutine with the label is left: one that has told
// its end may still have a few instructions to go.
func noneLeft(t *testing.T, label string) {
	t.Helper()
	mark := []byte(fmt.Sprintf("%q:%q", "background", label))
	left := func() (stacks []byte) {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			t.Fatal(err)
		}
		for stack := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) {
			if bytes.Contains(stack, mark) {
				stacks = append(append(stacks, stack...), '\n')
			}
		}
		return stacks
	}
	var stacks []byte
	until(t, func() string { return fmt.Sprintf("all goroutines have ended; left are\n%s", stacks) }, func() bool {
		stacks = left()
		return len(stacks) == 0
	})
}

// until waits for something that is to become so.
func until(t *testing.T, what func() string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(promptly); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("it is not so after %s that %s", promptly, what())
		}
	}
}

// within fails the test where something takes too long.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(promptly):
		t.Fatalf("to %s took longer than %s", what, promptly)
	}
}
