// Command bounds asks a real server for the dearest that each operation of each
// surface allows, with a key of the least role that may, and prints what it
// cost: `make bounds`. The server is killed and started again after each
// request, so that what it took is its own, and what it left behind shows.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"odometer/bench/process"
)

// mostBytes is what one request may take above the server at rest.
const mostBytes = 256 << 20

func main() {
	binary := flag.String("binary", "bin/odometer", "the program that serves")
	only := flag.String("only", "", "measure operations whose line matches this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *binary, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bounds:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, only string) error {
	dir, err := os.MkdirTemp("", "odometer-bounds-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &server{Server: process.Server{Binary: binary, Log: filepath.Join(dir, "log"), Args: []string{"--data", filepath.Join(dir, "data"), "--thousandeyes.rate-limit", "0"}}}
	defer s.Kill()
	if _, err := s.start(ctx); err != nil {
		return err
	}
	began := time.Now()
	w, err := fill(ctx, s)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	fmt.Fprintf(os.Stderr, "filled in %s\n", time.Since(began).Round(time.Second))
	return walk(ctx, s, w, only)
}

// walk measures all entries and prints the table.
func walk(ctx context.Context, s *server, w *world, only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	again, err := s.again(ctx)
	if err != nil {
		return err
	}
	quiet, err := w.quiet(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Another organization's cheap query takes %s at p99 while nothing else is asked; a server at rest takes %d MiB.\n\n", quiet, s.resident()>>20)
	fmt.Println("| Operation | Key | Dearest request | Status | Time | CPU | Memory | Answer | Others' p99 | After kill -9 |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	var wrong []string
	for _, e := range entries() {
		if !pattern.MatchString(e.String()) {
			continue
		}
		m, err := measure(ctx, s, w, e)
		if err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
		again, err = s.again(ctx)
		if err != nil {
			return fmt.Errorf("after %s the server does not start again: %w", e, err)
		}
		fmt.Printf("| `%s` | %s | %s | %d | %s | %s | %s | %s | %s | %d MiB, %s |\n", e.route, e.key, e.what, m.status, short(m.took), short(m.cpu), size(m.peak), size(m.answer),
			short(m.others), again.peak>>20, short(again.ready))
		if m.peak > mostBytes {
			wrong = append(wrong, fmt.Sprintf("%s takes %s", e, size(m.peak)))
		}
		if m.status != e.status() {
			wrong = append(wrong, fmt.Sprintf("%s answers %d: %s", e, m.status, m.text))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d are not as they should be:\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
	return nil
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
