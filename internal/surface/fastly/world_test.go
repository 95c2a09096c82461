package fastly

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
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	acme  = "x4xCwxxJxGCx123Rx5xTx"
	zeta  = "zeta/ø x"
	march = "&time_granularity=month&start_month=2026-03&end_month=2026-03"
	na    = "product_id=cdn_usage&usage_type_name=North+America+Requests"
)

// catalogues are those of the organizations "default" and "other".
var catalogues = map[string]string{
	"default": `
products:
  - id: cdn_usage
    name: Delivery
    usage_types:
      - {name: Total GB, meter: bytes, unit: GB, scale: "0.000000001"}
      - {name: North America Requests, meter: requests, where: {region: na}, surfaces: [fastly]}
      - {name: Requests, meter: requests, unit: unit}
      - {name: Total Hits, meter: requests, surfaces: [akamai]}
      - {name: 95/5 Mbps, meter: p95} # knows no services
  - {id: dns, name: DNS, usage_types: [{name: Queries, meter: queries}]}
customers:
  - {id: ` + acme + `, name: Acme, services: [{id: S1, name: shop}, {id: S2, name: =blog}, {id: S3, name: idle}, {id: S4, name: api}, {id: S5, name: ads}, {id: S6, name: auth}, {id: S7, name: app}]}
  - {id: "` + zeta + `", name: Zeta, services: [{id: Z/1, name: zoo}]}
`,
	"other": `
products: [{id: cdn_usage, name: Delivery, usage_types: [{name: Requests, meter: requests}]}]
customers: [{id: foreign, name: Foreign, services: [{id: F1, name: far}]}]
`,
}

// world is the surface on a real server over a ledger and a catalogue of its own.
type world struct {
	t       testing.TB
	url     string
	catalog *catalog.Store
	service *metering.Service
	log     *ledger.Ledger
	admin   metering.Principal
	key     string // unbound, may read
	bound   string // acme's
	sent    int    // events, for their ids
	now     atomic.Pointer[time.Time]
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	w.now.Store(&start)
	clock := func() time.Time { return *w.now.Load() }
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	store, err := catalog.Open(ctx, filepath.Join(dir, "catalog.db"), catalog.Options{Clock: clock})
	check(t, err)
	w.key, err = store.EnsureDefault(ctx, "test")
	check(t, err)
	log, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock,
		Fatal: func(m string) { t.Errorf("the ledger failed: %s", m) }})
	check(t, err)
	w.catalog = store
	w.service, err = metering.New(ctx, metering.Options{Ledger: log, Catalog: store, Clock: clock})
	check(t, err)
	w.admin, err = w.service.Authenticate(ctx, w.key, "")
	check(t, err)
	s, err := httpserver.New(httpserver.Options{Listen: "127.0.0.1:0"})
	check(t, err)
	w.service.KeepBooks(Book(w.service))
	w.log = log
	s.Mount(Surface(Options{Service: w.service, CursorKey: []byte("a key of these tests"), Clock: clock}))
	check(t, s.Ready(w.service))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.url = s.URL()
	t.Cleanup(func() {
		stop()
		for _, err := range []error{<-done, log.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.define(w.admin)
	w.apply(w.admin, catalogues["default"], catalog.ApplyOptions{})
	w.bound = w.newKey(catalog.RoleRead, acme)
	return w
}

// apply applies a catalogue.
func (w *world) apply(p metering.Principal, text string, o catalog.ApplyOptions) {
	w.t.Helper()
	doc, err := catalog.ParseDocument([]byte(text))
	check(w.t, err)
	o.Actor = "test"
	_, err = w.catalog.Apply(context.Background(), p.Organization, doc, o)
	check(w.t, err)
}

// define creates the meters that the catalogues use.
func (w *world) define(p metering.Principal) {
	w.t.Helper()
	byService := []string{"customer", "product", "service", "region"}
	for _, m := range []meter.Meter{
		{Key: "requests", EventType: "edge", Aggregation: meter.AggCount, GroupBy: byService},
		{Key: "bytes", EventType: "edge", Aggregation: meter.AggSum, Value: "bytes", GroupBy: byService},
		{Key: "p95", EventType: "edge", Aggregation: meter.AggPercentile, Rate: true, Value: "bytes", GroupBy: []string{"customer"}},
		{Key: "queries", EventType: "dns", Aggregation: meter.AggCount, GroupBy: byService},
	} {
		_, _, err := w.service.CreateMeter(context.Background(), p, m)
		check(w.t, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// edge is one event.
type edge struct {
	customer, service, region string
	at                        time.Time
	bytes                     string // a JSON number
}

func (w *world) ingest(events ...edge) {
	w.t.Helper()
	var body strings.Builder
	for i, e := range events {
		event := map[string]any{"specversion": "1.0", "id": fmt.Sprint(w.sent + i), "source": "s", "type": "edge", "subject": e.customer, "time": e.at,
			"data": map[string]any{"service": e.service, "region": e.region, "bytes": json.Number(e.bytes)}}
		check(w.t, json.NewEncoder(&body).Encode(event))
	}
	r, err := w.service.Ingest(context.Background(), w.admin, []byte(body.String()), metering.NDJSON, false)
	if err != nil || r.Accepted != len(events) {
		w.t.Fatalf("%+v %v", r, err)
	}
	w.sent += len(events)
}

// month is an instant in March 2026.
func month(day int) time.Time { return time.Date(2026, 3, day, 10, 0, 0, 0, time.UTC) }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request; header holds names and values in turn.
func (w *world) send(method, path string, header ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, nil)
	check(w.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	check(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w.t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (w *world) get(key, path string) answer {
	w.t.Helper()
	return w.send("GET", path, "Fastly-Key", key)
}

// v2 is the path of a customer's operation.
func v2(customer, operation string) string {
	return "/billing/v2/account_customers/" + customer + "/" + operation
}

// detail and usage are what a client decodes.
type detail struct {
	CustomerID  string      `json:"customer_id"`
	ServiceID   string      `json:"service_id"`
	ServiceName string      `json:"service_name"`
	UsageUnits  json.Number `json:"usage_units"`
	ProductID   string      `json:"product_id"`
	UsageType   string      `json:"usage_type"`
}

type usage struct {
	StartTime string   `json:"start_time"`
	EndTime   string   `json:"end_time"`
	UsageType string   `json:"usage_type"`
	Unit      string   `json:"unit"`
	Details   []detail `json:"details"`
	Meta      struct {
		NextCursor   string `json:"next_cursor"`
		Limit, Total int
	} `json:"meta"`
}

func (a answer) usage(t testing.TB) usage {
	t.Helper()
	var u struct{ Data usage }
	if err := json.Unmarshal([]byte(a.body), &u); err != nil || a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", a.status, err, a.body)
	}
	return u.Data
}

// rows renders the details of an answer.
func (u usage) rows() string {
	var texts []string
	for _, d := range u.Details {
		texts = append(texts, strings.Trim(d.ServiceID+"="+d.UsageUnits.String()+" "+d.UsageType, " "))
	}
	return strings.Join(texts, ", ")
}
