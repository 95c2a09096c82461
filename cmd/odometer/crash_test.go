package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/fixedtest"
)

// TestCrashRounds kills the real server with SIGKILL at random moments of a
// running load, round after round over one data directory, and then counts:
// every acknowledged event must be there exactly once, nothing else at all.
//
// ODOMETER_CRASH_ROUNDS sets the rounds (5; `make crash` runs 50),
// ODOMETER_SEED replays the random choices of a run.
func TestCrashRounds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it builds the program and takes longer than a short test may")
		return
	}
	rounds := envInt(t, "ODOMETER_CRASH_ROUNDS", 5)
	random := fixedtest.Rand(t)
	c := &crasher{t: t, binary: buildBinary(t), data: filepath.Join(t.TempDir(), "data"), base: time.Now().UTC().Truncate(time.Second)}

	server := c.start()
	c.key = server.adminKey
	c.createMeters(server)
	for round := range rounds {
		loads := c.newLoads(round, random)
		c.loadUntilKilled(server, loads, random)
		server = c.start()
		c.resend(server, loads, random)
	}
	c.count(server)
	c.lookUp(server, random)
	server.stop(t)
	out, err := exec.Command(c.binary, "verify", "--data", c.data).CombinedOutput()
	if err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

const (
	crashConnections = 4
	crashBatch       = 40
	crashCustomers   = 7
)

// crashEvent is one event as sent; its bytes follow from its number.
type crashEvent struct {
	id    string
	n     int // over all rounds
	acked bool
}

func (e *crashEvent) customer() string { return fmt.Sprintf("c%d", e.n%crashCustomers) }
func (e *crashEvent) bytes() int       { return e.n*7919%100_003 + 1 }

type crasher struct {
	t      *testing.T
	binary string
	data   string
	key    string
	base   time.Time
	next   int
	all    []*crashEvent // every event that was ever sent, by now all acknowledged
}

func (c *crasher) start() *process {
	c.t.Helper()
	// Small checkpoints, so that kills fall into them too.
	return startProcess(c.t, c.binary, c.data, "--checkpoint.events", "1500", "--checkpoint.every", "1s", "--limits.min-free-disk", "1MiB")
}

func (c *crasher) createMeters(p *process) {
	for _, m := range []string{
		`{"key":"crash_count","event_type":"crash","aggregation":"COUNT","group_by":["customer"]}`,
		`{"key":"crash_sum","event_type":"crash","aggregation":"SUM","value":"bytes","group_by":["customer"]}`,
	} {
		p.call(c.t, http.MethodPost, "/api/v1/meters", c.key, "application/json", []byte(m), http.StatusCreated, nil)
	}
}

// crashLoad is what one connection sends in one round: batches in order.
type crashLoad struct {
	batches [][]*crashEvent
	sent    int // batches handed to the network
}

func (c *crasher) newLoads(round int, random *rand.Rand) []*crashLoad {
	loads := make([]*crashLoad, crashConnections)
	for i := range loads {
		loads[i] = &crashLoad{}
		for b := range 200 {
			var batch []*crashEvent
			for k := range 1 + random.IntN(crashBatch) {
				batch = append(batch, &crashEvent{id: fmt.Sprintf("r%d-c%d-b%d-%d", round, i, b, k), n: c.next})
				c.next++
			}
			loads[i].batches = append(loads[i].batches, batch)
		}
	}
	return loads
}

func (c *crasher) body(batch []*crashEvent) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range batch {
		if i > 0 {
			b.WriteByte(',')
		}
		at := c.base.Add(-time.Duration(e.n%86_400) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(&b, `{"specversion":"1.0","id":%q,"source":"crash","type":"crash","subject":%q,"time":%q,"data":{"bytes":%d}}`,
			e.id, e.customer(), at, e.bytes())
	}
	b.WriteByte(']')
	return b.Bytes()
}

// loadUntilKilled sends on all connections and kills the server after a
// random number of acknowledgements, at a random moment of the requests then
// under way.
func (c *crasher) loadUntilKilled(p *process, loads []*crashLoad, random *rand.Rand) {
	target := int64(1 + random.IntN(300))
	delay := time.Duration(random.IntN(4000)) * time.Microsecond
	var acknowledged atomic.Int64
	reached := make(chan struct{})
	var senders sync.WaitGroup
	for _, load := range loads {
		senders.Go(func() {
			for _, batch := range load.batches {
				load.sent++
				verdicts, err := p.ingest(c.body(batch), c.key)
				if err != nil {
					return // killed: nothing is known of this batch
				}
				if verdicts.Accepted != len(batch) {
					c.t.Errorf("first send of %d events: %+v", len(batch), verdicts)
				}
				for _, e := range batch {
					e.acked = true
				}
				if acknowledged.Add(1) == target {
					close(reached)
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { senders.Wait(); close(finished) }()
	select {
	case <-reached:
		for start := time.Now(); time.Since(start) < delay; { // shorter than a timer can be
		}
	case <-finished:
		c.t.Errorf("the load ended before the kill")
	}
	p.kill(c.t)
	<-finished
}

// resend sends what is in doubt, and some of what is not, until all of it is
// acknowledged.
func (c *crasher) resend(p *process, loads []*crashLoad, random *rand.Rand) {
	for _, load := range loads {
		for i, batch := range load.batches[:load.sent] {
			known := batch[0].acked
			if known && i < load.sent-3 && random.IntN(10) > 0 {
				c.all = append(c.all, batch...)
				continue
			}
			verdicts, err := p.ingest(c.body(batch), c.key)
			if err != nil {
				c.t.Fatalf("resend: %v", err)
			}
			switch {
			case known && verdicts.Duplicates != len(batch):
				c.t.Errorf("%d acknowledged events sent again: %+v, want duplicates only", len(batch), verdicts)
			case !known && verdicts.Accepted != len(batch) && verdicts.Duplicates != len(batch):
				c.t.Errorf("%d events in doubt sent again: %+v, want all accepted or all duplicate", len(batch), verdicts)
			}
			c.all = append(c.all, batch...)
		}
	}
}

// count compares the meters' totals and the list of events with what was acknowledged.
func (c *crasher) count(p *process) {
	counts, sums := map[string]int{}, map[string]int{}
	for _, e := range c.all {
		counts[e.customer()]++
		sums[e.customer()] += e.bytes()
	}
	for meter, want := range map[string]map[string]int{"crash_count": counts, "crash_sum": sums} {
		query := url.Values{"from": {c.base.Add(-48 * time.Hour).Format(time.RFC3339)},
			"to": {c.base.Add(time.Hour).Format(time.RFC3339)}, "group_by": {"customer"}}
		var usage struct {
			Rows []struct {
				Group map[string]string
				Value string
			}
			Total string
		}
		p.call(c.t, http.MethodGet, "/api/v1/meters/"+meter+"/usage?"+query.Encode(), c.key, "", nil, http.StatusOK, &usage)
		total := 0
		for _, row := range usage.Rows {
			customer := row.Group["customer"]
			if row.Value != strconv.Itoa(want[customer]) {
				c.t.Errorf("%s of %s: %s, acknowledged %d", meter, customer, row.Value, want[customer])
			}
			total += want[customer]
		}
		if len(usage.Rows) != len(want) || usage.Total != strconv.Itoa(total) {
			c.t.Errorf("%s: total %s in %d groups, acknowledged %d in %d", meter, usage.Total, len(usage.Rows), total, len(want))
		}
	}
	c.list(p)
	c.t.Logf("%d events acknowledged", len(c.all))
}

// list reads every accepted event and expects each acknowledged one once.
func (c *crasher) list(p *process) {
	seen := make(map[string]int, len(c.all))
	for cursor := ""; ; {
		query := url.Values{"verdict": {"accepted"}, "limit": {"1000"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page struct {
			Events     []struct{ ID string }
			NextCursor string `json:"next_cursor"`
		}
		p.call(c.t, http.MethodGet, "/api/v1/events?"+query.Encode(), c.key, "", nil, http.StatusOK, &page)
		for _, e := range page.Events {
			seen[e.ID]++
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	for _, e := range c.all {
		if seen[e.id] != 1 {
			c.t.Errorf("event %s is listed %d times", e.id, seen[e.id])
		}
	}
	if len(seen) != len(c.all) {
		c.t.Errorf("%d events are listed, %d were acknowledged", len(seen), len(c.all))
	}
}

// lookUp asks for some events one by one.
func (c *crasher) lookUp(p *process, random *rand.Rand) {
	for range 50 {
		e := c.all[random.IntN(len(c.all))]
		var found json.RawMessage
		p.call(c.t, http.MethodGet, "/api/v1/events/lookup?source=crash&id="+e.id, c.key, "", nil, http.StatusOK, &found)
		if !bytes.Contains(found, []byte(`"accepted"`)) || !bytes.Contains(found, []byte("crash_sum")) {
			c.t.Errorf("lookup of %s: %s", e.id, found)
		}
	}
}

func envInt(t *testing.T, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

var binaryFolder string // set by TestMain, removed by it

var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaryFolder, "odometer")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// buildBinary builds the program once for all tests that need it as a process.
func buildBinary(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMain keeps a folder for what buildBinary makes.
func TestMain(m *testing.M) {
	var err error
	if binaryFolder, err = os.MkdirTemp("", "odometer-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(binaryFolder)
	os.Exit(code)
}

// process is a real server under test.
type process struct {
	cmd      *exec.Cmd
	url      string
	adminKey string
	client   *http.Client
	exited   chan error
	log      *bytes.Buffer // read after exited only
}

// startWithin ends what hangs. It decides about nothing else.
const startWithin = 30 * time.Minute

// startProcess starts `serve` on a free port and waits until it is ready.
func startProcess(t *testing.T, binary, data string, flags ...string) *process {
	t.Helper()
	p := &process{exited: make(chan error, 1), log: &bytes.Buffer{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	p.cmd = exec.Command(binary, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, flags...)...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	ready := make(chan error, 1)
	go func() {
		ready <- p.readAnnouncement(stdout)
		_, _ = io.Copy(io.Discard, stdout)
		p.exited <- p.cmd.Wait()
	}()
	select {
	case err = <-ready:
	case <-time.After(startWithin):
		err = errors.New("not ready in time")
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		t.Fatalf("start the server: %v\n%s", errors.Join(err, <-p.exited), p.log)
	}
	return p
}

func (p *process) readAnnouncement(stdout io.Reader) error {
	line := make([]byte, 0, 200)
	for one := make([]byte, 1); ; {
		if _, err := stdout.Read(one); err != nil {
			return fmt.Errorf("it ended before it was ready: %w", err)
		}
		if one[0] != '\n' {
			line = append(line, one[0])
			continue
		}
		name, value, _ := strings.Cut(string(line), ": ")
		switch name {
		case "admin key file":
			key, err := os.ReadFile(value)
			if err != nil {
				return err
			}
			p.adminKey = strings.TrimSpace(string(key))
		case "listening":
			p.url = value
			return nil
		}
		line = line[:0]
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.exited; err == nil {
		t.Error("the server ended by itself before it was killed")
	}
	p.client.CloseIdleConnections()
}

// stop ends the server as an operator would and expects it to say so.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.client.CloseIdleConnections()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exited:
		if err != nil {
			t.Errorf("the server ended with %v\n%s", err, p.log)
		}
	case <-time.After(startWithin):
		t.Errorf("the server did not stop")
	}
}

type verdictCounts struct{ Accepted, Duplicates, Conflicts, Rejected int }

// ingest sends a batch and returns its verdicts; any other outcome is an error.
func (p *process) ingest(body []byte, key string) (verdictCounts, error) {
	var v verdictCounts
	status, text, err := p.do(http.MethodPost, "/api/v1/events", key, "application/cloudevents-batch+json", body)
	if err != nil {
		return v, err
	}
	if status != http.StatusOK {
		return v, fmt.Errorf("status %d: %s", status, text)
	}
	return v, json.Unmarshal(text, &v)
}

func (p *process) do(method, path, key, contentType string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// call makes one request that must answer the given status.
func (p *process) call(t *testing.T, method, path, key, contentType string, body []byte, status int, into any) {
	t.Helper()
	got, text, err := p.do(method, path, key, contentType, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if got != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}
