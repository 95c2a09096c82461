package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"odometer/internal/meter"
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
func concludeGroups(groups []RecordGroup, portions []Portion, message string, now time.Time) {
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
			g.Status = GroupReportPending
		case groupFailed:
			g.Status = GroupReportFailed
		case groupFreed:
			g.Status, g.Report = GroupReportPending, ""
		default:
			g.Status, g.Reported = GroupReported, now
		}
	}
}

// conclude notes what of a group is settled, and says where that leaves it.
func conclude(g *RecordGroup, portions []Portion, message string) groupEnd {
	has, reasons := map[string]bool{}, map[string]string{}
	for _, p := range dimensions(g, portions) {
		has[p.State] = true
		reasons[p.State] = cmp.Or(reasons[p.State], p.Reason)
		if p.State == LineSettled {
			g.Settled = append(g.Settled, p.Dimension)
		}
	}
	slices.Sort(g.Settled)
	g.Message = ""
	switch {
	case has[LineParked] || has[LineFrozen]:
		g.Message = cmp.Or(reasons[LineParked], message)
		return groupHeld
	case has[LineRefused]:
		g.Message = cmp.Or(reasons[LineRefused], message)
		return groupFailed
	case has[LineMoved]:
		return groupFreed
	}
	return groupDone
}

// figuresOf says which groups share, with others or through them, a figure that
// is not settled and not the sum of theirs: by index, the least index of those
// that belong together. A group without such a figure has no entry.
func figuresOf(groups []RecordGroup, portions []Portion) map[int]int {
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
			if p.State == LineSettled || !shares(&groups[i], &p) {
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
func shares(g *RecordGroup, p *Portion) bool {
	return len(p.Whole) > 0 && !slices.Contains(g.Settled, p.Dimension) &&
		slices.ContainsFunc(g.Billable, func(r BillableRecord) bool { return slices.Contains(p.Whole, r.Metric) })
}

// retryTogether frees a group that is retried from its report, and with it
// those that share a figure with it.
func (s *Records) retryTogether(ctx context.Context, tx *sql.Tx, organization string, before RecordGroup) error {
	portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionOfReport, organization, before.Report)
	if err != nil {
		return err
	}
	groups := []RecordGroup{before}
	if slices.ContainsFunc(portions, func(p Portion) bool { return shares(&before, &p) }) {
		others, err := List(ctx, tx, scanRecordGroup, stmtRecords.GroupOfReport, organization, before.Report)
		if err != nil {
			return err
		}
		all := append(groups, others...) // its own claim is gone
		of := figuresOf(all, portions)
		for i := 1; i < len(all); i++ {
			if with, is := of[i]; !is || with != 0 {
				continue
			}
			if g := &all[i]; g.Status != GroupReportFailed {
				return meter.Errorf(meter.KindInvalid, "usage record group %q shares a figure with %q, which is %s: it can be retried when that one's report is decided",
					Clip(before.Name), Clip(g.Name), g.Status)
			}
			if _, err := tx.ExecContext(ctx, stmtRecords.RecordGroupRetry, organization, all[i].ID, Micros(s.db.Now())); err != nil {
				return err
			}
			groups = append(groups, all[i])
		}
	}
	return s.freeRefused(ctx, tx, organization, before.Report, groups)
}
