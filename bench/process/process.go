// Package process runs the server as an operator does, and reads what it takes
// of the machine.
package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is a process over a data directory.
type Server struct {
	Binary string
	Log    string   // file that its standard error is appended to
	Args   []string // of serve, beside the address and the level of its log

	URL, Key string // since Start; the key is that of a new directory
	process  *exec.Cmd
}

// Start serves and returns how long it took until the server answered.
func (s *Server) Start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	began := time.Now()
	s.process = exec.CommandContext(ctx, s.Binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "warn"}, s.Args...)...)
	s.process.Stderr = log
	out, err := s.process.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := s.process.Start(); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "admin key file":
			key, err := os.ReadFile(value)
			if err != nil {
				return 0, err
			}
			s.Key = strings.TrimSpace(string(key))
		case "listening":
			s.URL = value
			return time.Since(began), nil
		}
	}
	text, _ := os.ReadFile(s.Log)
	return 0, fmt.Errorf("the server ended: %.2000s", text)
}

// Stop ends the process as an operator does.
func (s *Server) Stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := s.process.Wait()
	s.process = nil
	return err
}

// Kill ends the process at once, if it is still there.
func (s *Server) Kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// File is the path of the process's file in /proc.
func (s *Server) File(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.process.Process.Pid), name)
}

// Memory is a size of /proc/PID/status in bytes, 0 where there is none: VmRSS is
// the resident size, VmHWM the largest so far.
func (s *Server) Memory(name string) int64 {
	text, err := os.ReadFile(s.File("status"))
	_, after, ok := bytes.Cut(text, []byte(name+":"))
	if fields := bytes.Fields(after); err == nil && ok && len(fields) > 0 {
		n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		return n << 10
	}
	return 0
}

// tick is the unit of /proc/PID/stat: 100 a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the processor time that the process has used.
func (s *Server) CPU() time.Duration {
	text, err := os.ReadFile(s.File("stat"))
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if err != nil || !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// restStep is how often Rest looks.
const restStep = 50 * time.Millisecond

// Rest waits until the process has done nothing for some time, or most has passed.
func (s *Server) Rest(ctx context.Context, nothing, most time.Duration) error {
	for quiet, n := time.Duration(0), time.Duration(0); quiet < nothing && n < most; n += restStep {
		before := s.CPU()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(restStep):
		}
		if quiet += restStep; s.CPU()-before > tick {
			quiet = 0
		}
	}
	return nil
}
