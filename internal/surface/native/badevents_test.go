package native

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

// TestBadEvents is the list: each is rejected with a reason that says
// what is wrong, and its neighbours count.
func TestBadEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	digits := func(n int) string { return strings.Repeat("9", n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"a%d":1`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	// data itself is the first level.
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	at := func(d time.Duration) string { return quote(start.Add(d).Format(time.RFC3339Nano)) }
	past := 3653 * 24 * time.Hour
	cases := []struct {
		name, attr, value string
		reason            string // "" = accepted
	}{
		{"no id", "id", "", "id"},
		{"empty id", "id", `""`, "id"},
		{"id at the limit", "id", quote(strings.Repeat("i", 256)), ""},
		{"id one past it", "id", quote(strings.Repeat("i", 257)), "256"},
		{"id a number", "id", "7", "id"},
		{"no source", "source", "", "source"},
		{"no type", "type", "", "type"},
		{"type a list", "type", "[]", "type"},
		{"no time", "time", `"then"`, "time"},
		{"time a word", "time", `"yesterday"`, "time"},
		{"time a number", "time", "1700000000", "time"},
		{"ahead at the limit", "time", at(24 * time.Hour), ""},
		{"ahead one past it", "time", at(24*time.Hour + time.Nanosecond), "ahead"},
		{"back at the limit", "time", at(-past), ""},
		{"back one past it", "time", at(-past - time.Nanosecond), "past"},
		{"no specversion", "specversion", "", "specversion"},
		{"another version", "specversion", `"0.3"`, "specversion"},
		{"digits at the limit", "data", `{"n":` + digits(26) + "." + digits(12) + `}`, ""},
		{"digits before the point", "data", `{"n":` + digits(27) + `}`, ""},
		{"digits after the point", "data", `{"n":0.` + digits(13) + `}`, ""},
		{"a long text of digits is no number", "data", `{"n":"` + digits(27) + `"}`, ""},
		{"attributes at the limit", "data", many(128), ""},
		{"attributes one past it", "data", many(129), "128"},
		{"levels at the limit", "data", deep(16), ""},
		{"levels one past it", "data", deep(17), "16"},
		{"duplicate key in data", "data", `{"a":1,"a":2}`, "a"},
		{"duplicate attribute", "extra\",\"id\":\"again\",\"x", `1`, "id"},
		{"data a list", "data", `[1]`, "data"},
		{"data a text", "data", `"x"`, "data"},
		{"invalid UTF-8", "data", "{\"a\":\"\xff\"}", "UTF-8"},
	}
	for i, c := range cases {
		before, after := testEvent(fmt.Sprintf("before-%d", i)), testEvent(fmt.Sprintf("after-%d", i))
		event := testEvent(fmt.Sprintf("e-%d", i), c.attr, c.value)
		if strings.Contains(c.attr, `","`) { // smuggle a second member in
			event = strings.TrimSuffix(testEvent(fmt.Sprintf("e-%d", i)), "}") + `,"id":"again"}`
		}
		for _, form := range []struct{ contentType, body string }{
			{"application/cloudevents-batch+json", "[" + before + "," + event + "," + after + "]"},
			{"application/x-ndjson", before + "\n" + event + "\n" + after},
		} {
			a := w.call("POST", "/api/v1/events", form.body, "Content-Type", form.contentType)
			if a.Status == 400 && c.name == "invalid UTF-8" { // the JSON text itself is malformed
				continue
			}
			r := read[result](w, w.want(a, 200))
			good := r.Accepted + r.Duplicates
			if c.reason == "" {
				if good != 3 || r.Rejected != 0 {
					t.Errorf("%s: %+v", c.name, r)
				}
				continue
			}
			if good != 2 || r.Rejected != 1 || len(r.Errors) != 1 || r.Errors[0].Index != 1 || !strings.Contains(r.Errors[0].Reason, c.reason) {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
	}
}

// TestBadBodies are requests of which nothing counts.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, httpserver.Options{Limits: httpserver.Limits{BodyBytes: 10_000, DecompressedBytes: 20_000}}, ledger.Limits{}, Options{})
	w.meters()
	good := testEvent("good")
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		text                    string
	}{
		{"empty", "application/json", "", 400, "empty"},
		{"malformed", "application/json", "[" + good + ",", 400, ""},
		{"cut", "application/cloudevents+json", good[:20], 400, ""},
		{"trailing comma", "application/json", "[" + good + ",]", 400, ""},
		{"two events", "application/json", good + good, 400, ""},
		{"NaN", "application/json", testEvent("x", "data", `{"n":NaN}`), 400, ""},
		{"infinity", "application/json", testEvent("x", "data", `{"n":-Infinity}`), 400, ""},
		{"leading zero", "application/json", testEvent("x", "data", `{"n":01}`), 400, ""},
		{"a number", "application/json", "7", 400, ""},
		{"batch where one event belongs", "application/cloudevents+json", "[" + good + "]", 400, ""},
		{"one event where a batch belongs", "application/cloudevents-batch+json", good, 400, ""},
		{"over the limit", "application/json", "[" + strings.Repeat(" ", 10_000) + "]", 413, "10000"},
		{"text", "text/plain", good, 415, "text/plain"},
		{"form", "application/x-www-form-urlencoded", good, 415, "form"},
		{"no type", "", good, 415, ""},
		{"latin1", "application/json; charset=latin1", good, 415, ""},
	} {
		a := w.call("POST", "/api/v1/events", c.body, "Content-Type", c.contentType)
		if a.Status != c.status || !strings.Contains(a.Body, c.text) {
			t.Errorf("%s: %d %s", c.name, a.Status, a.Body)
		}
	}
	for _, encoding := range []string{"gzip", "zstd"} {
		a := w.call("POST", "/api/v1/events", compressed(t, encoding, "["+strings.Repeat(" ", 20_000)+"]"), "Content-Encoding", encoding)
		w.want(a, 413, "20000")
	}
	w.want(w.call("POST", "/api/v1/events", good, "Content-Encoding", "br"), 415, "br")
	w.want(w.call("POST", "/api/v1/events", "not zipped", "Content-Encoding", "gzip"), 400)
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "b", "Ce-Source", "edge", "Ce-Type", "edge.request", "Ce-Time", start.Format(time.RFC3339)}
	w.want(w.call("POST", "/api/v1/events", `{},"id":"x"`, binary...), 400, "one JSON value")
	w.want(w.call("POST", "/api/v1/events", `{}`, append(binary, "Ce-Data", "{}")...), 400, "Ce-Data")
	w.want(w.call("POST", "/api/v1/events", `{}`, append(binary, "Ce-Subject", "%zz")...), 400, "percent")
	if got := w.total("requests", today); got != "0" {
		t.Errorf("total %s after requests that must count nothing", got)
	}
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	batch := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",%s", testEvent(fmt.Sprintf("e-%d", i)))
		}
		return "[" + b.String()[1:] + "]"
	}
	w.ingest(batch(20_000), 20_000, 0, 0, 0)
	w.want(w.call("POST", "/api/v1/events", batch(20_001)), 413, "20000")
	// More errors than fit are counted and said to be left out.
	bad := "[" + strings.Repeat(testEvent("x", "time", `"then"`)+",", 1500) + testEvent("x", "time", `"then"`) + "]"
	a := w.want(w.call("POST", "/api/v1/events", bad), 400, `"rejected":1501`, `"errors_left_out":501`)
	if r := read[result](w, a); len(r.Errors) != 1000 {
		t.Errorf("%d errors listed", len(r.Errors))
	}
}
