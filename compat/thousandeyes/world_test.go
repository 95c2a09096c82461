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

// tests is how many tests the shop has beside home page: pages of 100 hold them.
const tests = 204

// catalog has a shop with an agent that two account groups share, and a
// customer that is billed by number of agents.
func catalog() string {
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
  - {id: solo, name: Solo, account_groups: [{aid: "200", name: Solo}], tests: [{id: "2001", name: most, type: Web - HTTP Server, account_group: "200", instant: true}]}
  - {id: big, name: Big, account_groups: [{aid: "300", name: Big}], tests: [{id: "3001", name: one more, type: Web - HTTP Server, account_group: "300", instant: true}],
     agents: [{id: "31", name: Bergen, kind: enterprise, account_group: "300"}]}
  - {id: hundred, name: Hundred, account_groups: [{aid: "400", name: Hundred}]}
  - {id: hundredone, name: Hundred and one, account_groups: [{aid: "500", name: Hundred and one}]}
  - {id: nothing, name: Nothing, account_groups: [{aid: "600", name: Nothing}]}
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

// server is a running odometer with a catalog and usage of last month.
type server struct {
	*harness.Server
	host        string // that clients are given
	bound       string // key of the shop
	month, next string // first instants of last month and of this one
}

// startServer serves the catalog with usage.
func startServer(t *testing.T, requestsAMinute string) *server {
	t.Helper()
	year, month, _ := time.Now().UTC().Date()
	first := time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC)
	const form = "2006-01-02T15:04:05"
	s := &server{Server: harness.Start(t, world(first, requestsAMinute)), month: first.Format(form), next: first.AddDate(0, 1, 0).Format(form)}
	s.host, s.bound = s.URL, s.token(t, map[string]any{"customer": "shop"})
	return s
}

// token returns a key that reads, with further members of POST /api/v1/keys.
func (s *server) token(t *testing.T, members map[string]any) string {
	t.Helper()
	members["role"] = "read"
	return s.NewKey(t, members).Token
}

// world has last month's usage of the shop: 2.5 enterprise and 1000.5 cloud units
// of home page, and a cloud unit of each other test, the last of which also used
// 1.5 enterprise units of the shared agent. Of the other customers one has as
// many units of a test as 31 bits hold, one more, and two have a page of tests
// and one more.
func world(first time.Time, rate string) harness.World {
	w := harness.World{Catalog: catalog(), Flags: []string{"--thousandeyes.rate-limit", rate}}
	add := func(customer, kind, test, agent, units string, at time.Time, group ...string) {
		data := map[string]any{"test": test, "agent": agent, "units": json.Number(units)}
		if len(group) > 0 {
			data["account_group"] = group[0]
		}
		w.Events = append(w.Events, client.Event{ID: fmt.Sprint(len(w.Events)), Source: "test", Type: kind + ".units", Subject: customer, Time: at, Data: data})
	}
	use := func(kind, test, agent, units string) { add("shop", kind, test, agent, units, first.Add(time.Hour)) }
	use("cloud", "901", "", "1000.5")
	use("enterprise", "901", "11", "2.5")
	for i := range tests {
		use("cloud", fmt.Sprint(1000+i), "", "1")
	}
	use("enterprise", fmt.Sprint(1000+tests-1), "11", "1.5")
	add("shop", "cloud", "901", "", "10.5", first.AddDate(0, 1, 0)) // in this month
	add("solo", "cloud", "2001", "", "2147483647", first)
	add("big", "cloud", "3001", "", "2147483648", first)
	add("big", "enterprise", "3001", "31", "3000000000", first)
	for i := range 101 { // of tests that the catalog does not know
		if i < 100 {
			add("hundred", "cloud", fmt.Sprint(i), "", "1", first, "400")
		}
		add("hundredone", "cloud", fmt.Sprint(i), "", "1", first, "500")
	}
	return w
}

// call is one call of a client, by the Python client's names: see testdata/client.py.
type call struct {
	Operation string            `json:"operation"`
	Arguments map[string]string `json:"arguments"`
	Token     string            `json:"token"` // "" = the shop's
	How       string            `json:"how"`
}

type result = harness.Result

// vendor is one of the vendor's clients.
type vendor struct {
	harness.Client
	release string // of Python's: oldest or newest; "go"
}

// calls runs the client once for all calls. The oldest Python release has /v7
// in each path, later ones in the host.
func (v vendor) calls(t *testing.T, s *server, calls ...call) []result {
	t.Helper()
	host := s.host + "/v7"
	if v.release == "oldest" {
		host = s.host
	}
	for i := range calls {
		if calls[i].Token == "" {
			calls[i].Token = s.bound
		}
	}
	return harness.Calls(t, v.Client, map[string]any{"host": host}, calls)
}

// releases are those that are tested.
var releases = []string{"oldest", "newest", "go"}

// install returns a client, unless ODOMETER_ALLOW_MISSING (a list with commas) names its registry.
func install(t *testing.T, release string) (vendor, bool) {
	t.Helper()
	if release == "go" {
		c, ok := harness.Go(t, "go")
		return vendor{c, release}, ok
	}
	c, ok := harness.Python(t, "thousandeyes-"+release, "python-"+release+".txt", "client.py")
	return vendor{c, release}, ok
}
