package thousandeyes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

const everything = "expand=test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded"

func TestUsageOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Base: "https://meter.example"})
	w.shopUsage()
	quota := `"quota":{"monthStart":"2026-11-05T00:00:00Z","monthEnd":"2026-12-05T00:00:00Z","cloudUnitsIncluded":4320000000,"endpointAgentsIncluded":10,` +
		`"endpointAgentsEssentialsIncluded":0,"endpointAgentsEmbeddedIncluded":0,"enterpriseAgentsIncluded":0}`
	// 660 cloud and 180 enterprise units an hour; 300 hours are left, and the next cycle has 744.
	numbers := `"cloudUnitsUsed":1206,"cloudUnitsProjected":199206,"cloudUnitsNextBillingPeriod":491040,` +
		`"enterpriseUnitsUsed":13,"enterpriseUnitsProjected":54013,"enterpriseUnitsNextBillingPeriod":133920,` +
		`"endpointAgentsUsed":1,"endpointAgentsEssentialsUsed":0,"endpointAgentsEmbeddedUsed":0,"enterpriseAgentsUsed":1`
	for _, key := range []string{w.key, w.bound} {
		r := w.want("no expand", w.get(key, "/v7/usage?aid=5678"), 200)
		equal(t, "no expand", r.Body, `{"usage":{`+quota+`,`+numbers+`},"_links":{"self":{"href":"https://meter.example/v7/usage?aid=5678"}}}`)
	}
	web, network := `{"aid":"1234","accountGroupName":"Web",`, `{"aid":"5678","accountGroupName":"Network",`
	r := w.want("all expanded", w.get(w.bound, "/v7/usage?"+everything), 200)
	equal(t, "all expanded", r.Body, `{"usage":{`+quota+`,`+numbers+`,"tests":[`+
		web+`"testId":"901","testName":"home page","testType":"HTTP","cloudUnitsUsed":1001,"cloudUnitsProjected":181001},`+
		web+`"testId":"903","testName":"once","testType":"HTTP","cloudUnitsUsed":5,"cloudUnitsProjected":5},`+
		network+`"testId":"902","testName":"ping","testType":"A2S","cloudUnitsUsed":200,"cloudUnitsProjected":18200}],`+
		`"enterpriseAgents":[`+web+`"enterpriseAgentsUsed":1}],"enterpriseAgentUnits":[`+
		web+`"agentId":"11","agentName":"Oslo","enterpriseUnitsUsed":10,"enterpriseUnitsProjected":54010},`+
		network+`"agentId":"13","agentName":"Rome","enterpriseUnitsUsed":3,"enterpriseUnitsProjected":3}],`+
		`"endpointAgents":[`+network+`"endpointAgentsUsed":1}],"endpointAgentsEssentials":[],"endpointAgentsEmbedded":[]},`+
		`"_links":{"self":{"href":"https://meter.example/v7/usage?`+strings.ReplaceAll(everything, ",", "%2C")+`"}}}`)
}

// pageOf is what a client decodes of a page.
type pageOf struct {
	Breakdowns []map[string]any
	Links      map[string]struct{ Href string } `json:"_links"`
}

func (w *world) page(key, url string) pageOf {
	w.Helper()
	var p pageOf
	r := w.want(url, w.get(key, url), 200)
	w.Check(json.Unmarshal([]byte(r.Body), &p))
	if p.Breakdowns == nil || p.Links["self"].Href == "" || len(p.Breakdowns) == 0 != strings.Contains(r.Body, `"breakdowns":[]`) {
		w.Errorf("%s: %s", url, r.Body)
	}
	return p
}

// walk follows a units operation to its end, by href or as SDKs do: their own
// filters and the cursor. It lists rows as account group, id and two figures.
func (w *world) walk(key, path, filters string, byHref bool) (rows []string, pages int) {
	w.Helper()
	next := path + "?" + filters
	for pages = 1; ; pages++ {
		p := w.page(key, next)
		for _, b := range p.Breakdowns {
			id, kind := b["testId"], "cloudUnitsUsed"
			if id == nil {
				id, kind = b["agentId"], "enterpriseUnitsProjected"
			}
			rows = append(rows, fmt.Sprint(b["aid"], "/", id, " ", b[kind], " ", b["enterpriseUnitsUsed"]))
		}
		link, ok := p.Links["next"]
		if !ok {
			return rows, pages
		}
		w.Clock.Advance(time.Hour) // the cursor froze now
		u, err := url.Parse(link.Href)
		w.Check(err)
		if next = link.Href; !byHref {
			next = path + "?" + filters + "&cursor=" + u.Query().Get("cursor")
		}
	}
}

func TestUnitsOperations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, filters, want string
		pages               int
	}{
		{"/v7/usage/units/tests", "", "1234/901 1001 3, 1234/903 5 0, 5678/902 200 10", 2},
		{"/v7/usage/units/tests", "aid=5678", "1234/901 1001 3, 1234/903 5 0, 5678/902 200 10", 2},
		{"/v7/usage/units/tests", "startDate=2026-11-01T00:00:00.000000+0000", "1234/901 1041 3, 1234/903 5 0, 5678/902 200 10", 2},
		{"/v7/usage/units/tests", "startDate=2026-11-01T00:00:00Z&endDate=2026-11-05T00:00:00%2B00:00", "1234/901 40 0", 1},
		{"/v7/usage/units/tests", "startDate=2026-11-04T23:59:59Z&endDate=2027-01-01T00:00:00Z", "1234/901 1041 3, 1234/903 5 0, 5678/902 200 10", 2},
		{"/v7/usage/units/tests", "startDate=2026-10-01T00:00:00Z&endDate=2026-11-01T00:00:00Z", "", 1},
		{"/v7/usage/units/enterprise-agents", "", "1234/11 45003 3, 5678/11 9008 8, 5678/13 3 3", 2},
		{"/v7/usage/units/enterprise-agents", "window=30d", "1234/11 45003 3, 5678/11 9008 8, 5678/13 3 3", 2},
		{"/v7/usage/units/enterprise-agents", "startDate=2026-10-01T00:00:00Z&endDate=2026-11-01T00:00:00Z", "", 1},
	} {
		t.Run(c.path+"?"+c.filters, func(t *testing.T) {
			t.Parallel()
			for _, byHref := range []bool{true, false} {
				w := newWorld(t, Options{PageRows: 2})
				w.shopUsage()
				rows, pages := w.walk(w.bound, c.path, c.filters, byHref)
				if got := strings.Join(rows, ", "); got != c.want || pages != c.pages {
					t.Errorf("by href %v: %s on %d pages, want %s on %d", byHref, got, pages, c.want, c.pages)
				}
			}
		})
	}
}

func TestAnOwnerChangesInsideTheCycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.ingest(event{"cloud", "shop", "", "902", "", at(t, "10 10:00:00"), "10"}, event{"cloud", "shop", "", "902", "", at(t, "20 10:00:00"), "20"})
	w.Apply(`
customers:
  - id: shop
    name: Shop
    cycle_day: 5
    account_groups: [{aid: "1234", name: Web}, {aid: "5678", name: Network}]
    tests:
      - {id: "902", name: ping 2, type: A2S, account_group: "1234", interval_s: 300, cloud_agents: 1, agents: ["11", "13"]}
`, metering.ApplyOptions{Effective: at(t, "15 00:00:00")})
	rows, _ := w.walk(w.bound, "/v7/usage/units/tests", "", true)
	equal(t, "rows", strings.Join(rows, ", "), "1234/901 0 0, 1234/902 20 0, 5678/902 10 0")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{RequestsPerMinute: 240})
	paths := []string{"/v7/usage", "/v7/usage/units/tests", "/v7/usage/units/enterprise-agents"}
	ingest := w.NewKey(access.RoleIngest, "")
	for _, path := range paths {
		for name, header := range map[string][]string{
			"no token": nil, "an unknown token": {"Authorization", "Bearer x"}, "not a bearer": {"Authorization", "Basic x"}, "an empty token": {"Authorization", "Bearer "},
		} {
			r := w.want(name, w.send("GET", path, header...), 401)
			if r.Body != `{"error":"invalid_token","error_description":"Invalid access token"}` || r.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %s %v", name, r.Body, r.Header)
			}
		}
		w.want("a key that may not read", w.get(ingest, path), 403)
		w.want("no aid", w.get(w.key, path), 400, `"errors":[{"code":"missing","field":"aid",`)
		w.want("unknown parameters", w.get(w.bound, path+"?foo=bar;baz&&=&limit=-1"), 200)
		w.want("another method", w.send("POST", path, "Authorization", "Bearer "+w.bound), 405)
		if r := w.send("OPTIONS", path); r.Status != 204 || r.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("OPTIONS %s: %d %v", path, r.Status, r.Header)
		}
		if r := w.send("HEAD", path, "Authorization", "Bearer "+w.bound); r.Status != 200 || r.Body != "" || r.Header.Get("X-Organization-Rate-Limit-Limit") != "240" {
			t.Errorf("HEAD %s: %d %v", path, r.Status, r.Header)
		}
		w.want("doubled slash", w.get(w.bound, strings.Replace(path, "usage", "/usage", 1)), 404)
		w.want("trailing slash", w.get(w.bound, path+"/"), 404)
	}
	w.want("aid", w.get(w.bound, "/v7/usage?aid=Web"), 400, `{"code":"invalid","field":"aid",`)
	w.want("expand", w.get(w.bound, "/v7/usage?expand=unknown"), 400, `{"code":"invalid","field":"expand",`)
	for _, path := range paths[1:] {
		w.want("cursor", w.get(w.bound, path+"?cursor=abc"), 400, `{"code":"invalid","field":"cursor",`)
		w.want("month 13", w.get(w.bound, path+"?startDate=2026-13-01T00:00:00Z"), 400, `{"code":"invalid","field":"startDate",`)
		w.want("reversed", w.get(w.bound, path+"?startDate=2026-11-02T00:00:00Z&endDate=2026-11-01T00:00:00Z"), 400, `{"code":"invalid","field":"endDate",`)
	}
	for _, path := range []string{"/v7/usage/units/tests?aid=77"} {
		w.want("legacy pricing", w.get(w.key, path), 403)
	}
	old := w.NewKey(access.RoleRead, "old")
	w.want("legacy pricing", w.get(old, paths[2]), 403)
	w.want("legacy pricing", w.get(old, paths[0]), 200, `"enterpriseAgentsIncluded":5`, `"enterpriseUnitsUsed":0`)
	w.want("a customer without anything", w.get(w.key, "/v7/usage?aid=88&"+everything), 200, `"tests":[]`, `"cloudUnitsUsed":0`)
}

func TestDefaultAccountGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{PageRows: 2})
	w.shopUsage()
	web := w.CreateKey(access.NewKey{Organization: "default", Role: access.RoleRead, DefaultAID: "1234"})
	blank := w.CreateKey(access.NewKey{Organization: "default", Role: access.RoleRead, DefaultAID: "88"})
	lost := w.CreateKey(access.NewKey{Organization: "default", Role: access.RoleRead, DefaultAID: "4242"})
	w.want("the default", w.get(web, "/v7/usage"), 200, `"cloudUnitsUsed":1206,`)
	w.want("another one", w.get(web, "/v7/usage?aid=88"), 200, `"cloudUnitsUsed":0,`)
	w.want("one that is gone", w.get(lost, "/v7/usage"), 403)
	rows, _ := w.walk(web, "/v7/usage/units/enterprise-agents", "", true)
	equal(t, "agents", strings.Join(rows, ", "), "1234/11 45003 3, 5678/11 9008 8, 5678/13 3 3")
	next := w.page(web, "/v7/usage/units/enterprise-agents").Links["next"].Href
	w.want("a cursor of another default", w.get(blank, next), 400, `"field":"cursor"`)
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{PageRows: 1})
	w.shopUsage()
	_, err := w.Catalog.CreateOrganization(context.Background(), catalog.NewOrganization{ID: "other", Name: "Other"}, "test")
	w.Check(err)
	foreign := w.CreateKey(access.NewKey{Organization: "other", Role: access.RoleRead})
	old := w.NewKey(access.RoleRead, "old")
	gone := w.NewKey(access.RoleRead, "not in the catalog")
	for _, path := range []string{"/v7/usage", "/v7/usage/units/tests"} {
		unknown := w.want("unknown aid", w.get(w.key, path+"?aid=4242"), 403).Body
		for name, r := range map[string]reply{
			"another organization's":     w.get(foreign, path+"?aid=1234"),
			"another customer's":         w.get(old, path+"?aid=1234"),
			"unknown to a bound key":     w.get(old, path+"?aid=4242"),
			"a customer that is not one": w.get(gone, path),
		} {
			if w.want(name, r, 403); r.Body != unknown {
				t.Errorf("%s: %s, want %s", name, r.Body, unknown)
			}
		}
	}
	for _, path := range []string{"/v7/usage/units/tests", "/v7/usage/units/enterprise-agents"} {
		next := w.page(w.bound, path).Links["next"].Href
		for name, key := range map[string]string{"another organization's": foreign, "another customer's": old, "unbound": w.key} {
			w.want(name+" cursor", w.get(key, next), 400, `"field":"cursor"`)
		}
		if first, again := w.page(w.bound, next), w.page(w.bound, next); fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("a replayed cursor: %v, then %v", first, again)
		}
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{RequestsPerMinute: 3})
	reset := fmt.Sprint(w.Clock.Now().Unix() + 60)
	headers := func(name string, r reply, remaining string) {
		t.Helper()
		h := r.Header
		got := []string{h.Get("X-Organization-Rate-Limit-Limit"), h.Get("X-Organization-Rate-Limit-Remaining"), h.Get("X-Organization-Rate-Limit-Reset"), h.Get("Retry-After")}
		if want := []string{"3", remaining, reset, ""}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for i, path := range []string{"/v7/usage", "/v7/usage/units/tests", "/v7/usage/units/enterprise-agents"} {
		w.Clock.Advance(time.Second)
		if i == 0 {
			w.Clock.Advance(-time.Second)
		}
		headers(path, w.want(path, w.get(w.bound, path), 200), fmt.Sprint(2-i))
	}
	headers("at the limit", w.want("at the limit", w.get(w.key, "/v7/usage?aid=1234"), 429), "0")
	w.want("another customer", w.get(w.key, "/v7/usage?aid=88"), 200)
	w.Clock.Advance(58 * time.Second)
	w.want("the next minute", w.get(w.bound, "/v7/usage"), 200)
}

func TestAFailureCarriesNoRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{RequestsPerMinute: 3})
	w.Check(w.Ledger.DeleteMeter(context.Background(), "default", "cloud_units", "test"))
	r := w.want("the meter is gone", w.get(w.bound, "/v7/usage"), 503)
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Organization") {
			t.Errorf("%s: %s", name, r.Header.Get(name))
		}
	}
}

func TestAgentsAreCountedFromEffective(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	c, ok := customerOf(mustView(t, w), "shop", w.Clock.Now())
	if !ok || c.most(Enterprise, "", meter.Cycle(at(t, "1 00:00:00"), 5), at(t, "4 00:00:00")) != 0 {
		t.Error("an agent is counted before its time")
	}
}

func mustView(t *testing.T, w *world) *catalog.View {
	t.Helper()
	v, err := w.Service.Catalog(context.Background(), w.Admin, catalog.OfCustomers("shop"))
	w.Check(err)
	return v
}

func TestWordsAreTheCatalogs(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{pricingLegacy, catalog.PricingLegacy}, {ratePerTimeout, catalog.RatePerTimeout}, {string(Enterprise), catalog.AgentEnterprise},
		{string(Endpoint), catalog.AgentEndpoint}, {string(EndpointEssentials), catalog.AgentEndpointEssentials}, {string(EndpointEmbedded), catalog.AgentEndpointEmbedded},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, but the catalog says %q", c[0], c[1])
		}
	}
}
