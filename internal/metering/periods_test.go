package metering

import (
	"context"
	"encoding/json"
	"errors"
	"odometer/internal/access"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

// hitsBook says how many events each month has, and what came late.
type hitsBook struct {
	service *Service
	fail    error
}

func (b *hitsBook) Surface() string { return "hits" }

func (b *hitsBook) Figures(ctx context.Context, c Closing) (any, error) {
	u, err := b.service.Usage(ctx, c.Asks, meter.UsageQuery{Meter: "hits", From: c.Month.From, To: c.Month.To, AsOfSequence: c.Month.Sequence})
	if err != nil {
		return nil, err
	}
	var late []string
	for _, m := range c.Before.BookedTo(c.Month.Period) {
		late = append(late, m.Name)
	}
	return map[string]any{"hits": u.Total, "late": late, "customer": c.Customer}, b.fail
}

// periodWorld has two customers and a clock that tests move.
type periodWorld struct {
	*Service
	now  time.Time
	book *hitsBook
}

func newPeriodWorld(t *testing.T) *periodWorld {
	t.Helper()
	w := &periodWorld{now: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)}
	stores := openStoresAt(t, func() time.Time { return w.now })
	w.Service = stores.service(t, Limits{})
	w.book = &hitsBook{service: w.Service}
	w.KeepBooks(w.book)
	const document = `{meters: [{key: hits, event_type: e, aggregation: COUNT}], customers: [{id: acme}, {id: zeta}]}`
	if _, err := w.Apply(context.Background(), admin, []byte(document), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// closed renders a customer's closed months.
func (w *periodWorld) closed(t *testing.T, customer string) string {
	t.Helper()
	page, err := w.Periods(context.Background(), admin, customer, catalog.Page{})
	if err != nil {
		t.Fatal(err)
	}
	var months []string
	for _, p := range page.Items {
		months = append(months, p.Month)
	}
	return strings.Join(months, " ")
}

// Months are closed once, so many days after they end, but for those that
// ended before the customer was there.
func TestCloseDue(t *testing.T) {
	t.Parallel()
	w := newPeriodWorld(t)
	ctx := context.Background()
	due := func(now string, closed int, acme, zeta string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		w.now = at
		n, err := w.CloseDue(ctx, 5*24*time.Hour)
		if n != closed || err != nil || w.closed(t, "acme") != acme || w.closed(t, "zeta") != zeta {
			t.Errorf("at %s: %d closed, %v; %q and %q", now, n, err, w.closed(t, "acme"), w.closed(t, "zeta"))
		}
	}
	due("2026-03-31T00:00:00Z", 0, "", "")
	due("2026-04-05T23:59:59Z", 0, "", "")
	due("2026-04-06T00:00:00Z", 2, "2026-03", "2026-03")
	due("2026-04-06T00:00:00Z", 0, "2026-03", "2026-03")
	if _, err := w.ClosePeriod(ctx, admin, "acme", "2026-02"); err != nil { // by hand, before it was there
		t.Fatal(err)
	}
	due("2026-07-06T00:00:00Z", 6, "2026-02 2026-03 2026-04 2026-05 2026-06", "2026-03 2026-04 2026-05 2026-06")
	if s := w.Stats(); s.PeriodsClosed != 9 || s.PeriodFailures != 0 {
		t.Errorf("%+v", s)
	}
	page, err := w.AuditEntries(ctx, admin, catalog.Page{Limit: 1})
	if err != nil || page.Items[0].Actor != "system:periods" {
		t.Errorf("%+v %v", page, err)
	}
	w.book.fail = errors.New("no ink")
	w.now = time.Date(2026, 9, 6, 0, 0, 0, 0, time.UTC)
	if n, err := w.CloseDue(ctx, 0); n != 0 || !errors.Is(err, w.book.fail) || w.Stats().PeriodFailures != 2 {
		t.Errorf("%d %v", n, err)
	}
	w.book.fail = nil
	due("2026-09-06T00:00:00Z", 4, "2026-02 2026-03 2026-04 2026-05 2026-06 2026-07 2026-08", "2026-03 2026-04 2026-05 2026-06 2026-07 2026-08")
}

// A period keeps what its books said as of one log sequence.
func TestPeriodsKeepTheirFigures(t *testing.T) {
	t.Parallel()
	w := newPeriodWorld(t)
	ctx := context.Background()
	send := func(id, at string) {
		t.Helper()
		event := `{"specversion":"1.0","id":"` + id + `","source":"s","type":"e","time":"` + at + `","subject":"acme"}`
		if r, err := w.Ingest(ctx, admin, []byte(event), cloudevents.Single, false); err != nil || r.Accepted != 1 {
			t.Fatalf("%+v %v", r, err)
		}
	}
	send("1", "2026-02-01T00:00:00Z")
	send("2", "2026-02-28T23:59:59Z")
	made, err := w.ClosePeriod(ctx, admin, "acme", "2026-02")
	if err != nil || made.Sequence != w.placed(admin, w.ledger.Stats().Last) {
		t.Fatalf("%+v %v", made, err)
	}
	send("3", "2026-02-10T00:00:00Z")
	var figures struct {
		Hits     meter.Decimal
		Late     []string
		Customer string
	}
	for _, month := range []string{"2026-02", "2026-01"} {
		if month == "2026-01" {
			if _, err := w.ClosePeriod(ctx, admin, "acme", month); err != nil {
				t.Fatal(err)
			}
		}
		c, err := w.Closed(ctx, admin, "acme")
		if err != nil {
			t.Fatal(err)
		}
		in, _ := meter.ParseMonth("2026-02")
		m, ok := c.Month(in)
		for range 2 { // read, then remembered
			if found, err := c.Figures(ctx, m, "hits", &figures); !ok || !found || err != nil || figures.Hits.String() != "2" || figures.Customer != "acme" || !m.Late {
				t.Fatalf("%v %v %v %+v", ok, found, err, figures)
			}
		}
		if found, err := c.Figures(ctx, m, "other", &figures); found || err != nil {
			t.Error(found, err)
		}
	}
	if _, err := w.ClosePeriod(ctx, access.Principal{Organization: "default", Role: access.RoleAdmin, Customer: "acme"}, "acme", "2026-01"); meter.KindOf(err) != meter.KindForbidden {
		t.Error(err)
	}
	text, err := json.Marshal(made)
	if err != nil || !strings.Contains(string(text), `"hits":"2"`) {
		t.Errorf("%s %v", text, err)
	}
}
