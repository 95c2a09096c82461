package fastly

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/fastly/wire"
)

const (
	surfaceName      = "fastly" // also in catalog.UsageType.Surfaces
	serviceAttribute = "service"
	regionAttribute  = "region"
)

// account is a customer, what its organization sells, and who asks.
type account struct {
	service  *metering.Service
	reads    metering.UsageReader
	asks     access.Principal
	view     *catalog.View
	customer string
	lines    []line
	meters   map[string]meter.Meter
	closed   metering.Closed
	pages    map[string]*book // the books read so far, by month
	sequence uint64           // open months are read as the log stood at this entry; 0 = now

	services map[meter.Period]map[string][]meter.Period // what held returned
}

// line is one usage type of a product.
type line struct {
	product   string // id
	usageType catalog.UsageType
	additive  bool // the figures of parts add up to that of the whole
	former    bool // the catalog has it no more: closed months and what came late for them
}

// unit is the line's unit on the wire.
func (l line) unit() string { return cmp.Or(l.usageType.Unit, wire.NoUnit) }

// account returns the customer of a request, the one its path names or the one
// its key is bound to, with the lines that can be shown: those whose meter
// keeps services apart. Any other customer than the catalog's, or the key's,
// is KindNotFound.
func (a api) account(x *httpserver.Exchange, customer string) (*account, error) {
	ctx, p := x.Request.Context(), x.Principal
	view, err := a.Service.Catalog(ctx, p, catalog.OfCustomers(customer))
	if err != nil {
		return nil, err
	}
	if _, ok := view.CustomerEver(customer); !ok || p.Customer != "" && p.Customer != customer {
		return nil, meter.Errorf(meter.KindNotFound, "no such customer")
	}
	closed, err := a.Service.Closed(ctx, p, customer)
	if err != nil {
		return nil, err
	}
	return newAccount(ctx, &account{service: a.Service, reads: a.Service, asks: p, view: view, customer: customer, closed: closed})
}

// newAccount fills in the lines.
func newAccount(ctx context.Context, c *account) (*account, error) {
	meters, err := c.service.Definitions(c.asks)
	if err != nil {
		return nil, err
	}
	c.meters = map[string]meter.Meter{}
	for _, m := range meters {
		if slices.Contains(m.GroupBy, serviceAttribute) {
			c.meters[m.Key] = m
		}
	}
	for _, product := range c.view.Products() {
		for _, u := range product.UsageTypes {
			if l, ok := c.line(product.ID, u); ok && u.ShownOn(surfaceName) {
				c.lines = append(c.lines, l)
			}
		}
	}
	c.sortLines()
	return c, nil
}

func (c *account) sortLines() {
	slices.SortFunc(c.lines, func(a, b line) int {
		return cmp.Or(strings.Compare(a.product, b.product), strings.Compare(a.usageType.Name, b.usageType.Name))
	})
}

// line is a usage type of a product; false if no meter keeps its services apart.
func (c *account) line(product string, u catalog.UsageType) (line, bool) {
	m, ok := c.meters[u.Meter]
	return line{product: product, usageType: u, additive: m.Aggregation == meter.AggCount || m.Aggregation == meter.AggSum}, ok
}

// usage asks for a line in a range, which may be empty.
func (c *account) usage(ctx context.Context, l line, in meter.Period, sequence uint64, filters []meter.AttrFilter, by ...string) ([]meter.UsageRow, error) {
	if !in.From.Before(in.To) {
		return nil, nil
	}
	return c.reads.ProductUsage(ctx, c.asks, metering.ProductQuery{Product: l.product, UsageType: l.usageType,
		Customers: []string{c.customer}, From: in.From, To: in.To, By: by, Filters: filters, AsOfSequence: sequence})
}

// amount is the usage of a line in a range, of all services together or of
// what filters say.
func (c *account) amount(ctx context.Context, l line, in meter.Period, sequence uint64, filters ...meter.AttrFilter) (meter.Decimal, error) {
	rows, err := c.usage(ctx, l, in, sequence, filters)
	if err != nil || len(rows) == 0 {
		return meter.Decimal{}, err
	}
	return rows[0].Value, nil // without groups and windows there is one row at most
}

// parts is the usage of one service in parts of a range together.
func (c *account) parts(ctx context.Context, l line, service string, parts []meter.Period, sequence uint64) (sum meter.Decimal, err error) {
	for _, part := range parts {
		units, err := c.amount(ctx, l, part, sequence, meter.AttrFilter{Attribute: serviceAttribute, Values: []string{service}})
		if err != nil {
			return sum, err
		}
		sum = sum.Add(units)
	}
	return sum, nil
}

// serviceUsage is what one service used.
type serviceUsage struct {
	service string // id
	late    string // the closed month that it came late for; "" = none
	units   meter.Decimal
}

// heldUsage returns a line's usage in a range of each service that was the
// customer's then, by id. For a service that was not so all the time, only the
// time in which it was counts.
func (c *account) heldUsage(ctx context.Context, l line, in meter.Period, sequence uint64) ([]serviceUsage, error) {
	rows, err := c.usage(ctx, l, in, sequence, nil, serviceAttribute)
	if err != nil {
		return nil, err
	}
	held := c.held(in)
	var out []serviceUsage
	for _, r := range rows {
		u := serviceUsage{service: r.Group[0], units: r.Value}
		parts := held[u.service]
		if len(parts) == 0 {
			continue
		}
		if len(parts) > 1 || parts[0] != in {
			if u.units, err = c.parts(ctx, l, u.service, parts, sequence); err != nil {
				return nil, err
			}
		}
		out = append(out, u)
	}
	return out, nil
}

// held returns the parts of a range in which each service was the customer's.
// They are those of every line, so that they are looked up once; whoever
// changes the map clones it.
func (c *account) held(in meter.Period) map[string][]meter.Period {
	if held, ok := c.services[in]; ok {
		return held
	}
	held := map[string][]meter.Period{}
	for _, s := range c.view.ServicesIn(c.customer, in.From, in.To) {
		parts := held[s.Noun.ID]
		if n := len(parts); n > 0 && parts[n-1].To.Equal(s.From) { // a new name only
			parts[n-1].To = s.To
			continue
		}
		held[s.Noun.ID] = append(parts, meter.Period{From: s.From.UTC(), To: s.To.UTC()})
	}
	if c.services == nil {
		c.services = map[meter.Period]map[string][]meter.Period{}
	}
	c.services[in] = held
	return held
}
