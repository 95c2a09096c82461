package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/fixedtest"
)

// testEnv is an Env with an environment of its own.
func testEnv(environ map[string]string) (env *Env, stdout, stderr *fixedtest.Buffer) {
	stdout, stderr = &fixedtest.Buffer{}, &fixedtest.Buffer{}
	return &Env{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Clock: time.Now,
		Getenv:     func(name string) string { return environ[name] },
		IsTerminal: func(any) bool { return false }}, stdout, stderr
}

// command runs one command to its end.
func command(t *testing.T, environ map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env, out, errs := testEnv(environ)
	code = Run(t.Context(), env, args)
	return code, out.String(), errs.String()
}

// must runs one command that has to succeed and returns its standard output.
func must(t *testing.T, environ map[string]string, args ...string) string {
	t.Helper()
	code, out, errs := command(t, environ, args...)
	if code != exitOK {
		t.Fatalf("odometer %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// testServer is `serve` running inside the test, by way of Run.
type testServer struct {
	t        *testing.T
	data     string
	url      string
	adminKey string // "" unless the data directory was fresh
	log      *fixedtest.Buffer
	cancel   context.CancelFunc
	code     chan int
}

// serve starts a server on a random port over a data directory.
func serve(t *testing.T, data string, flags ...string) *testServer {
	t.Helper()
	s := &testServer{t: t, data: data, code: make(chan int, 1)}
	env, _, log := testEnv(nil)
	s.log = log
	reader, writer := io.Pipe()
	env.Stdout = writer
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--limits.min-free-disk", "1MiB"}, flags...)
	go func() {
		code := Run(ctx, env, args)
		_ = writer.Close()
		s.code <- code
	}()
	t.Cleanup(func() { cancel(); _, _ = io.Copy(io.Discard, reader) })
	lines := bufio.NewScanner(reader)
	for s.url == "" && lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "admin key file":
			key, err := os.ReadFile(value)
			if err != nil {
				t.Fatal(err)
			}
			s.adminKey = strings.TrimSpace(string(key))
		case "listening":
			s.url = value
		}
	}
	if s.url == "" {
		t.Fatalf("serve ended before it was ready:\n%s", log)
	}
	return s
}

// fresh starts a server over a new data directory.
func fresh(t *testing.T, flags ...string) *testServer {
	t.Helper()
	s := serve(t, filepath.Join(t.TempDir(), "data"), flags...)
	if !strings.HasPrefix(s.adminKey, "odo_") {
		t.Fatalf("admin key of a fresh directory: %q", s.adminKey)
	}
	return s
}

// stop ends the server as a signal does.
func (s *testServer) stop() {
	s.t.Helper()
	s.cancel()
	if code := <-s.code; code != exitOK {
		s.t.Errorf("serve ended with %d:\n%s", code, s.log)
	}
}

// as is the environment of a client of the server.
func (s *testServer) as(key string) map[string]string {
	return map[string]string{"ODOMETER_URL": s.url, "ODOMETER_KEY": key}
}

// post sends a JSON body and expects success.
func (s *testServer) post(path, key, contentType, body string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		s.t.Fatalf("POST %s: %s: %s", path, response.Status, text)
	}
}
