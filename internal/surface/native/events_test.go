package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

type eventsBody struct {
	Events []struct {
		ID, Source, Type, Customer, Verdict, Reason string
		Subject                                     *string
		Time                                        string
		Data                                        json.RawMessage
		Sequence                                    uint64
		AcceptedAt                                  string `json:"accepted_at"`
	}
	NextCursor *string `json:"next_cursor"`
}

func (e eventsBody) ids() []string {
	var out []string
	for _, r := range e.Events {
		out = append(out, r.ID+":"+r.Verdict)
	}
	return out
}

func eventsWorld(t *testing.T) *world {
	w := newWorld(t)
	w.meters()
	w.ingest("["+strings.Join([]string{
		testEvent("a", "data", `{"service":"shop","bytes":0.10,"deep":{"b":[1,2],"a":null}}`),
		testEvent("b", "subject", "", "type", `"other"`),
		testEvent("c", "source", `"core"`, "time", `"2026-11-22T09:00:00.000000001+01:00"`),
		testEvent("d", "time", `"then"`),
	}, ",")+"]", 3, 0, 0, 1)
	w.ingest("["+testEvent("a", "subject", `"zeta"`)+","+testEvent("c", "source", `"core"`, "time", `"2026-11-22T08:00:00.000000001Z"`)+"]", 0, 1, 1, 0)
	return w
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := eventsWorld(t)
	for query, want := range map[string][]string{
		"":                              {"a:accepted", "b:accepted", "c:accepted", "d:rejected", "a:conflict", "c:duplicate"},
		"verdict=accepted":              {"a:accepted", "b:accepted", "c:accepted"},
		"verdict=duplicate":             {"c:duplicate"},
		"verdict=conflict":              {"a:conflict"},
		"verdict=rejected":              {"d:rejected"},
		"type=other":                    {"b:accepted"},
		"source=core":                   {"c:accepted", "c:duplicate"},
		"subject=zeta":                  {"a:conflict"},
		"to=2026-11-22T08:00:00Z":       nil,
		"from=2026-11-22T11:00:00Z":     {"a:accepted", "b:accepted", "a:conflict"},
		"type=edge.request&source=edge": {"a:accepted", "a:conflict"},
		"type=nothing":                  nil,
	} {
		e := read[eventsBody](w, w.want(w.call("GET", "/api/v1/events?"+query, ""), 200))
		if got := e.ids(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	all := read[eventsBody](w, w.call("GET", "/api/v1/events", ""))
	a := all.Events[0]
	if string(a.Data) != `{"bytes":0.1,"deep":{"a":null,"b":[1,2]},"service":"shop"}` || a.Subject == nil || *a.Subject != "acme" || a.Customer != "acme" ||
		a.Time != "2026-11-22T11:59:00Z" || a.AcceptedAt != "2026-11-22T12:00:00Z" || a.Sequence == 0 {
		t.Errorf("%+v %s", a, a.Data)
	}
	if d := all.Events[3]; !strings.Contains(d.Reason, "time") || !strings.Contains(string(d.Data), `\"id\":\"d\"`) {
		t.Errorf("a rejected event: %+v %s", d, d.Data)
	}
	if c := all.Events[2]; c.Time != "2026-11-22T08:00:00.000000001Z" {
		t.Errorf("time %s", c.Time)
	}
	var paged []string
	for cursor := ""; ; {
		e := read[eventsBody](w, w.want(w.call("GET", "/api/v1/events?limit=2&cursor="+url.QueryEscape(cursor), ""), 200))
		paged = append(paged, e.ids()...)
		if e.NextCursor == nil {
			break
		}
		cursor = *e.NextCursor
	}
	if !slices.Equal(paged, all.ids()) {
		t.Errorf("in pages: %v", paged)
	}
	for query, text := range map[string]string{
		"verdict=lost": "verdict", "verdict=": "verdict", "limit=0": "limit", "limit=1001": "1000", "cursor=x": "cursor", "from=x": "from", "customer=acme": "customer",
		"from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z": "before",
	} {
		w.want(w.call("GET", "/api/v1/events?"+query, ""), 400, text)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	w := eventsWorld(t)
	w.want(w.call("POST", "/api/v1/meters", `{"key":"time","event_type":"edge.request","aggregation":"SUM","value":"seconds"}`), 201)
	var l struct {
		Event   struct{ ID, Verdict string }
		Counted []struct {
			Meter, Slot, Value string
			Group              map[string]string
		}
		Skipped   []struct{ Meter, Reason string }
		Conflicts []struct{ Subject, Verdict string }
	}
	a := w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=a", ""), 200)
	if err := json.Unmarshal([]byte(a.Body), &l); err != nil {
		t.Fatal(err)
	}
	if l.Event.ID != "a" || l.Event.Verdict != "accepted" || len(l.Counted) != 2 || len(l.Skipped) != 1 || len(l.Conflicts) != 1 {
		t.Fatalf("%s", a.Body)
	}
	for _, c := range l.Counted {
		want := map[string]string{"requests": "1", "bytes": "0.1"}[c.Meter]
		if c.Value != want || c.Slot != "2026-11-22T11:45:00Z" || c.Group["service"] != "shop" || c.Group["customer"] != "acme" {
			t.Errorf("%+v", c)
		}
	}
	if l.Skipped[0].Meter != "time" || !strings.Contains(l.Skipped[0].Reason, "seconds") || l.Conflicts[0].Subject != "zeta" {
		t.Errorf("%+v %+v", l.Skipped, l.Conflicts)
	}
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=unknown", ""), 404)
	w.want(w.call("GET", "/api/v1/events/lookup?source=core&id=a", ""), 404)
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=d", ""), 404) // rejected: it was never remembered
	w.want(w.call("GET", "/api/v1/events/lookup?id=a", ""), 400, "source")
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge", ""), 400, `\"id\"`)
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=a&x=1", ""), 400, "x")
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\x1f\x7f", "æ€😀", "\xff\xfe", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want, got string
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		mine := appendString([]byte("x"), s)
		if err := json.Unmarshal(mine[1:], &got); err != nil || got != want {
			t.Errorf("%q became %s: %v", s, mine, err)
		}
	})
}

func FuzzStructured(f *testing.F) {
	f.Add("id", "e%201", []byte(`{"a":1}`))
	f.Add("data", "x", []byte(`1,"id":"x"`))
	f.Fuzz(func(t *testing.T, name, value string, body []byte) {
		h := map[string][]string{"Ce-Specversion": {"1.0"}, "Ce-" + name: {value}, "Other": {"x"}}
		out, err := structured(h, body)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(out, &members); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if len(bytes.TrimSpace(body)) > 0 && !bytes.Equal(bytes.TrimSpace(members["data"]), bytes.TrimSpace(body)) {
			t.Errorf("data %s, want %s", members["data"], body)
		}
	})
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cursor, target uint64
		done           bool
		want           string
	}{{0, 0, true, "1.00"}, {0, 10, false, "0.00"}, {1, 3, false, "0.33"}, {9, 10, false, "0.90"}, {10, 10, false, "0.99"}, {999, 1000, false, "0.99"},
		{1 << 62, 1 << 63, false, "0.50"}, {5, 10, true, "1.00"}} {
		if got := progress(c.cursor, c.target, c.done); got != c.want {
			t.Errorf("%s: %s, want %s", fmt.Sprint(c.cursor, "/", c.target), got, c.want)
		}
	}
}

// TestEventsOfNothing: an empty source or type restricts nothing, so it is refused; an empty subject is one.
func TestEventsOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, status := range map[string]int{"source=": 400, "type=": 400, "verdict=": 400, "subject=": 200, "": 200} {
		if a := w.call("GET", "/api/v1/events?"+query, ""); a.Status != status {
			t.Errorf("%q: %d, want %d: %s", query, a.Status, status, a.Body)
		}
	}
}
