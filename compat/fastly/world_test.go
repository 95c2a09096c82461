package fastly

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/client"
	"odometer/internal/catalog"
)

// limit bounds everything that a child process may take.
const limit = 5 * time.Minute

const catalogue = `
meters:
  - {key: requests, event_type: edge, aggregation: COUNT, group_by: [customer, product, service, region]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, service, region]}
products:
  - id: cdn_usage
    name: Delivery
    usage_types:
      - {name: North America Requests, meter: requests, where: {region: na}, unit: unit}
      - {name: Total GB, meter: bytes, unit: GB, scale: "0.000000001"}
      - {name: "Søk & +1/2", meter: bytes, unit: byte}
  - {id: dns, name: DNS, usage_types: [{name: Queries, meter: requests, where: {region: nowhere}}]}
customers:
  - {id: ` + shop + `, name: Shop Inc, services: [{id: SU1, name: shop}, {id: SU2, name: blog}, {id: SU3, name: api}]}
  - {id: "a/b ø", name: Slash, services: [{id: SL, name: slashed}]}
`

const shop = "x4xCwxxJxGCx123Rx5xTx"

// server is a running odometer with a catalogue and usage of last month.
type server struct {
	url    string
	admin  string // unbound
	bound  string // the shop's
	month  string // YYYY-MM
	last   string // last date of the month
	client *client.Client
}

// run runs a program to its end and returns its standard output.
func run(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, errs.Bytes(), out)
	}
	return out
}

// startServer builds odometer, writes its catalogue into a data directory at
// rest, and serves it with usage.
func startServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	binary, data := filepath.Join(dir, "odometer"), filepath.Join(dir, "data")
	run(t, nil, "go", "build", "-o", binary, "../../cmd/odometer")
	s := &server{admin: writeCatalogue(t, data)}
	s.url = serve(t, binary, data)
	var err error
	if s.client, err = client.New(client.Options{URL: s.url, Key: s.admin}); err != nil {
		t.Fatal(err)
	}
	key, err := s.client.CreateKey(t.Context(), client.NewKey{Role: "read", Customer: shop})
	if err != nil {
		t.Fatal(err)
	}
	s.bound = key.Token
	s.load(t)
	return s
}

// writeCatalogue returns the data directory's admin key.
func writeCatalogue(t *testing.T, data string) string {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	store, err := catalog.Open(ctx, filepath.Join(data, "catalog.db"), catalog.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := store.EnsureDefault(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := catalog.ParseDocument([]byte(catalogue))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Apply(ctx, "default", doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return admin
}

// serve starts the server, to be stopped with the test, and returns its URL.
func serve(t *testing.T, binary, data string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, binary, "serve", "--data", data, "--listen", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("serve: %v\n%s", err, log.Bytes())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening: "); ok {
			return url
		}
	}
	t.Fatalf("the server did not start: %v\n%s", lines.Err(), log.Bytes())
	return ""
}

// load creates the meters and sends a month's usage: 3 requests of SU1, 2 of
// SU2 and 1 of SU3, and one of the customer with the odd name.
func (s *server) load(t *testing.T) {
	t.Helper()
	for _, m := range []client.Meter{
		{Key: "requests", EventType: "edge", Aggregation: "COUNT", GroupBy: []string{"customer", "product", "service", "region"}},
		{Key: "bytes", EventType: "edge", Aggregation: "SUM", Value: "bytes", GroupBy: []string{"customer", "product", "service", "region"}},
	} {
		if _, err := s.client.CreateMeter(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	year, month, _ := time.Now().UTC().Date()
	first := time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC)
	s.month, s.last = first.Format("2006-01"), first.AddDate(0, 1, -1).Format(time.DateOnly)
	var events []client.Event
	for i, e := range []struct{ customer, service string }{
		{shop, "SU1"}, {shop, "SU1"}, {shop, "SU1"}, {shop, "SU2"}, {shop, "SU2"}, {shop, "SU3"}, {"a/b ø", "SL"},
	} {
		events = append(events, client.Event{ID: fmt.Sprint(i), Source: "test", Type: "edge", Subject: e.customer, Time: first.Add(time.Duration(i) * 24 * time.Hour),
			Data: map[string]any{"service": e.service, "region": "na", "bytes": json.Number("123456789.25")}})
	}
	if r, err := s.client.Ingest(t.Context(), events...); err != nil || r.Accepted != len(events) {
		t.Fatalf("%+v %v", r, err)
	}
}

// call is one call of a vendor's client, by the client's own names.
type call struct {
	Operation string            `json:"operation"`
	Arguments map[string]string `json:"arguments"`
}

// result is what the client made of the answer.
type result struct {
	Value  json.RawMessage
	Error  string
	Status int
	Body   string
}

// vendor is a vendor's client that can be run.
type vendor []string

// calls runs the client once for all calls.
func (v vendor) calls(t *testing.T, s *server, token, prefix string, calls ...call) []result {
	t.Helper()
	if len(calls) == 0 {
		return nil
	}
	job, err := json.Marshal(map[string]any{"host": s.url, "token": token, "prefix": prefix, "calls": calls})
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	out := run(t, job, v[0], v[1:]...)
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(calls) {
		t.Fatalf("%d results, %v: %s", len(results), err, out)
	}
	return results
}

// call runs the client for one call that has to succeed.
func (v vendor) call(t *testing.T, s *server, token string, c call, into any) {
	t.Helper()
	r := v.calls(t, s, token, "", c)[0]
	if r.Error != "" {
		t.Fatalf("%+v: %s %d %s", c, r.Error, r.Status, r.Body)
	}
	if err := json.Unmarshal(r.Value, into); err != nil {
		t.Fatalf("%+v: %v: %s", c, err, r.Value)
	}
}

// setUp installs a client and returns what the script prints, unless ODOMETER_ALLOW_MISSING names its tool.
func setUp(t *testing.T, tool, script string, args ...string) (string, bool) {
	t.Helper()
	if testing.Short() {
		t.Log("not run: it takes longer than a short test may")
		return "", false
	}
	if slices.Contains(strings.Split(os.Getenv("ODOMETER_ALLOW_MISSING"), ","), tool) {
		t.Logf("not run: %s may be missing, as ODOMETER_ALLOW_MISSING allows", tool)
		return "", false
	}
	return strings.TrimSpace(string(run(t, nil, script, args...))), true
}

func python(t *testing.T, generation string) (vendor, bool) {
	t.Helper()
	interpreter, ok := setUp(t, "pypi", "../../scripts/setup-python.sh", "fastly-"+generation, "testdata/python-"+generation+".txt")
	return vendor{interpreter, "testdata/client.py"}, ok
}

func node(t *testing.T) (vendor, bool) {
	t.Helper()
	_, ok := setUp(t, "npm", "../../scripts/setup-node.sh", "testdata/js")
	return vendor{"node", "testdata/js/client.js"}, ok
}
