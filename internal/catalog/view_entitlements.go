package catalog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

// Entitlement returns an entitlement by id as it is now.
func (v *View) Entitlement(id string) (*Entitlement, bool) {
	i, ok := v.doc.entitlementAt(id)
	if !ok {
		return nil, false
	}
	return &v.doc.Entitlements[i], true
}

// entitlementAt is customerAt of entitlements.
func (doc *Document) entitlementAt(id string) (int, bool) {
	return slices.BinarySearchFunc(doc.Entitlements, id, func(e Entitlement, id string) int { return strings.Compare(e.ID, id) })
}

// EntitlementAt returns an entitlement as it was at an instant; false if there
// was none then. What has dates of its own, the entitlement and its terms, is
// as the last version says: see Entitlement.ActiveAt.
func (v *View) EntitlementAt(id string, at time.Time) (*Entitlement, bool) {
	versions := v.entitled[id]
	for i := range versions {
		if versions[i].covers(at) {
			return &versions[i].Noun, true
		}
	}
	return nil, false
}

// EntitlementsIn returns an entitlement as it was in the parts of [from, to),
// by time, with dates and terms as EntitlementAt says.
func (v *View) EntitlementsIn(id string, from, to time.Time) []Held[Entitlement] {
	return clipAll(v.entitled[id], from, to)
}

// dateEntitlements gives every version of an entitlement the dates and terms of
// its last one: they say themselves when they hold.
func (v *View) dateEntitlements() {
	for _, versions := range v.entitled {
		last := versions[len(versions)-1].Noun
		for i := range versions {
			e := &versions[i].Noun
			e.Starts, e.Ends, e.Terms = last.Starts, last.Ends, last.Terms
		}
	}
}

// EntitlementsOf returns a customer's entitlements as they are now, by id.
func (v *View) EntitlementsOf(customer string) []*Entitlement {
	return v.entitlementsWhere(func(e *Entitlement) bool { return e.Customer == customer })
}

// EntitlementsOfBuyer returns a buyer's entitlements as they are now, by id.
func (v *View) EntitlementsOfBuyer(buyer string) []*Entitlement {
	return v.entitlementsWhere(func(e *Entitlement) bool { return e.BuyerID() == buyer })
}

func (v *View) entitlementsWhere(keep func(*Entitlement) bool) []*Entitlement {
	var some []*Entitlement
	for i := range v.doc.Entitlements {
		if e := &v.doc.Entitlements[i]; keep(e) {
			some = append(some, e)
		}
	}
	return some
}

// BuyerID is the customer as the marketplace knows it.
func (e *Entitlement) BuyerID() string {
	if e.Buyer != nil && e.Buyer.ID != "" {
		return e.Buyer.ID
	}
	return e.Customer
}

// ActiveAt says whether the entitlement is active and an instant lies within
// its dates and one of its terms.
func (e *Entitlement) ActiveAt(at time.Time) bool {
	_, ok := e.TermAt(at)
	return ok && e.Status == EntitlementActive && !at.Before(e.Starts.Time) && (e.Ends.IsZero() || at.Before(e.Ends.Time))
}

// TermAt returns the term that holds at an instant. An entitlement without
// terms has one, under its own id, for as long as itself. A term without dates
// has those of the entitlement.
func (e *Entitlement) TermAt(at time.Time) (EntitlementTerm, bool) {
	terms := e.Terms
	if len(terms) == 0 {
		terms = []EntitlementTerm{{ID: e.ID}}
	}
	for _, t := range terms {
		if t.Starts.IsZero() {
			t.Starts = e.Starts
		}
		if t.Ends.IsZero() {
			t.Ends = e.Ends
		}
		if !at.Before(t.Starts.Time) && (t.Ends.IsZero() || at.Before(t.Ends.Time)) {
			return t, true
		}
	}
	return EntitlementTerm{}, false
}

// Dimension returns a dimension by key.
func (e *Entitlement) Dimension(key string) (*Dimension, bool) {
	for i := range e.Dimensions {
		if e.Dimensions[i].Key == key {
			return &e.Dimensions[i], true
		}
	}
	return nil, false
}

// UnitPriceDecimal is the effective price, 0 if there is none.
func (d Dimension) UnitPriceDecimal() meter.Decimal { return decimalOr(d.UnitPrice, 0) }

// ListPriceDecimal is the public list price, 0 if there is none.
func (d Dimension) ListPriceDecimal() meter.Decimal { return decimalOr(d.ListPrice, 0) }

// IncludedDecimal is the quantity that is included, 0 if there is none.
func (d Dimension) IncludedDecimal() meter.Decimal { return decimalOr(d.Included, 0) }

// ScaleDecimal is what a meter's usage is multiplied by, 1 if nothing is said.
func (d Dimension) ScaleDecimal() meter.Decimal { return decimalOr(d.Scale, 1) }

// CommitDecimal is the money committed to, 0 if there is none.
func (t EntitlementTerm) CommitDecimal() meter.Decimal { return decimalOr(t.Commit, 0) }

// LastEntitlement returns an entitlement as it was last, also one that is gone.
func (v *View) LastEntitlement(id string) (*Entitlement, bool) {
	versions := v.entitled[id]
	if len(versions) == 0 {
		return nil, false
	}
	return &versions[len(versions)-1].Noun, true
}

// EntitlementSpan is the time for which an entitlement was as it is, or as it
// was last: of one that is gone, to is when it went.
func (v *View) EntitlementSpan(id string) (from, to time.Time) {
	versions := v.entitled[id]
	if len(versions) == 0 {
		return time.Time{}, time.Time{}
	}
	last := versions[len(versions)-1]
	return last.From, last.To
}

// PastEntitlements returns those that are gone since an instant, by id, as they were last.
func (v *View) PastEntitlements(since time.Time) []*Entitlement {
	var some []*Entitlement
	for _, id := range slices.Sorted(maps.Keys(v.entitled)) {
		if _, is := v.Entitlement(id); is {
			continue
		}
		if last := &v.entitled[id][len(v.entitled[id])-1]; !last.To.Before(since) {
			some = append(some, &last.Noun)
		}
	}
	return some
}
