package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
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

	// IsTerminal tells whether a stream above is a terminal, where progress
	// may redraw its line.
	IsTerminal func(stream any) bool
}

func osEnv() *Env {
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Clock: time.Now, IsTerminal: fileIsTerminal,
	}
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
