package catalog

import (
	"context"
	"encoding/json"

	"odometer/internal/meter"
)

// SameBuyer says whether two states of an entitlement bill the same buyer of a
// marketplace, or one of them does not say yet whom. AWS names one by its account
// with a licence or without.
func (e *Entitlement) SameBuyer(o *Entitlement) bool {
	mine, other := e.Account(), o.Account()
	if mine == "" || other == "" || mine == other {
		return true
	}
	return e.Partner == PartnerAWS && o.Partner == PartnerAWS && e.AWS.AccountID != "" && e.AWS.AccountID == o.AWS.AccountID && e.AWS.ProductCode == o.AWS.ProductCode
}

// moved names what differs between two states of an entitlement of whom it
// bills and for what, and how both have it; "" if nothing does.
func (e *Entitlement) moved(to *Entitlement) (what, from, is string) {
	for _, p := range []struct{ what, from, is string }{
		{"customer", e.Customer, to.Customer}, {"buyer", e.BuyerID(), to.BuyerID()}, {"partner", e.Partner, to.Partner}, {"product", e.Product, to.Product},
	} {
		if p.from != p.is {
			return p.what, p.from, p.is
		}
	}
	if !e.SameBuyer(to) {
		return "marketplace account", e.Account(), to.Account()
	}
	return "", "", ""
}

// checkMoves refuses changes of whom an entitlement bills, also of one that is
// made again under its id, once usage was reported against it, a report was
// made of it or credit was given to it: that would silently be another's.
func checkMoves(ctx context.Context, q queryer, organization string, have *state, changes []Change) error {
	last := map[string]string{} // bodies by id, of those that are gone too
	for _, v := range have.versions {
		if v.kind == NounEntitlement {
			last[v.id] = v.body // by time
		}
	}
	for i := range changes {
		c := &changes[i]
		body, had := last[c.ID]
		if c.Noun != NounEntitlement || c.After == nil || !had {
			continue
		}
		var before, after Entitlement
		if err := json.Unmarshal([]byte(body), &before); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the catalogue is damaged: entitlement %s cannot be read", clip(c.ID))
		}
		if err := json.Unmarshal(c.After, &after); err != nil {
			return err
		}
		what, from, to := before.moved(&after)
		if what == "" {
			continue
		}
		var holds string
		if err := q.QueryRowContext(ctx, stmt.EntitlementUsed, organization, c.ID).Scan(&holds); err != nil {
			return err
		}
		if holds != "" {
			return meter.Errorf(meter.KindConflict, "entitlement %s: its %s does not change from %q to %q, since it has %s that would be another's: end it and create another entitlement",
				clip(c.ID), what, clip(from), clip(to), holds)
		}
	}
	return nil
}
