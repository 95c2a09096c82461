package wire

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"odometer/internal/meter"
)

func number(t testing.TB, text string) Number {
	t.Helper()
	d, err := meter.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return Number(d)
}

func month(t testing.TB, text string) Month {
	t.Helper()
	m, ok := parseMonth(text)
	if !ok {
		t.Fatal(text)
	}
	return m
}

func day(t testing.TB, text string) Date {
	t.Helper()
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return Date(d)
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// seedAnswer is the vendor's own sample, but for the first period, whose dates
// the sample gives the year 2017 by mistake.
const seedAnswer = `{"accountId":"A-CCT7890","contractId":"K-0N7RAK7","end":"2020-09","productId":"1-ABC012",` +
	`"productName":"Web Application Accelerator","requestDate":"2020-10-15T00:00:00Z","start":"2020-07","usagePeriods":[` +
	`{"dataStatus":"DATA_FINALIZED","end":"2020-07-31","month":"2020-07","region":"GLOBAL","start":"2020-07-01","stats":[` +
	`{"isBillable":true,"statType":"Total MB","unit":"GB","value":30.3},{"isBillable":false,"statType":"95/5 Mbps","unit":"95/5 Mbps","value":1.3},` +
	`{"isBillable":false,"statType":"Total Hits","unit":"Total Hits","value":22},{"isBillable":false,"statType":"Peak Mbps","unit":"Peak Mbps","value":1}]},` +
	`{"dataStatus":"COLLECTING_DATA","end":"2020-08-15","month":"2020-08","region":"GLOBAL","start":"2020-08-01","stats":[` +
	`{"isBillable":true,"statType":"Total MB","unit":"GB","value":300.3},{"isBillable":false,"statType":"95/5 Mbps","unit":"95/5 Mbps","value":11.3},` +
	`{"isBillable":false,"statType":"Total Hits","unit":"Total Hits","value":55},{"isBillable":false,"statType":"Peak Mbps","unit":"Peak Mbps","value":11}]},` +
	`{"dataStatus":"COLLECTING_DATA","end":"2020-08-31","month":"2020-08","region":"GLOBAL","start":"2020-08-16","stats":[` +
	`{"isBillable":true,"statType":"Total MB","unit":"GB","value":300.3},{"isBillable":false,"statType":"95/5 Mbps","unit":"95/5 Mbps","value":11.3},` +
	`{"isBillable":false,"statType":"Total Hits","unit":"Total Hits","value":55},{"isBillable":false,"statType":"Peak Mbps","unit":"Peak Mbps","value":11}]}]}`

func seedStats(t *testing.T, mb, p95, hits, peak string) []Stat {
	return []Stat{{"Total MB", "GB", true, number(t, mb)}, {"95/5 Mbps", "95/5 Mbps", false, number(t, p95)},
		{"Total Hits", "Total Hits", false, number(t, hits)}, {"Peak Mbps", "Peak Mbps", false, number(t, peak)}}
}

func TestSeedAnswer(t *testing.T) {
	t.Parallel()
	july, august := month(t, "2020-07"), month(t, "2020-08")
	first, last := Days(july.Period())
	got := encode(t, Summary{
		AccountID: "A-CCT7890", ContractID: "K-0N7RAK7", ProductID: "1-ABC012", ProductName: "Web Application Accelerator",
		Start: july, End: month(t, "2020-09"), RequestDate: Instant(now), UsagePeriods: []Period{
			{Month: july, Start: first, End: last, Region: Global, DataStatus: Finalized, Stats: seedStats(t, "30.3", "1.3", "22", "1")},
			{Month: august, Start: day(t, "2020-08-01"), End: day(t, "2020-08-15"), Region: Global, DataStatus: Collecting,
				Stats: seedStats(t, "300.3", "11.3", "55", "11")},
			{Month: august, Start: day(t, "2020-08-16"), End: day(t, "2020-08-31"), Region: Global, DataStatus: Collecting,
				Stats: seedStats(t, "300.3", "11.3", "55", "11")},
		}})
	var have, want any
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(seedAnswer), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("got %s", got)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	july := month(t, "2020-07")
	hits := []Stat{{"Hits", "Hits", false, number(t, "22")}}
	group := &ReportingGroup{123, "Retail"}
	for name, c := range map[string]struct {
		answer any
		want   string
	}{
		"1": {Summary{AccountID: "A", ContractID: "K", ProductID: "P", ProductName: "N", Start: july, End: july + 1, RequestDate: Instant(now),
			UsagePeriods: []Period{{Month: july, Start: day(t, "2020-07-01"), End: day(t, "2020-07-31"), Region: "eu", DataStatus: Finalized, Stats: hits}}},
			`{"accountId":"A","contractId":"K","productId":"P","productName":"N","start":"2020-07","end":"2020-08","requestDate":"2020-10-15T00:00:00Z",` +
				`"usagePeriods":[{"month":"2020-07","start":"2020-07-01","end":"2020-07-31","region":"eu","dataStatus":"DATA_FINALIZED",` +
				`"stats":[{"statType":"Hits","unit":"Hits","isBillable":false,"value":22}]}]}`},
		"2": {Summary{AccountID: "A", ContractID: "K", ReportingGroup: group, ProductID: "P", ProductName: "N", Start: july, End: july + 1,
			RequestDate: Instant(now), UsagePeriods: []Period{{Month: july, Start: day(t, "2020-07-01"), End: day(t, "2020-07-31"),
				Region: Global, DataStatus: Collecting, CPCodes: []int64{1, 7654321}, Stats: hits}}},
			`{"accountId":"A","contractId":"K","reportingGroupId":123,"reportingGroupName":"Retail","productId":"P","productName":"N",` +
				`"start":"2020-07","end":"2020-08","requestDate":"2020-10-15T00:00:00Z","usagePeriods":[{"month":"2020-07","start":"2020-07-01",` +
				`"end":"2020-07-31","region":"GLOBAL","dataStatus":"COLLECTING_DATA","cpCodes":[1,7654321],` +
				`"stats":[{"statType":"Hits","unit":"Hits","isBillable":false,"value":22}]}]}`},
		"3": {Period{Month: july, Start: day(t, "2020-07-01"), End: day(t, "2020-07-31"), Region: Global, DataStatus: Collecting,
			CPCodeStats: []CPCodeStat{{7654321, hits}}},
			`{"month":"2020-07","start":"2020-07-01","end":"2020-07-31","region":"GLOBAL","dataStatus":"COLLECTING_DATA",` +
				`"cpCodeStats":[{"cpCode":7654321,"stats":[{"statType":"Hits","unit":"Hits","isBillable":false,"value":22}]}]}`},
		"5": {Daily{AccountID: "A", ContractID: "K", ReportingGroup: group, ProductID: "P", ProductName: "N", Month: july, DataStatus: Collecting,
			RequestDate: Instant(now), CPCodes: []int64{1}, UsagePeriods: []DailyPeriod{{Month: july, Start: day(t, "2020-07-01"), End: day(t, "2020-07-31"),
				Region: Global, Stats: []DailyStat{{"Total MB", "GB", []DayValue{{day(t, "2020-07-01"), number(t, "30.3")}}}}}}},
			`{"accountId":"A","contractId":"K","reportingGroupId":123,"reportingGroupName":"Retail","productId":"P","productName":"N","month":"2020-07",` +
				`"dataStatus":"COLLECTING_DATA","requestDate":"2020-10-15T00:00:00Z","cpCodes":[1],"usagePeriods":[{"month":"2020-07","start":"2020-07-01",` +
				`"end":"2020-07-31","region":"GLOBAL","stats":[{"statType":"Total MB","unit":"GB","values":[{"date":"2020-07-01","value":30.3}]}]}]}`},
		"6": {Products{AccountID: "A", ContractID: "K", Start: july, End: july + 1, RequestDate: Instant(now.Add(time.Nanosecond)),
			UsagePeriods: []ProductsPeriod{{july, []UsageProduct{{"P", "N"}}}}},
			`{"accountId":"A","contractId":"K","start":"2020-07","end":"2020-08","requestDate":"2020-10-15T00:00:00Z",` +
				`"usagePeriods":[{"month":"2020-07","usageProducts":[{"productId":"P","productName":"N"}]}]}`},
	} {
		if got := encode(t, c.answer); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "22": "22", "30.3": "30.3", "1.50": "1.5", "0.1234565": "0.123456", "0.1234575": "0.123458", "0.12345651": "0.123457",
		"0.0000005": "0", "0.00000051": "0.000001", "-0.0000004": "0", "-1.5": "-1.5", "99999999999999999999999999": "99999999999999999999999999",
		"1e20": "100000000000000000000", "46000": "46000",
	} {
		if got := encode(t, number(t, in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for m, want := range map[string]string{"2020-02": "2020-02-29", "2021-02": "2021-02-28", "2020-12": "2020-12-31", "2020-04": "2020-04-30"} {
		first, last := Days(month(t, m).Period())
		if got := encode(t, []Date{first, last}); got != `["`+m+`-01","`+want+`"]` {
			t.Errorf("%s: %s", m, got)
		}
	}
}

func TestCPCodeName(t *testing.T) {
	t.Parallel()
	for in, want := range map[[2]string][2]string{{"Total MB", "GB"}: {"GB", "GB"}, {"Total Hits", "Total Hits"}: {"Hits", "Hits"}, {"Tokens", "token"}: {"Tokens", "token"}} {
		if name, unit := CPCodeName(in[0], in[1]); [2]string{name, unit} != want {
			t.Errorf("%v: %s %s", in, name, unit)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	if got, want := encode(t, NewProblem(404, "no contract", "r1")), `{"type":"urn:odometer:problem:akamai/billing/not-found","title":"Not Found",`+
		`"status":404,"detail":"no contract","instance":"r1"}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for status := 400; status < 600; status++ {
		p := NewProblem(status, "d", "r")
		if _, known := slugs[status]; p.Status != status && known || !known && p.Status != 500 || p.Title == "" {
			t.Errorf("%d: %+v", status, p)
		}
	}
	p := NewProblem(400, "d", "r")
	p.Errors = []ProblemFor{{"start", "is missing"}}
	if got, want := encode(t, p), `{"type":"urn:odometer:problem:akamai/billing/bad-request","title":"Bad Request","status":400,"detail":"d","instance":"r",`+
		`"errors":[{"title":"start","detail":"is missing"}]}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	g := Deny("The signature does not match")
	g.Instance, g.Method, g.ServerIP, g.ClientIP, g.RequestID, g.RequestTime = "https://h/x", "GET", "192.0.2.1", "192.0.2.2", "4ec255bc", Instant(now)
	if got, want := encode(t, g), `{"type":"urn:odometer:problem:akamai/pep-authn/deny","title":"Not authorized","status":401,`+
		`"detail":"The signature does not match","instance":"https://h/x","method":"GET","serverIp":"192.0.2.1","clientIp":"192.0.2.2",`+
		`"requestId":"4ec255bc","requestTime":"2020-10-15T00:00:00Z"}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if r := RequestError("Invalid timestamp"); r.Status != 400 || r.Title != "Bad request" || r.Type != "urn:odometer:problem:akamai/pep-authn/request-error" {
		t.Errorf("%+v", r)
	}
}
