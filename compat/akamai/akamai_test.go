package akamai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"odometer/compat/harness"
)

// TestClients runs every client against one server over TLS, which is all that
// the one for Node speaks. One that cannot be installed fails the test unless
// ODOMETER_ALLOW_MISSING (a list with commas) has pypi, npm or goproxy.
func TestClients(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, harness.NewTLS(t))
	for name, install := range clients(s.ca) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, ok := install(t)
			if !ok {
				return
			}
			answers(t, s, c)
			refusals(t, s, c)
			signatures(t, s, c)
			daily(t, s, c)
			head(t, s, c)
		})
	}
}

func clients(ca string) map[string]func(t *testing.T) (harness.Client, bool) {
	return map[string]func(t *testing.T) (harness.Client, bool){
		"python": func(t *testing.T) (harness.Client, bool) {
			return harness.Python(t, "akamai", "python.txt", "client.py")
		},
		"go": func(t *testing.T) (harness.Client, bool) { return harness.Go(t, "go") },
		"node": func(t *testing.T) (harness.Client, bool) {
			c, ok := harness.Node(t, "js")
			return c.With("NODE_EXTRA_CA_CERTS=" + ca), ok
		},
	}
}

const (
	site    = "/billing/v1/contracts/K-0N7RAK7/products/Site_Accel::Site_Accel/usage/"
	group   = "/billing/v1/reporting-groups/"
	product = "/products/Site_Accel::Site_Accel/usage/"
)

// months are the parameters of operations 1, 2, 3 and 6.
func months(start, end string) map[string]string {
	return map[string]string{"start": start, "end": end}
}

// of is the beginning of an answer, of the shop's contract unless another one is given.
func of(contract, more string) string {
	return `{"accountId":"A-CCT7890","contractId":"` + contract + `",` + more
}

const (
	siteNames = `"productId":"Site_Accel::Site_Accel","productName":"Site Delivery"`
	inLast    = `"start":"LAST","end":"THIS"`
	firstHalf = `{"month":"LAST","start":"LAST-01","end":"LAST-15","region":"GLOBAL","dataStatus":"COLLECTING_DATA"`
	restOf    = `{"month":"LAST","start":"LAST-16","end":"LAST-END","dataStatus":"COLLECTING_DATA","region":`
)

// stats are the four statistics of the site.
func stats(gb, p95, hits, peak string) string {
	return `"stats":[{"statType":"Total MB","unit":"GB","isBillable":true,"value":` + gb + `},` +
		`{"statType":"95/5 Mbps","unit":"95/5 Mbps","isBillable":false,"value":` + p95 + `},` +
		`{"statType":"Total Hits","unit":"Total Hits","isBillable":false,"value":` + hits + `},` +
		`{"statType":"Peak Mbps","unit":"Peak Mbps","isBillable":false,"value":` + peak + `}]}`
}

// last is what the contract used in LAST: a twentieth of the samples of its
// first half were above 1 Mbps, or just not.
var last = firstHalf + "," + stats("11.325123", "1", "302", "3.003292") + "," +
	restOf + `"UNKNOWN",` + stats("30.3", "0", "1", "808") + "," + restOf + `"eu",` + stats("0.5", "0", "1", "13.333333")

// question is one call and the answer to it; "" = 204.
type question struct {
	call call
	want string
}

// monthly are the questions about LAST of operations 1, 2, 3 and 6, as shop.
func monthly() map[string]question {
	summary, byCode := site+"monthly-summary", site+"by-cp-code/monthly-summary"
	inMonths := func(path string) call { return call{As: "shop", Path: path, Query: months("LAST", "THIS")} }
	codes := func(code, gb, hits string) string {
		return `"cpCodeStats":[{"cpCode":` + code + `,"stats":[{"statType":"GB","unit":"GB","isBillable":true,"value":` + gb +
			`},{"statType":"Hits","unit":"Hits","isBillable":false,"value":` + hits + `}]}]}`
	}
	oddStats := `"usagePeriods":[{"month":"LAST","start":"LAST-01","end":"LAST-END","region":"GLOBAL","dataStatus":"COLLECTING_DATA","stats":[{"statType":"Total Hits","unit":"Total Hits","isBillable":true,"value":1}]}]}`
	whole := of("K-0N7RAK7", siteNames+","+inLast+`,"usagePeriods":[`+last+"]}")
	return map[string]question{
		"1":                   {inMonths(summary), whole},
		"1 encoded":           {inMonths(strings.ReplaceAll(summary, ":", "%3A")), whole},
		"1 by hand":           {call{As: "shop", Path: summary + "?end=THIS&start=LAST"}, whole},
		"1 unknown parameter": {call{As: "shop", Path: summary, Query: map[string]string{"start": "LAST", "end": "THIS", "sort": "a b&c", "month": "x"}}, whole},
		"1 as of all":         {call{As: "all", Path: summary, Query: months("LAST", "THIS")}, whole},
		"1 as admin":          {call{As: "admin", Path: summary, Query: months("LAST", "THIS")}, whole},
		"1 until far future":  {call{As: "shop", Path: summary, Query: months("LAST", "THIS")}, whole},
		"1 mid-month contract": {inMonths("/billing/v1/contracts/K-NEW" + product + "monthly-summary"),
			of("K-NEW", siteNames+","+inLast+`,"usagePeriods":[{"month":"LAST","start":"LAST-10","end":"LAST-END","region":"GLOBAL","dataStatus":"COLLECTING_DATA",`+stats("2", "0", "2", "53.333333")+"]}")},
		"1 odd ids": {inMonths("/billing/v1/contracts/K%2F%C3%B8%201%3A2/products/Bl%C3%A5%2FS%C3%B8k%201%2B1%3Bx/usage/monthly-summary"),
			of("K/ø 1:2", `"productId":"Blå/Søk 1+1;x","productName":"Søk & <co>",`+inLast+","+oddStats)},
		"1 nothing":        {inMonths("/billing/v1/contracts/K-0N7RAK7/products/1-ABC012/usage/monthly-summary"), ""},
		"1 nothing then":   {call{As: "shop", Path: summary, Query: months("BEFORE", "LAST")}, ""},
		"1 future":         {call{As: "shop", Path: summary, Query: months("NEXT", "9999-12")}, ""},
		"2":                {inMonths(group + "123" + product + "monthly-summary"), of("K-0N7RAK7", `"reportingGroupId":123,"reportingGroupName":"Retail & ø",`+siteNames+","+inLast+`,"usagePeriods":[`+groupLast+"]}")},
		"2 two contracts":  {inMonths(group + "125" + product + "monthly-summary"), of("K-0N7RAK7", `"reportingGroupId":125,"reportingGroupName":"Both",`+siteNames+","+inLast+`,"usagePeriods":[{"month":"LAST","start":"LAST-01","end":"LAST-END","region":"GLOBAL","dataStatus":"COLLECTING_DATA","cpCodes":[42,51],`+stats("2.5", "0", "3", "53.333333")+"]}")},
		"2 nothing":        {inMonths(group + "127" + product + "monthly-summary"), ""},
		"3":                {inMonths(byCode), of("K-0N7RAK7", siteNames+","+inLast+`,"usagePeriods":[`+firstHalf+","+codes("7654321", "11.325123", "302")+","+restOf+`"eu",`+codes("42", "0.5", "1")+"]}")},
		"3 nothing":        {call{As: "shop", Path: byCode, Query: months("BEFORE", "LAST")}, ""},
		"6":                {inMonths("/billing/v1/contracts/K-0N7RAK7/products"), of("K-0N7RAK7", inLast+`,"usagePeriods":[{"month":"LAST","usageProducts":[{"productId":"Site_Accel::Site_Accel","productName":"Site Delivery"}]}]}`)},
		"6 odd ids":        {inMonths("/billing/v1/contracts/K%2F%C3%B8%201%3A2/products"), of("K/ø 1:2", inLast+`,"usagePeriods":[{"month":"LAST","usageProducts":[{"productId":"Blå/Søk 1+1;x","productName":"Søk & <co>"}]}]}`)},
		"6 nothing":        {call{As: "shop", Path: "/billing/v1/contracts/K-0N7RAK7/products", Query: months("BEFORE", "LAST")}, ""},
		"4 nothing":        {call{As: "shop", Path: site + "daily", Query: map[string]string{"month": "BEFORE"}}, ""},
		"4 future":         {call{As: "shop", Path: site + "daily", Query: map[string]string{"month": "NEXT"}}, ""},
		"5 nothing":        {call{As: "shop", Path: group + "127" + product + "daily", Query: map[string]string{"month": "LAST"}}, ""},
		"1 start and end":  {call{As: "shop", Path: summary, Query: months("BEFORE", "THIS")}, strings.Replace(whole, `"start":"LAST"`, `"start":"BEFORE"`, 1)},
		"1 oldest month":   {call{As: "shop", Path: summary, Query: months("OLDEST", "THIS")}, strings.Replace(whole, `"start":"LAST"`, `"start":"OLDEST"`, 1)},
		"1 switch":         {call{As: "switch", Path: summary, Query: months("LAST", "THIS"), AccountKey: "A-CCT7890:1-2RBL"}, whole},
		"1 switch, raw":    {call{As: "switch", Path: summary + "?start=LAST&end=THIS&accountSwitchKey=A-CCT7890:1-2RBL"}, whole},
		"1 switch, id":     {call{As: "switch", Path: summary, Query: months("LAST", "THIS"), AccountKey: "A-CCT7890"}, whole},
		"2 switch":         {call{As: "switch", Path: group + "127" + product + "monthly-summary", Query: months("LAST", "THIS"), AccountKey: "A-CCT7890:x"}, ""},
		"1 switch, empty":  {call{As: "blog", Path: "/billing/v1/contracts/K-2" + product + "monthly-summary?start=BEFORE&end=LAST&accountSwitchKey="}, ""},
		"1 all, no switch": {call{As: "switch", Path: "/billing/v1/contracts/K-2" + product + "monthly-summary", Query: months("BEFORE", "LAST")}, ""},
	}
}

// groupLast is what the reporting group 123 used in LAST: not what has no CP code.
var groupLast = firstHalf + `,"cpCodes":[42,7654321],` + stats("11.325123", "1", "302", "3.003292") + "," +
	restOf + `"eu","cpCodes":[42,7654321],` + stats("0.5", "0", "1", "13.333333")

// answers asks everything about whole months.
func answers(t *testing.T, s *server, c harness.Client) {
	t.Helper()
	var names []string
	var list []call
	questions := monthly()
	for name, q := range questions {
		names, list = append(names, name), append(list, q.call)
	}
	for i, r := range s.calls(t, c, list) {
		want := s.names.Replace(questions[names[i]].want)
		if want == "" {
			if r.Status != http.StatusNoContent {
				t.Errorf("%s: %+v, want 204", names[i], r)
			}
			continue
		}
		got, ok := decoded(t, r)
		if !ok || !reflect.DeepEqual(got, object(t, want)) {
			t.Errorf("%s: %d\n     %s\nwant %s", names[i], r.Status, r.Body, want)
		}
	}
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	return v
}

// decoded checks what every answer has, and returns it without its requestDate.
// What the Go client decodes has to be the whole of it.
func decoded(t *testing.T, r result) (v map[string]any, ok bool) {
	t.Helper()
	if r.Status != http.StatusOK {
		return nil, false
	}
	v = object(t, r.Body)
	if r.Decoded != nil && !reflect.DeepEqual(v, object(t, string(r.Decoded))) {
		t.Errorf("decoded: %s\nof %s", r.Decoded, r.Body)
	}
	date, err := time.Parse("2006-01-02T15:04:05Z", fmt.Sprint(v["requestDate"]))
	if err != nil || time.Since(date).Abs() > time.Hour {
		t.Errorf("requestDate %v: %v", v["requestDate"], err)
	}
	delete(v, "requestDate")
	return v, true
}

// daily asks operations 4 and 5 about LAST and THIS: from the start of each
// sub-period to the end of each day.
func daily(t *testing.T, s *server, c harness.Client) {
	t.Helper()
	in := func(month string) map[string]string { return map[string]string{"month": month} }
	results := s.calls(t, c, []call{
		{As: "shop", Path: site + "daily", Query: in("LAST")},
		{As: "shop", Path: group + "123" + product + "daily", Query: in("LAST")},
		{As: "shop", Path: site + "daily", Query: in("THIS")},
	})
	for i, want := range []string{
		"LAST-01 LAST-15 GLOBAL Total MB:10.875123..11.325123/15 95/5 Mbps:1..1/15 Total Hits:290..302/15 Peak Mbps:3.003292..3.003292/15; " +
			"LAST-16 LAST-END UNKNOWN Total MB:0..30.3 95/5 Mbps:0..0 Total Hits:0..1 Peak Mbps:0..808; " +
			"LAST-16 LAST-END eu Total MB:0.5..0.5 95/5 Mbps:0..0 Total Hits:1..1 Peak Mbps:13.333333..13.333333; ",
		"LAST-01 LAST-15 GLOBAL Total MB:10.875123..11.325123/15 95/5 Mbps:1..1/15 Total Hits:290..302/15 Peak Mbps:3.003292..3.003292/15; " +
			"LAST-16 LAST-END eu Total MB:0.5..0.5 95/5 Mbps:0..0 Total Hits:1..1 Peak Mbps:13.333333..13.333333; ",
	} {
		v, ok := decoded(t, results[i])
		if got := outline(t, v); !ok || got != s.names.Replace(want) || v["dataStatus"] != "COLLECTING_DATA" || v["month"] != s.names.Replace("LAST") || v["start"] != nil {
			t.Errorf("%d %s\n     %s\nwant %s", results[i].Status, results[i].Body, got, want)
		}
		if codes := fmt.Sprint(v["reportingGroupId"], v["cpCodes"]); i == 1 && codes != "123 [42 7.654321e+06]" {
			t.Errorf("reporting group: %s", codes)
		}
	}
	v, ok := decoded(t, results[2])
	if got := outline(t, v); !ok || !strings.HasPrefix(got, s.names.Replace("THIS-01 THIS-")) || !strings.Contains(got, " na Total MB:1..1") {
		t.Errorf("THIS: %s", got)
	}
}

// outline says of each series of daily values its first, its last and, unless
// it has one a day until the month's end, how many there are.
func outline(t *testing.T, v map[string]any) string {
	t.Helper()
	var out strings.Builder
	list, _ := v["usagePeriods"].([]any)
	for _, p := range list {
		p := p.(map[string]any)
		fmt.Fprint(&out, p["start"], " ", p["end"], " ", p["region"])
		for _, st := range p["stats"].([]any) {
			st := st.(map[string]any)
			values := st["values"].([]any)
			first, end := values[0].(map[string]any), values[len(values)-1].(map[string]any)
			fmt.Fprintf(&out, " %v:%v..%v", st["statType"], first["value"], end["value"])
			if p["region"] == "GLOBAL" {
				fmt.Fprintf(&out, "/%d", len(values))
			}
			if first["date"] != p["start"] || st["isBillable"] != nil || p["dataStatus"] != nil {
				t.Errorf("%v", p)
			}
			monotone(t, st["statType"], p["start"], values)
		}
		out.WriteString("; ")
	}
	return out.String()
}

// monotone checks that there is a value for each day and none but of a
// percentile ever falls.
func monotone(t *testing.T, name, start any, values []any) {
	t.Helper()
	day, err := time.Parse(time.DateOnly, fmt.Sprint(start))
	harness.Check(t, err)
	before := 0.0
	for _, v := range values {
		v := v.(map[string]any)
		if v["date"] != day.Format(time.DateOnly) || v["value"].(float64) < before && name != "95/5 Mbps" {
			t.Errorf("%v of %s: %v after %v", name, day, v, before)
		}
		day, before = day.AddDate(0, 0, 1), v["value"].(float64)
	}
}

// refusals asks what is not answered.
func refusals(t *testing.T, s *server, c harness.Client) {
	t.Helper()
	summary := site + "monthly-summary"
	ask := func(as, path, start, end, accountKey string) call {
		return call{As: as, Path: path, Query: months(start, end), AccountKey: accountKey}
	}
	contract := func(id string) string { return "/billing/v1/contracts/" + id + product + "monthly-summary" }
	var list []call
	var wants []string
	add := func(want string, calls ...call) {
		for _, c := range calls {
			list, wants = append(list, c), append(wants, want)
		}
	}
	add("400 start is missing", call{As: "shop", Path: summary}, call{As: "shop", Path: summary, Query: map[string]string{"end": "THIS"}})
	add("400 end is missing", call{As: "shop", Path: summary, Query: map[string]string{"start": "LAST"}})
	add("400 not before end", ask("shop", summary, "LAST", "LAST", ""), ask("shop", summary, "THIS", "LAST", ""),
		ask("shop", "/billing/v1/contracts/K-0N7RAK7/products", "LAST", "LAST", ""))
	for _, bad := range []string{"2026-00", "2026-13", "2026-1", "202601", "2026-01-01", "x", "２０26-01", "2026-01 "} {
		add("400 is not a month", ask("shop", summary, bad, "THIS", ""), ask("shop", summary, "LAST", bad, ""),
			call{As: "shop", Path: site + "daily", Query: map[string]string{"month": bad}})
	}
	add("400 month is missing", call{As: "shop", Path: site + "daily", Query: months("LAST", "THIS")}, call{As: "shop", Path: group + "123" + product + "daily"})
	add("400 months ago", ask("shop", summary, "OLDER", "THIS", ""), ask("shop", group+"123"+product+"monthly-summary", "OLDER", "THIS", ""),
		call{As: "shop", Path: site + "daily", Query: map[string]string{"month": "OLDER"}})
	add("400 before the contract's start", ask("shop", contract("K-NEW"), "BEFORE", "THIS", ""))
	add("400 given twice", call{As: "shop", Path: summary + "?start=LAST&start=BEFORE&end=THIS"})
	add("404 there is no such", ask("shop", contract("K-9"), "LAST", "THIS", ""), ask("shop", contract("K-2"), "LAST", "THIS", ""),
		ask("shop", contract("ctr_K-0N7RAK7"), "LAST", "THIS", ""), ask("shop", contract("K%2F..%2FK-0N7RAK7"), "LAST", "THIS", ""),
		ask("shop", strings.Replace(summary, "Site_Accel::Site_Accel", "M-LC-169586", 1), "LAST", "THIS", ""),
		ask("shop", strings.Replace(summary, "Site_Accel::Site_Accel", "none", 1), "LAST", "THIS", ""),
		ask("shop", group+"124"+product+"monthly-summary", "LAST", "THIS", ""), ask("shop", group+"999"+product+"monthly-summary", "LAST", "THIS", ""),
		ask("shop", group+"128"+product+"monthly-summary", "LAST", "THIS", ""),
		ask("shop", group+"0123"+product+"monthly-summary", "LAST", "THIS", ""), ask("shop", group+"x"+product+"monthly-summary", "LAST", "THIS", ""),
		call{As: "blog", Path: site + "daily", Query: map[string]string{"month": "LAST"}},
		ask("blog", "/billing/v1/contracts/K-0N7RAK7/products", "LAST", "THIS", ""),
		ask("blog", site+"by-cp-code/monthly-summary", "LAST", "THIS", ""),
		ask("switch", summary, "LAST", "THIS", ""), ask("switch", summary, "LAST", "THIS", "A-9:x"), ask("switch", contract("K-2"), "LAST", "THIS", "A-CCT7890:x"))
	add("403 may not use accountSwitchKey", ask("shop", summary, "LAST", "THIS", "A-CCT7890:x"), ask("all", summary, "LAST", "THIS", "A-CCT7890:x"))
	add("404", ask("shop", summary+"/", "LAST", "THIS", ""), ask("shop", "/billing/v1/contracts/K-0N7RAK7", "LAST", "THIS", ""))
	for i, r := range s.calls(t, c, list) {
		status, detail, _ := strings.Cut(wants[i], " ")
		p := object(t, r.Body)
		if fmt.Sprint(r.Status) != status || !strings.Contains(fmt.Sprint(p["detail"]), detail) || fmt.Sprint(p["status"]) != status ||
			!strings.Contains(fmt.Sprint(p["type"]), "akamai/billing/") && detail != "" || p["title"] == nil || p["instance"] == nil {
			t.Errorf("%+v: %d %s, want %s", list[i], r.Status, r.Body, wants[i])
		}
	}
}

// signatures sends requests that the gateway does not let in.
func signatures(t *testing.T, s *server, c harness.Client) {
	t.Helper()
	path := site + "monthly-summary?end=THIS&start=BEFORE"
	var list []call
	var wants []string
	add := func(want string, c call) {
		c.Path = path
		list, wants = append(list, c), append(wants, want)
	}
	const bad, deny = "400 request-error Bad request: ", "401 deny Not authorized: "
	header := func(from, to string) call {
		return call{Authorization: strings.Replace("EG1-HMAC-SHA256 client_token=a;access_token=b;timestamp=20200101T00:00:00+0000;nonce=n;signature=x", from, to, 1)}
	}
	add(bad+"Invalid authorization header", call{})
	for _, h := range []call{header("EG1-", "EG2-"), header("nonce=n;", ""), header(";", "; "), header("client_token", "token"), header("nonce=n", "nonce="+strings.Repeat("n", 1024)),
		{Authorization: "Bearer " + s.Admin}, {Authorization: "Basic YTpi"}, {Authorization: "EG1-HMAC-SHA256"}} {
		add(bad+"Invalid authorization header", h)
	}
	add(bad+"Invalid timestamp", header("", ""))
	add(bad+"Invalid timestamp", header("20200101T00:00:00+0000", "2020-01-01T00:00:00Z"))
	add(deny+"The signature does not match", call{As: "wrong secret"})
	add(deny+"The signature does not match", call{As: "another's access token"})
	add(deny+"Inactive client token", call{As: "nobody"})
	add(deny+"Nonce already used", call{As: "shop", Twice: true})
	if c.Name != "go" { // its clock cannot be set
		add(bad+"Invalid timestamp", call{As: "shop", Age: 40})
		add(bad+"Invalid timestamp", call{As: "shop", Age: -40})
	}
	for i, r := range s.calls(t, c, list) {
		p := object(t, r.Body)
		kind := fmt.Sprint(p["type"])
		got := fmt.Sprintf("%v %s %v: %v", p["status"], kind[strings.LastIndex(kind, "/")+1:], p["title"], p["detail"])
		status := r.Status
		if list[i].Twice {
			if r.Status != http.StatusOK {
				t.Errorf("the first of two: %+v", r)
			}
			status = r.Again
		}
		if got != wants[i] || !strings.HasPrefix(wants[i], fmt.Sprint(status)) || !strings.Contains(kind, "pep-authn/") {
			t.Errorf("%+v: %d %s, want %s", list[i], status, r.Body, wants[i])
		}
		if p["instance"] != s.URL+s.names.Replace(path) || p["method"] != "GET" || p["serverIp"] != "127.0.0.1" || p["clientIp"] != "127.0.0.1" ||
			p["requestId"] == nil || p["requestTime"] == nil || len(p) != 10 {
			t.Errorf("%+v: %s", list[i], r.Body)
		}
	}
}

// head asks with HEAD, which is signed as such, and with methods that there are not.
func head(t *testing.T, s *server, c harness.Client) {
	t.Helper()
	results := s.calls(t, c, []call{
		{As: "shop", Method: "HEAD", Path: site + "monthly-summary", Query: months("LAST", "THIS")},
		{As: "shop", Method: "HEAD", Path: site + "monthly-summary", Query: months("BEFORE", "LAST")},
		{As: "shop", Method: "HEAD", Path: site + "monthly-summary"},
	})
	for i, status := range []int{200, 204, 400} {
		if r := results[i]; r.Status != status || strings.Trim(r.Body, `"`) != "" {
			t.Errorf("HEAD %d: %+v", i, r)
		}
	}
}
