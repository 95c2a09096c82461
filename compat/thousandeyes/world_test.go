package thousandeyes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// tests is how many tests the shop has beside home page: pages of 100 hold them.
const tests = 204

// catalogue has a shop with an agent that two account groups share, and a
// customer that is billed by number of agents.
func catalogue() string {
	var out strings.Builder
	out.WriteString(`
meters:
  - {key: cloud_units, event_type: cloud.units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}
  - {key: enterprise_units, event_type: enterprise.units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}
units:
  cloud: {meter: cloud_units}
  enterprise: {meter: enterprise_units}
  rates: {Web - HTTP Server: {cloud: "1", enterprise: "0.5", per: timeout_s}}
customers:
  - {id: old, name: Old, pricing: legacy, account_groups: [{aid: "77", name: Old group}], quota: {cloud_units: 5, enterprise_agents: 5}}
  - id: shop
    name: Shop
    account_groups: [{aid: "1234", name: Web}, {aid: "5678", name: Nett & ø}]
    agents: [{id: "11", name: Oslo, kind: enterprise, account_group: "1234", effective: 2020-01-01}]
    quota: {cloud_units: 4320000000, endpoint_agents: 10}
    tests:
      - {id: "901", name: home page, type: Web - HTTP Server, account_group: "1234", interval_s: 60, timeout_s: 5, cloud_agents: 2, agents: ["11"]}
`)
	for i := range tests {
		fmt.Fprintf(&out, "      - {id: \"%d\", name: test %d, type: Web - HTTP Server, account_group: \"5678\", timeout_s: 5, instant: true}\n", 1000+i, i)
	}
	return out.String()
}

// server is a running odometer with a catalogue and usage of last month.
type server struct {
	*harness.Server
	bound       string // key of the shop
	month, next string // first instants of last month and of this one
}

// startServer serves the catalogue with usage, without a rate limit.
func startServer(t *testing.T) *server {
	t.Helper()
	year, month, _ := time.Now().UTC().Date()
	first := time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC)
	const form = "2006-01-02T15:04:05"
	s := &server{Server: harness.Start(t, world(first, "0")), month: first.Format(form), next: first.AddDate(0, 1, 0).Format(form)}
	s.bound = s.NewKey(t, map[string]any{"role": "read", "customer": "shop"}).Token
	return s
}

// world has last month's usage: 2.5 enterprise and 1000.5 cloud units of home
// page, and a cloud unit of each other test, the last of which also used 1.5
// enterprise units of the shared agent.
func world(first time.Time, rate string) harness.World {
	w := harness.World{Catalogue: catalogue(), Flags: []string{"--thousandeyes.rate-limit", rate}}
	use := func(kind, test, agent, units string) {
		w.Events = append(w.Events, client.Event{ID: fmt.Sprint(len(w.Events)), Source: "test", Type: kind + ".units", Subject: "shop", Time: first.Add(time.Hour),
			Data: map[string]any{"test": test, "agent": agent, "units": json.Number(units)}})
	}
	use("cloud", "901", "", "1000.5")
	use("enterprise", "901", "11", "2.5")
	for i := range tests {
		use("cloud", fmt.Sprint(1000+i), "", "1")
	}
	use("enterprise", fmt.Sprint(1000+tests-1), "11", "1.5")
	return w
}

// call is one call of a client, by the client's own names.
type call struct {
	Operation string            `json:"operation"`
	Arguments map[string]string `json:"arguments"`
}

type result = harness.Result

// vendor is one of the vendor's clients. The oldest Python release has /v7 in
// each path, later ones in the host.
type vendor struct {
	harness.Client
	prefix string
}

// calls runs the client once for all calls.
func (v vendor) calls(t *testing.T, s *server, token string, calls ...call) []result {
	t.Helper()
	return harness.Calls(t, v.Client, map[string]any{"host": s.URL + v.prefix, "token": token}, calls)
}

// python installs a release, unless ODOMETER_ALLOW_MISSING (a list with commas) has pypi.
func python(t *testing.T, release string) (vendor, bool) {
	t.Helper()
	c, ok := harness.Python(t, "thousandeyes-"+release, "python-"+release+".txt", "client.py")
	if release == "oldest" {
		return vendor{c, ""}, ok
	}
	return vendor{c, "/v7"}, ok
}
