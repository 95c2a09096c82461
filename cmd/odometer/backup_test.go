package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/internal/loadgen"
)

// TestBackupDuringLoad takes a backup while a load runs, restores it
// elsewhere and verifies it. Then the whole load is sent to the restored
// server again: what it answers as duplicate must be exactly what its totals
// held, and the rest must complete them.
func TestBackupDuringLoad(t *testing.T) {
	t.Parallel()
	s := fresh(t, "--checkpoint.events", "20000")
	folder := t.TempDir()
	backup, restored, saved := filepath.Join(folder, "backup"), filepath.Join(folder, "restored"), filepath.Join(folder, "run.json")
	const events = 60_000
	loaded := make(chan int, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		code, _, _ := command(t, s.as(s.adminKey), "load", "--profile", "batch-100", "--connections", "4", "--events", strconv.Itoa(events), "--rate", "60000", "--save", saved)
		loaded <- code
	}()
	<-started
	s.waitForEvents(5000)
	out := must(t, s.as(s.adminKey), "backup", backup)
	if !strings.Contains(out, "as of sequence ") {
		t.Errorf("backup printed %q", out)
	}
	if code := <-loaded; code != exitOK {
		t.Fatalf("the load beside the backup ended with %d", code)
	}
	s.stop()

	must(t, nil, "restore", backup, "--data", restored)
	if out := must(t, nil, "verify", "--data", restored); strings.Contains(out, "problem") {
		t.Errorf("verify of the restored data:\n%s", out)
	}
	r := serve(t, restored)
	if r.adminKey != "" {
		t.Errorf("the restored directory has a new first key")
	}
	run := readRun(t, saved)
	held := r.total(s.adminKey, "load_"+run.Plan.Run()+"_count")
	result, err := loadgen.Resend(t.Context(), loadgen.Target{Address: strings.TrimPrefix(r.url, "http://"), Key: s.adminKey},
		run.Plan, run.Batches, events)
	if err != nil {
		t.Fatal(err)
	}
	if held == 0 || held == events {
		t.Errorf("the backup holds %d of %d events: it was not taken during the load", held, events)
	}
	if result.Verdicts.Duplicates != held || result.Verdicts.Accepted != events-held || result.Verdicts.Sum() != events {
		t.Errorf("the restored server counted %d events and judges the whole load %+v", held, result.Verdicts)
	}
	must(t, r.as(s.adminKey), "load", "--resend", saved, "--events", "1000") // and now has every total
	r.stop()
}

func readRun(t *testing.T, path string) loadgen.Sent {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var run loadgen.Sent
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	return run
}

// total is the total of a meter over all time.
func (s *testServer) total(key, meter string) uint64 {
	s.t.Helper()
	out := must(s.t, s.as(key), "usage", meter, "--from", "2020-01-01", "--format", "csv")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	n, err := strconv.ParseUint(fields[len(fields)-2], 10, 64)
	if err != nil {
		s.t.Fatalf("total of %s: %q", meter, out)
	}
	return n
}

// waitForEvents returns when the ledger has taken in some events.
func (s *testServer) waitForEvents(n uint64) {
	s.t.Helper()
	run := &loadgen.Run{URL: s.url, Target: loadgen.Target{Key: s.adminKey}}
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); {
		if accepted(s.t, run) >= n {
			return
		}
	}
	s.t.Fatalf("the server did not take in %d events", n)
}

// accepted reads the server's count of accepted events.
func accepted(t *testing.T, r *loadgen.Run) (total uint64) {
	t.Helper()
	for name, value := range r.Metrics(t.Context()) {
		if strings.HasPrefix(name, "odometer_events_total{") && strings.Contains(name, `verdict="accepted"`) {
			total += uint64(value)
		}
	}
	return total
}

func TestBackupForms(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.post("/api/v1/meters", s.adminKey, "application/json", testMeter)
	s.post("/api/v1/events", s.adminKey, "application/cloudevents-batch+json", testEvents)
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	must(t, s.as(s.adminKey), "backup", path("online.tar"))
	stream := must(t, s.as(s.adminKey), "backup", "-")
	must(t, s.as(s.adminKey), "backup", path("directory"))
	_, reader := parseKey(t, must(t, s.as(s.adminKey), "key", "create", "--role", "admin"))
	if code, _, errs := command(t, s.as(reader), "backup", path("forbidden")); code != exitFailed || !strings.Contains(errs, "operator") {
		t.Errorf("backup by a key without the operator right: exit code %d: %s", code, errs)
	}
	s.stop()
	if left, _ := filepath.Glob(filepath.Join(s.data, backupPrefix+"*")); len(left) > 0 {
		t.Errorf("left in the data directory: %v", left)
	}
	must(t, nil, "backup", "--data", s.data, path("rest.tar"))

	for _, from := range []string{"online.tar", "directory", "rest.tar", "-"} {
		env, _, errs := testEnv(nil)
		env.Stdin = strings.NewReader(stream)
		source := from
		if from != "-" {
			source = path(from)
		}
		data := path("restored-" + strings.TrimSuffix(from, ".tar"))
		if code := Run(t.Context(), env, []string{"restore", source, "--data", data}); code != exitOK {
			t.Fatalf("restore of %s: exit code %d: %s", from, code, errs)
		}
		r := serve(t, data)
		if out := must(t, r.as(s.adminKey), "usage", "traffic", "--from", "2026-10-01", "--to", "2026-11-01"); !strings.Contains(out, "1000.3") {
			t.Errorf("%s: usage after restoring:\n%s", from, out)
		}
		r.stop()
	}
}

// TestBackupRefusals damages backups in every way a copy can go wrong.
func TestBackupRefusals(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	must(t, s.as(s.adminKey), "backup", path("good"))
	must(t, s.as(s.adminKey), "backup", path("good.tar"))
	s.stop()
	copyOf := func(name string) string {
		to := path(name)
		if err := os.CopyFS(to, os.DirFS(path("good"))); err != nil {
			t.Fatal(err)
		}
		return to
	}
	refused := func(name, source, target, want string, code int) {
		t.Helper()
		got, _, errs := command(t, nil, "restore", source, "--data", target)
		if got != code || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, want %d; %q, want %q", name, got, code, errs, want)
		}
		if _, err := os.Stat(filepath.Join(target, catalogFile)); err == nil {
			t.Errorf("%s: the data directory is there", name)
		}
	}
	damaged := copyOf("damaged")
	flip(t, filepath.Join(damaged, catalogFile))
	refused("flipped bit", damaged, path("r1"), catalogFile+" is damaged", exitDisagrees)
	lacking := copyOf("lacking")
	_ = os.Remove(filepath.Join(lacking, catalogFile))
	refused("missing file", lacking, path("r2"), catalogFile, exitFailed)
	without := copyOf("without")
	_ = os.Remove(filepath.Join(without, manifestName))
	refused("no manifest", without, path("r3"), "is not a backup", exitUsage)

	text, err := os.ReadFile(path("good.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for name, cut := range map[string]int{"half": len(text) / 2, "empty": 0, "within a header": 100, "at a block": len(text) / 1024 * 512, "without its end": len(text) - 4096} {
		short := path("short.tar")
		if err := os.WriteFile(short, text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := command(t, nil, "restore", short, "--data", path("r4")); code != exitDisagrees || !strings.Contains(errs, "cut short") {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
		if _, err := os.Stat(path("r4")); err == nil {
			t.Errorf("%s: a data directory appeared", name)
		}
	}
	refusesTargets(t, s, path)
}

// refusesTargets names targets that are taken, and backups where data directories are wanted.
func refusesTargets(t *testing.T, s *testServer, path func(string) string) {
	t.Helper()
	for name, args := range map[string][]string{
		"restore onto data": {"restore", path("good"), "--data", s.data},
		"backup onto data":  {"backup", "--data", s.data, path("good")},
		"serve a backup":    {"serve", "--listen", "127.0.0.1:0", "--data", path("good")},
		"verify a backup":   {"verify", "--data", path("good")},
	} {
		if code, _, errs := command(t, nil, args...); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
	}
	if code, _, _ := command(t, nil, "backup", "--data", s.data, path("good.tar")); code != exitFailed {
		t.Errorf("backup onto a file that exists: exit code %d", code)
	}
	if err := os.Symlink(s.data, path("link")); err != nil {
		t.Fatal(err)
	}
	for _, within := range []string{s.data, filepath.Join(s.data, "b"), filepath.Join(s.data, "b.tar"), filepath.Join(s.data, ledgerFolder, "x", "b"),
		filepath.Join(path("link"), "b.tar"), filepath.Join(path("link"), ledgerFolder, "..", "b")} {
		if code, _, errs := command(t, nil, "backup", "--data", s.data, within); code != exitUsage || !strings.Contains(errs, "is inside the data directory") {
			t.Errorf("backup to %s: exit code %d: %s", within, code, errs)
		}
	}
	must(t, nil, "backup", "--data", path("link"), s.data+"-beside")
	must(t, nil, "restore", path("good"), "--data", path("still-good"))
}

// TestVerifyFindsDamage flips one bit in the largest file of the log.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	s, files := loadedStores(t, "5000", "log", "*")
	var largest string
	var size int64
	for _, path := range files {
		if info, err := os.Stat(path); err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
	}
	flip(t, largest)
	code, out, errs := command(t, nil, "verify", "--data", s.data)
	if code != exitDisagrees {
		t.Errorf("a flipped bit in %s: exit code %d, want %d\n%s%s", filepath.Base(largest), code, exitDisagrees, out, errs)
	}
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := file.ReadAt(one, size/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := file.WriteAt(one, size/2); err != nil {
		t.Fatal(err)
	}
}
