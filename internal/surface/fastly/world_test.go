package fastly

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/surfacetest"
)

// start is when these tests begin; their clock stands still until a test moves it.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	acme  = "x4xCwxxJxGCx123Rx5xTx"
	zeta  = "zeta/ø x"
	march = "&time_granularity=month&start_month=2026-03&end_month=2026-03"
	na    = "product_id=cdn_usage&usage_type_name=North+America+Requests"
)

// catalogs are those of the organizations "default" and "other".
var catalogs = map[string]string{
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

// world is the surface on a real server.
type world struct {
	*surfacetest.World
	key   string // unbound, may read
	bound string // acme's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: surfacetest.New(t, surfacetest.Options{Start: start, Mount: func(w *surfacetest.World) []*httpserver.Surface {
		w.Service.KeepBooks(Book(w.Service))
		return []*httpserver.Surface{Surface(Options{Service: w.Service, CursorKey: []byte("a key of these tests"), Clock: w.Clock.Now})}
	}})}
	w.key = w.Token
	w.define(w.Admin)
	w.Apply(catalogs["default"], metering.ApplyOptions{})
	w.bound = w.NewKey(access.RoleRead, acme)
	return w
}

// define creates the meters that the catalogs use.
func (w *world) define(p access.Principal) {
	w.Helper()
	byService := []string{"customer", "product", "service", "region"}
	w.Define(p,
		meter.Meter{Key: "requests", EventType: "edge", Aggregation: meter.AggCount, GroupBy: byService},
		meter.Meter{Key: "bytes", EventType: "edge", Aggregation: meter.AggSum, Value: "bytes", GroupBy: byService},
		meter.Meter{Key: "p95", EventType: "edge", Aggregation: meter.AggPercentile, Rate: true, Value: "bytes", GroupBy: []string{"customer"}},
		meter.Meter{Key: "queries", EventType: "dns", Aggregation: meter.AggCount, GroupBy: byService})
}

// edge is one event.
type edge struct {
	customer, service, region string
	at                        time.Time
	bytes                     string // a JSON number
}

func (w *world) ingest(events ...edge) {
	w.Helper()
	var all []surfacetest.Event
	for _, e := range events {
		all = append(all, surfacetest.Event{Type: "edge", Subject: e.customer, At: e.at,
			Data: map[string]any{"service": e.service, "region": e.region, "bytes": json.Number(e.bytes)}})
	}
	w.Ingest(all...)
}

// month is an instant in March 2026.
func month(day int) time.Time { return time.Date(2026, 3, day, 10, 0, 0, 0, time.UTC) }

// answer is what came back.
type answer struct{ surfacetest.Answer }

// send sends a request; header holds names and values in turn.
func (w *world) send(method, path string, header ...string) answer {
	w.Helper()
	return answer{w.Send(method, path, "", header...)}
}

func (w *world) get(key, path string) answer {
	w.Helper()
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
	if err := json.Unmarshal([]byte(a.Body), &u); err != nil || a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", a.Status, err, a.Body)
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
