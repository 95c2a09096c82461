package catalog

// merge lays a document over what there is: its nouns replace those of the
// same id, and the others stay.
func merge(have, doc *Document) *Document {
	merged := &Document{Organization: doc.Organization, Meters: doc.Meters, Units: have.Units,
		Products: doc.Products, Customers: doc.Customers, Entitlements: doc.Entitlements}
	if doc.Units != nil {
		merged.Units = doc.Units
	}
	for _, k := range kinds {
		if !k.about().own {
			k.overlay(have, nil, merged, nil)
		}
	}
	old := map[string]*Customer{}
	for i := range have.Customers {
		old[have.Customers[i].ID] = &have.Customers[i]
	}
	for i := range merged.Customers {
		c := &merged.Customers[i]
		for _, k := range kinds {
			if old[c.ID] != nil && k.about().own {
				k.overlay(have, old[c.ID], merged, c)
			}
		}
	}
	return merged
}

// overlay returns the items of old that are not in items, then all of items.
func overlay[T any](old, items []T, id func(*T) string) []T {
	named := make(map[string]bool, len(items))
	for i := range items {
		named[id(&items[i])] = true
	}
	out := make([]T, 0, len(old)+len(items))
	for i := range old {
		if !named[id(&old[i])] {
			out = append(out, old[i])
		}
	}
	return append(out, items...)
}
