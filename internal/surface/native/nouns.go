package native

import (
	"net/http"
	"net/url"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
)

// nounRoute is where the nouns of one kind are.
type nounRoute struct {
	kind string
	path string // of the list; one noun is at path/{id}
	name string // of the list in an answer
}

const ofCustomer = "/api/v1/customers/{customer}/"

var nounRoutes = []nounRoute{
	{catalog.NounProduct, "/api/v1/products", "products"},
	{catalog.NounCustomer, "/api/v1/customers", "customers"},
	{catalog.NounService, ofCustomer + "services", "services"},
	{catalog.NounContract, ofCustomer + "contracts", "contracts"},
	{catalog.NounCPCode, ofCustomer + "cp_codes", "cp_codes"},
	{catalog.NounReportingGroup, ofCustomer + "reporting_groups", "reporting_groups"},
	{catalog.NounAccountGroup, ofCustomer + "account_groups", "account_groups"},
	{catalog.NounAgent, ofCustomer + "agents", "agents"},
	{catalog.NounTest, ofCustomer + "tests", "tests"},
	{catalog.NounEntitlement, "/api/v1/entitlements", "entitlements"},
}

// nounOperations are the five of each kind, and those of units, of which there is one.
var nounOperations = func() []operation {
	var out []operation
	holds := []string{"effective"}
	for _, n := range nounRoutes {
		out = append(out,
			operation{http.MethodGet, n.path, []string{"limit", "cursor"}, n.list},
			operation{http.MethodPost, n.path, holds, n.create},
			operation{http.MethodGet, n.path + "/{id}", nil, n.get},
			operation{http.MethodPatch, n.path + "/{id}", holds, n.patch},
			operation{http.MethodDelete, n.path + "/{id}", holds, n.remove})
	}
	return append(out,
		operation{http.MethodGet, "/api/v1/units", nil, api.units},
		operation{http.MethodPut, "/api/v1/units", holds, api.putUnits})
}()

// ref is the noun, or the list, that a request means.
func (n nounRoute) ref(x *httpserver.Exchange) catalog.NounRef {
	return catalog.NounRef{Kind: n.kind, Customer: x.Param("customer"), ID: x.Param("id")}
}

// list answers GET of a list.
func (n nounRoute) list(a api, x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	found, err := a.service.Nouns(x.Request.Context(), x.Principal, n.ref(x), page)
	if err != nil {
		return err
	}
	values := make([]any, len(found.Items))
	for i, one := range found.Items {
		values[i] = one.Value
	}
	return writeList(x, n.name, values, found.Next)
}

// get answers GET of one noun.
func (n nounRoute) get(a api, x *httpserver.Exchange, _ query) error {
	one, err := a.service.Noun(x.Request.Context(), x.Principal, n.ref(x))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, one.Value)
}

// change reads the body of a change and from when it holds.
func change(x *httpserver.Exchange, q query) (body []byte, effective time.Time, err error) {
	if effective, err = q.time("effective"); err != nil {
		return nil, effective, err
	}
	body, err = jsonBody(x)
	return body, effective, err
}

// create answers POST of a list.
func (n nounRoute) create(a api, x *httpserver.Exchange, q query) error {
	body, effective, err := change(x, q)
	if err != nil {
		return err
	}
	one, err := a.service.CreateNoun(x.Request.Context(), x.Principal, n.ref(x), body, effective)
	if err != nil {
		return err
	}
	return writeCreated(x, x.Request.URL.EscapedPath()+"/"+url.PathEscape(one.ID), one.Value)
}

// patch answers PATCH of one noun.
func (n nounRoute) patch(a api, x *httpserver.Exchange, q query) error {
	body, effective, err := change(x, q)
	if err != nil {
		return err
	}
	one, err := a.service.PatchNoun(x.Request.Context(), x.Principal, n.ref(x), body, effective)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, one.Value)
}

// remove answers DELETE of one noun.
func (n nounRoute) remove(a api, x *httpserver.Exchange, q query) error {
	effective, err := q.time("effective")
	if err != nil {
		return err
	}
	if err := a.service.DeleteNoun(x.Request.Context(), x.Principal, n.ref(x), effective); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// units answers GET /api/v1/units.
func (a api) units(x *httpserver.Exchange, _ query) error {
	one, err := a.service.Noun(x.Request.Context(), x.Principal, catalog.NounRef{Kind: catalog.NounUnits})
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, one.Value)
}

// putUnits answers PUT /api/v1/units.
func (a api) putUnits(x *httpserver.Exchange, q query) error {
	body, effective, err := change(x, q)
	if err != nil {
		return err
	}
	one, err := a.service.PutUnits(x.Request.Context(), x.Principal, body, effective)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, one.Value)
}
