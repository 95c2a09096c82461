package suger

import (
	"net/http"
	"testing"
)

// TestPartiesAgree: a group that names another party than its entitlement has
// is refused, and with it its batch; one that names the same is taken.
func TestPartiesAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	const good = `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1}}`
	group := func(field string) string {
		return `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},` + field + `}`
	}
	for field, named := range map[string]string{
		`"buyerID":"somebody"`:                 "buyerID",
		`"BuyerID":"somebody"`:                 "buyerID",
		`"partner":"GCP"`:                      "partner",
		`"partner":"nobody"`:                   "partner",
		`"productID":"other"`:                  "productID",
		`"partner":"AWS","buyerID":"somebody"`: "buyerID",
		`"buyerID":7`:                          "buyerID",
	} {
		w.want(http.MethodPost, reportPath, group(field), 400, named)
		w.want(http.MethodPost, batchPath, "["+good+","+group(field)+"]", 400, named, "usage record group 1")
		status := 500 // a group that is refused; 400 is what cannot be read
		if field == `"buyerID":7` {
			status = 400
		}
		w.want(http.MethodPost, validatePath, "["+good+","+group(field)+"]", status, named, "usage record group 1")
	}
	w.want(http.MethodPost, batchPath, "["+group(`"buyerID":"somebody"`)+"]", 400, `"somebody"`, `entitlement "ent-1"`)
	if got := w.usage("posted"); got != "0" {
		t.Errorf("usage %s of what was refused", got)
	}
	w.report(good)
	for _, field := range []string{`"buyerID":"buyer-1"`, `"partner":"AWS"`, `"productID":"cdn"`, `"buyerID":"","partner":"","productID":""`, `"buyerID":null,"partner":null,"productID":null`} {
		w.want(http.MethodPost, validatePath, "["+group(field)+"]", 200)
		w.want(http.MethodPost, batchPath, "["+group(field)+"]", 200)
		w.want(http.MethodPost, reportPath, group(field), 200)
	}
	if got := w.usage("posted"); got != "11" {
		t.Errorf("usage %s, want 11", got)
	}
}
