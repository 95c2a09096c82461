package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

// copyTree copies a data directory.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// spoil changes a byte in every four KiB of a file.
func spoil(t *testing.T, r *rand.Rand, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		t.Fatal(len(b), err)
	}
	for at := 0; at < len(b); at += 4096 {
		b[at+r.IntN(min(4096, len(b)-at))] ^= 1 << r.IntN(8)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loadedStores is a server that has taken in so many events and stopped, and
// those of its ledger's files that a pattern names.
func loadedStores(t *testing.T, events string, pattern ...string) (s *testServer, files []string) {
	t.Helper()
	s = fresh(t)
	must(t, s.as(s.adminKey), "load", "--profile", "batch-1000", "--connections", "1", "--events", events)
	s.stop()
	must(t, nil, "verify", "--data", s.data)
	files, err := filepath.Glob(filepath.Join(append([]string{s.data, ledgerFolder}, pattern...)...))
	if err != nil {
		t.Fatal(err)
	}
	return s, files
}

// TestDamagedStores: damage of any file of the ledger's stores ends verify
// with exit code 3, or is without effect.
func TestDamagedStores(t *testing.T) {
	t.Parallel()
	s, files := loadedStores(t, "3000", "*", "*")
	r := fixedtest.Rand(t)
	told := map[string]int{}
	for _, file := range files {
		kind := filepath.Base(filepath.Dir(file)) + "/" + filepath.Ext(file)
		if info, err := os.Stat(file); err != nil || info.Size() == 0 || strings.HasPrefix(filepath.Base(file), "OPTIONS") || strings.HasPrefix(filepath.Base(file), "marker") {
			continue
		}
		data := filepath.Join(t.TempDir(), "data")
		copyTree(t, s.data, data)
		name, err := filepath.Rel(s.data, file)
		if err != nil {
			t.Fatal(err)
		}
		spoil(t, r, filepath.Join(data, name))
		code, out, errs := command(t, nil, "verify", "--data", data)
		if code != exitDisagrees && code != exitOK {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		if code == exitDisagrees {
			told[kind]++
		}
	}
	for _, kind := range []string{"state/.sst", "ids/.run", "log/.sst"} {
		if told[kind] == 0 {
			t.Errorf("damage of no %s was told: %v", kind, told)
		}
	}
}

// knownEvents is how many events are asked for again: their pages are those of
// their hashes, of which some are always in the part that is spoiled.
const knownEvents = 40

func knownEvent(i int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"s","type":"t","subject":"c"}`, i)
}

// TestDamageIsCounted: while requests are refused for damaged tables or pages,
// the gauge says that there is damage.
func TestDamageIsCounted(t *testing.T) {
	t.Parallel()
	first := fresh(t)
	must(t, first.as(first.adminKey), "load", "--profile", "batch-1000", "--connections", "1", "--events", "3000")
	for i := range knownEvents {
		first.post("/api/v1/events", first.adminKey, "application/cloudevents+json", knownEvent(i))
	}
	first.stop()
	must(t, nil, "verify", "--data", first.data) // opening it writes what the log had into tables
	for _, pattern := range []string{"state/*.sst", "ids/*.run"} {
		data := filepath.Join(t.TempDir(), "data")
		copyTree(t, first.data, data)
		files, err := filepath.Glob(filepath.Join(data, ledgerFolder, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			spoilRows(t, file)
		}
		s := serve(t, data)
		refused := 0
		type request struct{ method, path, body string }
		requests := []request{{http.MethodGet, "/api/v1/events?limit=10", ""}}
		var listed struct{ Meters []struct{ Key string } }
		if _, text := ask(t, s, first.adminKey, http.MethodGet, "/api/v1/meters", ""); json.Unmarshal([]byte(text), &listed) != nil || len(listed.Meters) == 0 {
			t.Fatal(text)
		}
		for _, m := range listed.Meters {
			requests = append(requests, request{http.MethodGet, "/api/v1/meters/" + m.Key + "/usage?from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z&group_by=service", ""})
		}
		for i := range knownEvents {
			requests = append(requests, request{http.MethodPost, "/api/v1/events", knownEvent(i)})
		}
		for _, request := range requests {
			status, _ := ask(t, s, first.adminKey, request.method, request.path, request.body)
			if status == http.StatusServiceUnavailable {
				refused++
			}
		}
		_, text := ask(t, s, first.adminKey, http.MethodGet, "/metrics", "")
		if refused == 0 || !strings.Contains(text, "\nodometer_damaged_blocks ") || strings.Contains(text, "\nodometer_damaged_blocks 0\n") {
			t.Errorf("%s: %d requests were refused, and the gauge says otherwise", pattern, refused)
		}
		s.cancel()
		<-s.code
	}
}

// spoilRows changes bytes all over the middle of a file: what leads to its rows,
// at its end, stays, and of a table what is read at the start, so
// that the server starts.
func spoilRows(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from := 50
	if filepath.Ext(path) == ".sst" {
		from = len(b) / 2
	}
	for at := from; at < len(b)*2/3; at += 100 {
		b[at] ^= 0x10
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, s *testServer, key, method, path, body string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/cloudevents+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}
