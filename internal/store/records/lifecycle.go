package records

import (
	"odometer/internal/billing"
	"odometer/internal/meter"
	"slices"
)

// What becomes of usage record groups, portions and balances, without the database.

// dimensions are those of a group's usage that a report of these portions billed.
func dimensions(g *billing.RecordGroup, portions []billing.Portion) []billing.Portion {
	var mine []billing.Portion
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
func takings(p *billing.Portion, back bool, move func(k billing.BalanceKey, by meter.Decimal)) {
	for term, amount := range p.Taken {
		if !back {
			amount = amount.Neg()
		}
		move(billing.BalanceKey{Kind: billing.BalanceCarry, Term: term, Dimension: p.Dimension}, amount)
	}
}

// shifted moves a difference between what was sent and what the marketplace
// holds into what is carried out, and returns what of it is left for the next portion.
func shifted(p *billing.Portion, by meter.Decimal) (rest meter.Decimal) {
	if by.Neg().Cmp(p.Sent) > 0 { // less than nothing cannot be held
		rest = by.Add(p.Sent)
		by = p.Sent.Neg()
	}
	p.Sent, p.CarryOut = p.Sent.Add(by), p.CarryOut.Sub(by)
	return rest
}

// statusOf is the status of a report with these portions.
func statusOf(portions []billing.Portion) string {
	has := map[string]bool{}
	for _, p := range portions {
		has[p.State] = true
	}
	switch {
	case has[billing.LineFrozen]:
		return billing.ReportPending
	case has[billing.LineRefused]:
		return billing.ReportFailed
	case has[billing.LineParked]:
		return billing.ReportParked
	case has[billing.LineMoved]:
		return billing.ReportMoved
	}
	return billing.ReportSuccess
}

// addPortion adds what a portion says: all of one that is settled, and of
// others what no group tells of.
func addPortion(b *billing.Balance, p *billing.Portion, claimed bool) {
	other := p.Metered.Add(p.Billable).Add(p.TakenAmount())
	if p.State != billing.LineMoved {
		b.Mapped = b.Mapped.Add(p.Billable)
	}
	switch p.State {
	case billing.LineSettled:
		b.Sent = b.Sent.Add(p.Sent)
		b.Settled = b.Settled.Add(p.Sent).Add(p.Elsewhere).Sub(p.Adjusted).Add(p.Left)
		b.Absorbed = b.Absorbed.Add(p.Credit).Add(p.Commit).Add(p.Included)
	case billing.LineFrozen:
		b.Pending = b.Pending.Add(other)
	case billing.LineParked:
		b.Parked = b.Parked.Add(other)
	case billing.LineRefused:
		if !p.Billable.IsZero() && !claimed { // retried: counted again where it is now
			b.Mapped = b.Mapped.Sub(p.Billable)
			other = other.Sub(p.Billable)
		}
		b.Failed = b.Failed.Add(other)
	}
}

// addPosted adds the posted usage of one dimension of a group.
func addPosted(b *billing.Balance, g *billing.RecordGroup, state, dimension string, quantity meter.Decimal) {
	switch {
	case slices.Contains(g.Settled, dimension) || state == billing.LineSettled: // in a settled portion
	case g.Status == billing.GroupReportFailed || state == billing.LineRefused:
		b.Failed = b.Failed.Add(quantity)
	case state == billing.LineParked:
		b.Parked = b.Parked.Add(quantity)
	default:
		b.Pending = b.Pending.Add(quantity)
	}
}
