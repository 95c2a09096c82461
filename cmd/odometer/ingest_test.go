package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	cmd    IngestCmd
	env    Env
	stdin  string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newIngestion(t *testing.T) *ingestion {
	t.Helper()
	in := &ingestion{server: newCountingServer()}
	in.cmd = IngestCmd{Format: "auto", Delimiter: ",", TimeFormat: "text", Rewritten: "auto", State: t.TempDir(), Batch: 10, Connections: 4, ShowErrors: 100, JSON: true}
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

// accessLine is a line of an access log, different for each n.
func accessLine(n int) string {
	at := time.Unix(1_760_000_000+int64(n), 0).UTC().Format("02/Jan/2006:15:04:05 -0700")
	return fmt.Sprintf("10.0.0.%d - - [%s] \"GET /p/%d HTTP/1.1\" 200 %d \"-\" \"ua\"\n", n%250, at, n, n)
}

func accessLines(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(accessLine(n))
	}
	return b.String()
}

// writeLog replaces the text of a file and keeps its inode.
func writeLog(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
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

func TestIngestFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"access.log":  accessLines(0, 25) + "nonsense\n",
		"usage.csv":   "n,when,who,amount\n1,2025-01-02T03:04:05Z,acme,1.50\n2,tomorrow,acme,1\n",
		"more.ndjson": "{\"id\":\"1\",\"source\":\"s\"}\n{\"id\":\"bad1\",\"source\":\"s\"}\n\n{\"id\":\"1\",\"source\":\"s\",\"x\":1}\n",
	}
	var paths []string
	for _, name := range []string{"access.log", "usage.csv", "more.ndjson"} {
		paths = append(paths, filepath.Join(dir, name))
		writeLog(t, filepath.Join(dir, name), files[name])
	}
	in := newIngestion(t)
	in.cmd.Map = map[string]string{"id": "n", "time": "when", "subject": "who", "data.amount": "amount", "source": "const:erp"}
	in.cmd.Type = "t"
	in.check(t, "27 0 1 3, 3", paths...)
	in.says(t, "access.log:26: no [time] field", "usage.csv:3: time \"tomorrow\"", "more.ndjson:2: not an event", "more.ndjson:4: conflict", "3 rejected, 1 in conflict")
	if got := in.server.content["erp 1"]; !strings.Contains(got, `"subject":"acme"`) || !strings.Contains(got, `{"amount":"1.50"}`) {
		t.Errorf("CSV event %s", got)
	}
	in.check(t, "0 0 0 0, 3", paths...) // all known, of which four do not count
	in.says(t, "4 lines that were sent before do not count")
	in.cmd.FromStart = true
	in.check(t, "0 27 1 3, 3", paths...)
	in.cmd.JSON, in.cmd.FromStart = false, false
	in.check(t, "0 0 0 0, 3", paths...)
	if want := "known lines"; !strings.Contains(in.stdout.String(), want) || !strings.Contains(in.stdout.String(), "total") {
		t.Errorf("table\n%s", in.stdout.String())
	}
}

// What a file holds did not happen when it is sent: the server is asked to
// reject events without a time.
func TestIngestAsksForTimes(t *testing.T) {
	t.Parallel()
	var query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprint(w, `{"accepted":0,"duplicates":0,"conflicts":0,"rejected":1,"errors":[{"index":0,"id":"a","reason":"time is missing"}],"sequence":1}`)
	}))
	defer server.Close()
	c := &IngestCmd{ClientSettings: ClientSettings{URL: server.URL, Key: "odo_x"}, Compress: "none"}
	send, err := c.newClientSender()
	if err != nil {
		t.Fatal(err)
	}
	r, err := send(t.Context(), [][]byte{[]byte(`{"specversion":"1.0","id":"a","source":"s","type":"t"}`)})
	if err != nil || r.Rejected != 1 || query != "require_time=true" {
		t.Errorf("%+v, %v, query %q", r, err, query)
	}
}

// Lines that are accepted and that a meter skips are told, within the budget of errors.
func TestIngestTellsWarnings(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	in.cmd.ShowErrors = 2
	var lines strings.Builder
	for i := range 5 {
		fmt.Fprintf(&lines, `{"specversion":"1.0","id":"odd-%d","source":"s","type":"t","time":"2026-11-20T10:00:00Z"}`+"\n", i)
	}
	path := filepath.Join(t.TempDir(), "odd.ndjson")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	in.check(t, "5 0 0 0, 0", path)
	in.says(t, "odd.ndjson:1: accepted, but meter bytes skipped it", "odd.ndjson:2: accepted", "3 more warnings")
	in.check(t, "0 0 0 0, 0", path)
}

func TestIngestStandardInput(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	in.stdin = accessLines(0, 25) + strings.TrimSuffix(accessLine(25), "\n")
	in.check(t, "0 0 0 0, 1", "-")
	in.says(t, "--source")
	in.cmd.Format = "combined"
	if _, code := in.run(t, t.Context(), "-"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	in.cmd.Format, in.cmd.Source = "auto", "web-1"
	in.check(t, "25 0 0 1, 3", "-") // the last line is never dropped in silence
	in.says(t, "-:26: the input ends within this record")
	in.cmd.Final = true
	in.check(t, "1 25 0 0, 0", "-")
	in.cmd.Source = "web-2"
	in.check(t, "26 0 0 0, 0", "-")

	in = newIngestion(t)
	in.stdin = "\n{\"id\":\"1\",\"source\":\"s\"}\n"
	in.check(t, "1 0 0 0, 0", "-")
	in.stdin = "time,b\n"
	in.cmd.Format, in.cmd.Type = "csv", "t"
	in.check(t, "0 0 0 0, 1", "-")
	in.stdin = ""
	in.check(t, "0 0 0 0, 0", "-")
}

func TestIngestCommandLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*IngestCmd)
		code   int
	}{
		"batch 20000":            {func(c *IngestCmd) { c.Batch = maxIngestBatch }, exitOK},
		"batch 20001":            {func(c *IngestCmd) { c.Batch = maxIngestBatch + 1 }, exitUsage},
		"batch 0":                {func(c *IngestCmd) { c.Batch = 0 }, exitUsage},
		"64 connections":         {func(c *IngestCmd) { c.Connections = maxIngestConnections }, exitOK},
		"65 connections":         {func(c *IngestCmd) { c.Connections = maxIngestConnections + 1 }, exitUsage},
		"no connections":         {func(c *IngestCmd) { c.Connections = 0 }, exitUsage},
		"tab":                    {func(c *IngestCmd) { c.Delimiter = `\t` }, exitOK},
		"quote":                  {func(c *IngestCmd) { c.Delimiter = `"` }, exitUsage},
		"map":                    {func(c *IngestCmd) { c.Map = map[string]string{"when": "x"} }, exitUsage},
		"zone":                   {func(c *IngestCmd) { c.Zone = "Mars/Olympus" }, exitUsage},
		"two subjects":           {func(c *IngestCmd) { c.Subject, c.SubjectField = "a", "user" }, exitUsage},
		"follow standard input":  {func(c *IngestCmd) { c.Follow, c.Files = true, []string{"-"} }, exitUsage},
		"follow without waiting": {func(c *IngestCmd) { c.Follow, c.Final = true, true }, exitUsage},
		"no such file":           {func(c *IngestCmd) { c.Files = []string{filepath.Join(t.TempDir(), "none")} }, exitFailed},
	}
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLine(0))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newIngestion(t)
			cmd := in.cmd
			cmd.Files = []string{path}
			test.change(&cmd)
			in.env.Stdout, in.env.Stderr = io.Discard, &in.stderr
			if code := report(t.Context(), &in.env, cmd.Run(t.Context(), &in.env)); code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, in.stderr.String())
			}
		})
	}
}

// TestIngestServerLostItsData answers from an empty server what the state says
// was acknowledged: everything is sent again, and nothing is counted twice.
func TestIngestServerLostItsData(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLines(0, 95))
	in := newIngestion(t)
	in.check(t, "95 0 0 0, 0", path)
	calls := in.server.calls
	in.check(t, "0 0 0 0, 0", path)
	if in.server.calls != calls+1 {
		t.Errorf("%d requests to find that nothing is new", in.server.calls-calls)
	}
	in.server.content = map[string]string{}
	appendLog(t, path, accessLines(95, 100))
	in.check(t, "100 0 0 0, 0", path)
	in.says(t, "sent again from the start")
	in.check(t, "0 0 0 0, 0", path)
}

// TestIngestFailure lets one request in the middle fail: what was acknowledged
// stays counted, and the next run sends the rest.
func TestIngestFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLines(0, 300))
	in := newIngestion(t)
	in.server.before = func(call int) error {
		if call == 12 {
			return errors.New("connection refused")
		}
		return nil
	}
	total, code := in.run(t, t.Context(), path)
	if code != exitFailed || total.Accepted >= 300 || total.Accepted != len(in.server.content) {
		t.Errorf("code %d, %d accepted, %d counted", code, total.Accepted, len(in.server.content))
	}
	in.says(t, "connection refused")
	in.server.before = nil
	again, code := in.run(t, t.Context(), path)
	if code != exitOK || total.Accepted+again.Accepted != 300 || again.Known < 70 || again.Duplicates > 3*10 {
		t.Errorf("code %d, then %+v", code, again)
	}
	if in.server.most > 4 {
		t.Errorf("%d requests at a time", in.server.most)
	}
}

// TestIngestInterrupted cancels while requests are under way: they are finished
// and counted, and the next run goes on behind them.
func TestIngestInterrupted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLines(0, 1000))
	in := newIngestion(t)
	ctx, cancel := context.WithCancel(t.Context())
	in.server.before = func(call int) error {
		if call == 20 {
			cancel()
		}
		return nil
	}
	total, code := in.run(t, ctx, path)
	if code != exitInterrupted || total.Accepted < 200 || total.Accepted > 250 || total.Accepted != len(in.server.content) {
		t.Errorf("code %d, %d accepted, %d counted", code, total.Accepted, len(in.server.content))
	}
	in.says(t, "interrupted; the same command goes on from here")
	in.server.before = nil
	in.check(t, fmt.Sprintf("%d 0 0 0, 0", 1000-total.Accepted), path)
}

func TestIngestInterruptedStandardInput(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	in.cmd.Source, in.cmd.Files = "web-1", []string{"-"}
	ctx, cancel := context.WithCancel(t.Context())
	in.server.before = func(int) error { cancel(); return nil }
	r, w := io.Pipe() // never closed by the writer
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, accessLines(0, 3)) }()
	env := in.env
	env.Stdin, env.Stdout, env.Stderr = r, &in.stdout, &in.stderr
	if code := report(ctx, &env, in.cmd.Run(ctx, &env)); code != exitInterrupted || len(in.server.content) == 0 {
		t.Errorf("code %d, %d counted: %s", code, len(in.server.content), in.stderr.String())
	}
}

func TestIngestShowErrors(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLine(0)+strings.Repeat("x\n", 5))
	for limit, left := range map[int]string{4: "1 more lines were not counted", 5: ""} {
		in := newIngestion(t)
		in.cmd.Format, in.cmd.ShowErrors = "combined", limit
		in.check(t, "1 0 0 5, 3", path)
		if n := strings.Count(in.stderr.String(), "no [time] field"); n != limit {
			t.Errorf("%d lines printed, want %d", n, limit)
		}
		if left != "" {
			in.says(t, left)
		} else if strings.Contains(in.stderr.String(), "more lines") {
			t.Error(in.stderr.String())
		}
	}
}

func TestIngestProgress(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	writeLog(t, path, accessLines(0, 100))
	for _, terminal := range []bool{true, false} {
		in := newIngestion(t)
		var mu sync.Mutex
		now := time.Unix(1_760_000_000, 0)
		in.env.Clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Second)
			return now
		}
		in.env.IsTerminal = func(any) bool { return terminal }
		in.check(t, "100 0 0 0, 0", path)
		if terminal {
			in.says(t, "\r\x1b[K[====", "% of ", "events/s  accepted")
		} else {
			in.says(t, "events/s  accepted")
			if strings.Contains(in.stderr.String(), "\x1b") {
				t.Errorf("escapes without a terminal: %q", in.stderr.String())
			}
		}
	}
}

// TestIngestHeldAndRefused is what cannot be told: it is said, and it is no success.
func TestIngestHeldAndRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	in := newIngestion(t)
	writeLog(t, path, accessLines(0, 200))
	in.check(t, "200 0 0 0, 0", path)
	writeLog(t, path, accessLines(0, 2))
	in.check(t, "0 0 0 0, 3", path)
	in.says(t, "nothing is sent before it is clear")
	writeLog(t, path, accessLines(0, 2)+accessLines(300, 310))
	in.check(t, "12 0 0 0, 0", path)
	writeLog(t, path, accessLines(0, 100)+accessLines(400, 600))
	in.check(t, "0 0 0 0, 3", path)
	in.says(t, "it seems edited", "1 of 1 files were not")
	in.cmd.Rewritten = "count"
	in.check(t, "200 100 0 0, 0", path)
}

func TestIngestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	in := newIngestion(t)
	in.cmd.Follow, in.cmd.Files = true, []string{path}
	ctx, cancel := context.WithCancel(t.Context())
	steps := []func(){
		func() { writeLog(t, path, accessLines(0, 10)) },
		func() { appendLog(t, path, accessLines(10, 15)+accessLine(15)[:9]) },
		func() { appendLog(t, path, accessLine(15)[9:]) },
		func() { // renamed; the web server still writes to the old file
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			appendLog(t, path+".1", accessLines(16, 18))
		},
		func() { writeLog(t, path, accessLines(20, 25)); appendLog(t, path+".1", accessLines(18, 20)) },
		func() { appendLog(t, path, accessLines(25, 27)) },
		func() { writeLog(t, path, "") },
		func() { appendLog(t, path, accessLines(27, 40)) },
		func() {},
	}
	in.cmd.wait = func(context.Context) error {
		if len(steps) == 0 {
			cancel()
			return nil
		}
		steps[0]()
		steps = steps[1:]
		return nil
	}
	env := in.env
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(""), &in.stdout, &in.stderr
	if code := report(ctx, &env, in.cmd.Run(ctx, &env)); code != exitOK || len(in.server.content) != 40 {
		t.Errorf("code %d, %d counted, want 40\n%s%s", code, len(in.server.content), in.stdout.String(), in.stderr.String())
	}
	in.says(t, "waiting for it", "was truncated")
	total := in.server.calls
	in.cmd.Follow = false
	in.check(t, "0 0 0 0, 0", path, path+".1")
	if in.server.calls != total+2 {
		t.Errorf("%d requests to find that nothing is new", in.server.calls-total)
	}
}

func TestIngestBatchBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.ndjson")
	event := func(id string, n int) string { // of n bytes
		text := `{"source":"s","id":"` + id + `","x":"`
		return text + strings.Repeat("x", n-len(text)-2) + "\"}\n"
	}
	const quarter = pipeline.MaxBatchBytes / 4
	for last, calls := range map[int]int{quarter: 2, quarter - 1: 1} { // four events reach the limit, or do not
		in := newIngestion(t)
		writeLog(t, path, event("1", quarter)+event("2", quarter)+event("3", quarter)+event("4", last)+event("5", 100))
		in.check(t, "5 0 0 0, 0", path)
		if in.server.calls != calls {
			t.Errorf("last event of %d bytes: %d requests, want %d", last, in.server.calls, calls)
		}
	}
	for size, calls := range map[int]int{pipeline.MaxProbeBytes: 2, pipeline.MaxProbeBytes + 1: 1} { // remembered, or not
		in := newIngestion(t)
		writeLog(t, path, event("1", size))
		in.check(t, "1 0 0 0, 0", path)
		in.check(t, "0 0 0 0, 0", path)
		if in.server.calls != calls {
			t.Errorf("event of %d bytes: %d requests, want %d", size, in.server.calls, calls)
		}
	}
}

// TestIngestHistories plays random lives of a log folder: lines are written,
// files are rotated in each way, runs are killed, states are lost, the server
// refuses requests. In the end each line is counted once.
func TestIngestHistories(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		seed := rand.Uint64()
		if !playIngestHistory(t, rand.New(rand.NewPCG(seed, 0)), round%2 == 1) {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

// ingestHistory has logs that start with different lines, or, if alike is set,
// with one to three lines that are always the same; then the state is never lost.
type ingestHistory struct {
	*ingestion
	t       *testing.T
	rnd     *rand.Rand
	alike   bool
	dir     string
	log     string // the current log
	next    int    // number of the next line
	written int    // lines
	files   int    // rotated files so far
	partial string // what the line at the end of the log still needs
}

func playIngestHistory(t *testing.T, rnd *rand.Rand, alike bool) bool {
	h := &ingestHistory{ingestion: newIngestion(t), t: t, rnd: rnd, alike: alike, dir: t.TempDir(), next: 10}
	h.log = filepath.Join(h.dir, "access.log")
	h.begin()
	h.grow()
	for range 40 {
		switch rnd.IntN(8) {
		case 0, 1, 2:
			h.grow()
		case 3:
			h.rotate()
		case 4:
			h.compress()
		case 5:
			if rnd.IntN(4) == 0 && !alike {
				h.cmd.State = t.TempDir()
			}
		default:
			h.ingest(rnd.IntN(3) == 0)
		}
	}
	h.grow()
	appendLog(t, h.log, h.partial)
	h.partial = ""
	h.server.before = nil
	total, code := h.run(t, t.Context(), h.all()...)
	again, _ := h.run(t, t.Context(), h.all()...)
	ok := code == exitOK && len(h.server.content) == h.written && total.Conflicts+total.Rejected == 0 && again.Events() == 0
	if !ok {
		t.Errorf("code %d, %d written, %d counted, last run %+v, then %+v\n%s", code, h.written, len(h.server.content), total, again, h.stderr.String())
	}
	return ok
}

// grow writes lines, perhaps the last one in part.
func (h *ingestHistory) grow() {
	text := h.partial
	n := 1 + h.rnd.IntN(40)
	if h.rnd.IntN(10) == 0 {
		n += 200
	}
	text += accessLines(h.next, h.next+n)
	h.next += n
	h.written += n
	h.partial = ""
	if h.rnd.IntN(3) == 0 {
		cut := len(text) - 1 - h.rnd.IntN(30)
		text, h.partial = text[:cut], text[cut:]
	}
	appendLog(h.t, h.log, text)
}

// begin writes the lines that logs have in common, and may have them seen alone.
func (h *ingestHistory) begin() {
	if !h.alike {
		return
	}
	n := 1 + h.rnd.IntN(3)
	appendLog(h.t, h.log, accessLines(0, n))
	h.written += n
	if h.rnd.IntN(2) == 0 {
		h.ingest(h.rnd.IntN(4) == 0)
	}
}

// rotate renames the log, or copies and truncates it.
func (h *ingestHistory) rotate() {
	appendLog(h.t, h.log, h.partial)
	h.partial = ""
	h.files++
	to := fmt.Sprintf("%s.%d", h.log, h.files)
	var err error
	if h.rnd.IntN(2) == 0 {
		err = os.Rename(h.log, to)
	} else {
		var text []byte
		text, err = os.ReadFile(h.log)
		err = errors.Join(err, os.WriteFile(to, text, 0o600), os.Truncate(h.log, 0))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.begin()
	h.grow()
}

func (h *ingestHistory) compress() {
	for _, path := range h.all() {
		if path != h.log && !strings.HasSuffix(path, ".gz") && h.rnd.IntN(2) == 0 {
			gzipLog(h.t, path, path+".gz")
		}
	}
}

func (h *ingestHistory) all() []string {
	files, err := filepath.Glob(h.log + "*")
	if err != nil {
		h.t.Fatal(err)
	}
	h.rnd.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

// ingest runs the command over some of the files; with trouble it is
// interrupted, or requests fail before or after they were counted.
func (h *ingestHistory) ingest(trouble bool) {
	files := h.all()
	files = files[:1+h.rnd.IntN(len(files))]
	h.cmd.Batch, h.cmd.Connections = 1+h.rnd.IntN(30), 1+h.rnd.IntN(4)
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	at, kind := 1+h.rnd.IntN(6), h.rnd.IntN(2)
	calls := h.server.calls
	h.server.before = func(call int) error {
		switch {
		case !trouble || call != calls+at:
			return nil
		case kind == 0:
			cancel()
			return nil
		}
		return errors.New("connection refused")
	}
	h.run(h.t, ctx, files...)
}
