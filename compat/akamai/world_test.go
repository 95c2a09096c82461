package akamai

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

// calendar names the months of the tests in texts: BEFORE, LAST (the month
// that has the usage), THIS, NEXT, and END for the last day of LAST. OLDEST is
// the first month that may be asked for, OLDER the one before.
type calendar struct {
	last  time.Time // first instant of LAST
	names *strings.Replacer
}

func newCalendar(now time.Time) calendar {
	year, month, _ := now.UTC().Date()
	at := func(months int) time.Time { return time.Date(year, month+time.Month(months), 1, 0, 0, 0, 0, time.UTC) }
	text := func(months int) string { return at(months).Format("2006-01") }
	return calendar{at(-1), strings.NewReplacer("BEFORE", text(-2), "LAST", text(-1), "THIS", text(0), "NEXT", text(1),
		"OLDEST", text(-18), "OLDER", text(-19), "END", strconv.Itoa(at(0).AddDate(0, 0, -1).Day()))}
}

// catalog has a contract that is split by region from the 16th of LAST on,
// and one that begins on the 10th.
const catalog = `
meters:
  - {key: hits, event_type: edge, aggregation: COUNT, group_by: [customer, product, contract, region, cp_code]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, contract, region, cp_code]}
  - {key: p95, event_type: edge, aggregation: PERCENTILE, percentile: 95, sample: 5m, rate: true, value: bytes, group_by: [customer, product, contract, region]}
  - {key: peak, event_type: edge, aggregation: PEAK, sample: 5m, rate: true, value: bytes, group_by: [customer, product, contract, region]}
  - {key: odd, event_type: odd, aggregation: COUNT, group_by: [customer, product, contract, region, cp_code]}
products:
  - id: "Site_Accel::Site_Accel"
    name: Site Delivery
    usage_types:
      - {name: Total MB, meter: bytes, unit: GB, scale: "0.000000001", billable: true}
      - {name: 95/5 Mbps, meter: p95, unit: 95/5 Mbps, scale: "0.000008"}
      - {name: Total Hits, meter: hits, unit: Total Hits}
      - {name: Peak Mbps, meter: peak, unit: Peak Mbps, scale: "0.000008"}
  - {id: "Blå/Søk 1+1;x", name: "Søk & <co>", usage_types: [{name: Total Hits, meter: odd, unit: Total Hits, billable: true}]}
  - {id: 1-ABC012, name: Unused, usage_types: [{name: Total Hits, meter: odd, unit: Total Hits, billable: true}]}
  - {id: M-LC-169586, name: Not sold, usage_types: [{name: Total Hits, meter: hits, unit: Total Hits, billable: true}]}
customers:
  - id: shop
    name: Shop
    account_id: A-CCT7890
    contracts:
      - id: K-0N7RAK7
        starts: 2020-01-01
        terms:
          - {from: 2020-01-01, products: ["Site_Accel::Site_Accel", 1-ABC012], regions: GLOBAL}
          - {from: LAST-16, products: ["Site_Accel::Site_Accel", 1-ABC012], regions: {attribute: region}}
      - {id: "K/ø 1:2", starts: 2020-01-01, terms: [{from: 2020-01-01, products: ["Blå/Søk 1+1;x"], regions: GLOBAL}]}
      - {id: K-NEW, starts: LAST-10, terms: [{from: LAST-10, products: ["Site_Accel::Site_Accel"], regions: GLOBAL}]}
    cp_codes:
      - {id: 7654321, name: static, contract: K-0N7RAK7, product: "Site_Accel::Site_Accel"}
      - {id: 42, name: images, contract: K-0N7RAK7}
      - {id: 43, name: nothing, contract: K-0N7RAK7}
      - {id: 51, name: new, contract: K-NEW}
    reporting_groups:
      - {id: 123, name: Retail & ø, cp_codes: [7654321, 42]}
      - {id: 125, name: Both, cp_codes: [51, 42]}
      - {id: 127, name: Unused, cp_codes: [43]}
      - {id: 128, name: Empty}
  - id: blog
    name: Blog
    account_id: "A-2"
    contracts: [{id: K-2, starts: 2020-01-01, terms: [{from: 2020-01-01, products: ["Site_Accel::Site_Accel"], regions: GLOBAL}]}]
    cp_codes: [{id: 77, name: blog, contract: K-2}]
    reporting_groups: [{id: 124, name: Blogs, cp_codes: [77]}]
`

// samples is how many five-minute samples from the start of LAST have 1 Mbps:
// more than a twentieth of the 4320 until the contract's terms change.
const samples = 300

// world has usage of K-0N7RAK7 in both of its terms and in THIS, and a little of the others.
func (c calendar) world(flags ...string) harness.World {
	w := harness.World{Catalog: c.names.Replace(catalog), Flags: flags}
	use := func(kind, customer, contract, code, region string, at time.Time, bytes string) {
		w.Events = append(w.Events, client.Event{ID: fmt.Sprint(len(w.Events)), Source: "test", Type: kind, Subject: customer, Time: at,
			Data: map[string]any{"contract": contract, "cp_code": code, "region": region, "bytes": json.Number(bytes)}})
	}
	for i := range samples {
		use("edge", "shop", "K-0N7RAK7", "7654321", "eu", c.last.Add(time.Duration(i)*5*time.Minute), "37500000")
	}
	use("edge", "shop", "K-0N7RAK7", "7654321", "us", c.last, "75000000")
	use("edge", "shop", "K-0N7RAK7", "7654321", "", c.last.Add(time.Minute), "123456.789")
	use("edge", "shop", "K-0N7RAK7", "42", "eu", c.last.AddDate(0, 0, 15), "500000000")
	use("edge", "shop", "K-0N7RAK7", "", "", c.last.AddDate(0, 0, 16), "30300000000")
	use("edge", "shop", "K-0N7RAK7", "42", "na", c.last.AddDate(0, 1, 0), "1000000000")
	use("edge", "shop", "K-NEW", "51", "eu", c.last.AddDate(0, 0, 19), "1000000000")
	use("edge", "shop", "K-NEW", "51", "us", c.last.AddDate(0, 0, 19), "1000000000")
	use("odd", "shop", "K/ø 1:2", "", "", c.last.AddDate(0, 0, 9), "1")
	use("edge", "blog", "K-2", "77", "eu", c.last.AddDate(0, 0, 9), "2000000000")
	return w
}

// credential is an EdgeGrid credential, as the clients' programs read it.
type credential struct {
	ClientToken  string `json:"client_token"`
	AccessToken  string `json:"access_token"`
	ClientSecret string `json:"client_secret"`
}

// server is a running odometer with keys of several kinds.
type server struct {
	*harness.Server
	calendar
	host string // that clients are given
	ca   string // of its certificate; "" = none
	keys map[string]credential
}

func startServer(t *testing.T, tls *harness.TLS, flags ...string) *server {
	t.Helper()
	c := newCalendar(time.Now())
	w := c.world(flags...)
	w.TLS = tls
	s := &server{Server: harness.Start(t, w), calendar: c, keys: map[string]credential{}}
	s.host = s.URL
	if tls != nil {
		s.ca = tls.CA
	}
	for name, members := range map[string]map[string]any{
		"shop":   {"role": "read", "customer": "shop"},
		"blog":   {"role": "read", "customer": "blog"},
		"all":    {"role": "read"},
		"admin":  {"role": "admin"},
		"switch": {"role": "read", "customer": "blog", "accounts": []string{"A-CCT7890"}},
	} {
		s.keys[name] = s.credential(t, members)
	}
	shop, blog := s.keys["shop"], s.keys["blog"]
	s.keys["wrong secret"] = credential{shop.ClientToken, shop.AccessToken, blog.ClientSecret}
	s.keys["another's access token"] = credential{shop.ClientToken, blog.AccessToken, shop.ClientSecret}
	s.keys["nobody"] = credential{"akab-nobody", "akab-nobody", shop.ClientSecret}
	return s
}

func (s *server) credential(t *testing.T, members map[string]any) credential {
	t.Helper()
	members["kind"] = "edgegrid"
	k := s.NewKey(t, members)
	return credential{k.ClientToken, k.AccessToken, k.ClientSecret}
}

// call is one request that a client signs and sends: see testdata/client.py.
type call struct {
	Path          string            `json:"path"`
	Query         map[string]string `json:"query"`
	As            string            `json:"as"`
	Method        string            `json:"method"`
	AccountKey    string            `json:"account_key"`
	Age           int               `json:"age"` // not read by the Go client
	Authorization string            `json:"authorization"`
	Twice         bool              `json:"twice"`
}

// result is what came back.
type result struct {
	Status    int
	Type      string
	Location  string
	Redirects int
	Body      string
	Again     int
	Decoded   json.RawMessage // by the Go client
}

// calls lets a client make calls and checks what holds for every answer: no
// redirect, JSON of the right type, nothing with 204.
func (s *server) calls(t *testing.T, c harness.Client, calls []call) []result {
	t.Helper()
	for i := range calls {
		calls[i].Path = s.names.Replace(calls[i].Path)
		for name, value := range calls[i].Query {
			calls[i].Query[name] = s.names.Replace(value)
		}
	}
	var results []result
	c.Run(t, map[string]any{"host": s.host, "ca": s.ca, "credentials": s.keys, "calls": calls}, &results)
	if len(results) != len(calls) {
		t.Fatalf("%d results of %d calls", len(results), len(calls))
	}
	for i, r := range results {
		want := "application/json"
		if r.Status >= 400 {
			want = "application/problem+json"
		}
		if r.Location != "" || r.Redirects != 0 || r.Status >= 300 && r.Status < 400 {
			t.Errorf("%+v: a redirect: %+v", calls[i], r)
		}
		if r.Status == 204 && (r.Body != "" && r.Body != `""` || r.Type != "") || r.Status != 204 && !strings.HasPrefix(r.Type, want) {
			t.Errorf("%+v: %+v", calls[i], r)
		}
	}
	return results
}
