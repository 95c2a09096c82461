package native

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConflictsAreSealed: no answer to a bound key quotes what another
// customer's event holds or where it is, in any mode and form.
func TestConflictsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	theirs := func(id string) string {
		return testEvent(id, "subject", `"zeta"`, "type", `"secret.type"`, "time", `"2026-11-22T07:07:07Z"`, "data", `{"secret":"4711","bytes":987654}`)
	}
	for i := range 7 { // so that places differ
		w.ingest("["+theirs(fmt.Sprint("z", i))+","+theirs(fmt.Sprint("y", i))+"]", 2, 0, 0, 0)
	}
	write := as(w.key("ingest", "acme"))
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "z1", "Ce-Source", "edge", "Ce-Type", "edge.request", "Ce-Subject", "acme", "Ce-Time", start.Format(time.RFC3339)}
	reasons := map[string]bool{}
	for _, query := range []string{"", "?atomic=true", "?strict=true", "?atomic=true&strict=true"} {
		for _, form := range []struct {
			body   string
			header []string
		}{
			{testEvent("z1"), []string{"Content-Type", "application/cloudevents+json"}},
			{"[" + testEvent("z1") + "," + testEvent("y2") + "," + testEvent("z1", "data", `{"bytes":3}`) + "]", []string{"Content-Type", "application/cloudevents-batch+json"}},
			{testEvent("z1") + "\n" + testEvent("y3"), []string{"Content-Type", "application/x-ndjson"}},
			{`{"bytes":1}`, binary},
		} {
			got := w.call("POST", "/api/v1/events"+query, form.body, append(form.header, write...)...)
			for _, secret := range []string{"zeta", "secret", "4711", "987654", "07:07:07", "sequence", "ordinal"} {
				if strings.Contains(got.Body, secret) {
					t.Errorf("%s: %s is in %s", query, secret, got.Body)
				}
			}
			for _, e := range read[result](w, w.want(got, 400)).Errors {
				reasons[e.Reason] = true
			}
		}
	}
	if len(reasons) != 1 {
		t.Errorf("conflicts are told apart: %v", reasons)
	}
	// Who sees all of the organization is told what differs.
	w.want(w.call("POST", "/api/v1/events?atomic=true", testEvent("z1")), 400, "zeta", "4711", "(sequence ")
}

// TestPlacesAreOnesOwn: what an organization is told of places in the log
// changes by nothing but its own usage, and a bound key is told none.
func TestPlacesAreOnesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other"}`), 201)
	noise := 0
	busy := func(n int) {
		for range n {
			noise++
			w.ingest(testEvent(fmt.Sprint("noise-", noise)), 1, 0, 0, 0, "Odometer-Organization", "other")
		}
	}
	busy(3)
	w.meters()
	var sequences []uint64
	for i := range 5 {
		sequences = append(sequences, w.ingest(testEvent(fmt.Sprint("e", i)), 1, 0, 0, 0).Sequence)
	}
	for i := 1; i < len(sequences); i++ { // one after the other in the log
		for j := range i {
			if sequences[i]-sequences[j] <= uint64(2*len(sequences)) || sequences[j]-sequences[i] <= uint64(2*len(sequences)) || sequences[i] >= 1<<53 {
				t.Errorf("the numbers %v tell of the log's length", sequences)
			}
		}
	}
	paths := []string{"/api/v1/meters", "/api/v1/meters/requests", "/api/v1/meters/requests/usage?" + today, "/api/v1/events", "/api/v1/events?limit=2",
		"/api/v1/events/lookup?source=edge&id=e1"}
	ask := func(key ...string) (all []string) {
		for _, path := range paths {
			a := w.want(w.call("GET", path, "", key...), 200)
			all = append(all, a.Body)
			a = w.want(w.call("GET", path, "", append([]string{"Accept", "text/csv"}, key...)...), 200)
			all = append(all, a.Body+a.Header.Get("Odometer-Sequence"))
		}
		return all
	}
	bound := as(w.key("read", "acme"))
	before, boundBefore := ask(), ask(bound...)
	busy(4)
	w.want(w.call("POST", "/api/v1/meters", sumMeter, "Odometer-Organization", "other"), 201)
	if after := ask(); !slices.Equal(before, after) {
		t.Errorf("another organization's usage shows:\n%s\n%s", before, after)
	}
	first := read[eventsBody](w, w.call("GET", "/api/v1/events?limit=1", ""))
	if first.Events[0].Sequence != sequences[0] {
		t.Errorf("the event is at %d, the request that sent it was at %d", first.Events[0].Sequence, sequences[0])
	}
	w.ingest(testEvent("zeta", "subject", `"zeta"`), 1, 0, 0, 0)
	for i, after := range ask(bound...) {
		if after != boundBefore[i] {
			t.Errorf("another customer's usage shows:\n%s\n%s", boundBefore[i], after)
		}
		if strings.Contains(after, "sequence") || strings.Contains(after, "ordinal") {
			t.Errorf("a bound key is told places: %s", after)
		}
	}
	// Cursors hold places: they are sealed, and each organization has its own.
	var seen []string
	for cursor := ""; ; {
		page := read[eventsBody](w, w.want(w.call("GET", "/api/v1/events?limit=2&cursor="+cursor, ""), 200))
		seen = append(seen, page.ids()...)
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
		w.want(w.call("GET", "/api/v1/events?cursor="+cursor, "", "Odometer-Organization", "other"), 400, "cursor")
		if raw, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || bytes.HasPrefix(raw, make([]byte, 4)) {
			t.Errorf("cursor %s: %v %v", cursor, raw, err)
		}
	}
	if len(seen) != 6 {
		t.Errorf("pages hold %v", seen)
	}
}

// TestSources: a bound key sends the sources that it was given, which are its
// customer's; one without sends any that are no other customer's.
func TestSources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	create := func(customer string, status int, texts []string, sources ...string) answer {
		t.Helper()
		key := map[string]any{"role": "ingest", "customer": customer}
		if len(sources) > 0 {
			key["sources"] = sources
		}
		body, _ := json.Marshal(key)
		return w.want(w.call("POST", "/api/v1/keys", string(body)), status, texts...)
	}
	keyOf := func(a answer) []string { return as(read[struct{ Key string }](w, a).Key) }
	acme := keyOf(create("acme", 201, []string{`"sources":["acme/","edge/acme"]`}, "edge/acme", "acme/", "acme/logs/"))
	create("zeta", 409, []string{"acme/"}, "acme/x")
	create("zeta", 409, []string{"edge/acme"}, "edge/")
	create("zeta", 409, []string{"acme/"}, "zeta/", "a")
	create("acme", 201, nil, "acme/logs/") // another key of the customer
	zeta := keyOf(create("zeta", 201, nil, "zeta/"))
	older := keyOf(create("zeta", 201, []string{`"unrestricted_sources":true`}))
	create("zeta", 400, []string{"suger/"}, "suger/e1")
	create("zeta", 400, nil, "")
	create("zeta", 400, nil, "a\nb")
	w.want(w.call("POST", "/api/v1/keys", `{"role":"ingest","sources":["x"]}`), 400, "bound")
	w.want(w.call("POST", "/api/v1/keys", `{"role":"read","customer":"acme","sources":["x"]}`), 400, "ingest")
	w.want(w.call("POST", "/api/v1/keys", `{"role":"read","strict":true}`), 400, "strict")
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprintf("m%02d/", i)
	}
	create("acme", 413, []string{"16"}, many...)
	create("acme", 201, nil, many[:16]...)

	send := func(key []string, status int, customer string, sources ...string) {
		t.Helper()
		var events []string
		for i, s := range sources {
			events = append(events, testEvent(fmt.Sprint(i), "subject", quote(customer), "source", quote(s)))
		}
		w.want(w.call("POST", "/api/v1/events", "["+strings.Join(events, ",")+"]", key...), status)
	}
	send(acme, 200, "acme", "acme/", "acme/2", "edge/acme-1")
	send(acme, 403, "acme", "acme/3", "edge")
	send(acme, 403, "acme", "zeta/")
	send(zeta, 200, "zeta", "zeta/1")
	send(zeta, 403, "zeta", "acme/1")
	send(older, 200, "zeta", "zeta/2", "edge", "anything")
	send(older, 403, "zeta", "anything", "acme/4")
	send(older, 403, "zeta", "edge/acme")
	send(as(w.key("ingest", "")), 200, "zeta", "acme/5") // sees the whole organization
	// Internal sources are nobody's.
	for _, key := range [][]string{older, acme, as(w.Token)} {
		a := w.call("POST", "/api/v1/events", testEvent("G/0", "source", `"suger/ENT"`), key...)
		w.want(a, 400, "suger/")
	}
	// A key that is revoked gives its sources back.
	for _, k := range read[keysBody](w, w.call("GET", "/api/v1/keys", "")).Keys {
		if k.Customer == "acme" {
			w.want(w.call("DELETE", "/api/v1/keys/"+k.ID, ""), 204)
		}
	}
	create("zeta", 201, nil, "edge/")
	send(older, 200, "zeta", "acme/6")
}

// ownedCatalog has a product and a meter of each kind that is one customer's
// own, the other's, and of nobody in particular.
const ownedCatalog = `
meters:
- {key: hits, event_type: edge.request, aggregation: COUNT, group_by: [customer]}
- {key: general, event_type: edge.request, aggregation: COUNT}
- {key: acmes, event_type: edge.request, aggregation: COUNT}
- {key: zetas, event_type: edge.request, aggregation: COUNT}
- {key: entitled, event_type: edge.request, aggregation: COUNT}
- {key: units, event_type: units, aggregation: COUNT}
- {key: zeta-only, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: customer, op: IS, value: zeta}, {attribute: customer, op: IS, value: omega}]]}
- {key: not-acme, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: customer, op: NOT_IS, value: acme}]]}
- {key: maybe, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: customer, op: IS, value: zeta}, {attribute: service, op: IS, value: shop}]]}
products:
- {id: cdn, usage_types: [{name: Hits, meter: hits}, {name: Acme, meter: acmes}]}
- {id: zdn, usage_types: [{name: Hits, meter: hits}, {name: Secret, meter: zetas}]}
- {id: anybodys, usage_types: [{name: Hits, meter: hits}]}
units: {cloud: {meter: units}}
customers:
- {id: acme, contracts: [{id: K-1, terms: [{products: [cdn], regions: GLOBAL}]}]}
- {id: zeta, contracts: [{id: K-2, terms: [{products: [zdn], regions: GLOBAL}]}]}
entitlements:
- {id: e1, customer: acme, partner: AWS, product: cdn, starts: 2026-01-01, dimensions: [{key: gb}]}
- {id: e2, customer: zeta, partner: AWS, product: zdn, starts: 2026-01-01, dimensions: [{key: gb, meter: entitled}]}
`

// TestWhatIsNotOnesOwnIsUnknown: products, usage types and meters that the
// catalog names for other customers only answer a bound key as those that do
// not exist, and no answer to it names who did something.
func TestWhatIsNotOnesOwnIsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", ownedCatalog, yamlBody...), 200)
	w.ingest("["+testEvent("a")+","+testEvent("z", "subject", `"zeta"`, "data", `{"product":"zdn"}`)+","+testEvent("o", "data", `{"product":"zdn"}`, "time", `"2026-11-21T10:00:00Z"`)+"]", 3, 0, 0, 0)
	w.want(w.call("POST", "/api/v1/entitlements/e1/credits", `{"amount":"5"}`), 201, "key:")
	bound := as(w.key("read", "acme"))
	compare := func(format, unseen, unknown string) {
		t.Helper()
		a, b := w.call("GET", fmt.Sprintf(format, unseen), "", bound...), w.call("GET", fmt.Sprintf(format, unknown), "", bound...)
		w.want(a, 404)
		same(t, a, b)
		if strings.ReplaceAll(detail(a.Body), unseen, unknown) != detail(b.Body) {
			t.Errorf("%s\n%s", a.Body, b.Body)
		}
	}
	for _, query := range []string{"?product=%s&" + today, "?product=%s&usage_type=Hits&" + today, "?product=%s&usage_type=Nothing&" + today, "?product=%s&contract=K-1&" + today} {
		compare("/api/v1/usage"+query, "zdn", "xyz")
	}
	compare("/api/v1/usage?usage_type=%s&"+today, "Secret", "Nobody")
	for _, key := range []string{"zetas", "entitled", "zeta-only", "not-acme"} {
		none := strings.Repeat("x", len(key))
		compare("/api/v1/meters/%s", key, none)
		compare("/api/v1/meters/%s/usage?"+today, key, none)
	}
	var list struct{ Meters []struct{ Key string } }
	if err := json.Unmarshal([]byte(w.want(w.call("GET", "/api/v1/meters", "", bound...), 200).Body), &list); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, m := range list.Meters {
		keys = append(keys, m.Key)
		w.want(w.call("GET", "/api/v1/meters/"+m.Key, "", bound...), 200)
		w.want(w.call("GET", "/api/v1/meters/"+m.Key+"/usage?"+today, "", bound...), 200)
	}
	if slices.Sort(keys); !slices.Equal(keys, []string{"acmes", "general", "hits", "maybe", "units"}) {
		t.Errorf("a bound key sees %v", keys)
	}
	// What is its own, or nobody's, or was used, is answered.
	w.want(w.call("GET", "/api/v1/usage?product=cdn&"+today, "", bound...), 200, `"cdn"`)
	w.want(w.call("GET", "/api/v1/usage?product=anybodys&"+today, "", bound...), 200, `"rows":[`)
	w.want(w.call("GET", "/api/v1/usage?product=zdn&from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z", "", bound...), 200, `"zdn"`)
	w.want(w.call("GET", "/api/v1/usage?product=zdn&"+today, "", as(w.key("read", ""))...), 400, "customer")
	if a := w.want(w.call("GET", "/api/v1/entitlements/e1/credits", "", bound...), 200, `"amount":"5"`); strings.Contains(a.Body, "key:") {
		t.Errorf("a bound key is told who gave a credit: %s", a.Body)
	}
}
