package metering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"odometer/internal/access"
	"time"

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
	View     *catalog.View
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
	s.closing.Lock()
	defer s.closing.Unlock()
	done, err := s.closePeriod(ctx, p, customer, month)
	return s.placedPeriod(p, done), err
}

// placedPeriod is a period as it is answered.
func (s *Service) placedPeriod(p access.Principal, of catalog.Period) catalog.Period {
	of.Sequence = s.placed(p, of.Sequence)
	return of
}

// CloseMonth closes a calendar month of each customer for whom it is open, and
// tells of each with its figures.
func (s *Service) CloseMonth(ctx context.Context, p access.Principal, month string, tell func(catalog.Period) error) error {
	if err := p.May(access.ActionManage); err != nil {
		return err
	}
	view, err := s.catalog.View(ctx, p.Organization)
	if err != nil {
		return err
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	for _, c := range view.Customers() {
		done, err := s.closePeriod(ctx, p, c.ID, month)
		if meter.KindOf(err) == meter.KindConflict && err != nil {
			continue
		}
		if err == nil {
			err = tell(s.placedPeriod(p, done))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// closePeriod closes one month. s.closing is held: a closing counts on those
// before it.
func (s *Service) closePeriod(ctx context.Context, p access.Principal, customer, month string) (catalog.Period, error) {
	in, ok := meter.ParseMonth(month)
	if !ok {
		return catalog.Period{}, meter.Errorf(meter.KindInvalid, "month %.20q is not a month such as 2026-01", month)
	}
	if now := s.now(); in.To.After(now) {
		return catalog.Period{}, meter.Errorf(meter.KindInvalid, "month %s has not ended", month)
	}
	view, err := s.catalog.View(ctx, p.Organization)
	if err != nil {
		return catalog.Period{}, err
	}
	if _, ok := view.Customer(customer); !ok {
		return catalog.Period{}, meter.Errorf(meter.KindNotFound, "no customer %.64q", customer)
	}
	before, err := s.closed(ctx, p.Organization, customer)
	if err != nil {
		return catalog.Period{}, err
	}
	if _, closed := before.Month(in); closed {
		return catalog.Period{}, meter.Errorf(meter.KindConflict, "month %s of customer %.64q is closed", month, customer)
	}
	// All that was acknowledged has been folded, so that it lies before.
	closing := Closing{Asks: p.Unbound(),
		View: view, Customer: customer, Month: books.Month{Period: in, Name: month, Sequence: s.ledger.Stats().Last}, Before: before}
	figures := map[string]any{}
	for _, b := range s.books {
		if figures[b.Surface()], err = b.Figures(ctx, closing); err != nil {
			return catalog.Period{}, fmt.Errorf("close %s of %s for %s: %w", month, customer, b.Surface(), err)
		}
	}
	text, err := json.Marshal(figures)
	if err != nil {
		return catalog.Period{}, err
	}
	done, err := s.catalog.ClosePeriod(ctx, p.Organization,
		catalog.Period{Customer: customer, Month: month, Sequence: closing.Month.Sequence, Figures: text}, p.Actor())
	if err == nil {
		s.periodsClosed.Add(1)
	}
	return done, err
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
	view, err := s.catalog.View(ctx, p.Organization)
	if err != nil {
		return err
	}
	if _, ok := view.Customer(customer); !ok || p.Customer != "" && p.Customer != customer {
		return meter.Errorf(meter.KindNotFound, "no customer %.64q", customer)
	}
	return nil
}

// CloseDue closes each month of each customer that ended so long ago, all
// organizations over, and returns how many. A month that ended before the
// customer was created stays open, so that history may be brought in. One
// month that cannot be closed does not keep the others open; errors are joined.
func (s *Service) CloseDue(ctx context.Context, after time.Duration) (closed int, err error) {
	for page := (catalog.Page{}); ; {
		list, listErr := s.catalog.Organizations(ctx, page)
		if listErr != nil {
			return closed, errors.Join(err, listErr)
		}
		for _, o := range list.Items {
			n, orgErr := s.closeDueOf(ctx, o.ID, after)
			closed += n
			err = errors.Join(err, orgErr)
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			return closed, err
		}
	}
}

func (s *Service) closeDueOf(ctx context.Context, organization string, after time.Duration) (closed int, err error) {
	created, err := s.catalog.CustomersCreated(ctx, organization)
	if err != nil {
		return 0, err
	}
	view, err := s.catalog.View(ctx, organization)
	if err != nil {
		return 0, err
	}
	p := access.Job(organization, "periods")
	due := s.now().Add(-after)
	for _, c := range view.Customers() {
		s.closing.Lock()
		have, haveErr := s.closed(ctx, organization, c.ID)
		err = errors.Join(err, haveErr)
		first, known := created[c.ID]
		for in := meter.Month(first); known && haveErr == nil && !in.To.After(due) && ctx.Err() == nil; in = meter.Month(in.To) {
			if _, done := have.Month(in); done {
				continue
			}
			if _, closeErr := s.closePeriod(ctx, p, c.ID, in.MonthName()); closeErr != nil {
				s.periodFailures.Add(1)
				s.logger.Error("a month was not closed", slog.String("organization", organization), slog.String("customer", c.ID),
					slog.String("month", in.MonthName()), slog.Any("error", closeErr))
				err = errors.Join(err, closeErr)
				break // later ones would be booked past it
			}
			closed++
		}
		s.closing.Unlock()
	}
	return closed, errors.Join(err, ctx.Err())
}
