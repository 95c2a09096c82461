package native

import (
	"strings"
	"testing"
)

func TestCredits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/products", `{"id":"cdn","name":"Delivery"}`), 201)
	w.want(w.call("POST", "/api/v1/customers", `{"id":"acme","name":"Acme"}`), 201)
	w.want(w.call("POST", "/api/v1/entitlements", `{"id":"e/1","customer":"acme","partner":"AWS","product":"cdn","starts":"2026-01-01"}`), 201)
	const path = "/api/v1/entitlements/e%2F1/credits"
	if got := w.call("GET", path, ""); got.Status != 200 || !strings.Contains(got.Body, `"credits":[]`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	made := w.call("POST", path, `{"amount":"100.50"}`)
	w.want(made, 201)
	if !strings.Contains(made.Body, `"number":1,"amount":"100.5"`) || made.Header.Get("Location") != path {
		t.Errorf("%s %v", made.Body, made.Header)
	}
	w.want(w.call("POST", path, `{"amount":"0.000000000001"}`), 201)
	if got := w.call("GET", path+"?limit=1", ""); !strings.Contains(got.Body, `"number":1`) || !strings.Contains(got.Body, `"next_cursor":"1"`) {
		t.Error(got.Body)
	}
	if got := w.call("GET", path+"?cursor=1", ""); !strings.Contains(got.Body, `"amount":"0.000000000001"`) || !strings.Contains(got.Body, `"next_cursor":null`) {
		t.Error(got.Body)
	}
	for body, status := range map[string]int{`{}`: 400, `{"amount":"0"}`: 400, `{"amount":"-1"}`: 400, `{"amount":"1e30"}`: 400, `{"amount":"0.0000000000001"}`: 400, `{"amount":"x"}`: 400, `{"amount":"1","more":1}`: 400, ``: 400} {
		w.want(w.call("POST", path, body), status)
	}
	// The key of a request makes it safe to send again.
	before := w.call("GET", path, "").Body
	first := w.call("POST", path, `{"amount":"5"}`, "Idempotency-Key", "k")
	w.want(first, 201)
	if again := w.call("POST", path, `{"amount":"5.0"}`, "Idempotency-Key", "k"); again.Status != 201 || again.Body != first.Body {
		t.Errorf("%s, then %s", first.Body, again.Body)
	}
	w.want(w.call("POST", path, `{"amount":"6"}`, "Idempotency-Key", "k"), 409)
	w.want(w.call("POST", path, `{"amount":"6"}`, "Idempotency-Key", strings.Repeat("k", 256)), 400)
	if after := w.call("GET", path, "").Body; strings.Count(after, "number") != strings.Count(before, "number")+1 {
		t.Errorf("%s, then %s", before, after)
	}
	w.want(w.call("POST", "/api/v1/entitlements/nothing/credits", `{"amount":"1"}`), 404)
	w.want(w.call("GET", "/api/v1/entitlements/nothing/credits", ""), 404)
}
