package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

func insertLine(ctx context.Context, tx *sql.Tx, l *billing.Line) error {
	_, err := tx.ExecContext(ctx, stmt.LineCreate, l.Organization, l.Operation, l.Partner, l.Account, l.Dimension, store.Micros(l.Hour), l.Quantity.String(), string(l.Target),
		billing.LineFrozen, "", 0, 0, 0, store.Micros(l.Next), store.Micros(l.Deadline), "", 0, 0, "", "", "")
	return err
}

// LeaseLines takes at most limit lines that are due and that nobody holds, the
// longest due first. A line leased is noted as one that may have been accepted
// before it leaves this call; its Maybe is as it was before. The lease ends by
// DecideLines or at until: then another may take it, and its fence is higher.
func (s *Store) LeaseLines(ctx context.Context, owner string, now, until time.Time, limit int, want func(*billing.Line) bool) ([]billing.Line, error) {
	var leased []billing.Line
	err := s.db.Write(ctx, "lease lines of reports", func(tx *sql.Tx) error {
		due, err := dueLines(ctx, tx, now, limit, want)
		if err == nil && s.db.DamagedRows() > 0 {
			err = s.parkDamaged(ctx, tx, now)
		}
		if err != nil {
			return err
		}
		for _, l := range due {
			done, err := tx.ExecContext(ctx, stmt.LineLease, l.Organization, l.Operation, owner, store.Micros(until), l.Fence)
			if err != nil {
				return err
			}
			if n, err := done.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, meter.Errorf(meter.KindConflict, "line %s is held by another", l.Operation))
			}
			l.Fence++
			l.Attempts++
			l.Lease, l.LeaseUntil = owner, until
			leased = append(leased, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return leased, nil
}

// dueLines reads on past lines that are not wanted.
func dueLines(ctx context.Context, tx *sql.Tx, now time.Time, limit int, want func(*billing.Line) bool) ([]billing.Line, error) {
	rows, err := tx.QueryContext(ctx, stmt.LineDue, store.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []billing.Line
	for len(due) < limit && rows.Next() {
		l, err := scanLine(rows)
		if err != nil {
			return nil, err
		}
		if want(&l) {
			due = append(due, l)
		}
	}
	return due, rows.Err()
}

// LinesOfDay returns the lines of an account's dimension on a UTC day.
func (s *Store) LinesOfDay(ctx context.Context, l billing.Line) ([]billing.Line, error) {
	day := l.Hour.UTC().Truncate(24 * time.Hour)
	return s.lines(ctx, stmt.LineOfKey, l.Organization, l.Account, l.Dimension, store.Micros(day), store.Micros(day.Add(24*time.Hour)))
}

// LinesOfReport returns the lines that bill the dimensions of a report.
func (s *Store) LinesOfReport(ctx context.Context, organization string, r billing.Report) ([]billing.Line, error) {
	return s.lines(ctx, stmt.LineOfAccount, organization, r.Account, store.Micros(r.Hour))
}

// FrozenLines returns lines that are not decided, the oldest hours first.
func (s *Store) FrozenLines(ctx context.Context, organization string, limit int) ([]billing.Line, error) {
	return s.lines(ctx, stmt.LineFrozen, organization, limit)
}

func (s *Store) lines(ctx context.Context, query string, args ...any) ([]billing.Line, error) {
	all, err := store.List(ctx, s.db.Reader(), scanLine, query, args...)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the lines of reports")
	}
	return all, nil
}

// HastenLines makes the lines of an account's hour that are not decided due now.
func (s *Store) HastenLines(ctx context.Context, organization, account string, hour, now time.Time) error {
	return s.db.Write(ctx, "hasten the lines of reports", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.LineHasten, organization, account, store.Micros(hour), store.Micros(now))
		return err
	})
}

type reportLine struct {
	billing.Line
	report string
}

func scanReportLine(r store.Row) (reportLine, error) {
	var x reportLine
	var err error
	x.Line, err = scanLineAfter(r, &x.report)
	return x, err
}

func scanLine(r store.Row) (billing.Line, error) { return scanLineAfter(r) }

// scanLineAfter reads a line, after what comes before it.
func scanLineAfter(r store.Row, before ...any) (billing.Line, error) {
	var l billing.Line
	var hour, next, deadline, lease sql.NullInt64
	var quantity, target, accepted, request, response string
	err := r.Scan(append(before, &l.Organization, &l.Operation, &l.Partner, &l.Account, &l.Dimension, &hour, &quantity, &target, &l.State, &accepted, &l.Maybe, &l.Grace, &l.Attempts,
		&next, &deadline, &l.Lease, &lease, &l.Fence, &l.Message, &request, &response)...)
	if err != nil {
		return l, err
	}
	l.Hour, l.Next, l.Deadline, l.LeaseUntil = store.FromMicros(hour), store.FromMicros(next), store.FromMicros(deadline), store.FromMicros(lease)
	l.Target, l.Request, l.Response = json.RawMessage(target), json.RawMessage(request), json.RawMessage(response)
	if l.Quantity, err = meter.ParseDecimal(quantity); err == nil && accepted != "" {
		l.Accepted, err = meter.ParseDecimal(accepted)
	}
	return l, err
}

// DoubtLines takes all lines of an organization that are not decided as
// perhaps accepted and due now, and ends their leases.
func (s *Store) DoubtLines(ctx context.Context, organization string, now time.Time) error {
	return s.db.Write(ctx, "doubt the lines of reports", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.LineDoubt, organization, store.Micros(now))
		return err
	})
}
