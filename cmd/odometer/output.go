package main

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// output is a command's standard output. It keeps the first error of a write
// and drops what comes after, so that commands may print without looking;
// report turns the error into the exit code. A reader that went away, as in
// `odometer usage m | head`, ends the command.
type output struct {
	to     io.Writer
	broken func() // called once, at the first error

	mu  sync.Mutex
	err error
}

// Write writes p unless a write has failed before.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.err = err
		o.broken()
	}
	return n, err
}

// failed returns the first error of a write.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// outputFailed tells whether a write to env's output, which Run has made, failed.
func outputFailed(env *Env) bool {
	out, ok := env.Stdout.(*output)
	return ok && out.failed() != nil
}

// readerGone tells whether err says that nobody reads an output any more.
func readerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
