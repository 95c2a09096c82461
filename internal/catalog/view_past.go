package catalog

// past is what was removed from an organization and belonged to no customer,
// as it was last.
type past struct {
	products  map[string]*Product
	customers map[string]*Customer
}

// addPast takes over a version that does not hold now; versions come in the
// order of time.
func (v *View) addPast(one Version) error {
	if one.current() {
		return nil
	}
	switch one.Kind {
	case NounProduct:
		p, err := held[Product](one)
		v.past.products[one.ID] = &p.Noun
		return err
	case NounCustomer:
		c, err := held[Customer](one)
		v.past.customers[one.ID] = &c.Noun
		return err
	}
	return nil
}

// ProductEver returns a product as it is, or was when it was removed.
func (v *View) ProductEver(id string) (*Product, bool) {
	if p, ok := v.products[id]; ok {
		return p, true
	}
	return found(v.past.products, id)
}

// CustomerEver returns a customer as it is, or was when it was removed, then
// without what was its own.
func (v *View) CustomerEver(id string) (*Customer, bool) {
	if c, ok := v.Customer(id); ok {
		return c, true
	}
	return found(v.past.customers, id)
}
