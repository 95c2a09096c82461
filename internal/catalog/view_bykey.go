package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Want says what a question is about. A view that is made for it answers, for
// what it names, as one of all nouns does. Products, units and entitlements
// need not be named.
type Want struct {
	Customers []string
	Accounts  []string  // customers by their account ids
	Once      []NounRef // customers' own nouns that are found by an id which exists once
}

// OfCustomers wants customers, with the contracts that they are billed under
// and all who are billed under one of these.
func OfCustomers(ids ...string) Want { return Want{Customers: ids} }

// ExistsOnce says whether an id of a kind of customers' own nouns exists once
// in an organization.
func ExistsOnce(kind string) bool {
	k, ok := kindOf(kind)
	return ok && k.about().own && k.about().once
}

// ProductUses says how many nouns that hold now name a product.
type ProductUses struct{ Contracts, CPCodes int }

// HasAll says whether the view has all nouns of its organization.
func (v *View) HasAll() bool { return v.core == nil }

// NewCore is a view of what is no customer's: products, units and entitlements,
// of which versions has all, and of the uses of products. With makes one of it
// that has customers too.
func NewCore(versions []Version, uses map[string]ProductUses) (*View, error) {
	v, err := NewView(versions)
	if err != nil {
		return nil, err
	}
	v.uses, v.core = uses, v
	return v, nil
}

// CustomerPart is what a view has of one customer.
type CustomerPart struct {
	id     string
	view   *View // its history, contracts, CP codes and reporting groups are right for those of the customer
	linked []string
}

// nobody is what there is of a customer that there never was.
var nobody = &View{doc: &Document{}}

// NewCustomerPart makes the part of a customer, which there may never have
// been. versions has all of the customer and of what is its own, and of what
// others have all of the nouns that exist once and that it has had as well,
// and of the contracts that name it.
func NewCustomerPart(id string, versions []Version) (*CustomerPart, error) {
	if len(versions) == 0 {
		return &CustomerPart{id: id, view: nobody}, nil
	}
	all := slices.Clone(versions)
	others := map[string]bool{}
	for _, v := range versions {
		if v.Customer == "" || v.Customer == id || others[v.Customer] {
			continue
		}
		others[v.Customer] = true
		body, err := json.Marshal(Customer{ID: v.Customer})
		if err != nil {
			return nil, err
		}
		all = append(all, Version{NounRef: NounRef{Kind: NounCustomer, ID: v.Customer}, From: Always, To: Forever, Body: string(body)})
	}
	SortVersions(all)
	view, err := NewView(all)
	if err != nil {
		return nil, err
	}
	p := &CustomerPart{id: id, view: view}
	has := map[string]bool{}
	for i := range versions {
		if versions[i].Kind == NounContract && versions[i].Customer == id {
			has[versions[i].ID] = true
		}
	}
	// A contract that named the customer once is none of it: who changes that
	// contract would not know that this part has it.
	maps.DeleteFunc(view.contracts, func(contract string, c contractOf) bool {
		return !has[contract] && !slices.Contains(view.billed[id], c.contract)
	})
	seen := map[string]bool{id: true}
	for _, c := range view.billed[id] {
		for _, other := range append([]string{view.contracts[c.ID].customer}, c.Customers...) {
			if !seen[other] {
				seen[other] = true
				p.linked = append(p.linked, other)
			}
		}
	}
	return p, nil
}

// ID is the customer's.
func (p *CustomerPart) ID() string { return p.id }

// Linked are the other customers who have, or are billed under, a contract that
// the customer is billed under.
func (p *CustomerPart) Linked() []string { return p.linked }

// With is the view of a core and of customers of an organization that has so
// many nouns now. It shares what both have.
func (v *View) With(parts []*CustomerPart, nouns int) *View {
	w := &View{core: v.core, nouns: nouns, uses: v.uses, products: v.products, entitled: v.entitled,
		doc:      &Document{Products: v.doc.Products, Units: v.doc.Units, Entitlements: v.doc.Entitlements},
		accounts: map[string]string{}, aids: map[string]string{}, contracts: map[string]contractOf{}, billed: map[string][]*Contract{},
		codes: map[int64]ownedHistory[CPCode]{}, groups: map[int64]ownedHistory[ReportingGroup]{}, histories: map[string]*customerHistory{},
		past: past{products: v.past.products, customers: map[string]*Customer{}}}
	for _, p := range parts {
		if c, ok := p.view.Customer(p.id); ok {
			w.doc.Customers = append(w.doc.Customers, *c)
			if c.AccountID != "" {
				w.accounts[c.AccountID] = c.ID
			}
			for _, g := range c.AccountGroups {
				w.aids[g.AID] = c.ID
			}
		}
		if c, ok := p.view.past.customers[p.id]; ok {
			w.past.customers[p.id] = c
		}
		if h := p.view.histories[p.id]; h != nil {
			w.histories[p.id] = h
		}
		if billed := p.view.billed[p.id]; billed != nil {
			w.billed[p.id] = billed
		}
		maps.Copy(w.contracts, p.view.contracts)
		maps.Copy(w.codes, p.view.codes)
		maps.Copy(w.groups, p.view.groups)
	}
	slices.SortFunc(w.doc.Customers, func(a, b Customer) int { return strings.Compare(a.ID, b.ID) })
	return w
}

// Link is what tells from outside a customer that it is to be found there: an
// account id leads to its customer, and a customer to a contract of another
// that names it.
type Link struct{ Kind, Target, Customer, ID string }

// The kinds of links.
const (
	LinkAccount = "account"
	LinkBilled  = "billed"
)

// Noted is what is kept of nouns beside them, so that they are found, and
// counted, without reading all.
type Noted struct {
	Links []Link                 // that there are now, or have been
	Uses  map[string]ProductUses // what is to be added to the uses of products
	Nouns int                    // what is to be added to the number of nouns
}

// NotedOf is what some changes bring.
func NotedOf(changes []Change) (Noted, error) {
	n := Noted{Uses: map[string]ProductUses{}}
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Before == nil:
			n.Nouns++
		case c.After == nil:
			n.Nouns--
		}
		for _, side := range []struct {
			body []byte
			add  int
		}{{c.Before, -1}, {c.After, 1}} {
			if side.body == nil {
				continue
			}
			if err := n.note(c, side.body, side.add); err != nil {
				return n, err
			}
		}
	}
	maps.DeleteFunc(n.Uses, func(_ string, u ProductUses) bool { return u == ProductUses{} })
	return n, nil
}

// note notes a noun as it was or as it becomes.
func (n *Noted) note(c *Change, body []byte, add int) error {
	switch c.Noun {
	case NounCustomer:
		var of struct {
			AccountID string `json:"account_id"`
		}
		if err := json.Unmarshal(body, &of); err != nil {
			return err
		}
		if of.AccountID != "" && add > 0 {
			n.Links = append(n.Links, Link{Kind: LinkAccount, Target: of.AccountID, Customer: c.ID})
		}
	case NounContract:
		var of Contract
		if err := json.Unmarshal(body, &of); err != nil {
			return err
		}
		for _, other := range of.Customers {
			if add > 0 {
				n.Links = append(n.Links, Link{LinkBilled, other, c.Customer, c.ID})
			}
		}
		named := map[string]bool{}
		for _, t := range of.Terms {
			for _, p := range t.Products {
				if !named[p] {
					named[p] = true
					u := n.Uses[p]
					u.Contracts += add
					n.Uses[p] = u
				}
			}
		}
	case NounCPCode:
		var of CPCode
		if err := json.Unmarshal(body, &of); err != nil {
			return err
		}
		if of.Product != "" {
			u := n.Uses[of.Product]
			u.CPCodes += add
			n.Uses[of.Product] = u
		}
	}
	return nil
}
