package native

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHeadersThatRestrict sends those that keep a request from something empty and
// twice: neither may be passed over.
func TestHeadersThatRestrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/products", `{"id":"cdn","name":"Delivery"}`), 201)
	w.want(w.call("POST", "/api/v1/customers", `{"id":"acme","name":"Acme"}`), 201)
	w.want(w.call("POST", "/api/v1/entitlements", `{"id":"ent-1","customer":"acme","partner":"AWS","product":"cdn","starts":"2026-01-01"}`), 201)
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other"}`), 201)
	const credits = "/api/v1/entitlements/ent-1/credits"
	for _, c := range []struct {
		path, body, name string
		values           []string
		status           int
		text             string
	}{
		{credits, `{"amount":"1"}`, "Idempotency-Key", []string{""}, 400, `header \"Idempotency-Key\" is empty`},
		{credits, `{"amount":"1"}`, "Idempotency-Key", []string{"k", "k"}, 400, `header \"Idempotency-Key\" is given 2 times`},
		{credits, `{"amount":"1"}`, "Idempotency-Key", []string{"k", "l"}, 400, "given 2 times"},
		{"/api/v1/keys", `{"role":"read"}`, "Odometer-Organization", []string{""}, 400, `header \"Odometer-Organization\" is empty`},
		{"/api/v1/keys", `{"role":"read"}`, "Odometer-Organization", []string{"default", "other"}, 400, "given 2 times"},
		{"/api/v1/keys", `{"role":"read"}`, "Odometer-Organization", []string{"other"}, 201, `"organization":"other"`},
	} {
		r, err := http.NewRequest("POST", w.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + w.Token}, "Content-Type": {"application/json"}, c.name: c.values}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(text), c.text) {
			t.Errorf("%s %q: %d %s %v; want %d %s", c.name, c.values, resp.StatusCode, text, err, c.status, c.text)
		}
	}
	w.want(w.call("GET", credits, ""), 200, `"credits":[]`)
}
