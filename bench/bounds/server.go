package main

import (
	"context"
	"os"
	"time"

	"odometer/bench/process"
)

// server is the process that is measured.
type server struct {
	process.Server
	ready time.Time // when it began to answer
}

// restarted is what a start took.
type restarted struct {
	ready time.Duration
	peak  int64
}

// start serves, waits until the server answers, and then until it rests for a
// fifth of a second, or a quarter of a minute has passed.
func (s *server) start(ctx context.Context) (restarted, error) {
	took, err := s.Start(ctx)
	if err != nil {
		return restarted{}, err
	}
	s.ready = time.Now()
	return restarted{took, s.Memory("VmHWM")}, s.Rest(ctx, 200*time.Millisecond, 15*time.Second)
}

// again kills the server and starts it.
func (s *server) again(ctx context.Context) (restarted, error) {
	s.Kill()
	return s.start(ctx)
}

func (s *server) resident() int64 { return s.Memory("VmRSS") }

// forget lets the largest resident size begin anew.
func (s *server) forget() error { return os.WriteFile(s.File("clear_refs"), []byte("5"), 0o200) }

// signable waits until the server has answered for two seconds: it refuses what
// was signed before it started, and signatures tell whole seconds.
func (s *server) signable(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(s.ready.Add(2 * time.Second))):
		return nil
	}
}
