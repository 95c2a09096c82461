package nginx

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

// TestAccessLog is the main job on real input. It needs nginx, wrk, curl, awk
// and gzip; one that is missing fails the test unless ODOMETER_ALLOW_MISSING
// (a list of names with commas) names it.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	tools, ok := findTools(t, "nginx", "wrk", "curl", "awk", "gzip")
	if !ok {
		return
	}
	odometer := startOdometer(t)
	web := startNginx(t, tools)
	log := filepath.Join(web.dir, "access.log")

	// While the log is being written a run sees some of it, perhaps half a line.
	web.traffic(t)
	first := odometer.ingest(t, "state", log)
	if first.Accepted == 0 || first.Duplicates+first.Conflicts+first.Rejected != 0 {
		t.Fatalf("first run: %+v", first)
	}
	web.oddRequests(t)
	web.rotate(t, log+".1")
	web.traffic(t)
	web.stop(t)

	// A line is counted once, whether the state is kept or lost, and under
	// whatever name the file has.
	lines := countLines(t, log, log+".1")
	rest := odometer.ingest(t, "state", log, log+".1")
	if first.Accepted+rest.Accepted != lines || rest.Duplicates+rest.Conflicts+rest.Rejected != 0 {
		t.Errorf("%d lines; first run %+v, then %+v", lines, first, rest)
	}
	want := awk(t, tools, log, log+".1")
	odometer.compare(t, "ingested once", want)

	if again := odometer.ingest(t, "state", log, log+".1"); again.events() != 0 {
		t.Errorf("again: %+v", again)
	}
	if again := odometer.ingest(t, "other state", log, log+".1"); again.Duplicates != lines || again.events() != lines {
		t.Errorf("again without the state: %+v, want %d duplicates", again, lines)
	}
	odometer.compare(t, "ingested twice", want)

	rename(t, log+".1", log+".2")
	rename(t, log, log+".1")
	run(t, tools["gzip"], log+".2")
	if again := odometer.ingest(t, "state", log+".1", log+".2.gz"); again.events() != 0 {
		t.Errorf("after rotation: %+v", again)
	}
	if again := odometer.ingest(t, "third state", log+".2.gz", log+".1"); again.Duplicates != lines || again.events() != lines {
		t.Errorf("after rotation without the state: %+v, want %d duplicates", again, lines)
	}
	odometer.compare(t, "rotated", want)
	t.Logf("%d lines, %d pairs of status and path", lines, len(want))
}

func findTools(t *testing.T, names ...string) (map[string]string, bool) {
	t.Helper()
	tools, all := map[string]string{}, true
	for _, name := range names {
		path, err := exec.LookPath(name)
		for _, dir := range []string{"/usr/sbin", "/sbin"} {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(dir, name))
			}
		}
		switch {
		case err == nil:
			tools[name] = path
		case slices.Contains(strings.Split(os.Getenv("ODOMETER_ALLOW_MISSING"), ","), name):
			t.Logf("not run: %s is missing, as ODOMETER_ALLOW_MISSING allows", name)
			all = false
		default:
			t.Fatalf("%s is missing: install it, or name it in ODOMETER_ALLOW_MISSING", name)
		}
	}
	return tools, all
}

// limit ends what hangs. It decides about nothing else.
const limit = time.Hour

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.Bytes())
	}
	return out
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func countLines(t *testing.T, paths ...string) int {
	t.Helper()
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(text, []byte{'\n'})
	}
	return n
}

// figures are hits and bytes by "status<tab>path".
type figures map[string]string

// longestGroup is how many bytes a path may have to be a group.
const longestGroup = 512

// awk counts without any of our code.
func awk(t *testing.T, tools map[string]string, paths ...string) figures {
	t.Helper()
	out := figures{}
	text := run(t, tools["awk"], append([]string{"-f", "testdata/count.awk"}, paths...)...)
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("awk printed %q", line)
		}
		if len(f[1]) > longestGroup {
			continue // the event counts, but not in a meter that groups by its path
		}
		out[f[0]+"\t"+f[1]] = f[2] + " hits, " + f[3] + " bytes"
	}
	return out
}

// waitLine reads lines until one holds the text, then goes on reading in the
// background so that the writer never blocks.
func waitLine(t *testing.T, r io.Reader, text string) (before []string, line string) {
	t.Helper()
	type answer struct {
		before []string
		line   string
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				a.line = lines.Text()
				answers <- a
				_, _ = io.Copy(io.Discard, r)
				return
			}
			a.before = append(a.before, lines.Text())
		}
		answers <- a
	}()
	select {
	case a := <-answers:
		if a.line == "" {
			t.Fatalf("%q was never printed, only %q", text, a.before)
		}
		return a.before, a.line
	case <-time.After(limit):
		t.Fatalf("%q was not printed in time", text)
	}
	return nil, ""
}

// start starts a process that is killed when the test ends, and waits until it
// prints the text on the stream that pick chooses.
func start(t *testing.T, pick func(*exec.Cmd) (io.ReadCloser, error), text, name string, args ...string) (cmd *exec.Cmd, before []string, line string) {
	t.Helper()
	cmd = exec.Command(name, args...)
	stream, err := pick(cmd)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	before, line = waitLine(t, stream, text)
	return cmd, before, line
}

// server is a running `odometer serve`.
type server struct {
	binary, url, key, dir string
	client                *client.Client
}

func startOdometer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), binary: harness.Binary(t)}
	_, before, line := start(t, (*exec.Cmd).StdoutPipe, "listening: ", s.binary, "serve", "--data", filepath.Join(s.dir, "data"), "--listen", "127.0.0.1:0")
	_, s.url, _ = strings.Cut(line, "listening: ")
	for _, line := range before {
		if file, ok := strings.CutPrefix(line, "admin key file: "); ok {
			key, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s.key = strings.TrimSpace(string(key))
		}
	}
	var err error
	if s.client, err = client.New(client.Options{URL: s.url, Key: s.key}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []client.Meter{
		{Key: "hits", EventType: "http.access", Aggregation: "COUNT", GroupBy: []string{"status", "path"}},
		{Key: "bytes", EventType: "http.access", Aggregation: "SUM", Value: "bytes", GroupBy: []string{"status", "path"}},
	} {
		if _, err := s.client.CreateMeter(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// verdicts is the totals that `odometer ingest --json` prints.
type verdicts struct {
	Accepted, Duplicates, Conflicts, Rejected int
}

func (v verdicts) events() int { return v.Accepted + v.Duplicates + v.Conflicts + v.Rejected }

func (s *server) ingest(t *testing.T, state string, files ...string) verdicts {
	t.Helper()
	args := append([]string{"ingest", "--url", s.url, "--key", s.key, "--format", "combined", "--subject", "acme", "--json",
		"--state", filepath.Join(s.dir, state)}, files...)
	var out struct{ Total verdicts }
	if err := json.Unmarshal(run(t, s.binary, args...), &out); err != nil {
		t.Fatal(err)
	}
	return out.Total
}

func (s *server) compare(t *testing.T, when string, want figures) {
	t.Helper()
	got := figures{}
	now := time.Now().UTC()
	q := client.UsageQuery{From: now.AddDate(0, 0, -1), To: now.AddDate(0, 0, 1), GroupBy: []string{"status", "path"}}
	values := map[string]map[string]string{"hits": {}, "bytes": {}}
	for meter, of := range values {
		for row, err := range s.client.UsageRows(t.Context(), meter, q) {
			if err != nil {
				t.Fatal(err)
			}
			of[row.Group["status"]+"\t"+row.Group["path"]] = row.Value
		}
	}
	for group, hits := range values["hits"] {
		got[group] = hits + " hits, " + values["bytes"][group] + " bytes"
	}
	if maps.Equal(got, want) {
		return
	}
	for _, group := range slices.Sorted(maps.Keys(want)) {
		if got[group] != want[group] {
			t.Errorf("%s: %q: %s, awk has %s", when, group, cmp.Or(got[group], "nothing"), want[group])
		}
	}
	for _, group := range slices.Sorted(maps.Keys(got)) {
		if want[group] == "" {
			t.Errorf("%s: %q: %s, awk has nothing", when, group, got[group])
		}
	}
}

// webServer is a running nginx.
type webServer struct {
	tools   map[string]string
	dir     string
	address string
	cmd     *exec.Cmd
}

func startNginx(t *testing.T, tools map[string]string) *webServer {
	t.Helper()
	w := &webServer{tools: tools, dir: t.TempDir()}
	files := map[string]int{"size-0": 0, "size-1": 1, "size-17": 17, "size-1000": 1000, "size-4096": 4096, "size-65536": 65536, "size-300000": 300000, "size-2097152": 2 << 20, "caf\u00e9 menu": 33}
	for i := range 40 {
		files[fmt.Sprintf("dir/%d", i)] = i * i
	}
	if err := os.MkdirAll(filepath.Join(w.dir, "html", "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range files {
		if err := os.WriteFile(filepath.Join(w.dir, "html", name), bytes.Repeat([]byte("x"), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.address = freeAddress(t)
	conf, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(w.address)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // or its worker could not read the folder
	}
	path := filepath.Join(w.dir, "nginx.conf")
	text := strings.NewReplacer("@PORT@", port, "@USER@", user).Replace(string(conf))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.cmd, _, _ = start(t, (*exec.Cmd).StderrPipe, "start worker process ", tools["nginx"], "-p", w.dir, "-c", path, "-e", "stderr", "-g", "daemon off;")
	return w
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// traffic is some seconds of requests of many sizes and paths.
func (w *webServer) traffic(t *testing.T) {
	t.Helper()
	run(t, w.tools["wrk"], "-t1", "-c8", "-d2s", "-s", "testdata/requests.lua", "http://"+w.address)
}

// oddRequests are those that break careless readers of logs.
func (w *webServer) oddRequests(t *testing.T) {
	t.Helper()
	base := "http://" + w.address
	for _, args := range [][]string{
		{base + "/size-17"},
		{"--head", base + "/size-4096"},
		{"--range", "10-19", base + "/size-1000"},
		{"--range", "5000-", base + "/size-1000"},
		{"--http1.0", base + "/size-1"},
		{"--path-as-is", base + "/../../etc/passwd"},
		{"--path-as-is", base + "/dir/../size-17"},
		{base + "/caf%C3%A9%20menu?a=b%22c"},
		{base + "/" + strings.Repeat("long", 1000)},
		{base + "/" + strings.Repeat("longer", 10000)},
		{"--request", "OPTIONS", "--request-target", "*", base},
		{"--request", "PROPFIND", base + "/size-17"},
		{"--data-binary", "@" + filepath.Join(w.dir, "html", "size-2097152"), base + "/size-17"},
		{"--user", "bob builder:secret", base + "/size-17"},
		{"--user-agent", `say "hi" \ [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 1`, "--referer", `"quoted" é`, base + "/size-17"},
		{"--header", "Big: " + strings.Repeat("x", 60000), base + "/size-17"},
		{"--proxy", base, "http://other.example/size-17?via=proxy"},
		{base + "/moved"}, {base + "/gone"}, {base + "/forbidden"}, {base + "/closed"},
	} {
		// curl itself calls some of the answers errors; they are in the log all the same.
		cmd := exec.CommandContext(t.Context(), w.tools["curl"], append([]string{"--silent", "--max-time", "20", "--output", os.DevNull}, args...)...)
		var failed *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\xff\"\\\r\n\r\n",
		"GET /size-17\r\n",
		"GET /a b c HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /size-17 HTTP/9.9\r\nHost: x\r\n\r\n",
		"get /size-17 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET  /size-17 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /raw-\xff\xfe\xc3\xa9-\x7f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /tab\there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /nul\x00here HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n",
		"GET /size-17 HTTP/1.1\r\nConnection: close\r\n\r\n", // no host
		"\r\n\r\n", "nonsense\r\n\r\n", "POST /size-17 HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
	} {
		w.raw(t, text)
	}
}

// raw sends bytes and reads until the server closes.
func (w *webServer) raw(t *testing.T, text string) {
	t.Helper()
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%q: %v", text, err)
	}
}

// rotate renames the log and has nginx open a new one, as logrotate does.
func (w *webServer) rotate(t *testing.T, to string) {
	t.Helper()
	rename(t, filepath.Join(w.dir, "access.log"), to)
	if err := w.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// stop ends nginx after it has written its log.
func (w *webServer) stop(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(limit):
		t.Fatal("nginx does not end")
	}
}
