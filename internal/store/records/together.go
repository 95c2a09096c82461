package records

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// Where the portions of a report leave a group.
type groupEnd uint8

const (
	groupDone   groupEnd = iota // all of it is settled
	groupFreed                  // for the next report to claim
	groupFailed                 // waits for a retry
	groupHeld                   // waits for its report
)

// Why a group waits of which nothing else does.
const (
	heldReason   = "its figure is of all its groups together, and one of them waits for its report"
	failedReason = "its figure is of all its groups together, and one of them was refused: a retry is of them all"
)

// concludeGroups gives the groups of a report the status that its portions lead
// to. A dimension that was moved frees a group for the next report; one that
// was refused waits for a retry, and with it what was moved. Groups that share a
// figure which is not the sum of theirs are freed together: figures of parts of
// them would add up to more.
func concludeGroups(groups []billing.RecordGroup, portions []billing.Portion, message string, now time.Time) {
	together := figuresOf(groups, portions)
	ends := make([]groupEnd, len(groups))
	last := map[int]groupEnd{} // by figure
	for i := range groups {
		ends[i] = conclude(&groups[i], portions, message)
		if of, is := together[i]; is {
			last[of] = max(last[of], ends[i])
		}
	}
	for i := range groups {
		g, end := &groups[i], ends[i]
		if of, is := together[i]; is && last[of] > end && end != groupDone {
			end = last[of]
			g.Message = heldReason
			if end == groupFailed {
				g.Message = failedReason
			}
		}
		switch end {
		case groupHeld:
			g.Status = billing.GroupReportPending
		case groupFailed:
			g.Status = billing.GroupReportFailed
		case groupFreed:
			g.Status, g.Report = billing.GroupReportPending, ""
		default:
			g.Status, g.Reported = billing.GroupReported, now
		}
	}
}

// conclude notes what of a group is settled, and says where that leaves it.
func conclude(g *billing.RecordGroup, portions []billing.Portion, message string) groupEnd {
	has, reasons := map[string]bool{}, map[string]string{}
	for _, p := range dimensions(g, portions) {
		has[p.State] = true
		reasons[p.State] = cmp.Or(reasons[p.State], p.Reason)
		if p.State == billing.LineSettled {
			g.Settled = append(g.Settled, p.Dimension)
		}
	}
	slices.Sort(g.Settled)
	g.Message = ""
	switch {
	case has[billing.LineParked] || has[billing.LineFrozen]:
		g.Message = cmp.Or(reasons[billing.LineParked], message)
		return groupHeld
	case has[billing.LineRefused]:
		g.Message = cmp.Or(reasons[billing.LineRefused], message)
		return groupFailed
	case has[billing.LineMoved]:
		return groupFreed
	}
	return groupDone
}

// figuresOf says which groups share, with others or through them, a figure that
// is not settled and not the sum of theirs: by index, the least index of those
// that belong together. A group without such a figure has no entry.
func figuresOf(groups []billing.RecordGroup, portions []billing.Portion) map[int]int {
	of := map[int]int{}
	root := func(i int) int {
		for of[i] != i {
			of[i] = of[of[i]]
			i = of[i]
		}
		return i
	}
	for _, p := range portions {
		first := -1
		for i := range groups {
			if p.State == billing.LineSettled || !shares(&groups[i], &p) {
				continue
			}
			if _, is := of[i]; !is {
				of[i] = i
			}
			if first < 0 {
				first = root(i)
			}
			a, b := root(first), root(i)
			of[max(a, b)] = min(a, b)
		}
	}
	for i := range of {
		of[i] = root(i)
	}
	return of
}

// shares says whether a group is part of a portion's figure that is not a sum.
func shares(g *billing.RecordGroup, p *billing.Portion) bool {
	return len(p.Whole) > 0 && !slices.Contains(g.Settled, p.Dimension) &&
		slices.ContainsFunc(g.Billable, func(r billing.BillableRecord) bool { return slices.Contains(p.Whole, r.Metric) })
}

// retryTogether frees a group that is retried from its report, and with it
// those that share a figure with it.
func (s *Store) retryTogether(ctx context.Context, tx *sql.Tx, organization, actor string, before billing.RecordGroup) error {
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionOfReport, organization, before.Report)
	if err != nil {
		return err
	}
	groups := []billing.RecordGroup{before}
	if slices.ContainsFunc(portions, func(p billing.Portion) bool { return shares(&before, &p) }) {
		others, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupOfReport, organization, before.Report)
		if err != nil {
			return err
		}
		all := append(groups, others...) // its own claim is gone
		of := figuresOf(all, portions)
		for i := 1; i < len(all); i++ {
			if with, is := of[i]; !is || with != 0 {
				continue
			}
			if g := &all[i]; g.Status != billing.GroupReportFailed {
				return meter.Errorf(meter.KindInvalid, "usage record group %q shares a figure with %q, which is %s: it can be retried when that one's report is decided",
					meter.Clip(before.Name), meter.Clip(g.Name), g.Status)
			}
			if _, err := tx.ExecContext(ctx, stmt.RecordGroupRetry, organization, all[i].ID, store.Micros(s.db.Now())); err != nil {
				return err
			}
			if err := s.auditGroup(ctx, tx, organization, actor, catalog.AuditUpdate, &all[i], billing.GroupCreated); err != nil {
				return err
			}
			groups = append(groups, all[i])
		}
	}
	return s.freeRefused(ctx, tx, organization, before.Report, groups)
}
