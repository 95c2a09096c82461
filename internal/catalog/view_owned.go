package catalog

import "slices"

// ownership says whose products and meters are. It is made of a view when it is
// first asked for.
type ownership struct {
	products map[string]struct{}            // that a contract or an entitlement names
	of       map[string]map[string]struct{} // by customer: the products of its entitlements
	naming   map[string][]string            // products by meter
	measured map[string]map[string]struct{} // by meter: customers whose entitlements name it
	units    map[string]struct{}            // meters that units are made of
}

func (v *View) ownership() *ownership {
	if v.core != nil && v.core != v {
		return v.core.ownership()
	}
	v.ownedOnce.Do(func() {
		o := &ownership{products: map[string]struct{}{}, of: map[string]map[string]struct{}{}, naming: map[string][]string{},
			measured: map[string]map[string]struct{}{}, units: map[string]struct{}{}}
		for i := range v.doc.Customers {
			for j := range v.doc.Customers[i].Contracts {
				for _, t := range v.doc.Customers[i].Contracts[j].Terms {
					for _, p := range t.Products {
						o.products[p] = struct{}{}
					}
				}
			}
		}
		for p, uses := range v.uses {
			if uses.Contracts > 0 {
				o.products[p] = struct{}{}
			}
		}
		for i := range v.doc.Entitlements {
			e := &v.doc.Entitlements[i]
			o.products[e.Product] = struct{}{}
			note(o.of, e.Customer, e.Product)
			for _, d := range e.Dimensions {
				if d.Meter != "" {
					note(o.measured, d.Meter, e.Customer)
				}
			}
		}
		for i := range v.doc.Products {
			for _, u := range v.doc.Products[i].UsageTypes {
				if p := v.doc.Products[i].ID; !slices.Contains(o.naming[u.Meter], p) {
					o.naming[u.Meter] = append(o.naming[u.Meter], p)
				}
			}
		}
		if u := v.doc.Units; u != nil {
			for _, of := range []*UnitMeter{u.Cloud, u.Enterprise} {
				if of != nil {
					o.units[of.Meter] = struct{}{}
				}
			}
		}
		v.ownedOf = o
	})
	return v.ownedOf
}

func note(sets map[string]map[string]struct{}, key, member string) {
	if sets[key] == nil {
		sets[key] = map[string]struct{}{}
	}
	sets[key][member] = struct{}{}
}

// ProductSeenBy says whether a customer may know of a product: it is under a
// contract that the customer is billed under, or in an entitlement of its own,
// or under nobody's.
func (v *View) ProductSeenBy(customer, product string) bool {
	o := v.ownership()
	if _, somebodys := o.products[product]; !somebodys {
		return true
	}
	if _, own := o.of[customer][product]; own {
		return true
	}
	return slices.ContainsFunc(v.billed[customer], func(c *Contract) bool {
		return slices.ContainsFunc(c.Terms, func(t Term) bool { return slices.Contains(t.Products, product) })
	})
}

// MeterSeenBy says whether a customer may know of a meter: a product that it
// may know of or an entitlement of its own names it, or units are made of it,
// or the catalog does not name it.
func (v *View) MeterSeenBy(customer, key string) bool {
	o := v.ownership()
	naming, measured := o.naming[key], o.measured[key]
	if _, own := measured[customer]; own || len(naming)+len(measured) == 0 {
		return true
	}
	if _, unit := o.units[key]; unit {
		return true
	}
	return slices.ContainsFunc(naming, func(p string) bool { return v.ProductSeenBy(customer, p) })
}
