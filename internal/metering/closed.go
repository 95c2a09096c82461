package metering

import (
	"context"
	"encoding/json"
	"maps"
	"odometer/internal/access"
	"slices"
	"sync"

	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Closed are a customer's closed months as of one moment, and the way to their figures.
type Closed struct {
	books.Months
	service                *Service
	organization, customer string
}

// Closed returns a customer's closed months. It checks no right: surfaces ask
// for customers that they have found for the principal.
func (s *Service) Closed(ctx context.Context, p access.Principal, customer string) (Closed, error) {
	if err := p.May(access.ActionRead); err != nil {
		return Closed{}, err
	}
	return s.closed(ctx, p.Organization, customer)
}

func (s *Service) closed(ctx context.Context, organization, customer string) (Closed, error) {
	periods, err := s.catalog.ClosedMonths(ctx, organization, customer)
	if err != nil {
		return Closed{}, err
	}
	return s.closedIn(organization, customer, periods)
}

// closedOf is closed of several customers, in their order.
func (s *Service) closedOf(ctx context.Context, organization string, customers []string) ([]Closed, error) {
	periods, err := s.catalog.ClosedMonthsOf(ctx, organization, customers)
	if err != nil {
		return nil, err
	}
	out := make([]Closed, len(customers))
	for i, customer := range customers {
		if out[i], err = s.closedIn(organization, customer, periods[customer]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) closedIn(organization, customer string, periods []catalog.Period) (Closed, error) {
	c := Closed{make(books.Months, len(periods)), s, organization, customer}
	for i, p := range periods {
		in, ok := meter.ParseMonth(p.Month)
		if !ok {
			return Closed{}, meter.Errorf(meter.KindCorrupt, "a closed month is called %q", p.Month)
		}
		c.Months[i] = books.Month{Period: in, Name: p.Month, Sequence: p.Sequence, Late: s.ledger.Reached(organization, in.From, in.To) > p.Sequence, At: p.Closed}
	}
	return c, nil
}

// Figures reads what a book has of a closed month; false if it had nothing
// to say then.
func (c Closed) Figures(ctx context.Context, m books.Month, surface string, into any) (bool, error) {
	all, err := c.service.figures(ctx, c.organization, c.customer, m.Name)
	if err != nil || all[surface] == nil {
		return false, err
	}
	if err := json.Unmarshal(all[surface], into); err != nil {
		return false, meter.WrapError(meter.KindCorrupt, err, "the figures of %s of customer %s cannot be read", m.Name, c.customer)
	}
	return true, nil
}

// figures returns a closed month's, by surface.
func (s *Service) figures(ctx context.Context, organization, customer, month string) (map[string]json.RawMessage, error) {
	key := meter.JoinPath(organization, customer, month)
	if have, ok := s.kept.get(key); ok {
		return have, nil
	}
	p, closed, err := s.catalog.Period(ctx, organization, customer, month)
	if err != nil || !closed {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(p.Figures, &all); err != nil {
		return nil, meter.WrapError(meter.KindCorrupt, err, "the figures of %s of customer %s cannot be read", month, customer)
	}
	s.kept.put(key, all, len(p.Figures))
	return all, nil
}

// maxKeptFigures bounds the figures of closed months that are kept in memory, in bytes.
const maxKeptFigures = 32 << 20

// keptFigures remembers figures, which never change. Past the bound it
// forgets all and begins anew.
type keptFigures struct {
	mu    sync.Mutex
	bytes int
	by    map[string]map[string]json.RawMessage
}

func (k *keptFigures) get(key string) (map[string]json.RawMessage, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, ok := k.by[key]
	return all, ok
}

func (k *keptFigures) put(key string, all map[string]json.RawMessage, bytes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil || k.bytes+bytes > maxKeptFigures {
		k.by, k.bytes = map[string]map[string]json.RawMessage{}, 0
	}
	k.by[key] = all
	k.bytes += bytes
}

// The bounds of what a meter's usage says of closed months.
const (
	maxClosedMonths    = 120 // months
	maxClosedCustomers = 100 // customers of each
)

// ClosedFor says which calendar months that lie in a range are closed, and for
// whom: of the customers that the filters name, else of all. A bound key hears
// of its customer's only. Both are cut at the bounds above, the oldest months first.
func (s *Service) ClosedFor(ctx context.Context, p access.Principal, in meter.Period, filters []meter.AttrFilter) ([]catalog.ClosedFor, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	from, to := in.MonthName(), meter.Month(in.To.Add(-1)).MonthName()
	var named []string
	if i := slices.IndexFunc(filters, func(f meter.AttrFilter) bool { return f.Attribute == meter.CustomerAttribute }); i >= 0 {
		named = filters[i].Values
	}
	if p.Customer != "" {
		named = []string{p.Customer}
	}
	if len(named) == 0 || len(named) > maxClosedCustomers {
		return s.catalog.ClosedFor(ctx, p.Organization, from, to, maxClosedMonths, maxClosedCustomers)
	}
	by := map[string]*catalog.ClosedFor{}
	for _, customer := range slices.Sorted(slices.Values(named)) {
		months, err := s.catalog.ClosedMonths(ctx, p.Organization, customer)
		if err != nil {
			return nil, err
		}
		for _, m := range months {
			if m.Month < from || m.Month > to {
				continue
			}
			if by[m.Month] == nil {
				by[m.Month] = &catalog.ClosedFor{Month: m.Month}
			}
			if one := by[m.Month]; !slices.Contains(one.Customers, customer) {
				one.Customers = append(one.Customers, customer)
			}
		}
	}
	var out []catalog.ClosedFor
	for _, month := range slices.Sorted(maps.Keys(by)) {
		if len(out) < maxClosedMonths {
			out = append(out, *by[month])
		}
	}
	return out, nil
}
