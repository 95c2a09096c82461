package thousandeyes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// document is the catalogue of these tests: the shop of the worked examples,
// a customer that is billed by number, and one with an account group for the
// organization other.
const document = `
units:
  cloud: {meter: cloud_units}
  enterprise: {meter: enterprise_units}
  rates:
    HTTP: {cloud: "1", enterprise: "0.5", per: timeout_s}
    A2S: {cloud: "5", enterprise: "2.5"}
customers:
  - id: shop
    name: Shop
    cycle_day: 5
    account_groups: [{aid: "1234", name: Web}, {aid: "5678", name: Network}]
    agents:
      - {id: "11", name: Oslo, kind: enterprise, account_group: "1234", effective: 2026-11-06}
      - {id: "13", name: Rome, kind: enterprise, account_group: "5678", enabled: false}
      - {id: "12", name: laptop, kind: endpoint, account_group: "5678", effective: 2026-11-20}
    tests:
      - {id: "901", name: home page, type: HTTP, account_group: "1234", interval_s: 60, timeout_s: 5, cloud_agents: 2, agents: ["11"]}
      - {id: "902", name: ping, type: A2S, account_group: "5678", interval_s: 300, cloud_agents: 1, agents: ["11", "13"]}
      - {id: "903", name: once, type: HTTP, account_group: "1234", timeout_s: 5, cloud_agents: 1, instant: true}
    quota: {cloud_units: 4320000000, enterprise_agents: 5, endpoint_agents: 10}
  - id: old
    name: Old
    pricing: legacy
    account_groups: [{aid: "77", name: Old group}]
    quota: {cloud_units: 5, enterprise_agents: 5}
  - id: blank
    name: Blank
    account_groups: [{aid: "88", name: Blank group}]
`

// world is the surface on a real server over a ledger and a catalogue of its own.
type world struct {
	t       testing.TB
	url     string
	service *metering.Service
	store   *catalog.Store
	ledger  *ledger.Ledger
	admin   metering.Principal
	key     string // unbound, of the organization default
	bound   string // the shop's

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{t: t, now: at(t, "22 12:00:00")}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	var err error
	w.store, err = catalog.Open(ctx, filepath.Join(dir, "catalog.db"), catalog.Options{Clock: w.clock})
	check(t, err)
	w.key, err = w.store.EnsureDefault(ctx, "test")
	check(t, err)
	log, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: w.clock,
		Fatal: func(m string) { t.Errorf("the ledger failed: %s", m) }})
	check(t, err)
	w.ledger = log
	w.service, err = metering.New(ctx, metering.Options{Ledger: log, Catalog: w.store, Clock: w.clock})
	check(t, err)
	w.admin, err = w.service.Authenticate(ctx, w.key, "")
	check(t, err)
	s, err := httpserver.New(httpserver.Options{Listen: "127.0.0.1:0"})
	check(t, err)
	o.Service, o.Clock, o.CursorKey = w.service, w.clock, []byte("a key of these tests")
	s.Mount(Surface(o))
	check(t, s.Ready(w.service))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.url = s.URL()
	t.Cleanup(func() {
		stop()
		for _, err := range []error{<-done, log.Close(), w.store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	for _, key := range []string{"cloud_units", "enterprise_units"} {
		_, _, err := w.service.CreateMeter(ctx, w.admin, meter.Meter{Key: key, EventType: strings.Replace(key, "_", ".", 1), Aggregation: meter.AggSum,
			Value: "units", GroupBy: []string{"customer", "account_group", "test", "agent"}})
		check(t, err)
	}
	w.apply(document, time.Time{})
	w.bound = w.newKey(catalog.NewKey{Organization: "default", Role: catalog.RoleRead, Customer: "shop"})
	return w
}

// apply adds to the catalogue; changes hold from an instant, zero for now.
func (w *world) apply(text string, effective time.Time) {
	w.t.Helper()
	doc, err := catalog.ParseDocument([]byte(text))
	check(w.t, err)
	_, err = w.store.Apply(context.Background(), "default", doc, catalog.ApplyOptions{Actor: "test", Effective: effective})
	check(w.t, err)
}

func (w *world) newKey(n catalog.NewKey) string {
	w.t.Helper()
	_, token, err := w.store.CreateKey(context.Background(), n, "test")
	check(w.t, err)
	return token
}

// event is a number of units of one kind.
type event struct {
	kind, customer, group, test, agent string
	at                                 time.Time
	units                              string // a JSON number
}

func (w *world) ingest(events ...event) {
	w.t.Helper()
	var body strings.Builder
	for i, e := range events {
		check(w.t, json.NewEncoder(&body).Encode(map[string]any{"specversion": "1.0", "id": fmt.Sprint(i), "source": "s", "type": e.kind + ".units",
			"subject": e.customer, "time": e.at, "data": map[string]any{"account_group": e.group, "test": e.test, "agent": e.agent, "units": json.Number(e.units)}}))
	}
	r, err := w.service.Ingest(context.Background(), w.admin, []byte(body.String()), metering.NDJSON, false)
	if err != nil || r.Accepted != len(events) {
		w.t.Fatalf("%+v %v", r, err)
	}
}

// shopUsage is what the shop used in the cycle, before it, and what others did.
func (w *world) shopUsage() {
	w.t.Helper()
	day := at(w.t, "10 10:00:00")
	w.ingest(
		event{"cloud", "shop", "1234", "901", "", day, "1000.5"}, event{"cloud", "shop", "5678", "902", "", day, "200"},
		event{"cloud", "shop", "1234", "903", "", day, "5"},
		event{"enterprise", "shop", "1234", "901", "11", day, "2.5"}, event{"enterprise", "shop", "5678", "902", "11", day, "7.5"},
		event{"enterprise", "shop", "5678", "902", "13", day, "2.5"},
		event{"cloud", "shop", "1234", "901", "", at(w.t, "4 23:59:59"), "40"}, // the cycle before
		event{"cloud", "shop", "1234", "901", "", at(w.t, "22 13:00:00"), "9"}, // later than now
		event{"cloud", "old", "1234", "901", "", day, "3"},                     // the shop's test in another customer's event
		event{"cloud", "nobody", "1234", "901", "", day, "4"},
	)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request; header holds names and values in turn.
func (w *world) send(method, url string, header ...string) reply {
	w.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.url + url
	}
	r, err := http.NewRequest(method, url, nil)
	check(w.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	check(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(w.t, err)
	return reply{resp.StatusCode, resp.Header, strings.TrimSuffix(string(body), "\n")}
}

func (w *world) get(key, url string) reply {
	w.t.Helper()
	return w.send("GET", url, "Authorization", "Bearer "+key)
}

// want checks the status, and a problem's form.
func (w *world) want(name string, r reply, status int, texts ...string) reply {
	w.t.Helper()
	if r.status != status {
		w.t.Errorf("%s: status %d, want %d: %s", name, r.status, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			w.t.Errorf("%s: %s is not in %s", name, text, r.body)
		}
	}
	kind := r.header.Get("Content-Type")
	var p struct {
		Type, Title, Detail, Instance string
		Status                        int
	}
	switch {
	case status == 200 && kind != "application/hal+json", status == 401 && kind != "application/json":
		w.t.Errorf("%s: %d as %s", name, status, kind)
	case status >= 400 && status != 401:
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != status || p.Title == "" || p.Instance == "" || kind != "application/problem+json" {
			w.t.Errorf("%s: %v, %s: %s", name, err, kind, r.body)
		}
	}
	return r
}
