package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"odometer/internal/meter"
)

func testClock() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Clock: testClock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tables returns the names of the database's tables.
func tables(t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := s.reader.QueryContext(t.Context(), `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// copyDatabase copies the files that a killed process would leave.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// steps are the program's migrations and two of a future program.
func steps(t *testing.T) (have, next []migration) {
	t.Helper()
	have, err := readMigrations(migrationFiles, "sql/migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	n := len(have)
	return have, append(slices.Clone(have),
		migration{n + 1, "one", `CREATE TABLE one (x INTEGER); INSERT INTO one VALUES (1)`},
		migration{n + 2, "two", `CREATE TABLE two (x INTEGER); UPDATE one SET x = x + 1`})
}

func TestMigrationsAreApplied(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "catalog.db"))
	have, next := steps(t)
	for range 2 {
		if err := s.apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	version, err := s.schemaVersion(t.Context(), s.reader)
	if err != nil || version != len(next) {
		t.Errorf("version %d, %v, want %d", version, err, len(next))
	}
	var x int
	if err := s.reader.QueryRow(`SELECT x FROM one`).Scan(&x); err != nil || x != 2 {
		t.Errorf("x = %d, %v, want 2: each step once", x, err)
	}
	// The program of before refuses what the newer one made.
	if err := s.apply(t.Context(), have); meter.KindOf(err) != meter.KindUnsupported {
		t.Errorf("an older program: %v", err)
	}
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "catalog.db"))
	have, next := steps(t)
	before := tables(t, s)
	good := next[len(have)].sql
	next[len(have)].sql += `; CREATE TABLE organizations (x INTEGER)`
	if err := s.apply(t.Context(), next); err == nil || !strings.Contains(err.Error(), "one") {
		t.Errorf("a step that fails: %v", err)
	}
	if after := tables(t, s); !slices.Equal(after, before) {
		t.Errorf("tables %v, want %v", after, before)
	}
	next[len(have)].sql = good
	if err := s.apply(t.Context(), next); err != nil {
		t.Error(err)
	}
}

func TestAKilledMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := openTest(t, path)
	have, next := steps(t)
	before := tables(t, s)
	// A step is under way, as far as its files on disk may know of it.
	tx, err := s.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`PRAGMA cache_spill = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`PRAGMA cache_size = 2`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(next[len(have)].sql); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`CREATE TABLE bulk AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x < 2000) SELECT x, hex(randomblob(200)) FROM n`); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "catalog.db")
	copyDatabase(t, path, killed)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	copied := openTest(t, killed)
	if after := tables(t, copied); !slices.Equal(after, before) {
		t.Errorf("tables %v, want %v", after, before)
	}
	if err := copied.apply(t.Context(), next); err != nil {
		t.Error(err)
	}
}

func TestConcurrentOpensMigrateOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	_, next := steps(t)
	// Two phases, since an opener that comes after a newer program's step is refused.
	stores := make([]*Store, 8)
	var opening, migrating sync.WaitGroup
	for i := range stores {
		opening.Go(func() {
			var err error
			if stores[i], err = Open(t.Context(), path, Options{Clock: testClock}); err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
	for _, s := range stores {
		if s == nil {
			t.FailNow()
		}
		migrating.Go(func() {
			if err := s.apply(t.Context(), next); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	migrating.Wait()
	db, _, err := openSQLite(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var x, rows int
	if err := db.QueryRow(`SELECT (SELECT x FROM one), (SELECT count(*) FROM schema_migrations)`).Scan(&x, &rows); err != nil {
		t.Fatal(err)
	}
	if x != 2 || rows != len(next) {
		t.Errorf("x = %d, %d steps recorded, want 2 and %d", x, rows, len(next))
	}
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{
		"gap":       {"0001_a.sql", "0003_c.sql"},
		"not first": {"0002_a.sql"},
		"twice":     {"0001_a.sql", "0001_b.sql"},
		"no number": {"start.sql"},
	} {
		folder := fstest.MapFS{}
		for _, file := range files {
			folder["m/"+file] = &fstest.MapFile{Data: []byte("SELECT 1")}
		}
		if got, err := readMigrations(folder, "m"); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestConnectionSettings(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "catalog.db"))
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "30000"}
	for pragma, value := range want {
		var writer, reader string
		if err := s.writer.QueryRow(`PRAGMA ` + pragma).Scan(&writer); err != nil {
			t.Fatal(err)
		}
		if err := s.reader.QueryRow(`PRAGMA ` + pragma).Scan(&reader); err != nil {
			t.Fatal(err)
		}
		if writer != value || reader != value {
			t.Errorf("%s: writer %s, reader %s, want %s", pragma, writer, reader, value)
		}
	}
	if _, err := s.reader.Exec(`DELETE FROM keys`); err == nil {
		t.Error("a reader could write")
	}
}
