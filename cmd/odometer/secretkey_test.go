package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/surface/akamai/edgegrid"
)

// edgeGridStatus answers a signed request for a contract that does not exist:
// 404 by a key that is valid.
func (s *testServer) edgeGridStatus(id edgegrid.Identity) int {
	s.t.Helper()
	const target = "/billing/v1/contracts/none/products/cdn/usage/monthly-summary?start=2026-10&end=2026-11"
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", edgegrid.Sign(id, edgegrid.Request{Method: r.Method, Scheme: "http", Host: r.URL.Host, Target: target}, time.Now(), "nonce-"+s.t.Name()))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// wantCredential asks with what key create printed.
func (s *testServer) wantCredential(printed string) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "edgerc")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		s.t.Fatal(err)
	}
	id, err := readEdgeRC(file, "default")
	if err != nil {
		s.t.Fatalf("%v of %q", err, printed)
	}
	if status := s.edgeGridStatus(id); status != http.StatusNotFound {
		s.t.Errorf("a key made by key create: %d", status)
	}
}

// TestSecretKeyFile follows the file from the first EdgeGrid key to a restored
// backup, which lacks it, and back.
func TestSecretKeyFile(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"in the data directory": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			data := filepath.Join(folder, "data")
			file := filepath.Join(data, "secret.key")
			var flags []string
			if elsewhere {
				file = filepath.Join(folder, "secrets")
				flags = []string{"--secret-key-file", file}
			}
			secretKeyLife(t, folder, data, file, flags)
		})
	}
}

func secretKeyLife(t *testing.T, folder, data, file string, flags []string) {
	s := serve(t, data, flags...)
	if _, _, errs := command(t, s.as(s.adminKey), "backup", filepath.Join(folder, "before")); strings.Contains(errs, "secret key file") {
		t.Errorf("a backup lacks a file that does not exist: %s", errs)
	}
	id := edgeGridKey(t, s, s.adminKey)
	if status := s.edgeGridStatus(id); status != http.StatusNotFound {
		t.Errorf("a new key: %d", status)
	}
	s.wantCredential(must(t, s.as(s.adminKey), "key", "create", "--kind", "edgegrid", "--role", "read", "--account", "A-1", "--account", "A-2"))
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	s.wantCredential(must(t, s.as(s.adminKey), "key", "create", "--kind", "edgegrid", "--role", "read"))
	backup, restored := filepath.Join(folder, "backup"), filepath.Join(folder, "restored")
	code, _, errs := command(t, s.as(s.adminKey), "backup", backup)
	if code != exitOK || !strings.Contains(errs, "not in the backup: the secret key file "+file) {
		t.Errorf("backup: exit code %d: %s", code, errs)
	}
	s.stop()
	code, _, errs = command(t, nil, append([]string{"backup", "--data", data, filepath.Join(folder, "rest.tar")}, flags...)...)
	if code != exitOK || !strings.Contains(errs, "not in the backup: the secret key file "+file) {
		t.Errorf("backup at rest: exit code %d: %s", code, errs)
	}
	code, _, errs = command(t, nil, "restore", backup, "--data", restored)
	if code != exitOK || !strings.Contains(errs, "not in the backup: the secret key file "+file) {
		t.Errorf("restore: exit code %d: %s", code, errs)
	}
	if found, err := filepath.Glob(filepath.Join(backup, "*secret*")); err != nil || len(found) > 0 {
		t.Errorf("the backup holds %v", found)
	}

	r := serve(t, restored)
	if status := r.edgeGridStatus(id); status != http.StatusUnauthorized {
		t.Errorf("restored without the file: %d", status)
	}
	if log := r.log.String(); strings.Count(log, "EdgeGrid keys cannot be used") != 1 || !strings.Contains(log, "count=3") || !strings.Contains(log, "secret.key") || strings.Contains(log, id.Secret) {
		t.Errorf("the log says %s", log)
	}
	r.stop()
	offline := must(t, nil, "key", "create", "--kind", "edgegrid", "--role", "read", "--data", restored, "--secret-key-file", file)
	r = serve(t, restored, "--secret-key-file", file)
	r.wantCredential(offline)
	if status := r.edgeGridStatus(id); status != http.StatusNotFound {
		t.Errorf("restored with the file: %d", status)
	}
	r.stop()

	// A file that others may read is not used.
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	r = serve(t, restored, "--secret-key-file", file)
	if status := r.edgeGridStatus(id); status != http.StatusUnauthorized {
		t.Errorf("with a file that others may read: %d", status)
	}
	if log := r.log.String(); !strings.Contains(log, "0600") {
		t.Errorf("the log says %s", log)
	}
	r.stop()
}
