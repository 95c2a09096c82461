package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

func insertLine(ctx context.Context, tx *sql.Tx, l *Line) error {
	_, err := tx.ExecContext(ctx, stmtRecords.LineCreate, l.Organization, l.Operation, l.Partner, l.Account, l.Dimension, Micros(l.Hour), l.Quantity.String(), string(l.Target),
		LineFrozen, "", 0, 0, 0, Micros(l.Next), Micros(l.Deadline), "", 0, 0, "", "", "")
	return err
}

// LeaseLines takes at most limit lines that are due and that nobody holds, the
// longest due first. A line leased is noted as one that may have been accepted
// before it leaves this call; its Maybe is as it was before. The lease ends by
// DecideLines or at until: then another may take it, and its fence is higher.
func (s *Records) LeaseLines(ctx context.Context, owner string, now, until time.Time, limit int, want func(*Line) bool) ([]Line, error) {
	var leased []Line
	err := s.db.Write(ctx, "lease lines of reports", func(tx *sql.Tx) error {
		due, err := dueLines(ctx, tx, now, limit, want)
		if err == nil && s.db.DamagedRows() > 0 {
			err = s.parkDamaged(ctx, tx, now)
		}
		if err != nil {
			return err
		}
		for _, l := range due {
			done, err := tx.ExecContext(ctx, stmtRecords.LineLease, l.Organization, l.Operation, owner, Micros(until), l.Fence)
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
func dueLines(ctx context.Context, tx *sql.Tx, now time.Time, limit int, want func(*Line) bool) ([]Line, error) {
	rows, err := tx.QueryContext(ctx, stmtRecords.LineDue, Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var due []Line
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

// Decision is what became of a line that was leased.
type Decision struct {
	Line            // as it was leased
	To       string // LineFrozen: to be sent again at Next
	Accepted meter.Decimal
	Maybe    bool
	Grace    bool
	Next     time.Time // zero = as it was
	Deadline time.Time // zero = as it was
	Message  string
	Request  json.RawMessage
	Response json.RawMessage
}

// DecideLines books what became of lines, all in one transaction: the line and
// its exchange, the portions of its reports, the balances that a settled
// portion moves, the status of reports and groups. A decision whose fence is
// not the line's any more is left out: another holds the line, or has decided.
// It returns how many were booked.
func (s *Records) DecideLines(ctx context.Context, decisions []Decision) (booked int, err error) {
	err = s.db.Write(ctx, "book what became of reports", func(tx *sql.Tx) error {
		booked = 0
		for i := range decisions {
			ok, err := s.decideLine(ctx, tx, &decisions[i], LineFrozen)
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
func (s *Records) decideLine(ctx context.Context, tx *sql.Tx, d *Decision, from string) (bool, error) {
	if d.Next.IsZero() {
		d.Next = d.Line.Next
	}
	if d.Deadline.IsZero() {
		d.Deadline = d.Line.Deadline
	}
	accepted := ""
	if d.To == LineSettled {
		accepted = d.Accepted.String()
	}
	done, err := tx.ExecContext(ctx, stmtRecords.LineDecide, d.Organization, d.Operation, d.Fence, d.To, accepted, flag(d.Maybe), flag(d.Grace), Micros(d.Next), Micros(d.Deadline),
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
	portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionOfLine, d.Organization, d.Account, d.Dimension, Micros(d.Hour), from)
	if err != nil {
		return false, err
	}
	// The databases sort by whatever index comes first; so it is done here.
	slices.SortFunc(portions, func(a, b Portion) int { return strings.Compare(a.Report, b.Report) })
	shift := meter.Decimal{} // what the marketplace holds beyond what was sent
	if d.To == LineSettled {
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
func (s *Records) decidePortion(ctx context.Context, tx *sql.Tx, organization string, p *Portion, to, message string) error {
	p.State, p.Reason = to, message
	if to == LineSettled {
		p.Reason = ""
	}
	if err := putPortion(ctx, tx, organization, p); err != nil {
		return err
	}
	switch to {
	case LineSettled:
		if err := moveBalances(ctx, tx, organization, p.Entitlement, p.Each); err != nil {
			return err
		}
	case LineMoved, LineRefused: // what it counted is new again
		if _, err := tx.ExecContext(ctx, stmtRecords.SeenForget, organization, p.Entitlement, p.Dimension, p.Report); err != nil {
			return err
		}
	}
	if to == LineMoved {
		if err := moveBalances(ctx, tx, organization, p.Entitlement, func(move func(BalanceKey, meter.Decimal)) { takings(p, true, move) }); err != nil {
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
func (s *Records) concludeReport(ctx context.Context, tx *sql.Tx, organization, report, message string) error {
	portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionOfReport, organization, report)
	if err != nil {
		return err
	}
	status := statusOf(portions)
	if status == ReportSuccess {
		message = ""
	}
	if _, err := tx.ExecContext(ctx, stmtRecords.ReportDecide, organization, report, status, message, Micros(s.db.Now())); err != nil || status == ReportPending {
		return err
	}
	groups, err := List(ctx, tx, scanRecordGroup, stmtRecords.GroupOfReport, organization, report)
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
		if _, err := tx.ExecContext(ctx, stmtRecords.GroupDecide, organization, g.ID, g.Status, claim, Micros(s.db.Now()), Micros(g.Reported), string(settled), g.Message); err != nil {
			return err
		}
	}
	return nil
}

// LinesOfDay returns the lines of an account's dimension on a UTC day.
func (s *Records) LinesOfDay(ctx context.Context, l Line) ([]Line, error) {
	day := l.Hour.UTC().Truncate(24 * time.Hour)
	return s.lines(ctx, stmtRecords.LineOfKey, l.Organization, l.Account, l.Dimension, Micros(day), Micros(day.Add(24*time.Hour)))
}

// LinesOfReport returns the lines that bill the dimensions of a report.
func (s *Records) LinesOfReport(ctx context.Context, organization string, r Report) ([]Line, error) {
	return s.lines(ctx, stmtRecords.LineOfAccount, organization, r.Account, Micros(r.Hour))
}

// FrozenLines returns lines that are not decided, the oldest hours first.
func (s *Records) FrozenLines(ctx context.Context, organization string, limit int) ([]Line, error) {
	return s.lines(ctx, stmtRecords.LineFrozen, organization, limit)
}

func (s *Records) lines(ctx context.Context, query string, args ...any) ([]Line, error) {
	all, err := List(ctx, s.db.Reader(), scanLine, query, args...)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the lines of reports")
	}
	return all, nil
}

// HastenLines makes the lines of an account's hour that are not decided due now.
func (s *Records) HastenLines(ctx context.Context, organization, account string, hour, now time.Time) error {
	return s.db.Write(ctx, "hasten the lines of reports", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.LineHasten, organization, account, Micros(hour), Micros(now))
		return err
	})
}

type reportLine struct {
	Line
	report string
}

func scanReportLine(r Row) (reportLine, error) {
	var x reportLine
	var err error
	x.Line, err = scanLineAfter(r, &x.report)
	return x, err
}

func scanLine(r Row) (Line, error) { return scanLineAfter(r) }

// scanLineAfter reads a line, after what comes before it.
func scanLineAfter(r Row, before ...any) (Line, error) {
	var l Line
	var hour, next, deadline, lease sql.NullInt64
	var quantity, target, accepted, request, response string
	err := r.Scan(append(before, &l.Organization, &l.Operation, &l.Partner, &l.Account, &l.Dimension, &hour, &quantity, &target, &l.State, &accepted, &l.Maybe, &l.Grace, &l.Attempts,
		&next, &deadline, &l.Lease, &lease, &l.Fence, &l.Message, &request, &response)...)
	if err != nil {
		return l, err
	}
	l.Hour, l.Next, l.Deadline, l.LeaseUntil = FromMicros(hour), FromMicros(next), FromMicros(deadline), FromMicros(lease)
	l.Target, l.Request, l.Response = json.RawMessage(target), json.RawMessage(request), json.RawMessage(response)
	if l.Quantity, err = meter.ParseDecimal(quantity); err == nil && accepted != "" {
		l.Accepted, err = meter.ParseDecimal(accepted)
	}
	return l, err
}

// DoubtLines takes all lines of an organization that are not decided as
// perhaps accepted and due now, and ends their leases.
func (s *Records) DoubtLines(ctx context.Context, organization string, now time.Time) error {
	return s.db.Write(ctx, "doubt the lines of reports", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.LineDoubt, organization, Micros(now))
		return err
	})
}
