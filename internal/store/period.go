package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"time"
)

// ClosePeriod closes a customer's month, which must have ended, and keeps its
// figures as they are given. It is final: a month that is closed is
// KindConflict, and its figures stay. A customer that there never was is
// KindNotFound. The figures are not in the audit entry.
func (s *Store) ClosePeriod(ctx context.Context, organization string, p catalog.Period, actor string) (catalog.Period, error) {
	p.Closed = s.Now()
	if err := errors.Join(p.Validate(), catalog.CheckActor(actor)); err != nil {
		return catalog.Period{}, err
	}
	err := s.Write(ctx, "close the period", func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, stmt.CustomerCount, organization, p.Customer).Scan(&have); err != nil {
			return err
		}
		if have == 0 {
			return meter.Errorf(meter.KindNotFound, "no customer %q", meter.Clip(p.Customer))
		}
		_, closed, err := getPeriod(ctx, tx, organization, p.Customer, p.Month)
		if err != nil {
			return err
		}
		if closed {
			return meter.Errorf(meter.KindConflict, "month %s of customer %q is closed", p.Month, meter.Clip(p.Customer))
		}
		_, err = tx.ExecContext(ctx, stmt.PeriodCreate, organization, p.Customer, p.Month, Micros(p.Closed), int64(p.Sequence), string(p.Figures))
		if err != nil {
			return err
		}
		entry := p
		entry.Figures = nil
		return s.Audit(ctx, tx, Entry{Organization: organization, Actor: actor, Action: catalog.AuditCreate, Noun: "period", ID: p.Customer + "/" + p.Month, After: entry})
	})
	if err != nil {
		return catalog.Period{}, err
	}
	return p, nil
}

// Period returns a customer's month if it is closed. For an unknown
// organization or customer it is not.
func (s *Store) Period(ctx context.Context, organization, customer, month string) (p catalog.Period, closed bool, err error) {
	p, closed, err = getPeriod(ctx, s.reader, organization, customer, month)
	if err != nil {
		return catalog.Period{}, false, s.Fail(err, "cannot read the period")
	}
	return p, closed, nil
}

// ClosedMonths returns all closed months of a customer, the oldest first,
// without their figures. An unknown organization or customer has none.
func (s *Store) ClosedMonths(ctx context.Context, organization, customer string) ([]catalog.Period, error) {
	months, err := List(ctx, s.reader, scanPeriod, stmt.PeriodList, organization, customer, "", math.MaxInt)
	if err != nil {
		return nil, s.Fail(err, "cannot list periods")
	}
	return months, nil
}

// ClosedFor lists the months from one to another that are closed for any
// customer, both included, at most so many, the oldest first, each with at most
// so many of the customers. Its cost depends on what it answers, not on how
// many periods there are.
func (s *Store) ClosedFor(ctx context.Context, organization, from, to string, months, customers int) ([]catalog.ClosedFor, error) {
	var out []catalog.ClosedFor
	for next := from; len(out) < months && next <= to; {
		var month sql.NullString
		if err := s.reader.QueryRowContext(ctx, stmt.PeriodNextMonth, organization, next, to).Scan(&month); err != nil {
			return nil, s.Fail(err, "cannot list closed months")
		}
		if !month.Valid {
			break
		}
		ids, err := List(ctx, s.reader, scanText, stmt.PeriodCustomers, organization, month.String, customers+1)
		if err != nil {
			return nil, s.Fail(err, "cannot list closed months")
		}
		one := catalog.ClosedFor{Month: month.String, Customers: ids}
		if len(ids) > customers {
			one.Customers, one.More = ids[:customers], true
		}
		out = append(out, one)
		next = month.String + "~" // after the month, before the next
	}
	return out, nil
}

// CustomersCreated returns when each customer that there ever was came into
// the catalog, by id.
func (s *Store) CustomersCreated(ctx context.Context, organization string) (map[string]time.Time, error) {
	rows, err := List(ctx, s.reader, scanCreation, stmt.CustomersCreated, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot list customers")
	}
	created := make(map[string]time.Time, len(rows))
	for _, c := range rows {
		created[c.id] = FromMicros(c.at)
	}
	return created, nil
}

// Periods lists a customer's closed months, the oldest first, without their
// figures. An unknown organization or customer has none.
func (s *Store) Periods(ctx context.Context, organization, customer string, page catalog.Page) (catalog.PeriodPage, error) {
	limit, err := page.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.PeriodPage{}, err
	}
	if page.Cursor != "" {
		if _, err := time.Parse(catalog.PeriodLayout, page.Cursor); err != nil {
			return catalog.PeriodPage{}, catalog.ErrCursor()
		}
	}
	items, err := List(ctx, s.reader, scanPeriod, stmt.PeriodList, organization, customer, page.Cursor, limit+1)
	if err != nil {
		return catalog.PeriodPage{}, s.Fail(err, "cannot list periods")
	}
	var out catalog.PeriodPage
	out.Items, out.Next = catalog.Cut(items, limit, func(p catalog.Period) string { return p.Month })
	return out, nil
}

func getPeriod(ctx context.Context, q Queryer, organization, customer, month string) (catalog.Period, bool, error) {
	p, err := scanPeriod(q.QueryRowContext(ctx, stmt.PeriodGet, organization, customer, month))
	if errors.Is(err, sql.ErrNoRows) {
		return catalog.Period{}, false, nil
	}
	return p, err == nil, err
}

func scanPeriod(r Row) (catalog.Period, error) {
	var p catalog.Period
	var closed sql.NullInt64
	var sequence int64
	var figures string
	err := r.Scan(&p.Customer, &p.Month, &closed, &sequence, &figures)
	p.Closed, p.Sequence, p.Figures = FromMicros(closed), uint64(sequence), json.RawMessage(figures)
	return p, err
}

// creation is when a noun came into the catalog.
type creation struct {
	id string
	at sql.NullInt64
}

func scanCreation(r Row) (creation, error) {
	var c creation
	err := r.Scan(&c.id, &c.at)
	return c, err
}

func scanText(r Row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}
