package metering

import (
	"context"
	"slices"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// MaxProductRows bounds the rows of one ProductReport.
const MaxProductRows = 10_000

// maxSampleRows bounds the rows that one line of a contract is made of: a
// percentile is put together from its samples.
const maxSampleRows = 1_000_000

func errManyRows() error {
	return meter.Errorf(meter.KindTooLarge, "the answer has too many rows (limit %d): ask for a shorter range, wider windows, or less of the products", MaxProductRows)
}

// serviceAttribute says by which service something was used.
const serviceAttribute = "service"

// ReportQuery asks what a customer used of products in [From, To).
type ReportQuery struct {
	Customer  string // "" = that of a bound key
	Product   string // "" = all
	UsageType string // by name; "" = all
	Contract  string // usage under it only; "" = all usage, whatever contract it names
	Service   string // usage that names it only; "" = all
	From, To  time.Time
	Window    meter.Window // "" = one row a group for the whole range
	By        []string     // attributes to group by
}

// ReportLine is the usage of one usage type of a product.
type ReportLine struct {
	Product   string
	UsageType UsageType
	Rows      []ProductRow
}

// ProductReport answers a customer's usage by product and usage type, which
// the vendor surfaces are made of; lines without usage have no rows. Lines are
// ordered by product, and by usage type as the product has them. Under a
// contract is what names it while it has the product, and what names none
// while it is the customer's only contract with the product.
//
// Errors: KindNotFound for a customer, product, usage type or contract that
// there is not, or that the key may not see; KindTooLarge past MaxProductRows;
// KindUnavailable as ProductUsage and ContractUsage say.
func (s *Service) ProductReport(ctx context.Context, p Principal, q ReportQuery) ([]ReportLine, error) {
	view, err := s.Catalogue(ctx, p)
	if err != nil {
		return nil, err
	}
	if q.Customer == "" {
		q.Customer = p.Customer
	}
	if q.Customer == "" {
		return nil, meter.Errorf(meter.KindInvalid, "name a customer: the key is bound to none")
	}
	if _, ok := view.Customer(q.Customer); !ok || p.Customer != "" && p.Customer != q.Customer {
		return nil, catalog.NoNoun(NounRef{Kind: NounCustomer, ID: q.Customer})
	}
	if len(q.By) > s.limits.GroupBy {
		return nil, meter.Errorf(meter.KindInvalid, "group_by names %d attributes (limit %d)", len(q.By), s.limits.GroupBy)
	}
	var contract *Contract
	if q.Contract != "" {
		if contract = contractOf(view, q); contract == nil {
			return nil, catalog.NoNoun(NounRef{Kind: NounContract, ID: q.Contract})
		}
	}
	lines, err := reportLines(view, q, func(product string) bool { return p.Customer == "" || view.ProductSeenBy(p.Customer, product) })
	if err != nil {
		return nil, err
	}
	left := MaxProductRows
	for i := range lines {
		ask := ProductQuery{Product: lines[i].Product, UsageType: lines[i].UsageType, Customers: []string{q.Customer},
			From: q.From, To: q.To, Window: q.Window, By: q.By, most: left,
			named: p.Customer != "" && !view.ProductSeenBy(p.Customer, lines[i].Product)}
		if q.Service != "" {
			ask.Filters = []AttrFilter{{Attribute: serviceAttribute, Values: []string{q.Service}}}
		}
		if contract == nil {
			lines[i].Rows, err = s.ProductUsage(ctx, p, ask)
		} else {
			ask.most = maxSampleRows
			lines[i].Rows, err = s.ContractUsage(ctx, p, ask, customerScopes(view, contract, q.Customer, ask))
		}
		if left -= len(lines[i].Rows); err == nil && left < 0 {
			err = errManyRows()
		}
		if err != nil {
			return nil, err
		}
	}
	return ownLines(p, view, q, lines)
}

// ownLines leaves out what a bound key may not know of: products of other
// customers that no event of its own names. Asked for, they are as unknown.
func ownLines(p Principal, view *View, q ReportQuery, lines []ReportLine) ([]ReportLine, error) {
	if p.Customer == "" {
		return lines, nil
	}
	own := slices.DeleteFunc(lines, func(l ReportLine) bool { return len(l.Rows) == 0 && !view.ProductSeenBy(p.Customer, l.Product) })
	if len(own) == 0 && q.Product != "" && !view.ProductSeenBy(p.Customer, q.Product) {
		return nil, catalog.NoNoun(NounRef{Kind: NounProduct, ID: q.Product})
	}
	if len(own) == 0 && q.UsageType != "" {
		return nil, errNoUsageType(q.UsageType)
	}
	return own, nil
}

func errNoUsageType(name string) error {
	return meter.Errorf(meter.KindNotFound, "there is no usage type %.64q", name)
}

// contractOf is the contract of a query, nil if the customer is not billed under it.
func contractOf(view *View, q ReportQuery) *Contract {
	of := view.ContractsOf(q.Customer)
	if i := slices.IndexFunc(of, func(c *Contract) bool { return c.ID == q.Contract }); i >= 0 {
		return of[i]
	}
	return nil
}

// reportLines are the usage types that a query asks for. One that is not there
// is told of a product that is seen only.
func reportLines(view *View, q ReportQuery, seen func(product string) bool) ([]ReportLine, error) {
	var lines []ReportLine
	found := false
	for _, product := range view.Products() {
		if q.Product != "" && product.ID != q.Product {
			continue
		}
		found = true
		for _, u := range product.UsageTypes {
			if q.UsageType == "" || u.Name == q.UsageType {
				lines = append(lines, ReportLine{Product: product.ID, UsageType: u})
			}
		}
	}
	switch {
	case q.Product != "" && (!found || len(lines) == 0 && !seen(q.Product)):
		return nil, catalog.NoNoun(NounRef{Kind: NounProduct, ID: q.Product})
	case q.UsageType != "" && len(lines) == 0:
		return nil, errNoUsageType(q.UsageType)
	}
	return lines, nil
}

// customerScopes says which of one customer's events of a product are under a contract.
func customerScopes(view *View, c *Contract, customer string, q ProductQuery) []Scope {
	a := Agreement{Owner: customer, Contract: &Contract{ID: c.ID, Starts: c.Starts, Ends: c.Ends, Terms: c.Terms}}
	known := []Agreement{a}
	for _, other := range view.ContractsOf(customer) {
		if other.ID != c.ID {
			known = append(known, Agreement{Owner: customer, Contract: other})
		}
	}
	var within []meter.Period // the spans, those that follow each other as one
	for _, span := range Spans(c, q.Product, meter.Period{From: q.From, To: q.To}) {
		if n := len(within); n > 0 && within[n-1].To.Equal(span.From) {
			within[n-1].To = span.To
			continue
		}
		within = append(within, span.Period)
	}
	var scopes []Scope
	for _, period := range within {
		scopes = append(scopes, ContractScopes(a, known, q.Product, period)...)
	}
	return scopes
}
