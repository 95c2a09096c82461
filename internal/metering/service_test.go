package metering

import (
	"context"
	"fmt"
	"odometer/internal/access"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/meter"
)

var testStart = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// stores are what a service is made of, in a folder of their own.
type stores struct {
	ledger  *ledger.Ledger
	catalog *store.Store
	keys    *keys.Store
	clock   func() time.Time
	dir     string // of the ledger
}

func openStores(t testing.TB) stores {
	t.Helper()
	return openStoresAt(t, func() time.Time { return testStart })
}

func openStoresAt(t testing.TB, clock func() time.Time) stores {
	t.Helper()
	return openStoresOf(t, clock, clock)
}

// openStoresOf has a clock of the catalog's own.
func openStoresOf(t testing.TB, clock, catalogClock func() time.Time) stores {
	t.Helper()
	dir := t.TempDir()
	ctx := context.Background()
	c, err := store.Open(ctx, filepath.Join(dir, "catalog.db"), store.Options{Clock: catalogClock})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keys.Open(ctx, c, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.EnsureDefault(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock, Fatal: func(m string) { t.Error(m) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return stores{l, c, keys, clock, filepath.Join(dir, "ledger")}
}

func (s stores) service(t testing.TB, limits Limits) *Service {
	t.Helper()
	service, err := New(context.Background(), Options{Ledger: s.ledger, Catalog: s.catalog, Keys: s.keys, Clock: s.clock, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	return service
}

var admin = access.Principal{Organization: "default", KeyID: "k", Role: access.RoleAdmin}

func counter(key string) meter.Meter {
	return meter.Meter{Key: key, EventType: "e", Aggregation: meter.AggCount}
}

func createCounters(t testing.TB, service *Service, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, _, err := service.CreateMeter(context.Background(), admin, counter(key)); err != nil {
			t.Fatal(err)
		}
	}
}

// copies renders the catalog's copy of the default organization's meters.
func (s stores) copies(t testing.TB) string {
	t.Helper()
	page, err := s.catalog.Meters(context.Background(), "default", catalog.Page{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, m := range page.Items {
		keys = append(keys, m.Key)
	}
	return strings.Join(keys, " ")
}

// TestCopyIsRebuiltAtStart: a crash may have come between the log's entry and the copy.
func TestCopyIsRebuiltAtStart(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	ctx := context.Background()
	service := s.service(t, Limits{})
	createCounters(t, service, "a", "b")
	if _, err := s.ledger.CreateMeter(ctx, "default", counter("c"), "test"); err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.DeleteMeter(ctx, "default", "a", "test"); err != nil {
		t.Fatal(err)
	}
	if got := s.copies(t); got != "a b" {
		t.Fatalf("the copy is %q", got)
	}
	s.service(t, Limits{})
	if got := s.copies(t); got != "b c" {
		t.Errorf("after the start the copy is %q", got)
	}
	name, definitions := "another", func() (all string) {
		page, err := s.catalog.Meters(ctx, "default", catalog.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Items {
			all += string(m.Definition)
		}
		return all
	}
	if _, err := s.ledger.UpdateMeter(ctx, "default", "b", meter.MeterPatch{Name: &name}, "test"); err != nil {
		t.Fatal(err)
	}
	s.service(t, Limits{})
	if !strings.Contains(definitions(), name) {
		t.Errorf("after the start the copies are %s", definitions())
	}
	// Where the copy is right a start writes nothing, whatever the log has beside meters.
	sequence := func() uint64 {
		n, err := s.catalog.MetersSequence(ctx, "default")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := sequence()
	createCounters(t, s.service(t, Limits{}), "a")
	if sequence() <= before {
		t.Errorf("the copy is as of %d, then of %d", before, sequence())
	}
	before = sequence()
	event := `{"specversion":"1.0","id":"1","source":"s","type":"e","subject":"c","time":"2026-01-15T00:00:00Z"}`
	if _, err := service.Ingest(ctx, admin, []byte("["+event+"]"), cloudevents.Batch, false); err != nil {
		t.Fatal(err)
	}
	s.service(t, Limits{})
	if got := sequence(); got != before || s.copies(t) != "a b c" {
		t.Errorf("%q as of %d is %q as of %d after a start", "a b c", before, s.copies(t), got)
	}
}

// TestCopyIsMended: a change that the copy cannot take in order rebuilds it.
func TestCopyIsMended(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	ctx := context.Background()
	service := s.service(t, Limits{})
	for i, change := range []func() error{
		func() error { _, _, err := service.CreateMeter(ctx, admin, counter("a")); return err },
		func() error {
			name := "A"
			_, err := service.UpdateMeter(ctx, admin, "a", meter.MeterPatch{Name: &name})
			return err
		},
		func() error { _, _, err := service.CreateMeter(ctx, admin, counter("b")); return err },
		func() error { return service.DeleteMeter(ctx, admin, "a") },
	} {
		if err := s.catalog.ReplaceMeters(ctx, "default", nil, 1_000_000); err != nil { // as if of the far future, and empty
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
		if got, want := s.copies(t), []string{"a", "a", "a b", "b"}[i]; got != want {
			t.Errorf("change %d: the copy is %q, want %q", i, got, want)
		}
	}
}

// TestNobodyMayDoAnything: every verb asks for its right.
func TestNobodyMayDoAnything(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	ctx := context.Background()
	verbs := map[string]func(p access.Principal) error{
		"ingest": func(p access.Principal) error {
			_, err := service.Ingest(ctx, p, []byte("[]"), cloudevents.Auto, false)
			return err
		},
		"usage":        func(p access.Principal) error { _, err := service.Usage(ctx, p, meter.UsageQuery{}); return err },
		"events":       func(p access.Principal) error { _, err := service.Events(ctx, p, meter.EventsQuery{}); return err },
		"lookup":       func(p access.Principal) error { _, err := service.Lookup(ctx, p, "s", "i"); return err },
		"meters":       func(p access.Principal) error { _, err := service.Meters(ctx, p); return err },
		"meter":        func(p access.Principal) error { _, err := service.Meter(ctx, p, "m"); return err },
		"create meter": func(p access.Principal) error { _, _, err := service.CreateMeter(ctx, p, counter("m")); return err },
		"update meter": func(p access.Principal) error {
			_, err := service.UpdateMeter(ctx, p, "m", meter.MeterPatch{})
			return err
		},
		"delete meter": func(p access.Principal) error { return service.DeleteMeter(ctx, p, "m") },
		"keys":         func(p access.Principal) error { _, err := service.Keys(ctx, p, catalog.Page{}); return err },
		"create key": func(p access.Principal) error {
			_, _, err := service.CreateKey(ctx, p, NewKey{Role: "read"})
			return err
		},
		"revoke key":    func(p access.Principal) error { return service.RevokeKey(ctx, p, "k", false) },
		"organizations": func(p access.Principal) error { _, err := service.Organizations(ctx, p, catalog.Page{}); return err },
		"organization":  func(p access.Principal) error { _, err := service.Organization(ctx, p, "default"); return err },
		"create organization": func(p access.Principal) error {
			_, err := service.CreateOrganization(ctx, p, catalog.NewOrganization{ID: "o"})
			return err
		},
		"update organization": func(p access.Principal) error {
			_, err := service.UpdateOrganization(ctx, p, "default", catalog.OrganizationPatch{})
			return err
		},
		"audit": func(p access.Principal) error { _, err := service.AuditEntries(ctx, p, catalog.Page{}); return err },
	}
	for name, verb := range verbs {
		if err := verb(access.Principal{}); meter.KindOf(err) != meter.KindUnauthenticated {
			t.Errorf("%s without a principal: %v", name, err)
		}
		if err := verb(access.Principal{Organization: "default", Role: access.RoleReport}); meter.KindOf(err) != meter.KindForbidden {
			t.Errorf("%s with the role report: %v", name, err)
		}
		bound := access.Principal{Organization: "default", Role: access.RoleAdmin, Customer: "acme", Operator: true}
		reads := name == "usage" || name == "events" || name == "lookup" || name == "meters" || name == "meter" || name == "ingest"
		if err := verb(bound); (meter.KindOf(err) == meter.KindForbidden) == reads {
			t.Errorf("%s bound to a customer: %v", name, err)
		}
	}
}

func TestReadsAreBounded(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{Reads: 1, ReadWait: time.Millisecond})
	ctx := context.Background()
	if _, err := service.Events(ctx, admin, meter.EventsQuery{}); err != nil {
		t.Fatal(err)
	}
	_, turn, err := service.turn(ctx, admin) // a query at work
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Events(ctx, admin, meter.EventsQuery{}); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("one past the limit: %v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := service.Lookup(gone, admin, "s", "i"); meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("a caller that left: %v", err)
	}
	turn.Done()
	if _, err := service.Events(ctx, admin, meter.EventsQuery{}); err != nil {
		t.Errorf("after it is done: %v", err)
	}
}

func TestUsageLimits(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{GroupBy: 2, FilterTexts: 3})
	ctx := context.Background()
	if _, _, err := service.CreateMeter(ctx, admin, counter("m")); err != nil {
		t.Fatal(err)
	}
	q := meter.UsageQuery{Meter: "m", From: testStart, To: testStart.Add(time.Hour)}
	for _, c := range []struct {
		groups []string
		values []string
		ok     bool
	}{{[]string{"a", "b"}, []string{"1", "2", "3"}, true}, {[]string{"a", "b", "c"}, nil, false}, {nil, []string{"1", "2", "3", "4"}, false}} {
		q.GroupBy, q.Filters = c.groups, []meter.AttrFilter{{Attribute: "x", Values: c.values}}
		if c.values == nil {
			q.Filters = nil
		}
		if _, err := service.Usage(ctx, admin, q); (err == nil) != c.ok || err != nil && meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%v %v: %v", c.groups, c.values, err)
		}
	}
}

// TestQueriesAreTheirPrincipals: what a query says of organization and customer counts for nothing.
func TestQueriesAreTheirPrincipals(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	ctx := context.Background()
	if _, _, err := service.CreateMeter(ctx, admin, counter("m")); err != nil {
		t.Fatal(err)
	}
	event := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"s","type":"e","subject":"acme","time":%q}`, testStart.Format(time.RFC3339))
	if r, err := service.Ingest(ctx, admin, []byte(event), cloudevents.Auto, false); err != nil || r.Accepted != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	customer := "acme"
	stranger := access.Principal{Organization: "stranger", Role: access.RoleAdmin}
	q := meter.UsageQuery{Organization: "default", Customer: &customer, Meter: "m", From: testStart.Add(-time.Hour), To: testStart.Add(time.Hour)}
	if _, err := service.Usage(ctx, stranger, q); meter.KindOf(err) != meter.KindNotFound {
		t.Errorf("a stranger's usage: %v", err)
	}
	if page, err := service.Events(ctx, stranger, meter.EventsQuery{Organization: "default"}); err != nil || len(page.Events) != 0 {
		t.Errorf("a stranger's events: %+v %v", page, err)
	}
	zeta := access.Principal{Organization: "default", Role: access.RoleRead, Customer: "zeta"}
	if u, err := service.Usage(ctx, zeta, q); err != nil || len(u.Rows) != 0 {
		t.Errorf("another customer's usage: %+v %v", u, err)
	}
	if page, err := service.Events(ctx, zeta, meter.EventsQuery{Customer: &customer}); err != nil || len(page.Events) != 0 {
		t.Errorf("another customer's events: %+v %v", page, err)
	}
}

func BenchmarkIngestOne(b *testing.B) {
	service := openStores(b).service(b, Limits{})
	ctx := context.Background()
	b.ReportAllocs()
	b.SetParallelism(32)
	ids := make(chan int, 1)
	ids <- 0
	b.RunParallel(func(pb *testing.PB) {
		n := <-ids
		ids <- n + 1
		var body []byte
		for i := 0; pb.Next(); i++ {
			body = fmt.Appendf(body[:0], `{"specversion":"1.0","id":"%d-%d","source":"edge/oslo","type":"edge.request","subject":"acme","time":"2026-11-22T11:59:00Z","data":{"service":"shop","region":"eu","bytes":1234}}`, n, i)
			if r, err := service.Ingest(ctx, admin, body, cloudevents.Single, false); err != nil || r.Accepted != 1 {
				b.Errorf("%+v %v", r, err)
			}
		}
	})
}
