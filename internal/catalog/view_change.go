package catalog

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Changed returns the view of all nouns after a plan of the part; ok is false
// if it has to be read anew. It shares what has not changed with the view before.
func (p *Part) Changed(plan *Plan) (view *View, ok bool) {
	before, err := NewView(p.versions)
	if err != nil {
		return nil, false
	}
	after, err := NewView(changedVersions(p.versions, plan))
	if err != nil {
		return nil, false
	}
	v := &View{doc: &Document{}, nouns: p.view.nouns - before.nouns + after.nouns, products: p.view.products, accounts: p.view.accounts, aids: p.view.aids,
		contracts: p.view.contracts, billed: p.view.billed, codes: p.view.codes, groups: p.view.groups, histories: p.view.histories, past: p.view.past,
		entitled: p.view.entitled, moved: p.view.moved}
	*v.doc = *p.view.doc
	switch id := p.of.ID; p.of.Kind {
	case NounProduct:
		v.doc.Products = replaced(v.doc.Products, after.doc.Products, id, func(p *Product) string { return p.ID })
		v.products = map[string]*Product{}
		for i := range v.doc.Products {
			v.products[v.doc.Products[i].ID] = &v.doc.Products[i]
		}
		v.past.products = withKey(v.past.products, after.past.products, id)
	case NounEntitlement:
		v.doc.Entitlements = replaced(v.doc.Entitlements, after.doc.Entitlements, id, func(e *Entitlement) string { return e.ID })
		v.entitled = withKey(v.entitled, after.entitled, id)
	case NounCustomer:
		return v, v.changeCustomer(id, before, after)
	}
	return v, true
}

// changedVersions are versions after a plan, as the database has them then.
func changedVersions(versions []Version, plan *Plan) []Version {
	steps := map[NounRef]*Step{}
	for i := range plan.Steps {
		steps[plan.Steps[i].NounRef] = &plan.Steps[i]
	}
	var out []Version
	for _, v := range versions {
		if st := steps[v.NounRef]; st != nil && st.Seen {
			if v.From >= st.From {
				continue
			}
			v.To = min(v.To, st.From)
		}
		out = append(out, v)
	}
	for i, st := range plan.Steps {
		if plan.Diff.Changes[i].Action == AuditDelete {
			continue
		}
		from := int64(Always)
		if st.Seen {
			from = st.From
		}
		out = append(out, Version{NounRef: st.NounRef, From: from, To: Forever, Body: string(plan.Diff.Changes[i].After)})
	}
	SortVersions(out)
	return out
}

// replaced is a list by id with what one holds, or nothing, in the place of the
// item of an id.
func replaced[T any](list, one []T, id string, idOf func(*T) string) []T {
	i, found := slices.BinarySearchFunc(list, id, func(item T, id string) int { return strings.Compare(idOf(&item), id) })
	rest := list[i:]
	if found {
		rest = rest[1:]
	}
	if len(list) == 0 && len(one) == 0 || i+len(one)+len(rest) == 0 {
		return nil
	}
	out := make([]T, 0, i+len(one)+len(rest))
	return append(append(append(out, list[:i]...), one...), rest...)
}

// withKey is a map with what another has of a key.
func withKey[K comparable, V any](m, from map[K]V, key K) map[K]V {
	had, there := m[key]
	value, ok := from[key]
	if there == ok && reflect.DeepEqual(had, value) {
		return m
	}
	m = maps.Clone(m)
	if ok {
		m[key] = value
	} else {
		delete(m, key)
	}
	return m
}

// withKeys is a map with what differs between two parts of it.
func withKeys[K comparable, V any](m, before, after map[K]V) (changed map[K]V, keys []K) {
	for key, value := range after {
		if had, ok := before[key]; !ok || !reflect.DeepEqual(had, value) {
			keys = append(keys, key)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return m, nil
	}
	m = maps.Clone(m)
	for _, key := range keys {
		if value, ok := after[key]; ok {
			m[key] = value
		} else {
			delete(m, key)
		}
	}
	return m, keys
}

// changeCustomer takes over a customer; false if another has had something of it.
func (v *View) changeCustomer(id string, before, after *View) bool {
	old := v.contracts
	v.doc.Customers = replaced(v.doc.Customers, after.doc.Customers, id, func(c *Customer) string { return c.ID })
	v.accounts, _ = withKeys(v.accounts, before.accounts, after.accounts)
	v.aids, _ = withKeys(v.aids, before.aids, after.aids)
	v.histories = withKey(v.histories, after.histories, id)
	v.past.customers = withKey(v.past.customers, after.past.customers, id)
	var contracts []string
	var codes, groups []int64
	v.contracts, contracts = withKeys(v.contracts, before.contracts, after.contracts)
	v.codes, codes = withKeys(v.codes, before.codes, after.codes)
	v.groups, groups = withKeys(v.groups, before.groups, after.groups)
	for _, k := range contracts {
		if had, ok := old[k]; ok && had.customer != id || v.moved[NounRef{Kind: NounContract, ID: k}] {
			return false
		}
	}
	numbers := func(kind string, ids []int64) bool {
		return slices.ContainsFunc(ids, func(n int64) bool { return v.moved[NounRef{Kind: kind, ID: strconv.FormatInt(n, 10)}] })
	}
	if numbers(NounCPCode, codes) || numbers(NounReportingGroup, groups) {
		return false
	}
	if len(contracts) > 0 {
		v.billed = maps.Clone(v.billed)
		for _, k := range contracts {
			v.bill(k, old[k], v.contracts[k])
		}
	}
	return true
}

// bill puts a contract in the place of what it was, for all that are billed
// under either. Those lists are not shared with the view before.
func (v *View) bill(id string, old, now contractOf) {
	for _, of := range []contractOf{old, now} {
		if of.contract == nil {
			continue
		}
		for _, customer := range append([]string{of.customer}, of.contract.Customers...) {
			list := slices.DeleteFunc(slices.Clone(v.billed[customer]), func(k *Contract) bool { return k.ID == id })
			if of == now {
				list = append(list, now.contract)
				slices.SortFunc(list, func(a, b *Contract) int { return cmp.Compare(a.ID, b.ID) })
			}
			if v.billed[customer] = list; len(list) == 0 {
				delete(v.billed, customer)
			}
		}
	}
}
