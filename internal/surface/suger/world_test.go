package suger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// start is when these tests begin; their clock stands still until a test moves it.
var start = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// document is the catalogue of the organization "default". Its customers are
// named by an attribute that no reported usage has.
const document = `
organization: {customer_attribute: account}
meters:
- {key: bytes, event_type: edge, aggregation: SUM, value: bytes}
products: [{id: cdn, name: Delivery}]
customers: [{id: acme, name: Acme}, {id: beta, name: Beta}]
entitlements:
- id: ent-1
  customer: acme
  buyer: {id: buyer-1}
  partner: AWS
  product: cdn
  starts: 2026-01-01
  ends: 2027-01-01
  dimensions:
  - {key: gb, name: GB out, unit_price: "0.3", list_price: "0.5"}
  - {key: seat, name: Seats, unit_price: "2"}
  - {key: twin, name: Same}
  - {key: twin2, name: Same}
  - {key: metered, name: Metered, meter: bytes}
  aws: {product_code: p, customer_identifier: c}
- {id: ent-2, customer: beta, partner: AZURE, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB out}]}
- {id: ent-3, customer: acme, partner: GCP, product: cdn, status: suspended, starts: 2026-01-01, dimensions: [{key: gb, name: GB out}]}
`

// world is the surface on a real server over a ledger and a catalogue of its own.
type world struct {
	t       testing.TB
	url     string
	dsn     string
	catalog *catalog.Store
	service *metering.Service
	log     *ledger.Ledger
	admin   metering.Principal
	key     string // may report
	now     atomic.Pointer[time.Time]
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, filepath.Join(t.TempDir(), "catalog.db"))
}

// newWorldOn is newWorld with its catalogue at a place.
func newWorldOn(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{t: t, dsn: dsn}
	w.now.Store(&start)
	clock := func() time.Time { return *w.now.Load() }
	ctx, stop := context.WithCancel(context.Background())
	store, err := catalog.Open(ctx, dsn, catalog.Options{Clock: clock})
	check(t, err)
	w.catalog = store
	first, err := store.EnsureDefault(ctx, "test")
	check(t, err)
	w.log, err = ledger.Open(ctx, ledger.Options{Dir: filepath.Join(t.TempDir(), "ledger"), Clock: clock,
		Fatal: func(m string) { t.Errorf("the ledger failed: %s", m) }})
	check(t, err)
	w.service, err = metering.New(ctx, metering.Options{Ledger: w.log, Catalog: store, Clock: clock})
	check(t, err)
	w.admin, err = w.service.Authenticate(ctx, first, "")
	check(t, err)
	s, err := httpserver.New(httpserver.Options{Listen: "127.0.0.1:0"})
	check(t, err)
	s.Mount(Surface(Options{Service: w.service, Clock: clock}))
	check(t, s.Ready(w.service))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.url = s.URL()
	t.Cleanup(func() {
		stop()
		for _, err := range []error{<-done, w.log.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.apply(document)
	_, err = store.CreateOrganization(ctx, catalog.NewOrganization{ID: "other"}, "test")
	check(t, err)
	w.key = w.newKey(catalog.RoleReport, "")
	return w
}

func (w *world) apply(text string) {
	w.t.Helper()
	_, err := w.service.Apply(context.Background(), w.admin, []byte(text), metering.ApplyOptions{})
	check(w.t, err)
}

func (w *world) newKey(role catalog.Role, customer string) string {
	w.t.Helper()
	_, token, err := w.service.CreateKey(context.Background(), w.admin, metering.NewKey{Role: string(role), Customer: customer})
	check(w.t, err)
	return token
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answered is one answer.
type answered struct {
	status int
	body   string
	header http.Header
}

// ask sends a request with the world's key.
func (w *world) ask(method, path, body string) answered {
	w.t.Helper()
	return w.send(method, path, body, http.Header{"Authorization": {"Key " + w.key}})
}

func (w *world) send(method, path, body string, header http.Header) answered {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	check(w.t, err)
	r.Header = header
	a, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	check(w.t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	check(w.t, err)
	return answered{a.StatusCode, string(text), a.Header}
}

// want sends a request and holds the answer against a status and parts of its body.
func (w *world) want(method, path, body string, status int, parts ...string) string {
	w.t.Helper()
	a := w.ask(method, path, body)
	a.want(w.t, method+" "+path+" "+shorten(body), status, parts...)
	return a.body
}

func (a answered) want(t testing.TB, what string, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: %d %s, want %d", what, a.status, shorten(a.body), status)
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s: %s, want %q in it", what, shorten(a.body), part)
		}
	}
	form := "application/json"
	if status != http.StatusOK {
		form = "text/plain; charset=utf-8"
		if strings.HasPrefix(a.body, `"`) || strings.HasPrefix(a.body, "{") || a.body == "" || strings.Contains(a.body, "\n") {
			t.Errorf("%s: %q is not a line of text", what, a.body)
		}
	}
	if got := a.header.Get("Content-Type"); got != form {
		t.Errorf("%s: content type %q", what, got)
	}
}

func shorten(text string) string {
	if len(text) > 300 {
		return text[:300] + "..."
	}
	return text
}

const (
	orgPath    = "/org/default"
	reportPath = orgPath + "/entitlement/ent-1/usageRecordGroup"
)

// v1 is the body of a report of ent-1.
func v1(id, records string) string {
	return fmt.Sprintf(`{"id":%q,"organizationID":"default","entitlementID":"ent-1","records":%s}`, id, records)
}

// v2 is the same with records of billable metrics.
func v2(id, records string) string {
	return fmt.Sprintf(`{"id":%q,"organizationID":"default","entitlementID":"ent-1","records":null,"billableRecords":%s}`, id, records)
}

// report reports usage of ent-1.
func (w *world) report(body string) group {
	w.t.Helper()
	return parse[group](w.t, w.want("POST", reportPath, body, 200))
}

// group is an answer's group, as far as tests look at it.
type group struct {
	ID       string                 `json:"id"`
	Serial   int                    `json:"serialID"`
	Partner  *string                `json:"partner"`
	Status   string                 `json:"status"`
	Records  map[string]json.Number `json:"records"`
	MetaInfo struct {
		Origin    map[string]json.Number `json:"originRecords"`
		Billable  json.RawMessage        `json:"billableRecords"`
		Source    string                 `json:"source"`
		Timestamp string                 `json:"timestamp"`
	} `json:"metaInfo"`
	Created string `json:"creationTime"`
	Message string `json:"message"`
}

func parse[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", shorten(text), err)
	}
	return v
}

// usage is a meter's total, for all customers or one.
func (w *world) usage(key string, filters ...metering.AttrFilter) string {
	w.t.Helper()
	u, err := w.service.Usage(w.t.Context(), w.admin, metering.UsageQuery{Meter: key, From: start.AddDate(-1, 0, 0), To: start.AddDate(0, 0, 2), Filters: filters})
	check(w.t, err)
	return u.Total.String()
}

func where(attribute, value string) metering.AttrFilter {
	return metering.AttrFilter{Attribute: attribute, Values: []string{value}}
}

// records defines a meter of what v1 reports.
func (w *world) records() {
	w.t.Helper()
	_, _, err := w.service.CreateMeter(w.t.Context(), w.admin, meter.Meter{Key: "posted", EventType: "suger.record",
		Aggregation: meter.AggSum, Value: "quantity", GroupBy: []string{"customer", "dimension", "entitlement", "product"}})
	check(w.t, err)
}

// noKey is no idempotency key.
var noKey metering.Idempotency

func meterDecimal(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}
