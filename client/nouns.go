package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"path"
	"time"
)

// NounList names the nouns of one kind: Products, Customers, Entitlements, or
// what is one customer's own, see OwnOf. Their fields are those of the
// catalog's document.
type NounList string

// The nouns that are no customer's own.
const (
	Products     NounList = "/api/v1/products"
	Customers    NounList = "/api/v1/customers"
	Entitlements NounList = "/api/v1/entitlements"
)

// OwnOf names a kind of nouns that are a customer's own, as the document does:
// services, contracts, cp_codes, reporting_groups, account_groups, agents or tests.
func OwnOf(customer, kind string) NounList {
	return Customers + NounList("/"+url.PathEscape(customer)+"/"+kind)
}

func (l NounList) one(id string) string { return string(l) + "/" + url.PathEscape(id) }

// Nouns yields the nouns of a list by id, as JSON; customers without what is
// their own. It ends after the first error.
func (c *Client) Nouns(ctx context.Context, l NounList) iter.Seq2[json.RawMessage, error] {
	name := path.Base(string(l))
	return pages(ctx, c, string(l), url.Values{}, func(p map[string]json.RawMessage) ([]json.RawMessage, string) {
		var items []json.RawMessage
		var cursor string
		_ = json.Unmarshal(p[name], &items) // the page is valid JSON, its members are
		_ = json.Unmarshal(p["next_cursor"], &cursor)
		return items, cursor
	})
}

// Noun reads one noun into a value that JSON can be decoded into.
func (c *Client) Noun(ctx context.Context, l NounList, id string, into any) error {
	return c.do(ctx, call{method: http.MethodGet, path: l.one(id)}, into)
}

// CreateNoun adds a noun and reads it as it is then into a value, which may be
// nil. One that exists is an Error of kind Conflict. It is not repeated when
// the outcome is unknown.
func (c *Client) CreateNoun(ctx context.Context, l NounList, noun, into any) error {
	return c.json(ctx, call{method: http.MethodPost, path: string(l), once: true}, noun, into)
}

// PatchNoun changes the fields of a noun that are given, each as a whole; null
// gives a field its default. The change holds from effective, zero being now.
func (c *Client) PatchNoun(ctx context.Context, l NounList, id string, fields any, effective time.Time, into any) error {
	k := call{method: http.MethodPatch, path: l.one(id), query: url.Values{}}
	setTime(k.query, "effective", effective)
	return c.json(ctx, k, fields, into)
}

// DeleteNoun removes a noun from effective on, zero being now; history keeps
// it. One that others refer to is an Error of kind Conflict, which names them.
// It is not repeated when the outcome is unknown.
func (c *Client) DeleteNoun(ctx context.Context, l NounList, id string, effective time.Time) error {
	k := call{method: http.MethodDelete, path: l.one(id), query: url.Values{}, once: true}
	setTime(k.query, "effective", effective)
	return c.do(ctx, k, nil)
}

// ProductQuery asks what customers used of products in [From, To).
type ProductQuery struct {
	Customer  string   // "" = Customers, or that of a bound key
	Customers []string // up to 100, with Customer
	Product   string   // "" = all
	UsageType string   // by name; "" = all
	Contract  string   // "" = whatever contract usage names
	Service   string   // "" = all
	From, To  time.Time
	Window    string // as UsageQuery
	TimeZone  string // as UsageQuery
	GroupBy   []string
	AsOf      time.Time // as known then, closings too; zero = now
}

// ProductUsageRow is one window of one group of a usage type.
type ProductUsageRow struct {
	Customer  string            `json:"customer"`
	Product   string            `json:"product"`
	UsageType string            `json:"usage_type"`
	Unit      string            `json:"unit"`
	Billable  bool              `json:"billable"`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end"`
	Group     map[string]string `json:"group"`
	Value     string            `json:"value"`   // a decimal, in Unit
	Clipped   bool              `json:"clipped"` // the window reaches beyond the asked range
	Month     string            `json:"month"`   // the calendar month of the usage, such as 2026-01; "" if the row is of several
	Late      bool              `json:"late"`    // it came after Month was closed, and is billed in the month of Start
	Closed    bool              `json:"closed"`  // it was kept when the month was closed, and never changes
}

// ProductUsage returns customers' usage by product and usage type; the
// server answers at most 10,000 rows, and TooLarge past that.
func (c *Client) ProductUsage(ctx context.Context, q ProductQuery) ([]ProductUsageRow, error) {
	v := url.Values{}
	for name, text := range map[string]string{"customer": q.Customer, "product": q.Product, "usage_type": q.UsageType,
		"contract": q.Contract, "service": q.Service, "window": q.Window} {
		setText(v, name, text)
	}
	for _, customer := range q.Customers {
		v.Add("customer", customer)
	}
	setTime(v, "from", q.From)
	setTime(v, "to", q.To)
	setText(v, "tz", q.TimeZone)
	setTime(v, "as_of", q.AsOf)
	for _, g := range q.GroupBy {
		v.Add("group_by", g)
	}
	var answer struct {
		Rows []ProductUsageRow `json:"rows"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/v1/usage", query: v}, &answer)
	return answer.Rows, err
}
