package metering

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Why usage is shown under no noun of the catalog. Each is the attribute
// that leads nowhere.
const (
	unattributedCustomer     = meter.CustomerAttribute // no such customer, or none named
	unattributedService      = "service"               // not the customer's then
	unattributedContract     = contractAttribute       // not the customer's, not valid then, or none named where that is not clear
	unattributedAccountGroup = "account_group"         // an unknown test, in no account group of the customer
)

// Unattributed is usage that counts for its customer, or for a text that is no
// customer, and that a surface shows under no service, contract or account
// group.
type Unattributed struct {
	Reason   string
	Customer string
	Value    string // of the attribute that Reason names
	Meter    string // that Quantity is of
	Quantity meter.Decimal
	Period   meter.Period
}

// Unattributed lists what is unattributed in a range, by reason, customer and
// value. A bound key sees its customer's. For each type of event one meter
// tells: the plainest that counts and groups by the attribute.
func (s *Service) Unattributed(ctx context.Context, p access.Principal, in meter.Period) ([]Unattributed, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	w := s.walkUnattributed(p, in)
	_, err := w.run(ctx)
	return w.out, err
}

// compareUnattributed is the order of the list.
func compareUnattributed(a, b Unattributed) int {
	return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Value, b.Value),
		cmp.Compare(a.Meter, b.Meter), a.Period.From.Compare(b.Period.From))
}

// CountUnattributed counts anew what Stats says is unattributed in the current
// month, all organizations over.
func (s *Service) CountUnattributed(ctx context.Context) error {
	var counted []UnattributedCount
	var failed []error
	month := meter.Month(s.now())
	for page := (catalog.Page{}); ; {
		list, err := s.catalog.Organizations(ctx, page)
		if err != nil {
			return err
		}
		for _, o := range list.Items {
			found, err := s.Unattributed(ctx, access.Job(o.ID, "unattributed"), month)
			if err != nil { // one that fails does not keep the others
				failed = append(failed, err)
				continue
			}
			for _, reason := range []string{unattributedCustomer, unattributedService, unattributedContract, unattributedAccountGroup} {
				named := map[[2]string]bool{}
				for _, f := range found {
					if f.Reason == reason {
						named[[2]string{f.Customer, f.Value}] = true
					}
				}
				counted = append(counted, UnattributedCount{o.ID, reason, len(named)})
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			s.unattributed.Store(&counted)
			return errors.Join(failed...)
		}
	}
}

// tellers are the meters that tell of an attribute, one for each type of event.
func (s *Service) tellers(organization, attribute string) []meter.Meter {
	best := map[string]meter.Meter{}
	rank := func(m meter.Meter) int {
		switch {
		case m.Aggregation == meter.AggCount && len(m.Filters) == 0:
			return 0
		case m.Aggregation == meter.AggCount:
			return 1
		}
		return 2 + len(m.Filters)
	}
	for _, m := range s.ledger.Meters(organization) {
		if m.Aggregation != meter.AggCount && m.Aggregation != meter.AggSum ||
			!slices.Contains(m.GroupBy, meter.CustomerAttribute) || !slices.Contains(m.GroupBy, attribute) {
			continue
		}
		if have, ok := best[m.EventType]; !ok || rank(m.Meter) < rank(have) {
			best[m.EventType] = m.Meter
		}
	}
	out := make([]meter.Meter, 0, len(best))
	for _, m := range best {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b meter.Meter) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// unattributed collects what is found.
type unattributed struct {
	service *Service
	asks    access.Principal
	view    *catalog.View // of all, or of the customers whose usage is looked at; nil until there is usage
	in      meter.Period
	only    []meter.AttrFilter // what is looked at
	found   []Unattributed
}

// rows asks a meter by attributes.
func (u *unattributed) rows(ctx context.Context, m meter.Meter, in meter.Period, filters []meter.AttrFilter, by ...string) ([]meter.UsageRow, error) {
	page, err := u.service.Usage(ctx, u.asks, meter.UsageQuery{Meter: m.Key, From: in.From, To: in.To, GroupBy: by, Filters: filters, All: true})
	if err != nil {
		return nil, err
	}
	if u.view == nil && len(page.Rows) > 0 { // a catalog that nothing is asked of is not read
		if u.view, err = u.service.catalog.ViewOf(ctx, u.asks.Organization, catalog.OfCustomers(u.asks.Customer)); err != nil {
			return nil, err
		}
	}
	return page.Rows, nil
}

// look lets the view have the customers of rows.
func (u *unattributed) look(ctx context.Context, rows []meter.UsageRow) error {
	if len(rows) == 0 || u.view.HasAll() {
		return nil
	}
	var err error
	u.view, err = u.service.catalog.ViewOf(ctx, u.asks.Organization, catalog.OfCustomers(customersIn(rows)...))
	return err
}

// customersIn are the customers that rows are grouped by first.
func customersIn(rows []meter.UsageRow) []string {
	var ids []string
	seen := map[string]bool{}
	for _, r := range rows {
		if id := r.Group[0]; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// knows says of customers that rows are grouped by which the catalog has.
func (u *unattributed) knows(ctx context.Context, rows []meter.UsageRow) (map[string]bool, error) {
	ids := customersIn(rows)
	if len(ids) == 0 || !u.view.HasAll() {
		return u.service.catalog.AreCustomers(ctx, u.asks.Organization, ids)
	}
	known := map[string]bool{}
	for _, id := range ids {
		_, known[id] = u.view.Customer(id)
	}
	return known, nil
}

func (u *unattributed) add(reason, customer, value string, m meter.Meter, quantity meter.Decimal, in meter.Period) {
	if !quantity.IsZero() {
		u.found = append(u.found, Unattributed{reason, customer, value, m.Key, quantity, in})
	}
}

// addParts adds what lies in parts of the range; by is what the row is grouped by.
func (u *unattributed) addParts(ctx context.Context, reason, value string, m meter.Meter, row meter.UsageRow, parts []meter.Period, by ...string) error {
	if len(parts) == 1 && parts[0] == u.in {
		u.add(reason, row.Group[0], value, m, row.Value, u.in)
		return nil
	}
	for _, part := range parts {
		var filters []meter.AttrFilter
		for i, name := range by {
			filters = append(filters, meter.AttrFilter{Attribute: name, Values: []string{row.Group[i]}})
		}
		rows, err := u.rows(ctx, m, part, filters)
		if err != nil {
			return err
		}
		for _, r := range rows {
			u.add(reason, row.Group[0], value, m, r.Value, part)
		}
	}
	return nil
}

func (u *unattributed) customers(ctx context.Context, m meter.Meter) error {
	rows, err := u.rows(ctx, m, u.in, u.only, meter.CustomerAttribute)
	if err != nil {
		return err
	}
	return u.addUnknown(ctx, m, rows)
}

// addUnknown adds what is of no customer of the catalog.
func (u *unattributed) addUnknown(ctx context.Context, m meter.Meter, rows []meter.UsageRow) error {
	known, err := u.knows(ctx, rows)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if !known[r.Group[0]] {
			u.add(unattributedCustomer, r.Group[0], r.Group[0], m, r.Value, u.in)
		}
	}
	return nil
}

// services finds services named that were not the customer's then. An event
// that names none is of no service, and nothing is wrong with it.
func (u *unattributed) services(ctx context.Context, m meter.Meter) error {
	rows, err := u.rows(ctx, m, u.in, u.only, meter.CustomerAttribute, unattributedService)
	if err != nil {
		return err
	}
	if err := u.look(ctx, rows); err != nil {
		return err
	}
	held := map[string]map[string][]meter.Period{} // by customer and service
	for _, r := range rows {
		customer, service := r.Group[0], r.Group[1]
		if _, known := u.view.Customer(customer); !known || service == "" {
			continue
		}
		if held[customer] == nil {
			held[customer] = map[string][]meter.Period{}
			for _, h := range u.view.ServicesIn(customer, u.in.From, u.in.To) {
				held[customer][h.Noun.ID] = append(held[customer][h.Noun.ID], meter.Period{From: h.From.UTC(), To: h.To.UTC()})
			}
		}
		gaps := gapsOf(held[customer][service], u.in)
		if err := u.addParts(ctx, unattributedService, service, m, r, gaps, meter.CustomerAttribute, unattributedService); err != nil {
			return err
		}
	}
	return nil
}

// gapsOf are the parts of a range that none of some periods, in order, covers.
func gapsOf(periods []meter.Period, in meter.Period) []meter.Period {
	var gaps []meter.Period
	at := in.From
	for _, p := range periods {
		if at.Before(p.From) {
			gaps = append(gaps, meter.Period{From: at, To: p.From})
		}
		at = latest(at, p.To)
	}
	if at.Before(in.To) {
		gaps = append(gaps, meter.Period{From: at, To: in.To})
	}
	return gaps
}

func (u *unattributed) contracts(ctx context.Context, m meter.Meter) error {
	by := []string{meter.CustomerAttribute, contractAttribute}
	byProduct := slices.Contains(m.GroupBy, productAttribute)
	if byProduct {
		by = append(by, productAttribute)
	}
	rows, err := u.rows(ctx, m, u.in, u.only, by...)
	if err != nil {
		return err
	}
	if err := u.look(ctx, rows); err != nil {
		return err
	}
	agreements := map[string][]Agreement{}
	for _, r := range rows {
		customer, contract, product := r.Group[0], r.Group[1], ""
		if byProduct {
			product = r.Group[2]
		}
		known, seen := agreements[customer]
		if !seen {
			for _, c := range u.view.ContractsOf(customer) {
				known = append(known, Agreement{Contract: c})
			}
			agreements[customer] = known
		}
		if _, ok := u.view.Customer(customer); !ok || len(known) == 0 && contract == "" {
			continue // of no customer; or of one that has no contracts, and it names none
		}
		var parts []meter.Period
		for cuts := cutsOf(known, u.in); len(cuts) > 1; cuts = cuts[1:] {
			switch n := len(parts); {
			case u.contractHolds(customer, contract, product, cuts[0]):
			case n > 0 && parts[n-1].To.Equal(cuts[0]):
				parts[n-1].To = cuts[1]
			default:
				parts = append(parts, meter.Period{From: cuts[0], To: cuts[1]})
			}
		}
		if err := u.addParts(ctx, unattributedContract, contract, m, r, parts, by...); err != nil {
			return err
		}
	}
	return nil
}

// contractHolds says whether usage is of a contract of the customer at an
// instant. What names no product may be of any.
func (u *unattributed) contractHolds(customer, contract, product string, at time.Time) bool {
	products := []string{product}
	if product == "" {
		products = nil
		for _, p := range u.view.Products() {
			products = append(products, p.ID)
		}
	}
	return slices.ContainsFunc(products, func(product string) bool {
		if contract != "" {
			return u.view.ContractHas(contract, customer, product, at)
		}
		_, ok := u.view.ContractAt(customer, product, at)
		return ok
	})
}

// tests finds units of tests that there never were, in no account group of the customer.
func (u *unattributed) tests(ctx context.Context, m meter.Meter) error {
	const test = "test"
	if !slices.Contains(m.GroupBy, test) {
		return nil
	}
	rows, err := u.rows(ctx, m, u.in, u.only, meter.CustomerAttribute, unattributedAccountGroup, test)
	if err != nil {
		return err
	}
	if err := u.look(ctx, rows); err != nil {
		return err
	}
	type place struct{ customer, id string }
	seen, groups, tests := map[string]bool{}, map[place]bool{}, map[place]bool{}
	for _, r := range rows {
		customer := r.Group[0]
		if !seen[customer] {
			seen[customer] = true
			for _, g := range u.view.AccountGroupsOf(customer) {
				groups[place{customer, g.AID}] = true
			}
			for _, h := range u.view.TestsIn(customer, time.Time{}, u.in.To) {
				tests[place{customer, h.Noun.ID}] = true
			}
		}
		if _, known := u.view.Customer(customer); known && !groups[place{customer, r.Group[1]}] && !tests[place{customer, r.Group[2]}] {
			u.add(unattributedAccountGroup, customer, r.Group[1], m, r.Value, u.in)
		}
	}
	return nil
}
