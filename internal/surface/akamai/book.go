package akamai

import (
	"context"

	"odometer/internal/books"
	"odometer/internal/metering"
)

// keeper keeps the surface's books.
type keeper struct{ service *metering.Service }

// Book keeps what the surface says of closed months.
func Book(s *metering.Service) metering.Book { return keeper{s} }

func (k keeper) Surface() string { return surfaceName }

// Figures returns the month's book: a section for each product of each
// contract that the customer holds, and of each of its reporting groups.
func (k keeper) Figures(ctx context.Context, c metering.Closing) (any, error) {
	r := &reader{service: k.service, usage: c.Usage, now: c.Month.To, sequence: c.Month.Sequence}
	base := target{principal: c.Asks, book: c.View, owner: c.Customer, account: c.Customer, closed: c.Before}
	b := book{Sections: []section{}}
	add := func(t target, product string) error {
		var ok bool
		if t.product, ok = t.book.ProductEver(product); !ok {
			return nil
		}
		s, err := r.close(ctx, &t, c.Month)
		b.Sections = append(b.Sections, s)
		return err
	}
	for _, contract := range c.View.ContractsOf(c.Customer) {
		_, owner, _ := c.View.Contract(contract.ID)
		if owner != c.Customer {
			continue // its owner's book has it
		}
		for _, product := range productsOf(contract) {
			t := base
			t.setContract(owner, contract)
			if err := add(t, product); err != nil {
				return nil, err
			}
		}
	}
	customer, _ := c.View.Customer(c.Customer)
	for i := range customer.ReportingGroups {
		for _, product := range c.View.Products() {
			t := base
			t.setGroup(c.Customer, &customer.ReportingGroups[i], product.ID)
			if len(t.contracts) == 0 {
				continue
			}
			if err := add(t, product.ID); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// close reads a section of the book, with what came late for months before.
func (r *reader) close(ctx context.Context, t *target, m books.Month) (section, error) {
	s := section{Product: t.product.ID, Lines: t.product.UsageTypes, Parts: t.parts(t.product.ID, m.Period), Codes: t.codes}
	kinds := []kind{bySummary, ofDays}
	if t.group != nil {
		s.Group = t.group.ReportingGroupID
	} else {
		s.Contract = t.contracts[0].Contract.ID
		kinds = append(kinds, ofCodes)
		codes := *t
		codes.findCodes()
		s.Codes = codes.codes
	}
	for _, k := range kinds {
		of, err := r.month(ctx, t, k, m.Period)
		if err != nil {
			return section{}, err
		}
		*k.of(&s) = of.entries
	}
	return s, nil
}
