package marketplace

import (
	"context"
	"maps"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/rating"
)

// Why what is carried, or read of a meter, waits for a person.
const (
	overReason    = "the entitlement is over and its last hour is closed: nothing takes what was carried"
	overUseReason = "the entitlement is over and its last hour is closed: nothing takes usage that came after"
)

// findCarried finds what is carried and can be billed without other usage, and
// what can be billed no more since its entitlement is over.
func (p *pass) findCarried(ctx context.Context) error {
	all, err := p.r.frozen.Carried(ctx, p.organization)
	if err != nil {
		return err
	}
	sums := map[billing.DimensionKey]meter.Decimal{}
	for _, c := range all {
		k := billing.DimensionKey{Entitlement: c.Entitlement, Dimension: c.Dimension}
		sums[k] = sums[k].Add(c.Amount)
	}
	for k, amount := range sums {
		e, ok := p.latest(k.Entitlement)
		if !ok {
			continue
		}
		if p.over(e) && !amount.IsZero() || sendable(e, k.Dimension, amount).Sign() > 0 {
			p.carried[k.Entitlement] = append(p.carried[k.Entitlement], k.Dimension)
		}
	}
	return nil
}

// sendable is what of an amount can be sent at once.
func sendable(e *catalog.Entitlement, dimension string, amount meter.Decimal) meter.Decimal {
	if _, known := targetOf(e, "", "", dimension, time.Time{}, amount); !known {
		return meter.Decimal{}
	}
	sent, _ := rating.Carry(amount, meter.Decimal{}, formatOf(e, dimension))
	return sent
}

// over says whether nothing can be billed of an entitlement any more: it has
// ended, is cancelled or gone, and its last hour is closed.
func (p *pass) over(e *catalog.Entitlement) bool {
	last, ok := p.lastHour(e)
	return ok && !p.now.Before(p.r.timing.deadline(e.Partner, last))
}

// lastHour is the last hour in which an entitlement was there; false if it has no end.
func (p *pass) lastHour(e *catalog.Entitlement) (time.Time, bool) {
	end := e.Ends.Time
	from, to := p.view.EntitlementSpan(e.ID)
	if e.Status == catalog.EntitlementCancelled {
		to = from
	}
	if _, is := p.view.Entitlement(e.ID); !is || e.Status == catalog.EntitlementCancelled {
		if end.IsZero() || to.Before(end) {
			end = to
		}
	}
	if end.IsZero() {
		return time.Time{}, false
	}
	return end.Add(-1).UTC().Truncate(time.Hour), true
}

// available is what a dimension carries for certain, by term: less what open
// portions have taken of it, and nothing of what they may add.
func (a *account) available(id, dimension string) map[string]meter.Decimal {
	open := map[string]meter.Decimal{}
	for i := range a.state.Open[id] {
		a.state.Open[id][i].Each(func(k billing.BalanceKey, by meter.Decimal) {
			if k.Kind == billing.BalanceCarry && k.Dimension == dimension {
				open[k.Term] = open[k.Term].Add(by)
			}
		})
	}
	out := map[string]meter.Decimal{}
	for k, amount := range a.state.Balances[id] {
		if k.Kind != billing.BalanceCarry || k.Dimension != dimension {
			continue
		}
		if open[k.Term].Sign() < 0 {
			amount = amount.Add(open[k.Term])
		}
		if !amount.IsZero() {
			out[k.Term] = amount
		}
	}
	return out
}

// waits says whether a portion that is being sent may still move what a dimension carries.
func (a *account) waits(id, dimension string) bool {
	return slices.ContainsFunc(a.state.Open[id], func(p billing.Portion) bool { return p.Dimension == dimension && p.State == billing.LineFrozen })
}

// carry makes reports of what is carried and no usage takes along: an amount
// that can be sent is billed in the hours after the last that was reported of
// the account, and one that can be sent no more waits for a person.
func (a *account) carry(last, until time.Time) ([]billing.FrozenReport, error) {
	var reports []billing.FrozenReport
	one := func(to place, buckets map[string]*bucket) error {
		if len(buckets) == 0 || !a.wanted(to) {
			return nil
		}
		more, err := a.hour(to, buckets)
		reports = append(reports, more...)
		return err
	}
	for _, id := range a.entitlements {
		e, _ := a.latest(id)
		if len(a.carried[id]) == 0 || !a.over(e) {
			continue
		}
		b := &bucket{late: map[string]bool{}, takes: map[string]map[string]meter.Decimal{}}
		for _, dimension := range a.carried[id] {
			if takes := a.available(id, dimension); len(takes) > 0 && !a.waits(id, dimension) {
				b.takes[dimension] = takes
			}
		}
		hour, _ := a.lastHour(e)
		if len(b.takes) > 0 {
			if err := one(place{hour: hour, parked: overReason}, map[string]*bucket{id: b}); err != nil {
				return nil, err
			}
		}
	}
	hour := a.through.Add(-time.Hour)
	for h := range a.state.Hours[a.name] {
		last = latest(last, h)
	}
	if !last.IsZero() {
		hour = last.Add(time.Hour)
	}
	for ; hour.Before(until); hour = hour.Add(time.Hour) {
		buckets := map[string]*bucket{}
		for _, id := range a.entitlements {
			if !a.open(id, hour) || !a.wanted(place{hour: hour}) {
				continue
			}
			e, _ := a.view.EntitlementAt(id, hour)
			b := &bucket{late: map[string]bool{}, takes: map[string]map[string]meter.Decimal{}}
			for _, dimension := range a.carried[id] {
				if takes := a.taking(e, dimension); len(takes) > 0 {
					b.takes[dimension], b.late[dimension], b.late[""] = takes, true, true
				}
			}
			if len(b.takes) > 0 {
				buckets[id] = b
			}
		}
		if err := one(place{hour: hour}, buckets); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// taking is what is taken out of what a dimension carries to be sent in one
// hour, by term; nil if it cannot be sent.
func (a *account) taking(e *catalog.Entitlement, dimension string) map[string]meter.Decimal {
	available, total := a.available(e.ID, dimension), meter.Decimal{}
	for _, amount := range available {
		total = total.Add(amount)
	}
	left := sendable(e, dimension, total)
	if left.Sign() <= 0 {
		return nil
	}
	takes := map[string]meter.Decimal{}
	for _, term := range slices.SortedFunc(maps.Keys(available), func(x, y string) int { return available[x].Cmp(available[y]) }) {
		// What is below 0 comes first, and is taken whole.
		some := available[term]
		if left.Cmp(some) < 0 {
			some = left
		}
		if !some.IsZero() {
			takes[term], left = some, left.Sub(some)
		}
	}
	return takes
}
