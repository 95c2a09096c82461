package native

import (
	"net/http"
	"net/url"
	"odometer/internal/access"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/metering"
)

// keys answers GET /api/v1/keys.
func (a api) keys(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	list, err := a.service.Keys(x.Request.Context(), x.Principal, page)
	if err != nil {
		return err
	}
	return writeList(x, "keys", list.Items, list.Next)
}

// createKey answers POST /api/v1/keys. The token, or the credential of an
// EdgeGrid key, is in this answer only.
func (a api) createKey(x *httpserver.Exchange, _ query) error {
	var in struct {
		Role       string    `json:"role"`
		Kind       string    `json:"kind"`
		Customer   string    `json:"customer" strict:"filled"`
		Accounts   []string  `json:"accounts"`
		DefaultAID string    `json:"default_aid" strict:"filled"`
		Sources    []string  `json:"sources" strict:"filled"`
		Strict     bool      `json:"strict" strict:"filled"`
		Expires    time.Time `json:"expires" strict:"filled"`
		Operator   bool      `json:"operator"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	n := metering.NewKey{Role: in.Role, Kind: in.Kind, Customer: in.Customer, Accounts: in.Accounts, DefaultAID: in.DefaultAID,
		Sources: in.Sources, Strict: in.Strict, Expires: in.Expires, Operator: in.Operator}
	if n.Kind == metering.KeyKindEdgeGrid {
		return a.createEdgeGridKey(x, n)
	}
	k, token, err := a.service.CreateKey(x.Request.Context(), x.Principal, n)
	if err != nil {
		return err
	}
	return writeCreated(x, "/api/v1/keys/"+url.PathEscape(k.ID), struct {
		access.Key
		Token string `json:"key"`
	}{k, token})
}

func (a api) createEdgeGridKey(x *httpserver.Exchange, n metering.NewKey) error {
	k, c, err := a.service.CreateEdgeGridKey(x.Request.Context(), x.Principal, n)
	if err != nil {
		return err
	}
	return writeCreated(x, "/api/v1/keys/"+url.PathEscape(k.ID), struct {
		access.Key
		ClientToken  string `json:"client_token"`
		AccessToken  string `json:"access_token"`
		ClientSecret string `json:"client_secret"`
	}{k, c.ClientToken, c.AccessToken, c.ClientSecret})
}

// revokeKey answers DELETE /api/v1/keys/{id}.
func (a api) revokeKey(x *httpserver.Exchange, q query) error {
	force, err := q.flag("force")
	if err != nil {
		return err
	}
	if err := a.service.RevokeKey(x.Request.Context(), x.Principal, x.Param("id"), force); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// organizations answers GET /api/v1/organizations.
func (a api) organizations(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	list, err := a.service.Organizations(x.Request.Context(), x.Principal, page)
	if err != nil {
		return err
	}
	return writeList(x, "organizations", list.Items, list.Next)
}

// organization answers GET /api/v1/organizations/{id}.
func (a api) organization(x *httpserver.Exchange, _ query) error {
	o, err := a.service.Organization(x.Request.Context(), x.Principal, x.Param("id"))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, o)
}

// createOrganization answers POST /api/v1/organizations.
func (a api) createOrganization(x *httpserver.Exchange, _ query) error {
	var in struct {
		ID                string `json:"id"`
		Name              string `json:"name"`
		CustomerAttribute string `json:"customer_attribute" strict:"filled"`
		AssignTime        *bool  `json:"assign_time"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	o, err := a.service.CreateOrganization(x.Request.Context(), x.Principal,
		catalog.NewOrganization{ID: in.ID, Name: in.Name, CustomerAttribute: in.CustomerAttribute, AssignTime: in.AssignTime})
	if err != nil {
		return err
	}
	return writeCreated(x, "/api/v1/organizations/"+url.PathEscape(o.ID), o)
}

// updateOrganization answers PATCH /api/v1/organizations/{id}.
func (a api) updateOrganization(x *httpserver.Exchange, _ query) error {
	var in struct {
		Name              *string `json:"name"`
		CustomerAttribute *string `json:"customer_attribute" strict:"filled"`
		AssignTime        *bool   `json:"assign_time"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	o, err := a.service.UpdateOrganization(x.Request.Context(), x.Principal, x.Param("id"),
		catalog.OrganizationPatch{Name: in.Name, CustomerAttribute: in.CustomerAttribute, AssignTime: in.AssignTime})
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, o)
}

// audit answers GET /api/v1/audit.
func (a api) audit(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	list, err := a.service.AuditEntries(x.Request.Context(), x.Principal, page)
	if err != nil {
		return err
	}
	return writeList(x, "entries", list.Items, list.Next)
}

// writeList answers one page of a list under its name, never null.
func writeList[T any](x *httpserver.Exchange, name string, items []T, next string) error {
	if items == nil {
		items = []T{}
	}
	return writeJSON(x, http.StatusOK, map[string]any{name: items, "next_cursor": cursorOf(next)})
}
