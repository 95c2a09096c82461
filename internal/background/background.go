// Package background is the one contract of what goes on beyond a call. A job
// is a function that works until its context ends and then returns; it begins
// nothing once its context has ended, and leaves no goroutine behind. Jobs
// starts and stops them; backgroundtest checks that one keeps to it.
package background

import (
	"context"
	"sync"
)

// Jobs are what runs until Stop. The zero Jobs has none. Its methods may be
// called from many goroutines, Stop not from a job.
type Jobs struct {
	mu      sync.Mutex // taken for a moment only: no job is waited for under it
	stopped bool
	last    int
	ends    map[int]context.CancelFunc // of those that run
	running sync.WaitGroup
}

// Start runs a job in a goroutine of its own. Its context holds the values of
// ctx, which may be that of the start only: the job's ends with Stop, and not
// with it. After Stop the job is not run, and false is returned.
func (j *Jobs) Start(ctx context.Context, job func(ctx context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return false
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	j.last++
	n := j.last
	if j.ends == nil {
		j.ends = map[int]context.CancelFunc{}
	}
	j.ends[n] = end
	j.running.Go(func() {
		defer j.ended(n, end)
		job(ctx) // also where it was stopped before it began, so that it lets go of what it was given
	})
	return true
}

func (j *Jobs) ended(n int, end context.CancelFunc) {
	end()
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.ends, n)
}

// Stop tells all jobs to end and returns when they have; again does nothing more.
func (j *Jobs) Stop() {
	j.mu.Lock()
	j.stopped = true
	for _, end := range j.ends {
		end()
	}
	j.mu.Unlock()
	j.running.Wait()
}
