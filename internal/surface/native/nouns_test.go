package native

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// nounCase is one kind of noun with what a test does to it.
type nounCase struct {
	route     string // as in nounRoutes
	id, body  string
	patch     string // changes one field
	patched   string // as it is answered then
	wrong     string // a patch that is refused
	wrongText string
	blocker   string // why it cannot be removed once all nouns are there, "" if it can
}

// nounCases are all kinds, what is referred to before what refers to it.
var nounCases = []nounCase{
	{"/api/v1/products", "cdn", `{"id":"cdn","usage_types":[{"name":"Hits","meter":"hits"}]}`,
		`{"name":"Delivery"}`, `"name":"Delivery","usage_types":[{"name":"Hits","meter":"hits"}]`,
		`{"usage_types":[{"name":"x","meter":"none"}]}`, `product cdn: usage_types[0].meter: there is no meter \"none\"`, "product cdn is in use by contract acme/K-1 (terms[0].products[0]), entitlement e-1 (product)"},
	{"/api/v1/customers", "acme", `{"id":"acme","account_id":"A-1"}`,
		`{"cycle_day":5}`, `"account_id":"A-1","cycle_day":5,"pricing":"usage"`,
		`{"cycle_day":32}`, "customer acme: cycle_day: 32 is not between 1 and 31", "customer acme is in use by entitlement e-1 (customer)"},
	{ofCustomer + "services", "S/1", `{"id":"S/1"}`, `{"name":"shop"}`, `{"id":"S/1","name":"shop"}`, `{"name":7,"nam":8}`, "nam: there is no such field", ""},
	{ofCustomer + "contracts", "K-1", `{"id":"K-1","terms":[{"products":["cdn"],"regions":"GLOBAL"}]}`,
		`{"ends":"2027-01-01"}`, `"ends":"2027-01-01"`, `{"customers":["nobody"]}`, "contract acme/K-1: customers[0]", "contract acme/K-1 is in use by CP code acme/7 (contract)"},
	{ofCustomer + "cp_codes", "7", `{"id":7,"contract":"K-1"}`, `{"product":"cdn"}`, `{"id":7,"name":"7","contract":"K-1","product":"cdn"}`,
		`{"contract":"K-2"}`, "CP code acme/7: contract: customer acme has no contract", "CP code acme/7 is in use by reporting group acme/100 (cp_codes[0])"},
	{ofCustomer + "reporting_groups", "100", `{"id":100,"cp_codes":[7]}`, `{"name":"Retail"}`, `{"id":100,"name":"Retail","cp_codes":[7]}`,
		`{"cp_codes":[8]}`, "has no CP code 8", ""},
	{ofCustomer + "account_groups", "12", `{"aid":"12"}`, `{"name":"Web"}`, `{"aid":"12","name":"Web"}`, `{"aid":"13"}`, "aid: is 12 and does not change", "account group acme/12 is in use by agent acme/a1 (account_group), test acme/t1 (account_group)"},
	{ofCustomer + "agents", "a1", `{"id":"a1","kind":"enterprise","account_group":"12","effective":"2026-01-01"}`,
		`{"enabled":false}`, `"account_group":"12","enabled":false,"effective":"2026-01-01"`, `{"kind":"robot"}`, "agent acme/a1: kind", "agent acme/a1 is in use by test acme/t1 (agents[0])"},
	{ofCustomer + "tests", "t1", `{"id":"t1","type":"ping","account_group":"12","interval_s":60,"agents":["a1"]}`,
		`{"interval_s":120,"cloud_agents":3}`, `"interval_s":120,"agents":["a1"],"cloud_agents":3`, `{"interval_s":0}`, "interval_s: 0 is not between", ""},
	{"/api/v1/entitlements", "e-1", `{"id":"e-1","customer":"acme","partner":"AWS","product":"cdn","starts":"2026-01-01"}`,
		`{"status":"suspended"}`, `"status":"suspended"`, `{"status":"gone"}`, "entitlement e-1: status", ""},
}

func (c nounCase) list() string { return strings.Replace(c.route, "{customer}", "acme", 1) }
func (c nounCase) inner() bool  { return strings.HasPrefix(c.route, ofCustomer) }
func (c nounCase) one() string  { return c.list() + "/" + url.PathEscape(c.id) }

// createNouns makes one noun of each kind.
func (w *world) createNouns() {
	w.Helper()
	w.want(w.call("POST", "/api/v1/meters", `{"key":"hits","event_type":"edge.request","aggregation":"COUNT","group_by":["customer","service","product"]}`), 201)
	for _, c := range nounCases {
		a := w.want(w.call("POST", c.list(), c.body), 201, c.id)
		if got := a.Header.Get("Location"); got != c.one() {
			w.Errorf("Location %q, want %q", got, c.one())
		}
	}
}

func TestNouns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()
	if len(nounCases) != len(nounRoutes) {
		t.Errorf("%d cases of %d kinds", len(nounCases), len(nounRoutes))
	}
	for _, c := range nounCases {
		first := w.want(w.call("GET", c.one(), ""), 200, c.id).Body
		w.want(w.call("GET", c.list(), ""), 200, c.id, `"next_cursor":null`)
		w.want(w.call("POST", c.list(), c.body), 409, "exists")
		w.want(w.call("PATCH", c.one(), c.wrong), 400, c.wrongText)
		w.want(w.call("PATCH", c.one(), `{"color":"red"}`), 400, "color: there is no such field")
		w.want(w.call("PATCH", c.one(), `{"name":"a","name":"b"}`), 400, "name: is given twice")
		w.want(w.call("PATCH", c.one(), `[]`), 400, "want a JSON object")
		w.want(w.call("PATCH", c.one(), `{"name":`), 400, "the text ends too early")
		w.want(w.call("PATCH", c.one(), `{"name":"a\ud800"}`), 400, "body: name: holds", "half of a surrogate pair")
		w.want(w.call("PATCH", c.one(), "{\"name\":\"a\xff\"}"), 400, "body: name: is not valid UTF-8")
		w.want(w.call("PATCH", c.one(), "\xef\xbb\xbf"+`{}`), 200)
		w.want(w.call("PATCH", c.one(), `{}{}`), 400, "more text after the value")
		w.want(w.call("PATCH", c.one(), "name: x", "Content-Type", "application/yaml"), 415)
		w.want(w.call("PATCH", c.one()+"?effective=2100-01-01T00:00:00Z", `{}`), 400, "future")
		if got := w.want(w.call("GET", c.one(), ""), 200).Body; got != first {
			t.Errorf("a change that was refused changed %s to %s", first, got)
		}
		w.want(w.call("PATCH", c.one(), c.patch), 200, c.patched)
		w.want(w.call("GET", c.one(), ""), 200, c.patched)
		w.want(w.call("PATCH", c.one(), c.patch), 200, c.patched)
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			body := ""
			if method == "PATCH" {
				body = "{}"
			}
			w.want(w.call(method, c.list()+"/none", body), 404, `there is no `)
			if c.inner() {
				w.want(w.call(method, strings.Replace(c.one(), "acme", "other", 1), body), 404, `there is no customer \"other\"`)
			}
		}
		if c.inner() {
			w.want(w.call("POST", strings.Replace(c.list(), "acme", "other", 1), c.body), 404, `there is no customer \"other\"`)
			w.want(w.call("GET", strings.Replace(c.list(), "acme", "other", 1), ""), 404, `there is no customer \"other\"`)
		}
		if c.blocker != "" {
			w.want(w.call("DELETE", c.one(), ""), 409, c.blocker)
		}
	}
	w.want(w.call("DELETE", "/api/v1/meters/hits", ""), 409, "meter hits is in use by product cdn")
	for i := len(nounCases) - 1; i >= 0; i-- {
		c := nounCases[i]
		w.want(w.call("DELETE", c.one(), ""), 204)
		w.want(w.call("GET", c.one(), ""), 404)
		w.want(w.call("DELETE", c.one(), ""), 404)
	}
	w.want(w.call("DELETE", "/api/v1/meters/hits", ""), 204)
}

func TestCustomersWithWhatIsTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()
	w.want(w.call("GET", "/api/v1/customers/acme", ""), 200, `"services":[{"id":"S/1"`, `"tests":[{"id":"t1"`)
	list := w.want(w.call("GET", "/api/v1/customers", ""), 200, `"id":"acme"`)
	if strings.Contains(list.Body, "services") {
		t.Errorf("the list has what is customers' own: %s", list.Body)
	}
	// A list of a customer's own is a field like others.
	w.want(w.call("POST", "/api/v1/customers", `{"id":"beta","services":[{"id":"x"},{"id":"y"}]}`), 201, `"services":[{"id":"x","name":"x"},{"id":"y"`)
	w.want(w.call("PATCH", "/api/v1/customers/beta", `{"services":[{"id":"y","name":"why"}]}`), 200, `"services":[{"id":"y","name":"why"}]`)
	w.want(w.call("PATCH", "/api/v1/customers/beta", `{"services":null}`), 200, `{"id":"beta","name":"beta","cycle_day":1,"pricing":"usage"}`)
	// Ids that exist once in the organization.
	for path, body := range map[string]string{"contracts": `{"id":"K-1"}`, "cp_codes": `{"id":7,"contract":"K-1"}`, "reporting_groups": `{"id":100}`, "account_groups": `{"aid":"12"}`} {
		w.want(w.call("POST", "/api/v1/customers/beta/"+path, body), 409, "acme/", "exists")
	}
	w.want(w.call("PATCH", "/api/v1/customers/beta", `{"account_id":"A-1"}`), 400, "customer beta: account_id: A-1 is also that of customer acme")
	w.want(w.call("POST", "/api/v1/customers/beta/services", `{"id":"S/1","name":"\ud83d\ude00"}`), 201, "😀")
	w.want(w.call("DELETE", "/api/v1/customers/beta", ""), 204)
	w.want(w.call("GET", "/api/v1/customers/beta/services", ""), 404)
}

func TestNounLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var services, codes []string
	for i := range 12 {
		services = append(services, fmt.Sprintf(`{"id":"s%02d"}`, i))
		codes = append(codes, fmt.Sprintf(`{"id":%d,"contract":"K"}`, i+1))
	}
	w.want(w.call("POST", "/api/v1/customers", `{"id":"c","contracts":[{"id":"K"}],"services":[`+strings.Join(services, ",")+`],"cp_codes":[`+strings.Join(codes, ",")+`]}`), 201)
	for path, want := range map[string]string{"services": "s00 s01 s02 s03 s04 s05 s06 s07 s08 s09 s10 s11", "cp_codes": "1 2 3 4 5 6 7 8 9 10 11 12"} {
		var ids []string
		for cursor, pages := "", 0; ; pages++ {
			a := w.want(w.call("GET", "/api/v1/customers/c/"+path+"?limit=5&cursor="+cursor, ""), 200)
			page := read[map[string]any](w, a)
			for _, one := range page[path].([]any) {
				ids = append(ids, fmt.Sprint(one.(map[string]any)["id"]))
			}
			next, _ := page["next_cursor"].(string)
			if cursor = next; cursor == "" {
				if pages != 2 {
					t.Errorf("%s: %d pages", path, pages+1)
				}
				break
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	w.want(w.call("GET", "/api/v1/customers?limit=1000", ""), 200)
	w.want(w.call("GET", "/api/v1/customers?limit=1001", ""), 400, "limit must be between 1 and 1000")
	w.want(w.call("GET", "/api/v1/products", ""), 200, `{"next_cursor":null,"products":[]}`)
}

func TestUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none := w.want(w.call("GET", "/api/v1/units", ""), 404, `"the organization has no units"`)
	bound := w.want(w.call("GET", "/api/v1/units", "", as(w.key("read", "acme"))...), 404, `"the organization has no units"`)
	if len(bound.Body) != len(none.Body) {
		t.Errorf("%s, but %s to a bound key", none.Body, bound.Body)
	}
	w.want(w.call("PUT", "/api/v1/units", `{"cloud":{"meter":"requests"}}`), 400, `units.cloud.meter: there is no meter`)
	w.meters()
	w.want(w.call("PUT", "/api/v1/units", `{"cloud":{"meter":"requests"},"rates":{"ping":{"cloud":"1.5"}}}`), 200, `"rates":{"ping":{"cloud":"1.5"}}`)
	w.want(w.call("PUT", "/api/v1/units", `{"cloud":{"metre":"requests"}}`), 400, "cloud.metre: there is no such field")
	w.want(w.call("PUT", "/api/v1/units", `{"enterprise":{"meter":"requests"}}`), 200, `{"enterprise":{"meter":"requests"}}`)
	w.want(w.call("GET", "/api/v1/units", ""), 200, `{"enterprise":{"meter":"requests"}}`)
	w.want(w.call("DELETE", "/api/v1/meters/requests", ""), 409, "in use by units")
}

// TestNounsOfOthers: a bound key sees its customer, what is its own, and what
// it has bought; only an admin key that is not bound changes anything.
func TestNounsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createNouns()
	w.want(w.call("POST", "/api/v1/products", `{"id":"secret"}`), 201)
	w.want(w.call("POST", "/api/v1/customers", `{"id":"beta","services":[{"id":"b"}]}`), 201)
	w.want(w.call("POST", "/api/v1/entitlements", `{"id":"e-2","customer":"beta","partner":"GCP","product":"secret","starts":"2026-01-01"}`), 201)
	w.want(w.call("PUT", "/api/v1/units", `{"cloud":{"meter":"hits"}}`), 200)
	own, other := as(w.key("read", "acme")), as(w.key("read", "beta"))
	for _, c := range nounCases {
		w.want(w.call("GET", c.one(), "", own...), 200)
		w.want(w.call("GET", c.list(), "", own...), 200, `"next_cursor":null`)
		hidden := w.want(w.call("GET", c.one(), "", other...), 404).Body
		if c.inner() {
			unknown := w.want(w.call("GET", strings.Replace(c.one(), "acme", "nobody", 1), ""), 404).Body
			if detail(hidden) != strings.Replace(detail(unknown), "nobody", "acme", 1) {
				t.Errorf("unseen: %s, unknown: %s", hidden, unknown)
			}
		}
		for _, key := range [][]string{own, other, as(w.key("read", "")), as(w.key("ingest", ""))} {
			w.want(w.call("POST", c.list(), c.body, key...), 403)
			w.want(w.call("PATCH", c.one(), c.patch, key...), 403)
			w.want(w.call("DELETE", c.one(), "", key...), 403)
		}
	}
	for path, want := range map[string]string{"customers": `"id":"beta"`, "entitlements": `"id":"e-2"`, "customers/beta/services": `"id":"b"`} {
		body := w.want(w.call("GET", "/api/v1/"+path, "", other...), 200, want).Body
		if strings.Contains(body, "acme") || strings.Contains(body, "e-1") {
			t.Errorf("%s shows another's: %s", path, body)
		}
	}
	w.want(w.call("GET", "/api/v1/products", "", other...), 200, `"products":[]`)
	w.want(w.call("GET", "/api/v1/products/secret", "", own...), 404)
	w.want(w.call("GET", "/api/v1/units", "", own...), 404)
	w.want(w.call("PUT", "/api/v1/units", `{}`, own...), 403)
	w.want(w.call("GET", "/api/v1/catalog", "", own...), 403)
	w.want(w.call("POST", "/api/v1/catalog", "{}", own...), 403)
	w.want(w.call("POST", "/api/v1/catalog", "{}", as(w.key("read", ""))...), 403)
	w.want(w.call("GET", "/api/v1/catalog", "", as(w.key("read", ""))...), 200, "secret")
	// Another organization's nouns are as unknown as those that do not exist.
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"strange"}`), 201)
	stranger := as(w.key("admin", "", "Odometer-Organization", "strange"))
	for _, c := range nounCases {
		w.want(w.call("GET", c.one(), "", stranger...), 404)
		w.want(w.call("DELETE", c.one(), "", stranger...), 404)
	}
	w.want(w.call("GET", "/api/v1/customers", "", stranger...), 200, `"customers":[]`)
}

// detail takes a problem's detail.
func detail(body string) string {
	_, rest, _ := strings.Cut(body, `"detail":"`)
	text, _, _ := strings.Cut(rest, `","`)
	return text
}
