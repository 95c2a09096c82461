package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// script is a server that answers one request after another as it is told.
type script struct {
	mu       sync.Mutex
	answers  []func(w http.ResponseWriter)
	requests []*http.Request
	bodies   []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	answer := ok(`{}`)
	if n := len(s.requests); n <= len(s.answers) {
		answer = s.answers[n-1]
	}
	s.mu.Unlock()
	answer(w)
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func ok(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }
}

func problem(status int, kind, detail string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("X-Request-Id", "r-1")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"urn:odometer:problem:%s","title":"T","status":%d,"detail":%q}`, kind, status, detail)
	}
}

// lost breaks the connection without an answer.
func lost(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// scripted returns a client of such a server, and the pauses that it makes.
func scripted(t *testing.T, o Options, answers ...func(http.ResponseWriter)) (*Client, *script, *[]time.Duration) {
	t.Helper()
	s := &script{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o.URL, o.Key = server.URL+"/base/", "odo_key"
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	var pauses []time.Duration
	c.pause = func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return ctx.Err()
	}
	return c, s, &pauses
}

var testEvent = Event{ID: "e-1", Source: "s", Type: "t", Subject: "acme", Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	Data: map[string]any{"bytes": json.Number("0.1")}}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {URL: "http://x"}, {URL: "x:1", Key: "k"}, {URL: "ftp://x", Key: "k"}, {URL: "http://", Key: "k"},
		{URL: "http://x", Key: "k", Compression: "br"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestIngestRequest(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, Options{Organization: "other"}, ok(`{"accepted":1,"duplicates":0,"conflicts":0,"rejected":1,"errors":[{"index":1,"id":"e-2","reason":"why"}],"sequence":7}`))
	r, err := c.IngestAtomic(context.Background(), testEvent, Event{ID: "e-2"})
	if err != nil || r.Accepted != 1 || r.Rejected != 1 || r.Sequence != 7 || !slices.Equal(r.Errors, []EventError{{1, "e-2", "why"}}) {
		t.Errorf("%+v %v", r, err)
	}
	q := s.requests[0]
	if q.URL.String() != "/base/api/v1/events?atomic=true" || q.Header.Get("Authorization") != "Bearer odo_key" ||
		q.Header.Get("Odometer-Organization") != "other" || q.Header.Get("Content-Type") != ContentBatch {
		t.Errorf("%s %v", q.URL, q.Header)
	}
	want := `[{"specversion":"1.0","id":"e-1","source":"s","type":"t","subject":"acme","time":"2026-11-22T12:00:00Z","data":{"bytes":0.1}},`
	if !strings.HasPrefix(s.bodies[0], want) {
		t.Errorf("body %s", s.bodies[0])
	}
	if r, err := c.Ingest(context.Background()); err != nil || r.Accepted != 0 || s.count() != 1 {
		t.Error("no events made a request")
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	for _, how := range []Compression{NoCompression, Gzip, Zstd} {
		c, s, _ := scripted(t, Options{Compression: how})
		if _, err := c.IngestBody(context.Background(), ContentNDJSON, []byte("{}\n"), false); err != nil {
			t.Fatal(err)
		}
		var plain []byte
		switch body := strings.NewReader(s.bodies[0]); how {
		case Gzip:
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			plain, _ = io.ReadAll(z)
		case Zstd:
			z, err := zstd.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			plain, _ = io.ReadAll(z)
			z.Close()
		default:
			plain, _ = io.ReadAll(body)
		}
		if string(plain) != "{}\n" || s.requests[0].Header.Get("Content-Encoding") != string(how) {
			t.Errorf("%s: %q", how, plain)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	done := ok(`{"accepted":1}`)
	for _, c := range []struct {
		name    string
		answers []func(http.ResponseWriter)
		calls   int
		kind    string // of the error; "" = success
	}{
		{"success", []func(http.ResponseWriter){done}, 1, ""},
		{"overloaded", []func(http.ResponseWriter){problem(429, Overloaded, "x"), problem(429, Overloaded, "x"), done}, 3, ""},
		{"starting", []func(http.ResponseWriter){problem(503, Unavailable, "x"), done}, 2, ""},
		{"no space", []func(http.ResponseWriter){problem(507, StorageFull, "x"), done}, 2, ""},
		{"bad gateway", []func(http.ResponseWriter){func(w http.ResponseWriter) { w.WriteHeader(502) }, done}, 2, ""},
		{"lost connection", []func(http.ResponseWriter){lost, lost, done}, 3, ""},
		{"damage", []func(http.ResponseWriter){problem(503, Corrupt, "x"), done}, 1, Corrupt},
		{"malformed", []func(http.ResponseWriter){problem(400, Invalid, "x"), done}, 1, Invalid},
		{"defect", []func(http.ResponseWriter){problem(500, Internal, "x"), done}, 1, Internal},
		{"to no end", slices.Repeat([]func(http.ResponseWriter){problem(429, Overloaded, "x")}, 9), 4, Overloaded},
	} {
		api, s, pauses := scripted(t, Options{Retry: Retry{Attempts: 4}}, c.answers...)
		r, err := api.Ingest(context.Background(), testEvent)
		if KindOf(err) != c.kind || (err == nil) != (c.kind == "") || err == nil && r.Accepted != 1 {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
		// A Go transport repeats on its own what it could not send over a kept connection.
		if s.count() < c.calls || c.name != "lost connection" && s.count() != c.calls || len(*pauses) > c.calls-1 {
			t.Errorf("%s: %d requests, %d pauses", c.name, s.count(), len(*pauses))
		}
	}
}

// TestUnknownOutcome: what may have happened is not done twice.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, do := range map[string]func(c *Client) error{
		"key":          func(c *Client) error { _, err := c.CreateKey(ctx, NewKey{Role: "read"}); return err },
		"organization": func(c *Client) error { _, err := c.CreateOrganization(ctx, NewOrganization{ID: "x"}); return err },
		"delete":       func(c *Client) error { return c.DeleteMeter(ctx, "x") },
		"noun":         func(c *Client) error { return c.CreateNoun(ctx, Products, map[string]string{"id": "x"}, nil) },
		"delete noun":  func(c *Client) error { return c.DeleteNoun(ctx, Products, "x", time.Time{}) },
	} {
		c, s, _ := scripted(t, Options{}, lost)
		if err := do(c); err == nil || s.count() != 1 {
			t.Errorf("%s: %v after %d requests", name, err, s.count())
		}
		c, s, _ = scripted(t, Options{}, problem(429, Overloaded, "x"))
		if err := do(c); err != nil || s.count() != 2 {
			t.Errorf("%s: %v after %d requests", name, err, s.count())
		}
	}
}

// A server that has never answered is given up at once where that is asked
// for; one that has is waited for.
func TestOnlyReached(t *testing.T) {
	t.Parallel()
	o := Options{Retry: Retry{Attempts: 4, OnlyReached: true}}
	api, s, _ := scripted(t, o, lost, ok(`{"accepted":1}`))
	if _, err := api.Ingest(context.Background(), testEvent); err == nil || s.count() != 1 {
		t.Errorf("one that never answered: %v after %d requests", err, s.count())
	}
	api, s, _ = scripted(t, o, problem(503, Unavailable, "starting"), lost, ok(`{"accepted":1}`))
	if r, err := api.Ingest(context.Background(), testEvent); err != nil || r.Accepted != 1 || s.count() != 3 {
		t.Errorf("one that answered: %+v %v after %d requests", r, err, s.count())
	}
}

func TestRetryPauses(t *testing.T) {
	t.Parallel()
	r := Retry{Attempts: 99, First: 100 * time.Millisecond, Longest: 10 * time.Second}
	for attempt := 1; attempt < 99; attempt++ {
		most := r.Longest
		if attempt < 8 { // 100 ms << 7 is more than 10 s
			most = r.First << (attempt - 1)
		}
		if d := r.after(attempt, nil); d < most/2 || d > most {
			t.Errorf("attempt %d: %s, want about %s", attempt, d, most)
		}
	}
	if d := r.after(1, &Error{RetryAfter: 3 * time.Second}); d != 3*time.Second {
		t.Errorf("%s, the server asked for 3s", d)
	}
	if d := r.after(1, &Error{RetryAfter: time.Hour}); d != r.Longest {
		t.Errorf("%s, at most %s was wanted", d, r.Longest)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := pause(context.Background(), time.Nanosecond); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, Options{}, problem(404, NotFound, "no such meter", "Retry-After", "7"), func(w http.ResponseWriter) {
		w.WriteHeader(418)
		fmt.Fprint(w, "<html>")
	}, ok(`{"rows":`))
	_, err := c.Meter(context.Background(), "x")
	var e *Error
	if !errors.As(err, &e) || e.Status != 404 || e.Detail != "no such meter" || e.RequestID != "r-1" || e.RetryAfter != 7*time.Second ||
		!strings.Contains(err.Error(), "no such meter") || !strings.Contains(err.Error(), "r-1") {
		t.Errorf("%+v", err)
	}
	if _, err := c.Meter(context.Background(), "x"); !errors.As(err, &e) || e.Status != 418 || e.Kind != "" {
		t.Errorf("%+v", err)
	}
	if _, err := c.Meter(context.Background(), "x"); err == nil {
		t.Error("half an answer was accepted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Meter(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestUsagePages(t *testing.T) {
	t.Parallel()
	page := func(start, cursor string) func(http.ResponseWriter) {
		return ok(fmt.Sprintf(`{"rows":[{"start":"2026-11-%sT00:00:00Z","end":"2026-11-%[1]sT01:00:00Z","group":{"a":"x"},"value":"0.1"}],"total":"0.3","next_cursor":%s}`, start, cursor))
	}
	c, s, _ := scripted(t, Options{}, page("01", `"two"`), page("02", `"three"`), page("03", "null"), page("01", `"two"`), problem(404, NotFound, "x"))
	q := UsageQuery{From: testEvent.Time, To: testEvent.Time.Add(time.Hour), Window: "hour", TimeZone: "Europe/Oslo", GroupBy: []string{"a", "b"},
		Filters: map[string][]string{"c": {"1", "2"}}, AsOf: testEvent.Time, FillZero: true, Sort: "-value", Limit: 1}
	n := 0
	for row, err := range c.UsageRows(context.Background(), "m/1", q) {
		if n++; err != nil || row.Value != "0.1" || row.Start.Day() != n || row.Group["a"] != "x" {
			t.Errorf("%+v %v", row, err)
		}
	}
	if n != 3 {
		t.Errorf("%d rows", n)
	}
	want := "/base/api/v1/meters/m%2F1/usage?as_of=2026-11-22T12%3A00%3A00Z&cursor=two&fill=zero&filter%5Bc%5D=1&filter%5Bc%5D=2&from=2026-11-22T12%3A00%3A00Z" +
		"&group_by=a&group_by=b&limit=1&sort=-value&to=2026-11-22T13%3A00%3A00Z&tz=Europe%2FOslo&window=hour"
	if got := s.requests[1].URL.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	var last error
	for _, err := range c.UsageRows(context.Background(), "m", UsageQuery{}) {
		last = err
	}
	if KindOf(last) != NotFound {
		t.Errorf("the iteration ended with %v", last)
	}
	for _, err := range c.UsageRows(context.Background(), "m", UsageQuery{}) {
		t.Errorf("an empty answer has rows (%v)", err)
	}
}

func TestBatcher(t *testing.T) {
	t.Parallel()
	c, s, _ := scripted(t, Options{})
	var mu sync.Mutex
	var sizes []int
	b := c.NewBatcher(context.Background(), BatcherOptions{Events: 10, Wait: time.Hour, Done: func(events []Event, _ Result, err error) {
		mu.Lock()
		defer mu.Unlock()
		if sizes = append(sizes, len(events)); err != nil {
			t.Error(err)
		}
	}})
	for range 25 {
		if err := b.Add(testEvent); err != nil {
			t.Fatal(err)
		}
	}
	b.Flush()
	slices.Sort(sizes)
	if !slices.Equal(sizes, []int{5, 10, 10}) {
		t.Errorf("requests of %v events", sizes)
	}
	if err := b.Add(testEvent); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b.Close()
	if err := b.Add(testEvent); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if len(s.bodies) != 4 || !json.Valid([]byte(s.bodies[0])) || len(sizes) != 4 {
		t.Errorf("%d requests, %d reports", len(s.bodies), len(sizes))
	}
	if err := b.Add(Event{Data: func() {}}); err == nil {
		t.Error("an event that cannot be encoded was taken")
	}
}

func TestBatcherByBytesAndTime(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, Options{})
	text, _ := json.Marshal(testEvent)
	done := make(chan int, 10)
	o := BatcherOptions{Bytes: 2*len(text) + 3, Wait: time.Hour, Done: func(events []Event, _ Result, _ error) { done <- len(events) }}
	b := c.NewBatcher(context.Background(), o)
	for range 3 {
		if err := b.Add(testEvent); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-done; n != 2 {
		t.Errorf("a request of %d events", n)
	}
	b.Close()
	if n := <-done; n != 1 {
		t.Errorf("a request of %d events", n)
	}
	o.Wait = time.Millisecond
	b = c.NewBatcher(context.Background(), o)
	defer b.Close()
	if err := b.Add(testEvent); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 1 { // without Flush
		t.Errorf("a request of %d events", n)
	}
}

func TestBatcherTellsOfErrors(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, Options{}, problem(413, TooLarge, "x"))
	var got error
	b := c.NewBatcher(context.Background(), BatcherOptions{Senders: 1, Done: func(_ []Event, _ Result, err error) { got = err }})
	if err := b.Add(testEvent); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if KindOf(got) != TooLarge {
		t.Error(got)
	}
}

func TestEventIsACloudEvent(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Event{ID: "a", Source: "b", Type: "c", Time: testEvent.Time})
	if err != nil || !bytes.Equal(text, []byte(`{"specversion":"1.0","id":"a","source":"b","type":"c","time":"2026-11-22T12:00:00Z"}`)) {
		t.Errorf("%s %v", text, err)
	}
}
