package records

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/store"
	stored "odometer/internal/store/records"
)

func problems(t *testing.T, l *ledger.Ledger, c *store.Store) string {
	t.Helper()
	var all []string
	if err := VerifyReported(context.Background(), l, c, stored.New(c), func(text string) { all = append(all, text) }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// What was reported is compared with the ledger's events, both ways.
func TestReportedUsageIsVerifiedBothWays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openStores(t)
	service := s.reporting(t)
	report := func(id string, records map[string]meter.Decimal) {
		t.Helper()
		if _, err := service.ReportGroup(ctx, admin, NewRecordGroup{ID: id, Entitlement: "e1", Records: records}, Idempotency{}); err != nil {
			t.Fatal(err)
		}
	}
	report("g1", map[string]meter.Decimal{"gb": amount("1.5"), "seat": amount("2")})
	report("g2", map[string]meter.Decimal{"gb": amount("7")})
	if _, err := service.DeleteGroup(ctx, admin, "g2", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := service.PostPending(ctx); err != nil {
		t.Fatal(err)
	}
	// copied is the catalog as it is now, changed by other means.
	copied := func(statements ...string) *store.Store {
		t.Helper()
		path := filepath.Join(t.TempDir(), "catalog.db")
		if err := s.catalog.Backup(ctx, path); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := store.Open(ctx, path, store.Options{Clock: s.clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	before := copied()
	if got := problems(t, s.ledger, before); got != "" {
		t.Errorf("nothing is wrong, and yet: %s", got)
	}
	empty := openStores(t)
	for name, c := range map[string]struct {
		ledger  *ledger.Ledger
		catalog *store.Store
		want    string
	}{
		"a group that vanished":            {s.ledger, copied("DELETE FROM record_groups WHERE id = 'g1'"), `"g1/0" of suger/e1 is in the ledger, its usage record group is not`},
		"events that vanished":             {empty.ledger, before, `"g1" is in the catalog, 0 of its 2 events`},
		"a deletion that the ledger lacks": {s.ledger, copied("UPDATE record_groups SET status = 'DELETED', posted = 3 WHERE id = 'g1'"), `"g1" is deleted, and yet its event "g1/0" counts`},
		"a deletion that was undone":       {s.ledger, copied("UPDATE record_groups SET status = 'CREATED', posted = 1 WHERE id = 'g2'"), `"g2" is CREATED, and yet its event "g2/0" was voided`},
		"a posting that is only noted":     {empty.ledger, copied("UPDATE record_groups SET posted = 1 WHERE id = 'g1'"), `"g1" is in the catalog`},
	} {
		if got := problems(t, c.ledger, c.catalog); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The events that a group is expected to have are those that are posted.
func TestExpectedEventsCompareByValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"quantity":1.50,"dimension":"gb"}`, `{"dimension":"gb","quantity":1.5}`, true},
		{`{"quantity":1.51,"dimension":"gb"}`, `{"dimension":"gb","quantity":1.5}`, false},
		{`{"quantity":1,"dimension":"gc"}`, `{"dimension":"gb","quantity":1}`, false},
		{`{"properties":{"a":[1,{"b":2.0}]}}`, `{"properties":{"a":[1.0,{"b":2}]}}`, true},
		{`{"properties":{"a":[1,2]}}`, `{"properties":{"a":[2,1]}}`, false},
		{`{"properties":{"a":1}}`, `{"properties":{"a":"1"}}`, false},
	} {
		if got := sameData([]byte(c.a), []byte(c.b)); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

// TestNothingIsDeletedBelowTheDiskFloor: what cannot be taken out of the
// figures is not called deleted.
func TestNothingIsDeletedBelowTheDiskFloor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openStores(t)
	service := s.reporting(t)
	if _, err := service.ReportGroup(ctx, admin, gigabytes("g1", "4"), Idempotency{}); err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	full, err := ledger.Open(ctx, ledger.Options{Dir: s.dir, Clock: s.clock, Limits: ledger.Limits{MinFreeDisk: 1 << 62}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for !full.Stats().DiskLow { // is looked at in the background
		runtime.Gosched()
	}
	s.ledger = full
	on := s.service(t, Limits{})
	if _, err := on.DeleteGroup(ctx, admin, "g1", time.Time{}); meter.KindOf(err) != meter.KindStorageFull {
		t.Errorf("%v", err)
	}
	if g, err := s.records.RecordGroup(ctx, admin.Organization, "g1"); err != nil || g.Status != billing.GroupCreated {
		t.Errorf("%+v, %v", g, err)
	}
}
