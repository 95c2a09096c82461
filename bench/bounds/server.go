package main

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
	"time"
)

// server is a process over a data directory, as an operator runs it.
type server struct {
	binary, dir string
	url, key    string
	process     *exec.Cmd
	ready       time.Time // when it began to answer
}

// restarted is what a start took.
type restarted struct {
	ready time.Duration
	peak  int64
}

// start serves and waits until the server answers.
func (s *server) start(ctx context.Context) (restarted, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return restarted{}, err
	}
	defer func() { _ = log.Close() }()
	began := time.Now()
	s.process = exec.CommandContext(ctx, s.binary, "serve", "--data", filepath.Join(s.dir, "data"), "--listen", "127.0.0.1:0", "--log-level", "warn", "--thousandeyes.rate-limit", "0")
	s.process.Stderr = log
	out, err := s.process.StdoutPipe()
	if err != nil {
		return restarted{}, err
	}
	if err := s.process.Start(); err != nil {
		return restarted{}, err
	}
	s.url = ""
	for lines := bufio.NewScanner(out); s.url == "" && lines.Scan(); {
		if file, ok := strings.CutPrefix(lines.Text(), "admin key file: "); ok {
			key, err := os.ReadFile(file)
			if err != nil {
				return restarted{}, err
			}
			s.key = strings.TrimSpace(string(key))
		}
		s.url, _ = strings.CutPrefix(lines.Text(), "listening: ")
		if !strings.HasPrefix(lines.Text(), "listening: ") {
			s.url = ""
		}
	}
	if s.url == "" {
		text, _ := os.ReadFile(log.Name())
		return restarted{}, fmt.Errorf("the server ended: %.2000s", text)
	}
	s.ready = time.Now()
	return restarted{s.ready.Sub(began), s.status("VmHWM")}, s.rest(ctx)
}

// kill ends the process at once.
func (s *server) kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// again kills the server and starts it.
func (s *server) again(ctx context.Context) (restarted, error) {
	s.kill()
	return s.start(ctx)
}

func (s *server) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.process.Process.Pid), name)
}

// status is a size of /proc/PID/status in bytes, 0 where there is none.
func (s *server) status(name string) int64 {
	text, err := os.ReadFile(s.proc("status"))
	_, after, ok := bytes.Cut(text, []byte(name+":"))
	if fields := bytes.Fields(after); err == nil && ok && len(fields) > 0 {
		n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		return n << 10
	}
	return 0
}

func (s *server) resident() int64 { return s.status("VmRSS") }

// forget lets the largest resident size begin anew.
func (s *server) forget() error { return os.WriteFile(s.proc("clear_refs"), []byte("5"), 0o200) }

// tick is the unit of /proc/PID/stat: 100 a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the processor time that the process has used.
func (s *server) cpu() time.Duration {
	text, err := os.ReadFile(s.proc("stat"))
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if err != nil || !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// rest waits until the process has done nothing for a fifth of a second, or a
// quarter of a minute has passed.
func (s *server) rest(ctx context.Context) error {
	for quiet, n := 0, 0; quiet < 4 && n < 300; n++ {
		before := s.cpu()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if quiet++; s.cpu()-before > tick {
			quiet = 0
		}
	}
	return nil
}

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
