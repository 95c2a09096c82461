package native

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

func compressed(t testing.TB, encoding, text string) string {
	t.Helper()
	var buf bytes.Buffer
	switch encoding {
	case "gzip":
		z := gzip.NewWriter(&buf)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
	case "zstd":
		z, err := zstd.NewWriter(&buf)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = z.Write([]byte(text))
		_ = z.Close()
	}
	return buf.String()
}

func TestIngestForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	e := func(i int) string { return testEvent(fmt.Sprintf("e-%d", i)) }
	sent := 0
	for i, c := range []struct{ contentType, body string }{
		{"application/cloudevents+json", e(0)},
		{"application/cloudevents+json; charset=utf-8", e(1)},
		{"application/cloudevents-batch+json", "[" + e(2) + "]"},
		{"application/x-ndjson", e(3) + "\n"},
		{"application/json", e(4)},
		{"Application/JSON;charset=UTF-8", "[" + e(5) + "]"},
		{"application/json", " \n[" + e(6) + "]"},
	} {
		r := w.ingest(c.body, 1, 0, 0, 0, "Content-Type", c.contentType)
		if r.Errors == nil || r.Sequence == 0 {
			t.Errorf("form %d: %+v", i, r)
		}
		sent++
	}
	for _, encoding := range []string{"gzip", "zstd"} {
		w.ingest(compressed(t, encoding, testEvent(encoding)), 1, 0, 0, 0, "Content-Encoding", encoding)
		sent++
	}
	// Binary mode; the same event in structured mode is a duplicate of it.
	w.ingest(`{"service":"shop","bytes":100}`, 1, 0, 0, 0, "Ce-Specversion", "1.0", "Ce-Id", "b%20%C3%A5", "Ce-Source", "edge", "Ce-Type", "edge.request",
		"Ce-Subject", "acme", "Ce-Time", start.Add(-time.Minute).Format(time.RFC3339))
	w.ingest(testEvent("b å"), 0, 1, 0, 0)
	sent++
	if got := w.total("requests", today); got != fmt.Sprint(sent) {
		t.Errorf("total %s, want %d", got, sent)
	}
	w.ingest("[]", 0, 0, 0, 0)
}

func TestIngestVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	batch := "[" + strings.Join([]string{
		testEvent("a"), testEvent("b"), testEvent("a"), testEvent("b", "data", `{"bytes":1}`), testEvent("c", "time", `"then"`),
		testEvent("d", "data", `{"bytes":100.0,"service":"shop"}`), testEvent("d"),
	}, ",") + "]"
	r := w.ingest(batch, 3, 2, 1, 1)
	if len(r.Errors) != 2 || r.Errors[0].Index != 3 || r.Errors[0].ID != "b" || !strings.Contains(r.Errors[0].Reason, "bytes") ||
		!strings.HasPrefix(r.Errors[0].Reason, "conflict") || r.Errors[1].Index != 4 || r.Errors[1].ID != "c" || !strings.Contains(r.Errors[1].Reason, "time") {
		t.Errorf("errors: %+v", r.Errors)
	}
	// Sent again, as after a lost answer: nothing more is counted.
	w.ingest(batch, 0, 5, 1, 1)
	if got := w.total("bytes", today); got != "300" {
		t.Errorf("total %s", got)
	}
	exact := w.call("POST", "/api/v1/events", testEvent("x", "id", ""))
	shape := `,"accepted":0,"duplicates":0,"conflicts":0,"rejected":1,"errors":[{"index":0,"id":"","reason":`
	if !strings.Contains(exact.Body, shape) {
		t.Errorf("the answer %s does not hold %s", exact.Body, shape)
	}
}

// TestIngestTells: what is said of accepted events beside their verdict.
func TestIngestTells(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpserver.Options{}, ledger.Limits{WarningsPerAnswer: 2}, Options{})
	w.meters()
	w.want(w.call("POST", "/api/v1/meters", `{"key":"latency","event_type":"edge.request","aggregation":"SUM","value":"latency_ms","excess":"round"}`), 201, `"excess":"round"`)
	w.want(w.call("POST", "/api/v1/meters", `{"key":"floor","event_type":"edge.request","aggregation":"SUM","value":"n","excess":"floor"}`), 400, "excess")
	data := `{"service":"shop","bytes":0.30000000000000004,"latency_ms":0.30000000000000004}`
	body := "[" + testEvent("a", "data", data, "time", "", "tenantid", `"t1"`) + "," + testEvent("b") + "," + testEvent("c", "data", data) + "]"
	w.want(w.call("POST", "/api/v1/events", body), 200, `{"accepted":3,"duplicates":0,"conflicts":0,"rejected":0,"errors":[],"time_assigned":1,"warnings":[`+
		`{"index":0,"id":"a","meter":"bytes","reason":"attribute bytes is 0.30000000000000004, which has more than 12 digits after the point"},`+
		`{"index":2,"id":"c","meter":"bytes","reason":"attribute bytes is 0.30000000000000004, which has more than 12 digits after the point"}],"warnings_left_out":1,"sequence":`)
	// Verdicts are as without meters, and a resend is told nothing.
	w.want(w.call("POST", "/api/v1/events", body), 200, `{"accepted":0,"duplicates":3,"conflicts":0,"rejected":0,"errors":[],"sequence":`)
	if got := w.total("latency", today); got != "0.6" {
		t.Errorf("latency %s", got)
	}
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=a", ""), 200, `"time_assigned":true,"extensions":{"tenantid":"t1"},"data":{"bytes":0.30000000000000004,`)
	w.want(w.call("GET", "/api/v1/events?limit=1", ""), 200, `"time":"`+start.Format(time.RFC3339)+`","time_assigned":true,"extensions":{"tenantid":"t1"}`)
	// A request may ask for times.
	w.want(w.call("POST", "/api/v1/events?require_time=true", "["+testEvent("d", "time", "")+","+testEvent("e")+"]"), 200, `"accepted":1,"duplicates":0,"conflicts":0,"rejected":1`, "time is missing")
}

// A key that is bound to a customer is warned of its events, not told which meters there are.
func TestWarningsOfABoundKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	made := read[struct{ Key string }](w, w.want(w.call("POST", "/api/v1/keys", `{"role":"ingest","customer":"acme"}`), 201))
	a := w.want(w.call("POST", "/api/v1/events", testEvent("a", "data", `{"bytes":1e-13}`), "Authorization", "Bearer "+made.Key), 200,
		`"warnings":[{"index":0,"id":"a","reason":"attribute bytes is 0.0000000000001, which has more than 12 digits after the point"}]`)
	if strings.Contains(a.Body, `"meter"`) {
		t.Errorf("%s", a.Body)
	}
}

// TestBinaryMode holds the forms of the CloudEvents HTTP binding against one event.
func TestBinaryMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	n := 0
	// send returns the stored event; more replaces or adds headers.
	send := func(body string, more ...string) (answer, string) {
		n++
		id := fmt.Sprintf("b-%d", n)
		header := []string{"Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "edge", "Ce-Type", "edge.request", "Ce-Time", start.Format(time.RFC3339)}
		return w.call("POST", "/api/v1/events", body, append(header, more...)...), id
	}
	stored := func(body string, more ...string) string {
		t.Helper()
		a, id := send(body, more...)
		w.want(a, 200, `"accepted":1,`)
		return w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id="+id, ""), 200).Body
	}
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/vnd.x+json", "text/json", "Application/Vnd.X+JSON;charset=UTF-8", ""} {
		if got := stored(`{"bytes":7}`, "Content-Type", contentType); !strings.Contains(got, `"data":{"bytes":7}`) {
			t.Errorf("%q: %s", contentType, got)
		}
	}
	if got := stored("\ufeff{\"bytes\":7}"); !strings.Contains(got, `"data":{"bytes":7}`) {
		t.Errorf("with a byte order mark: %s", got)
	}
	for _, contentType := range []string{"", "application/json", "application/x+json"} {
		if got := stored("", "Content-Type", contentType); !strings.Contains(got, `"data":{},`) {
			t.Errorf("no body, %q: %s", contentType, got)
		}
	}
	for value, want := range map[string]string{
		"acme":             `"acme"`,
		`"acme inc"`:       `"acme inc"`,
		`"say \"hi\" \\"`:  `"say \"hi\" \\"`,
		`acme" "inc`:       `"acme inc"`,
		`""`:               `""`,
		"acme%20inc":       `"acme inc"`,
		`"acme%20inc"`:     `"acme inc"`,
		"Euro%20%E2%82%AC": `"Euro €"`,
		"%2520":            `"%20"`,
		"a+b":              `"a+b"`,
		"\u20ac":           `"€"`,
		"%22x%22":          `"\"x\""`,
	} {
		if got := stored(`{}`, "Ce-Subject", value, "Ce-Tenantid", value); !strings.Contains(got, `"subject":`+want+`,`) || !strings.Contains(got, `"extensions":{"tenantid":`+want+`}`) {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	for _, c := range []struct {
		header []string
		status int
		text   string
	}{
		{[]string{"Ce-Subject", "%C0%A0"}, 400, "UTF-8"},
		{[]string{"Ce-Subject", "%ED%A0%80"}, 400, "UTF-8"},
		{[]string{"Ce-Subject", "\xff"}, 400, "UTF-8"},
		{[]string{"Ce-Subject", `"acme`}, 400, "double quote"},
		{[]string{"Ce-Subject", `"acme\`}, 400, "double quote"},
		{[]string{"Ce-Subject", "100%"}, 400, "percent"},
		{[]string{"Ce-Data_base64", "e30="}, 400, "is the body"},
		{[]string{"Content-Type", "text/plain"}, 415, "text/plain"},
		{[]string{"Content-Type", "application/json; charset=latin1"}, 415, "latin1"},
		{[]string{"Content-Type", "application/xml"}, 415, "application/xml"},
	} {
		a, _ := send(`{}`, c.header...)
		w.want(a, c.status, c.text)
	}
	// A whole event is what its type says, whatever else is in the headers.
	a, _ := send(testEvent("whole"), "Content-Type", "application/cloudevents+json")
	w.want(a, 200, `"accepted":1,`)
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=whole", ""), 200, `"id":"whole"`)
}

func TestIngestAtomic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	post := func(body string, accepted, duplicates, rejected int) {
		t.Helper()
		status := 200
		if accepted+duplicates == 0 {
			status = 400
		}
		r := read[result](w, w.want(w.call("POST", "/api/v1/events?atomic=true", body), status))
		if r.Accepted != accepted || r.Duplicates != duplicates || r.Conflicts != 0 || r.Rejected != rejected {
			t.Errorf("%+v", r)
		}
	}
	post("["+testEvent("a")+","+testEvent("b", "time", `"then"`)+"]", 0, 0, 2)
	post("["+testEvent("a")+","+testEvent("b")+"]", 2, 0, 0) // no id was remembered
	post("["+testEvent("a", "data", `{}`)+","+testEvent("c")+"]", 0, 0, 2)
	post("["+testEvent("a")+","+testEvent("c")+"]", 1, 1, 0)
	if got := w.total("requests", today); got != "3" {
		t.Errorf("total %s", got)
	}
	w.want(w.call("POST", "/api/v1/events?atomic=yes", testEvent("a")), 400, "atomic")
}

// TestRefusedEvents: senders of events look at the status alone, so a request
// of which nothing counts is a 400 with the same members, in every form and
// mode; with strict, or a strict key, any refusal is.
func TestRefusedEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	w.ingest(testEvent("a"), 1, 0, 0, 0)
	strictKey := as(read[struct{ Key string }](w, w.want(w.call("POST", "/api/v1/keys", `{"role":"ingest","strict":true}`), 201, `"strict":true`)).Key)
	lax := as(w.key("ingest", ""))
	a, b, bad, other := testEvent("a"), testEvent("b"), testEvent("bad", "time", `"yesterday"`), testEvent("a", "data", `{"bytes":5}`)
	binary := []string{"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "a", "Ce-Source", "edge", "Ce-Type", "edge.request", "Ce-Subject", "acme"}
	const single, batch, lines, either = "application/cloudevents+json", "application/cloudevents-batch+json", "application/x-ndjson", "application/json"
	for _, c := range []struct {
		name, query, contentType, body            string
		status                                    int // for a key that is not strict
		accepted, duplicates, conflicts, rejected int
	}{
		{"one that is rejected", "", single, bad, 400, 0, 0, 0, 1},
		{"one in conflict", "", single, other, 400, 0, 0, 1, 0},
		{"one that counts", "", single, a, 200, 0, 1, 0, 0},
		{"all rejected", "", batch, "[" + bad + "," + bad + "]", 400, 0, 0, 0, 2},
		{"all in conflict or rejected", "", batch, "[" + other + "," + bad + "]", 400, 0, 0, 1, 1},
		{"lines", "", lines, bad + "\nnonsense\n", 400, 0, 0, 0, 2},
		{"either form", "", either, bad, 400, 0, 0, 0, 1},
		{"atomic", "?atomic=true", batch, "[" + a + "," + bad + "]", 400, 0, 0, 0, 2},
		{"atomic, in conflict", "?atomic=true", single, other, 400, 0, 0, 0, 1},
		{"a duplicate beside it", "", batch, "[" + a + "," + bad + "]", 200, 0, 1, 0, 1},
		{"nothing sent", "", batch, "[]", 200, 0, 0, 0, 0},
		{"binary", "", "", `{"bytes":5}`, 400, 0, 0, 0, 0},
		{"strict=false", "?strict=false", batch, "[" + a + "," + bad + "]", 200, 0, 1, 0, 1},
		{"strict", "?strict=true", batch, "[" + b + "," + bad + "]", 400, 1, 0, 0, 1},
		{"strict, sent again", "?strict=true", batch, "[" + b + "," + bad + "]", 400, 0, 1, 0, 1},
		{"strict, all good", "?strict=true", batch, "[" + b + "," + a + "]", 200, 0, 2, 0, 0},
	} {
		for _, key := range [][]string{lax, strictKey} {
			header := append([]string{"Content-Type", c.contentType}, key...)
			if c.contentType == "" {
				header = append(append(slices.Clone(binary), "Ce-Time", "never"), key...)
			}
			if c.accepted > 0 && &key[0] == &strictKey[0] {
				c.accepted, c.duplicates = 0, c.accepted+c.duplicates // the lax key has sent it
			}
			status := c.status
			if &key[0] == &strictKey[0] && c.conflicts+c.rejected > 0 {
				status = 400
			}
			got := w.call("POST", "/api/v1/events"+c.query, c.body, header...)
			if got.Status != status {
				t.Errorf("%s: %d %s, want %d", c.name, got.Status, got.Body, status)
			}
			r := read[struct {
				result
				Type, Title, Detail, Instance string
				Status                        int
			}](w, w.want(got, status))
			if c.contentType == "" {
				c.rejected = 1
			}
			if r.Accepted != c.accepted || r.Duplicates != c.duplicates || r.Conflicts != c.conflicts || r.Rejected != c.rejected || len(r.Errors) != c.conflicts+c.rejected {
				t.Errorf("%s: %s", c.name, got.Body)
			}
			if status == 400 && (r.Type != "urn:odometer:problem:refused" || r.Title == "" || r.Status != 400 || r.Instance != "/api/v1/events" ||
				!strings.Contains(r.Detail, r.Errors[0].Reason)) {
				t.Errorf("%s: %s", c.name, got.Body)
			}
		}
	}
	if got := w.total("requests", today); got != "2" {
		t.Errorf("total %s", got)
	}
	w.want(w.call("POST", "/api/v1/events?strict=1", a), 400, "strict")
}

// TestPreferMinimal: with Prefer: return=minimal a request whose events all
// count is 204 without a body; any refusal is told.
func TestPreferMinimal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	a, bad := testEvent("a"), testEvent("bad", "time", `"yesterday"`)
	for _, c := range []struct {
		prefer, body string
		status       int
	}{
		{"return=minimal", a, 204},
		{"return=minimal", a, 204}, // a duplicate now
		{"respond-async, return=minimal; foo=bar", "[" + a + "]", 204},
		{`Return="minimal"`, a, 204},
		{"return=minimal", "[]", 204},
		{"return=minimal", "[" + a + "," + bad + "]", 200},
		{"return=minimal", bad, 400},
		{"return=representation", a, 200},
		{"return=representation, return=minimal", a, 200},
		{"minimal", a, 200},
		{"", a, 200},
	} {
		got := w.want(w.call("POST", "/api/v1/events", c.body, "Prefer", c.prefer), c.status)
		applied := got.Header.Get("Preference-Applied")
		if (got.Body == "") != (c.status == 204) || (applied == "return=minimal") != (c.status == 204) {
			t.Errorf("Prefer: %s: %d, applied %q, %q", c.prefer, got.Status, applied, got.Body)
		}
	}
}

func TestStorageFull(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpserver.Options{}, ledger.Limits{MinFreeDisk: 1 << 62}, Options{})
	w.want(w.call("POST", "/api/v1/events", testEvent("a")), 507, "disk")
	w.want(w.call("GET", "/api/v1/meters", ""), 200)
}

func TestMetricsSumToSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest("["+testEvent("a")+","+testEvent("a")+","+testEvent("a", "data", "{}")+","+testEvent("b", "time", `"then"`)+","+testEvent("c")+"]", 2, 1, 1, 1)
	page := w.want(w.call("GET", "/metrics", ""), 200).Body
	for _, line := range []string{
		`odometer_events_total{organization="default",verdict="accepted"} 2`,
		`odometer_events_total{organization="default",verdict="duplicate"} 1`,
		`odometer_events_total{organization="default",verdict="conflict"} 1`,
		`odometer_events_total{organization="default",verdict="rejected"} 1`,
		`odometer_events_sent_total{organization="default"} 5`,
		`odometer_organization_stopped{organization="default"} 0`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// BenchmarkIngestOne sends requests of one event over 32 connections a core.
func BenchmarkIngestOne(b *testing.B) {
	w := newWorld(b)
	w.meters()
	address := strings.TrimPrefix(w.URL, "http://")
	b.ReportAllocs()
	b.SetParallelism(32)
	ids := make(chan int, 1)
	ids <- 0
	b.RunParallel(func(pb *testing.PB) {
		n := <-ids
		ids <- n + 1
		c := newRawConn(b, address, w.Token)
		for i := 0; pb.Next(); i++ {
			c.post(b, testEventBytes(n, i))
		}
	})
}

func testEventBytes(n, i int) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"%08d-%012d","source":"edge/oslo","type":"edge.request","subject":"acme","time":"2026-11-22T11:59:00Z","data":{"service":"shop","region":"eu","bytes":1234,"status":200,"path":"/a/b"}}`, n, i)
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := http.NewRequest("POST", w.URL+"/api/v1/events", strings.NewReader(testEvent("a")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer c.CloseIdleConnections()
	for _, key := range []string{"odo_wrong", w.Token} {
		r.Header.Set("Authorization", "Bearer "+key)
		r.Body, _ = r.GetBody()
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := map[bool]int{true: 200, false: 401}[key == w.Token]; resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}
