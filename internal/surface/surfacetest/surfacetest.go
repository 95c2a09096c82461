// Package surfacetest is the world in which the tests of every surface live: a
// real server with that surface, over a ledger and a catalog of its own.
package surfacetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"odometer/internal/access"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/figures"
	"odometer/internal/fixedtest"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
)

// Options say what differs between the worlds.
type Options struct {
	Start  time.Time                            // what the clock shows until a test moves it
	DSN    string                               // of the catalog; "" is a file of its own
	Limits ledger.Limits                        // of the ledger
	Server httpserver.Options                   // its address is always a free one
	Mount  func(w *World) []*httpserver.Surface // makes the surfaces; the server's address is not known yet
}

// World is a running server and what it works on. It ends with its test.
type World struct {
	testing.TB
	URL     string
	Clock   *fixedtest.Clock
	Catalog *store.Store
	Keys    *keys.Store
	Ledger  *ledger.Ledger
	Service *metering.Service
	Records *records.Service
	Token   string           // the first key: admin of default, with the operator right
	Admin   access.Principal // whose key that is

	sent int // events, for their ids
}

// New starts a world.
func New(t testing.TB, o Options) *World {
	t.Helper()
	w := &World{TB: t, Clock: fixedtest.NewClock(o.Start)}
	dir := t.TempDir()
	if o.DSN == "" {
		o.DSN = filepath.Join(dir, "catalog.db")
	}
	ctx, stop := context.WithCancel(context.Background())
	var err error
	w.Catalog, err = store.Open(ctx, o.DSN, store.Options{Clock: w.Clock.Now})
	w.Check(err)
	w.Keys, err = keys.Open(ctx, w.Catalog, "")
	w.Check(err)
	w.Token, err = w.Keys.EnsureDefault(ctx, "test")
	w.Check(err)
	w.Ledger, err = ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: w.Clock.Now, Limits: o.Limits,
		Fatal: func(m string) { t.Errorf("the ledger failed: %s", m) }})
	w.Check(err)
	w.Service, err = metering.New(ctx, metering.Options{Ledger: w.Ledger, Catalog: w.Catalog, Keys: w.Keys, Clock: w.Clock.Now})
	w.Check(err)
	w.Records = records.New(records.Options{Ledger: w.Ledger, Store: stored.New(w.Catalog), Catalog: w.Catalog, Meters: w.Service, Reads: w.Service.Reads(), Clock: w.Clock.Now})
	w.Service.UseMeterOwner(w.Records)
	w.Admin, err = w.Service.Authenticate(ctx, w.Token, "")
	w.Check(err)
	o.Server.Listen = "127.0.0.1:0"
	s, err := httpserver.New(o.Server)
	w.Check(err)
	s.Mount(o.Mount(w)...)
	w.Check(s.Ready(w.Service, figures.Of(w.Service, w.Records)))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.URL = s.URL()
	t.Cleanup(func() {
		stop()
		served := <-done
		w.Service.Close()
		for _, err := range []error{served, w.Ledger.Close(), w.Catalog.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// Check ends the test at an error.
func (w *World) Check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Apply makes the organization default what a document says.
func (w *World) Apply(document string, o metering.ApplyOptions) {
	w.Helper()
	w.ApplyAs(w.Admin, document, o)
}

// ApplyAs is Apply to a principal's organization.
func (w *World) ApplyAs(p access.Principal, document string, o metering.ApplyOptions) {
	w.Helper()
	_, err := w.Service.Apply(context.Background(), p, []byte(document), o)
	w.Check(err)
}

// Define creates meters in a principal's organization.
func (w *World) Define(p access.Principal, meters ...meter.Meter) {
	w.Helper()
	for _, m := range meters {
		_, _, err := w.Service.CreateMeter(context.Background(), p, m)
		w.Check(err)
	}
}

// NewKey creates a key in the organization default, bound to a customer or to none.
func (w *World) NewKey(role access.Role, customer string) string {
	w.Helper()
	return w.CreateKey(access.NewKey{Organization: "default", Role: role, Customer: customer})
}

// CreateKey creates a key.
func (w *World) CreateKey(n access.NewKey) string {
	w.Helper()
	_, token, err := w.Keys.CreateKey(context.Background(), n, "test")
	w.Check(err)
	return token
}

// Event is usage that a test sends. Each gets an id of its own.
type Event struct {
	Type, Subject string
	At            time.Time
	Data          map[string]any
}

// Ingest sends events as the admin. All must be accepted.
func (w *World) Ingest(events ...Event) {
	w.Helper()
	var body strings.Builder
	for _, e := range events {
		w.Check(json.NewEncoder(&body).Encode(map[string]any{"specversion": "1.0", "id": fmt.Sprint(w.sent), "source": "s", "type": e.Type,
			"subject": e.Subject, "time": e.At, "data": e.Data}))
		w.sent++
	}
	r, err := w.Service.Ingest(context.Background(), w.Admin, []byte(body.String()), cloudevents.NDJSON, false)
	if err != nil || r.Accepted != len(events) {
		w.Fatalf("%+v %v", r, err)
	}
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends a request; header holds names and values in turn, and an empty
// value takes what stands there away. It follows no redirect.
func (w *World) Send(method, url, body string, header ...string) Answer {
	w.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.URL + url
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	w.Check(err)
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Add(header[i], header[i+1]); header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	return w.Do(r)
}

// Do sends a request as it is.
func (w *World) Do(r *http.Request) Answer {
	w.Helper()
	a, err := http.DefaultTransport.RoundTrip(r)
	w.Check(err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	w.Check(err)
	return Answer{a.StatusCode, a.Header, string(text)}
}

// Read decodes a JSON text, with its numbers as they stand there.
func Read[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
