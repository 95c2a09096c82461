package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Meter says how events of one type become a quantity.
type Meter struct {
	Key         string      `json:"key"`
	Name        string      `json:"name,omitempty"`
	Description string      `json:"description,omitempty"`
	EventType   string      `json:"event_type"`
	Aggregation string      `json:"aggregation"`     // COUNT SUM MIN MAX AVG UNIQUE_COUNT LAST PERCENTILE PEAK
	Value       string      `json:"value,omitempty"` // attribute to aggregate; none for COUNT
	GroupBy     []string    `json:"group_by,omitempty"`
	Filters     [][]Filter  `json:"filters,omitempty"`    // inner lists are alternatives, outer ones all hold
	Percentile  json.Number `json:"percentile,omitempty"` // PERCENTILE only; default 95
	Sample      string      `json:"sample,omitempty"`     // PERCENTILE and PEAK only; default 5m
	Rate        bool        `json:"rate,omitempty"`       // divide samples by their seconds
	Excess      string      `json:"excess,omitempty"`     // of values with too many digits after the point: "skip" (default) the event, or "round" them
	Unit        string      `json:"unit,omitempty"`
	Status      string      `json:"status,omitempty"`
}

// Filter is one condition on an attribute.
type Filter struct {
	Attribute string `json:"attribute"`
	Op        string `json:"op"` // IS NOT_IS CONTAINS NOT_CONTAINS EXISTS NOT_EXISTS GT GTE LT LTE EQ NOT_EQ
	Value     any    `json:"value,omitempty"`
}

// MeterState is a meter and its standing.
type MeterState struct {
	Meter
	Version         uint32    `json:"version"`
	CreatedSequence uint64    `json:"created_sequence"`
	CreatedAt       time.Time `json:"created_at"`
	Backfill        Backfill  `json:"backfill"`
	Skipped         uint64    `json:"skipped"` // events whose value could not be taken
	Groups          uint64    `json:"groups"`
	// Preview is what the meter makes of the latest events; CreateMeter sets it
	// for a meter that it has made.
	Preview *MeterPreview `json:"preview"`
}

// MeterPreview is what a meter makes of the latest events.
type MeterPreview struct {
	Events     int            `json:"events"`   // that were looked at
	Complete   bool           `json:"complete"` // there are no older ones
	From       time.Time      `json:"from"`
	To         time.Time      `json:"to"`
	OfType     int            `json:"of_type"`
	LeftOut    int            `json:"left_out"` // by the filters
	Skipped    map[string]int `json:"skipped"`  // by reason
	Counted    int            `json:"counted"`
	Sum        string         `json:"sum"`        // of the counted values, where numbers are taken
	Types      map[string]int `json:"types"`      // events by type
	Attributes []string       `json:"attributes"` // of the events of its type
	Hints      []string       `json:"hints"`
}

// Backfill tells how far older usage has been folded into a meter. Queries
// are exact before that too, only slower.
type Backfill struct {
	Done     bool   `json:"done"`
	Cursor   uint64 `json:"cursor"`
	Target   uint64 `json:"target"`
	Progress string `json:"progress"` // "0.00" to "1.00"
}

// MeterPatch changes what is not a meter's definition; nil leaves a part alone.
type MeterPatch struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Unit        *string `json:"unit,omitempty"`
	Status      *string `json:"status,omitempty"`
}

const metersPath = "/api/v1/meters"

func meterPath(key string) string { return metersPath + "/" + url.PathEscape(key) }

// Meters lists all meters in order of their definition.
func (c *Client) Meters(ctx context.Context) ([]MeterState, error) {
	var list struct {
		Meters []MeterState `json:"meters"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: metersPath}, &list)
	return list.Meters, err
}

// Meter returns one meter.
func (c *Client) Meter(ctx context.Context, key string) (MeterState, error) {
	var m MeterState
	err := c.do(ctx, call{method: http.MethodGet, path: meterPath(key)}, &m)
	return m, err
}

// CreateMeter defines a meter. A meter that is there with the same definition
// is success; another definition under its key is an Error of kind Conflict.
func (c *Client) CreateMeter(ctx context.Context, m Meter) (MeterState, error) {
	var state MeterState
	err := c.json(ctx, call{method: http.MethodPost, path: metersPath}, m, &state)
	return state, err
}

// UpdateMeter changes a meter's name, description, unit or status.
func (c *Client) UpdateMeter(ctx context.Context, key string, p MeterPatch) (MeterState, error) {
	var state MeterState
	err := c.json(ctx, call{method: http.MethodPatch, path: meterPath(key)}, p, &state)
	return state, err
}

// DeleteMeter removes a meter; its events stay.
func (c *Client) DeleteMeter(ctx context.Context, key string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: meterPath(key), once: true}, nil)
}

// Key is a right to act in one organization, without its secret.
type Key struct {
	ID           string    `json:"id"`
	Organization string    `json:"organization"`
	Role         string    `json:"role"`
	Kind         string    `json:"kind"`
	Customer     string    `json:"customer"` // the one customer it sees; "" = all
	Operator     bool      `json:"operator"`
	Sources      []string  `json:"sources"`              // how the sources of its events begin; none = any
	Unrestricted bool      `json:"unrestricted_sources"` // sends a customer's events, of any source
	Strict       bool      `json:"strict"`               // any event that is refused makes its whole answer an error
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires"`   // zero = never
	Revoked      time.Time `json:"revoked"`   // zero = not revoked
	LastUsed     time.Time `json:"last_used"` // about; zero = never
}

// NewKey describes a key to create.
type NewKey struct {
	Role       string    `json:"role"` // admin, report, ingest or read
	Customer   string    `json:"customer,omitempty"`
	Accounts   []string  `json:"accounts,omitempty"`    // of an EdgeGrid key: account ids that it may switch to
	DefaultAID string    `json:"default_aid,omitempty"` // of an unbound token that reads: account group of requests to ThousandEyes' API that name none
	Sources    []string  `json:"sources,omitempty"`     // of a bound ingest key: how the sources of its events begin
	Strict     bool      `json:"strict,omitempty"`      // any event that is refused makes its whole answer an error
	Expires    time.Time `json:"expires,omitzero"`
	Operator   bool      `json:"operator,omitempty"` // with the operator right, which only an operator gives
}

// CreatedKey is a new key with its token, which cannot be had again.
type CreatedKey struct {
	Key
	Token string `json:"key"`
}

// CreateKey adds a key. It is not repeated when the outcome is unknown.
func (c *Client) CreateKey(ctx context.Context, n NewKey) (CreatedKey, error) {
	var k CreatedKey
	err := c.json(ctx, call{method: http.MethodPost, path: "/api/v1/keys", once: true}, n, &k)
	return k, err
}

// EdgeGridKey is a new key that signs requests as EdgeGrid clients do, with
// its credential, whose secret cannot be had again.
type EdgeGridKey struct {
	Key
	ClientToken  string `json:"client_token"`
	AccessToken  string `json:"access_token"`
	ClientSecret string `json:"client_secret"`
}

// CreateEdgeGridKey adds a key for Akamai's API. It is not repeated when the
// outcome is unknown.
func (c *Client) CreateEdgeGridKey(ctx context.Context, n NewKey) (EdgeGridKey, error) {
	var k EdgeGridKey
	err := c.json(ctx, call{method: http.MethodPost, path: "/api/v1/keys", once: true}, struct {
		NewKey
		Kind string `json:"kind"`
	}{n, "edgegrid"}, &k)
	return k, err
}

// Keys yields all keys, the oldest first.
func (c *Client) Keys(ctx context.Context) iter.Seq2[Key, error] {
	return pages(ctx, c, "/api/v1/keys", url.Values{}, func(p struct {
		Keys []Key `json:"keys"`
		next
	}) ([]Key, string) {
		return p.Keys, p.NextCursor
	})
}

// RevokeKey ends a key at once.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/v1/keys/" + url.PathEscape(id)}, nil)
}

// ForceRevokeKey is RevokeKey also of an organization's last admin key, and of
// the last key with the operator right, which RevokeKey refuses as a conflict.
func (c *Client) ForceRevokeKey(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/v1/keys/" + url.PathEscape(id), query: url.Values{"force": {"true"}}}, nil)
}

// Organization is a tenant.
type Organization struct {
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	CustomerAttribute string    `json:"customer_attribute"`
	AssignTime        bool      `json:"assign_time"` // events without a time are taken
	Created           time.Time `json:"created"`
}

// NewOrganization describes an organization to create.
type NewOrganization struct {
	ID                string `json:"id"`
	Name              string `json:"name,omitempty"`               // "" = the id
	CustomerAttribute string `json:"customer_attribute,omitempty"` // "" = the event's subject
	AssignTime        *bool  `json:"assign_time,omitempty"`        // nil = true: events without a time are taken
}

// OrganizationPatch changes an organization; nil leaves a part alone.
type OrganizationPatch struct {
	Name              *string `json:"name,omitempty"`
	CustomerAttribute *string `json:"customer_attribute,omitempty"`
	AssignTime        *bool   `json:"assign_time,omitempty"`
}

const organizationsPath = "/api/v1/organizations"

// CreateOrganization adds an organization; the key needs the operator right.
// It is not repeated when the outcome is unknown.
func (c *Client) CreateOrganization(ctx context.Context, n NewOrganization) (Organization, error) {
	var o Organization
	err := c.json(ctx, call{method: http.MethodPost, path: organizationsPath, once: true}, n, &o)
	return o, err
}

// Organization returns one organization.
func (c *Client) Organization(ctx context.Context, id string) (Organization, error) {
	var o Organization
	err := c.do(ctx, call{method: http.MethodGet, path: organizationsPath + "/" + url.PathEscape(id)}, &o)
	return o, err
}

// UpdateOrganization changes an organization's name or customer attribute.
func (c *Client) UpdateOrganization(ctx context.Context, id string, p OrganizationPatch) (Organization, error) {
	var o Organization
	err := c.json(ctx, call{method: http.MethodPatch, path: organizationsPath + "/" + url.PathEscape(id)}, p, &o)
	return o, err
}

// Organizations yields the organizations that the key may see, by id.
func (c *Client) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return pages(ctx, c, organizationsPath, url.Values{}, func(p struct {
		Organizations []Organization `json:"organizations"`
		next
	}) ([]Organization, string) {
		return p.Organizations, p.NextCursor
	})
}

// Listing is what an operator lets an organization report to a marketplace.
type Listing struct {
	Partner string    `json:"partner"` // AWS, AZURE or GCP
	Listing string    `json:"listing"` // a product code, licence, resource or service; * = all that no organization was given by name
	Created time.Time `json:"created,omitzero"`
}

func listingsPath(organization string) string {
	return organizationsPath + "/" + url.PathEscape(organization) + "/listings"
}

// Listings returns what an organization may report to marketplaces.
func (c *Client) Listings(ctx context.Context, organization string) ([]Listing, error) {
	var out struct {
		Listings []Listing `json:"listings"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: listingsPath(organization)}, &out)
	return out.Listings, err
}

// SetListings makes listings all that an organization may report; the key needs
// the operator right.
func (c *Client) SetListings(ctx context.Context, organization string, listings []Listing) ([]Listing, error) {
	var in, out struct {
		Listings []Listing `json:"listings"`
	}
	in.Listings = make([]Listing, len(listings))
	for i, l := range listings {
		in.Listings[i] = Listing{Partner: l.Partner, Listing: l.Listing}
	}
	err := c.json(ctx, call{method: http.MethodPut, path: listingsPath(organization)}, in, &out)
	return out.Listings, err
}

// AuditEntry records one change.
type AuditEntry struct {
	Organization string          `json:"organization"`
	Number       int64           `json:"number"`
	Time         time.Time       `json:"time"`
	Actor        string          `json:"actor"`
	Action       string          `json:"action"` // create, update, revoke or delete
	Noun         string          `json:"noun"`
	ID           string          `json:"id"`
	Before       json.RawMessage `json:"before"`
	After        json.RawMessage `json:"after"`
}

// Audit yields the organization's changes, the newest first.
func (c *Client) Audit(ctx context.Context) iter.Seq2[AuditEntry, error] {
	return pages(ctx, c, "/api/v1/audit", url.Values{}, func(p struct {
		Entries []AuditEntry `json:"entries"`
		next
	}) ([]AuditEntry, string) {
		return p.Entries, p.NextCursor
	})
}
