package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/intake/intaketest"
	"odometer/internal/intake/pipeline"
)

func TestIngestFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"access.log":  intaketest.AccessLines(0, 25) + "nonsense\n",
		"usage.csv":   "n,when,who,amount\n1,2025-01-02T03:04:05Z,acme,1.50\n2,tomorrow,acme,1\n",
		"more.ndjson": "{\"id\":\"1\",\"source\":\"s\"}\n{\"id\":\"bad1\",\"source\":\"s\"}\n\n{\"id\":\"1\",\"source\":\"s\",\"x\":1}\n",
	}
	var paths []string
	for _, name := range []string{"access.log", "usage.csv", "more.ndjson"} {
		paths = append(paths, filepath.Join(dir, name))
		intaketest.Write(t, filepath.Join(dir, name), files[name])
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
	c := &ingestCmd{ClientSettings: ClientSettings{URL: server.URL, Key: "odo_x"}, Compress: "none"}
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
	in.stdin = intaketest.AccessLines(0, 25) + strings.TrimSuffix(intaketest.AccessLine(25), "\n")
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
		change func(*ingestCmd)
		code   int
	}{
		"batch 20000":            {func(c *ingestCmd) { c.Batch = maxIngestBatch }, exitOK},
		"batch 20001":            {func(c *ingestCmd) { c.Batch = maxIngestBatch + 1 }, exitUsage},
		"batch 0":                {func(c *ingestCmd) { c.Batch = 0 }, exitUsage},
		"64 connections":         {func(c *ingestCmd) { c.Connections = maxIngestConnections }, exitOK},
		"65 connections":         {func(c *ingestCmd) { c.Connections = maxIngestConnections + 1 }, exitUsage},
		"no connections":         {func(c *ingestCmd) { c.Connections = 0 }, exitUsage},
		"tab":                    {func(c *ingestCmd) { c.Delimiter = `\t` }, exitOK},
		"quote":                  {func(c *ingestCmd) { c.Delimiter = `"` }, exitUsage},
		"map":                    {func(c *ingestCmd) { c.Map = map[string]string{"when": "x"} }, exitUsage},
		"zone":                   {func(c *ingestCmd) { c.Zone = "Mars/Olympus" }, exitUsage},
		"two subjects":           {func(c *ingestCmd) { c.Subject, c.SubjectField = "a", "user" }, exitUsage},
		"follow standard input":  {func(c *ingestCmd) { c.Follow, c.Files = true, []string{"-"} }, exitUsage},
		"follow without waiting": {func(c *ingestCmd) { c.Follow, c.Final = true, true }, exitUsage},
		"no such file":           {func(c *ingestCmd) { c.Files = []string{filepath.Join(t.TempDir(), "none")} }, exitFailed},
	}
	path := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLine(0))
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
	intaketest.Write(t, path, intaketest.AccessLines(0, 95))
	in := newIngestion(t)
	in.check(t, "95 0 0 0, 0", path)
	calls := in.server.calls
	in.check(t, "0 0 0 0, 0", path)
	if in.server.calls != calls+1 {
		t.Errorf("%d requests to find that nothing is new", in.server.calls-calls)
	}
	in.server.content = map[string]string{}
	appendLog(t, path, intaketest.AccessLines(95, 100))
	in.check(t, "100 0 0 0, 0", path)
	in.says(t, "sent again from the start")
	in.check(t, "0 0 0 0, 0", path)
}

// TestIngestFailure lets one request in the middle fail: what was acknowledged
// stays counted, and the next run sends the rest.
func TestIngestFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLines(0, 300))
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
	intaketest.Write(t, path, intaketest.AccessLines(0, 1000))
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
	go func() { _, _ = io.WriteString(w, intaketest.AccessLines(0, 3)) }()
	env := in.env
	env.Stdin, env.Stdout, env.Stderr = r, &in.stdout, &in.stderr
	if code := report(ctx, &env, in.cmd.Run(ctx, &env)); code != exitInterrupted || len(in.server.content) == 0 {
		t.Errorf("code %d, %d counted: %s", code, len(in.server.content), in.stderr.String())
	}
}

func TestIngestShowErrors(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLine(0)+strings.Repeat("x\n", 5))
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
	intaketest.Write(t, path, intaketest.AccessLines(0, 100))
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
	intaketest.Write(t, path, intaketest.AccessLines(0, 200))
	in.check(t, "200 0 0 0, 0", path)
	intaketest.Write(t, path, intaketest.AccessLines(0, 2))
	in.check(t, "0 0 0 0, 3", path)
	in.says(t, "nothing is sent before it is clear")
	intaketest.Write(t, path, intaketest.AccessLines(0, 2)+intaketest.AccessLines(300, 310))
	in.check(t, "12 0 0 0, 0", path)
	intaketest.Write(t, path, intaketest.AccessLines(0, 100)+intaketest.AccessLines(400, 600))
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
		func() { intaketest.Write(t, path, intaketest.AccessLines(0, 10)) },
		func() { appendLog(t, path, intaketest.AccessLines(10, 15)+intaketest.AccessLine(15)[:9]) },
		func() { appendLog(t, path, intaketest.AccessLine(15)[9:]) },
		func() { // renamed; the web server still writes to the old file
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			appendLog(t, path+".1", intaketest.AccessLines(16, 18))
		},
		func() {
			intaketest.Write(t, path, intaketest.AccessLines(20, 25))
			appendLog(t, path+".1", intaketest.AccessLines(18, 20))
		},
		func() { appendLog(t, path, intaketest.AccessLines(25, 27)) },
		func() { intaketest.Write(t, path, "") },
		func() { appendLog(t, path, intaketest.AccessLines(27, 40)) },
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
		intaketest.Write(t, path, event("1", quarter)+event("2", quarter)+event("3", quarter)+event("4", last)+event("5", 100))
		in.check(t, "5 0 0 0, 0", path)
		if in.server.calls != calls {
			t.Errorf("last event of %d bytes: %d requests, want %d", last, in.server.calls, calls)
		}
	}
	for size, calls := range map[int]int{pipeline.MaxProbeBytes: 2, pipeline.MaxProbeBytes + 1: 1} { // remembered, or not
		in := newIngestion(t)
		intaketest.Write(t, path, event("1", size))
		in.check(t, "1 0 0 0, 0", path)
		in.check(t, "0 0 0 0, 0", path)
		if in.server.calls != calls {
			t.Errorf("event of %d bytes: %d requests, want %d", size, in.server.calls, calls)
		}
	}
}
