package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

const catalog = `
meters:
- {key: sent, event_type: sdk.used, aggregation: COUNT, group_by: [case, tenantid]}
- {key: bytes, event_type: sdk.used, aggregation: SUM, value: bytes}
`

// event is an event as the clients read it.
type event struct {
	ID              string            `json:"id"`
	Source          string            `json:"source"`
	Type            string            `json:"type"`
	Subject         string            `json:"subject,omitempty"`
	Time            string            `json:"time,omitempty"`
	DataContentType string            `json:"datacontenttype,omitempty"`
	Extensions      map[string]string `json:"extensions,omitempty"`
	Data            any               `json:"data,omitempty"`
	Bytes           []byte            `json:"bytes,omitempty"` // the data as bytes: data_base64 in structured mode
}

// call is one request of a client.
type call struct {
	Mode   string  `json:"mode"`
	Events []event `json:"events"`
}

// report is what a sender makes of the answer.
type report struct {
	Delivered bool
	Status    int
	Body      string
}

const (
	structured = "structured"
	binary     = "binary"
	batch      = "batch"
)

// a testCase is events that a client sends in each of the modes, in one
// request if that is a batch and one after the other otherwise.
type testCase struct {
	name  string
	modes []string // nil = all
	make  func(e *event)
	// counted says that the event counts; delivered, what the sender is told.
	// They differ for an event that counted before.
	counted, delivered bool
	tenant             string // group of the extension attribute
	faults             []fault
}

// a fault is where an SDK does not do with an event of a case what the
// specification of CloudEvents says. What it reports is what counted all the same.
type fault struct {
	sdk   string
	modes []string
	// One of these is set.
	fails   string // text of the error with which the SDK does not send: nothing counts
	refused string // what the server says in answering 400, or of one event of a batch
	subject string // what the server is sent as the subject
}

// Binary mode asks for percent-encoded header values (HTTP binding, 3.1.3.2).
// Of the SDKs Python's alone encodes them; the others hand them to their HTTP
// library as they are.
const rawQuotes = `acme inc, north` // of `acme inc, "north"`: a receiver must take double quotes as quoting

// at is the time of events, which is not now.
func at() string { return time.Now().UTC().Add(-time.Hour).Truncate(time.Second).Format(time.RFC3339) }

var cases = []testCase{
	{name: "with a time", make: func(e *event) { e.Time = at() }, counted: true, delivered: true},
	{name: "with a fraction and a zone", make: func(e *event) { e.Time = strings.Replace(at(), "Z", ".123+00:00", 1) }, counted: true, delivered: true},
	{name: "without a time", make: func(e *event) {}, counted: true, delivered: true},
	{name: "an extension attribute", make: func(e *event) { e.Time, e.Extensions = at(), map[string]string{"tenantid": "t-1"} }, counted: true, delivered: true, tenant: "t-1"},
	{name: "a subject with quotes and blanks", make: func(e *event) { e.Time, e.Subject = at(), `acme inc, "north"` }, counted: true, delivered: true, faults: []fault{
		{sdk: "node", modes: []string{binary}, subject: rawQuotes},
		{sdk: "go", modes: []string{binary}, subject: rawQuotes},
		{sdk: "java", modes: []string{binary}, subject: rawQuotes},
	}},
	{name: "a subject with letters of Latin-1", make: func(e *event) { e.Time, e.Subject = at(), "Kunde Ä" }, counted: true, delivered: true, faults: []fault{
		{sdk: "node", modes: []string{binary}, refused: "is not UTF-8"}, // fetch writes headers in Latin-1
		{sdk: "java", modes: []string{binary}, subject: "Kunde ?"},      // HttpClient writes headers in ASCII
	}},
	{name: "a subject with other letters", make: func(e *event) { e.Time, e.Subject = at(), "Kunde Ä €" }, counted: true, delivered: true, faults: []fault{
		{sdk: "node", modes: []string{binary}, fails: "TypeError: Cannot convert argument to a ByteString"},
		{sdk: "java", modes: []string{binary}, fails: "IllegalArgumentException: invalid header value"},
	}},
	{name: "data as bytes", make: func(e *event) {
		e.Time = at()
		e.Bytes, _ = json.Marshal(e.Data)
		e.Data = nil
	}, counted: true, delivered: true},
	{name: "a media type of its own", make: func(e *event) { e.Time, e.DataContentType = at(), "application/vnd.acme+json" }, counted: true, delivered: true, faults: []fault{
		// It takes application/json and text/json alone for JSON, and writes other data as
		// a string. A string is a string (JSON format, 3.1.1), and no object to count from.
		{sdk: "go", modes: []string{structured, batch}, refused: "data must be a JSON object"},
	}},
	{name: "text/json", make: func(e *event) { e.Time, e.DataContentType = at(), "text/json" }, counted: true, delivered: true},
	{name: "a time that lies too far ahead", make: func(e *event) { e.Time = time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339) }},
	{name: "an internal source", make: func(e *event) { e.Time, e.Source = at(), "suger/entitlement" }},
	{name: "an id that is too long", make: func(e *event) { e.Time, e.ID = at(), e.ID+strings.Repeat("x", 256) }},
	{name: "data that is no object", make: func(e *event) { e.Time, e.Data = at(), []int{1} }},
	{name: "other content of an event that was counted", make: func(e *event) { e.Time, e.ID = at(), "counted"; e.Type = "sdk.other" }},
}

// TestSDKs: what a sender is told by its SDK is what was counted, in structured
// and binary mode and in batches. The key is strict: of a batch with one
// refused event the sender is told that it was refused.
func TestSDKs(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := harness.Start(t, harness.World{Catalog: catalog})
	strict := s.NewKey(t, map[string]any{"role": "ingest", "strict": true}).Token
	lax := s.NewKey(t, map[string]any{"role": "ingest"}).Token
	for _, install := range []func(testing.TB) (harness.Client, bool){
		func(t testing.TB) (harness.Client, bool) {
			return harness.Python(t, "cloudevents", "python.txt", "client.py")
		},
		func(t testing.TB) (harness.Client, bool) { return harness.Node(t, "js") },
		func(t testing.TB) (harness.Client, bool) { return harness.Go(t, "go") },
		func(t testing.TB) (harness.Client, bool) { return harness.Java(t, "cloudevents", "java") },
	} {
		c, ok := install(t)
		if !ok {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			for name, token := range map[string]string{"strict": strict, "lax": lax} {
				send(t, s, c, name, token)
			}
		})
	}
	expectTenants(t, s)
}

// send sends all cases with one client and one key, and looks at what was counted.
func send(t *testing.T, s *harness.Server, c harness.Client, keyName, token string) {
	source := "sdk/" + c.Name + "/" + keyName
	job := map[string]any{"url": s.URL + "/api/v1/events", "token": token}
	first := event{ID: "counted", Source: source, Type: "sdk.used", Subject: "acme", Time: at(), Data: map[string]any{"bytes": 1}}
	calls := []call{{structured, []event{first}}}
	type want struct {
		what      string
		delivered bool
		counted   []event
		refused   []event
		fault     fault
	}
	wants := []want{{what: "the first", delivered: true, counted: []event{first}}}
	for i, one := range cases {
		for _, mode := range []string{structured, binary, batch} {
			if one.modes != nil && !slices.Contains(one.modes, mode) {
				continue
			}
			e := event{ID: fmt.Sprintf("%d-%s", i, mode), Source: source, Type: "sdk.used", Subject: "acme",
				Data: map[string]any{"bytes": 10, "case": one.name}}
			one.make(&e)
			w := want{what: one.name + ", " + mode, delivered: one.delivered}
			for _, f := range one.faults {
				if f.sdk == c.Name && slices.Contains(f.modes, mode) {
					w.fault = f
				}
			}
			if w.fault.fails != "" || w.fault.refused != "" {
				w.delivered, w.refused = false, []event{e}
			} else if one.counted {
				reached := e
				if w.fault.subject != "" {
					reached.Subject = w.fault.subject
				}
				w.counted = []event{reached}
			} else {
				w.refused = []event{e}
			}
			sent := []event{e}
			if mode == batch {
				beside := event{ID: fmt.Sprintf("%d-beside", i), Source: source, Type: "sdk.used", Subject: "acme", Time: at(), Data: map[string]any{"bytes": 100}}
				sent = append(sent, beside)
				w.counted = append(w.counted, beside)
				w.delivered = w.delivered || keyName == "lax"
			}
			calls, wants = append(calls, call{mode, sent}, call{mode, sent}), append(wants, w, w) // sent again: the same
		}
	}
	for i, r := range harness.Calls(t, c, job, calls) {
		w := wants[i]
		switch {
		case w.fault.fails != "":
			if !strings.Contains(r.Error, w.fault.fails) {
				t.Errorf("%s key, %s: the SDK's error is %q %s, want %q", keyName, w.what, r.Error, r.Value, w.fault.fails)
			}
		case r.Error != "":
			t.Errorf("%s key, %s: the SDK's error is %q", keyName, w.what, r.Error)
		default:
			got := harness.Decode[report](t, r)
			if got.Delivered != w.delivered || (got.Status == 200) != w.delivered || !w.delivered && got.Status != 400 {
				t.Errorf("%s key, %s: the SDK says delivered %v, status %d; want %v: %s", keyName, w.what, got.Delivered, got.Status, w.delivered, got.Body)
			}
			if got.Body != "" && !strings.Contains(got.Body, w.fault.refused) {
				t.Errorf("%s key, %s: the SDK hands on %s, want %q", keyName, w.what, got.Body, w.fault.refused)
			}
		}
		for _, e := range w.counted {
			stored(t, s, w.what, e)
		}
		for _, e := range w.refused {
			found, err := s.Client.Lookup(t.Context(), e.Source, e.ID)
			var said *client.Error
			if err == nil && e.ID != "counted" || err != nil && (!errors.As(err, &said) || said.Kind != client.NotFound) || err == nil && found.Event.Type != "sdk.used" {
				t.Errorf("%s: it was refused, and is stored as %+v %v", w.what, found.Event, err)
			}
		}
	}
}

// stored looks at a counted event: it is what was sent, and counts once.
func stored(t *testing.T, s *harness.Server, what string, e event) {
	t.Helper()
	l, err := s.Client.Lookup(t.Context(), e.Source, e.ID)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	data := e.Bytes
	if data == nil {
		data, _ = json.Marshal(e.Data)
	}
	var want, got map[string]any
	if json.Unmarshal(data, &want) != nil || json.Unmarshal(l.Event.Data, &got) != nil || fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("%s: data %s, want %s", what, l.Event.Data, data)
	}
	if l.Event.Customer != e.Subject || l.Event.Verdict != client.Accepted || len(l.Counted) != 2 {
		t.Errorf("%s: %+v", what, l)
	}
	if e.Time != "" {
		sent, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil || !sent.Equal(l.Event.Time) {
			t.Errorf("%s: time %s, want %s", what, l.Event.Time, e.Time)
		}
	}
}

// expectTenants asks for usage by the extension attribute.
func expectTenants(t *testing.T, s *harness.Server) {
	t.Helper()
	for _, one := range cases {
		if one.tenant == "" {
			continue
		}
		now := time.Now().UTC()
		q := url.Values{"from": {now.Add(-48 * time.Hour).Format(time.RFC3339)}, "to": {now.Add(48 * time.Hour).Format(time.RFC3339)},
			"group_by": {"tenantid"}, "filter[case]": {one.name}}
		a := s.Do(t, "GET", "/api/v1/meters/sent/usage?"+q.Encode(), "", "Authorization", "Bearer "+s.Admin)
		if a.Status != 200 || !strings.Contains(a.Body, `"group":{"tenantid":"`+one.tenant+`"}`) || strings.Contains(a.Body, `"tenantid":""`) {
			t.Errorf("%s: usage by tenantid: %d %s", one.name, a.Status, a.Body)
		}
	}
}
