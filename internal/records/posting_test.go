package records

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// reporting is a service whose organization has an entitlement, and a meter of
// what is posted for it.
func (s stores) reporting(t testing.TB) world {
	t.Helper()
	ctx := context.Background()
	service := s.service(t, Limits{})
	_, err := service.usage.Apply(ctx, admin, []byte(`
meters: [{key: posted, event_type: suger.record, aggregation: SUM, value: quantity, group_by: [customer, dimension]}]
products: [{id: cdn, name: Delivery}]
customers: [{id: acme, name: Acme}]
entitlements: [{id: e1, customer: acme, partner: AWS, product: cdn, starts: 2020-01-01, dimensions: [{key: gb, name: GB}, {key: seat, name: Seats}]}]
`), metering.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func posted(t testing.TB, service world) string {
	t.Helper()
	u, err := service.usage.Usage(context.Background(), admin, meter.UsageQuery{Meter: "posted", From: testStart.AddDate(-12, 0, 0), To: testStart.AddDate(0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return u.Total.String()
}

func amount(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// accept stores groups as a request does that ends before it reaches the ledger.
func (s stores) accept(t testing.TB, service world, groups ...NewRecordGroup) {
	t.Helper()
	checked, at, err := service.checkGroups(context.Background(), admin, groups)
	if err != nil {
		t.Fatal(at, err)
	}
	service.ledger.Discard(checked.events)
	if _, _, err := s.records.CreateRecordGroups(context.Background(), admin.Organization, checked.groups, billing.Idempotency{}); err != nil {
		t.Fatal(err)
	}
}

func gigabytes(id, quantity string) NewRecordGroup {
	return NewRecordGroup{ID: id, Entitlement: "e1", Records: map[string]meter.Decimal{"gb": amount(quantity)}}
}

func (s stores) postedState(t testing.TB, id string) billing.Posted {
	t.Helper()
	g, err := s.records.RecordGroup(context.Background(), admin.Organization, id)
	if err != nil {
		t.Fatal(err)
	}
	return g.Posted
}

// TestPostingIsHealed ends the work on a group after each of its steps, starts
// over, and wants the same figures as without an end.
func TestPostingIsHealed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	none := func(*testing.T, stores, world) {}
	deleted := func(t *testing.T, s stores, _ world) {
		if _, err := s.records.DeleteRecordGroup(ctx, admin.Organization, "g", "test"); err != nil {
			t.Fatal(err)
		}
	}
	// told posts without noting it, as if the process ended in between.
	told := func(t *testing.T, s stores, service world) {
		g, err := s.records.RecordGroup(ctx, admin.Organization, "g")
		if err != nil {
			t.Fatal(err)
		}
		if err := service.post(ctx, admin.Organization, []billing.OwnedGroup{{Organization: admin.Organization, RecordGroup: g}}); err != nil {
			t.Fatal(err)
		}
		if err := s.records.MarkPosted(ctx, admin.Organization, g.Serial, g.Serial, s.postedState(t, "g"), g.Posted); err != nil {
			t.Fatal(err)
		}
	}
	eventsOnly := func(t *testing.T, s stores, service world) {
		g := gigabytes("g", "2.5")
		checked, _, err := service.checkGroups(ctx, admin, []NewRecordGroup{g})
		if err == nil {
			err = service.appendEvents(ctx, checked.events)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		steps []func(*testing.T, stores, world)
		want  string
		state billing.Posted
	}{
		"accepted":                       {nil, "3.5", billing.EventsPosted},
		"accepted, events appended":      {[]func(*testing.T, stores, world){eventsOnly}, "3.5", billing.EventsPosted},
		"posted and not noted":           {[]func(*testing.T, stores, world){told}, "3.5", billing.EventsPosted},
		"deleted before it was posted":   {[]func(*testing.T, stores, world){deleted}, "1", billing.NothingToPost},
		"deleted after its events":       {[]func(*testing.T, stores, world){told, deleted}, "1", billing.NothingToPost},
		"deleted, events appended after": {[]func(*testing.T, stores, world){deleted, eventsOnly}, "1", billing.NothingToPost},
		"voided and not noted":           {[]func(*testing.T, stores, world){deleted, told}, "1", billing.NothingToPost},
		"voided, and events again":       {[]func(*testing.T, stores, world){deleted, told, eventsOnly, none}, "1", billing.NothingToPost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStores(t)
			service := s.reporting(t)
			s.accept(t, service, gigabytes("g", "2.5"), gigabytes("other", "1"))
			for _, step := range c.steps {
				step(t, s, service)
			}
			for range 2 { // the second finds nothing to do
				again := s.service(t, Limits{})
				if _, err := again.PostPending(ctx); err != nil {
					t.Fatal(err)
				}
				if got := posted(t, again); got != c.want || s.postedState(t, "g") != c.state || s.postedState(t, "other") != billing.EventsPosted {
					t.Errorf("usage %s, state %d", got, s.postedState(t, "g"))
				}
				if n, err := again.PostPending(ctx); n != 0 || err != nil {
					t.Errorf("posted %d again, %v", n, err)
				}
			}
		})
	}
}

// TestPostingOfManyGroups goes over pages and organizations.
func TestPostingOfManyGroups(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	var groups []NewRecordGroup
	for i := range 2*postingPage + 7 {
		groups = append(groups, gigabytes(fmt.Sprint("g", i), "1"))
	}
	s.accept(t, service, groups...)
	if _, err := s.catalog.CreateOrganization(context.Background(), catalog.NewOrganization{ID: "zeta"}, "test"); err != nil {
		t.Fatal(err)
	}
	foreign := billing.RecordGroup{ID: "g0", Entitlement: "e1", Customer: "c", Buyer: "c", Partner: "AWS", Product: "p", Status: billing.GroupCreated,
		Usage: testStart, Source: "API", Records: map[string]meter.Decimal{"gb": amount("5")}}
	if _, _, err := s.records.CreateRecordGroups(context.Background(), "zeta", []billing.RecordGroup{foreign}, billing.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	n, err := service.PostPending(context.Background())
	if n != len(groups)+1 || err != nil || posted(t, service) != fmt.Sprint(len(groups)) {
		t.Errorf("posted %d, %v, usage %s", n, err, posted(t, service))
	}
}

// TestOldUsageIsStillPosted: what was accepted once is posted however late.
func TestOldUsageIsStillPosted(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	old := gigabytes("g", "2")
	old.Time = testStart.AddDate(-5, 0, 0)
	s.accept(t, service, old)
	limits := Limits{Events: cloudevents.DefaultLimits()}
	limits.Events.PastAge, limits.Events.IDBytes, limits.Events.TypeBytes = time.Hour, 1, 1
	strict := s.service(t, limits)
	if _, err := strict.ReportGroup(context.Background(), admin, gigabytes("h", "2"), Idempotency{}); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("%v", err)
	}
	if _, err := strict.PostPending(context.Background()); err != nil || posted(t, strict) != "2" {
		t.Errorf("%v, usage %s", err, posted(t, strict))
	}
}

// TestDeletionDuringPosting: whoever of reporting, deleting and healing is
// faster, a deleted group counts nowhere.
func TestDeletionDuringPosting(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	ctx := context.Background()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	var kept int
	for i := range rounds {
		id := fmt.Sprint("g", i)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := service.ReportGroup(ctx, admin, gigabytes(id, "1"), Idempotency{}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := service.PostPending(ctx); err != nil {
				t.Error(err)
			}
		})
		var deleted bool
		wg.Go(func() {
			_, err := service.DeleteGroup(ctx, admin, id, time.Time{})
			if deleted = err == nil; err != nil && meter.KindOf(err) != meter.KindNotFound {
				t.Error(err)
			}
		})
		wg.Wait()
		if !deleted {
			kept++
		}
		if got := posted(t, service); got != fmt.Sprint(kept) {
			t.Fatalf("round %d: usage %s, want %d", i, got, kept)
		}
	}
}

// TestSomebodyElsesEvent: nobody else sends events of internal sources; an
// identity that was taken before that was so is told of, and the rest counts.
func TestSomebodyElsesEvent(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	ctx := context.Background()
	taken := `{"specversion":"1.0","id":"g/0","source":"suger/e1","type":"x","time":"` + testStart.Format(time.RFC3339) + `"}`
	r, err := service.usage.Ingest(ctx, admin, []byte(taken), cloudevents.Auto, false)
	if err != nil || r.Rejected != 1 || !strings.Contains(r.Errors[0].Reason, eventSource) {
		t.Fatalf("an internal source from outside: %+v %v", r, err)
	}
	b := service.ledger.Builder(admin.Organization) // as it was taken before
	if err := cloudevents.Decode([]byte(taken), cloudevents.Auto, service.now(), cloudevents.Limits{}, b); err != nil {
		t.Fatal(err)
	}
	if r, err := service.ledger.Append(ctx, b); err != nil || r.Accepted != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	var log strings.Builder
	service.logger = slog.New(slog.NewTextHandler(&log, nil))
	g := gigabytes("g", "1")
	g.Records["seat"] = amount("2")
	if _, err := service.ReportGroup(ctx, admin, g, Idempotency{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "id=g/0") || posted(t, service) != "2" {
		t.Errorf("%s, usage %s", log.String(), posted(t, service))
	}
}

// TestMetricsAreHealed: a crash between the note of a metric and its meter.
func TestMetricsAreHealed(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	ctx := context.Background()
	noted := billing.BillableMetric{ID: "calls", Info: []byte(`{}`),
		Definition: []byte(`{"key":"calls","name":"Calls","event_type":"suger.metric.calls","aggregation":"COUNT"}`)}
	if _, err := s.records.CreateBillableMetric(ctx, admin.Organization, noted); err != nil {
		t.Fatal(err)
	}
	if _, err := service.BillableMetric(ctx, admin, "calls"); meter.KindOf(err) != meter.KindNotFound {
		t.Errorf("%v", err)
	}
	if list, err := service.BillableMetrics(ctx, admin); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	for range 2 {
		if _, err := service.PostPending(ctx); err != nil {
			t.Fatal(err)
		}
		if m, err := service.BillableMetric(ctx, admin, "calls"); err != nil || m.Name != "Calls" {
			t.Errorf("%+v, %v", m, err)
		}
	}
	// A meter that is refused leaves no note.
	if _, err := service.CreateBillableMetric(ctx, admin, NewBillableMetric{ID: "posted", Aggregation: meter.AggCount}); meter.KindOf(err) != meter.KindConflict {
		t.Errorf("%v", err)
	}
	if _, err := s.records.BillableMetric(ctx, admin.Organization, "posted"); meter.KindOf(err) != meter.KindNotFound {
		t.Errorf("%v", err)
	}
}

// TestUnpostedGroupsAreCounted: what the ledger refuses is told.
func TestUnpostedGroupsAreCounted(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.reporting(t)
	s.accept(t, service, gigabytes("g", "1"), gigabytes("h", "2"))
	ctx := context.Background()
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := service.PostPending(ctx); err == nil || service.Unposted() != 2 {
		t.Errorf("%v, %d are told", err, service.Unposted())
	}
}
