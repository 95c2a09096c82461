package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

func units(t *testing.T, text string) Units {
	t.Helper()
	d, err := meter.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return RoundUnits(d)
}

func TestRoundUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "0.5": "1", "1.5": "2", "2.5": "3", "2.499999999999": "2", "-2.5": "-3", "7": "7",
		"2147483648": "2147483648", "4320000000.5": "4320000001", "1e30": "1" + strings.Repeat("0", 30),
	} {
		b, err := json.Marshal(units(t, text))
		if err != nil || string(b) != want {
			t.Errorf("%s: %s %v, want %s", text, b, err, want)
		}
		var back Units
		if err := json.Unmarshal(b, &back); err != nil || back.String() != want {
			t.Errorf("%s: reads back as %s %v", want, back, err)
		}
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

func TestUsageAnswer(t *testing.T) {
	t.Parallel()
	at := Time(time.Date(2020, 1, 5, 10, 0, 0, 7, time.FixedZone("", 2*3600)))
	quota := `"quota":{"monthStart":"2020-01-05T08:00:00Z","monthEnd":"2020-01-05T08:00:00Z","cloudUnitsIncluded":4320000000,` +
		`"endpointAgentsIncluded":10,"endpointAgentsEssentialsIncluded":0,"endpointAgentsEmbeddedIncluded":0,"enterpriseAgentsIncluded":5}`
	numbers := `"cloudUnitsUsed":9223372036854775808,"cloudUnitsProjected":1,"cloudUnitsNextBillingPeriod":0,"enterpriseUnitsUsed":0,` +
		`"enterpriseUnitsProjected":0,"enterpriseUnitsNextBillingPeriod":0,"endpointAgentsUsed":0,"endpointAgentsEssentialsUsed":0,` +
		`"endpointAgentsEmbeddedUsed":0,"enterpriseAgentsUsed":9223372036854775807`
	a := UsageAnswer{Links: UsageRequest{}.Links("https://m"), Usage: Usage{
		Quota:          Quota{MonthStart: at, MonthEnd: at, CloudUnitsIncluded: 4320000000, EndpointAgentsIncluded: 10, EnterpriseAgentsIncluded: 5},
		CloudUnitsUsed: units(t, "9223372036854775808"), CloudUnitsProjected: units(t, "0.5"), EnterpriseAgentsUsed: math.MaxInt64,
	}}
	links := `"_links":{"self":{"href":"https://m/v7/usage"}}`
	if got, want := encode(t, a), `{"usage":{`+quota+`,`+numbers+`},`+links+`}`; got != want {
		t.Errorf("nothing expanded:\n%s\nwant\n%s", got, want)
	}
	a.Usage.Tests, a.Usage.EnterpriseAgents, a.Usage.EnterpriseAgentUnits = []TestUsage{}, []EnterpriseAgents{}, []EnterpriseAgentUnit{}
	a.Usage.EndpointAgents, a.Usage.EndpointAgentsEssentials, a.Usage.EndpointAgentsEmbedded = []EndpointAgents{}, []EndpointEssentials{}, []EndpointEmbedded{}
	arrays := `"tests":[],"enterpriseAgents":[],"enterpriseAgentUnits":[],"endpointAgents":[],"endpointAgentsEssentials":[],"endpointAgentsEmbedded":[]`
	if got, want := encode(t, a), `{"usage":{`+quota+`,`+numbers+`,`+arrays+`},`+links+`}`; got != want {
		t.Errorf("empty arrays:\n%s\nwant\n%s", got, want)
	}
	web := AccountGroup{"1234", "Web & <shop>"}
	a = UsageAnswer{Links: UsageRequest{AID: "1", Expand: expands[:2]}.Links("https://m"), Usage: Usage{
		Tests: []TestUsage{{web, "901", "home", "Web - HTTP Server", units(t, "1"), units(t, "2").Optional()},
			{web, "902", "new", "DNS", units(t, "1"), nil}},
		EnterpriseAgents:         []EnterpriseAgents{{web, 1}},
		EnterpriseAgentUnits:     []EnterpriseAgentUnit{{web, "11", "Oslo", units(t, "3"), units(t, "4").Optional()}, {web, "", "gone", units(t, "3"), nil}},
		EndpointAgents:           []EndpointAgents{{web, 2}},
		EndpointAgentsEssentials: []EndpointEssentials{{web, 3}},
		EndpointAgentsEmbedded:   []EndpointEmbedded{{web, 4}},
	}}
	group := `{"aid":"1234","accountGroupName":"Web & <shop>",`
	got := encode(t, a)
	for _, want := range []string{
		`"tests":[` + group + `"testId":"901","testName":"home","testType":"Web - HTTP Server","cloudUnitsUsed":1,"cloudUnitsProjected":2},` +
			group + `"testId":"902","testName":"new","testType":"DNS","cloudUnitsUsed":1}]`,
		`"enterpriseAgents":[` + group + `"enterpriseAgentsUsed":1}]`,
		`"enterpriseAgentUnits":[` + group + `"agentId":"11","agentName":"Oslo","enterpriseUnitsUsed":3,"enterpriseUnitsProjected":4},` +
			group + `"agentName":"gone","enterpriseUnitsUsed":3}]`,
		`"endpointAgents":[` + group + `"endpointAgentsUsed":2}]`,
		`"endpointAgentsEssentials":[` + group + `"endpointAgentsEssentialsUsed":3}]`,
		`"endpointAgentsEmbedded":[` + group + `"endpointAgentsEmbeddedUsed":4}]`,
		`"_links":{"self":{"href":"https://m/v7/usage?aid=1&expand=test%2Centerprise-agent"}}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	empty := Page[TestUnits]{Breakdowns: []TestUnits{}, Links: Links{Self: Link{"h"}}}
	if got, want := encode(t, empty), `{"breakdowns":[],"_links":{"self":{"href":"h"}}}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	web := AccountGroup{"1234", "Web"}
	tests := Page[TestUnits]{Links: Links{Self: Link{"h"}, Next: &Link{"n"}}, Breakdowns: []TestUnits{
		{web, "901", "home", "DNS", units(t, "2147483648"), units(t, "2").Optional(), units(t, "3"), units(t, "0").Optional(), true},
		{web, "902", "gone", "DNS", units(t, "1"), nil, units(t, "3"), nil, false}}}
	group := `{"aid":"1234","accountGroupName":"Web",`
	if got, want := encode(t, tests), `{"breakdowns":[`+group+`"testId":"901","testName":"home","testType":"DNS","cloudUnitsUsed":2147483648,`+
		`"cloudUnitsProjected":2,"enterpriseUnitsUsed":3,"enterpriseUnitsProjected":0,"isInstantTest":true},`+group+
		`"testId":"902","testName":"gone","testType":"DNS","cloudUnitsUsed":1,"enterpriseUnitsUsed":3,"isInstantTest":false}],`+
		`"_links":{"self":{"href":"h"},"next":{"href":"n"}}}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestErrorBodies(t *testing.T) {
	t.Parallel()
	if got, want := encode(t, InvalidToken), `{"error":"invalid_token","error_description":"Invalid access token"}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	p := NewProblem(400, "d", "/v7/usage", Invalid(CodeMissing, "startDate", "m").Fields)
	if got, want := encode(t, p), `{"type":"about:blank","title":"Bad Request","status":400,"detail":"d","instance":"/v7/usage",`+
		`"errors":[{"code":"missing","field":"startDate","message":"m"}]}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got, want := encode(t, NewProblem(403, "d", "/p", nil)), `{"type":"about:blank","title":"Forbidden","status":403,"detail":"d","instance":"/p"}`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
