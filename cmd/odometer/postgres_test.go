package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	"odometer/internal/store/postgrestest"
)

// TestCatalogInPostgreSQL runs the server and every command that uses a data
// directory with the catalog in a real PostgreSQL.
func TestCatalogInPostgreSQL(t *testing.T) {
	t.Parallel()
	postgres, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	t.Run("serve, restart, key, verify", func(t *testing.T) { t.Parallel(); postgresLife(t, withPassword(t, postgres.Fresh(t))) })
	t.Run("one ledger", func(t *testing.T) { t.Parallel(); postgresOneLedger(t, withPassword(t, postgres.Fresh(t))) })
	t.Run("backup and restore", func(t *testing.T) { t.Parallel(); postgresBackup(t, withPassword(t, postgres.Fresh(t))) })
	t.Run("keys of another process", func(t *testing.T) { t.Parallel(); postgresKeys(t, withPassword(t, postgres.Fresh(t))) })
}

const postgresPassword = "geheim-7"

// withPassword puts a password into an address; the server asks for none.
func withPassword(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), postgresPassword)
	return u.String()
}

// refused runs a command that has to fail, with a code and words, and never shows the password.
func refused(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	got, out, errs := command(t, nil, args...)
	if got != code || !strings.Contains(errs, want) {
		t.Errorf("%s: exit code %d, want %d; want %q in\n%s", args[0], got, code, want, errs)
	}
	if strings.Contains(out+errs, postgresPassword) {
		t.Errorf("%s shows the password:\n%s%s", args[0], out, errs)
	}
}

const octoberTotal = "1000.3" // of testEvents

func (s *testServer) wantTotal(key string) {
	s.t.Helper()
	if out := must(s.t, s.as(key), "usage", "traffic", "--from", "2026-10-01", "--to", "2026-11-01"); !strings.Contains(out, octoberTotal) {
		s.t.Errorf("usage:\n%s", out)
	}
}

func (s *testServer) fill() {
	s.t.Helper()
	s.post("/api/v1/meters", s.adminKey, "application/json", testMeter)
	s.post("/api/v1/events", s.adminKey, "application/cloudevents-batch+json", testEvents)
}

func postgresLife(t *testing.T, dsn string) {
	s := fresh(t, "--catalog", dsn, "--log-level", "debug")
	admin := s.adminKey
	s.fill()
	s.wantTotal(admin)
	s.stop()
	if strings.Contains(s.log.String(), postgresPassword) {
		t.Errorf("the log shows the password:\n%s", s.log)
	}
	if _, err := os.Stat(catalogPath(s.data)); err == nil {
		t.Error("there is a catalog in the data directory too")
	}
	again := serve(t, s.data, "--catalog", dsn)
	if again.adminKey != "" {
		t.Error("the restarted server made another first key")
	}
	again.wantTotal(admin)
	again.stop()

	_, minted := parseKey(t, must(t, nil, "key", "create", "--data", s.data, "--catalog", dsn))
	if out := must(t, map[string]string{"ODOMETER_CATALOG": dsn}, "key", "list", "--data", s.data); strings.Count(out, "admin (operator)") != 2 {
		t.Errorf("keys:\n%s", out)
	}
	again = serve(t, s.data, "--catalog", dsn)
	again.wantTotal(minted)
	again.stop()

	if out := must(t, nil, "verify", "--data", s.data, "--catalog", dsn); strings.Contains(out, "problem") || strings.Contains(out, "not compared") {
		t.Errorf("verify:\n%s", out)
	}
	if out := must(t, nil, "verify", "--data", s.data); !strings.Contains(out, "not compared: the catalog") {
		t.Errorf("verify without the catalog:\n%s", out)
	}
	refused(t, exitUsage, "is in PostgreSQL", "serve", "--data", s.data, "--listen", "127.0.0.1:0")
	refused(t, exitUsage, "is in PostgreSQL", "key", "list", "--data", s.data)
	if _, err := os.Stat(catalogPath(s.data)); err == nil {
		t.Error("a refused command made a catalog in the data directory")
	}
	embedded := fresh(t)
	embedded.stop()
	refused(t, exitUsage, catalogFile, "serve", "--data", embedded.data, "--listen", "127.0.0.1:0", "--catalog", dsn)
	out := must(t, map[string]string{"ODOMETER_CATALOG": dsn}, "config")
	if strings.Contains(out, postgresPassword) || !strings.Contains(squeeze(out), "# catalog: (set, not shown) # environment ODOMETER_CATALOG") {
		t.Errorf("config:\n%s", out)
	}
}

// postgresOneLedger opens one catalog with two data directories.
func postgresOneLedger(t *testing.T, dsn string) {
	s := fresh(t, "--catalog", dsn)
	s.fill()
	second := filepath.Join(t.TempDir(), "second")
	for range 2 { // also while nobody uses it
		refused(t, exitFailed, "odometer rebind", "serve", "--data", second, "--listen", "127.0.0.1:0", "--catalog", dsn)
		if s.cancel != nil {
			s.wantTotal(s.adminKey)
			s.stop()
			s.cancel = nil
		}
	}
	if _, err := os.Stat(filepath.Join(second, catalogIDFile)); err == nil {
		t.Error("the refused directory is marked as one whose catalog is in PostgreSQL")
	}
	// So it can still be used by itself.
	alone := serve(t, second)
	if alone.adminKey == "" {
		t.Error("no first key")
	}
	alone.stop()
	refused(t, exitUsage, "is not a data directory", "rebind", "--data", filepath.Join(second, "none"), "--catalog", dsn)
	refused(t, exitUsage, catalogFile, "rebind", "--data", second, "--catalog", dsn)
	refused(t, exitUsage, "--catalog", "rebind", "--data", s.data)
}

func postgresBackup(t *testing.T, dsn string) {
	s := fresh(t, "--catalog", dsn)
	admin := s.adminKey
	s.fill()
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	warned := func(errs string) {
		t.Helper()
		if !strings.Contains(errs, "pg_dump") || !strings.Contains(errs, "odometer rebind") || strings.Contains(errs, postgresPassword) {
			t.Errorf("printed %q", errs)
		}
	}
	for _, args := range [][]string{{"backup", path("online")}, {"backup", path("online.tar")}, {"backup", "-"}} {
		code, _, errs := command(t, s.as(admin), args...)
		if code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, errs)
		}
		warned(errs)
	}
	s.stop()
	code, _, errs := command(t, nil, "backup", "--data", s.data, path("rest")) // needs no catalog
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	warned(errs)

	restored := path("restored")
	code, _, errs = command(t, nil, "restore", path("online"), "--data", restored)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	warned(errs)
	if out := must(t, nil, "verify", "--data", restored, "--catalog", dsn); strings.Contains(out, "problem") {
		t.Errorf("verify:\n%s", out)
	}
	refused(t, exitUsage, "is in PostgreSQL", "serve", "--data", restored, "--listen", "127.0.0.1:0")
	refused(t, exitFailed, "odometer rebind", "serve", "--data", restored, "--listen", "127.0.0.1:0", "--catalog", dsn)
	refused(t, exitFailed, "odometer rebind", "key", "create", "--data", restored, "--catalog", dsn)
	if out := must(t, nil, "rebind", "--data", restored, "--catalog", dsn); !strings.Contains(out, "before: ") || strings.Contains(out, "before: none") {
		t.Errorf("rebind printed %q", out)
	}
	r := serve(t, restored, "--catalog", dsn)
	r.wantTotal(admin)
	r.stop()
	refused(t, exitFailed, "belongs to another ledger", "serve", "--data", s.data, "--listen", "127.0.0.1:0", "--catalog", dsn)
}

// postgresKeys changes keys in the database beside the running server.
func postgresKeys(t *testing.T, dsn string) {
	s := fresh(t, "--catalog", dsn)
	id, token := parseKey(t, must(t, s.as(s.adminKey), "key", "create", "--role", "read"))
	store, err := store.Open(t.Context(), dsn, store.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	all, err := keys.Open(t.Context(), store, "")
	if err != nil {
		t.Fatal(err)
	}
	if status := s.status("/api/v1/meters", token); status != http.StatusOK {
		t.Errorf("before: %d", status)
	}
	if _, err := all.RevokeKey(t.Context(), catalog.DefaultOrganization, id, keys.Revocation{Actor: "test", Operator: true, Force: true}); err != nil {
		t.Fatal(err)
	}
	for status := 0; status != http.StatusUnauthorized; { // the test's own time limit bounds it
		if status = s.status("/api/v1/meters", token); status != http.StatusOK && status != http.StatusUnauthorized {
			t.Fatalf("%d", status)
		}
	}
	if status := s.status("/api/v1/meters", s.adminKey); status != http.StatusOK {
		t.Errorf("another key: %d", status)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	s.stop()
}

// status answers a GET with a bearer token.
func (s *testServer) status(path, token string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestCatalogThatCannotBeUsed names catalogs that are wrong or not there.
func TestCatalogThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	flags := func(dsn string) []string {
		return []string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--catalog", dsn}
	}
	user := "odometer:" + postgresPassword
	refused(t, exitFailed, "cannot open the catalog in PostgreSQL", flags("postgres://"+user+"@127.0.0.1:1/x?sslmode=disable")...)
	refused(t, exitUsage, "want postgres://", flags("postgres://"+user+"%zz@127.0.0.1/x")...)
	refused(t, exitUsage, "want postgres://", flags("mysql://"+user+"@127.0.0.1/x")...)
	refused(t, exitUsage, "want postgres://", flags("/somewhere/"+postgresPassword)...)
	// Nothing was decided by a try that failed.
	if code, _, errs := command(t, nil, "verify", "--data", data); code != exitUsage || !strings.Contains(errs, "is not a data directory") {
		t.Errorf("verify: exit code %d: %s", code, errs)
	}
	s := serve(t, data)
	if s.adminKey == "" {
		t.Error("no first key")
	}
	s.stop()
}
