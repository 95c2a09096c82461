package thousandeyes

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

// tests is how many tests the shop has beside home page: pages of 100 hold them.
const tests = 204

// catalogue has a shop with an agent that two account groups share, and a
// customer that is billed by number of agents.
func catalogue() string {
	var out strings.Builder
	out.WriteString(`
meters:
  - {key: cloud_units, event_type: cloud.units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}
  - {key: enterprise_units, event_type: enterprise.units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}
units:
  cloud: {meter: cloud_units}
  enterprise: {meter: enterprise_units}
  rates: {Web - HTTP Server: {cloud: "1", enterprise: "0.5", per: timeout_s}}
customers:
  - {id: old, name: Old, pricing: legacy, account_groups: [{aid: "77", name: Old group}], quota: {cloud_units: 5, enterprise_agents: 5}}
  - id: shop
    name: Shop
    account_groups: [{aid: "1234", name: Web}, {aid: "5678", name: Nett & ø}]
    agents: [{id: "11", name: Oslo, kind: enterprise, account_group: "1234", effective: 2020-01-01}]
    quota: {cloud_units: 4320000000, endpoint_agents: 10}
    tests:
      - {id: "901", name: home page, type: Web - HTTP Server, account_group: "1234", interval_s: 60, timeout_s: 5, cloud_agents: 2, agents: ["11"]}
`)
	for i := range tests {
		fmt.Fprintf(&out, "      - {id: \"%d\", name: test %d, type: Web - HTTP Server, account_group: \"5678\", timeout_s: 5, instant: true}\n", 1000+i, i)
	}
	return out.String()
}

// server is a running odometer with a catalogue and usage of last month.
type server struct {
	url          string
	admin, bound string // keys: unbound, the shop's
	month, next  string // first instants of last month and of this one
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
	c, err := client.New(client.Options{URL: s.url, Key: s.admin})
	check(t, err)
	key, err := c.CreateKey(t.Context(), client.NewKey{Role: "read", Customer: "shop"})
	check(t, err)
	s.bound = key.Token
	s.load(t, c)
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeCatalogue returns the data directory's admin key.
func writeCatalogue(t *testing.T, data string) string {
	t.Helper()
	check(t, os.MkdirAll(data, 0o700))
	store, err := catalog.Open(t.Context(), filepath.Join(data, "catalog.db"), catalog.Options{Clock: time.Now})
	check(t, err)
	admin, err := store.EnsureDefault(t.Context(), "test")
	check(t, err)
	doc, err := catalog.ParseDocument([]byte(catalogue()))
	check(t, err)
	_, err = store.Apply(t.Context(), "default", doc, catalog.ApplyOptions{Actor: "test"})
	check(t, err)
	check(t, store.Close())
	return admin
}

// serve starts the server, to be stopped with the test, and returns its URL.
func serve(t *testing.T, binary, data string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--limits.thousandeyes-requests", "0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
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

// load sends last month's usage: 2.5 enterprise and 1000.5 cloud units of home
// page, and a cloud unit of each other test, the last of which also used 1.5
// enterprise units of the shared agent.
func (s *server) load(t *testing.T, c *client.Client) {
	t.Helper()
	for _, kind := range []string{"cloud", "enterprise"} {
		_, err := c.CreateMeter(t.Context(), client.Meter{Key: kind + "_units", EventType: kind + ".units", Aggregation: "SUM", Value: "units",
			GroupBy: []string{"customer", "account_group", "test", "agent"}})
		check(t, err)
	}
	year, month, _ := time.Now().UTC().Date()
	first := time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC)
	s.month, s.next = first.Format("2006-01-02T15:04:05"), first.AddDate(0, 1, 0).Format("2006-01-02T15:04:05")
	var events []client.Event
	use := func(kind, test, agent, units string) {
		events = append(events, client.Event{ID: fmt.Sprint(len(events)), Source: "test", Type: kind + ".units", Subject: "shop", Time: first.Add(time.Hour),
			Data: map[string]any{"test": test, "agent": agent, "units": json.Number(units)}})
	}
	use("cloud", "901", "", "1000.5")
	use("enterprise", "901", "11", "2.5")
	for i := range tests {
		use("cloud", fmt.Sprint(1000+i), "", "1")
	}
	use("enterprise", fmt.Sprint(1000+tests-1), "11", "1.5")
	if r, err := c.Ingest(t.Context(), events...); err != nil || r.Accepted != len(events) {
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
	Data   map[string]any
}

// vendor is a vendor's client that can be run. Its oldest release has /v7 in
// each path, later ones in the host.
type vendor struct{ interpreter, prefix string }

// calls runs the client once for all calls.
func (v vendor) calls(t *testing.T, s *server, token string, calls ...call) []result {
	t.Helper()
	job, err := json.Marshal(map[string]any{"host": s.url + v.prefix, "token": token, "calls": calls})
	check(t, err)
	var results []result
	out := run(t, job, v.interpreter, "testdata/client.py")
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(calls) {
		t.Fatalf("%d results, %v: %s", len(results), err, out)
	}
	return results
}

// python installs a release, unless ODOMETER_ALLOW_MISSING (a list with commas) has pypi.
func python(t *testing.T, release string) (vendor, bool) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("ODOMETER_ALLOW_MISSING"), ","), "pypi") {
		t.Log("not run: pypi may be missing, as ODOMETER_ALLOW_MISSING allows")
		return vendor{}, false
	}
	interpreter := run(t, nil, "../../scripts/setup-python.sh", "thousandeyes-"+release, "testdata/python-"+release+".txt")
	v := vendor{interpreter: strings.TrimSpace(string(interpreter))}
	if release != "oldest" {
		v.prefix = "/v7"
	}
	return v, true
}
