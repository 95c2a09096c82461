package records

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
)

var testStart = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var admin = access.Principal{Organization: "default", KeyID: "k", Role: access.RoleAdmin}

// stores are what a room is made of, in a folder of their own.
type stores struct {
	ledger  *ledger.Ledger
	catalog *store.Store
	records *stored.Store // of catalog
	clock   func() time.Time
	dir     string // of the ledger
}

// world is the room, and the one beside it whose meters count what is posted.
type world struct {
	*Service
	usage *metering.Service
}

func openStores(t testing.TB) stores {
	t.Helper()
	dir := t.TempDir()
	return openStoresAt(t, dir, filepath.Join(dir, "catalog.db"))
}

// openStoresAt opens a catalog that dsn names.
func openStoresAt(t testing.TB, dir, dsn string) stores {
	t.Helper()
	ctx := context.Background()
	clock := func() time.Time { return testStart }
	c, err := store.Open(ctx, dsn, store.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mustKeys(t, c).EnsureDefault(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	s := stores{catalog: c, records: stored.New(c), clock: clock, dir: filepath.Join(dir, "ledger")}
	if s.ledger, err = ledger.Open(ctx, ledger.Options{Dir: s.dir, Clock: clock, Fatal: func(m string) { t.Error(m) }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.ledger.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustKeys(t testing.TB, c *store.Store) *keys.Store {
	t.Helper()
	k, err := keys.Open(context.Background(), c, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// service makes the room anew, as a start of the server does.
func (s stores) service(t testing.TB, limits Limits) world {
	t.Helper()
	usage, err := metering.New(context.Background(), metering.Options{Ledger: s.ledger, Catalog: s.catalog, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	room := New(Options{Ledger: s.ledger, Store: s.records, Catalog: s.catalog, Meters: usage, Reads: usage.Reads(), Clock: s.clock, Limits: limits})
	usage.UseMeterOwner(room)
	return world{room, usage}
}
