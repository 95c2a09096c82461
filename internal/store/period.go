package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"slices"
	"time"
)

// ClosePeriod closes a customer's month, see ClosePeriods.
func (s *Store) ClosePeriod(ctx context.Context, organization string, p catalog.Period, actor string) (catalog.Period, error) {
	done, err := s.ClosePeriods(ctx, organization, []catalog.Period{p}, actor)
	if err != nil {
		return catalog.Period{}, err
	}
	return done[0], nil
}

// ClosePeriods closes months of customers, which must have ended, and keeps
// their figures as they are given: all or none of them, with an audit entry
// each, which has no figures. It is final: a month that is closed is
// KindConflict, and its figures stay. A customer that there never was is
// KindNotFound.
func (s *Store) ClosePeriods(ctx context.Context, organization string, periods []catalog.Period, actor string) ([]catalog.Period, error) {
	return s.closePeriods(ctx, organization, periods, actor, func(*sql.Tx) error { return nil })
}

// ClosePeriodsOf is ClosePeriods for a job, in its actor's name: how far the
// job is, is noted in the same transaction.
func (s *Store) ClosePeriodsOf(ctx context.Context, job catalog.CloseJob, periods []catalog.Period) ([]catalog.Period, error) {
	return s.closePeriods(ctx, job.Organization, periods, job.Actor, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.CloseJobProgress, job.Organization, job.ID, len(periods))
		return err
	})
}

func (s *Store) closePeriods(ctx context.Context, organization string, periods []catalog.Period, actor string, also func(tx *sql.Tx) error) ([]catalog.Period, error) {
	closed := slices.Clone(periods)
	for i := range closed {
		closed[i].Closed = s.Now()
		if err := errors.Join(closed[i].Validate(), catalog.CheckActor(actor)); err != nil {
			return nil, err
		}
	}
	err := s.Write(ctx, "close the period", func(tx *sql.Tx) error {
		if err := checkOpen(ctx, tx, organization, closed); err != nil {
			return err
		}
		var rows []any
		entries := make([]Entry, len(closed))
		for i, p := range closed {
			rows = append(rows, organization, p.Customer, p.Month, Micros(p.Closed), int64(p.Sequence), string(p.Figures))
			p.Figures = nil
			entries[i] = Entry{Organization: organization, Actor: actor, Action: catalog.AuditCreate, Noun: "period", ID: p.Customer + "/" + p.Month, After: p}
		}
		if err := s.insertAll(ctx, tx, stmt.PeriodCreate, periodColumns, rows); err != nil {
			return err
		}
		if err := s.auditAll(ctx, tx, organization, entries); err != nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		return nil, err
	}
	return closed, nil
}

// periodColumns is how many parameters stmt.PeriodCreate has.
const periodColumns = 6

// checkOpen refuses months that are closed, or are of a customer that there
// never was. It asks for many at once.
func checkOpen(ctx context.Context, q Queryer, organization string, periods []catalog.Period) error {
	for some := range slices.Chunk(periods, standingAtOnce) {
		var customers []string
		first, last := some[0].Month, some[0].Month
		for _, p := range some {
			customers = append(customers, p.Customer)
			first, last = min(first, p.Month), max(last, p.Month)
		}
		statement, args := InList(stmt.CustomersKnown, 2, []any{organization}, customers)
		known, err := List(ctx, q, scanText, statement, args...)
		if err != nil {
			return err
		}
		statement, args = InList(stmt.PeriodsClosed, 4, []any{organization, first, last}, customers)
		closed, err := List(ctx, q, scanPair, statement, args...)
		if err != nil {
			return err
		}
		slices.Sort(known)
		for _, p := range some {
			if _, ok := slices.BinarySearch(known, p.Customer); !ok {
				return meter.Errorf(meter.KindNotFound, "no customer %q", meter.Clip(p.Customer))
			}
			if slices.Contains(closed, [2]string{p.Customer, p.Month}) {
				return meter.Errorf(meter.KindConflict, "month %s of customer %q is closed", p.Month, meter.Clip(p.Customer))
			}
		}
	}
	return nil
}

// standingAtOnce is of how many months one statement tells whether they are open.
const standingAtOnce = 256

func scanPair(r Row) (pair [2]string, err error) {
	err = r.Scan(&pair[0], &pair[1])
	return pair, err
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

// ClosedMonthsOf returns all closed months of customers, each one's the oldest
// first, without their figures.
func (s *Store) ClosedMonthsOf(ctx context.Context, organization string, customers []string) (map[string][]catalog.Period, error) {
	out := make(map[string][]catalog.Period, len(customers))
	for some := range slices.Chunk(customers, customersAtOnce) {
		args := []any{organization}
		for i := range customersAtOnce { // one form of the statement: an id may be there twice
			args = append(args, some[min(i, len(some)-1)])
		}
		months, err := List(ctx, s.reader, scanPeriod, RepeatIn(stmt.PeriodsOf, 2, customersAtOnce), args...)
		if err != nil {
			return nil, s.Fail(err, "cannot list periods")
		}
		for _, p := range months {
			out[p.Customer] = append(out[p.Customer], p)
		}
	}
	return out, nil
}

// customersAtOnce is of how many customers one statement reads.
const customersAtOnce = 64

// CustomersClosed returns the customers for whom a month is closed, by id.
func (s *Store) CustomersClosed(ctx context.Context, organization, month string) ([]string, error) {
	ids, err := List(ctx, s.reader, scanText, stmt.PeriodCustomers, organization, month, math.MaxInt)
	if err != nil {
		return nil, s.Fail(err, "cannot list closed months")
	}
	return ids, nil
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
