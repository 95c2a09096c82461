package native

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestBodiesAreReadStrictly: what two readers of JSON would understand
// differently is refused by every operation that takes a body, and so is null
// where everything would be meant instead of one thing.
func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()

	for _, c := range []struct{ method, path, member, good string }{
		{"POST", "/api/v1/keys", "role", `"read"`},
		{"POST", "/api/v1/periods", "month", `"2026-09"`},
		{"POST", "/api/v1/organizations", "id", `"strict"`},
		{"PATCH", "/api/v1/organizations/default", "name", `"x"`},
		{"POST", "/api/v1/meters", "key", `"x"`},
		{"PATCH", "/api/v1/meters/hits", "name", `"x"`},
		{"POST", "/api/v1/reports/run", "entitlement", `"e"`},
		{"POST", "/api/v1/reports/resolve", "report", `"e"`},
		{"POST", "/api/v1/entitlements/e/credits", "amount", `"1"`},
		{"POST", "/api/v1/products", "id", `"x"`},
		{"PATCH", "/api/v1/products/cdn", "name", `"x"`},
		{"PUT", "/api/v1/units", "cloud", `{"meter":"hits"}`},
		{"POST", "/api/v1/catalog", "organization", `{}`},
	} {
		for body, want := range map[string]string{
			`{"` + c.member + `":` + c.good + `,"` + c.member + `":` + c.good + `}`:                              "is given twice",
			`{"` + c.member + `":` + c.good + `,"\u00` + hexOf(c.member[0]) + c.member[1:] + `":` + c.good + `}`: "is given twice",
			`{"` + string(c.member[0]-'a'+'A') + c.member[1:] + `":` + c.good + `}`:                              "field",
			`{"` + c.member + `":"a\ud800b"}`:                                                                    `half of a surrogate pair`,
			"{\"" + c.member + "\":\"a\xffb\"}":                                                                  "is not valid UTF-8",
			`{"` + c.member + `":` + c.good + `}{}`:                                                              "more text after the value",
			``:                                                                                                   "empty",
		} {
			if body == "" && c.path == "/api/v1/catalog" {
				continue // a catalog that says nothing
			}
			if c.path == "/api/v1/catalog" && want == "more text after the value" {
				want = "more than one document" // YAML has several in one text
			}
			w.want(w.call(c.method, c.path, body), http.StatusBadRequest, want)
		}
	}
}

// nothing is how answers say that a member or parameter is given and holds nothing.
var nothing = regexp.MustCompile(`is null|is empty|is no time|is missing|is required|want |needs |has 0 alternatives|is 1 to`)

// TestNullIsNoRestriction: a member that restricts is not taken for absent when it is null or empty.
func TestNullIsNoRestriction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()

	for _, c := range []struct {
		method, path string
		bodies       []string
	}{
		{"POST", "/api/v1/periods", []string{`{"customer":null,"month":"2026-09"}`, `{"customer":"","month":"2026-09"}`, `{"customer":"acme","month":null}`}},
		{"POST", "/api/v1/keys", []string{`{"role":"read","customer":null}`, `{"role":"read","customer":""}`, `{"role":"read","expires":null}`, `{"role":"read","expires":""}`,
			`{"role":"read","expires":"0001-01-01T00:00:00Z"}`, `{"role":null}`, `{"role":"read","kind":null}`, `{"role":"read","kind":"edgegrid","accounts":null}`,
			`{"role":"read","kind":"edgegrid","accounts":[null]}`, `{"role":"read","kind":"edgegrid","accounts":[""]}`, `{"role":"read","kind":"edgegrid","default_aid":""}`}},
		{"POST", "/api/v1/reports/run", []string{`{"entitlement":"e","hour":"2026-11-22T10:00:00Z","dry_run":null}`, `{"entitlement":null,"hour":"2026-11-22T10:00:00Z","dry_run":true}`,
			`{"entitlement":"e","hour":null,"dry_run":true}`, `{"entitlement":"","hour":"2026-11-22T10:00:00Z","dry_run":true}`}},
		{"POST", "/api/v1/reports/resolve", []string{`{"report":"r","dimension":null,"as":"settled"}`, `{"report":"r","dimension":"","as":"settled"}`, `{"report":null,"dimension":"d","as":"settled"}`}},
		{"POST", "/api/v1/organizations", []string{`{"id":"x","customer_attribute":null}`, `{"id":"x","customer_attribute":""}`}},
		{"PATCH", "/api/v1/organizations/default", []string{`{"customer_attribute":null}`, `{"customer_attribute":""}`, `{"name":null}`}},
		{"POST", "/api/v1/meters", []string{`{"key":"x","event_type":"e","aggregation":"COUNT","filters":null}`, `{"key":"x","event_type":"e","aggregation":"COUNT","filters":[]}`, `{"key":"x","event_type":"e","aggregation":"COUNT","filters":[null]}`,
			`{"key":"x","event_type":"e","aggregation":"COUNT","filters":[[]]}`, `{"key":"x","event_type":null,"aggregation":"COUNT"}`,
			`{"key":"x","event_type":"e","aggregation":"COUNT","filters":[[{"attribute":"a","op":"IS","value":null}]]}`}},
		{"PATCH", "/api/v1/meters/hits", []string{`{"status":null}`, `{"status":""}`, `{"name":null}`}},
		{"POST", "/api/v1/products", []string{`{"id":"x","usage_types":[{"name":"a","meter":"hits","where":null}]}`, `{"id":"x","usage_types":[{"name":"a","meter":"hits","where":{}}]}`,
			`{"id":"x","usage_types":[{"name":"a","meter":"hits","where":{"region":null}}]}`, `{"id":null}`}},
		{"PATCH", "/api/v1/products/cdn", []string{`{"usage_types":[{"name":"a","meter":"hits","where":null}]}`}},
		{"POST", "/api/v1/catalog", []string{`{"organization":{"id":null}}`, `{"organization":{"id":""}}`,
			`{"meters":[{"key":"x","event_type":"e","aggregation":"COUNT","filters":null}]}`, `{"meters":[{"key":"x","event_type":"e","aggregation":"COUNT","filters":[]}]}`}},
		{"POST", "/api/v1/catalog?dry_run=", []string{`{}`}},
		{"POST", "/api/v1/catalog?prune=", []string{`{}`}},
		{"POST", "/api/v1/catalog?effective=", []string{`{}`}},
		{"GET", "/api/v1/periods?customer=", []string{""}},
		{"GET", "/api/v1/meters/hits/usage?as_of=", []string{""}},
		{"GET", "/api/v1/meters/hits/usage?tz=", []string{""}},
	} {
		for _, body := range c.bodies {
			a := w.call(c.method, c.path, body)
			if a.Status != http.StatusBadRequest || !nothing.MatchString(a.Body) {
				t.Errorf("%s %s %s: %d %s", c.method, c.path, body, a.Status, a.Body)
			}
		}
	}
}

func hexOf(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// TestTextIsUTF8: what is not UTF-8 is refused in paths and query strings, as in bodies.
func TestTextIsUTF8(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/v1/customers/a%FFb", ""}, {"PATCH", "/api/v1/customers/a%FFb", `{}`}, {"DELETE", "/api/v1/products/%C0%A0", ""},
		{"POST", "/api/v1/customers/%ED%A0%80/services", `{"id":"x"}`}, {"GET", "/api/v1/meters/%FF", ""}, {"DELETE", "/api/v1/keys/%FF", ""},
		{"GET", "/api/v1/organizations/%FF", ""}, {"GET", "/api/v1/periods/a%FF/2026-09", ""},
		{"GET", "/api/v1/meters/hits/usage?filter[customer]=a%FF", ""}, {"GET", "/api/v1/meters/hits/usage?filter[a%FF]=a", ""}, {"GET", "/api/v1/meters/hits/usage?group_by=%FF", ""},
		{"GET", "/api/v1/events?subject=%C3", ""}, {"GET", "/api/v1/events?type=%C3&source=%A9", ""}, {"GET", "/api/v1/events/lookup?source=%FF&id=a", ""},
		{"GET", "/api/v1/usage?customer=%FF&from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z", ""}, {"GET", "/api/v1/periods?customer=%FF", ""}, {"GET", "/api/v1/customers?cursor=%FF", ""},
		{"GET", "/api/v1/periods?customer=acme&limit=%zz", ""}, {"GET", "/api/v1/periods?customer=acme;limit=1", ""},
	} {
		if a := w.call(c.method, c.path, c.body); a.Status != http.StatusBadRequest {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
	}
	w.want(w.call("GET", "/api/v1/customers/%C3%A9", ""), http.StatusNotFound)
}

// TestTheLastAdminKeyStays: nobody locks an organization out by mistake, and an
// admin does not take the operator right away from who has it.
func TestTheLastAdminKeyStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := func(body string, header ...string) (id, token string) {
		var k struct{ ID, Key string }
		if err := json.Unmarshal([]byte(w.want(w.call("POST", "/api/v1/keys", body, header...), 201).Body), &k); err != nil {
			t.Fatal(err)
		}
		return k.ID, k.Key
	}
	revoke := func(id string, status int, header ...string) {
		t.Helper()
		w.want(w.call("DELETE", "/api/v1/keys/"+id, "", header...), status)
	}
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other"}`), 201)
	inOther := []string{"Odometer-Organization", "other"}
	first, key := made(`{"role":"admin"}`, inOther...)
	revoke(first, 409, as(key)...)
	revoke(first, 409, inOther...)
	reader, _ := made(`{"role":"read"}`, as(key)...)
	revoke(reader, 204, as(key)...)
	second, _ := made(`{"role":"admin","expires":"2026-11-22T12:30:00Z"}`, as(key)...)
	revoke(second, 204, as(key)...)
	second, _ = made(`{"role":"admin"}`, as(key)...)
	revoke(first, 204, as(key)...)
	revoke(first, 401, as(key)...)
	revoke(second, 409, inOther...)
	revoke(second+"?force=maybe", 400, inOther...)
	revoke(second+"?force=true", 204, inOther...)

	// The first key is the only one with the operator right.
	var keys struct {
		Keys []struct {
			ID       string
			Operator bool
		}
	}
	if err := json.Unmarshal([]byte(w.want(w.call("GET", "/api/v1/keys", ""), 200).Body), &keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].Operator {
		t.Fatalf("%v %+v", err, keys)
	}
	operator := keys.Keys[0].ID
	_, admin := made(`{"role":"admin"}`)
	revoke(operator, 403, as(admin)...)
	revoke(operator+"?force=true", 403, as(admin)...)
	revoke(operator, 409) // an admin key is left, but none that operates
	w.want(w.call("POST", "/api/v1/keys", `{"role":"admin","operator":true}`, as(admin)...), 403)
	w.want(w.call("POST", "/api/v1/keys", `{"role":"read","operator":true}`), 400)
	w.want(w.call("POST", "/api/v1/keys", `{"role":"admin","operator":true,"kind":"edgegrid"}`), 400)
	w.want(w.call("POST", "/api/v1/keys", `{"role":"admin","operator":true}`, inOther...), 400)
	// Rotated while running: a new one, which takes the old one away.
	_, next := made(`{"role":"admin","operator":true}`)
	revoke(operator, 204, as(next)...)
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"third"}`, as(next)...), 201)
	w.want(w.call("GET", "/api/v1/keys", ""), 401)
}

// TestRefusedKeysAreAudited: with the address; a request without a key is none.
func TestRefusedKeysAreAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("GET", "/api/v1/meters", "", as("")...), 401)
	w.want(w.call("GET", "/api/v1/meters", "", as("odo_wrong")...), 401)
	w.want(w.call("GET", "/api/v1/meters", "", as("odo_wrong")...), 401)
	if a := w.want(w.call("GET", "/api/v1/audit?limit=1", ""), 200, `"noun":"refused key"`, `"id":"native"`, `"address":"127.0.0.1"`); strings.Contains(a.Body, "odo_") {
		t.Error(a.Body)
	}
}
