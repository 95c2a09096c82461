package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"odometer/internal/meter"
)

// StuckLines returns every portion that is not settled, frozen, parked or
// refused, and those that were moved and are held by what waits beside them,
// the oldest hours first.
func (s *Records) StuckLines(ctx context.Context, organization string, limit int) ([]StuckLine, error) {
	all, err := List(ctx, s.db.Reader(), scanStuck, stmtRecords.PortionStuck, organization, limit)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what is stuck of reports")
	}
	reports := map[string]bool{}
	for _, l := range all {
		reports[l.Report] = true
	}
	beside, err := s.movedBeside(ctx, organization, slices.Sorted(maps.Keys(reports)), all)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what is stuck of reports")
	}
	all = append(all, beside...)
	slices.SortStableFunc(all, func(a, b StuckLine) int { return a.Hour.Compare(b.Hour) })
	for i := range all {
		all[i].Organization = organization
	}
	return all, nil
}

// besideReason is why usage that goes to another hour does not go yet.
const besideReason = "goes to another hour when what waits beside it in the same groups is settled or resolved"

// movedBeside returns what some reports have moved, and still hold: a usage
// record group is free only when all its dimensions are.
func (s *Records) movedBeside(ctx context.Context, organization string, reports []string, waiting []StuckLine) ([]StuckLine, error) {
	var out []StuckLine
	for some := range slices.Chunk(reports, detailBatch) {
		args := []any{organization}
		for _, r := range some {
			args = append(args, r)
		}
		portions, err := List(ctx, s.db.Reader(), scanPortion, RepeatIn(stmtRecords.PortionOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, err
		}
		for i := range portions {
			p := &portions[i]
			if p.State != LineMoved || p.Usage.Sub(p.Metered).IsZero() {
				continue
			}
			groups, err := List(ctx, s.db.Reader(), scanRecordGroup, stmtRecords.GroupOfReport, organization, p.Report)
			if err != nil {
				return nil, err
			}
			left := meter.Decimal{}
			for j := range groups {
				if len(dimensions(&groups[j], portions[i:i+1])) > 0 {
					left = left.Add(groups[j].Records[p.Dimension])
				}
			}
			if left.IsZero() {
				continue
			}
			x := StuckLine{Report: p.Report, Entitlement: p.Entitlement, Usage: left}
			at := slices.IndexFunc(waiting, func(l StuckLine) bool { return l.Report == p.Report })
			x.Partner, x.Account, x.Dimension, x.Hour, x.State, x.Quantity, x.Message = waiting[at].Partner, p.Account, p.Dimension, p.Hour, p.State, left, besideReason
			out = append(out, x)
		}
	}
	return out, nil
}

func scanStuck(r Row) (StuckLine, error) {
	var x StuckLine
	var p Portion
	var hour, next, deadline sql.NullInt64
	var body, told, message, state, operation string
	var maybe bool
	var attempts int
	if err := r.Scan(&p.Report, &p.Dimension, &p.Entitlement, &p.Term, &p.Account, &hour, &p.State, &body, &x.Partner, &told,
		&operation, &attempts, &next, &deadline, &message, &maybe, &state); err != nil {
		return x, err
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return x, err
	}
	x.Report, x.Entitlement, x.Account, x.Dimension, x.Hour, x.State = p.Report, p.Entitlement, p.Account, p.Dimension, FromMicros(hour), p.State
	x.Usage = p.Usage.Sub(p.Retried)
	if operation == "" || p.Sent.IsZero() || state != p.State { // a line of that hour may be of what was sent before it
		x.Quantity, x.Message = x.Usage, cmp.Or(p.Reason, told)
		return x, nil
	}
	x.Operation, x.Quantity, x.Message, x.Maybe, x.Attempts = operation, p.Sent, cmp.Or(message, p.Reason), maybe, attempts
	x.Next, x.Deadline = FromMicros(next), FromMicros(deadline)
	return x, nil
}

// LineCounts counts the portions of all organizations that are not settled,
// with a line or without one.
func (s *Records) LineCounts(ctx context.Context) ([]LineCount, error) {
	all, err := List(ctx, s.db.Reader(), func(r Row) (LineCount, error) {
		var c LineCount
		var oldest sql.NullInt64
		err := r.Scan(&c.Organization, &c.Partner, &c.State, &c.Count, &oldest)
		c.Oldest = FromMicros(oldest)
		return c, err
	}, stmtRecords.PortionCounts)
	if err != nil {
		return nil, s.db.Fail(err, "cannot count what is stuck of reports")
	}
	return all, nil
}

// freeRefused takes groups that are retried out of the refused portions of
// their report. A portion of which nothing is left waits no longer.
func (s *Records) freeRefused(ctx context.Context, tx *sql.Tx, organization, report string, groups []RecordGroup) error {
	portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionOfReport, organization, report)
	if err != nil {
		return err
	}
	for i := range portions {
		p, freed := &portions[i], 0
		if p.State != LineRefused {
			continue
		}
		for j := range groups {
			if len(dimensions(&groups[j], portions[i:i+1])) > 0 {
				freed++
				p.Retried = p.Retried.Add(groups[j].Records[p.Dimension])
			}
		}
		if freed == 0 {
			continue
		}
		p.Freed += freed
		left := p.Groups - p.Freed
		if p.Groups == 0 { // frozen before groups were counted
			if left, err = s.groupsLeft(ctx, tx, organization, p); err != nil {
				return err
			}
		}
		if left <= 0 && p.Metered.IsZero() && len(p.Taken) == 0 {
			p.State = LineMoved
		}
		if err := putPortion(ctx, tx, organization, p); err != nil {
			return err
		}
	}
	return nil
}

// groupsLeft counts the groups of a portion that its report still claims.
func (s *Records) groupsLeft(ctx context.Context, tx *sql.Tx, organization string, p *Portion) (int, error) {
	groups, err := List(ctx, tx, scanRecordGroup, stmtRecords.GroupOfReport, organization, p.Report)
	n := 0
	for i := range groups {
		n += len(dimensions(&groups[i], []Portion{*p}))
	}
	return n, err
}

// ResolvePortion ends a parked or refused portion by hand.
//
//   - settled: the marketplace is known to hold it. Of a parked portion of which
//     nothing was sent: the next hour bills it. Of a refused one: as elsewhere.
//   - refused: the marketplace is known not to hold it; only of a parked one.
//   - moved: the same, and a later hour may bill it.
//   - elsewhere: a person has settled its usage; the marketplace bills none of
//     it, and credit, commit, included and carry are as if it had not been.
//
// The other portions of a parked line go with it, except that elsewhere is of
// the one portion: the others are refused.
func (s *Records) ResolvePortion(ctx context.Context, organization, report, dimension, to, actor string) error {
	if err := CheckActor(actor); err != nil {
		return err
	}
	if to != LineSettled && to != LineRefused && to != LineMoved && to != LineElsewhere {
		return meter.Errorf(meter.KindInvalid, "a dimension is resolved as settled, refused, moved or elsewhere, not %q", Clip(to))
	}
	return s.db.Write(ctx, "resolve the report", func(tx *sql.Tx) error {
		portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionOfReport, organization, report)
		if err != nil {
			return err
		}
		for i := range portions {
			p := &portions[i]
			if p.Dimension != dimension || p.State != LineParked && (p.State != LineRefused || to == LineRefused) {
				continue
			}
			told := Entry{Organization: organization, Actor: actor, Action: AuditUpdate, Noun: "report", ID: report + "/" + dimension,
				Before: map[string]string{"state": p.State}, After: map[string]string{"state": to}}
			if err := s.db.Audit(ctx, tx, told); err != nil {
				return err
			}
			return s.resolve(ctx, tx, organization, p, to, "resolved as "+to+" by "+actor)
		}
		return meter.Errorf(meter.KindNotFound, "no dimension %q in report %q that can be resolved as %s", Clip(dimension), Clip(report), to)
	})
}

func (s *Records) resolve(ctx context.Context, tx *sql.Tx, organization string, p *Portion, to, message string) error {
	if p.State == LineRefused {
		if to == LineMoved {
			return s.decidePortion(ctx, tx, organization, p, to, message)
		}
		return s.settleElsewhere(ctx, tx, organization, p, message)
	}
	lines, err := List(ctx, tx, scanLine, stmtRecords.LineOfKey, organization, p.Account, p.Dimension, Micros(p.Hour), Micros(p.Hour.Add(time.Hour)))
	if err != nil {
		return err
	}
	for _, l := range lines {
		if l.State != LineParked || p.Sent.IsZero() { // the line is of what was sent before it
			continue
		}
		d := &Decision{Line: l, To: to, Accepted: l.Quantity, Next: l.Next, Deadline: l.Deadline, Message: message, Request: l.Request, Response: l.Response}
		if to == LineElsewhere {
			d.To = LineRefused
		}
		if _, err := s.decideLine(ctx, tx, d, LineParked); err != nil || to != LineElsewhere {
			return err
		}
	}
	if to == LineElsewhere {
		return s.settleElsewhere(ctx, tx, organization, p, message)
	}
	return s.decidePortion(ctx, tx, organization, p, to, message)
}

// settleElsewhere ends a portion of which the marketplace holds nothing.
func (s *Records) settleElsewhere(ctx context.Context, tx *sql.Tx, organization string, p *Portion, message string) error {
	none := meter.Decimal{}
	p.Usage, p.Retried, p.Freed = p.Usage.Sub(p.Retried), none, 0
	p.Credit, p.Commit, p.Included, p.CreditAmount, p.CommitSpent = none, none, none, none, none
	p.Left, p.Adjusted, p.Elsewhere = p.Usage, p.Usage, p.Usage
	p.CarryIn, p.Carried, p.Sent, p.CarryOut = none, nil, none, none
	if err := s.decidePortion(ctx, tx, organization, p, LineSettled, message); err != nil {
		return err
	}
	return insertSeen(ctx, tx, organization, p.Entitlement, p.Dimension, p.Report, p.Seen)
}

func putPortion(ctx context.Context, tx *sql.Tx, organization string, p *Portion) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmtRecords.PortionDecide, organization, p.Report, p.Dimension, p.State, string(body))
	return err
}
