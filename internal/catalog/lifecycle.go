package catalog

import (
	"odometer/internal/meter"
	"slices"
)

// What becomes of usage record groups, portions and balances, without the database.

// dimensions are those of a group's usage that a report of these portions billed.
func dimensions(g *RecordGroup, portions []Portion) []Portion {
	var mine []Portion
	for _, p := range portions {
		_, posted := g.Records[p.Dimension]
		for _, r := range g.Billable {
			posted = posted || slices.Contains(p.Metrics, r.Metric)
		}
		if posted && !slices.Contains(g.Settled, p.Dimension) {
			mine = append(mine, p)
		}
	}
	return mine
}

// takings calls move with what the portion takes out of what is carried as
// soon as it is frozen; sign -1 takes, 1 gives back.
func takings(p *Portion, back bool, move func(k BalanceKey, by meter.Decimal)) {
	for term, amount := range p.Taken {
		if !back {
			amount = amount.Neg()
		}
		move(BalanceKey{BalanceCarry, term, p.Dimension, ""}, amount)
	}
}

// shifted moves a difference between what was sent and what the marketplace
// holds into what is carried out, and returns what of it is left for the next portion.
func shifted(p *Portion, by meter.Decimal) (rest meter.Decimal) {
	if by.Neg().Cmp(p.Sent) > 0 { // less than nothing cannot be held
		rest = by.Add(p.Sent)
		by = p.Sent.Neg()
	}
	p.Sent, p.CarryOut = p.Sent.Add(by), p.CarryOut.Sub(by)
	return rest
}

// statusOf is the status of a report with these portions.
func statusOf(portions []Portion) string {
	has := map[string]bool{}
	for _, p := range portions {
		has[p.State] = true
	}
	switch {
	case has[LineFrozen]:
		return ReportPending
	case has[LineRefused]:
		return ReportFailed
	case has[LineParked]:
		return ReportParked
	case has[LineMoved]:
		return ReportMoved
	}
	return ReportSuccess
}

// addPortion adds what a portion says: all of one that is settled, and of
// others what no group tells of.
func addPortion(b *Balance, p *Portion, claimed bool) {
	other := p.Metered.Add(p.Billable).Add(p.TakenAmount())
	if p.State != LineMoved {
		b.Mapped = b.Mapped.Add(p.Billable)
	}
	switch p.State {
	case LineSettled:
		b.Sent = b.Sent.Add(p.Sent)
		b.Settled = b.Settled.Add(p.Sent).Add(p.Elsewhere).Sub(p.Adjusted).Add(p.Left)
		b.Absorbed = b.Absorbed.Add(p.Credit).Add(p.Commit).Add(p.Included)
	case LineFrozen:
		b.Pending = b.Pending.Add(other)
	case LineParked:
		b.Parked = b.Parked.Add(other)
	case LineRefused:
		if !p.Billable.IsZero() && !claimed { // retried: counted again where it is now
			b.Mapped = b.Mapped.Sub(p.Billable)
			other = other.Sub(p.Billable)
		}
		b.Failed = b.Failed.Add(other)
	}
}

// addPosted adds the posted usage of one dimension of a group.
func addPosted(b *Balance, g *RecordGroup, state, dimension string, quantity meter.Decimal) {
	switch {
	case slices.Contains(g.Settled, dimension) || state == LineSettled: // in a settled portion
	case g.Status == GroupReportFailed || state == LineRefused:
		b.Failed = b.Failed.Add(quantity)
	case state == LineParked:
		b.Parked = b.Parked.Add(quantity)
	default:
		b.Pending = b.Pending.Add(quantity)
	}
}
