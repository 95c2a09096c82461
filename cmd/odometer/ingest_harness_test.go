package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/intake/pipeline"
)

// countingServer counts events as the server does: an identity once, the same
// content again is a duplicate, other content is a conflict. An id that starts
// with "bad" is rejected, of one that starts with "odd" a meter takes nothing.
type countingServer struct {
	mu      sync.Mutex
	content map[string]string
	now     int // requests under way
	most    int // most requests under way at a time
	calls   int
	before  func(call int) error // nil or called before each request is taken
}

func newCountingServer() *countingServer { return &countingServer{content: map[string]string{}} }

func (s *countingServer) send(ctx context.Context, events [][]byte) (pipeline.Result, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.now++
	s.most = max(s.most, s.now)
	before := s.before
	s.mu.Unlock()
	var err error
	if before != nil {
		err = before(call)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if err = errors.Join(err, ctx.Err()); err != nil {
		return pipeline.Result{}, err
	}
	var r pipeline.Result
	for i, event := range events {
		var e struct{ Source, ID string }
		if err := json.Unmarshal(event, &e); err != nil || strings.HasPrefix(e.ID, "bad") {
			r.Rejected++
			r.Problems = append(r.Problems, pipeline.EventProblem{Index: i, Reason: "not an event"})
			continue
		}
		key := e.Source + " " + e.ID
		switch old, known := s.content[key]; {
		case !known:
			s.content[key] = string(event)
			r.Accepted++
			if strings.HasPrefix(e.ID, "odd") {
				r.Warnings = append(r.Warnings, pipeline.EventProblem{Index: i, Reason: "accepted, but meter bytes skipped it"})
			}
		case old == string(event):
			r.Duplicates++
		default:
			r.Conflicts++
			r.Problems = append(r.Problems, pipeline.EventProblem{Index: i, Reason: "conflict with an earlier event"})
		}
	}
	return r, nil
}

// ingestion runs the command against one server and one state folder.
type ingestion struct {
	server *countingServer
	cmd    ingestCmd
	env    Env
	stdin  string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newIngestion(t *testing.T) *ingestion {
	t.Helper()
	in := &ingestion{server: newCountingServer()}
	in.cmd = ingestCmd{Format: "auto", TimeFormat: "text", Rewritten: "auto", State: t.TempDir(), Batch: 10, Connections: 4, ShowErrors: 100, JSON: true}
	in.cmd.URL, in.cmd.Key = "http://127.0.0.1:1", "odo_test"
	in.cmd.sender = in.server.send
	in.env = Env{Getenv: func(string) string { return "" }, Clock: func() time.Time { return time.Unix(1_760_000_000, 0) }}
	return in
}

// run runs the command and returns the totals and the exit code.
func (in *ingestion) run(t *testing.T, ctx context.Context, files ...string) (pipeline.FileTotals, int) {
	t.Helper()
	in.stdout.Reset()
	in.stderr.Reset()
	env := in.env
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(in.stdin), &in.stdout, &in.stderr
	cmd := in.cmd
	cmd.Files = files
	code := report(ctx, &env, cmd.Run(ctx, &env))
	var out struct{ Total pipeline.FileTotals }
	if in.cmd.JSON && in.stdout.Len() > 0 {
		if err := json.Unmarshal(in.stdout.Bytes(), &out); err != nil {
			t.Fatalf("%v in %s", err, in.stdout.Bytes())
		}
	}
	return out.Total, code
}

// check runs the command and compares: "accepted duplicates conflicts rejected, exit code".
func (in *ingestion) check(t *testing.T, want string, files ...string) {
	t.Helper()
	total, code := in.run(t, t.Context(), files...)
	got := fmt.Sprintf("%d %d %d %d, %d", total.Accepted, total.Duplicates, total.Conflicts, total.Rejected, code)
	if got != want {
		t.Errorf("got %s, want %s\n%s", got, want, in.stderr.String())
	}
}

// says checks what was printed on standard error.
func (in *ingestion) says(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(in.stderr.String(), part) {
			t.Errorf("%q is not in\n%s", part, in.stderr.String())
		}
	}
}

func appendLog(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func gzipLog(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close(), os.WriteFile(to, b.Bytes(), 0o600), os.Remove(from)); err != nil {
		t.Fatal(err)
	}
}
