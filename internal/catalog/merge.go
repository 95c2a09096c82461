package catalog

import "strconv"

// merge lays a document over what there is: its nouns replace those of the
// same id, and the others stay.
func merge(have, doc *Document) *Document {
	merged := &Document{Organization: doc.Organization, Meters: doc.Meters, Units: have.Units}
	if doc.Units != nil {
		merged.Units = doc.Units
	}
	merged.Products = overlay(have.Products, doc.Products, func(p Product) string { return p.ID })
	merged.Entitlements = overlay(have.Entitlements, doc.Entitlements, func(e Entitlement) string { return e.ID })
	merged.Customers = overlay(have.Customers, doc.Customers, func(c Customer) string { return c.ID })
	old := map[string]*Customer{}
	for i := range have.Customers {
		old[have.Customers[i].ID] = &have.Customers[i]
	}
	for i := range merged.Customers {
		if c := &merged.Customers[i]; old[c.ID] != nil {
			c.overlay(old[c.ID])
		}
	}
	return merged
}

// overlay lays the customer's nouns over the old ones.
func (c *Customer) overlay(old *Customer) {
	number := func(id int64) string { return strconv.FormatInt(id, 10) }
	c.Services = overlay(old.Services, c.Services, func(s Service) string { return s.ID })
	c.Contracts = overlay(old.Contracts, c.Contracts, func(k Contract) string { return k.ID })
	c.CPCodes = overlay(old.CPCodes, c.CPCodes, func(code CPCode) string { return number(code.ID) })
	c.ReportingGroups = overlay(old.ReportingGroups, c.ReportingGroups, func(g ReportingGroup) string { return number(g.ID) })
	c.AccountGroups = overlay(old.AccountGroups, c.AccountGroups, func(g AccountGroup) string { return g.AID })
	c.Agents = overlay(old.Agents, c.Agents, func(a Agent) string { return a.ID })
	c.Tests = overlay(old.Tests, c.Tests, func(t Test) string { return t.ID })
}

// overlay returns the items of old that are not in items, then all of items.
func overlay[T any](old, items []T, id func(T) string) []T {
	named := make(map[string]bool, len(items))
	for _, one := range items {
		named[id(one)] = true
	}
	out := make([]T, 0, len(old)+len(items))
	for _, one := range old {
		if !named[id(one)] {
			out = append(out, one)
		}
	}
	return append(out, items...)
}
