package metering

import (
	"context"
	"encoding/json"
	"fmt"
	"odometer/internal/access"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// monthsCatalog has products for customers with contracts and without.
const monthsCatalog = `
meters:
  - {key: hits, event_type: edge, aggregation: COUNT, group_by: [customer, product, contract, service]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, contract, service]}
  - {key: most, event_type: edge, aggregation: MAX, value: bytes, group_by: [customer, product, contract, service]}
products:
  - id: cdn
    usage_types: [{name: Hits, meter: hits}, {name: Volume, meter: bytes, unit: GB, scale: "0.001"}, {name: Most, meter: most}]
customers:
  - {id: acme, contracts: [{id: K-1, terms: [{products: [cdn]}]}, {id: K-2, terms: [{from: 2026-02-01, products: [cdn]}]}]}
  - {id: zeta}
`

// monthsWorld is a service over stores whose clock tests move.
type monthsWorld struct {
	*Service
	t  *testing.T
	at atomic.Int64 // nanoseconds since 1970; the ledger looks at it meanwhile
	n  int
	of stores
}

func newMonthsWorld(t *testing.T, books bool) *monthsWorld {
	t.Helper()
	w := &monthsWorld{t: t}
	w.setNow(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	w.of = openStoresAt(t, w.now)
	w.reopen(books)
	if _, err := w.Apply(context.Background(), admin, []byte(monthsCatalog), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *monthsWorld) now() time.Time { return time.Unix(0, w.at.Load()).UTC() }

func (w *monthsWorld) setNow(at time.Time) { w.at.Store(at.UnixNano()) }

func (w *monthsWorld) reopen(books bool) {
	w.Service = w.of.service(w.t, Limits{})
	if books {
		w.KeepBooks(ProductBook(w.Service))
	}
}

func (w *monthsWorld) send(customer, service, contract string, at time.Time, bytes int) {
	w.t.Helper()
	data := fmt.Sprintf(`{"bytes":%d,"service":%q`, bytes, service)
	if contract != "" {
		data += fmt.Sprintf(`,"contract":%q`, contract)
	}
	w.sendData(customer, at, data+"}")
}

func (w *monthsWorld) sendData(customer string, at time.Time, data string) {
	w.t.Helper()
	w.n++
	event := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"s","type":"edge","time":%q,"subject":%q,"data":%s}`, w.n, at.Format(time.RFC3339), customer, data)
	if r, err := w.Ingest(context.Background(), admin, []byte(event), cloudevents.Single, false); err != nil || r.Accepted != 1 {
		w.t.Fatalf("%+v %v", r, err)
	}
}

func (w *monthsWorld) void(id int) {
	w.t.Helper()
	if _, err := w.ledger.Void(context.Background(), "default", []meter.Identity{{Source: "s", ID: fmt.Sprint(id)}}, "test", "wrong"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *monthsWorld) close(customer, month string) {
	w.t.Helper()
	if _, err := w.ClosePeriod(context.Background(), admin, customer, month); err != nil {
		w.t.Fatal(err)
	}
}

func (w *monthsWorld) report(q ReportQuery) []ReportLine {
	w.t.Helper()
	lines, err := w.ProductReport(context.Background(), admin, q)
	if err != nil {
		w.t.Fatalf("%+v: %v", q, err)
	}
	return lines
}

// rows renders a report; only says which rows.
func rows(lines []ReportLine, only func(ReportRow) bool) string {
	var out []string
	for _, l := range lines {
		for _, r := range l.Rows {
			if only(r) {
				out = append(out, fmt.Sprint(l.Customer, " ", l.UsageType.Name, " ", r.Start.Format(time.RFC3339), " ", r.Group, " ", r.Value, r.Unit, " ", r.Month, " late=", r.Late))
			}
		}
	}
	return strings.Join(out, "\n")
}

func any1(ReportRow) bool        { return true }
func closedRow(r ReportRow) bool { return r.Closed }

// TestMonthsOfRandomHistories closes months in any order while usage comes,
// comes late and is voided. What is closed never changes, whatever is asked;
// what counts and sums adds up to what the ledger has, by every group and window.
func TestMonthsOfRandomHistories(t *testing.T) {
	t.Parallel()
	histories := 12
	if testing.Short() {
		histories = 3
	}
	first := fixedtest.Seed(t)
	for i := range histories {
		seed := first + uint64(i)
		r := fixedtest.From(seed)
		w := newMonthsWorld(t, false)
		w.reopen(r.IntN(4) > 0) // some closings before there was a book
		tokyo, err := time.LoadLocation("Asia/Tokyo")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
		questions := []ReportQuery{
			{}, {By: []string{"service"}}, {Window: meter.WindowMonth}, {Window: meter.WindowDay}, {Window: meter.WindowMonth, Location: tokyo},
			{Window: meter.WindowMonth, By: []string{"service"}}, {Contract: "K-1", UsageType: "Volume"}, {Contract: "K-1", UsageType: "Hits", Window: meter.WindowMonth}, {Service: "s1", Window: meter.WindowWeek},
		}
		said := map[string]string{}
		at := func(days int) time.Time { return begin.Add(time.Duration(r.IntN(days*24)) * time.Hour) }
		for step := range 30 {
			w.setNow(w.now().Add(time.Duration(r.IntN(10*24)+1) * time.Hour))
			days := int(w.now().Sub(begin)/(24*time.Hour)) + 1
			for range r.IntN(3) + 1 {
				w.send([]string{"acme", "zeta"}[r.IntN(2)], fmt.Sprintf("s%d", r.IntN(3)), []string{"", "K-1", "K-2"}[r.IntN(3)], at(days), r.IntN(1000))
			}
			if r.IntN(4) == 0 {
				w.void(r.IntN(w.n) + 1)
			}
			if r.IntN(3) == 0 {
				in := meter.Month(at(days))
				if !in.To.After(w.now()) {
					_, err := w.ClosePeriod(context.Background(), admin, "acme", in.MonthName())
					if err != nil && meter.KindOf(err) != meter.KindConflict {
						t.Fatal(err)
					}
				}
			}
			if step == 15 {
				w.reopen(true)
			}
			for i, q := range questions {
				q.Customers, q.From, q.To = []string{"acme"}, begin, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
				lines := w.report(q)
				name := fmt.Sprintf("seed %d, step %d, question %d", seed, step, i)
				for _, row := range strings.Split(rows(lines, closedRow), "\n") {
					key := fmt.Sprint(i, " ", row)
					said[key] = row
				}
				now := rows(lines, closedRow)
				for key, row := range said {
					if row != "" && strings.HasPrefix(key, fmt.Sprint(i, " ")) && !strings.Contains("\n"+now+"\n", "\n"+row+"\n") {
						t.Fatalf("%s: %q was closed and is gone from\n%s", name, row, now)
					}
				}
				w.addsUp(name, q, lines)
			}
		}
	}
}

// addsUp holds a report's sums against the ledger's, for each group.
func (w *monthsWorld) addsUp(name string, q ReportQuery, lines []ReportLine) {
	w.t.Helper()
	plain := q
	plain.Window = ""
	for _, l := range lines {
		if l.UsageType.Name == "Most" {
			continue
		}
		got := map[string]meter.Decimal{}
		for _, r := range l.Rows {
			got[strings.Join(r.Group, ",")] = got[strings.Join(r.Group, ",")].Add(r.Value)
		}
		ask := ProductQuery{Product: l.Product, UsageType: l.UsageType, Customers: q.Customers, From: q.From, To: q.To, By: q.By}
		if q.Service != "" {
			ask.Filters = []meter.AttrFilter{{Attribute: serviceAttribute, Values: []string{q.Service}}}
		}
		var want []meter.UsageRow
		var err error
		if q.Contract == "" {
			want, err = w.ProductUsage(context.Background(), admin, ask)
		} else {
			view, viewErr := w.Catalog(context.Background(), admin, catalog.OfCustomers("acme"))
			if viewErr != nil {
				w.t.Fatal(viewErr)
			}
			scopes := customerScopes(view, contractOf(view, "acme", q.Contract), "acme", l.Product, meter.Period{From: q.From, To: q.To})
			want, err = w.ContractUsage(context.Background(), admin, ask, scopes)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range want {
			key := strings.Join(r.Group, ",")
			got[key] = got[key].Sub(r.Value)
		}
		for key, left := range got {
			if !left.IsZero() {
				w.t.Fatalf("%s: %s of %q is off by %s:\n%s", name, l.UsageType.Name, key, left, rows(lines, any1))
			}
		}
	}
}

// TestMonthsClosedBeforeTheBook closes a month without a book, as versions
// before it did; it stays as it was closed all the same, and what comes later
// is booked once.
func TestMonthsClosedBeforeTheBook(t *testing.T) {
	t.Parallel()
	w := newMonthsWorld(t, false)
	w.KeepBooks(vendorBook{})
	january := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	w.setNow(january)
	w.send("zeta", "s1", "", january, 1000)
	w.setNow(january.AddDate(0, 1, 0))
	w.close("zeta", "2026-01")
	p, _, err := w.Period(context.Background(), admin, "zeta", "2026-01")
	if err != nil {
		t.Fatal(err)
	}
	if n, ok, err := KeptFigures(p); n != 0 || ok || err != nil {
		t.Errorf("%d figures, %v %v", n, ok, err)
	}
	w.reopen(true)
	w.send("zeta", "s1", "", january, 4000)
	q := ReportQuery{Customers: []string{"zeta"}, UsageType: "Volume", From: january.AddDate(0, 0, -9), To: january.AddDate(0, 2, 0), Window: meter.WindowMonth}
	check := func(want ...string) {
		t.Helper()
		if got := rows(w.report(q), any1); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s", got)
		}
	}
	// The scale is that of the vendor's book, not the catalog's of today.
	closed := "zeta Volume 2026-01-01T00:00:00Z [] 10MB 2026-01 late=false"
	check(closed, "zeta Volume 2026-02-01T00:00:00Z [] 40MB 2026-01 late=true")
	w.setNow(january.AddDate(0, 2, 0))
	w.close("zeta", "2026-02")
	w.send("zeta", "s1", "", january, 5000)
	check(closed, "zeta Volume 2026-02-01T00:00:00Z [] 40MB 2026-01 late=true", "zeta Volume 2026-03-01T00:00:00Z [] 50MB 2026-01 late=true")
}

// vendorBook is what Fastly's said of a usage type before the native API kept a book.
type vendorBook struct{}

func (vendorBook) Surface() string { return "fastly" }

func (vendorBook) Figures(context.Context, Closing) (any, error) {
	return json.RawMessage(`{"lines":[{"product":"cdn","usage_type":{"name":"Volume","meter":"bytes","unit":"MB","scale":"0.01"},"totals":[{"raw":"1000","units":"10"}]}]}`), nil
}

// TestFiguresOfARemovedProduct removes product and meter after a closing: the
// book still answers, and says so where it cannot.
func TestFiguresOfARemovedProduct(t *testing.T) {
	t.Parallel()
	w := newMonthsWorld(t, true)
	january := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	w.setNow(january)
	w.send("zeta", "s1", "", january, 1000)
	w.setNow(january.AddDate(0, 1, 0))
	w.close("zeta", "2026-01")
	ctx := context.Background()
	if _, err := w.Apply(ctx, admin, []byte("products: []\ncustomers: [{id: acme}, {id: zeta}]"), ApplyOptions{Prune: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteMeter(ctx, admin, "bytes"); err != nil {
		t.Fatal(err)
	}
	q := ReportQuery{Customers: []string{"zeta"}, UsageType: "Volume", From: january.AddDate(0, 0, -9), To: january.AddDate(0, 2, 0)}
	if got := rows(w.report(q), any1); got != "zeta Volume 2026-01-01T00:00:00Z [] 1GB  late=false" {
		t.Error(got)
	}
	q.By = []string{"service"}
	if _, err := w.ProductReport(ctx, admin, q); meter.KindOf(err) != meter.KindUnavailable {
		t.Error(err)
	}
}

// TestBoundKeysAreSealedInReports asks by a key of zeta for what is acme's.
func TestBoundKeysAreSealedInReports(t *testing.T) {
	t.Parallel()
	w := newMonthsWorld(t, true)
	at := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	w.setNow(at)
	w.send("acme", "s1", "", at, 1000)
	zeta := access.Principal{Organization: "default", KeyID: "z", Role: access.RoleRead, Customer: "zeta"}
	q := ReportQuery{From: at, To: at.AddDate(0, 1, 0)}
	for name, ask := range map[string]func(*ReportQuery){
		"another customer beside its own": func(q *ReportQuery) { q.Customers = []string{"zeta", "acme"} },
		"another customer":                func(q *ReportQuery) { q.Customers = []string{"acme"} },
		"a product it has not":            func(q *ReportQuery) { q.Product = "cdn" },
		"no product":                      func(q *ReportQuery) { q.Product = "nothing" },
		"another's contract":              func(q *ReportQuery) { q.Contract = "K-1" },
		"a usage type it has not":         func(q *ReportQuery) { q.UsageType = "Volume" },
	} {
		asked := q
		ask(&asked)
		if lines, err := w.ProductReport(context.Background(), zeta, asked); meter.KindOf(err) != meter.KindNotFound || err == nil {
			t.Errorf("%s: %v %v", name, lines, err)
		}
	}
	lines, err := w.ProductReport(context.Background(), zeta, q)
	if err != nil || len(lines) != 0 {
		t.Errorf("%v %v", lines, err)
	}
	w.send("zeta", "s1", "", at, 1000) // names no product
	if lines, err = w.ProductReport(context.Background(), zeta, q); err != nil || len(lines) != 0 {
		t.Errorf("%v %v", lines, err)
	}
	w.sendData("zeta", at, `{"service":"s1","product":"cdn","bytes":2000}`) // what it used it may see
	own := func(when string) {
		lines, err := w.ProductReport(context.Background(), zeta, q)
		if err != nil || len(lines) != 3 || len(lines[1].Rows) != 1 || lines[1].Rows[0].Value.String() != "2" {
			t.Errorf("%s: %v %v", when, lines, err)
		}
	}
	own("open")
	w.setNow(at.AddDate(0, 1, 0))
	w.close("zeta", "2026-01")
	own("closed")
	w.sendData("zeta", at, `{"service":"s1","bytes":4000}`)
	q.To = at.AddDate(0, 2, 0)
	own("and late")
	if _, err := w.Apply(context.Background(), admin, []byte("products: []\ncustomers: [{id: acme}, {id: zeta}]"), ApplyOptions{Prune: true}); err != nil {
		t.Fatal(err)
	}
	own("removed")
}

// TestReportBounds asks at each bound and one past it.
func TestReportBounds(t *testing.T) {
	t.Parallel()
	w := newMonthsWorld(t, true)
	var document strings.Builder
	var names []string
	for i := range maxProductCustomers + 1 {
		fmt.Fprintf(&document, "  - {id: c%d}\n", i)
		names = append(names, fmt.Sprint("c", i))
	}
	if _, err := w.Apply(context.Background(), admin, []byte("customers:\n"+document.String()), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	q := ReportQuery{Customers: names[:maxProductCustomers], From: w.now(), To: w.now().AddDate(0, 1, 0)}
	w.report(q)
	ask := func(p access.Principal, q ReportQuery) meter.Kind {
		_, err := w.ProductReport(context.Background(), p, q)
		return meter.KindOf(err)
	}
	q.Customers = names
	if kind := ask(admin, q); kind != meter.KindInvalid {
		t.Errorf("%d customers: %v", len(names), kind)
	}
	q.Customers = []string{"c1", "c1"}
	if kind := ask(admin, q); kind != meter.KindInvalid {
		t.Errorf("twice: %v", kind)
	}
	reads := &reportReader{service: w.Service, usage: w.Service, principal: admin, who: "acme", readsLeft: 1, rowsLeft: 1,
		q: ReportQuery{From: w.now(), To: w.now().AddDate(0, 1, 0)}}
	page := &productPage{Product: "cdn", UsageType: catalog.UsageType{Name: "Hits", Meter: "hits"}}
	in := meter.Period{From: reads.q.From, To: reads.q.To}
	if _, err := reads.ask(context.Background(), &reportLine{}, page, in, 0, ""); err != nil {
		t.Error(err)
	}
	if _, err := reads.ask(context.Background(), &reportLine{}, page, in, 0, ""); meter.KindOf(err) != meter.KindTooLarge {
		t.Error(err)
	}
	texts := &reportReader{rowsLeft: 1, bytesLeft: 3}
	line := func(text string) *reportLine {
		return &reportLine{rows: map[rowKey]*ReportRow{{}: {UsageRow: meter.UsageRow{Group: []string{text}}}}}
	}
	if err := texts.take(line("abc")); err != nil {
		t.Error(err)
	}
	if err := texts.take(line("a")); meter.KindOf(err) != meter.KindTooLarge {
		t.Error(err)
	}
}

// TestClosedFor says for whom months are closed.
func TestClosedFor(t *testing.T) {
	t.Parallel()
	w := newMonthsWorld(t, true)
	w.setNow(w.now().AddDate(0, 4, 0))
	w.close("acme", "2026-01")
	w.close("zeta", "2026-01")
	w.close("zeta", "2026-03")
	year := meter.Period{From: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), To: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		customer string
		filter   []string
		in       meter.Period
		want     string
	}{
		{"", nil, year, "[{2026-01 [acme zeta] false} {2026-03 [zeta] false}]"},
		{"acme", nil, year, "[{2026-01 [acme] false}]"},
		{"acme", []string{"zeta"}, year, "[{2026-01 [acme] false}]"},
		{"", []string{"zeta", "zeta"}, year, "[{2026-01 [zeta] false} {2026-03 [zeta] false}]"},
		{"", nil, meter.Period{From: year.From.AddDate(0, 0, 1), To: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}, "[]"},
	} {
		p := admin
		p.Customer = c.customer
		var filters []meter.AttrFilter
		if c.filter != nil {
			filters = []meter.AttrFilter{{Attribute: meter.CustomerAttribute, Values: c.filter}}
		}
		got, err := w.ClosedFor(context.Background(), p, c.in, filters)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
}
