// Command odometer meters usage: it takes in usage events, counts each one
// exactly once and answers for it.
//
// One file holds one subcommand; Run is the whole program as a function and
// Server the whole server as a value, so that tests use both as they are.
// Only this package reads flags, the environment and configuration files.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A reader of the output that went away is an error of a write, which ends
	// the command in order, and not a signal that leaves things behind.
	signal.Ignore(syscall.SIGPIPE)
	keepPrivate()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, osEnv(), os.Args[1:])
	stop()
	os.Exit(code)
}
