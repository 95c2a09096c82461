package semanticstest

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/metering"
)

// vendors are the surfaces whose operations the tests of isolation and of bad
// input go through.
var vendors = []string{"fastly", "akamai", "thousandeyes"}

// operationsOf lists a surface's paths from its own table.
func operationsOf(s *server, vendor string) []string {
	var paths []string
	for _, r := range s.surfaces[vendor].Routes {
		if !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

// asks is a request with every parameter that the operations need, by the
// names of ids.
type asks struct{ contract, group, product, customer, aid string }

// The two customers of the tests, and ids that nobody has. They are of equal
// length, so that what echoes one is as long as what echoes the other.
var (
	mine   = asks{contract: "K-1", group: "11", product: "cdn", customer: "one", aid: "111"}
	theirs = asks{contract: "K-2", group: "22", product: "cdn", customer: "two", aid: "222"}
	nobody = asks{contract: "K-9", group: "99", product: "cdn", customer: "nil", aid: "999"}
)

// target writes the request for a path of a route table; ok is false where
// the test does not know the operation.
func (a asks) target(path string) (target string, ok bool) {
	months := "start=2026-10&end=2026-11"
	query, ok := map[string]string{
		"/billing/v1/contracts/{contract}/products/{product}/usage/monthly-summary":            months,
		"/billing/v1/reporting-groups/{group}/products/{product}/usage/monthly-summary":        months,
		"/billing/v1/contracts/{contract}/products/{product}/usage/by-cp-code/monthly-summary": months,
		"/billing/v1/contracts/{contract}/products/{product}/usage/daily":                      "month=2026-10",
		"/billing/v1/reporting-groups/{group}/products/{product}/usage/daily":                  "month=2026-10",
		"/billing/v1/contracts/{contract}/products":                                            months,
		"/billing/v2/account_customers/{customer_id}/service-usage-metrics":                    "product_id=cdn&usage_type_name=Requests&time_granularity=month&start_month=2026-10",
		"/billing/v2/account_customers/{customer_id}/service-usage-types":                      "",
		"/billing/v3/service-usage-metrics":                                                    "start_month=2026-10",
		"/billing/v3/usage-metrics":                                                            "start_month=2026-10&end_month=2026-10",
		"/v7/usage":                                                                            "aid=" + a.aid,
		"/v7/usage/units/tests":                                                                "aid=" + a.aid,
		"/v7/usage/units/enterprise-agents":                                                    "",
	}[path]
	replace := strings.NewReplacer("{contract}", a.contract, "{group}", a.group, "{product}", a.product, "{customer_id}", a.customer)
	return strings.TrimSuffix(replace.Replace(path)+"?"+query, "?"), ok
}

const isolationCatalog = `
meters:
  - {key: hits, event_type: request, aggregation: COUNT, group_by: [customer, contract, product, service, cp_code]}
  - {key: units, event_type: units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}
products: [{id: cdn, name: Delivery, usage_types: [{name: Requests, meter: hits, unit: unit}]}]
units: {cloud: {meter: units}, enterprise: {meter: units}}
customers:
  - {id: one, name: One, account_id: A-1, services: [{id: S1, name: s}, {id: S3, name: s}, {id: S5, name: s}], contracts: [{id: K-1, terms: [{products: [cdn], regions: GLOBAL}]}], cp_codes: [{id: 1, name: c, contract: K-1}], reporting_groups: [{id: 11, name: g, cp_codes: [1]}], account_groups: [{aid: "111", name: a}]}
  - {id: two, name: Two, account_id: A-2, services: [{id: S2, name: s}], contracts: [{id: K-2, terms: [{products: [cdn], regions: GLOBAL}]}], cp_codes: [{id: 2, name: c, contract: K-2}], reporting_groups: [{id: 22, name: g, cp_codes: [2]}], account_groups: [{aid: "222", name: a}]}
`

// isolated is a server with the two customers in one organization, and with
// usage of both, and an organization that has nothing. blind closes its ledger.
func isolated(t *testing.T, clock func() time.Time) (s *server, blind func()) {
	t.Helper()
	return isolatedOn(t, "", clock)
}

// isolatedOn is isolated with its catalog at a place; "" is a file of its own.
func isolatedOn(t *testing.T, dsn string, clock func() time.Time) (s *server, blind func()) {
	t.Helper()
	dir := t.TempDir()
	if dsn == "" {
		dsn = filepath.Join(dir, "catalog.db")
	}
	log, err := ledger.Open(context.Background(), ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock, Fatal: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	blind = sync.OnceFunc(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(blind)
	s = newServerOn(t, dsn, log, clock)
	t.Cleanup(s.close)
	_, err = s.store.CreateOrganization(context.Background(), catalog.NewOrganization{ID: "stranger"}, "test")
	s.check(err)
	_, err = s.apply("default", isolationCatalog, metering.ApplyOptions{})
	s.check(err)
	var body strings.Builder
	for i := range 40 {
		customer := []string{"one", "two"}[i%2]
		fmt.Fprintf(&body, `{"specversion":"1.0","id":"%d","source":"s","type":%q,"subject":%q,"time":"2026-10-%02dT10:00:00Z","data":{"service":"S%d","cp_code":%d,"test":"t%d","agent":"a%d","units":1}}`+"\n",
			i, []string{"request", "request", "units", "units"}[i%4], customer, 1+i%28, 1+i%6, 1+i%2, i, i)
	}
	r, err := s.service.Ingest(context.Background(), s.admin, []byte(body.String()), cloudevents.NDJSON, false)
	if err != nil || r.Accepted != 40 {
		t.Fatalf("%+v %v", r, err)
	}
	return s, blind
}

func october() time.Time { return time.Date(2026, 10, 30, 12, 0, 0, 0, time.UTC) }

// TestUnseenIsUnknown: for every operation of every vendor's surface, a key of
// another organization and one of another customer get the answer of ids that
// nobody has: status, headers and body, byte for byte, but for the ids
// themselves. The list of operations is the surfaces' own.
func TestUnseenIsUnknown(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	s.everythingUnseen(http.StatusOK)
}

// TestUnseenAsksNoStore: with the ledger closed every refusal is as before,
// while a key's own usage fails. So neither an id that is someone's nor one
// that is nobody's leads to a query, and the time of the answer does not tell
// them apart.
func TestUnseenAsksNoStore(t *testing.T) {
	t.Parallel()
	s, blind := isolated(t, october)
	blind()
	s.everythingUnseen(0)
}

// everythingUnseen asks every operation with every key that may not; the
// customer's own key gets the status own, or a failure if that is 0.
func (s *server) everythingUnseen(own int) {
	s.t.Helper()
	keys := map[string]credential{
		"unbound":                     s.key(access.NewKey{Organization: "default", Role: access.RoleRead}),
		"of the customer":             s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one"}),
		"that may switch accounts":    s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one", Accounts: []string{"A-7"}}),
		"of another organization":     s.key(access.NewKey{Organization: "stranger", Role: access.RoleRead, DefaultAID: "111"}),
		"of a namesake elsewhere":     s.key(access.NewKey{Organization: "stranger", Role: access.RoleRead, Customer: "one"}),
		"of another admin":            s.key(access.NewKey{Organization: "stranger", Role: access.RoleAdmin, DefaultAID: "222", Accounts: []string{"A-2"}}),
		"of a customer without usage": s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "three"}),
	}
	for _, vendor := range vendors {
		for _, path := range operationsOf(s, vendor) {
			target, ok := mine.target(path)
			if !ok {
				s.t.Errorf("%s serves %s: there is no case for it", vendor, path)
				continue
			}
			k := keys["of the customer"]
			if r := s.send(vendor, &k, http.MethodGet, target); r.Code != own && (own != 0 || r.Code < 500) {
				s.t.Errorf("%s: %d %s, want %d", target, r.Code, r.Body, own)
			}
			if other, _ := theirs.target(path); other == target {
				s.unseenByKey(vendor, target)
			}
			for name, k := range keys {
				if name == "unbound" { // sees both customers
					continue
				}
				s.unseen(vendor, "a key "+name, k, path, theirs)
				if strings.Contains(name, "another") || strings.Contains(name, "elsewhere") || strings.Contains(name, "without") {
					s.unseen(vendor, "a key "+name, k, path, mine)
				}
			}
		}
	}
}

// unseen compares the answers about an id that is someone's and one that is
// nobody's; both must refuse, in the status of the contract.
func (s *server) unseen(vendor, who string, k credential, path string, other asks) {
	s.t.Helper()
	want := map[string]int{"fastly": http.StatusUnauthorized, "akamai": http.StatusNotFound, "thousandeyes": http.StatusForbidden}[vendor]
	a, _ := other.target(path)
	b, _ := nobody.target(path)
	if a == b { // the key alone says whose usage it is: see unseenByKey
		return
	}
	for _, query := range []string{"", "&accountSwitchKey=A-2", "&accountSwitchKey=A-9"} {
		if query != "" && vendor != "akamai" {
			continue
		}
		got, unknown := s.send(vendor, &k, http.MethodGet, join(a, query)), s.send(vendor, &k, http.MethodGet, join(b, query))
		if got.Code != unknown.Code || got.Code != want && (query == "" || got.Code != http.StatusForbidden) {
			s.t.Errorf("%s: %s: %d, an unknown id %d, want %d", who, a+query, got.Code, unknown.Code, want)
		}
		neutral := strings.NewReplacer(other.contract, "#", nobody.contract, "#", other.group, "#", nobody.group, "#", other.customer, "#", nobody.customer, "#",
			other.aid, "#", nobody.aid, "#")
		if x, y := neutral.Replace(got.Body.String()), neutral.Replace(unknown.Body.String()); x != y || got.Body.Len() != unknown.Body.Len() {
			s.t.Errorf("%s: %s:\n%s\nan unknown id:\n%s", who, a+query, x, y)
		}
		if x, y := headerText(got.Header()), headerText(unknown.Header()); x != y {
			s.t.Errorf("%s: %s: headers %s, an unknown id %s", who, a+query, x, y)
		}
	}
}

// unseenByKey compares, where nothing but the key says whose usage is asked,
// keys that name what is another organization's and what is nobody's.
func (s *server) unseenByKey(vendor, target string) {
	s.t.Helper()
	want := map[string]int{"fastly": http.StatusUnauthorized, "thousandeyes": http.StatusForbidden}[vendor]
	for _, pair := range [][2]access.NewKey{
		{{Customer: "one"}, {Customer: "nil"}}, {{DefaultAID: "111"}, {DefaultAID: "999"}},
	} {
		if vendor == "fastly" && pair[0].Customer == "" {
			continue
		}
		var answers [2]string
		for i, n := range pair {
			n.Organization, n.Role = "stranger", access.RoleRead
			k := s.key(n)
			r := s.send(vendor, &k, http.MethodGet, target)
			answers[i] = fmt.Sprint(r.Code, headerText(r.Header()), r.Body)
			if r.Code != want {
				s.t.Errorf("%s: %d, want %d", target, r.Code, want)
			}
		}
		if answers[0] != answers[1] {
			s.t.Errorf("%s: %s\nan unknown one: %s", target, answers[0], answers[1])
		}
	}
}

func join(target, query string) string {
	if query != "" && !strings.Contains(target, "?") {
		return target + "?" + query[1:]
	}
	return target + query
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b) // a builder takes everything
	return b.String()
}

// TestUnboundKeysReachEveryCustomer: an unbound key reaches every customer of
// its organization by what the path, the contract or the aid names; where
// nothing does, Fastly v3 is 401 and ThousandEyes 400.
func TestUnboundKeysReachEveryCustomer(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	unbound := s.key(access.NewKey{Organization: "default", Role: access.RoleRead})
	byDefault := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, DefaultAID: "222"})
	switches := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one", Accounts: []string{"A-2"}})
	months := "?start=2026-10&end=2026-11"
	for _, c := range []struct {
		vendor, target string
		key            credential
		status         int
	}{
		{"fastly", "/billing/v2/account_customers/one/service-usage-types", unbound, 200},
		{"fastly", "/billing/v2/account_customers/two/service-usage-types", unbound, 200},
		{"fastly", "/billing/v3/service-usage-metrics", unbound, 401},
		{"fastly", "/billing/v3/usage-metrics?start_month=2026-10&end_month=2026-10", unbound, 401},
		{"akamai", "/billing/v1/contracts/K-1/products" + months, unbound, 200},
		{"akamai", "/billing/v1/contracts/K-2/products" + months, unbound, 200},
		{"akamai", "/billing/v1/contracts/K-2/products" + months + "&accountSwitchKey=A-2", unbound, 403},
		{"akamai", "/billing/v1/contracts/K-2/products" + months, switches, 404},
		{"akamai", "/billing/v1/contracts/K-2/products" + months + "&accountSwitchKey=A-2", switches, 200},
		{"akamai", "/billing/v1/contracts/K-2/products" + months + "&accountSwitchKey=A-2%3Asuffix", switches, 200},
		{"akamai", "/billing/v1/contracts/K-1/products" + months + "&accountSwitchKey=A-2", switches, 404},
		{"akamai", "/billing/v1/contracts/K-1/products" + months + "&accountSwitchKey=A-1", switches, 404},
		{"thousandeyes", "/v7/usage?aid=111", unbound, 200},
		{"thousandeyes", "/v7/usage?aid=222", unbound, 200},
		{"thousandeyes", "/v7/usage", unbound, 400},
		{"thousandeyes", "/v7/usage/units/tests", unbound, 400},
		{"thousandeyes", "/v7/usage/units/enterprise-agents", unbound, 400},
		{"thousandeyes", "/v7/usage/units/enterprise-agents", byDefault, 200},
	} {
		if r := s.send(c.vendor, &c.key, http.MethodGet, c.target); r.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.target, r.Code, r.Body, c.status)
		}
	}
}
