package catalog

import (
	"reflect"
	"slices"
	"time"

	"odometer/internal/meter"
)

// Part is what a change of one noun can touch: a customer with all that is its
// own, a product or an entitlement. A change is checked in it and against what
// a view has of what it names, so that its cost does not grow with their number.
//
// It takes changes that State takes, with the same plan, and not each of them:
// one that it does not take may still be right, and what is wrong with one only
// State says. It counts on all other nouns being right, see State.Edited.
type Part struct {
	of       NounRef
	state    *State
	versions []Version
	find     func(Want) (*View, error)
	view     *View // of what the change may touch; nil until it is edited
}

// PartOf names the part that a change of a noun touches; false if there is none.
func PartOf(r NounRef) (NounRef, bool) {
	k, ok := kindOf(r.Kind)
	switch {
	case !ok:
		return NounRef{}, false
	case k.about().own:
		r = NounRef{Kind: NounCustomer, ID: r.Customer}
	case r.Customer != "":
		return NounRef{}, false
	}
	return r, r.ID != ""
}

// NewID is the id that fields give a noun of a kind that is no customer's own.
func NewID(r NounRef, given NounFields) (id string, ok bool) {
	if k, ok := kindOf(r.Kind); !ok || k.about().own || r.Customer != "" {
		return "", false
	}
	r, err := (&Document{}).AddNoun(r, &given)
	return r.ID, err == nil
}

// NewPart makes a part of an organization, its meters by key, and the versions
// of the part's nouns. find has views as of the same change.
func NewPart(o Organization, meters map[string]meter.Meter, of NounRef, versions []Version, find func(Want) (*View, error)) (*Part, error) {
	SortVersions(versions)
	state, err := NewState(o, meters, versions)
	return &Part{of: of, state: state, versions: versions, find: find}, err
}

// wants is what references of an edited part may lead to, and who may have
// the ids that it has and had not.
func (p *Part) wants(doc *Document, had map[NounRef]bool) Want {
	var w Want
	if p.of.Kind == NounCustomer {
		w.Customers = append(w.Customers, p.of.ID)
	}
	for _, e := range doc.Entitlements {
		w.Customers = append(w.Customers, e.Customer)
	}
	for i := range doc.Customers {
		c := &doc.Customers[i]
		for _, k := range c.Contracts {
			w.Customers = append(w.Customers, k.Customers...)
		}
		if c.AccountID != "" {
			w.Accounts = append(w.Accounts, c.AccountID)
		}
	}
	for r := range onceOf(doc) {
		if !had[r] {
			w.Once = append(w.Once, r)
		}
	}
	return w
}

// onceOf are the nouns of customers whose ids exist once.
func onceOf(doc *Document) map[NounRef]bool {
	once := map[NounRef]bool{}
	for _, k := range kinds {
		if a := k.about(); a.own && a.once {
			for i := range doc.Customers {
				k.each(doc, &doc.Customers[i], func(id string, _ any) { once[NounRef{Kind: a.name, ID: id}] = true })
			}
		}
	}
	return once
}

// State is the state of the part alone.
func (p *Part) State() *State { return p.state }

// Edited is State.Edited, of the part; ok is false if the part does not take
// the change. The part is used up but for what has not been edited.
func (p *Part) Edited(edit func(doc *Document) error) (doc *Document, ok bool) {
	doc = p.state.doc
	before := slices.Clone(doc.Entitlements)
	var had Customer
	if len(doc.Customers) > 0 {
		had = doc.Customers[0]
		had.Contracts = slices.Clone(had.Contracts)
	}
	once := onceOf(doc)
	if edit(doc) != nil {
		return nil, false
	}
	var err error
	if p.view, err = p.find(p.wants(doc, once)); err != nil || p.view == nil {
		return nil, false
	}
	doc.keepListings(before)
	if doc.check().count > 0 || p.scope(doc).check(doc).count > 0 {
		return nil, false
	}
	switch p.of.Kind {
	case NounProduct:
		ok = len(doc.Products) > 0 || !p.view.usesProduct(p.of.ID)
	case NounEntitlement:
		ok = len(doc.Entitlements) == 0 || !p.view.sharesLicence(&doc.Entitlements[0])
	case NounCustomer:
		ok = p.fits(&had, doc)
	}
	return doc, ok
}

// Without is State.Without, of the part.
func (p *Part) Without(r NounRef) (doc *Document, ok bool) {
	return p.Edited(func(doc *Document) error {
		n, c, err := doc.nouns(r)
		if err != nil {
			return err
		}
		return n.remove(doc, c, r.ID)
	})
}

// Plan is State.Plan; ok is false if the part does not take the change.
func (p *Part) Plan(doc *Document, effective time.Time) (plan *Plan, ok bool) {
	plan, err := p.state.Plan(doc, effective, false)
	if err != nil {
		return nil, false
	}
	plan.Nouns += p.view.nouns - countCurrent(p.versions)
	return plan, true
}

func countCurrent(versions []Version) (n int) {
	for _, v := range versions {
		if v.current() {
			n++
		}
	}
	return n
}

// scope is what references of the part may lead to: what is in it, and of the
// rest what it names.
func (p *Part) scope(doc *Document) *scope {
	meters := make([]meter.Meter, 0, len(p.state.meters))
	for _, m := range p.state.meters {
		meters = append(meters, m)
	}
	s := scopeOf(doc, meters)
	product := func(id string) {
		if _, ok := p.view.Product(id); ok {
			s.products[id] = true
		}
	}
	customer := func(id string) {
		if _, ok := p.view.Customer(id); ok && s.customers[id] == nil && p.of != (NounRef{Kind: NounCustomer, ID: id}) {
			s.customers[id] = &customerScope{}
		}
	}
	for _, e := range doc.Entitlements {
		product(e.Product)
		customer(e.Customer)
	}
	for i := range doc.Customers {
		c := &doc.Customers[i]
		for _, k := range c.Contracts {
			for _, t := range k.Terms {
				for _, id := range t.Products {
					product(id)
				}
			}
			for _, id := range k.Customers {
				customer(id)
			}
		}
		for _, code := range c.CPCodes {
			product(code.Product)
		}
		for _, k := range p.view.othersContracts(c.ID) {
			s.customers[c.ID].billed[k] = true
		}
	}
	return s
}

// othersContracts are the contracts that other customers have now and that name a customer.
func (v *View) othersContracts(customer string) []string {
	var ids []string
	for _, k := range v.billed[customer] {
		owner := v.contracts[k.ID].customer
		if c, ok := v.Customer(owner); ok && owner != customer && slices.ContainsFunc(c.Contracts, func(have Contract) bool { return have.ID == k.ID }) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// usesProduct says whether a customer or an entitlement refers to a product.
func (v *View) usesProduct(id string) bool {
	if v.uses[id] != (ProductUses{}) {
		return true
	}
	for i := range v.doc.Customers {
		c := &v.doc.Customers[i]
		for j := range c.Contracts {
			for k := range c.Contracts[j].Terms {
				if slices.Contains(c.Contracts[j].Terms[k].Products, id) {
					return true
				}
			}
		}
		for j := range c.CPCodes {
			if c.CPCodes[j].Product == id {
				return true
			}
		}
	}
	for i := range v.doc.Entitlements {
		if v.doc.Entitlements[i].Product == id {
			return true
		}
	}
	return false
}

// sharesLicence says whether another entitlement may have the licence of one.
func (v *View) sharesLicence(e *Entitlement) bool {
	if e.Partner != PartnerAWS || e.AWS == nil || e.AWS.LicenseARN == "" {
		return false
	}
	account := e.Account()
	for i := range v.doc.Entitlements {
		o := &v.doc.Entitlements[i]
		if o.ID != e.ID && o.Partner == PartnerAWS && o.AWS != nil && o.Account() == account {
			return true
		}
	}
	return false
}

// fits says whether a customer may become what a document of it alone says
// as far as other customers go: nobody has an id that exists once, and no other
// refers to what changes.
func (p *Part) fits(had *Customer, doc *Document) bool {
	id := p.of.ID
	if len(doc.Customers) == 0 {
		uses := slices.ContainsFunc(p.view.doc.Entitlements, func(e Entitlement) bool { return e.Customer == id })
		names := slices.ContainsFunc(p.view.billed[id], func(k *Contract) bool { return p.view.contracts[k.ID].customer != id })
		shares := slices.ContainsFunc(had.Contracts, func(k Contract) bool { return len(k.Customers) > 0 })
		return !uses && !names && !shares
	}
	c := &doc.Customers[0]
	if len(doc.Customers) > 1 || c.ID != id || c.AccountID != "" && !isOr(p.view.accounts, c.AccountID, id) {
		return false
	}
	for _, g := range c.AccountGroups {
		if !isOr(p.view.aids, g.AID, id) {
			return false
		}
	}
	for _, code := range c.CPCodes {
		if of, ok := p.view.codes[code.ID]; ok && of.customer != id {
			return false
		}
	}
	for _, g := range c.ReportingGroups {
		if of, ok := p.view.groups[g.ID]; ok && of.customer != id {
			return false
		}
	}
	for _, k := range c.Contracts {
		if of, ok := p.view.contracts[k.ID]; ok && of.customer != id {
			return false
		}
	}
	return sameShared(had.Contracts, c.Contracts)
}

// isOr says whether a key has a value or none.
func isOr(m map[string]string, key, value string) bool {
	has, ok := m[key]
	return !ok || has == value
}

// sameShared says whether the contracts that name other customers are the same.
func sameShared(a, b []Contract) bool {
	shared := func(all []Contract) (some []Contract) {
		for _, k := range all {
			if len(k.Customers) > 0 {
				some = append(some, k)
			}
		}
		return some
	}
	return reflect.DeepEqual(shared(a), shared(b))
}
