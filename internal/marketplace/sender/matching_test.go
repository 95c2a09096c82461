package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// fakeCloud answers the batches of AWS or Azure; of the records or events that
// it is sent it decides with answer, or refuses the call whole.
type fakeCloud struct {
	whole  func(items []map[string]any) (status int, body string) // status 0 = not refused
	answer func(item map[string]any) map[string]any               // nil = not named
	calls  int
}

func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls++
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	var in struct {
		UsageRecords, Request []map[string]any
	}
	if err := json.Unmarshal(text, &in); err != nil {
		panic(err)
	}
	items := slices.Concat(in.UsageRecords, in.Request)
	w.Header().Set("Content-Type", "application/json")
	if f.whole != nil {
		if status, body := f.whole(items); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	results := []map[string]any{}
	for _, item := range items {
		told := item
		if f.answer != nil {
			told = f.answer(maps.Clone(item))
		}
		switch {
		case told == nil:
		case in.UsageRecords != nil:
			results = append(results, map[string]any{"MeteringRecordId": "m", "Status": "Success", "UsageRecord": told})
		default:
			told["status"], told["usageEventId"] = "Accepted", "u"
			results = append(results, told)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Results": results, "result": results, "count": len(results)})
}

func (f *fakeCloud) sender(t *testing.T, cloud string) Sender {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return senderTo(t, cloud, server.URL)
}

// linesOf are lines of an hour, with names as accounts.
func linesOf(cloud string, names ...string) []Line {
	lines := make([]Line, len(names))
	for i, name := range names {
		lines[i] = (&rig{cloud: cloud}).line(name, fmt.Sprint(i+1))
	}
	return lines
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("c%02d", i)
	}
	return out
}

// holds says whether a call names an account.
func holds(items []map[string]any, account string) bool {
	return slices.ContainsFunc(items, func(item map[string]any) bool {
		return item["CustomerIdentifier"] == account || item["resourceId"] == account || item["LicenseArn"] == account
	})
}

// TestOneLineIsNotTheAccount: whatever status a marketplace answers to a call for
// the sake of one of its lines, the others settle.
func TestOneLineIsNotTheAccount(t *testing.T) {
	t.Parallel()
	vendors := map[string][]string{
		simulator.AWS: {`{"__type":"AccessDeniedException","message":"no"}`, `{"__type":"InvalidProductCodeException","message":"no"}`, `{"__type":"DisabledApiException","message":"no"}`,
			`{"__type":"InvalidLicenseException","message":"no"}`, `{"__type":"InternalServiceErrorException","message":"no"}`, `{"__type":"SomethingNewException","message":"no"}`},
		simulator.Azure: {`{"code":"Forbidden","message":"no"}`, `{"error":{"code":"BadArgument","message":"no"}}`},
	}
	for cloud, bodies := range vendors {
		for _, body := range append(bodies, "", "<html>no</html>") {
			for _, status := range []int{400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 451, 500, 501, 502, 503, 504} {
				for _, guilty := range [][]string{{"c00"}, {"c13"}, {"c24"}, {"c03", "c04", "c21"}} {
					f := &fakeCloud{whole: func(items []map[string]any) (int, string) {
						if slices.ContainsFunc(guilty, func(g string) bool { return holds(items, g) }) {
							return status, body
						}
						return 0, ""
					}}
					for i, got := range f.sender(t, cloud).Send(context.Background(), linesOf(cloud, names(MaxBatch)...)) {
						if bad := slices.Contains(guilty, fmt.Sprintf("c%02d", i)); bad == (got.Outcome == Settled) {
							t.Errorf("%s %d %s, guilty %v: line %d: %+v", cloud, status, body, guilty, i, got)
						}
					}
				}
			}
		}
	}
}

// TestAccountsOwnFaults: credentials that are refused for every line, and a
// service that is down, leave every line unknown without a storm of calls.
func TestAccountsOwnFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cloud, body  string
		status, most int
		setup        bool
	}{
		{simulator.AWS, `{"__type":"UnrecognizedClientException"}`, 400, 1, true},
		{simulator.AWS, `{"__type":"ThrottlingException"}`, 400, 1, false},
		{simulator.AWS, `{"__type":"AccessDeniedException"}`, 400, 2*MaxBatch - 1, true},
		{simulator.AWS, `{"__type":"InternalServiceErrorException"}`, 500, 7, false},
		{simulator.Azure, `{"code":"Forbidden"}`, 403, 2 * MaxBatch, true}, // one more for the token
		{simulator.Azure, `{"code":"Unauthorized"}`, 401, 2 * MaxBatch, true},
		{simulator.Azure, `{"code":"InternalError"}`, 500, 7, false},
		{simulator.Azure, `{"code":"TooManyRequests"}`, 429, 1, false},
	} {
		f := &fakeCloud{whole: func([]map[string]any) (int, string) { return c.status, c.body }}
		for i, got := range f.sender(t, c.cloud).Send(context.Background(), linesOf(c.cloud, names(MaxBatch)...)) {
			if got.Outcome != Unknown || got.Setup != c.setup {
				t.Errorf("%+v: line %d: %+v", c, i, got)
			}
		}
		if f.calls > c.most {
			t.Errorf("%+v: %d calls", c, f.calls)
		}
	}
}

// TestAnswersAreMatched: an answer is of the line that it fits, however the
// marketplace writes it, and of none where it fits several.
func TestAnswersAreMatched(t *testing.T) {
	t.Parallel()
	const licence = "arn:aws:license-manager::294406891311:license/l-"
	licensed := linesOf(simulator.AWS, "a", "b")
	for i := range licensed {
		licensed[i].AWS = &AWSAccount{AccountID: "01234567890" + fmt.Sprint(i), LicenseARN: licence + fmt.Sprint(i), Region: "us-east-1"}
	}
	agreements := slices.Clone(licensed) // of one buyer
	agreements[1].AWS = &AWSAccount{AccountID: agreements[0].AWS.AccountID, LicenseARN: licence + "1", Region: "us-east-1"}
	set := func(pairs ...any) func(map[string]any) map[string]any {
		return func(item map[string]any) map[string]any {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i+1] == nil {
					delete(item, pairs[i].(string))
				} else {
					item[pairs[i].(string)] = pairs[i+1]
				}
			}
			return item
		}
	}
	seconds := float64(start.Unix())
	for name, c := range map[string]struct {
		lines  []Line
		change func(map[string]any) map[string]any
		want   Outcome
	}{
		"aws as sent":             {linesOf(simulator.AWS, "a", "b"), set(), Settled},
		"aws with an account":     {linesOf(simulator.AWS, "a", "b"), set("CustomerAWSAccountId", "123456789012", "LicenseArn", licence+"9"), Settled},
		"aws without a licence":   {licensed, set("LicenseArn", nil), Settled},
		"aws without the account": {licensed, set("CustomerAWSAccountId", nil), Settled},
		"aws with an identifier":  {licensed, set("CustomerIdentifier", "cust"), Settled},
		"aws account as a number": {licensed, func(m map[string]any) map[string]any {
			m["CustomerAWSAccountId"] = strings.TrimLeft(m["CustomerAWSAccountId"].(string), "0")
			return m
		}, Settled},
		"aws account in groups": {licensed, func(m map[string]any) map[string]any {
			a := m["CustomerAWSAccountId"].(string)
			m["CustomerAWSAccountId"] = a[:4] + "-" + a[4:8] + "-" + a[8:]
			return m
		}, Settled},
		"aws within the hour":        {linesOf(simulator.AWS, "a", "b"), set("Timestamp", seconds+1799.5), Settled},
		"aws two agreements":         {agreements, set("LicenseArn", nil), Settled}, // sent alone, each is told apart
		"aws nobody named":           {linesOf(simulator.AWS, "a"), set("CustomerIdentifier", nil), Settled},
		"aws another buyer":          {linesOf(simulator.AWS, "a"), set("CustomerIdentifier", "x"), Unknown},
		"aws another hour":           {linesOf(simulator.AWS, "a"), set("Timestamp", seconds+3600), Unknown},
		"aws no time":                {linesOf(simulator.AWS, "a"), set("Timestamp", nil), Unknown},
		"aws another dimension":      {linesOf(simulator.AWS, "a"), set("Dimension", "x"), Unknown},
		"aws another quantity":       {linesOf(simulator.AWS, "a"), set("Quantity", 7), Unknown},
		"azure as sent":              {linesOf(simulator.Azure, "a", "b"), set(), Settled},
		"azure without a zone":       {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T10:00:00"), Settled},
		"azure with +00:00":          {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T10:00:00+00:00"), Settled},
		"azure with +0000":           {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T10:00:00+0000"), Settled},
		"azure in another zone":      {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T12:30:00.1234567+02:00"), Settled},
		"azure without seconds":      {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T10:00Z"), Settled},
		"azure without all that":     {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29T10:00"), Settled},
		"azure with fractions":       {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29t10:00:00.0000000z"), Settled},
		"azure with a space":         {linesOf(simulator.Azure, "a", "b"), set("effectiveStartTime", "2026-11-29 10:00:00"), Settled},
		"azure upper case":           {linesOf(simulator.Azure, "a"), set("resourceId", "A"), Settled},
		"azure no resource":          {linesOf(simulator.Azure, "a"), set("resourceId", nil), Settled},
		"azure resources left out":   {linesOf(simulator.Azure, "a", "b"), set("resourceId", nil), Settled},
		"azure another hour":         {linesOf(simulator.Azure, "a"), set("effectiveStartTime", "2026-11-29T10:00:00+01:00"), Unknown},
		"azure no time":              {linesOf(simulator.Azure, "a"), set("effectiveStartTime", ""), Unknown},
		"azure another resource":     {linesOf(simulator.Azure, "a"), set("resourceId", "x"), Unknown},
		"azure not named":            {linesOf(simulator.Azure, "a"), func(map[string]any) map[string]any { return nil }, Unknown},
		"azure an entry of no event": {linesOf(simulator.Azure, "a"), set("dimension", 5), Unknown},
	} {
		cloud := simulator.AWS
		if c.lines[0].Azure != nil {
			cloud = simulator.Azure
		}
		for i, got := range (&fakeCloud{answer: c.change}).sender(t, cloud).Send(context.Background(), c.lines) {
			if got.Outcome != c.want || got.Outcome == Settled && got.Accepted.Cmp(c.lines[i].Quantity) != 0 || got.Outcome == Unknown && got.NotStored {
				t.Errorf("%s, line %d: %+v", name, i, got)
			}
		}
	}
}

// TestGoogleNamesTheOperation: an error of a report is of the one operation that
// was sent, whether it names it or not, and never of nothing.
func TestGoogleNamesTheOperation(t *testing.T) {
	t.Parallel()
	for errors, want := range map[string]Outcome{
		`[]`: Settled,
		`[{"operationId":"op-c","status":{"code":3,"message":"no"}}]`:                                    Refused,
		`[{"operationId":"OP-C","status":{"code":3}}]`:                                                   Refused,
		`[{"operationId":"{op-c}","status":{"code":3}}]`:                                                 Refused,
		`[{"status":{"code":3,"message":"no"}}]`:                                                         Refused,
		`[{"operationId":"other","status":{"code":3}}]`:                                                  Unknown,
		`[{"operationId":"op-c"}]`:                                                                       Unknown,
		`[{"operationId":"op-c","status":{}}]`:                                                           Unknown,
		`[{"operationId":"op-c","status":{"code":14}}]`:                                                  Unknown,
		`[{"operationId":"op-c","status":{"code":14}},{"operationId":"op-c","status":{"code":3}}]`:       Unknown,
		`[{"operationId":"op-c","status":{"code":3}},{"operationId":"op-c","status":{"code":14}}]`:       Unknown,
		`[{"operationId":"op-c","status":{"code":2,"message":"something went wrong at the other end"}}]`: Unknown,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, ":report") {
				_, _ = io.WriteString(w, `{"reportErrors":`+errors+`}`)
				return
			}
			_, _ = io.WriteString(w, "{}")
		}))
		got := senderTo(t, simulator.GCP, server.URL).Send(context.Background(), linesOf(simulator.GCP, "c"))[0]
		server.Close()
		if got.Outcome != want || got.Outcome == Unknown && got.NotStored {
			t.Errorf("%s: %+v", errors, got)
		}
	}
}

// TestReadBackTimes: days that the service writes in another way are the same days.
func TestReadBackTimes(t *testing.T) {
	t.Parallel()
	for _, date := range []string{"2026-11-29T00:00:00Z", "2026-11-29T00:00:00", "2026-11-29", "2026-11-29T00:00:00.0000000+00:00", "2026-11-29 00:00"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"usageDate":"`+date+`","usageResourceId":"A","dimension":"gb","reconStatus":"Accepted","submittedQuantity":1}]`)
		}))
		l := linesOf(simulator.Azure, "a")[0]
		l.Undecided = meter.NewDecimal(1)
		if got := senderTo(t, simulator.Azure, server.URL).Reconcile(context.Background(), []Line{l})[0]; got.Outcome != Settled {
			t.Errorf("%s: %+v", date, got)
		}
		server.Close()
	}
	if _, ok := azureTime("yesterday"); ok {
		t.Error("yesterday is a time")
	}
	if at, ok := azureTime("2026-11-29T10:00:00+05:30"); !ok || !at.Equal(time.Date(2026, 11, 29, 4, 30, 0, 0, time.UTC)) {
		t.Errorf("%v", at)
	}
}

// TestNobodyIsBilled: a line that names no buyer is not sent.
func TestNobodyIsBilled(t *testing.T) {
	t.Parallel()
	f := &fakeCloud{}
	l := linesOf(simulator.AWS, "a", "b")
	l[0].AWS = &AWSAccount{ProductCode: "p1", Region: "us-east-1"}
	l[1].AWS = &AWSAccount{LicenseARN: "arn:aws:license-manager::294406891311:license/l-1", Region: "us-east-1"}
	for _, got := range f.sender(t, simulator.AWS).Send(context.Background(), l) {
		if got.Outcome != Refused || !got.Permanent || got.Reason == "" {
			t.Errorf("%+v", got)
		}
	}
	if f.calls != 0 {
		t.Errorf("%d calls", f.calls)
	}
}
