package catalog_test

import (
	"database/sql"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/catalog/catalogtest"
	"odometer/internal/catalog/postgrestest"
	"odometer/internal/meter"
)

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run with -short: it starts a server")
		return
	}
	server, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	t.Run("suite", func(t *testing.T) { catalogtest.Run(t, func(t *testing.T) string { return server.Fresh(t) }) })
	t.Run("durable", func(t *testing.T) {
		db := raw(t, server.DSN(""))
		for setting, want := range map[string]string{"fsync": "on", "full_page_writes": "on"} {
			var got string
			if err := db.QueryRow("SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, %v", setting, got, err)
			}
		}
	})
	t.Run("audit entries stay", func(t *testing.T) {
		dsn := server.Fresh(t)
		s := open(t, dsn)
		defer closeStore(t, s)
		if _, err := s.EnsureDefault(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		db := raw(t, dsn)
		for _, statement := range []string{"UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries"} {
			if _, err := db.Exec(statement); err == nil {
				t.Errorf("%s is allowed", statement)
			}
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Backup(t.Context(), "nowhere"); meter.KindOf(err) != meter.KindUnsupported {
			t.Error(err)
		}
	})
	t.Run("other tables", func(t *testing.T) {
		dsn := server.Fresh(t)
		if _, err := raw(t, dsn).Exec("CREATE TABLE x (y INTEGER)"); err != nil {
			t.Fatal(err)
		}
		if err := openError(t, dsn); meter.KindOf(err) != meter.KindInvalid {
			t.Error(err)
		}
	})
	t.Run("newer program", func(t *testing.T) {
		dsn := server.Fresh(t)
		closeStore(t, open(t, dsn))
		if _, err := raw(t, dsn).Exec("INSERT INTO schema_migrations VALUES (1000, 'x', 1)"); err != nil {
			t.Fatal(err)
		}
		if err := openError(t, dsn); meter.KindOf(err) != meter.KindUnsupported {
			t.Error(err)
		}
	})
}

func raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestPostgreSQLThatIsNotThere(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]meter.Kind{
		"postgres://odometer@127.0.0.1:1/x?sslmode=disable": meter.KindUnavailable,
		"postgres://odometer@127.0.0.1:x/x":                 meter.KindInvalid,
		"mysql://odometer@127.0.0.1/x":                      meter.KindInvalid,
	} {
		_, err := catalog.Open(t.Context(), dsn, catalog.Options{Clock: noon})
		if meter.KindOf(err) != want {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
