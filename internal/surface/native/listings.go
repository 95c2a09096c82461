package native

import (
	"net/http"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

// errNoListings: a list that is left out would take everything away.
var errNoListings = meter.Errorf(meter.KindInvalid, "listings: is required; [] lets the organization report nothing")

// listings answers GET /api/v1/organizations/{id}/listings.
func (a api) listings(x *httpserver.Exchange, _ query) error {
	all, err := a.service.Listings(x.Request.Context(), x.Principal, x.Param("id"))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, map[string]any{"listings": all})
}

// setListings answers PUT /api/v1/organizations/{id}/listings.
func (a api) setListings(x *httpserver.Exchange, _ query) error {
	var in struct {
		Listings *[]struct {
			Partner string `json:"partner"`
			Listing string `json:"listing"`
		} `json:"listings"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	if in.Listings == nil {
		return errNoListings
	}
	listings := make([]catalog.Listing, len(*in.Listings))
	for i, l := range *in.Listings {
		listings[i] = catalog.Listing{Partner: l.Partner, Listing: l.Listing}
	}
	all, err := a.service.SetListings(x.Request.Context(), x.Principal, x.Param("id"), listings)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, map[string]any{"listings": all})
}
