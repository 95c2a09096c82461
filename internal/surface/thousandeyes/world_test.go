package thousandeyes

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

// document is the catalog of these tests: the shop of the worked examples,
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

// world is the surface on a real server.
type world struct {
	*surfacetest.World
	key   string // unbound, of the organization default
	bound string // the shop's
}

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{World: surfacetest.New(t, surfacetest.Options{Start: at(t, "22 12:00:00"), Mount: func(w *surfacetest.World) []*httpserver.Surface {
		o.Service, o.Clock, o.CursorKey = w.Service, w.Clock.Now, []byte("a key of these tests")
		return []*httpserver.Surface{Surface(o)}
	}})}
	w.key = w.Token
	for _, key := range []string{"cloud_units", "enterprise_units"} {
		w.Define(w.Admin, meter.Meter{Key: key, EventType: strings.Replace(key, "_", ".", 1), Aggregation: meter.AggSum,
			Value: "units", GroupBy: []string{"customer", "account_group", "test", "agent"}})
	}
	w.Apply(document, metering.ApplyOptions{})
	w.bound = w.NewKey(access.RoleRead, "shop")
	return w
}

// event is a number of units of one kind.
type event struct {
	kind, customer, group, test, agent string
	at                                 time.Time
	units                              string // a JSON number
}

func (w *world) ingest(events ...event) {
	w.Helper()
	var all []surfacetest.Event
	for _, e := range events {
		all = append(all, surfacetest.Event{Type: e.kind + ".units", Subject: e.customer, At: e.at,
			Data: map[string]any{"account_group": e.group, "test": e.test, "agent": e.agent, "units": json.Number(e.units)}})
	}
	w.Ingest(all...)
}

// shopUsage is what the shop used in the cycle, before it, and what others did.
func (w *world) shopUsage() {
	w.Helper()
	day := at(w.TB, "10 10:00:00")
	w.ingest(
		event{"cloud", "shop", "1234", "901", "", day, "1000.5"}, event{"cloud", "shop", "5678", "902", "", day, "200"},
		event{"cloud", "shop", "1234", "903", "", day, "5"},
		event{"enterprise", "shop", "1234", "901", "11", day, "2.5"}, event{"enterprise", "shop", "5678", "902", "11", day, "7.5"},
		event{"enterprise", "shop", "5678", "902", "13", day, "2.5"},
		event{"cloud", "shop", "1234", "901", "", at(w.TB, "4 23:59:59"), "40"}, // the cycle before
		event{"cloud", "shop", "1234", "901", "", at(w.TB, "22 13:00:00"), "9"}, // later than now
		event{"cloud", "old", "1234", "901", "", day, "3"},                      // the shop's test in another customer's event
		event{"cloud", "nobody", "1234", "901", "", day, "4"},
	)
}

// reply is what came back.
type reply struct{ surfacetest.Answer }

// send sends a request; header holds names and values in turn.
func (w *world) send(method, url string, header ...string) reply {
	w.Helper()
	a := w.Send(method, url, "", header...)
	a.Body = strings.TrimSuffix(a.Body, "\n")
	return reply{a}
}

func (w *world) get(key, url string) reply {
	w.Helper()
	return w.send("GET", url, "Authorization", "Bearer "+key)
}

// want checks the status, and a problem's form.
func (w *world) want(name string, r reply, status int, texts ...string) reply {
	w.Helper()
	if r.Status != status {
		w.Errorf("%s: status %d, want %d: %s", name, r.Status, status, r.Body)
	}
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			w.Errorf("%s: %s is not in %s", name, text, r.Body)
		}
	}
	kind := r.Header.Get("Content-Type")
	var p struct {
		Type, Title, Detail, Instance string
		Status                        int
	}
	switch {
	case status == 200 && kind != "application/hal+json", status == 401 && kind != "application/json":
		w.Errorf("%s: %d as %s", name, status, kind)
	case status >= 400 && status != 401:
		if err := json.Unmarshal([]byte(r.Body), &p); err != nil || p.Status != status || p.Title == "" || p.Instance == "" || kind != "application/problem+json" {
			w.Errorf("%s: %v, %s: %s", name, err, kind, r.Body)
		}
	}
	return r
}
