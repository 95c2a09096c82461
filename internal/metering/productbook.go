package metering

import (
	"context"
	"encoding/json"
	"slices"

	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// productSurface names the native API among the stored figures.
const productSurface = "native"

// productBook is what is kept of a customer's closed month: its usage of every
// product, whatever contracts there are.
type productBook struct {
	Lines []productPage `json:"lines"`
}

// productPage is what is billed of a usage type of a product, and how it was
// read, so that what comes late is read in the same way.
type productPage struct {
	Product   string            `json:"product"`
	UsageType catalog.UsageType `json:"usage_type"`
	Additive  bool              `json:"additive,omitempty"` // it counts or sums
	Value     *meter.Decimal    `json:"value,omitempty"`    // absent = nothing was used
	Late      []lateFigure      `json:"late,omitempty"`
	Contracts []contractPage    `json:"contracts,omitempty"`
	Others    bool              `json:"others,omitempty"` // the product was other customers': no key that is bound to this one may know of it
}

// contractPage is the part of a page that is under a contract.
type contractPage struct {
	Contract string         `json:"contract"`
	Scopes   []Scope        `json:"scopes"` // what of the month is under it
	Value    *meter.Decimal `json:"value,omitempty"`
	Late     []lateFigure   `json:"late,omitempty"`
}

// lateFigure came for a month that had been closed before.
type lateFigure struct {
	Month string        `json:"month"`
	Value meter.Decimal `json:"value"`
}

// under returns a contract's part of a page, the whole as one for "".
func (p *productPage) under(contract string) (contractPage, bool) {
	if contract == "" {
		return contractPage{Value: p.Value, Late: p.Late}, true
	}
	for _, c := range p.Contracts {
		if c.Contract == contract {
			return c, true
		}
	}
	return contractPage{}, false
}

// noGroup names the figure of rows that are asked for without groups.
const noGroup = ""

// figures are the part's, as of one figure.
func (p contractPage) figures() books.Page[string] {
	out := books.Page[string]{}
	if p.Value != nil {
		out.Add("", noGroup, *p.Value)
	}
	for _, l := range p.Late {
		out.Add(l.Month, noGroup, l.Value)
	}
	return out
}

// page finds a usage type of a product.
func (b *productBook) page(product, usageType string) *productPage {
	i := slices.IndexFunc(b.Lines, func(p productPage) bool { return p.Product == product && p.UsageType.Name == usageType })
	if i < 0 {
		return nil
	}
	return &b.Lines[i]
}

// figures counts the figures of the book that are not nothing.
func (b *productBook) figures() (n int) {
	for _, l := range b.Lines {
		if l.Value != nil && !l.Value.IsZero() {
			n++
		}
		n += len(l.Late)
	}
	return n
}

// KeptFigures says how many figures of product usage a closed month has kept;
// ok is false for one that was closed before the native API kept any.
func KeptFigures(p catalog.Period) (n int, ok bool, err error) {
	var all struct {
		Native *productBook `json:"native"`
	}
	if err := json.Unmarshal(p.Figures, &all); err != nil {
		return 0, false, meter.WrapError(meter.KindCorrupt, err, "the figures of %s of customer %s cannot be read", p.Month, p.Customer)
	}
	if all.Native == nil {
		return 0, false, nil
	}
	return all.Native.figures(), true, nil
}

// productKeeper keeps the native API's books.
type productKeeper struct{ service *Service }

// ProductBook keeps what the native API says of closed months: product usage
// of every customer.
func ProductBook(s *Service) Book { return productKeeper{s} }

// Surface names the native API.
func (k productKeeper) Surface() string { return productSurface }

// Figures returns the month's book: each usage type's total, what is under
// each contract, and what came late for months before.
func (k productKeeper) Figures(ctx context.Context, c Closing) (any, error) {
	b := productBook{Lines: []productPage{}}
	contracts := []string{""}
	for _, contract := range c.View.ContractsOf(c.Customer) {
		contracts = append(contracts, contract.ID)
	}
	for _, contract := range contracts {
		r := &reportReader{service: k.service, usage: c.Usage, principal: c.Asks, view: c.View, now: c.Month.Sequence, closing: true,
			q:        ReportQuery{Customers: []string{c.Customer}, Contract: contract, From: c.Month.From, To: c.Month.To},
			rowsLeft: maxSampleRows, readsLeft: maxSampleRows, bytesLeft: maxProductBytes}
		lines, _, err := r.customer(ctx, c.Before)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if contract == "" {
				additive, _ := r.additive(l.UsageType)
				b.Lines = append(b.Lines, productPage{Product: l.Product, UsageType: l.UsageType, Additive: additive, Others: !c.View.ProductSeenBy(c.Customer, l.Product)})
			}
			p := b.page(l.Product, l.UsageType.Name)
			part := contractPage{Contract: contract, Scopes: []Scope{}}
			for _, row := range l.Rows {
				if row.Late {
					part.Late = append(part.Late, lateFigure{row.Month, row.Value})
				} else {
					part.Value = &row.Value
				}
			}
			if contract == "" {
				p.Value, p.Late = part.Value, part.Late
				continue
			}
			part.Scopes = customerScopes(c.View, contractOf(c.View, c.Customer, contract), c.Customer, l.Product, c.Month.Period)
			p.Contracts = append(p.Contracts, part)
		}
	}
	return b, nil
}

// keptBook is a closed month's book as it is read again.
type keptBook struct {
	productBook
	inBook bool // it has figures; else only how the vendors' books read theirs
}

// productBook reads a month's book. A month that was closed before the native
// API kept one is read as the vendors' books were.
func (c Closed) productBook(ctx context.Context, m books.Month) (*keptBook, error) {
	b := &keptBook{}
	var err error
	if b.inBook, err = c.Figures(ctx, m, productSurface, &b.productBook); err != nil || b.inBook {
		return b, err
	}
	var fastly struct {
		Lines []productPage `json:"lines"`
	}
	if _, err := c.Figures(ctx, m, "fastly", &fastly); err != nil {
		return nil, err
	}
	for _, l := range fastly.Lines {
		b.Lines = append(b.Lines, productPage{Product: l.Product, UsageType: l.UsageType})
	}
	var akamai struct {
		Sections []struct {
			Product string              `json:"product"`
			Lines   []catalog.UsageType `json:"lines"`
		} `json:"sections"`
	}
	if _, err := c.Figures(ctx, m, "akamai", &akamai); err != nil {
		return nil, err
	}
	for _, section := range akamai.Sections {
		for _, u := range section.Lines {
			if b.page(section.Product, u.Name) == nil {
				b.Lines = append(b.Lines, productPage{Product: section.Product, UsageType: u})
			}
		}
	}
	return b, nil
}
