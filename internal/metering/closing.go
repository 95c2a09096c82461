package metering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"odometer/internal/access"
	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// A closing keeps the periods of so many customers with one transaction, fewer
// if their figures have so many bytes.
const (
	closedAtOnce      = 256
	closedBytesAtOnce = 4 << 20
)

// closeRun closes one month for customers of one organization, whose turn to
// close is held: a closing counts on those before it.
type closeRun struct {
	s     *Service
	asks  access.Principal
	view  *catalog.View // of all, or of the customers whose figures are made
	month books.Month
	usage UsageReader
	job   *catalog.CloseJob // that the run is of; nil = of none
	// done hears of each customer, in order, from one goroutine; its error ends the run.
	done func(customer string, made catalog.Period, err error) error

	made  []catalog.Period // to be kept
	bytes int              // of their figures
	parts chan closedPart  // for what is kept while the next figures are made
	err   error            // of keeping; for who waited for the end of it
}

// closedPart are months to be kept together, and a customer after them whose
// month could not be made.
type closedPart struct {
	made     []catalog.Period
	customer string
	failed   error // nil = there is none
}

// closeFor closes a month for customers that the view has, as of one sequence
// of the log, and tells done of each in their order.
func (s *Service) closeFor(ctx context.Context, p access.Principal, view *catalog.View, in meter.Period, customers []string,
	done func(customer string, made catalog.Period, err error) error) error {
	r := &closeRun{s: s, asks: p, view: view, month: books.Month{Period: in, Name: in.MonthName(), Sequence: s.lastSequence()}, done: done}
	return r.run(ctx, customers)
}

// lastSequence is that of the log now. All that was acknowledged has been
// folded, so that it lies before.
func (s *Service) lastSequence() uint64 { return s.ledger.Stats().Last }

// run closes the month for customers. While the figures of some are made, those
// of others are kept.
func (r *closeRun) run(ctx context.Context, customers []string) error {
	outer := ctx
	ctx, end := context.WithCancel(ctx)
	defer end()
	r.parts = make(chan closedPart)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		for p := range r.parts {
			if r.err != nil {
				continue
			}
			if r.err = r.keep(ctx, p); r.err != nil {
				end()
			}
		}
	})
	err := r.make(ctx, customers)
	close(r.parts)
	keeping.Wait()
	switch {
	case r.err != nil:
		return r.err
	case outer.Err() != nil:
		return outer.Err()
	}
	return err
}

// make makes the figures of customers, and hands them on.
func (r *closeRun) make(ctx context.Context, customers []string) error {
	r.usage = r.s
	var shared *sharedUsage
	if len(customers) > 1 {
		shared = newSharedUsage(r.s, r.asks.Organization, r.viewOf, customers)
		r.usage = shared
	}
	at := 0
	for some := range slices.Chunk(customers, closedAtOnce) {
		before, err := r.s.closedOf(ctx, r.asks.Organization, some)
		if err == nil {
			r.view, err = r.viewOf(ctx, some)
		}
		if err != nil {
			r.handOn("", nil)
			return err
		}
		for i, customer := range some {
			if shared != nil {
				shared.turnTo(at + i)
			}
			failed := r.close(ctx, customer, before[i])
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if failed != nil || len(r.made) == closedAtOnce || r.bytes >= closedBytesAtOnce {
				r.handOn(customer, failed)
			}
		}
		at += len(some)
	}
	r.handOn("", nil)
	return nil
}

// viewOf is the run's view if it has all nouns, and else one that has some customers.
func (r *closeRun) viewOf(ctx context.Context, customers []string) (*catalog.View, error) {
	if r.view.HasAll() {
		return r.view, nil
	}
	return r.s.catalog.ViewOf(ctx, r.asks.Organization, catalog.OfCustomers(customers...))
}

// handOn hands what has been made to who keeps it.
func (r *closeRun) handOn(customer string, failed error) {
	r.parts <- closedPart{r.made, customer, failed}
	r.made, r.bytes = nil, 0
}

// close makes a customer's figures.
func (r *closeRun) close(ctx context.Context, customer string, before Closed) error {
	if _, closed := before.Month(r.month.Period); closed {
		return meter.Errorf(meter.KindConflict, "month %s of customer %.64q is closed", r.month.Name, customer)
	}
	closing := Closing{Asks: r.asks.Unbound(), View: r.view, Usage: r.usage, Customer: customer, Month: r.month, Before: before}
	figures := map[string]any{}
	for _, b := range r.s.books {
		var err error
		if figures[b.Surface()], err = b.Figures(ctx, closing); err != nil {
			return fmt.Errorf("close %s of %s for %s: %w", r.month.Name, customer, b.Surface(), err)
		}
	}
	text, err := json.Marshal(figures)
	if err != nil {
		return err
	}
	r.made = append(r.made, catalog.Period{Customer: customer, Month: r.month.Name, Sequence: r.month.Sequence, Figures: text})
	r.bytes += len(text)
	return nil
}

// keep makes a part durable, all of it or, if one month is refused, each by
// itself, and tells of it.
func (r *closeRun) keep(ctx context.Context, part closedPart) error {
	made := part.made
	var kept []catalog.Period
	var err error
	if len(made) > 0 {
		if kept, err = r.store(ctx, made); err == nil {
			r.s.periodsClosed.Add(uint64(len(kept)))
		}
	}
	for i, p := range made {
		var one catalog.Period
		oneErr := err
		switch {
		case err == nil:
			one = kept[i]
		case len(made) > 1 && ctx.Err() == nil:
			if kept, oneErr = r.store(ctx, made[i:i+1]); oneErr == nil {
				one = kept[0]
				r.s.periodsClosed.Add(1)
			}
		}
		if err := r.done(p.Customer, one, oneErr); err != nil {
			return err
		}
	}
	if part.failed != nil {
		return r.done(part.customer, catalog.Period{}, part.failed)
	}
	return nil
}

func (r *closeRun) store(ctx context.Context, made []catalog.Period) ([]catalog.Period, error) {
	if r.job != nil {
		return r.s.catalog.ClosePeriodsOf(ctx, *r.job, made)
	}
	return r.s.catalog.ClosePeriods(ctx, r.asks.Organization, made, r.asks.Actor())
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

// closeDueOf closes the months of one organization, the oldest first.
func (s *Service) closeDueOf(ctx context.Context, organization string, after time.Duration) (closed int, err error) {
	turn, err := s.closing.Take(ctx, organization)
	if err != nil {
		return 0, err
	}
	defer turn()
	created, err := s.catalog.CustomersCreated(ctx, organization)
	if err != nil {
		return 0, err
	}
	view, err := s.catalog.ViewOf(ctx, organization, catalog.Want{})
	if err != nil {
		return 0, err
	}
	customers, err := s.customersOf(ctx, organization, view)
	if err != nil {
		return 0, err
	}
	p := access.Job(organization, "periods")
	due := s.now().Add(-after)
	failed := map[string]bool{} // later months of theirs would be booked past what failed
	for in := firstMonth(customers, created, due); !in.To.After(due) && ctx.Err() == nil; in = meter.Month(in.To) {
		have, haveErr := s.catalog.CustomersClosed(ctx, organization, in.MonthName())
		if haveErr != nil {
			return closed, errors.Join(err, haveErr)
		}
		var open []string
		for _, id := range customers {
			first, known := created[id]
			if _, done := slices.BinarySearch(have, id); known && first.Before(in.To) && !done && !failed[id] {
				open = append(open, id)
			}
		}
		err = errors.Join(err, s.closeFor(ctx, p, view, in, open, func(customer string, _ catalog.Period, closeErr error) error {
			if closeErr == nil {
				closed++
				return nil
			}
			s.periodFailures.Add(1)
			s.logger.Error("a month was not closed", slog.String("organization", organization), slog.String("customer", customer),
				slog.String("month", in.MonthName()), slog.Any("error", closeErr))
			failed[customer] = true
			err = errors.Join(err, closeErr)
			return ctx.Err()
		}))
	}
	return closed, errors.Join(err, ctx.Err())
}

// idsAtOnce is how many ids of customers are read at once.
const idsAtOnce = 10_000

// customersOf are the ids of all customers, in order, of an organization whose
// view has all or not.
func (s *Service) customersOf(ctx context.Context, organization string, view *catalog.View) ([]string, error) {
	var ids []string
	if view.HasAll() {
		for i := range view.Customers() {
			ids = append(ids, view.Customers()[i].ID)
		}
		return ids, nil
	}
	for after := ""; ; after = ids[len(ids)-1] {
		some, err := s.catalog.CustomersAfter(ctx, organization, after, idsAtOnce)
		ids = append(ids, some...)
		if err != nil || len(some) < idsAtOnce {
			return ids, err
		}
	}
}

// firstMonth is the first in which one of the customers was there, the one
// that holds an instant if none was before.
func firstMonth(customers []string, created map[string]time.Time, at time.Time) meter.Period {
	for _, id := range customers {
		if first, known := created[id]; known && first.Before(at) {
			at = first
		}
	}
	return meter.Month(at)
}
