package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process over a data directory, as an operator runs it.
type server struct {
	binary, log string
	args        []string
	url, key    string
	process     *exec.Cmd
}

// start serves and returns how long it took until the server answered.
func (s *server) start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	began := time.Now()
	s.process = exec.CommandContext(ctx, s.binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "warn"}, s.args...)...)
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
			s.key = strings.TrimSpace(string(key))
		case "listening":
			s.url = value
			return time.Since(began), nil
		}
	}
	text, _ := os.ReadFile(s.log)
	return 0, fmt.Errorf("the server ended: %.2000s", text)
}

// stop ends the process as an operator does.
func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := s.process.Wait()
	s.process = nil
	return err
}

// kill ends a process that is still there.
func (s *server) kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
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

// cpu is the processor time that the process has used, in ticks of 10 ms.
func (s *server) cpu() int64 {
	text, err := os.ReadFile(s.proc("stat"))
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if err != nil || !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}

// rest waits until the process has done nothing for a second, or two minutes
// have passed, and returns how long it was busy.
func (s *server) rest(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for quiet, n := 0, 0; quiet < 20 && n < 2400; n++ {
		before := s.cpu()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if quiet++; s.cpu()-before > 1 {
			quiet = 0
		}
	}
	return max(0, time.Since(began)-time.Second), nil
}

// call sends a request and returns how long its whole answer took.
func (b *bench) call(ctx context.Context, method, path, key, body string, want int) (time.Duration, error) {
	began := time.Now()
	_, err := b.request(ctx, method, path, key, body, want)
	return time.Since(began), err
}

// post sends a body and reads the answer.
func (b *bench) post(ctx context.Context, path, body string, into any) error {
	text, err := b.request(ctx, http.MethodPost, path, b.admin, body, http.StatusCreated)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (b *bench) request(ctx context.Context, method, path, key, body string, want int) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, b.server.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("Fastly-Key", key)
	if strings.HasSuffix(path, "/events") {
		q.Header.Set("Content-Type", "application/cloudevents-batch+json")
	} else if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %.500s", method, path, a.Status, text)
	}
	return text, err
}
