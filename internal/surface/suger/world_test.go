package suger

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/surface/surfacetest"
)

// start is when these tests begin; their clock stands still until a test moves it.
var start = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// document is the catalog of the organization "default". Its customers are
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

// world is the surface on a real server.
type world struct {
	*surfacetest.World
	dsn string
	key string // may report
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, filepath.Join(t.TempDir(), "catalog.db"))
}

// newWorldOn is newWorld with its catalog at a place.
func newWorldOn(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{dsn: dsn, World: surfacetest.New(t, surfacetest.Options{Start: start, DSN: dsn, Mount: func(w *surfacetest.World) []*httpserver.Surface {
		return []*httpserver.Surface{Surface(Options{Service: w.Service, Records: w.Records, Clock: w.Clock.Now})}
	}})}
	w.Apply(document, metering.ApplyOptions{})
	_, err := w.Catalog.CreateOrganization(w.Context(), catalog.NewOrganization{ID: "other"}, "test")
	w.Check(err)
	w.key = w.NewKey(access.RoleReport, "")
	return w
}

// answered is one answer.
type answered struct{ surfacetest.Answer }

// ask sends a request with the world's key.
func (w *world) ask(method, path, body string) answered {
	w.Helper()
	return w.send(method, path, body, http.Header{"Authorization": {"Key " + w.key}})
}

func (w *world) send(method, path, body string, header http.Header) answered {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.URL+path, strings.NewReader(body))
	w.Check(err)
	r.Header = header
	return answered{w.Do(r)}
}

// want sends a request and holds the answer against a status and parts of its body.
func (w *world) want(method, path, body string, status int, parts ...string) string {
	w.Helper()
	a := w.ask(method, path, body)
	a.want(w.TB, method+" "+path+" "+shorten(body), status, parts...)
	return a.Body
}

func (a answered) want(t testing.TB, what string, status int, parts ...string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%s: %d %s, want %d", what, a.Status, shorten(a.Body), status)
	}
	for _, part := range parts {
		if !strings.Contains(a.Body, part) {
			t.Errorf("%s: %s, want %q in it", what, shorten(a.Body), part)
		}
	}
	form := "application/json"
	if status != http.StatusOK {
		form = "text/plain; charset=utf-8"
		if strings.HasPrefix(a.Body, `"`) || strings.HasPrefix(a.Body, "{") || a.Body == "" || strings.Contains(a.Body, "\n") {
			t.Errorf("%s: %q is not a line of text", what, a.Body)
		}
	}
	if got := a.Header.Get("Content-Type"); got != form {
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
	w.Helper()
	return surfacetest.Read[group](w.TB, w.want("POST", reportPath, body, 200))
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

// usage is a meter's total, for all customers or one.
func (w *world) usage(key string, filters ...meter.AttrFilter) string {
	w.Helper()
	u, err := w.Service.Usage(w.Context(), w.Admin, meter.UsageQuery{Meter: key, From: start.AddDate(-1, 0, 0), To: start.AddDate(0, 0, 2), Filters: filters})
	w.Check(err)
	return u.Total.String()
}

func where(attribute, value string) meter.AttrFilter {
	return meter.AttrFilter{Attribute: attribute, Values: []string{value}}
}

// records defines a meter of what v1 reports.
func (w *world) records() {
	w.Helper()
	_, _, err := w.Service.CreateMeter(w.Context(), w.Admin, meter.Meter{Key: "posted", EventType: "suger.record",
		Aggregation: meter.AggSum, Value: "quantity", GroupBy: []string{"customer", "dimension", "entitlement", "product"}})
	w.Check(err)
}

// noKey is no idempotency key.
var noKey records.Idempotency

func meterDecimal(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}
