package fastly

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

const catalog = `
meters:
  - {key: requests, event_type: edge, aggregation: COUNT, group_by: [customer, product, service, region]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, service, region]}
products:
  - id: cdn_usage
    name: Delivery
    usage_types:
      - {name: North America Requests, meter: requests, where: {region: na}, unit: unit}
      - {name: Total GB, meter: bytes, unit: GB, scale: "0.000000001"}
      - {name: "Søk & +1/2", meter: bytes, unit: byte}
  - {id: dns, name: DNS, usage_types: [{name: Queries, meter: requests, where: {region: nowhere}}]}
customers:
  - {id: ` + shop + `, name: Shop Inc, services: [{id: SU1, name: shop}, {id: SU2, name: blog}, {id: SU3, name: api}]}
  - {id: "a/b ø", name: Slash, services: [{id: SL, name: slashed}]}
`

const shop = "x4xCwxxJxGCx123Rx5xTx"

// crowds are customers by how many services they have, each with one request.
var crowds = []int{5, 6, 100, 101}

func crowd(services int) string { return fmt.Sprintf("crowd%d", services) }

// world has a month's usage: 3 requests of SU1, 2 of SU2 and 1 of SU3, one of
// the customer with the odd name, and those of the crowds.
func world(first time.Time) harness.World {
	var yaml strings.Builder
	yaml.WriteString(catalog)
	var events []client.Event
	use := func(customer, service string, day int) {
		events = append(events, client.Event{ID: fmt.Sprint(len(events)), Source: "test", Type: "edge", Subject: customer, Time: first.AddDate(0, 0, day),
			Data: map[string]any{"service": service, "region": "na", "bytes": json.Number("123456789.25")}})
	}
	for day, service := range []string{"SU1", "SU1", "SU1", "SU2", "SU2", "SU3"} {
		use(shop, service, day)
	}
	use("a/b ø", "SL", 6)
	for _, n := range crowds {
		fmt.Fprintf(&yaml, "  - {id: %s, name: Crowd, services: [", crowd(n))
		for i := range n {
			fmt.Fprintf(&yaml, "{id: C%03d, name: \"=%d\"}, ", i, i)
			use(crowd(n), fmt.Sprintf("C%03d", i), 0)
		}
		yaml.WriteString("]}\n")
	}
	return harness.World{Catalog: yaml.String(), Events: events}
}

// server is a running odometer with a catalog and usage of last month.
type server struct {
	*harness.Server
	bound string // key of the shop
	month string // YYYY-MM
	last  string // last date of the month
}

func startServer(t *testing.T) *server {
	t.Helper()
	year, month, _ := time.Now().UTC().Date()
	first := time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC)
	s := &server{Server: harness.Start(t, world(first)), month: first.Format("2006-01"), last: first.AddDate(0, 1, -1).Format(time.DateOnly)}
	s.bound = s.keyOf(t, shop)
	return s
}

// keyOf returns a key that reads one customer.
func (s *server) keyOf(t *testing.T, customer string) string {
	t.Helper()
	return s.NewKey(t, map[string]any{"role": "read", "customer": customer}).Token
}

// cursor returns a good cursor of another question.
func (s *server) cursor(t *testing.T) string {
	t.Helper()
	a := s.Do(t, "GET", v2+"?product_id=cdn_usage&usage_type_name=Total+GB&time_granularity=month&limit=1&start_month="+s.month+"&end_month="+s.month, "", "Fastly-Key", s.bound)
	_, rest, _ := strings.Cut(a.Body, `"next_cursor":"`)
	cursor, _, ok := strings.Cut(rest, `"`)
	if !ok || cursor == "" {
		t.Fatalf("no cursor: %d %s", a.Status, a.Body)
	}
	return cursor
}

// call is one call of a client, by the client's own names.
type call struct {
	Operation string            `json:"operation"`
	Arguments map[string]string `json:"arguments"`
	Follow    bool              `json:"follow,omitempty"` // from page to page; the value is a list
}

type result = harness.Result

// vendor is one of the vendor's clients.
type vendor struct{ harness.Client }

// calls runs the client once for all calls.
func (v vendor) calls(t *testing.T, s *server, token, prefix string, calls ...call) []result {
	t.Helper()
	return harness.Calls(t, v.Client, map[string]any{"host": s.URL, "token": token, "prefix": prefix}, calls)
}

// call runs the client for one call that has to succeed.
func (v vendor) call(t *testing.T, s *server, token string, c call, into any) {
	t.Helper()
	if err := json.Unmarshal(harness.Decode[json.RawMessage](t, v.calls(t, s, token, "", c)[0]), into); err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
}

func python(t *testing.T, generation string) (vendor, bool) {
	t.Helper()
	c, ok := harness.Python(t, "fastly-"+generation, "python-"+generation+".txt", "client.py")
	return vendor{c}, ok
}

func node(t *testing.T) (vendor, bool) {
	t.Helper()
	c, ok := harness.Node(t, "js")
	return vendor{c}, ok
}
