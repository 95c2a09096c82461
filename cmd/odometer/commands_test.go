package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/loadgen"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	admin := s.as(s.adminKey)
	id, key := parseKey(t, must(t, admin, "key", "create", "--role", "read", "--customer", "shop", "--expires", "720h"))
	list := must(t, admin, "key", "list")
	if !strings.Contains(list, id) || !strings.Contains(list, "admin (operator)") || strings.Contains(list, key) {
		t.Errorf("list after creating %s:\n%s", id, list)
	}
	if code, _, errs := command(t, s.as(key), "key", "list"); code != exitFailed || !strings.Contains(errs, "403") {
		t.Errorf("a read key lists keys: exit code %d: %s", code, errs)
	}
	must(t, admin, "key", "revoke", id)
	if code, _, errs := command(t, s.as(key), "usage", "m"); code != exitFailed || !strings.Contains(errs, "401") {
		t.Errorf("a revoked key: exit code %d: %s", code, errs)
	}
	if code, _, _ := command(t, admin, "key", "revoke", "nobody"); code != exitFailed {
		t.Errorf("revoking an unknown key: exit code %d", code)
	}
	s.stop()
}

// TestLostAdminKey makes a new one on the directory at rest.
func TestLostAdminKey(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	lost, _, _ := strings.Cut(strings.TrimPrefix(s.adminKey, "odo_"), "_")
	s.stop()
	id, key := parseKey(t, must(t, nil, "key", "create", "--data", s.data))
	must(t, nil, "key", "revoke", "--data", s.data, lost)
	list := must(t, nil, "key", "list", "--data", s.data)
	if !strings.Contains(list, id) || !strings.Contains(list, lost) {
		t.Errorf("list:\n%s", list)
	}
	again := serve(t, s.data)
	must(t, again.as(key), "key", "list")
	if code, _, _ := command(t, again.as(s.adminKey), "key", "list"); code != exitFailed {
		t.Errorf("the revoked admin key: exit code %d", code)
	}
	again.stop()
}

func parseKey(t *testing.T, out string) (id, key string) {
	t.Helper()
	if _, err := fmt.Sscanf(out, "id: %s\nkey: %s\n", &id, &key); err != nil || !strings.HasPrefix(key, "odo_"+id+"_") {
		t.Fatalf("key create printed %q", out)
	}
	return id, key
}

const (
	testMeter  = `{"key":"traffic","event_type":"edge","aggregation":"SUM","value":"bytes","group_by":["customer","region"]}`
	testEvents = `[
{"specversion":"1.0","id":"1","source":"e","type":"edge","subject":"shop","time":"2026-10-20T10:00:00Z","data":{"bytes":0.1,"region":"eu"}},
{"specversion":"1.0","id":"2","source":"e","type":"edge","subject":"shop","time":"2026-10-20T23:30:00Z","data":{"bytes":0.2,"region":"eu"}},
{"specversion":"1.0","id":"3","source":"e","type":"edge","subject":"news","time":"2026-10-21T10:00:00Z","data":{"bytes":"1000","region":"us, east"}}]`
)

func TestUsage(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.post("/api/v1/meters", s.adminKey, "application/json", testMeter)
	s.post("/api/v1/events", s.adminKey, "application/cloudevents-batch+json", testEvents)
	for name, c := range map[string]struct{ args, want string }{
		"table": {"--window day --group-by customer,region", `
                 start                   end  customer    region   value
  2026-10-20T00:00:00Z  2026-10-21T00:00:00Z      shop        eu     0.3
  2026-10-21T00:00:00Z  2026-10-22T00:00:00Z      news  us, east    1000
                 total                                            1000.3
`},
		"zone": {"--window day --tz Europe/Berlin --filter customer=shop", `
                      start                        end  value
  2026-10-20T00:00:00+02:00  2026-10-21T00:00:00+02:00    0.1
  2026-10-21T00:00:00+02:00  2026-10-22T00:00:00+02:00    0.2
                      total                               0.3
`},
		"csv": {"--format csv --group-by region", `
start,end,region,value,clipped
2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,eu,0.3,false
2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,"us, east",1000,false
`},
		"json": {"--format json --filter customer=news", `
{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z","group":{},"value":"1000","clipped":false}
`},
		"limit": {"--window day --group-by customer --limit 1 --format csv", `
start,end,customer,value,clipped
2026-10-20T00:00:00Z,2026-10-21T00:00:00Z,shop,0.3,false
`},
		"nothing": {"--filter customer=none --window day --format csv", `
start,end,value,clipped
`},
	} {
		args := append([]string{"usage", "traffic", "--from", "2026-10-01", "--to", "2026-11-01"}, strings.Fields(c.args)...)
		got := "\n" + trimRight(must(t, s.as(s.adminKey), args...))
		if got != c.want {
			t.Errorf("%s: got %s want %s", name, got, c.want)
		}
	}
	if code, _, errs := command(t, s.as(s.adminKey), "usage", "none"); code != exitFailed || !strings.Contains(errs, "404") {
		t.Errorf("an unknown meter: exit code %d: %s", code, errs)
	}
	s.stop()
}

func trimRight(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestLoad(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	saved := filepath.Join(t.TempDir(), "run.json")
	for _, args := range []string{
		"--profile batch-1 --events 300 --connections 3 --seed 11",
		"--profile batch-100 --events 5000 --connections 4 --rate 1000000 --seed 12",
		"--profile duplicates --events 20000 --connections 2 --seed 13 --ceiling 100ms",
		"--profile month --events 3000 --connections 2 --seed 14 --queries 2 --data " + s.data,
		"--profile many-customers --events 3000 --connections 1 --seed 15",
		"--profile single-organization --events 3000 --connections 1 --seed 16",
		"--customers 1000 --services 5000 --meters 18 --span 3d --events 3000 --connections 2 --seed 18 --queries 1",
		"--profile batch-100 --customers 80 --organizations 4 --meters 7 --events 2000 --connections 3 --seed 19 --queries 1",
		"--profile batch-1000 --events 12000 --connections 2 --seed 17 --save " + saved,
	} {
		out := must(t, s.as(s.adminKey), append([]string{"load", "--json"}, strings.Fields(args)...)...)
		var report loadgen.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%s: %v in %s", args, err, out)
		}
		if !report.Agrees || report.Verdicts.Accepted == 0 || report.ServerResident == 0 || report.P99 == 0 {
			t.Errorf("%s: %s", args, out)
		}
		if wantDuplicates := strings.Contains(args, "duplicates"); (report.Verdicts.Duplicates > 0) != wantDuplicates {
			t.Errorf("%s: %d duplicates", args, report.Verdicts.Duplicates)
		}
	}
	s.stop()

	// After a restart the same events are known.
	again := serve(t, s.data)
	out := must(t, again.as(s.adminKey), "load", "--resend", saved, "--events", "3000")
	if !strings.Contains(out, "0 accepted, 3,000 duplicate") || !strings.Contains(out, "agree") {
		t.Errorf("resend:\n%s", out)
	}
	again.stop()
}

// TestLoadFindsDisagreement lets someone else count an event of the load's own type.
func TestLoadFindsDisagreement(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	saved := filepath.Join(t.TempDir(), "run.json")
	must(t, s.as(s.adminKey), "load", "--profile", "batch-100", "--events", "500", "--connections", "1", "--save", saved)
	text, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	var run loadgen.Sent
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	s.post("/api/v1/events", s.adminKey, "application/json", fmt.Sprintf(
		`{"specversion":"1.0","id":"x","source":"other","type":%q,"time":%q,"data":{"bytes":1}}`,
		run.Plan.EventType(), run.Plan.Start().Format(time.RFC3339)))
	code, out, errs := command(t, s.as(s.adminKey), "load", "--resend", saved, "--events", "100")
	if code != exitDisagrees || !strings.Contains(out, "DIFFER") || !strings.Contains(errs, `"501"`) {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	s.stop()
}

// TestReadmeTour runs the lines of README as they stand.
func TestReadmeTour(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it builds the program")
		return
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, ok := strings.Cut(string(readme), "<!-- tour: a test runs these lines -->\n```sh\n")
	tour, _, closed := strings.Cut(tour, "```")
	tour, built := strings.CutPrefix(tour, "go build -o bin/odometer ./cmd/odometer\n")
	if !ok || !closed || !built {
		t.Fatal("README has no tour that begins with building the program")
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(buildBinary(t), filepath.Join(folder, "bin", "odometer")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	script := exec.CommandContext(ctx, "bash", "-euc", "trap 'kill %1; wait' EXIT\n"+tour)
	script.Dir = folder
	script.Env = append(os.Environ(), "ODOMETER_LISTEN=127.0.0.1:0")
	text, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{`"accepted":2,"duplicates":0`, `"accepted":0,"duplicates":2`, "1200.5", "2000.5"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the tour does not print %s:\n%s", want, text)
		}
	}
}
