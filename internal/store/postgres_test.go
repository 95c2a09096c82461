package store_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/postgrestest"
	"odometer/internal/store/storetest"
)

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	server, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	t.Run("suite", func(t *testing.T) { storetest.Run(t, func(t *testing.T) string { return server.Fresh(t) }) })
	t.Run("shared", func(t *testing.T) {
		storetest.RunShared(t, func(t *testing.T) string { return server.Fresh(t) }, func(t *testing.T, dsn string) { server.Disconnect(t, dsn) })
	})
	t.Run("jobs", func(t *testing.T) { jobs(t, server) })
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
		if _, err := openKeys(t, s).EnsureDefault(t.Context(), "test"); err != nil {
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
	t.Run("concurrent opens migrate once", func(t *testing.T) {
		dsn := server.Fresh(t)
		openAll(t, dsn)
		var steps int
		if err := raw(t, dsn).QueryRow("SELECT count(*) FROM schema_migrations WHERE version = 1").Scan(&steps); err != nil || steps != 1 {
			t.Errorf("%d steps, %v", steps, err)
		}
	})
	t.Run("processes take turns", func(t *testing.T) { takeTurns(t, server.Fresh(t)) })
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

		// What an error says must not hold the password, whatever is wrong.
		"postgres://odometer:geheim@127.0.0.1:1/x?sslmode=disable": meter.KindUnavailable,
		"postgres://odometer:geheim@127.0.0.1:x/x":                 meter.KindInvalid,
		"postgres://odometer:geheim%zz@127.0.0.1/x":                meter.KindInvalid,
		"postgres://odometer:geh eim@127.0.0.1/x":                  meter.KindInvalid,
		"postgres://odometer:geheim/@127.0.0.1/x":                  meter.KindInvalid,
		"postgres://odometer:geheim@127.0.0.1/x?sslmode=geheim":    meter.KindInvalid,
		"postgres://127.0.0.1:1/x?sslmode=disable&password=geheim": meter.KindUnavailable,
		"mysql://odometer:geheim@127.0.0.1/x":                      meter.KindInvalid,
	} {
		_, err := store.Open(t.Context(), dsn, store.Options{Clock: noon})
		if meter.KindOf(err) != want || strings.Contains(err.Error(), "geh") || strings.Contains(err.Error(), "zz") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// takeTurns lets two catalogs on one database change it at the same time:
// audit entries are numbered without gaps, and no change is lost.
func takeTurns(t *testing.T, dsn string) {
	stores := []*store.Store{open(t, dsn), open(t, dsn)}
	if _, err := stores[0].CreateOrganization(t.Context(), catalog.NewOrganization{ID: "a"}, "test"); err != nil {
		t.Fatal(err)
	}
	const rounds = 20
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			for round := range rounds {
				doc := &catalog.Document{Products: []catalog.Product{{ID: fmt.Sprintf("p%d-%d", i, round)}}}
				if _, err := s.Apply(t.Context(), "a", doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		v, err := s.View(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if got := len(v.Products()); got != 2*rounds {
			t.Errorf("%d products, want %d", got, 2*rounds)
		}
		page, err := s.AuditEntries(t.Context(), "a", catalog.Page{})
		if err != nil || len(page.Items) != 1+2*rounds || page.Items[0].Number != int64(1+2*rounds) {
			t.Errorf("%d audit entries, %v", len(page.Items), err)
		}
		closeStore(t, s)
	}
}

// openAll opens a catalog several times at once.
func openAll(t *testing.T, dsn string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), dsn, store.Options{Clock: noon})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
