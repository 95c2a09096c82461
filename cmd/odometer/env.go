package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Env is everything a command takes from the process around it. Tests make
// their own; osEnv is the real one.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer // answers: tables, CSV, the lines other programs read
	Stderr io.Writer // logs, progress, errors

	Getenv func(name string) string
	Clock  func() time.Time

	// Hangups returns SIGHUPs from now on, until stop; nil = there are none.
	Hangups func() (signals <-chan os.Signal, stop func())

	// IsTerminal tells whether a stream above is a terminal, where progress
	// may redraw its line.
	IsTerminal func(stream any) bool
}

func osEnv() *Env {
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Clock: time.Now, IsTerminal: fileIsTerminal, Hangups: hangups,
	}
}

func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// hangups is Hangups, for an Env that may have none.
func (e *Env) hangups() (<-chan os.Signal, func()) {
	if e.Hangups == nil {
		return nil, func() {}
	}
	return e.Hangups()
}

func fileIsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printJSON writes a report for programs to read.
func printJSON(w io.Writer, report any) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(text))
	return err
}
