package metering

import (
	"context"
	"odometer/internal/access"
	"slices"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// The attributes that say for which product and contract something was used.
const (
	productAttribute  = "product"
	contractAttribute = "contract"
)

// ProductQuery asks for one usage type of one product in [From, To).
type ProductQuery struct {
	Product   string // id; events that name no product count too, see ProductUsage
	UsageType catalog.UsageType
	Customers []string // of these only; a bound key sees no more than its own
	Contracts []string // of these only, "" being events that name none; nil = whatever they name
	Filters   []meter.AttrFilter
	From, To  time.Time
	Window    meter.Window // "" = one row a group for the whole range
	By        []string     // attributes to group by

	AsOfSequence uint64         // as the log stood at this entry; 0 = now
	AsOf         time.Time      // as known then; zero = now; not together with AsOfSequence
	Location     *time.Location // of the windows; nil = UTC

	named     bool // only events that name the product
	undivided bool // figures before their scale and, of a rate, before they are divided

	most int // more rows than this are KindTooLarge; 0 = no bound
}

// UsageReader answers the usage of products. The Service does, each question by
// itself; in a closing what has been read for many customers at once does.
type UsageReader interface {
	ProductUsage(ctx context.Context, p access.Principal, q ProductQuery) ([]meter.UsageRow, error)
	ContractUsage(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope) ([]meter.UsageRow, error)
	ContractUsageTo(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope, ends []time.Time) ([][]meter.UsageRow, error)
}

// ProductUsage answers what the vendor surfaces are made of: the usage of the
// usage type's meter where its fixed attributes, the product, the customers
// and the contracts match, times its scale. An event that names no product is
// of each product whose usage type takes it. Rows are ordered by start, then
// group; windows and groups without events have none.
//
// Errors: KindUnavailable if the usage type's meter is gone.
func (s *Service) ProductUsage(ctx context.Context, p access.Principal, q ProductQuery) ([]meter.UsageRow, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	if p.Customer != "" {
		if !slices.Contains(q.Customers, p.Customer) {
			return nil, nil
		}
		q.Customers = []string{p.Customer}
	}
	if len(q.Customers) == 0 {
		return nil, nil
	}
	state, ok := s.ledger.Meter(p.Organization, q.UsageType.Meter)
	if !ok {
		return nil, meter.Errorf(meter.KindUnavailable, "product %s counts with a meter that is gone", q.Product)
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return nil, err
	}
	defer turn.Done()
	rows, err := s.productRows(ctx, p.Organization, q, state.Meter)
	return rows, turn.Because(ctx, err)
}

func (s *Service) productRows(ctx context.Context, organization string, q ProductQuery, m meter.Meter) ([]meter.UsageRow, error) {
	ask := meter.UsageQuery{Organization: organization, Meter: m.Key, From: q.From, To: q.To, Window: q.Window, GroupBy: q.By, Filters: q.filters(),
		AsOfSequence: q.AsOfSequence, AsOf: q.AsOf, Location: q.Location, All: true, Undivided: true} // a rate is divided once, after its scale
	u, err := s.ledger.Usage(ctx, ask)
	if err != nil {
		return nil, err
	}
	if q.most > 0 && len(u.Rows) > q.most {
		return nil, errManyRows()
	}
	if q.undivided {
		return u.Rows, nil
	}
	scale := q.UsageType.ScaleDecimal()
	for i := range u.Rows {
		u.Rows[i].Value = m.Result(u.Rows[i].Value, scale)
	}
	return u.Rows, nil
}

// filters are those of the usage type, the scope and the caller; all hold.
func (q ProductQuery) filters() []meter.AttrFilter { return append(q.scope(), q.ofType()...) }

// scope are the filters that tell customers apart, those of the caller among them.
func (q ProductQuery) scope() []meter.AttrFilter {
	out := append(slices.Clone(q.Filters), meter.AttrFilter{Attribute: meter.CustomerAttribute, Values: q.Customers})
	if q.Contracts != nil {
		out = append(out, meter.AttrFilter{Attribute: contractAttribute, Values: q.Contracts})
	}
	return out
}

// ofType are the filters that are alike for all customers.
func (q ProductQuery) ofType() []meter.AttrFilter {
	var out []meter.AttrFilter
	for name, text := range q.UsageType.Where {
		out = append(out, meter.AttrFilter{Attribute: name, Values: []string{text}})
	}
	if _, fixed := q.UsageType.Where[productAttribute]; q.named {
		out = append(out, meter.AttrFilter{Attribute: productAttribute, Values: []string{q.Product}})
	} else if !fixed {
		out = append(out, meter.AttrFilter{Attribute: productAttribute, Values: []string{"", q.Product}})
	}
	return out
}
