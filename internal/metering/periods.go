package metering

import (
	"context"
	"odometer/internal/access"

	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Book is what a surface says of a customer's months. It is asked for its
// figures once, when a month is closed, and answers from them for ever after:
// what comes later for that month is the open month's, see books.Late.
type Book interface {
	// Surface names the surface among the stored figures.
	Surface() string
	// Figures returns all that the surface says of the month, for
	// encoding/json. It reads usage as of the closing's sequence.
	Figures(ctx context.Context, c Closing) (any, error)
}

// Closing is a month that is being closed.
type Closing struct {
	Asks     access.Principal // reads all of the organization
	View     *catalog.View    // of the customer at least
	Usage    UsageReader      // as ProductUsage and ContractUsage of the Service, for many customers at once
	Customer string
	Month    books.Month
	Before   Closed // the months closed before
}

// KeepBooks names the books that closings fill. It must be called before
// requests are served.
func (s *Service) KeepBooks(keep ...Book) { s.books = append(s.books, keep...) }

// ClosePeriod closes a customer's calendar month, such as 2026-10, for ever.
//
// Errors: KindInvalid for a month that has not ended, KindConflict for one
// that is closed, KindNotFound for a customer that there is not.
func (s *Service) ClosePeriod(ctx context.Context, p access.Principal, customer, month string) (catalog.Period, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.Period{}, err
	}
	done, err := s.closing.Take(ctx, p.Organization)
	if err != nil {
		return catalog.Period{}, err
	}
	defer done()
	in, err := s.endedMonth(month)
	if err != nil {
		return catalog.Period{}, err
	}
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.OfCustomers(customer))
	if err != nil {
		return catalog.Period{}, err
	}
	if _, ok := view.Customer(customer); !ok {
		return catalog.Period{}, meter.Errorf(meter.KindNotFound, "no customer %.64q", customer)
	}
	var closed catalog.Period
	err = s.closeFor(ctx, p, view, in, []string{customer}, func(_ string, made catalog.Period, err error) error {
		closed = made
		return err
	})
	return s.placedPeriod(p, closed), err
}

// placedPeriod is a period as it is answered.
func (s *Service) placedPeriod(p access.Principal, of catalog.Period) catalog.Period {
	of.Sequence = s.placed(p, of.Sequence)
	return of
}

// endedMonth reads a month that can be closed.
func (s *Service) endedMonth(month string) (meter.Period, error) {
	in, ok := meter.ParseMonth(month)
	if !ok {
		return in, meter.Errorf(meter.KindInvalid, "month %.20q is not a month such as 2026-01", month)
	}
	if in.To.After(s.now()) {
		return in, meter.Errorf(meter.KindInvalid, "month %s has not ended", month)
	}
	return in, nil
}

// Periods lists a customer's closed months, the oldest first, without their
// figures. A bound key sees its customer's only.
func (s *Service) Periods(ctx context.Context, p access.Principal, customer string, page catalog.Page) (catalog.PeriodPage, error) {
	if err := s.seesCustomer(ctx, p, customer); err != nil {
		return catalog.PeriodPage{}, err
	}
	list, err := s.catalog.Periods(ctx, p.Organization, customer, page)
	for i := range list.Items {
		list.Items[i] = s.placedPeriod(p, list.Items[i])
	}
	return list, err
}

// Period returns a customer's month with its figures; closed is false, and
// the period without any, while it is open.
func (s *Service) Period(ctx context.Context, p access.Principal, customer, month string) (period catalog.Period, closed bool, err error) {
	if _, ok := meter.ParseMonth(month); !ok {
		return catalog.Period{}, false, meter.Errorf(meter.KindInvalid, "month %.20q is not a month such as 2026-01", month)
	}
	if err := s.seesCustomer(ctx, p, customer); err != nil {
		return catalog.Period{}, false, err
	}
	period, closed, err = s.catalog.Period(ctx, p.Organization, customer, month)
	return s.placedPeriod(p, period), closed, err
}

func (s *Service) seesCustomer(ctx context.Context, p access.Principal, customer string) error {
	if err := p.May(access.ActionRead); err != nil {
		return err
	}
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.OfCustomers(customer))
	if err != nil {
		return err
	}
	if _, ok := view.Customer(customer); !ok || p.Customer != "" && p.Customer != customer {
		return meter.Errorf(meter.KindNotFound, "no customer %.64q", customer)
	}
	return nil
}
