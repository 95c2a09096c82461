// Package harness is what the tests of compat share: it builds odometer once,
// serves a fresh data directory on a random port with a
// catalog and usage, and runs vendors' clients against it.
//
//	Start ─► Server ◄── Client.Calls ─► a program in testdata that uses the vendor's client
//
// Each vendor's client sits in a small program that reads a job as JSON from
// its standard input and writes results as JSON: see Client.
package harness

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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"odometer/client"
)

// limit ends a child process that hangs. It decides about nothing else: a
// machine may be as slow as it is.
const limit = time.Hour

// root is the repository's folder, as seen from a package in compat.
const root = "../.."

// binary builds odometer, once for a process: in a folder of the repository, so
// that what one package of compat has built the next one finds up to date.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(root + "/.tmp/compat")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := lockFile(lock); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "odometer")
	return path, goBuild(root, path, "./cmd/odometer")
})

// Binary returns the path of odometer, built from the source as it is.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	Check(t, err)
	return path
}

// goBuild builds a program of the module in a folder.
func goBuild(module, path, program string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, program)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", program, module, err, out)
	}
	return nil
}

// Check fails the test for an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Short says, in the test's log too, that a test is not run because it takes
// longer than a short one may.
func Short(t testing.TB) bool {
	t.Helper()
	if testing.Short() {
		t.Log("not run: it takes longer than a short test may")
	}
	return testing.Short()
}

// run runs a program to its end and returns its standard output.
func run(ctx context.Context, env []string, stdin []byte, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Env = bytes.NewReader(stdin), append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, errs.Bytes(), out)
	}
	return out, nil
}

// World is what a server begins with.
type World struct {
	Catalog string // YAML, as odometer apply takes it
	Events  []client.Event
	Flags   []string // of odometer serve
	TLS     *TLS     // nil = plain HTTP
}

// Server is a running odometer. It stops with the test.
type Server struct {
	URL    string // without a slash at its end
	Admin  string // key of the default organization
	Client *client.Client
	http   *http.Client
}

// Start serves a fresh data directory with a world in it.
func Start(t testing.TB, w World) *Server {
	t.Helper()
	path := Binary(t)
	s := &Server{http: http.DefaultClient}
	args := append([]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"}, w.Flags...)
	if w.TLS != nil {
		args = append(args, "--tls-cert", w.TLS.Cert, "--tls-key", w.TLS.Key)
		s.http = w.TLS.client()
		t.Cleanup(s.http.CloseIdleConnections)
	}
	s.serve(t, path, args)
	var err error
	s.Client, err = client.New(client.Options{URL: s.URL, Key: s.Admin, HTTPClient: s.http})
	Check(t, err)
	_, err = s.Client.Apply(t.Context(), []byte(w.Catalog), client.ApplyOptions{})
	Check(t, err)
	s.Send(t, w.Events...)
	return s
}

// serve starts the server and sets its URL and its admin key.
func (s *Server) serve(t testing.TB, path string, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	Check(t, err)
	Check(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("serve: %v\n%s", err, tail(log.Bytes(), 20))
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "admin key file":
			key, err := os.ReadFile(value)
			Check(t, err)
			s.Admin = strings.TrimSpace(string(key))
		case "listening":
			s.URL = value
			return
		}
	}
	t.Fatalf("the server did not start: %v\n%s", lines.Err(), log.Bytes())
}

// tail returns the last lines of a text.
func tail(text []byte, lines int) []byte {
	list := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(list[max(0, len(list)-1-lines):], nil)
}

// Send sends events, all of which have to be accepted.
func (s *Server) Send(t testing.TB, events ...client.Event) {
	t.Helper()
	if len(events) == 0 {
		return
	}
	if r, err := s.Client.Ingest(t.Context(), events...); err != nil || r.Accepted != len(events) {
		t.Fatalf("%+v %v", r, err)
	}
}

// Key is a new key: a token, or the three parts of an EdgeGrid credential.
type Key struct {
	ID           string `json:"id"`
	Token        string `json:"key"`
	ClientToken  string `json:"client_token"`
	AccessToken  string `json:"access_token"`
	ClientSecret string `json:"client_secret"`
}

// NewKey creates a key with the members of POST /api/v1/keys.
func (s *Server) NewKey(t testing.TB, members map[string]any) Key {
	t.Helper()
	body, err := json.Marshal(members)
	Check(t, err)
	a := s.Do(t, http.MethodPost, "/api/v1/keys", string(body), "Authorization", "Bearer "+s.Admin, "Content-Type", "application/json")
	var k Key
	if a.Status != http.StatusCreated || json.Unmarshal([]byte(a.Body), &k) != nil {
		t.Fatalf("key %s: %d %s", body, a.Status, a.Body)
	}
	return k
}

// Answer is an answer as it was on the wire.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request for a path and query as they are, with headers in pairs
// of name and value, for what no vendor's client sends. Redirects are not followed.
func (s *Server) Do(t testing.TB, method, target, body string, header ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	Check(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	c := *s.http
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := c.Do(r)
	Check(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	Check(t, err)
	return Answer{response.StatusCode, response.Header, string(text)}
}
