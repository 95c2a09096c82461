package thousandeyes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// shop is the customer of the worked examples: two account groups that share
// the agent Oslo, which Web owns. Its cycle runs from 5 November to 5 December
// 2026, 720 hours, and the next one has 744.
func shop(t testing.TB) *Customer {
	return &Customer{
		CycleDay: 5, Metered: true, Quota: wire.Quota{CloudUnitsIncluded: 4320000000, EnterpriseAgentsIncluded: 5, EndpointAgentsIncluded: 10},
		Groups: map[string]string{"1234": "Web", "5678": "Network"},
		Rates:  map[string]Rate{"HTTP": httpServer(t), "A2S": agentToServer(t)},
		Agents: []Agent{
			{"11", "Oslo", "1234", Enterprise, true, []Span{{meter.Period{}, "1234"}}},
			{"13", "Rome", "5678", Enterprise, false, []Span{{meter.Period{To: at(t, "6 00:00:00")}, "5678"}}},
			{"12", "laptop", "5678", Endpoint, true, []Span{{meter.Period{From: at(t, "20 10:00:00")}, "5678"}}},
		},
		Tests: []Test{
			{"901", "home page", "HTTP", "1234", 60, 5, 2, []string{"11"}, true, false},  // an hour: 600 cloud, 150 enterprise
			{"902", "ping", "A2S", "5678", 300, 0, 1, []string{"11", "13"}, true, false}, // 60 cloud, 30 enterprise: Rome is off
			{"903", "once", "HTTP", "1234", 60, 5, 1, nil, true, true},                   // instant
			{"904", "old", "HTTP", "5678", 60, 5, 1, nil, false, false},                  // disabled
			{"905", "new", "other", "5678", 60, 5, 1, nil, true, false},                  // has no rate
		},
	}
}

// used is what the shop used until 22 November, 12:00, an event of an hour each.
func used(t testing.TB, c *Customer) []Stretch {
	d := func(s string) meter.Decimal { return decimal(t, s) }
	return []Stretch{{Owners: c.owners(),
		Cloud:      []Use{{"1234", "901", "", d("1000.5")}, {"5678", "902", "", d("200")}, {"1234", "903", "", d("5")}, {"5678", "904", "", d("7")}},
		Enterprise: []Use{{"1234", "901", "11", d("2.5")}, {"1234", "902", "11", d("7.5")}, {"5678", "902", "13", d("2.5")}}}}
}

// left is 13 days less 12 hours, 300 hours, before the cycle's end.
const left = "22 12:00:00"

func rows[Row any](t *testing.T, list []Row) string {
	t.Helper()
	var out []string
	for _, r := range list {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	text := strings.Join(out, "\n")
	for _, long := range []string{"accountGroupName", "enterpriseUnits", "cloudUnits", "Projected"} {
		text = strings.ReplaceAll(text, long, map[string]string{"accountGroupName": "g", "enterpriseUnits": "e", "cloudUnits": "c", "Projected": "P"}[long])
	}
	return text
}

func equal(t *testing.T, name, got string, want ...string) {
	t.Helper()
	if w := strings.Join(want, "\n"); got != w {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, w)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	c := shop(t)
	now := at(t, left)
	all, err := wire.ParseUsage("expand=test,enterprise-agent,enterprise-agent-unit,endpoint-agent,endpoint-agent-essential,endpoint-agent-embedded")
	if err != nil {
		t.Fatal(err)
	}
	u := c.Usage(all, now, used(t, c))
	// 660 cloud units an hour: 1212.5 + 660 x 300, 660 x 744. 180 enterprise units.
	equal(t, "cloud", fmt.Sprint(u.CloudUnitsUsed, u.CloudUnitsProjected, u.CloudUnitsNextBillingPeriod), "1213 199213 491040")
	equal(t, "enterprise", fmt.Sprint(u.EnterpriseUnitsUsed, u.EnterpriseUnitsProjected, u.EnterpriseUnitsNextBillingPeriod), "13 54013 133920")
	equal(t, "agents", fmt.Sprint(u.EnterpriseAgentsUsed, u.EndpointAgentsUsed, u.EndpointAgentsEssentialsUsed, u.EndpointAgentsEmbeddedUsed), "2 1 0 0")
	equal(t, "quota", rows(t, []wire.Quota{u.Quota}), `{"monthStart":"2026-11-05T00:00:00Z","monthEnd":"2026-12-05T00:00:00Z","cIncluded":4320000000,`+
		`"endpointAgentsIncluded":10,"endpointAgentsEssentialsIncluded":0,"endpointAgentsEmbeddedIncluded":0,"enterpriseAgentsIncluded":0}`)
	equal(t, "tests", rows(t, u.Tests),
		`{"aid":"1234","g":"Web","testId":"901","testName":"home page","testType":"HTTP","cUsed":1001,"cP":181001}`,
		`{"aid":"1234","g":"Web","testId":"903","testName":"once","testType":"HTTP","cUsed":5,"cP":5}`,
		`{"aid":"5678","g":"Network","testId":"902","testName":"ping","testType":"A2S","cUsed":200,"cP":18200}`,
		`{"aid":"5678","g":"Network","testId":"904","testName":"old","testType":"HTTP","cUsed":7,"cP":7}`)
	equal(t, "units of agents", rows(t, u.EnterpriseAgentUnits),
		`{"aid":"1234","g":"Web","agentId":"11","agentName":"Oslo","eUsed":10,"eP":54010}`,
		`{"aid":"5678","g":"Network","agentId":"13","agentName":"Rome","eUsed":3,"eP":3}`)
	equal(t, "enterprise agents", rows(t, u.EnterpriseAgents), `{"aid":"1234","g":"Web","enterpriseAgentsUsed":1}`, `{"aid":"5678","g":"Network","enterpriseAgentsUsed":1}`)
	equal(t, "endpoint agents", rows(t, u.EndpointAgents), `{"aid":"5678","g":"Network","endpointAgentsUsed":1}`)
	if u.EndpointAgentsEssentials == nil || u.EndpointAgentsEmbedded == nil {
		t.Error("an expanded array is absent")
	}
	u = c.Usage(wire.UsageRequest{}, now, used(t, c))
	if u.Tests != nil || u.EnterpriseAgents != nil || u.EnterpriseAgentUnits != nil || u.EndpointAgents != nil || u.EndpointAgentsEssentials != nil || u.EndpointAgentsEmbedded != nil {
		t.Error("an array that was not expanded is there")
	}
}

func TestUsageWithoutARate(t *testing.T) {
	t.Parallel()
	c := shop(t)
	r := wire.UsageRequest{Expand: []wire.Expand{wire.ExpandTest}}
	some := []Stretch{{Owners: c.owners(), Cloud: []Use{{"5678", "905", "", decimal(t, "4")}}}}
	equal(t, "tests", rows(t, c.Usage(r, at(t, left), some).Tests[2:]),
		`{"aid":"5678","g":"Network","testId":"905","testName":"new","testType":"other","cUsed":4}`)
}

func TestLegacyPricing(t *testing.T) {
	t.Parallel()
	c := shop(t)
	c.Metered = false
	u := c.Usage(wire.UsageRequest{Expand: []wire.Expand{wire.ExpandEnterpriseUnit}}, at(t, left), used(t, c))
	equal(t, "enterprise", fmt.Sprint(u.EnterpriseUnitsUsed, u.EnterpriseUnitsProjected, u.EnterpriseUnitsNextBillingPeriod,
		u.EnterpriseAgentsUsed, u.Quota.EnterpriseAgentsIncluded, u.EnterpriseAgentUnits), "0 0 0 2 5 []")
}

func unitsRequest(t *testing.T, raw string) wire.UnitsRequest {
	t.Helper()
	now := at(t, left)
	r, err := wire.ParseUnits(wire.TestsOperation, "", raw, wire.NewCursorCodec(nil), now)
	if err != nil {
		t.Fatal(err)
	}
	r.DefaultRange(meter.Cycle(now, 5))
	return r
}

func TestUnitsOfTheCycle(t *testing.T) {
	t.Parallel()
	c := shop(t)
	r := unitsRequest(t, "")
	units := Units{used(t, c), used(t, c)}
	page, next := c.TestUnits(r, units, 100)
	equal(t, "tests", rows(t, page),
		`{"aid":"1234","g":"Web","testId":"901","testName":"home page","testType":"HTTP","cUsed":1001,"cP":181001,"eUsed":3,"eP":45003,"isInstantTest":false}`,
		`{"aid":"1234","g":"Web","testId":"903","testName":"once","testType":"HTTP","cUsed":5,"cP":5,"eUsed":0,"eP":0,"isInstantTest":true}`,
		`{"aid":"5678","g":"Network","testId":"902","testName":"ping","testType":"A2S","cUsed":200,"cP":18200,"eUsed":10,"eP":9010,"isInstantTest":false}`,
		`{"aid":"5678","g":"Network","testId":"904","testName":"old","testType":"HTTP","cUsed":7,"cP":7,"eUsed":0,"eP":0,"isInstantTest":false}`)
	agents, more := c.AgentUnits(r, units, 100)
	equal(t, "agents", rows(t, agents),
		`{"aid":"1234","g":"Web","agentId":"11","agentName":"Oslo","eUsed":3,"eP":45003}`,
		`{"aid":"5678","g":"Network","agentId":"11","agentName":"Oslo","eUsed":8,"eP":9008}`,
		`{"aid":"5678","g":"Network","agentId":"13","agentName":"Rome","eUsed":3,"eP":3}`)
	if next != nil || more != nil {
		t.Errorf("there is more after %v, %v", next, more)
	}
}

func TestUnitsOfThePast(t *testing.T) {
	t.Parallel()
	c := shop(t)
	r := unitsRequest(t, "startDate=2026-10-05T00:00:00Z&endDate=2026-11-05T00:00:00Z")
	d := func(s string) meter.Decimal { return decimal(t, s) }
	past := []Stretch{{Owners: c.owners(), Cloud: []Use{{"1234", "901", "", d("10")}, {"5678", "904", "", d("20")}},
		Enterprise: []Use{{"5678", "904", "13", d("30")}, {"1234", "901", "11", d("0.5")}}}}
	page, _ := c.TestUnits(r, Units{past, used(t, c)}, 100)
	// Projections are the current cycle's; 902, which was not used then, is left out.
	equal(t, "tests", rows(t, page),
		`{"aid":"1234","g":"Web","testId":"901","testName":"home page","testType":"HTTP","cUsed":10,"cP":181001,"eUsed":1,"eP":45003,"isInstantTest":false}`,
		`{"aid":"5678","g":"Network","testId":"904","testName":"old","testType":"HTTP","cUsed":20,"eUsed":30,"isInstantTest":false}`)
	agents, _ := c.AgentUnits(r, Units{past, used(t, c)}, 100)
	equal(t, "agents", rows(t, agents),
		`{"aid":"1234","g":"Web","agentId":"11","agentName":"Oslo","eUsed":1,"eP":45003}`,
		`{"aid":"5678","g":"Network","agentId":"13","agentName":"Rome","eUsed":30}`)
}

func TestPagesHoldEachRowOnce(t *testing.T) {
	t.Parallel()
	c := shop(t)
	var stretch Stretch
	stretch.Owners = c.owners()
	for i := range 25 {
		stretch.Cloud = append(stretch.Cloud, Use{"1234", fmt.Sprint(i), "", decimal(t, "1")})
		stretch.Enterprise = append(stretch.Enterprise, Use{"1234", fmt.Sprint(i), fmt.Sprint(i), decimal(t, "1")})
	}
	c.Tests, c.Agents = nil, nil
	units := Units{[]Stretch{stretch}, []Stretch{stretch}}
	for _, size := range []int{1, 7, 24, 25, 26} {
		for name, ask := range map[string]func(r wire.UnitsRequest) ([]string, *wire.Position){
			"tests": func(r wire.UnitsRequest) (ids []string, _ *wire.Position) {
				page, next := c.TestUnits(r, units, size)
				for _, row := range page {
					ids = append(ids, row.TestID)
				}
				return ids, next
			},
			"agents": func(r wire.UnitsRequest) (ids []string, _ *wire.Position) {
				page, next := c.AgentUnits(r, units, size)
				for _, row := range page {
					ids = append(ids, row.AgentID)
				}
				return ids, next
			},
		} {
			var ids []string
			r := unitsRequest(t, "")
			for pages := 0; ; pages++ {
				page, next := ask(r)
				if ids = append(ids, page...); next == nil {
					break
				}
				if len(page) != size || pages > 25 {
					t.Fatalf("%s by %d: page %d has %d rows", name, size, pages, len(page))
				}
				r.After = next
			}
			if len(ids) != 25 || !slices.IsSortedFunc(ids, func(a, b string) int { return len(a) - len(b) }) || ids[24] != "24" {
				t.Errorf("%s by %d: %v", name, size, ids)
			}
		}
	}
	r := unitsRequest(t, "")
	r.After = &wire.Position{AID: "1234", ID: "10.5"} // is not there any more
	if page, _ := c.TestUnits(r, units, 100); len(page) != 0 {
		t.Errorf("%d rows after an id that sorts last", len(page))
	}
	r.After = &wire.Position{AID: "1234", ID: "024"}
	if page, _ := c.TestUnits(r, units, 100); len(page) != 1 {
		t.Errorf("%d rows after 024, want that of 24", len(page))
	}
	empty, next := c.TestUnits(unitsRequest(t, ""), Units{}, 100)
	if empty == nil || len(empty) != 0 || next != nil {
		t.Errorf("nothing used: %v %v", empty, next)
	}
}

func TestBothAttributionsTotalTheSame(t *testing.T) {
	t.Parallel()
	c := shop(t)
	now := at(t, left)
	_, plans := c.plans()
	var totals []string
	for _, by := range []attribution{byTest, byAgentOfTest, byAgent} {
		total := collect(c.owners(), by, enterpriseUnits, used(t, c), used(t, c), plans).total()
		totals = append(totals, total.used.String()+" "+total.projected(c.cycle(now).To.Sub(now)).RatString())
	}
	equal(t, "totals", strings.Join(totals, "; "), "12.5 108025/2; 12.5 108025/2; 12.5 108025/2")
	if c.cycle(now).To.Sub(now) != 300*time.Hour {
		t.Error("not 300 hours before the end")
	}
}
