package catalog

import (
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strconv"

	"odometer/internal/meter"
)

// kind is one kind of noun that has ids. d is a document, and c the customer
// whose own the nouns are, nil where they are no customer's own.
//
// To add a kind: a Noun constant, its type and its list in Document or Customer,
// an entry in kinds, and what is special about it: what its fields may hold
// (validator), what they refer to (scope), and what a View answers.
type kind interface {
	about() *about
	nounEditor
	nounKeeper
}

// nounEditor reads and changes single nouns.
type nounEditor interface {
	all(d *Document, c *Customer) []Noun
	some(d *Document, c *Customer, after string, most int) []Noun // after an id, "" = all; the list is in order
	one(d *Document, c *Customer, id string) (Noun, error)
	idAt(d *Document, c *Customer, i int) string
	add(d *Document, c *Customer, given NounFields) (id string, err error)
	patch(d *Document, c *Customer, id string, given NounFields) error
	remove(d *Document, c *Customer, id string) error
}

// nounKeeper takes nouns to and from where they are kept, and lays them over others.
type nounKeeper interface {
	each(d *Document, c *Customer, do func(id string, noun any))
	extend(d *Document, c *Customer, body []byte) (at int, err error) // by a noun as it is stored
	overlay(old *Document, oldCustomer *Customer, d *Document, c *Customer)
	complete(d *Document, c *Customer) // names what has no name by its id
	clear(c *Customer)
}

// about is what does not depend on the noun's type.
type about struct {
	name     string // as AuditEntry.Noun and Change.Noun have it
	label    string // as messages have it; "" = the name, with spaces
	list     string // the name of its list in a document
	field    string // that holds the id
	own      bool   // a customer's own
	once     bool   // an id exists once in an organization, whoever has it
	numbered bool   // ids are numbers, and in their order
}

// kinds are in the order in which changes are made and told; units, of which
// there is one, have no ids and come after the first.
var kinds = []kind{
	&nounsOf[Product]{about{name: NounProduct, list: "products", field: "id"},
		func(d *Document, _ *Customer) *[]Product { return &d.Products },
		func(p *Product) string { return p.ID }, func(p *Product) *string { return &p.Name }},
	&nounsOf[Customer]{about{name: NounCustomer, list: "customers", field: "id"},
		func(d *Document, _ *Customer) *[]Customer { return &d.Customers },
		func(c *Customer) string { return c.ID }, func(c *Customer) *string { return &c.Name }},
	&nounsOf[Service]{about{name: NounService, list: "services", field: "id", own: true},
		func(_ *Document, c *Customer) *[]Service { return &c.Services },
		func(s *Service) string { return s.ID }, func(s *Service) *string { return &s.Name }},
	&nounsOf[Contract]{about{name: NounContract, list: "contracts", field: "id", own: true, once: true},
		func(_ *Document, c *Customer) *[]Contract { return &c.Contracts },
		func(k *Contract) string { return k.ID }, nil},
	&nounsOf[CPCode]{about{name: NounCPCode, label: "CP code", list: "cp_codes", field: "id", own: true, once: true, numbered: true},
		func(_ *Document, c *Customer) *[]CPCode { return &c.CPCodes },
		func(code *CPCode) string { return strconv.FormatInt(code.ID, 10) }, func(code *CPCode) *string { return &code.Name }},
	&nounsOf[ReportingGroup]{about{name: NounReportingGroup, list: "reporting_groups", field: "id", own: true, once: true, numbered: true},
		func(_ *Document, c *Customer) *[]ReportingGroup { return &c.ReportingGroups },
		func(g *ReportingGroup) string { return strconv.FormatInt(g.ID, 10) }, func(g *ReportingGroup) *string { return &g.Name }},
	&nounsOf[AccountGroup]{about{name: NounAccountGroup, list: "account_groups", field: "aid", own: true, once: true},
		func(_ *Document, c *Customer) *[]AccountGroup { return &c.AccountGroups },
		func(g *AccountGroup) string { return g.AID }, func(g *AccountGroup) *string { return &g.Name }},
	&nounsOf[Agent]{about{name: NounAgent, list: "agents", field: "id", own: true},
		func(_ *Document, c *Customer) *[]Agent { return &c.Agents },
		func(a *Agent) string { return a.ID }, func(a *Agent) *string { return &a.Name }},
	&nounsOf[Test]{about{name: NounTest, list: "tests", field: "id", own: true},
		func(_ *Document, c *Customer) *[]Test { return &c.Tests },
		func(t *Test) string { return t.ID }, func(t *Test) *string { return &t.Name }},
	&nounsOf[Entitlement]{about{name: NounEntitlement, list: "entitlements", field: "id"},
		func(d *Document, _ *Customer) *[]Entitlement { return &d.Entitlements },
		func(e *Entitlement) string { return e.ID }, nil},
}

// kindsByName has kinds by their names.
var kindsByName = func() map[string]kind {
	all := map[string]kind{}
	for _, k := range kinds {
		all[k.about().name] = k
	}
	return all
}()

// kindOf returns a kind by name; false for units, and for what is none.
func kindOf(name string) (kind, bool) {
	k, ok := kindsByName[name]
	return k, ok
}

// kindListed returns the kind of a list of a document, or of a customer's.
func kindListed(list string, own bool) (kind, bool) {
	for _, k := range kinds {
		if a := k.about(); a.list == list && a.own == own {
			return k, true
		}
	}
	return nil, false
}

// kindRank is where a kind stands in the order of changes.
func kindRank(name string) int {
	for i, k := range kinds {
		if k.about().name == name {
			return 2 * i
		}
	}
	return 1 // units
}

// nounsOf is a kind.
type nounsOf[T any] struct {
	noun  about
	list  func(d *Document, c *Customer) *[]T
	id    func(*T) string
	title func(*T) *string // its name; nil = it has none
}

func (n *nounsOf[T]) about() *about { return &n.noun }

func (n *nounsOf[T]) idAt(d *Document, c *Customer, i int) string { return n.id(&(*n.list(d, c))[i]) }

func (n *nounsOf[T]) each(d *Document, c *Customer, do func(id string, noun any)) {
	items := *n.list(d, c)
	for i := range items {
		do(n.id(&items[i]), &items[i])
	}
}

func (n *nounsOf[T]) extend(d *Document, c *Customer, body []byte) (at int, err error) {
	items := n.list(d, c)
	var none T
	*items = append(*items, none)
	at = len(*items) - 1
	return at, json.Unmarshal(body, &(*items)[at])
}

func (n *nounsOf[T]) overlay(old *Document, oldCustomer *Customer, d *Document, c *Customer) {
	items := n.list(d, c)
	*items = overlay(*n.list(old, oldCustomer), *items, n.id)
}

func (n *nounsOf[T]) complete(d *Document, c *Customer) {
	if n.title == nil {
		return
	}
	items := *n.list(d, c)
	for i := range items {
		if name := n.title(&items[i]); *name == "" {
			*name = n.id(&items[i])
		}
	}
}

func (n *nounsOf[T]) clear(c *Customer) { *n.list(nil, c) = nil }

func (n *nounsOf[T]) all(d *Document, c *Customer) []Noun {
	return n.some(d, c, "", len(*n.list(d, c)))
}

func (n *nounsOf[T]) one(d *Document, c *Customer, id string) (Noun, error) {
	list, i, err := n.index(d, c, id)
	if err != nil {
		return Noun{}, err
	}
	return Noun{id, (*list)[i]}, nil
}

func (n *nounsOf[T]) some(d *Document, c *Customer, after string, most int) []Noun {
	items := *n.list(d, c)
	if after != "" {
		last := NounRef{Kind: n.noun.name, ID: after}
		items = items[sort.Search(len(items), func(i int) bool { return compareIDs(NounRef{Kind: n.noun.name, ID: n.id(&items[i])}, last) > 0 }):]
	}
	items = items[:min(most, len(items))]
	out := make([]Noun, len(items))
	for i := range items {
		out[i] = Noun{n.id(&items[i]), items[i]}
	}
	return out
}

func (n *nounsOf[T]) add(d *Document, c *Customer, given NounFields) (string, error) {
	var noun T
	if err := decodeNoun(given.node, &noun); err != nil {
		return "", err
	}
	list := n.list(d, c)
	*list = append(*list, noun)
	return n.id(&noun), nil
}

func (n *nounsOf[T]) index(d *Document, c *Customer, id string) (*[]T, int, error) {
	list := n.list(d, c)
	for i := range *list {
		if n.id(&(*list)[i]) == id {
			return list, i, nil
		}
	}
	return nil, 0, NoNoun(NounRef{Kind: n.noun.name, ID: id})
}

// patch lays the fields that are given over those of a noun; null takes one away.
func (n *nounsOf[T]) patch(d *Document, c *Customer, id string, given NounFields) error {
	list, i, err := n.index(d, c, id)
	if err != nil {
		return err
	}
	have, err := nodeOf(reflect.ValueOf((*list)[i]))
	if err != nil {
		return meter.WrapError(meter.KindInternal, err, "cannot render %s", NounRef{Kind: n.noun.name, ID: id})
	}
	var noun T
	if err := decodeNoun(overlaid(have, given.node), &noun); err != nil {
		return err
	}
	if now := n.id(&noun); now != id {
		return meter.Errorf(meter.KindInvalid, "%s: is %s and does not change; remove the noun and create another", n.noun.field, meter.Clip(id))
	}
	(*list)[i] = noun
	return nil
}

func (n *nounsOf[T]) remove(d *Document, c *Customer, id string) error {
	list, i, err := n.index(d, c, id)
	if err == nil {
		*list = slices.Delete(*list, i, i+1)
	}
	return err
}
