package akamai

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/edgegrid"
	"odometer/internal/surface/surfacetest"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// document is the catalog of the tests. K-1 is split by region from the 16th
// of October 2026 on; K-2 starts in the middle of that month.
const document = `
products:
  - id: Site_Accel::Site_Accel
    name: Site Delivery
    usage_types:
      - {name: Total MB, meter: edge_bytes, unit: GB, scale: "0.000000001", billable: true}
      - {name: 95/5 Mbps, meter: edge_p95, unit: 95/5 Mbps, scale: "0.000008"}
      - {name: Total Hits, meter: edge_requests, unit: Total Hits}
      - {name: Peak Mbps, meter: edge_peak, unit: Peak Mbps, scale: "0.000008"}
      - {name: Requests, meter: edge_requests, unit: unit, surfaces: [fastly]}
  - {id: dns, name: DNS, usage_types: [{name: Total Hits, meter: dns_requests, unit: Total Hits, billable: true}]}
customers:
  - id: shop
    name: Shop
    account_id: A-CCT7890
    contracts:
      - id: K-1
        starts: 2026-09-01
        terms:
          - {from: 2026-09-01, products: ["Site_Accel::Site_Accel", dns], regions: GLOBAL}
          - {from: 2026-10-16, products: ["Site_Accel::Site_Accel", dns], regions: {attribute: region}}
    cp_codes:
      - {id: 7654321, name: static, contract: K-1, product: "Site_Accel::Site_Accel"}
      - {id: 42, name: images, contract: K-1}
      - {id: 43, name: names, contract: K-1, product: dns}
    reporting_groups: [{id: 123, name: Retail, cp_codes: [7654321, 42, 43]}]
  - id: blog
    name: Blog
    account_id: A-2
    contracts: [{id: K-2, starts: 2026-10-10, terms: [{from: 2026-10-10, products: ["Site_Accel::Site_Accel"], regions: GLOBAL}]}]
    cp_codes: [{id: 77, name: blog, contract: K-2}]
    reporting_groups: [{id: 124, name: Blogs, cp_codes: [77]}]
  - id: pair
    name: Pair
    contracts:
      - {id: K-5, terms: [{products: ["Site_Accel::Site_Accel"], regions: GLOBAL}]}
      - {id: K-6, starts: 2026-10-20, terms: [{from: 2026-10-20, products: ["Site_Accel::Site_Accel"], regions: GLOBAL}]}
    cp_codes: [{id: 51, name: five, contract: K-5}, {id: 52, name: six, contract: K-6}, {id: 53, name: none, contract: K-6}]
    reporting_groups: [{id: 125, name: Both, cp_codes: [52, 51]}, {id: 126, name: Unused, cp_codes: [53]}, {id: 127, name: Empty}]
`

const site = "Site_Accel::Site_Accel"

// world is the surface on a real server, with one organization and a stranger.
type world struct {
	*surfacetest.World
	nonces atomic.Int64
}

// callers are the clients of the tests by their client token, which is their
// access token and their secret too.
var callers = map[string]Caller{
	"all":      {Principal: access.Principal{Organization: "default", KeyID: "1", Role: access.RoleRead}},
	"shop":     {Principal: access.Principal{Organization: "default", KeyID: "2", Role: access.RoleRead, Customer: "shop"}},
	"blog":     {Principal: access.Principal{Organization: "default", KeyID: "3", Role: access.RoleRead, Customer: "blog"}},
	"switch":   {Principal: access.Principal{Organization: "default", KeyID: "4", Role: access.RoleRead, Customer: "blog"}, Accounts: []string{"A-CCT7890", "A-9"}},
	"stranger": {Principal: access.Principal{Organization: "stranger", KeyID: "5", Role: access.RoleAdmin}, Accounts: []string{"A-CCT7890"}},
	"sender":   {Principal: access.Principal{Organization: "default", KeyID: "6", Role: access.RoleIngest}},
}

func clock() time.Time { return now }

func newWorld(t testing.TB) *world {
	t.Helper()
	lookup := func(_ context.Context, token string) (edgegrid.Credential[Caller], bool, error) {
		c, ok := callers[token]
		return edgegrid.Credential[Caller]{AccessToken: token, Secret: token, Owner: c}, ok, nil
	}
	w := &world{World: surfacetest.New(t, surfacetest.Options{Start: now, Mount: func(w *surfacetest.World) []*httpserver.Surface {
		w.Service.KeepBooks(Book(w.Service))
		return []*httpserver.Surface{Surface(Options{Service: w.Service, Credentials: lookup, Scheme: "https", Clock: clock})}
	}})}
	_, err := w.Catalog.CreateOrganization(context.Background(), catalog.NewOrganization{ID: "stranger"}, "test")
	w.Check(err)
	w.fill()
	return w
}

var admin = access.Principal{Organization: "default", KeyID: "k", Role: access.RoleAdmin}

// fill defines the meters, applies the document and sends the traffic.
func (w *world) fill() {
	w.Helper()
	by := []string{"customer", "product", "contract", "region"}
	w.Define(admin,
		meter.Meter{Key: "edge_requests", EventType: "edge", Aggregation: meter.AggCount, GroupBy: append([]string{"cp_code"}, by...)},
		meter.Meter{Key: "edge_bytes", EventType: "edge", Aggregation: meter.AggSum, Value: "bytes", GroupBy: append([]string{"cp_code"}, by...)},
		meter.Meter{Key: "edge_p95", EventType: "edge", Aggregation: meter.AggPercentile, Rate: true, Value: "bytes", GroupBy: by},
		meter.Meter{Key: "edge_peak", EventType: "edge", Aggregation: meter.AggPeak, Rate: true, Value: "bytes", GroupBy: by},
		meter.Meter{Key: "dns_requests", EventType: "dns", Aggregation: meter.AggCount, GroupBy: by})
	w.Apply(document, metering.ApplyOptions{})
	r, err := w.Service.Ingest(context.Background(), admin, []byte(traffic()), cloudevents.NDJSON, false)
	if err != nil || r.Accepted == 0 || r.Rejected+r.Conflicts+r.Duplicates != 0 {
		w.Fatalf("%+v %v", r, err)
	}
}

// traffic is one event in each 5 minutes of September, of 1 to 8640 times
// 37,500 bytes (0.001 Mbps) in a scattered order, and a few later ones.
func traffic() string {
	var b strings.Builder
	n := 0
	send := func(kind, customer, at, data string) {
		n++
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"%d","source":"s","type":%q,"subject":%q,"time":%q,"data":{%s}}`+"\n", n, kind, customer, at, data)
	}
	september := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	for i := range 8640 {
		at := september.Add(time.Duration(i) * 5 * time.Minute).Format(time.RFC3339)
		send("edge", "shop", at, fmt.Sprintf(`"bytes":%d,"product":%q,"contract":"K-1","cp_code":7654321`, (i*7919%8640+1)*37_500, site))
	}
	for _, e := range []struct{ kind, customer, at, data string }{
		{"edge", "shop", "2026-10-10T00:00:00Z", `"bytes":1000000000,"cp_code":42,"region":"eu"`}, // names no contract: shop has but one
		{"edge", "shop", "2026-10-15T23:59:59Z", `"bytes":500000000,"cp_code":42,"contract":"K-1"`},
		{"edge", "shop", "2026-10-16T00:00:00Z", `"bytes":2000000000,"cp_code":42,"contract":"K-1","region":"eu"`},
		{"edge", "shop", "2026-10-17T00:00:00Z", `"bytes":3000000000,"cp_code":7654321,"contract":"K-1","region":"na"`},
		{"edge", "shop", "2026-10-17T00:00:00Z", `"bytes":4000000000,"cp_code":99,"contract":"K-1"`}, // no CP code of shop's
		{"edge", "shop", "2026-10-17T00:00:00Z", `"bytes":90000000000,"contract":"K-2"`},             // another's contract
		{"edge", "blog", "2026-10-17T00:00:00Z", `"bytes":90000000000,"contract":"K-1"`},             // another's contract
		{"edge", "blog", "2026-10-09T00:00:00Z", `"bytes":90000000000,"contract":"K-2"`},             // before it starts
		{"edge", "blog", "2026-10-10T00:00:00Z", `"bytes":37500,"contract":"K-2","cp_code":77`},
		{"dns", "shop", "2026-10-17T00:00:00Z", `"product":"dns","region":"eu"`},
		{"edge", "shop", "2026-11-02T10:00:00Z", `"bytes":1000000000,"cp_code":42,"region":"eu"`},
		{"edge", "shop", "2026-11-02T10:04:00Z", `"bytes":500000000,"cp_code":7654321,"region":"eu"`},
		{"edge", "shop", "2026-11-04T10:00:00Z", `"bytes":250000000,"cp_code":42,"region":"eu"`},
		{"edge", "pair", "2026-10-19T00:00:00Z", `"bytes":1000000000,"cp_code":51`},                  // K-5's, the only contract then
		{"edge", "pair", "2026-10-20T00:00:00Z", `"bytes":90000000000,"cp_code":51`},                 // nobody's: there are two
		{"edge", "pair", "2026-10-20T00:00:00Z", `"bytes":2000000000,"cp_code":51,"contract":"K-5"`}, // both in one sample
		{"edge", "pair", "2026-10-20T00:04:00Z", `"bytes":3000000000,"cp_code":52,"contract":"K-6"`},
		{"edge", "pair", "2026-10-20T00:04:00Z", `"bytes":90000000000,"cp_code":54,"contract":"K-6"`}, // not of the group
	} {
		send(e.kind, e.customer, e.at, e.data)
	}
	return b.String()
}

// call signs and sends a request as a caller; target follows /billing/v1.
func (w *world) call(method, as, target string) surfacetest.Answer {
	w.Helper()
	r, err := http.NewRequest(method, w.URL+"/billing/v1"+target, nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Host = "billing.example"
	header := edgegrid.Sign(edgegrid.Identity{ClientToken: as, AccessToken: as, Secret: as},
		edgegrid.Request{Method: method, Scheme: "https", Host: r.Host, Target: "/billing/v1" + target}, now, fmt.Sprint(w.nonces.Add(1)))
	r.Header.Set("Authorization", header)
	return w.Do(r)
}

func (w *world) want(got surfacetest.Answer, status int, body string) {
	w.Helper()
	if got.Status != status || got.Body != body {
		w.Errorf("%d %s\nwant %d %s", got.Status, got.Body, status, body)
	}
}

const (
	contractPath = "/contracts/K-1/products/" + site + "/usage/"
	groupPath    = "/reporting-groups/123/products/" + site + "/usage/"
	head         = `{"accountId":"A-CCT7890","contractId":"K-1",`
	group        = `"reportingGroupId":123,"reportingGroupName":"Retail",`
	siteNamed    = `"productId":"Site_Accel::Site_Accel","productName":"Site Delivery",`
	asked        = `"requestDate":"2026-11-22T12:00:00Z","usagePeriods":[`
)

// stats are the four of the product.
func stats(gb, p95, hits, peak string) string {
	return `"stats":[{"statType":"Total MB","unit":"GB","isBillable":true,"value":` + gb + `},{"statType":"95/5 Mbps","unit":"95/5 Mbps","isBillable":false,"value":` + p95 +
		`},{"statType":"Total Hits","unit":"Total Hits","isBillable":false,"value":` + hits + `},{"statType":"Peak Mbps","unit":"Peak Mbps","isBillable":false,"value":` + peak + `}]}`
}

func period(month, start, end, region string) string {
	return fmt.Sprintf(`{"month":%q,"start":%q,"end":%q,"region":%q,"dataStatus":"COLLECTING_DATA",`, month, start, end, region)
}

func TestMonthlySummaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	september := period("2026-09", "2026-09-01", "2026-09-30", "GLOBAL")
	october := period("2026-10", "2026-10-01", "2026-10-15", "GLOBAL")
	later := func(region string) string { return period("2026-10", "2026-10-16", "2026-10-31", region) }
	november := period("2026-11", "2026-11-01", "2026-11-30", "eu")
	all := head + siteNamed + `"start":"2026-09","end":"2027-01",` + asked +
		september + stats("1399.842", "8.208", "8640", "8.64") + "," +
		october + stats("1.5", "0", "2", "26.666667") + "," +
		later("UNKNOWN") + stats("4", "0", "1", "106.666667") + "," + later("eu") + stats("2", "0", "1", "53.333333") + "," +
		later("na") + stats("3", "0", "1", "80") + "," + november + stats("1.75", "0", "3", "40") + `]}`
	for _, as := range []string{"all", "shop"} {
		w.want(w.call("GET", as, contractPath+"monthly-summary?start=2026-09&end=2027-01"), 200, all)
	}
	for _, target := range []string{"?end=2027-01&start=2026-09", "?start=2026-09&end=2027-01&accountSwitchKey=&other=%zz"} {
		w.want(w.call("GET", "all", contractPath+"monthly-summary"+target), 200, all)
	}
	w.want(w.call("GET", "all", strings.ReplaceAll(contractPath, ":", "%3A")+"monthly-summary?start=2026-09&end=2027-01"), 200, all)
	codes := func(text string) string { return strings.TrimSuffix(text, ",") + `,"cpCodes":[42,7654321],` }
	w.want(w.call("GET", "all", groupPath+"monthly-summary?start=2026-10&end=2026-11"), 200, head+group+siteNamed+`"start":"2026-10","end":"2026-11",`+asked+
		codes(october)+stats("1.5", "0", "2", "26.666667")+","+codes(later("eu"))+stats("2", "0", "1", "53.333333")+","+
		codes(later("na"))+stats("3", "0", "1", "80")+`]}`)
	byCode := func(code, gb, hits string) string {
		return `{"cpCode":` + code + `,"stats":[{"statType":"GB","unit":"GB","isBillable":true,"value":` + gb + `},{"statType":"Hits","unit":"Hits","isBillable":false,"value":` + hits + `}]}`
	}
	w.want(w.call("GET", "all", contractPath+"by-cp-code/monthly-summary?start=2026-10&end=2026-12"), 200, head+siteNamed+`"start":"2026-10","end":"2026-12",`+asked+
		october+`"cpCodeStats":[`+byCode("42", "1.5", "2")+`]},`+later("eu")+`"cpCodeStats":[`+byCode("42", "2", "1")+`]},`+
		later("na")+`"cpCodeStats":[`+byCode("7654321", "3", "1")+`]},`+november+`"cpCodeStats":[`+byCode("42", "1.25", "2")+","+byCode("7654321", "0.5", "1")+`]}]}`)
	w.want(w.call("GET", "all", "/contracts/K-1/products?start=2026-09&end=2026-11"), 200, head+`"start":"2026-09","end":"2026-11",`+asked+
		`{"month":"2026-09","usageProducts":[{"productId":"Site_Accel::Site_Accel","productName":"Site Delivery"}]},`+
		`{"month":"2026-10","usageProducts":[{"productId":"Site_Accel::Site_Accel","productName":"Site Delivery"},{"productId":"dns","productName":"DNS"}]}]}`)
	w.want(w.call("GET", "blog", "/contracts/K-2/products/"+site+"/usage/monthly-summary?start=2026-10&end=2026-11"), 200,
		`{"accountId":"A-2","contractId":"K-2",`+siteNamed+`"start":"2026-10","end":"2026-11",`+asked+
			period("2026-10", "2026-10-10", "2026-10-31", "GLOBAL")+stats("0.000038", "0", "1", "0.001")+`]}`)
}

// TestGroupOverContracts: one statistic over the summed series of both contracts.
func TestGroupOverContracts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/products/" + site + "/usage/"
	w.want(w.call("GET", "all", "/reporting-groups/125"+path+"monthly-summary?start=2026-10&end=2026-11"), 200,
		`{"accountId":"pair","contractId":"K-5","reportingGroupId":125,"reportingGroupName":"Both",`+siteNamed+`"start":"2026-10","end":"2026-11",`+asked+
			period("2026-10", "2026-10-01", "2026-10-31", "GLOBAL")+`"cpCodes":[51,52],`+stats("6", "0", "3", "133.333333")+`]}`)
	daily := w.call("GET", "all", "/reporting-groups/125"+path+"daily?month=2026-10")
	for _, text := range []string{`"date":"2026-10-18","value":0}`, `"date":"2026-10-19","value":1}`, `"date":"2026-10-20","value":6}`,
		`"date":"2026-10-19","value":26.666667}`, `"date":"2026-10-31","value":133.333333}`} {
		if !strings.Contains(daily.Body, text) {
			t.Errorf("%s is not in %d %s", text, daily.Status, daily.Body)
		}
	}
	w.want(w.call("GET", "all", "/reporting-groups/126"+path+"monthly-summary?start=2026-10&end=2026-11"), 204, "")
	if got := w.call("GET", "all", "/reporting-groups/127"+path+"monthly-summary?start=2026-10&end=2026-11"); got.Status != 404 {
		t.Errorf("a group without CP codes: %d %s", got.Status, got.Body)
	}
}

func TestDaily(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	values := func(name, unit string, at func(day int) string) string {
		var days []string
		for d := 1; d <= 22; d++ {
			days = append(days, fmt.Sprintf(`{"date":"2026-11-%02d","value":%s}`, d, at(d)))
		}
		return fmt.Sprintf(`{"statType":%q,"unit":%q,"values":[%s]}`, name, unit, strings.Join(days, ","))
	}
	from := func(texts map[int]string) func(int) string {
		return func(day int) string {
			for d := day; d > 0; d-- {
				if text, ok := texts[d]; ok {
					return text
				}
			}
			return "0"
		}
	}
	periods := `{"month":"2026-11","start":"2026-11-01","end":"2026-11-30","region":"eu","stats":[` +
		values("Total MB", "GB", from(map[int]string{2: "1.5", 4: "1.75"})) + "," + values("95/5 Mbps", "95/5 Mbps", from(nil)) + "," +
		values("Total Hits", "Total Hits", from(map[int]string{2: "2", 4: "3"})) + "," + values("Peak Mbps", "Peak Mbps", from(map[int]string{2: "40"})) + `]}]}`
	month := `"month":"2026-11","dataStatus":"COLLECTING_DATA","requestDate":"2026-11-22T12:00:00Z",`
	w.want(w.call("GET", "all", contractPath+"daily?month=2026-11"), 200, head+siteNamed+month+`"usagePeriods":[`+periods)
	w.want(w.call("GET", "all", groupPath+"daily?month=2026-11"), 200, head+group+siteNamed+month+`"cpCodes":[42,7654321],"usagePeriods":[`+periods)
	w.want(w.call("GET", "all", contractPath+"daily?month=2026-12"), 204, "")
	// 95/5 month to date, of as many samples as had ended: 288 a day.
	got := w.call("GET", "all", contractPath+"daily?month=2026-09")
	if got.Status != 200 || !strings.Contains(got.Body, `{"date":"2026-09-30","value":8.208}`) || !strings.Contains(got.Body, `{"date":"2026-09-30","value":8.64}`) ||
		strings.Count(got.Body, `"date"`) != 4*30 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := w.call("GET", "all", contractPath+"daily?month=2026-10"); strings.Count(got.Body, `"date"`) != 4*(15+3*16) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	monthly := contractPath + "monthly-summary"
	unseen := `"status":404,"detail":"there is no such contract, product or reporting group"`
	for _, c := range []struct {
		as, target string
		status     int
		text       string
	}{
		{"all", monthly + "?start=2026-07&end=2026-07", 400, "not before end"},
		{"all", monthly, 400, "start is missing"},
		{"all", monthly + "?start=2026-08&end=2026-10", 400, "before the contract's start"},
		{"all", monthly + "?start=2025-04&end=2026-10", 400, "18 months"},
		{"all", contractPath + "daily?month=2026-13", 400, "not a month"},
		{"all", monthly + "?start=2026-12&end=9999-12", 204, ""},
		{"all", "/contracts/K-1/products/dns/usage/monthly-summary?start=2026-11&end=2026-12", 204, ""},
		{"all", "/contracts/K-1/products?start=2026-12&end=2027-01", 204, ""},
		{"all", "/contracts/K-9/products/" + site + "/usage/monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"all", "/contracts/K-1/products/x/usage/monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"all", "/contracts/K-2/products/dns/usage/monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"all", "/contracts/K%2F1/products/dns/usage/monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"all", "/contracts/%C3%B6/products?start=2026-10&end=2026-11", 404, unseen},
		{"all", "/reporting-groups/9/products/" + site + "/usage/daily?month=2026-10", 404, unseen},
		{"all", "/reporting-groups/0123/products/" + site + "/usage/daily?month=2026-10", 404, unseen},
		{"all", "/reporting-groups/124/products/dns/usage/daily?month=2026-10", 404, unseen},
		{"blog", monthly + "?start=2026-10&end=2026-11", 404, unseen},
		{"blog", contractPath + "by-cp-code/monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"blog", contractPath + "daily?month=2026-10", 404, unseen},
		{"blog", groupPath + "monthly-summary?start=2026-10&end=2026-11", 404, unseen},
		{"blog", groupPath + "daily?month=2026-10", 404, unseen},
		{"blog", "/contracts/K-1/products?start=2026-10&end=2026-11", 404, unseen},
		{"stranger", monthly + "?start=2026-10&end=2026-11", 404, unseen},
		{"stranger", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-CCT7890", 404, unseen},
		{"stranger", "/contracts/K-1/products?start=2026-10&end=2026-11", 404, unseen},
		{"shop", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-CCT7890", 403, "may not use accountSwitchKey"},
		{"switch", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-CCT7890:1-2RBL", 200, `"accountId":"A-CCT7890"`},
		{"switch", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-CCT7890%3A1-2RBL", 200, `"value":26.666667`},
		{"switch", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-2", 404, unseen},
		{"switch", monthly + "?start=2026-10&end=2026-11&accountSwitchKey=A-9", 404, unseen},
		{"switch", monthly + "?start=2026-10&end=2026-11", 404, unseen},
		{"switch", "/contracts/K-2/products?start=2026-10&end=2026-11&accountSwitchKey=A-CCT7890", 404, unseen},
		{"sender", monthly + "?start=2026-10&end=2026-11", 403, "its role is ingest"},
		{"nobody", monthly + "?start=2026-10&end=2026-11", 401, `"title":"Not authorized","status":401,"detail":"Inactive client token","instance":"https://billing.example/billing/v1/contracts/K-1/`},
		{"nobody", "/contracts/K-9/products?start=x", 401, `"method":"GET","serverIp":"127.0.0.1","clientIp":"127.0.0.1","requestId":"`},
	} {
		got := w.call("GET", c.as, c.target)
		if got.Status != c.status || !strings.Contains(got.Body, c.text) || c.text == "" && got.Body != "" {
			t.Errorf("%s %s: %d %s, want %d %s", c.as, c.target, got.Status, got.Body, c.status, c.text)
		}
		if c.status >= 400 && got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: an error as %q", c.target, got.Header.Get("Content-Type"))
		}
	}
}

// TestCredentials sends what is not signed as it should be.
func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := "/billing/v1" + contractPath + "monthly-summary?start=2026-10&end=2026-11"
	id := edgegrid.Identity{ClientToken: "all", AccessToken: "all", Secret: "all"}
	sign := func(scheme, target string, at time.Time, nonce string) string {
		return edgegrid.Sign(id, edgegrid.Request{Method: "GET", Scheme: scheme, Host: "billing.example", Target: target}, at, nonce)
	}
	for _, c := range []struct {
		name, authorization string
		status              int
		text                string
	}{
		{"none", "", 400, `pep-authn/request-error","title":"Bad request","status":400,"detail":"Invalid authorization header"`},
		{"a bearer token", "Bearer x", 400, "Invalid authorization header"},
		{"too long", sign("https", target, now, strings.Repeat("n", 2000)), 400, "Invalid authorization header"},
		{"too old", sign("https", target, now.Add(-31*time.Second), "1"), 400, "Invalid timestamp"},
		{"too new", sign("https", target, now.Add(31*time.Second), "2"), 400, "Invalid timestamp"},
		{"the scheme of the connection", sign("http", target, now, "3"), 401, `pep-authn/deny","title":"Not authorized","status":401,"detail":"The signature does not match"`},
		{"the query in order", sign("https", strings.Replace(target, "start=2026-10&end=2026-11", "end=2026-11&start=2026-10", 1), now, "4"), 401, "The signature does not match"},
		{"as it should be", sign("https", target, now, "5"), 200, "usagePeriods"},
		{"again", sign("https", target, now, "5"), 401, "Nonce already used"},
	} {
		r, err := http.NewRequest("GET", w.URL+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "billing.example"
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		if got := w.Do(r); got.Status != c.status || !strings.Contains(got.Body, c.text) {
			t.Errorf("%s: %d %s", c.name, got.Status, got.Body)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := contractPath + "monthly-summary?start=2026-10&end=2026-11"
	if got := w.call("HEAD", "all", target); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: %d %s", got.Status, got.Body)
	}
	if got := w.call("OPTIONS", "all", target); got.Status != 204 || got.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", got.Status, got.Header)
	}
	if got := w.call("POST", "all", target); got.Status != 405 {
		t.Errorf("POST: %d %s", got.Status, got.Body)
	}
	if got := w.call("GET", "all", "//contracts/K-1/products?start=2026-10&end=2026-11"); got.Status != 404 {
		t.Errorf("doubled slashes: %d %s", got.Status, got.Body)
	}
}
