package native

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"odometer/client"
)

func callListings(call func(method, route, path, body string, header ...string)) {
	const listings, ours = "/api/v1/organizations/{id}/listings", "/api/v1/organizations/new/listings"
	call("GET", listings, ours, "")
	call("GET", listings, "/api/v1/organizations/none/listings", "")
	call("PUT", listings, ours, `{"listings":[{"partner":"AWS","listing":"p1"}]}`)
	call("PUT", listings, ours, `{}`)
	call("GET", listings, ours, "")
}

// TestListingsAreTheOperators: an admin sees what the organization may report,
// an operator says it, and a run by hand asks for it.
func TestListingsAreTheOperators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const ours, run = "/api/v1/organizations/other/listings", "/api/v1/reports/run"
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other"}`), http.StatusCreated)
	admin := as(w.key("admin", "", "Odometer-Organization", "other"))
	yaml := append([]string{"Content-Type", "application/yaml"}, admin...)
	w.want(w.call("GET", ours, "", admin...), http.StatusOK, `{"listings":[]}`)
	w.want(w.call("PUT", ours, `{"listings":[{"partner":"AWS","listing":"p1"}]}`, admin...), http.StatusForbidden, "operator")
	w.want(w.call("GET", "/api/v1/organizations/default/listings", "", admin...), http.StatusNotFound)
	for _, body := range []string{`{}`, `{"listings":null}`, `{"listings":[{}]}`, `{"listings":[{"partner":"aws","listing":"p1"}]}`, `{"listings":[{"partner":"AWS","listing":""}]}`} {
		w.want(w.call("PUT", ours, body), http.StatusBadRequest, "listing")
	}

	// The other organization names the seller's product and somebody's buyer.
	w.want(w.call("POST", "/api/v1/catalog", soldCatalog, yaml...), http.StatusOK)
	w.want(w.call("POST", "/api/v1/events", soldEvent, admin...), http.StatusOK)
	const hour = `{"entitlement":"sold-1","hour":"2026-11-22T10:00:00Z"}`
	w.want(w.call("POST", run, hour, admin...), http.StatusForbidden, "AWS", "p1", "operator")
	got := read[stuckBody](w, w.call("GET", "/api/v1/reports/stuck", "", admin...))
	if len(got.Lines) != 0 || len(got.Waiting) != 1 || got.Waiting[0].Entitlement != "sold-1" || !strings.Contains(got.Waiting[0].Reason, "p1") {
		t.Errorf("%+v", got)
	}

	// Allowed, it reports; and then the first organization, which may report everything, may not.
	c := w.client(t, w.Token, "")
	set, err := c.SetListings(context.Background(), "other", []client.Listing{{Partner: "AWS", Listing: "p1"}})
	must(t, err)
	have, err := c.Listings(context.Background(), "other")
	must(t, err)
	if len(set) != 1 || len(have) != 1 || have[0] != set[0] || set[0].Listing != "p1" || set[0].Created.IsZero() {
		t.Errorf("%+v, %+v", set, have)
	}
	w.want(w.call("POST", run, hour, admin...), http.StatusOK, `"state":"frozen"`)
	w.want(w.call("PUT", "/api/v1/organizations/default/listings", `{"listings":[{"partner":"AWS","listing":"*"},{"partner":"AWS","listing":"p1"}]}`), http.StatusOK)
	w.want(w.call("POST", "/api/v1/catalog", soldCatalog, "Content-Type", "application/yaml"), http.StatusConflict, "another organization")
	w.want(w.call("PUT", "/api/v1/organizations/default/listings", `{"listings":[{"partner":"AWS","listing":"*"}]}`), http.StatusOK)
	w.want(w.call("POST", "/api/v1/catalog", strings.Replace(soldCatalog, "c1", "c2", 1), "Content-Type", "application/yaml"), http.StatusOK)
	w.want(w.call("POST", run, hour), http.StatusForbidden, "p1")
}
