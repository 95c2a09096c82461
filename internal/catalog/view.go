package catalog

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"odometer/internal/meter"
)

// View is an organization's nouns as of one change, with their history: all of
// them, or what a Want names. It is immutable, and what it returns must not be
// changed. Its methods do no I/O.
type View struct {
	doc       *Document
	nouns     int // that hold now
	products  map[string]*Product
	accounts  map[string]string // account id -> customer
	aids      map[string]string
	contracts map[string]contractOf
	billed    map[string][]*Contract // by customer, with those of others that it is billed under
	codes     map[int64]ownedHistory[CPCode]
	groups    map[int64]ownedHistory[ReportingGroup]
	histories map[string]*customerHistory
	past      past

	entitled map[string][]Held[Entitlement] // by id, and then by time

	// moved are the contracts, CP codes and reporting groups that customers have
	// had one after the other, by kind and id.
	moved map[NounRef]bool

	core *View                  // of one that has some customers: what is no customer's; nil = all nouns are in the view
	uses map[string]ProductUses // of a core: what customers it has not got use of its products

	ownedOnce sync.Once
	ownedOf   *ownership
	codesOnce sync.Once
	codesBy   map[string][]int64
}

// Held is a noun as it was from one instant until another; a zero instant is none.
type Held[T any] struct {
	Noun     T
	From, To time.Time
}

// covers says whether the noun held at an instant.
func (h Held[T]) covers(at time.Time) bool {
	return (h.From.IsZero() || !at.Before(h.From)) && (h.To.IsZero() || at.Before(h.To))
}

// clipped returns the part of h inside [from, to); false if there is none.
func (h Held[T]) clipped(from, to time.Time) (Held[T], bool) {
	if h.From.Before(from) {
		h.From = from
	}
	if h.To.IsZero() || h.To.After(to) {
		h.To = to
	}
	return h, h.From.Before(h.To)
}

// TermSpan is a contract's term and the part of a range in which it holds.
type TermSpan struct {
	From, To time.Time
	Term     Term
}

type contractOf struct {
	contract *Contract
	customer string
}

// ownedHistory is the history of a noun whose id exists once in an organization.
type ownedHistory[T any] struct {
	customer string
	versions []Held[T]
}

// customerHistory is the history of what is a customer's own, by id and then by time.
type customerHistory struct {
	services      map[string][]Held[Service]
	accountGroups []Held[AccountGroup]
	agents        []Held[Agent]
	tests         []Held[Test]
}

// Customer returns a customer by id.
func (v *View) Customer(id string) (*Customer, bool) {
	i, ok := v.doc.customerAt(id)
	if !ok {
		return nil, false
	}
	return &v.doc.Customers[i], true
}

// customerAt is where a customer is, or would be, among those of a document
// that has them by id.
func (doc *Document) customerAt(id string) (int, bool) {
	return slices.BinarySearchFunc(doc.Customers, id, func(c Customer, id string) int { return strings.Compare(c.ID, id) })
}

// CustomerByAccount returns the customer that has an account id.
func (v *View) CustomerByAccount(account string) (*Customer, bool) {
	return v.Customer(v.accounts[account])
}

// CustomerByAID returns the customer that has an account group.
func (v *View) CustomerByAID(aid string) (*Customer, bool) { return v.Customer(v.aids[aid]) }

func found[K comparable, T any](m map[K]*T, k K) (*T, bool) {
	one, ok := m[k]
	return one, ok
}

// Customers returns all customers by id.
func (v *View) Customers() []Customer { return v.doc.Customers }

// Product returns a product by id.
func (v *View) Product(id string) (*Product, bool) { return found(v.products, id) }

// Products returns all products by id.
func (v *View) Products() []Product { return v.doc.Products }

// Units returns what units are made of; nil if the organization has none.
func (v *View) Units() *Units { return v.doc.Units }

// Entitlements returns all entitlements by id.
func (v *View) Entitlements() []Entitlement { return v.doc.Entitlements }

// ServiceName returns the name of a customer's service, also of one that was
// removed; the id itself where there was never one.
func (v *View) ServiceName(customer, service string) string {
	if h := v.histories[customer]; h != nil {
		if versions := h.services[service]; len(versions) > 0 {
			return versions[len(versions)-1].Noun.Name
		}
	}
	return service
}

// HasService says whether a service was the customer's at an instant.
func (v *View) HasService(customer, service string, at time.Time) bool {
	h := v.histories[customer]
	return h != nil && slices.ContainsFunc(h.services[service], func(s Held[Service]) bool { return s.covers(at) })
}

// Contract returns a contract by id and whose it is. One that was removed
// ended then.
func (v *View) Contract(id string) (contract *Contract, customer string, ok bool) {
	c, ok := v.contracts[id]
	return c.contract, c.customer, ok
}

// ContractsOf returns the contracts that a customer is billed under, by id:
// its own, and those of others that name it.
func (v *View) ContractsOf(customer string) []*Contract { return v.billed[customer] }

// TermsIn returns a contract's terms in [from, to), each with the part of the
// range in which the contract and the term hold. They are a month's sub-periods.
func (v *View) TermsIn(contract string, from, to time.Time) []TermSpan {
	c, ok := v.contracts[contract]
	if !ok {
		return nil
	}
	var spans []TermSpan
	for i, t := range c.contract.Terms {
		h := Held[Term]{Noun: t, From: t.From.Time, To: c.contract.Ends.Time}
		if i == 0 && t.From.IsZero() {
			h.From = c.contract.Starts.Time
		}
		if i+1 < len(c.contract.Terms) {
			h.To = c.contract.Terms[i+1].From.Time
			if ends := c.contract.Ends.Time; !ends.IsZero() && ends.Before(h.To) {
				h.To = ends
			}
		}
		if part, ok := h.clipped(from, to); ok {
			spans = append(spans, TermSpan{part.From, part.To, t})
		}
	}
	return spans
}

// ContractAt returns the contract of a customer's event that names none: the
// only one valid at that instant that has the product.
func (v *View) ContractAt(customer, product string, at time.Time) (id string, ok bool) {
	n := 0
	for _, c := range v.billed[customer] {
		if v.contractHas(c, product, at) {
			id = c.ID
			n++
		}
	}
	if n != 1 {
		return "", false
	}
	return id, true
}

// ContractHas says whether a contract is the customer's, holds at an instant
// and has the product then.
func (v *View) ContractHas(contract, customer, product string, at time.Time) bool {
	return slices.ContainsFunc(v.billed[customer], func(c *Contract) bool {
		return c.ID == contract && v.contractHas(c, product, at)
	})
}

func (v *View) contractHas(c *Contract, product string, at time.Time) bool {
	return slices.ContainsFunc(v.TermsIn(c.ID, at, at.Add(time.Nanosecond)), func(t TermSpan) bool {
		return slices.Contains(t.Term.Products, product)
	})
}

// CPCode returns a CP code as it is, or was last, and whose it is.
func (v *View) CPCode(id int64) (code *CPCode, customer string, ok bool) { return v.codes[id].last() }

// ReportingGroup returns a reporting group as it is, or was last, and whose it is.
func (v *View) ReportingGroup(id int64) (group *ReportingGroup, customer string, ok bool) {
	return v.groups[id].last()
}

func (h ownedHistory[T]) last() (noun *T, customer string, ok bool) {
	if len(h.versions) == 0 {
		return nil, "", false
	}
	return &h.versions[len(h.versions)-1].Noun, h.customer, true
}

// CPCodeIn returns a CP code as it was in the parts of [from, to).
func (v *View) CPCodeIn(id int64, from, to time.Time) []Held[CPCode] {
	return clipAll(v.codes[id].versions, from, to)
}

// ReportingGroupIn returns a reporting group as it was in the parts of [from, to).
func (v *View) ReportingGroupIn(id int64, from, to time.Time) []Held[ReportingGroup] {
	return clipAll(v.groups[id].versions, from, to)
}

func clipAll[T any](all []Held[T], from, to time.Time) []Held[T] {
	var parts []Held[T]
	for _, h := range all {
		if part, ok := h.clipped(from, to); ok {
			parts = append(parts, part)
		}
	}
	return parts
}

// AccountGroupsOf returns a customer's account groups by aid.
func (v *View) AccountGroupsOf(customer string) []AccountGroup {
	if c, ok := v.Customer(customer); ok {
		return c.AccountGroups
	}
	return nil
}

// AccountGroupName returns the name of a customer's account group, also of one
// that was removed; the id itself where there was never one.
func (v *View) AccountGroupName(customer, aid string) string {
	name := aid
	if h := v.histories[customer]; h != nil {
		for _, g := range h.accountGroups {
			if g.Noun.AID == aid {
				name = g.Noun.Name
			}
		}
	}
	return name
}

// TestsOf returns a customer's tests as they were at an instant, by id.
func (v *View) TestsOf(customer string, at time.Time) []Test {
	var tests []Test
	for _, h := range v.TestsIn(customer, at, at.Add(time.Nanosecond)) {
		tests = append(tests, h.Noun)
	}
	return tests
}

// TestsIn returns a customer's tests as they were in the parts of [from, to),
// by id and then by time.
func (v *View) TestsIn(customer string, from, to time.Time) []Held[Test] {
	if h := v.histories[customer]; h != nil {
		return clipAll(h.tests, from, to)
	}
	return nil
}

// AgentsOf returns a customer's agents as they were in the parts of [from, to),
// by id and then by time, whether or not they were enabled or counted.
func (v *View) AgentsOf(customer string, from, to time.Time) []Held[Agent] {
	if h := v.histories[customer]; h != nil {
		return clipAll(h.agents, from, to)
	}
	return nil
}

// AgentsCounted returns the parts of [from, to) in which a customer's agents
// were enabled and counted, by id and then by time.
func (v *View) AgentsCounted(customer string, from, to time.Time) []Held[Agent] {
	var counted []Held[Agent]
	for _, h := range v.AgentsOf(customer, from, to) {
		if h.From.Before(h.Noun.Effective.Time) {
			h.From = h.Noun.Effective.Time
		}
		if h.Noun.Enabled && h.From.Before(h.To) {
			counted = append(counted, h)
		}
	}
	return counted
}

// NewView builds a view of all versions of an organization's nouns, which are in
// the order of SortVersions.
func NewView(versions []Version) (*View, error) {
	read, err := readVersions(versions)
	if err != nil {
		return nil, err
	}
	doc := read.doc
	v := &View{
		doc:      doc,
		products: map[string]*Product{}, accounts: map[string]string{}, aids: map[string]string{}, moved: map[NounRef]bool{}, contracts: map[string]contractOf{}, billed: map[string][]*Contract{},
		codes: map[int64]ownedHistory[CPCode]{}, groups: map[int64]ownedHistory[ReportingGroup]{},
		histories: map[string]*customerHistory{},
		past:      past{map[string]*Product{}, map[string]*Customer{}}, entitled: map[string][]Held[Entitlement]{},
	}
	for i := range doc.Products {
		v.products[doc.Products[i].ID] = &doc.Products[i]
	}
	for i := range doc.Customers {
		c := &doc.Customers[i]
		if c.AccountID != "" {
			v.accounts[c.AccountID] = c.ID
		}
		for _, g := range c.AccountGroups {
			v.aids[g.AID] = c.ID
		}
	}
	for i := range versions {
		if versions[i].current() {
			v.nouns++
		}
		if err := errors.Join(v.addHistory(read, versions[i], i), v.addPast(versions[i])); err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: %s %s cannot be read", versions[i].Kind, versions[i].Path())
		}
	}
	v.dateEntitlements()
	for _, c := range v.contracts {
		for _, customer := range append([]string{c.customer}, c.contract.Customers...) {
			if !slices.Contains(v.billed[customer], c.contract) {
				v.billed[customer] = append(v.billed[customer], c.contract)
			}
		}
	}
	for _, contracts := range v.billed {
		slices.SortFunc(contracts, func(a, b *Contract) int { return strings.Compare(a.ID, b.ID) })
	}
	return v, nil
}
