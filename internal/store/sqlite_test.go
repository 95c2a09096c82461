package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	"odometer/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "catalog.db") })
}

// noon is the instant at which these tests happen.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{Clock: noon})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// openError returns the error of opening path, which must fail.
func openError(t *testing.T, path string) error {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{Clock: noon})
	if err == nil {
		closeStore(t, s)
		t.Fatal("the catalog was opened")
	}
	return err
}

// execute runs statements on the file at path, without the catalog.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the bytes of the database's files, by name.
func files(t *testing.T, path string) map[string][]byte {
	t.Helper()
	names, err := fs.Glob(os.DirFS(filepath.Dir(path)), filepath.Base(path)+"*")
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	found := map[string][]byte{}
	for _, name := range names {
		found[name], err = os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// crashCopy copies the database's files as a killed process would leave them.
func crashCopy(t *testing.T, path string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files(t, path) {
		// The shared memory is a cache that a first opener rebuilds.
		if strings.HasSuffix(name, "-shm") {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, filepath.Base(path))
}

func TestAcknowledgedChangesSurviveAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	defer closeStore(t, s)
	first, err := openKeys(t, s).EnsureDefault(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	k, second, err := openKeys(t, s).CreateKey(t.Context(), access.NewKey{Organization: catalog.DefaultOrganization, Role: access.RoleRead}, "test")
	if err != nil {
		t.Fatal(err)
	}
	afterCreate := crashCopy(t, path)
	if _, err := openKeys(t, s).RevokeKey(t.Context(), catalog.DefaultOrganization, k.ID, keys.Revocation{Actor: "test", Operator: true, Force: true}); err != nil {
		t.Fatal(err)
	}
	afterRevoke := crashCopy(t, path)
	for path, valid := range map[string]bool{afterCreate: true, afterRevoke: false} {
		copied := open(t, path)
		if _, err := openKeys(t, copied).AuthenticateKey(t.Context(), first); err != nil {
			t.Error(err)
		}
		if _, err := openKeys(t, copied).AuthenticateKey(t.Context(), second); (err == nil) != valid {
			t.Errorf("the second key: %v, want valid %v", err, valid)
		}
		if err := copied.Check(t.Context()); err != nil {
			t.Error(err)
		}
		closeStore(t, copied)
	}
}

func TestSecretsAreNotInTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	first, err := openKeys(t, s).EnsureDefault(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{first}
	for range 20 {
		k, token, err := openKeys(t, s).CreateKey(t.Context(), access.NewKey{Organization: catalog.DefaultOrganization, Role: access.RoleRead}, "test")
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
		if _, err := openKeys(t, s).RevokeKey(t.Context(), catalog.DefaultOrganization, k.ID, keys.Revocation{Actor: "test", Operator: true, Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	search := func(when string) {
		all := files(t, path)
		found := false
		for name, content := range all {
			for _, token := range tokens {
				id, secret, _ := strings.Cut(strings.TrimPrefix(token, "odo_"), "_")
				found = found || bytes.Contains(content, []byte(id))
				// Neither the secret nor a telling part of it.
				for _, part := range []string{secret, secret[:12], secret[len(secret)-12:]} {
					if bytes.Contains(content, []byte(part)) {
						t.Errorf("%s: %s holds %q of %s", when, name, part, token)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s: not even the ids are in the files", when)
		}
	}
	search("open")
	if err := s.Backup(t.Context(), path+".backup"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	search("closed")
}

func TestFilesBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	defer closeStore(t, s)
	if err := s.Backup(t.Context(), path+".backup"); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, path) {
		info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestAnyPathWorks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space", "a?b=c&mode=memory", "100%41", "#1", "ünï", "it's", `back\slash`, "file:x"} {
		folder := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, name+".db")
		s := open(t, path)
		if _, err := openKeys(t, s).EnsureDefault(t.Context(), "test"); err != nil {
			t.Error(name, err)
		}
		if err := s.Backup(t.Context(), path+".backup"); err != nil {
			t.Error(name, err)
		}
		closeStore(t, s)
		for _, path := range []string{path, path + ".backup"} {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s is not there: %v", path, err)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	path := func(t *testing.T) string { return filepath.Join(t.TempDir(), "catalog.db") }
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		dsn     string
		kind    meter.Kind
		says    string
	}{
		{"a newer schema", func(t *testing.T, path string) {
			closeStore(t, open(t, path))
			execute(t, path, `INSERT INTO schema_migrations (version, name, applied_us) VALUES (9999, '9999_future', 0)`)
		}, "", meter.KindUnsupported, "written by a newer odometer: its schema is version 9999"},
		{"a database of another program", func(t *testing.T, path string) {
			execute(t, path, `CREATE TABLE notes (text TEXT)`)
		}, "", meter.KindInvalid, "not a catalog of odometer"},
		{"a file that is no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "", meter.KindCorrupt, "cannot open the catalog"},
		{"a folder that is not there", func(*testing.T, string) {}, "/nowhere/at/all/catalog.db", meter.KindInternal, "cannot open the catalog"},
		{"another kind of database", func(*testing.T, string) {}, "oracle://user:secret@host/db", meter.KindInvalid, "oracle://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := c.dsn
			if dsn == "" {
				dsn = path(t)
				c.prepare(t, dsn)
			}
			err := openError(t, dsn)
			if meter.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %s: ...%s...", err, c.kind, c.says)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the password", err)
			}
		})
	}
	if _, err := store.Open(t.Context(), path(t), store.Options{}); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("without a clock: %v", err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	if _, err := openKeys(t, s).EnsureDefault(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	// A row that belongs to nothing.
	execute(t, path, `PRAGMA foreign_keys = OFF`,
		`INSERT INTO meters (organization, key, version, definition, sequence) VALUES ('gone', 'm', 1, '{}', 1)`)
	s = open(t, path)
	if err := s.Check(t.Context()); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a row of an unknown organization: %v", err)
	}
	closeStore(t, s)

	// Pages that are overwritten.
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[len(content)/2:], bytes.Repeat([]byte{0xa5}, len(content)/2))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), path, store.Options{Clock: noon})
	if err == nil {
		err = s.Check(t.Context())
		closeStore(t, s)
	}
	if meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("damaged pages: %v", err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	defer closeStore(t, s)
	token, err := openKeys(t, s).EnsureDefault(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openKeys(t, s).AuthenticateKey(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); meter.KindOf(err) != meter.KindConflict {
		t.Errorf("over an existing file: %v", err)
	}
	_, later, err := openKeys(t, s).CreateKey(t.Context(), access.NewKey{Organization: catalog.DefaultOrganization, Role: access.RoleRead}, "test")
	if err != nil {
		t.Fatal(err)
	}
	copied := open(t, backup)
	defer closeStore(t, copied)
	k, err := openKeys(t, copied).AuthenticateKey(t.Context(), token)
	if err != nil || !k.LastUsed.Equal(noon()) {
		t.Errorf("the key in the backup: %+v, %v", k, err)
	}
	if _, err := openKeys(t, copied).AuthenticateKey(t.Context(), later); err == nil {
		t.Error("the backup holds a later key")
	}
	missing := filepath.Join(t.TempDir(), "no", "folder.db")
	if err := s.Backup(t.Context(), missing); err == nil {
		t.Error("a backup to a folder that is not there succeeded")
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed backup left %v", err)
	}
}

func TestAuditEntriesCannotBeRewritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	if _, err := openKeys(t, s).EnsureDefault(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`UPDATE audit_entries SET actor = 'nobody'`,
		`DELETE FROM audit_entries`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s succeeded", statement)
		}
	}
}
