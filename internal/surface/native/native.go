// Package native is Odometer's own HTTP API under /api/v1: JSON in and out,
// described by /openapi.json, quantities as strings with all their digits.
//
//	request ─► operations table ─► query ─► metering or records ─► encoder
package native

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/strictjson"
)

// api answers the operations.
type api struct {
	service *metering.Service
	records *records.Service
}

// operation is one call of the API. Params names the query parameters it
// takes, "filter[]" standing for filter[ATTRIBUTE]; any other is refused.
type operation struct {
	Method, Path string
	Params       []string
	Handle       func(a api, x *httpserver.Exchange, q query) error
}

// eventsPath is where events are sent and listed.
const eventsPath = "/api/v1/events"

// operations are all calls of the API.
var operations = slices.Concat(coreOperations, catalogOperations, nounOperations, periodOperations, closingOperations, unattributedOperations, productOperations, reportOperations, creditOperations)

var coreOperations = []operation{
	{http.MethodPost, eventsPath, []string{"atomic", "require_time", "strict"}, api.ingest},
	{http.MethodGet, eventsPath, []string{"from", "to", "type", "subject", "source", "verdict", "limit", "cursor"}, api.events},
	{http.MethodGet, "/api/v1/events/lookup", []string{"source", "id"}, api.lookup},
	{http.MethodGet, "/api/v1/meters", nil, api.meters},
	{http.MethodPost, "/api/v1/meters", nil, api.createMeter},
	{http.MethodGet, "/api/v1/meters/{key}", nil, api.meter},
	{http.MethodPatch, "/api/v1/meters/{key}", nil, api.updateMeter},
	{http.MethodDelete, "/api/v1/meters/{key}", nil, api.deleteMeter},
	{http.MethodGet, "/api/v1/meters/{key}/usage",
		[]string{"from", "to", "window", "tz", "group_by", "filter[]", "as_of", "fill", "sort", "limit", "cursor"}, api.usage},
	{http.MethodGet, "/api/v1/keys", []string{"limit", "cursor"}, api.keys},
	{http.MethodPost, "/api/v1/keys", nil, api.createKey},
	{http.MethodDelete, "/api/v1/keys/{id}", []string{"force"}, api.revokeKey},
	{http.MethodGet, "/api/v1/organizations", []string{"limit", "cursor"}, api.organizations},
	{http.MethodPost, "/api/v1/organizations", nil, api.createOrganization},
	{http.MethodGet, "/api/v1/organizations/{id}", nil, api.organization},
	{http.MethodPatch, "/api/v1/organizations/{id}", nil, api.updateOrganization},
	{http.MethodGet, "/api/v1/organizations/{id}/listings", nil, api.listings},
	{http.MethodPut, "/api/v1/organizations/{id}/listings", nil, api.setListings},
	{http.MethodGet, "/api/v1/audit", []string{"limit", "cursor"}, api.audit},
}

// Options configures the surface. The zero value is the default.
type Options struct {
	WebhookOrigins []string // whose CloudEvents webhooks may deliver events; "*" is all, none answers no handshake

	// RequestsPerMinute is what each key may send, by Clock; 0 = no limit.
	RequestsPerMinute int
	Clock             func() time.Time
}

// Surface returns the API over its rooms, with its description and docs page.
func Surface(service *metering.Service, records *records.Service) *httpserver.Surface {
	return SurfaceWith(service, records, Options{})
}

// SurfaceWith is Surface with options.
func SurfaceWith(service *metering.Service, records *records.Service, o Options) *httpserver.Surface {
	a := api{service, records}
	rate := rateLimit{most: o.RequestsPerMinute, now: o.Clock}
	s := &httpserver.Surface{
		Name: "native",
		Authenticate: func(x *httpserver.Exchange) (access.Principal, error) {
			p, err := x.BearerAuth(service)
			if err == nil {
				err = rate.take(x.Header(), p.KeyID)
			}
			return p, err
		},
	}
	for _, op := range operations {
		s.Routes = append(s.Routes, httpserver.Route{Method: op.Method, Path: op.Path, Handle: func(x *httpserver.Exchange) error {
			q, err := parseQuery(x.Request.URL.RawQuery, op.Params)
			if err != nil {
				return err
			}
			return op.Handle(a, x, q)
		}})
	}
	if len(o.WebhookOrigins) > 0 {
		s.Routes = append(s.Routes, httpserver.Route{Method: http.MethodOptions, Path: eventsPath, Public: true, Handle: webhook(o.WebhookOrigins)})
	}
	s.Routes = append(s.Routes,
		httpserver.Route{Method: http.MethodGet, Path: "/openapi.json", Public: true, Handle: openAPI},
		httpserver.Route{Method: http.MethodGet, Path: "/docs", Public: true, Handle: docs})
	return s
}

// readJSON decodes a small JSON body as strictly as strictjson.Read: names
// match exactly, no member is unknown or null.
func readJSON(x *httpserver.Exchange, into any) error {
	body, err := jsonBody(x)
	if err != nil {
		return err
	}
	return meter.ReadJSON("body", body, into, strictjson.Options{})
}

// noMembers refuses a body that says anything: an operation that takes none
// would pass over what the sender means by it.
func noMembers(x *httpserver.Exchange) error {
	body, err := x.Body()
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return meter.ReadJSON("body", body, &struct{}{}, strictjson.Options{})
}

// jsonBody returns the body of a request that must be JSON.
func jsonBody(x *httpserver.Exchange) ([]byte, error) {
	if t := contentType(x.Request); t != "" && t != "application/json" {
		return nil, meter.Errorf(meter.KindUnsupported, "content type %.60q is not supported here: want application/json", t)
	}
	return x.Body()
}

// writeJSON answers with v encoded.
func writeJSON(x *httpserver.Exchange, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.JSON(status, append(body, '\n'))
}

// writeCreated answers 201 with v and where it can be found.
func writeCreated(x *httpserver.Exchange, location string, v any) error {
	x.Header().Set("Location", location)
	return writeJSON(x, http.StatusCreated, v)
}
