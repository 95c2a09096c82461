package records

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// StuckLines returns every portion that is not settled, frozen, parked or
// refused, and those that were moved and are held by what waits beside them,
// the oldest hours first.
func (s *Store) StuckLines(ctx context.Context, organization string, limit int) ([]billing.StuckLine, error) {
	all, err := store.List(ctx, s.db.Reader(), scanStuck, stmt.PortionStuck, organization, limit)
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
	slices.SortStableFunc(all, func(a, b billing.StuckLine) int { return a.Hour.Compare(b.Hour) })
	for i := range all {
		all[i].Organization = organization
	}
	return all, nil
}

// besideReason is why usage that goes to another hour does not go yet.
const besideReason = "goes to another hour when what waits beside it in the same groups is settled or resolved"

// movedBeside returns what some reports have moved, and still hold: a usage
// record group is free only when all its dimensions are.
func (s *Store) movedBeside(ctx context.Context, organization string, reports []string, waiting []billing.StuckLine) ([]billing.StuckLine, error) {
	var out []billing.StuckLine
	for some := range slices.Chunk(reports, detailBatch) {
		args := []any{organization}
		for _, r := range some {
			args = append(args, r)
		}
		portions, err := store.List(ctx, s.db.Reader(), scanPortion, store.RepeatIn(stmt.PortionOfReports, 2, len(some)), args...)
		if err != nil {
			return nil, err
		}
		for i := range portions {
			p := &portions[i]
			if p.State != billing.LineMoved || p.Usage.Sub(p.Metered).IsZero() {
				continue
			}
			groups, err := store.List(ctx, s.db.Reader(), scanRecordGroup, stmt.GroupOfReport, organization, p.Report)
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
			x := billing.StuckLine{Report: p.Report, Entitlement: p.Entitlement, Usage: left}
			at := slices.IndexFunc(waiting, func(l billing.StuckLine) bool { return l.Report == p.Report })
			x.Partner, x.Account, x.Dimension, x.Hour, x.State, x.Quantity, x.Message = waiting[at].Partner, p.Account, p.Dimension, p.Hour, p.State, left, besideReason
			out = append(out, x)
		}
	}
	return out, nil
}

func scanStuck(r store.Row) (billing.StuckLine, error) {
	var x billing.StuckLine
	var p billing.Portion
	var hour, next, deadline sql.NullInt64
	var body, answer, message, state, operation string
	var maybe bool
	var attempts int
	if err := r.Scan(&p.Report, &p.Dimension, &p.Entitlement, &p.Term, &p.Account, &hour, &p.State, &body, &x.Partner, &answer,
		&operation, &attempts, &next, &deadline, &message, &maybe, &state); err != nil {
		return x, err
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return x, err
	}
	x.Report, x.Entitlement, x.Account, x.Dimension, x.Hour, x.State = p.Report, p.Entitlement, p.Account, p.Dimension, store.FromMicros(hour), p.State
	x.Usage = p.Usage.Sub(p.Retried)
	if operation == "" || p.Sent.IsZero() || state != p.State { // a line of that hour may be of what was sent before it
		x.Quantity, x.Message = x.Usage, cmp.Or(p.Reason, answer)
		return x, nil
	}
	x.Operation, x.Quantity, x.Message, x.Maybe, x.Attempts = operation, p.Sent, cmp.Or(message, p.Reason), maybe, attempts
	x.Next, x.Deadline = store.FromMicros(next), store.FromMicros(deadline)
	return x, nil
}

// LineCounts counts the portions of all organizations that are not settled,
// with a line or without one.
func (s *Store) LineCounts(ctx context.Context) ([]billing.LineCount, error) {
	all, err := store.List(ctx, s.db.Reader(), func(r store.Row) (billing.LineCount, error) {
		var c billing.LineCount
		var oldest sql.NullInt64
		err := r.Scan(&c.Organization, &c.Partner, &c.State, &c.Count, &oldest)
		c.Oldest = store.FromMicros(oldest)
		return c, err
	}, stmt.PortionCounts)
	if err != nil {
		return nil, s.db.Fail(err, "cannot count what is stuck of reports")
	}
	return all, nil
}

// freeRefused takes groups that are retried out of the refused portions of
// their report. A portion of which nothing is left waits no longer.
func (s *Store) freeRefused(ctx context.Context, tx *sql.Tx, organization, report string, groups []billing.RecordGroup) error {
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionOfReport, organization, report)
	if err != nil {
		return err
	}
	for i := range portions {
		p, freed := &portions[i], 0
		if p.State != billing.LineRefused {
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
			p.State = billing.LineMoved
		}
		if err := putPortion(ctx, tx, organization, p); err != nil {
			return err
		}
	}
	return nil
}

// groupsLeft counts the groups of a portion that its report still claims.
func (s *Store) groupsLeft(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion) (int, error) {
	groups, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupOfReport, organization, p.Report)
	n := 0
	for i := range groups {
		n += len(dimensions(&groups[i], []billing.Portion{*p}))
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
func (s *Store) ResolvePortion(ctx context.Context, organization, report, dimension, to, actor string) error {
	if err := catalog.CheckActor(actor); err != nil {
		return err
	}
	if to != billing.LineSettled && to != billing.LineRefused && to != billing.LineMoved && to != billing.LineElsewhere {
		return meter.Errorf(meter.KindInvalid, "a dimension is resolved as settled, refused, moved or elsewhere, not %q", meter.Clip(to))
	}
	return s.db.Write(ctx, "resolve the report", func(tx *sql.Tx) error {
		portions, err := store.List(ctx, tx, scanPortion, stmt.PortionOfReport, organization, report)
		if err != nil {
			return err
		}
		for i := range portions {
			p := &portions[i]
			if p.Dimension != dimension || p.State != billing.LineParked && (p.State != billing.LineRefused || to == billing.LineRefused) {
				continue
			}
			entry := store.Entry{Organization: organization, Actor: actor, Action: catalog.AuditUpdate, Noun: "report", ID: report + "/" + dimension,
				Before: map[string]string{"state": p.State}, After: map[string]string{"state": to}}
			if err := s.db.Audit(ctx, tx, entry); err != nil {
				return err
			}
			return s.resolve(ctx, tx, organization, p, to, "resolved as "+to+" by "+actor)
		}
		return meter.Errorf(meter.KindNotFound, "no dimension %q in report %q that can be resolved as %s", meter.Clip(dimension), meter.Clip(report), to)
	})
}

func (s *Store) resolve(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, to, message string) error {
	if p.State == billing.LineRefused {
		if to == billing.LineMoved {
			return s.decidePortion(ctx, tx, organization, p, to, message)
		}
		return s.settleElsewhere(ctx, tx, organization, p, message)
	}
	if !p.Sent.IsZero() { // else a line of its key is of what was sent before it, and may be damaged
		done, err := s.resolveLine(ctx, tx, organization, p, to, message)
		if done || err != nil {
			return err
		}
	}
	if to == billing.LineElsewhere {
		return s.settleElsewhere(ctx, tx, organization, p, message)
	}
	return s.decidePortion(ctx, tx, organization, p, to, message)
}

// resolveLine ends the parked line that a portion was sent with. done says
// that the line's portions went with it.
func (s *Store) resolveLine(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, to, message string) (done bool, err error) {
	lines, err := store.List(ctx, tx, scanLine, stmt.LineParked, organization, p.Account, p.Dimension, store.Micros(p.Hour), store.Micros(p.Hour.Add(time.Hour)))
	if err != nil {
		return false, err
	}
	for _, l := range lines {
		d := billing.Decision{Line: l, To: to, Accepted: l.Quantity, Next: l.Next, Deadline: l.Deadline, Message: message, Request: l.Request, Response: l.Response}
		if to == billing.LineElsewhere {
			d.To = billing.LineRefused
		}
		if _, err := s.decideLines(ctx, tx, []billing.Decision{d}, billing.LineParked); err != nil || to != billing.LineElsewhere {
			return true, err
		}
	}
	return false, nil
}

// settleElsewhere ends a portion of which the marketplace holds nothing.
func (s *Store) settleElsewhere(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion, message string) error {
	none := meter.Decimal{}
	p.Usage, p.Retried, p.Freed = p.Usage.Sub(p.Retried), none, 0
	p.Credit, p.Commit, p.Included, p.CreditAmount, p.CommitSpent = none, none, none, none, none
	p.Left, p.Adjusted, p.Elsewhere = p.Usage, p.Usage, p.Usage
	p.CarryIn, p.Carried, p.Sent, p.CarryOut = none, nil, none, none
	if err := s.decidePortion(ctx, tx, organization, p, billing.LineSettled, message); err != nil {
		return err
	}
	return insertSeen(ctx, tx, organization, p.Entitlement, p.Dimension, p.Report, p.Seen)
}

func putPortion(ctx context.Context, tx *sql.Tx, organization string, p *billing.Portion) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmt.PortionDecide, organization, p.Report, p.Dimension, p.State, string(body))
	return err
}
