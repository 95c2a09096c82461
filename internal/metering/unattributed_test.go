package metering

import (
	"fmt"
	"odometer/internal/access"
	"strings"
	"testing"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

const unattributedCatalog = `
meters:
  - {key: requests, event_type: edge, aggregation: COUNT, group_by: [customer, product, service, contract]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, service, contract]}
  - {key: units, event_type: units, aggregation: SUM, value: units, group_by: [customer, account_group, test]}
products:
  - {id: cdn, usage_types: [{name: Hits, meter: requests}]}
  - {id: dns, usage_types: [{name: Queries, meter: requests}]}
customers:
  - id: acme
    services: [{id: S1}]
    contracts:
      - {id: K-1, starts: 2026-11-05, terms: [{from: 2026-11-05, products: [cdn], regions: GLOBAL}]}
      - {id: K-2, starts: 2026-11-10, ends: 2026-11-20, terms: [{from: 2026-11-10, products: [cdn], regions: GLOBAL}]}
    account_groups: [{aid: "1"}]
    tests: [{id: T1, type: x, account_group: "1", interval_s: 60}]
  - {id: zeta, services: [{id: Z1}]}
`

// What leads nowhere in the catalog is listed with its reason, and only that.
func TestUnattributed(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	if _, err := service.Apply(t.Context(), admin, []byte(unattributedCatalog), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	n := 0
	send := func(kind, customer string, day int, data string) {
		n++
		at := time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
		fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%d","source":"s","type":%q,"subject":%q,"time":%q,"data":{%s}}`+"\n", n, kind, customer, at, data)
	}
	send("edge", "acme", 6, `"service":"S1","product":"cdn","bytes":1`)                    // K-1 is the only contract
	send("edge", "acme", 12, `"service":"S1","product":"cdn","contract":"K-2"`)            // it names one of two
	send("edge", "acme", 12, `"service":"S1","product":"cdn"`)                             // of two, none is named
	send("edge", "acme", 3, `"service":"S1","product":"cdn"`)                              // before both
	send("edge", "acme", 21, `"service":"S1","product":"cdn","contract":"K-2"`)            // after it ended
	send("edge", "acme", 6, `"service":"S1","product":"dns","contract":"K-1"`)             // K-1 has no such product
	send("edge", "acme", 6, `"service":"Z1","product":"cdn"`)                              // zeta's service
	send("edge", "acme", 6, `"product":"cdn"`)                                             // no service is meant
	send("edge", "zeta", 6, `"service":"Z1","product":"cdn","contract":"K-1"`)             // acme's contract
	send("edge", "zeta", 6, `"service":"Z1","product":"cdn"`)                              // it has no contracts
	send("edge", "nobody", 6, `"service":"S1","product":"cdn","contract":"K-1","bytes":9`) // no customer
	send("edge", "", 6, ``)
	send("units", "acme", 6, `"units":1,"test":"T1","account_group":"9"`) // the test says whose they are
	send("units", "acme", 6, `"units":2,"test":"T2","account_group":"1"`) // the account group does
	send("units", "acme", 6, `"units":4,"test":"T2","account_group":"9"`)
	if r, err := service.Ingest(t.Context(), admin, []byte(lines.String()), cloudevents.NDJSON, false); err != nil || r.Accepted != n {
		t.Fatalf("%+v %v", r, err)
	}
	list := func(p access.Principal) string {
		t.Helper()
		found, err := service.Unattributed(t.Context(), p, meter.Month(testStart))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, u := range found {
			out = append(out, fmt.Sprintf("%s %q %q %s=%s from %d to %s", u.Reason, u.Customer, u.Value, u.Meter, u.Quantity, u.Period.From.Day(), u.Period.To.Format("01-02")))
		}
		return strings.Join(out, "\n")
	}
	acme := `account_group "acme" "9" units=4 from 1 to 12-01
contract "acme" "" requests=1 from 1 to 11-05
contract "acme" "" requests=1 from 10 to 11-20
contract "acme" "K-1" requests=1 from 1 to 12-01
contract "acme" "K-2" requests=1 from 20 to 12-01
`
	want := acme + `contract "zeta" "K-1" requests=1 from 1 to 12-01
customer "" "" requests=1 from 1 to 12-01
customer "nobody" "nobody" requests=1 from 1 to 12-01
service "acme" "Z1" requests=1 from 1 to 12-01`
	if got := list(admin); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	bound := access.Principal{Organization: "default", Role: access.RoleRead, Customer: "acme"}
	if got, want := list(bound), acme+`service "acme" "Z1" requests=1 from 1 to 12-01`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if err := service.CountUnattributed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(service.Stats().Unattributed), "[{default customer 2} {default service 1} {default contract 4} {default account_group 1}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := service.Unattributed(t.Context(), access.Principal{Organization: "default", Role: access.RoleIngest}, meter.Month(testStart)); meter.KindOf(err) != meter.KindForbidden {
		t.Error(err)
	}
}
