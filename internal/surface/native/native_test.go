package native

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/marketplace"
	"odometer/internal/metering"
)

// start is when tests begin; their clock stands still until a test moves it.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a whole server over a ledger and a catalogue in a folder of its own.
type world struct {
	t     testing.TB
	url   string
	admin string // the first key: admin of default, with the operator right

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t testing.TB, o httpserver.Options, limits ledger.Limits) *world {
	t.Helper()
	return newWorldWith(t, o, limits, Options{})
}

// newWorldWith is newWorld with options of the surface.
func newWorldWith(t testing.TB, o httpserver.Options, limits ledger.Limits, of Options) *world {
	t.Helper()
	w := &world{t: t, now: start}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	store, err := catalog.Open(ctx, filepath.Join(dir, "catalog.db"), catalog.Options{Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.admin, err = store.EnsureDefault(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	log, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: w.clock, Limits: limits,
		Fatal: func(m string) { t.Errorf("the ledger failed: %s", m) }})
	if err != nil {
		t.Fatal(err)
	}
	service, err := metering.New(ctx, metering.Options{Ledger: log, Catalog: store, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	service.KeepBooks(metering.ProductBook(service))
	// It freezes, and sends nowhere.
	service.UseReporter(marketplace.New(marketplace.Options{Catalog: store, Usage: service, Clock: w.clock, Owner: "test"}))
	o.Listen = "127.0.0.1:0"
	s, err := httpserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Mount(SurfaceWith(service, of))
	if err := s.Ready(service); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.url = s.URL()
	t.Cleanup(func() {
		stop()
		for _, err := range []error{<-done, log.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request with the admin's key, unless header says otherwise.
func (w *world) call(method, path, body string, header ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.admin)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// as names another key than the admin's.
func as(key string) []string { return []string{"Authorization", "Bearer " + key} }

// want checks the status and that the body contains each text.
func (w *world) want(a answer, status int, texts ...string) answer {
	w.t.Helper()
	if a.status != status {
		w.t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			w.t.Errorf("%q is not in %s", text, a.body)
		}
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		w.t.Errorf("an error as %q", a.header.Get("Content-Type"))
	}
	return a
}

// read decodes a JSON answer.
func read[T any](w *world, a answer) T {
	w.t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		w.t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// key creates a key in the admin's organization, or in that of the headers.
func (w *world) key(role, customer string, header ...string) string {
	w.t.Helper()
	asked := map[string]string{"role": role}
	if customer != "" {
		asked["customer"] = customer
	}
	body, _ := json.Marshal(asked)
	return read[struct{ Key string }](w, w.want(w.call("POST", "/api/v1/keys", string(body), header...), 201)).Key
}

// testEvent is one event as JSON; changes are pairs of an attribute and its
// JSON text, "" to leave it out.
func testEvent(id string, changes ...string) string {
	fields := []string{"specversion", `"1.0"`, "id", quote(id), "source", `"edge"`, "type", `"edge.request"`, "subject", `"acme"`,
		"time", quote(start.Add(-time.Minute).Format(time.RFC3339)), "data", `{"service":"shop","bytes":100}`}
next:
	for i := 0; i < len(changes); i += 2 {
		for j := 0; j < len(fields); j += 2 {
			if fields[j] == changes[i] {
				fields[j+1] = changes[i+1]
				continue next
			}
		}
		fields = append(fields, changes[i], changes[i+1])
	}
	var out bytes.Buffer
	for j := 0; j < len(fields); j += 2 {
		if fields[j+1] != "" {
			out.WriteString("," + quote(fields[j]) + ":" + fields[j+1])
		}
	}
	return "{" + out.String()[1:] + "}"
}

func quote(s string) string { return string(appendString(nil, s)) }

// result is the answer to an ingest request.
type result struct {
	Accepted, Duplicates, Conflicts, Rejected int
	Errors                                    []struct {
		Index  int
		ID     string
		Reason string
	}
	Sequence uint64
}

// ingest sends a body and checks that its verdicts are those wanted.
func (w *world) ingest(body string, accepted, duplicates, conflicts, rejected int, header ...string) result {
	w.t.Helper()
	status := 200
	if accepted+duplicates == 0 && conflicts+rejected > 0 {
		status = 400
	}
	r := read[result](w, w.want(w.call("POST", "/api/v1/events", body, header...), status))
	if r.Accepted != accepted || r.Duplicates != duplicates || r.Conflicts != conflicts || r.Rejected != rejected {
		w.t.Errorf("accepted %d, duplicates %d, conflicts %d, rejected %d; want %d %d %d %d: %v", r.Accepted, r.Duplicates,
			r.Conflicts, r.Rejected, accepted, duplicates, conflicts, rejected, r.Errors)
	}
	return r
}

const countMeter = `{"key":"requests","event_type":"edge.request","aggregation":"COUNT","group_by":["customer","service"]}`
const sumMeter = `{"key":"bytes","event_type":"edge.request","aggregation":"SUM","value":"bytes","unit":"byte","group_by":["customer","service"]}`

func (w *world) meters() {
	w.t.Helper()
	w.want(w.call("POST", "/api/v1/meters", countMeter), 201)
	w.want(w.call("POST", "/api/v1/meters", sumMeter), 201)
}

// today is a range that holds all events of a test, as a query string.
const today = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z"

func (w *world) total(meter, query string, header ...string) string {
	w.t.Helper()
	return read[struct{ Total string }](w, w.want(w.call("GET", "/api/v1/meters/"+meter+"/usage?"+query, "", header...), 200)).Total
}
