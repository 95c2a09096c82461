package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
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

// DecideLines books what became of lines, all in one transaction: the line and
// its exchange, the portions of its reports, the balances that a settled
// portion moves, the status of reports and groups. A decision whose fence is
// not the line's any more is left out: another holds the line, or has decided.
// It returns how many were booked.
func (s *Store) DecideLines(ctx context.Context, decisions []billing.Decision) (booked int, err error) {
	err = s.db.Write(ctx, "book what became of reports", func(tx *sql.Tx) error {
		booked = 0
		for i := range decisions {
			ok, err := s.decideLine(ctx, tx, &decisions[i], billing.LineFrozen)
			if err != nil {
				return err
			}
			if ok {
				booked++
			}
		}
		return nil
	})
	return booked, err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// decideLine books one decision about a line in the state from.
func (s *Store) decideLine(ctx context.Context, tx *sql.Tx, d *billing.Decision, from string) (bool, error) {
	if d.Next.IsZero() {
		d.Next = d.Line.Next
	}
	if d.Deadline.IsZero() {
		d.Deadline = d.Line.Deadline
	}
	accepted := ""
	if d.To == billing.LineSettled {
		accepted = d.Accepted.String()
	}
	done, err := tx.ExecContext(ctx, stmt.LineDecide, d.Organization, d.Operation, d.Fence, d.To, accepted, flag(d.Maybe), flag(d.Grace), store.Micros(d.Next), store.Micros(d.Deadline),
		d.Message, string(d.Request), string(d.Response), from)
	if err != nil {
		return false, err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if d.To == from {
		return true, nil
	}
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionOfLine, d.Organization, d.Account, d.Dimension, store.Micros(d.Hour), from)
	if err != nil {
		return false, err
	}
	// The databases sort by whatever index comes first; so it is done here.
	slices.SortFunc(portions, func(a, b billing.Portion) int { return strings.Compare(a.Report, b.Report) })
	shift := meter.Decimal{} // what the marketplace holds beyond what was sent
	if d.To == billing.LineSettled {
		shift = d.Accepted.Sub(d.Quantity)
	}
	for i := range portions {
		if portions[i].Sent.IsZero() { // parked beside the line: nothing of it was sent
			continue
		}
		shift = shifted(&portions[i], shift)
		if err := s.decidePortion(ctx, tx, d.Organization, &portions[i], d.To, d.Message); err != nil {
			return false, err
		}
	}
	return true, nil
}

// decidePortion books the new state of a portion, and of its report and groups
// if that was the last.
func (s *Store) decidePortion(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, to, message string) error {
	p.State, p.Reason = to, message
	if to == billing.LineSettled {
		p.Reason = ""
	}
	if err := putPortion(ctx, tx, organization, p); err != nil {
		return err
	}
	switch to {
	case billing.LineSettled:
		if err := moveBalances(ctx, tx, organization, p.Entitlement, p.Each); err != nil {
			return err
		}
	case billing.LineMoved, billing.LineRefused: // what it counted is new again
		if _, err := tx.ExecContext(ctx, stmt.SeenForget, organization, p.Entitlement, p.Dimension, p.Report); err != nil {
			return err
		}
	}
	if to == billing.LineMoved {
		if err := moveBalances(ctx, tx, organization, p.Entitlement, func(move func(billing.BalanceKey, meter.Decimal)) { takings(p, true, move) }); err != nil {
			return err
		}
		for _, r := range p.Reads {
			if err := addRead(ctx, tx, organization, p, r, true); err != nil {
				return err
			}
		}
	}
	return s.concludeReport(ctx, tx, organization, p.Report, message)
}

// concludeReport brings a report and its groups to what its portions say.
func (s *Store) concludeReport(ctx context.Context, tx *sql.Tx, organization, report, message string) error {
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionOfReport, organization, report)
	if err != nil {
		return err
	}
	status := statusOf(portions)
	if status == billing.ReportSuccess {
		message = ""
	}
	if _, err := tx.ExecContext(ctx, stmt.ReportDecide, organization, report, status, message, store.Micros(s.db.Now())); err != nil || status == billing.ReportPending {
		return err
	}
	groups, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupOfReport, organization, report)
	if err != nil {
		return err
	}
	concludeGroups(groups, portions, message, s.db.Now())
	for i := range groups {
		g := &groups[i]
		settled, err := json.Marshal(g.Settled)
		if err != nil {
			return err
		}
		claim := sql.NullString{String: g.Report, Valid: g.Report != ""}
		if _, err := tx.ExecContext(ctx, stmt.GroupDecide, organization, g.ID, g.Status, claim, store.Micros(s.db.Now()), store.Micros(g.Reported), string(settled), g.Message); err != nil {
			return err
		}
	}
	return nil
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
