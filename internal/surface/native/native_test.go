package native

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/marketplace"
	"odometer/internal/metering"
	stored "odometer/internal/store/records"
	"odometer/internal/surface/surfacetest"
)

// start is when tests begin; their clock stands still until a test moves it.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is the surface on a real server.
type world struct{ *surfacetest.World }

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, httpserver.Options{}, ledger.Limits{}, Options{})
}

// newWorldWith is newWorld with options of the server, the ledger and the surface.
func newWorldWith(t testing.TB, o httpserver.Options, limits ledger.Limits, of Options) *world {
	t.Helper()
	return &world{surfacetest.New(t, surfacetest.Options{Start: start, Server: o, Limits: limits, Mount: func(w *surfacetest.World) []*httpserver.Surface {
		w.Service.KeepBooks(metering.ProductBook(w.Service))
		// It freezes, and sends nowhere.
		w.Records.UseReporter(marketplace.New(marketplace.Options{Usage: w.Service, Entries: w.Service, Records: w.Records, Accounts: w.Catalog, Store: stored.New(w.Catalog), Clock: w.Clock.Now, Owner: "test"}))
		return []*httpserver.Surface{SurfaceWith(w.Service, w.Records, of)}
	}})}
}

// answer is what came back.
type answer = surfacetest.Answer

// call sends a request with the admin's key, unless header says otherwise.
func (w *world) call(method, path, body string, header ...string) answer {
	w.Helper()
	r, err := http.NewRequest(method, w.URL+path, strings.NewReader(body))
	w.Check(err)
	r.Header.Set("Authorization", "Bearer "+w.Token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	return w.Do(r)
}

// as names another key than the admin's.
func as(key string) []string { return []string{"Authorization", "Bearer " + key} }

// want checks the status and that the body contains each text.
func (w *world) want(a answer, status int, texts ...string) answer {
	w.Helper()
	if a.Status != status {
		w.Errorf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			w.Errorf("%q is not in %s", text, a.Body)
		}
	}
	if a.Status >= 400 && a.Header.Get("Content-Type") != "application/problem+json" {
		w.Errorf("an error as %q", a.Header.Get("Content-Type"))
	}
	return a
}

// read decodes a JSON answer.
func read[T any](w *world, a answer) T {
	w.Helper()
	return surfacetest.Read[T](w.TB, a.Body)
}

// key creates a key in the admin's organization, or in that of the headers.
func (w *world) key(role, customer string, header ...string) string {
	w.Helper()
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
	w.Helper()
	status := 200
	if accepted+duplicates == 0 && conflicts+rejected > 0 {
		status = 400
	}
	r := read[result](w, w.want(w.call("POST", "/api/v1/events", body, header...), status))
	if r.Accepted != accepted || r.Duplicates != duplicates || r.Conflicts != conflicts || r.Rejected != rejected {
		w.Errorf("accepted %d, duplicates %d, conflicts %d, rejected %d; want %d %d %d %d: %v", r.Accepted, r.Duplicates,
			r.Conflicts, r.Rejected, accepted, duplicates, conflicts, rejected, r.Errors)
	}
	return r
}

const countMeter = `{"key":"requests","event_type":"edge.request","aggregation":"COUNT","group_by":["customer","service"]}`
const sumMeter = `{"key":"bytes","event_type":"edge.request","aggregation":"SUM","value":"bytes","unit":"byte","group_by":["customer","service"]}`

func (w *world) meters() {
	w.Helper()
	w.want(w.call("POST", "/api/v1/meters", countMeter), 201)
	w.want(w.call("POST", "/api/v1/meters", sumMeter), 201)
}

// backfilled asks until meters have counted what came before them. The test's own limit of time bounds it.
func (w *world) backfilled(meters ...string) {
	w.Helper()
	for _, m := range meters {
		for !strings.Contains(w.want(w.call("GET", "/api/v1/meters/"+m, ""), 200).Body, `"done":true`) {
			if err := w.Context().Err(); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// today is a range that holds all events of a test, as a query string.
const today = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z"

func (w *world) total(meter, query string, header ...string) string {
	w.Helper()
	return read[struct{ Total string }](w, w.want(w.call("GET", "/api/v1/meters/"+meter+"/usage?"+query, "", header...), 200)).Total
}
