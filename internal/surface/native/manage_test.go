package native

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMeters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(testEvent("before"), 1, 0, 0, 0)
	a := w.want(w.call("POST", "/api/v1/meters", sumMeter), 201, `"key":"bytes"`, `"status":"active"`, `"backfill":{`)
	if a.Header.Get("Location") != "/api/v1/meters/bytes" {
		t.Errorf("Location %q", a.Header.Get("Location"))
	}
	if got := w.total("bytes", today); got != "100" { // exact whether it is backfilled yet or not
		t.Errorf("total %s", got)
	}
	w.want(w.call("POST", "/api/v1/meters", sumMeter), 200)
	w.want(w.call("POST", "/api/v1/meters", strings.Replace(sumMeter, "SUM", "MAX", 1)), 409, "bytes")
	w.want(w.call("GET", "/api/v1/meters/bytes", ""), 200, `"value":"bytes"`, `"group_by":["customer","service"]`)
	w.want(w.call("PATCH", "/api/v1/meters/bytes", `{"name":"Delivered bytes","unit":"B"}`), 200, `"name":"Delivered bytes"`, `"unit":"B"`)
	w.want(w.call("GET", "/api/v1/meters", ""), 200, `{"meters":[{`, `"name":"Delivered bytes"`)
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/api/v1/meters", `{`, 400, ""},
		{"POST", "/api/v1/meters", `[]`, 400, ""},
		{"POST", "/api/v1/meters", `{"key":"x","event_type":"y","aggregation":"SUM"}`, 400, "value"},
		{"POST", "/api/v1/meters", `{"key":"x","event_type":"y","aggregation":"MEDIAN"}`, 400, "MEDIAN"},
		{"POST", "/api/v1/meters", `{"key":"x","event_type":"y","aggregation":"COUNT","color":"red"}`, 400, "color"},
		{"POST", "/api/v1/meters", `{"event_type":"y","aggregation":"COUNT"}`, 400, "key"},
		{"POST", "/api/v1/meters?dry=1", countMeter, 400, "dry"},
		{"GET", "/api/v1/meters/unknown", "", 404, "unknown"},
		{"PATCH", "/api/v1/meters/unknown", `{"name":"x"}`, 404, "unknown"},
		{"PATCH", "/api/v1/meters/bytes", `{"aggregation":"MAX"}`, 409, "aggregation"},
		{"PATCH", "/api/v1/meters/bytes", `{"color":"red"}`, 400, "color"},
		{"PATCH", "/api/v1/meters/bytes", `{"name":7}`, 400, "name"},
		{"PATCH", "/api/v1/meters/bytes", `[]`, 400, ""},
		{"PATCH", "/api/v1/meters/bytes", `{} {}`, 400, ""},
		{"DELETE", "/api/v1/meters/unknown", "", 404, "unknown"},
	} {
		a := w.call(c.method, c.path, c.body)
		if a.Status != c.status || !strings.Contains(a.Body, c.text) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.Status, a.Body)
		}
	}
	w.want(w.call("POST", "/api/v1/meters", sumMeter, "Content-Type", "text/yaml"), 415)
	w.want(w.call("DELETE", "/api/v1/meters/bytes", ""), 204)
	w.want(w.call("GET", "/api/v1/meters/bytes/usage?"+today, ""), 404)
	w.want(w.call("GET", "/api/v1/meters", ""), 200, `{"meters":[]}`)
	entries := read[struct {
		Entries []struct{ Action, Noun, ID, Actor string }
	}](w, w.want(w.call("GET", "/api/v1/audit", ""), 200)).Entries
	var got []string
	for _, e := range entries {
		if e.Noun == "meter" {
			got = append(got, e.Action+" "+e.ID)
			if !strings.HasPrefix(e.Actor, "key:") {
				t.Errorf("actor %q", e.Actor)
			}
		}
	}
	if want := []string{"delete bytes", "update bytes", "create bytes"}; !slices.Equal(got, want) {
		t.Errorf("audit: %v", got)
	}
}

type keysBody struct {
	Keys       []struct{ ID, Role, Revoked, Customer string }
	NextCursor *string `json:"next_cursor"`
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(w.call("POST", "/api/v1/keys", `{"role":"read","kind":"token","customer":"acme","expires":"2026-11-22T13:00:00Z"}`), 201, `"customer":"acme"`)
	made := read[struct{ ID, Key string }](w, a)
	if made.ID == "" || !strings.HasPrefix(made.Key, "odo_") || a.Header.Get("Location") != "/api/v1/keys/"+made.ID {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	list := w.want(w.call("GET", "/api/v1/keys", ""), 200)
	if strings.Contains(list.Body, made.Key) || len(read[keysBody](w, list).Keys) != 2 {
		t.Errorf("%s", list.Body)
	}
	if page := read[keysBody](w, w.call("GET", "/api/v1/keys?limit=1", "")); len(page.Keys) != 1 || page.NextCursor == nil {
		t.Errorf("a page of one: %+v", page)
	}
	w.want(w.call("GET", "/api/v1/meters", "", as(made.Key)...), 200)
	w.Clock.Advance(time.Hour)
	w.want(w.call("GET", "/api/v1/meters", "", as(made.Key)...), 401)
	w.Clock.Advance(-time.Hour)
	w.want(w.call("DELETE", "/api/v1/keys/"+made.ID, ""), 204)
	w.want(w.call("GET", "/api/v1/meters", "", as(made.Key)...), 401)
	w.want(w.call("DELETE", "/api/v1/keys/"+made.ID, ""), 204)
	w.want(w.call("DELETE", "/api/v1/keys/unknown", ""), 404)
	for body, text := range map[string]string{
		`{}`: "role", `{"role":"king"}`: "role", `{"role":"read","kind":"x"}`: "kind", `{"role":"read","kind":"edgegrid","accounts":["a:b"]}`: "account", `{"role":"admin","customer":"acme"}`: "admin",
		`{"role":"read","expires":"2020-01-01T00:00:00Z"}`: "expires", `{"role":"read","expires":"soon"}`: "", `{"role":"read","operator":true}`: "operator",
		`{"role":"ingest","kind":"edgegrid"}`: "kind: ", `{"role":"report","kind":"edgegrid","customer":"acme"}`: "kind: ", `{"role":"read","accounts":["A"]}`: "accounts: ",
		`{"role":"read","kind":"edgegrid","default_aid":"7"}`: "default_aid: ", `{"role":"ingest","default_aid":"7"}`: "default_aid: ",
		`{"role":"read","customer":"acme","default_aid":"7"}`: "default_aid: ", `{"role":"ingest","sources":["edge/"]}`: "sources: ",
		`{"role":"report","strict":true}`: "strict: ", `{"role":"admin","kind":"edgegrid","strict":true}`: "strict: ",
		`{"role":"read"`: "", `{"role":"read"}x`: "", `"read"`: "",
	} {
		w.want(w.call("POST", "/api/v1/keys", body), 400, text)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, header := range []string{"", "Bearer", "Bearer odo_x_y", "Bearer " + w.Token + "x", "Basic " + w.Token} {
		for _, op := range operations {
			path := strings.NewReplacer("{key}", "k", "{id}", "i").Replace(op.Path)
			a := w.want(w.call(op.Method, path, "", "Authorization", header), 401, "unauthenticated")
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		}
	}
	for _, path := range []string{"/openapi.json", "/docs", "/healthz", "/readyz"} {
		w.want(w.call("GET", path, "", "Authorization", ""), 200)
	}
}

// TestRoles is who may do what (semantics 21).
func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	keys := map[string]string{"admin": w.key("admin", ""), "ingest": w.key("ingest", ""), "read": w.key("read", ""), "report": w.key("report", "")}
	for _, c := range []struct {
		method, path, body string
		status             int
		roles              []string
	}{
		{"POST", "/api/v1/events", testEvent("a"), 200, []string{"ingest"}},
		{"GET", "/api/v1/events", "", 200, []string{"read"}},
		{"GET", "/api/v1/events/lookup?source=edge&id=a", "", 200, []string{"read"}},
		{"GET", "/api/v1/meters", "", 200, []string{"read"}},
		{"GET", "/api/v1/meters/bytes", "", 200, []string{"read"}},
		{"GET", "/api/v1/meters/bytes/usage?" + today, "", 200, []string{"read"}},
		{"POST", "/api/v1/meters", sumMeter, 200, nil},
		{"PATCH", "/api/v1/meters/bytes", `{"name":"x"}`, 200, nil},
		{"GET", "/api/v1/keys", "", 200, nil},
		{"POST", "/api/v1/keys", `{"role":"read"}`, 201, nil},
		{"DELETE", "/api/v1/keys/unknown", "", 404, nil},
		{"GET", "/api/v1/organizations", "", 200, nil},
		{"GET", "/api/v1/organizations/default", "", 200, nil},
		{"PATCH", "/api/v1/organizations/default", `{"name":"x"}`, 200, nil},
		{"GET", "/api/v1/audit", "", 200, nil},
		{"DELETE", "/api/v1/meters/requests", "", 204, nil},
	} {
		for role, key := range keys {
			if role == "admin" {
				continue
			}
			want := 403
			if slices.Contains(c.roles, role) {
				want = c.status
			}
			if a := w.call(c.method, c.path, c.body, as(key)...); a.Status != want {
				t.Errorf("%s %s as %s: %d, want %d %s", c.method, c.path, role, a.Status, want, a.Body)
			}
		}
		if a := w.call(c.method, c.path, c.body, as(keys["admin"])...); a.Status != c.status {
			t.Errorf("%s %s as admin: %d %s", c.method, c.path, a.Status, a.Body)
		}
	}
	// Only the first key has the operator right.
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"x"}`, as(keys["admin"])...), 403)
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"x"}`), 201)
}

// TestTenantsAreSealed: another organization's things answer as things that do not exist.
func TestTenantsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(w.call("POST", "/api/v1/organizations", `{"id":"other","name":"Other"}`), 201, `"customer_attribute":"subject"`)
	if a.Header.Get("Location") != "/api/v1/organizations/other" {
		t.Errorf("Location %q", a.Header.Get("Location"))
	}
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other"}`), 409)
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"no spaces"}`), 400, "id")
	inOther := []string{"Odometer-Organization", "other"}
	theirs := w.key("admin", "", inOther...)
	ours := w.key("admin", "")
	w.meters()
	w.want(w.call("POST", "/api/v1/meters", sumMeter, as(theirs)...), 201)
	w.ingest(testEvent("a"), 1, 0, 0, 0)
	w.ingest(testEvent("a", "data", `{"bytes":7}`), 1, 0, 0, 0, as(theirs)...) // the same identity is another event there
	w.ingest(testEvent("only-theirs"), 1, 0, 0, 0, inOther...)
	if got := w.total("bytes", today, as(theirs)...); got != "107" {
		t.Errorf("their total %s", got)
	}
	if got := w.total("bytes", today); got != "100" {
		t.Errorf("our total %s", got)
	}
	theirKey := read[keysBody](w, w.call("GET", "/api/v1/keys", "", as(theirs)...)).Keys[0].ID
	for _, c := range []struct{ method, known, unknown string }{
		{"GET", "/api/v1/events/lookup?source=edge&id=only-theirs", "/api/v1/events/lookup?source=edge&id=nobodys"},
		{"GET", "/api/v1/organizations/other", "/api/v1/organizations/nobody"},
		{"PATCH", "/api/v1/organizations/other", "/api/v1/organizations/nobody"},
		{"DELETE", "/api/v1/keys/" + theirKey, "/api/v1/keys/" + strings.Repeat("x", len(theirKey))},
		{"DELETE", "/api/v1/meters/bytes-theirs", "/api/v1/meters/nobodys"},
	} {
		body := map[string]string{"PATCH": `{"name":"x"}`}[c.method]
		same(t, w.call(c.method, c.known, body, as(ours)...), w.call(c.method, c.unknown, body, as(ours)...))
	}
	for _, org := range []string{"other", "nobody", "no spaces"} {
		w.want(w.call("GET", "/api/v1/meters", "", append(as(ours), "Odometer-Organization", org)...), 403, "operator")
	}
	w.want(w.call("GET", "/api/v1/meters", "", "Odometer-Organization", "nobody"), 404, "nobody")
	w.want(w.call("GET", "/api/v1/meters", "", append(as(ours), "Odometer-Organization", "default")...), 200)
	if list := w.call("GET", "/api/v1/organizations", "", as(ours)...); strings.Contains(list.Body, "other") {
		t.Errorf("%s", list.Body)
	}
	w.want(w.call("GET", "/api/v1/organizations", ""), 200, `"id":"default"`, `"id":"other"`)
	if entries := w.call("GET", "/api/v1/audit", "", as(theirs)...); strings.Contains(entries.Body, `"organization":"default"`) {
		t.Errorf("%s", entries.Body)
	}
}

// same compares two answers but for what names the request itself.
func same(t *testing.T, known, unknown answer) {
	t.Helper()
	cut := func(a answer) string {
		_, rest, _ := strings.Cut(a.Body, `"detail":"`)
		detail, _, _ := strings.Cut(rest, `","instance"`)
		words := strings.Fields(detail)
		for i, word := range words {
			if strings.HasPrefix(word, `\"`) { // the id that was asked for
				words[i] = "ID"
			}
		}
		return fmt.Sprint(a.Status, words)
	}
	if cut(known) != cut(unknown) {
		t.Errorf("%d %s\nis not as\n%d %s", known.Status, known.Body, unknown.Status, unknown.Body)
	}
}

// TestBoundKeys: a key bound to a customer sees and writes that customer's usage only.
func TestBoundKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	w.want(w.call("POST", "/api/v1/meters", `{"key":"plain","event_type":"edge.request","aggregation":"COUNT"}`), 201)
	zeta := func(id string) string { return testEvent(id, "subject", `"zeta"`) }
	w.ingest("["+testEvent("a")+","+testEvent("b")+","+zeta("z")+","+testEvent("bad", "time", `"then"`)+"]", 3, 0, 0, 1)
	w.ingest(zeta("a"), 0, 0, 1, 0)
	read1 := as(w.key("read", "acme"))
	if got := w.total("requests", today, read1...); got != "2" {
		t.Errorf("requests %s", got)
	}
	if got := w.total("plain", today, read1...); got != "2" { // the meter does not group by customer
		t.Errorf("plain %s", got)
	}
	if got := w.total("requests", today+"&filter[customer]=zeta", read1...); got != "0" {
		t.Errorf("another's requests %s", got)
	}
	if u := read[usageBody](w, w.call("GET", "/api/v1/meters/requests/usage?"+today+"&group_by=customer", "", read1...)); len(u.Rows) != 1 {
		t.Errorf("%+v", u)
	}
	for _, query := range []string{"", "?verdict=rejected", "?verdict=conflict", "?subject=zeta"} {
		page := w.want(w.call("GET", "/api/v1/events"+query, "", read1...), 200)
		if strings.Contains(page.Body, "zeta") || strings.Contains(page.Body, "bad") {
			t.Errorf("%s: %s", query, page.Body)
		}
	}
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=b", "", read1...), 200)
	if l := w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=a", "", read1...), 200); strings.Contains(l.Body, "zeta") {
		t.Errorf("another's conflicting event: %s", l.Body)
	}
	same(t, w.call("GET", "/api/v1/events/lookup?source=edge&id=z", "", read1...), w.call("GET", "/api/v1/events/lookup?source=edge&id=none", "", read1...))
	w.want(w.call("GET", "/api/v1/meters/requests", "", read1...), 200, `"groups":0`)

	write := as(w.key("ingest", "acme"))
	w.ingest(testEvent("c"), 1, 0, 0, 0, write...)
	w.want(w.call("POST", "/api/v1/events", "["+testEvent("d")+","+zeta("e")+"]", write...), 403, "event 1")
	w.want(w.call("GET", "/api/v1/events/lookup?source=edge&id=d", ""), 404) // nothing of it was counted
	r := w.ingest(testEvent("z"), 0, 0, 1, 0, write...)
	if strings.Contains(r.Errors[0].Reason, "zeta") {
		t.Errorf("a conflict tells of another customer: %s", r.Errors[0].Reason)
	}
	w.want(w.call("POST", "/api/v1/keys", `{"role":"read"}`, write...), 403)
}

func TestAssignTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const org = "/api/v1/organizations/default"
	w.want(w.call("GET", org, ""), 200, `"assign_time":true`)
	w.ingest(testEvent("a", "time", ""), 1, 0, 0, 0)
	w.want(w.call("PATCH", org, `{"assign_time":false}`), 200, `"assign_time":false`)
	w.want(w.call("GET", "/api/v1/organizations", ""), 200, `"assign_time":false`)
	w.want(w.call("POST", "/api/v1/events", "["+testEvent("b", "time", "")+","+testEvent("c")+"]"), 200, `"accepted":1,"duplicates":0,"conflicts":0,"rejected":1`, "time is missing")
	w.want(w.call("GET", "/api/v1/audit?limit=1", ""), 200, `"assign_time":false`)
	w.want(w.call("GET", "/api/v1/catalog", ""), 200, `"assign_time":false`)
	w.want(w.call("POST", "/api/v1/catalog?dry_run=true", `{"organization":{"assign_time":true}}`), 200, `"assign_time":true`)
	w.want(w.call("GET", org, ""), 200, `"assign_time":false`)
	w.want(w.call("POST", "/api/v1/catalog", `{"organization":{"assign_time":true}}`), 200, `"assign_time":true`)
	w.want(w.call("GET", org, ""), 200, `"assign_time":true`)
	w.ingest(testEvent("b", "time", ""), 1, 0, 0, 0)
	for _, body := range []string{`{"assign_time":null}`, `{"assign_time":"false"}`, `{"assign_time":1}`} {
		w.want(w.call("PATCH", org, body), 400)
	}
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"timed","assign_time":false}`), 201, `"assign_time":false`)
}

func TestCustomerAttribute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	w.ingest(testEvent("a", "data", `{"account":"one"}`), 1, 0, 0, 0)
	w.want(w.call("PATCH", "/api/v1/organizations/default", `{"customer_attribute":"account","name":"Default Inc"}`), 200, `"customer_attribute":"account"`, "Default Inc")
	w.ingest(testEvent("b", "data", `{"account":"two"}`), 1, 0, 0, 0)
	u := read[usageBody](w, w.call("GET", "/api/v1/meters/requests/usage?"+today+"&group_by=customer", ""))
	if got := u.lines("customer"); len(got) != 2 || !strings.Contains(got[0], "acme") || !strings.Contains(got[1], "two") {
		t.Errorf("%v", got)
	}
	w.want(w.call("GET", "/api/v1/organizations/default", ""), 200, `"customer_attribute":"account"`)
	for _, body := range []string{`{"customer_attribute":""}`, `{"customer_attribute":"a\u0000b"}`, `{"customer_attribute":"` + strings.Repeat("x", 257) + `"}`, `{"name":""}`, `{"id":"x"}`} {
		w.want(w.call("PATCH", "/api/v1/organizations/default", body), 400)
	}
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"third","customer_attribute":"tenant"}`), 201, `"customer_attribute":"tenant"`)
	third := []string{"Odometer-Organization", "third"}
	w.want(w.call("POST", "/api/v1/meters", countMeter, third...), 201)
	w.ingest(testEvent("a", "data", `{"tenant":"t1"}`), 1, 0, 0, 0, third...)
	if got := w.total("requests", today+"&filter[customer]=t1", third...); got != "1" {
		t.Errorf("total %s", got)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ path, allow string }{
		{"/api/v1/events", "GET, HEAD, OPTIONS, POST"}, {"/api/v1/meters", "GET, HEAD, OPTIONS, POST"}, {"/api/v1/meters/k", "DELETE, GET, HEAD, OPTIONS, PATCH"},
		{"/api/v1/meters/k/usage", "GET, HEAD, OPTIONS"}, {"/api/v1/keys/k", "DELETE, OPTIONS"}, {"/openapi.json", "GET, HEAD, OPTIONS"},
	} {
		if a := w.want(w.call("PUT", c.path, ""), 405, "method_not_allowed"); a.Header.Get("Allow") != c.allow {
			t.Errorf("%s: Allow %q", c.path, a.Header.Get("Allow"))
		}
		if a := w.want(w.call("OPTIONS", c.path, ""), 204); a.Header.Get("Allow") != c.allow || a.Body != "" {
			t.Errorf("%s: Allow %q", c.path, a.Header.Get("Allow"))
		}
	}
	if a := w.want(w.call("HEAD", "/api/v1/meters", ""), 200); a.Body != "" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %+v", a)
	}
	w.want(w.call("GET", "/api/v1/nothing", ""), 404)
	w.want(w.call("GET", "/api/v2/events", ""), 404)
}

func TestEdgeGridKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(w.call("POST", "/api/v1/keys", `{"role":"read","kind":"edgegrid","customer":"acme","accounts":["A-2","A-1"]}`), 201,
		`"accounts":["A-1","A-2"]`, `"kind":"edgegrid"`)
	k := read[map[string]any](w, a)
	for _, name := range []string{"client_token", "access_token"} {
		if text, _ := k[name].(string); !strings.HasPrefix(text, "akab-") {
			t.Errorf("%s is %q", name, text)
		}
	}
	secret, _ := k["client_secret"].(string)
	if _, has := k["key"]; has || len(secret) < 32 {
		t.Errorf("what was created: %s", a.Body)
	}
	if list := w.want(w.call("GET", "/api/v1/keys", ""), 200, `"accounts":["A-1","A-2"]`); strings.Contains(list.Body, secret) || strings.Contains(list.Body, "akab-") {
		t.Errorf("the credential is listed: %s", list.Body)
	}
	for _, token := range []string{k["client_token"].(string), secret} {
		w.want(w.call("GET", "/api/v1/meters", "", as(token)...), 401)
	}
}
