package metering

import (
	"context"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// The bounds of one ProductReport.
const (
	MaxProductRows      = 10_000   // rows of the answer
	maxProductCustomers = 100      // customers that a question names
	maxProductReads     = 10_000   // figures that it is made of
	maxProductBytes     = 16 << 20 // of the texts of its groups
)

// maxSampleRows bounds the rows that one line of a contract is made of: a
// percentile is put together from its samples.
const maxSampleRows = 1_000_000

func errManyRows() error {
	return meter.Errorf(meter.KindTooLarge, "the answer has too many rows (limit %d): ask for a shorter range, wider windows, or less of the products", MaxProductRows)
}

// serviceAttribute says by which service something was used.
const serviceAttribute = "service"

// ReportQuery asks what customers used of products in [From, To).
type ReportQuery struct {
	Customers []string // none = that of a bound key
	Product   string   // "" = all
	UsageType string   // by name; "" = all
	Contract  string   // usage under it only; "" = all usage, whatever contract it names
	Service   string   // usage that names it only; "" = all
	From, To  time.Time
	Window    meter.Window   // "" = one row a group for the whole range
	Location  *time.Location // of the windows; nil = UTC
	By        []string       // attributes to group by
	AsOf      time.Time      // as known then, closings too; zero = now
}

// ReportLine is the usage of one usage type of a product by one customer.
type ReportLine struct {
	Customer  string
	Product   string
	UsageType catalog.UsageType // as it is now; that of a removed product as its last closing had it
	Rows      []ReportRow
	hidden    bool // from a bound key, but for what its own events say
}

// ReportRow is one window of one group. What came late for a closed month is a
// row of its own, in the window in which the month begins that it is booked to.
type ReportRow struct {
	meter.UsageRow
	Unit     string
	Billable bool
	Month    string // the calendar month of the usage; "" if the row is of several
	Late     bool   // it came after Month was closed
	Closed   bool   // it is kept by closings and never changes
}

// ProductReport answers customers' usage by product and usage type, which the
// vendor surfaces are made of; lines without usage have no rows. Lines are
// ordered by customer as asked, by product, and by usage type as the product
// has them. Under a contract is what names it while it has the product, and
// what names none while it is the customer's only contract with the product.
//
// Closed months answer what their book says, or, by groups and windows that it
// has not, what the log held when they were closed, read as it was read then.
//
// Errors: KindNotFound for a customer, product, usage type or contract that
// there is not, or that the key may not see; KindTooLarge past the bounds
// above; KindUnavailable as ProductUsage and ContractUsage say.
func (s *Service) ProductReport(ctx context.Context, p access.Principal, q ReportQuery) ([]ReportLine, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	if len(q.Customers) == 0 {
		if p.Customer == "" {
			return nil, meter.Errorf(meter.KindInvalid, "name a customer: the key is bound to none")
		}
		q.Customers = []string{p.Customer}
	}
	if len(q.Customers) > maxProductCustomers {
		return nil, meter.Errorf(meter.KindInvalid, "%d customers are named (limit %d)", len(q.Customers), maxProductCustomers)
	}
	view, err := s.Catalog(ctx, p, catalog.OfCustomers(q.Customers...))
	if err != nil {
		return nil, err
	}
	for i, customer := range q.Customers {
		if _, ok := view.Customer(customer); !ok || p.Customer != "" && p.Customer != customer {
			return nil, catalog.NoNoun(catalog.NounRef{Kind: catalog.NounCustomer, ID: customer})
		}
		if slices.Contains(q.Customers[:i], customer) {
			return nil, meter.Errorf(meter.KindInvalid, "customer %.64q is named twice", customer)
		}
	}
	if len(q.By) > s.limits.GroupBy {
		return nil, meter.Errorf(meter.KindInvalid, "group_by names %d attributes (limit %d)", len(q.By), s.limits.GroupBy)
	}
	r := &reportReader{service: s, usage: s, principal: p, view: view, q: q,
		rowsLeft: MaxProductRows, readsLeft: maxProductReads, bytesLeft: maxProductBytes}
	var out []ReportLine
	found := q.Contract == ""
	for _, customer := range q.Customers {
		closed, err := s.closed(ctx, p.Organization, customer)
		if err != nil {
			return nil, err
		}
		closed.Months = closed.KnownAt(q.AsOf)
		lines, has, err := r.customer(ctx, closed)
		if err != nil {
			return nil, err
		}
		found = found || has
		out = append(out, lines...)
	}
	if !found {
		return nil, catalog.NoNoun(catalog.NounRef{Kind: catalog.NounContract, ID: q.Contract})
	}
	if out = r.seen(out); len(out) == 0 {
		switch {
		case q.Product != "" && (!r.known(q.Product) || r.hides(q.Product)):
			return nil, catalog.NoNoun(catalog.NounRef{Kind: catalog.NounProduct, ID: q.Product})
		case q.UsageType != "":
			return nil, meter.Errorf(meter.KindNotFound, "there is no usage type %.64q", q.UsageType)
		}
	}
	return out, nil
}

// known says whether there is such a product now.
func (r *reportReader) known(product string) bool {
	_, ok := r.view.Product(product)
	return ok
}

// hides says whether a bound key may not know of a product by the catalog: it
// is other customers'. Its events that name the product are told all the same.
func (r *reportReader) hides(product string) bool {
	return r.principal.Customer != "" && !r.view.ProductSeenBy(r.principal.Customer, product)
}

// seen leaves out the lines that a bound key may not know of: products of
// other customers that no event of its own names, and removed ones that were so.
func (r *reportReader) seen(lines []ReportLine) []ReportLine {
	return slices.DeleteFunc(lines, func(l ReportLine) bool { return len(l.Rows) == 0 && l.hidden })
}

// contractOf is a contract under which a customer is billed, nil if it is none.
func contractOf(view *catalog.View, customer, contract string) *catalog.Contract {
	of := view.ContractsOf(customer)
	if i := slices.IndexFunc(of, func(c *catalog.Contract) bool { return c.ID == contract }); i >= 0 {
		return of[i]
	}
	return nil
}

// customerScopes says which of one customer's events of a product are under a contract.
func customerScopes(view *catalog.View, c *catalog.Contract, customer, product string, in meter.Period) []Scope {
	a := Agreement{Owner: customer, Contract: &catalog.Contract{ID: c.ID, Starts: c.Starts, Ends: c.Ends, Terms: c.Terms}}
	known := []Agreement{a}
	for _, other := range view.ContractsOf(customer) {
		if other.ID != c.ID {
			known = append(known, Agreement{Owner: customer, Contract: other})
		}
	}
	var within []meter.Period // the spans, those that follow each other as one
	for _, span := range Spans(c, product, in) {
		if n := len(within); n > 0 && within[n-1].To.Equal(span.From) {
			within[n-1].To = span.To
			continue
		}
		within = append(within, span.Period)
	}
	scopes := []Scope{}
	for _, period := range within {
		scopes = append(scopes, ContractScopes(a, known, product, period)...)
	}
	return scopes
}
