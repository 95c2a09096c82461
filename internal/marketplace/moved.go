package marketplace

import (
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
)

// movedReason says why usage waits that would be billed to another than it was meant for.
const movedReason = "the entitlement bills another customer, buyer or product now than when this was used: nobody is billed silently for another"

// others is where usage of an hour goes that was to go somewhere: there, or to
// a person where the entitlement is then another's than meant says.
func (a *account) others(id string, to place, usage time.Time, meant func(*catalog.Entitlement) bool) place {
	if to.parked != "" {
		return to
	}
	e, ok := a.view.EntitlementAt(id, to.hour)
	if !ok {
		return to
	}
	if then, is := a.view.EntitlementAt(id, usage); meant(e) && (!is || then.SameBuyer(e)) {
		return to
	}
	return place{hour: usage, parked: movedReason}
}

// meantBy is whom a group was reported for.
func meantBy(g *billing.RecordGroup) func(*catalog.Entitlement) bool {
	return func(e *catalog.Entitlement) bool {
		return e.Customer == g.Customer && e.BuyerID() == g.Buyer && e.Partner == g.Partner && e.Product == g.Product
	}
}

// countedFor is whose usage a meter counted in an hour.
func (a *account) countedFor(id string, usage time.Time) func(*catalog.Entitlement) bool {
	then, is := a.view.EntitlementAt(id, usage)
	return func(e *catalog.Entitlement) bool {
		return !is || then.Customer == e.Customer && then.BuyerID() == e.BuyerID() && then.Product == e.Product
	}
}
