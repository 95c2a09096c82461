package catalog

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// NounRef names one noun: its kind, the customer whose own it is ("" for what
// is no customer's own), and its id. Of lists and what is new, ID is "".
type NounRef struct{ Kind, Customer, ID string }

// String is the noun as messages name it.
func (r NounRef) String() string {
	if r.Kind == NounUnits {
		return r.Kind
	}
	return kindName(r.Kind) + " " + r.Path()
}

// Path is the noun in audit entries: its id, after that of its customer.
func (r NounRef) Path() string {
	if r.Customer == "" {
		return r.ID
	}
	return r.Customer + "/" + r.ID
}

// kindName is a kind as messages name it.
func kindName(name string) string {
	if k, ok := kindOf(name); ok && k.about().label != "" {
		return k.about().label
	}
	return strings.ReplaceAll(name, "_", " ")
}

// Noun is one noun of any kind: Value is a Product, *Units, Customer, Service
// and so on, of which a caller needs to know no more than that it is rendered as JSON.
type Noun struct {
	ID    string
	Value any
}

// NounPage is a part of a list of nouns, by id.
type NounPage struct {
	Items []Noun
	Next  string // Page.Cursor of what follows; "" at the end
}

// NoNoun says that there is no such noun, or none that a caller may see.
func NoNoun(r NounRef) error {
	if r.Kind == NounUnits { // which have no id
		return meter.Errorf(meter.KindNotFound, "the organization has no units")
	}
	return meter.Errorf(meter.KindNotFound, "there is no %s %q", kindName(r.Kind), meter.Clip(r.ID))
}

// overlaid returns the fields of have with those that are given in their place.
func overlaid(have, given *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	named := map[string]bool{}
	for i := 0; i < len(given.Content); i += 2 {
		named[given.Content[i].Value] = true
	}
	for i := 0; i < len(have.Content); i += 2 {
		if !named[have.Content[i].Value] {
			out.Content = append(out.Content, have.Content[i], have.Content[i+1])
		}
	}
	out.Content = append(out.Content, given.Content...)
	return out
}

// decodeNoun fills a noun from its fields, which are few enough to be read to
// their end. Problems are named by their field.
func decodeNoun[T any](fields *yaml.Node, noun *T) error {
	d := &decoder{}
	d.decode(context.Background(), fields, reflect.ValueOf(noun).Elem(), &lineTree{}, spot{})
	return d.problems.err(nil)
}

// nouns finds those of a kind, and the customer whose own they are.
func (doc *Document) nouns(r NounRef) (kind, *Customer, error) {
	n, ok := kindOf(r.Kind)
	if !ok {
		return nil, nil, meter.Errorf(meter.KindInternal, "there is no kind of noun %q", r.Kind)
	}
	if r.Customer == "" && !n.about().own {
		return n, nil, nil
	}
	for i := range doc.Customers {
		if c := &doc.Customers[i]; c.ID == r.Customer {
			return n, c, nil
		}
	}
	return nil, nil, NoNoun(NounRef{Kind: NounCustomer, ID: r.Customer})
}

// Nouns returns all nouns of a kind, by id. Customers come without what is
// their own. A customer that does not exist is KindNotFound.
func (v *View) Nouns(r NounRef) ([]Noun, error) {
	n, c, err := v.doc.nouns(r)
	if err != nil {
		return nil, err
	}
	return withoutOwn(n.all(v.doc, c)), nil
}

// SomeNouns returns the nouns of a list of Nouns that come after one, "" being
// none, at most so many.
func (v *View) SomeNouns(r NounRef, after string, most int) ([]Noun, error) {
	n, c, err := v.doc.nouns(r)
	if err != nil {
		return nil, err
	}
	return withoutOwn(n.some(v.doc, c, after, most)), nil
}

// withoutOwn leaves out what is customers' own.
func withoutOwn(nouns []Noun) []Noun {
	for i := range nouns {
		if c, ok := nouns[i].Value.(Customer); ok {
			nouns[i].Value = c.alone()
		}
	}
	return nouns
}

// Noun returns one noun, a customer with what is its own; KindNotFound if
// there is none.
func (v *View) Noun(r NounRef) (Noun, error) {
	if r.Kind == NounUnits {
		if v.doc.Units == nil {
			return Noun{}, NoNoun(r)
		}
		return Noun{NounUnits, v.doc.Units}, nil
	}
	if r.Kind == NounCustomer && r.Customer == "" { // of which there may be many
		if c, ok := v.Customer(r.ID); ok {
			return Noun{r.ID, *c}, nil
		}
	}
	n, c, err := v.doc.nouns(r)
	if err != nil {
		return Noun{}, err
	}
	return n.one(v.doc, c, r.ID)
}

// UsersOf returns what refers to a meter.
func (v *View) UsersOf(meterKey string) []NounRef {
	var users []NounRef
	for _, p := range v.doc.Products {
		if slices.ContainsFunc(p.UsageTypes, func(u UsageType) bool { return u.Meter == meterKey }) {
			users = append(users, NounRef{Kind: NounProduct, ID: p.ID})
		}
	}
	if u := v.doc.Units; u != nil {
		for _, m := range []*UnitMeter{u.Cloud, u.Enterprise} {
			if m != nil && m.Meter == meterKey {
				users = append(users, NounRef{Kind: NounUnits, ID: NounUnits})
			}
		}
	}
	for _, e := range v.doc.Entitlements {
		if slices.ContainsFunc(e.Dimensions, func(d Dimension) bool { return d.Meter == meterKey }) {
			users = append(users, NounRef{Kind: NounEntitlement, ID: e.ID})
		}
	}
	return users
}

// NounsAfter leaves the nouns of a list, which has those of a kind by id, that
// come after one.
func NounsAfter(r NounRef, all []Noun, id string) []Noun {
	after := NounRef{r.Kind, r.Customer, id}
	return slices.DeleteFunc(all, func(n Noun) bool { return compareIDs(NounRef{r.Kind, r.Customer, n.ID}, after) <= 0 })
}

// AddNoun adds a noun that fields describe and returns which it is. One that
// exists is KindConflict. The fields, which are as large as the noun many times, are used up.
func (doc *Document) AddNoun(r NounRef, given *NounFields) (NounRef, error) {
	n, c, err := doc.nouns(r)
	if err != nil {
		return r, err
	}
	taken := takenIDs(doc, n, r)
	if r.ID, err = n.add(doc, c, *given); err != nil {
		return r, err
	}
	*given = NounFields{}
	if owner, ok := taken[r.ID]; ok {
		r.Customer = owner
		return r, meter.Errorf(meter.KindConflict, "%s exists", r)
	}
	return r, nil
}

// PatchNoun changes the fields of a noun that are given, each as a whole; one
// that is null gets its default. The fields are used up as by AddNoun.
func (doc *Document) PatchNoun(r NounRef, given *NounFields) error {
	n, c, err := doc.nouns(r)
	if err != nil {
		return err
	}
	err = n.patch(doc, c, r.ID, *given)
	*given = NounFields{}
	return err
}

// Units reads the fields as units.
func (given NounFields) Units() (*Units, error) {
	var u Units
	err := decodeNoun(given.node, &u)
	return &u, err
}

// takenIDs are those that a new noun may not have, and whose they are.
func takenIDs(doc *Document, n kind, r NounRef) map[string]string {
	taken := map[string]string{}
	if r.Customer == "" {
		for _, one := range n.all(doc, nil) {
			taken[one.ID] = ""
		}
		return taken
	}
	for i := range doc.Customers {
		c := &doc.Customers[i]
		if c.ID == r.Customer || n.about().once {
			for _, one := range n.all(doc, c) {
				taken[one.ID] = c.ID
			}
		}
	}
	return taken
}

// named puts the noun that a path leads to in the place of its position.
func (doc *Document) named(path string) string {
	list, i, rest, ok := cutIndex(path)
	if !ok {
		return path
	}
	k, ok := kindListed(list, false)
	if !ok {
		return path
	}
	r := NounRef{Kind: k.about().name, ID: k.idAt(doc, nil, i)}
	if r.Kind == NounCustomer {
		c := &doc.Customers[i]
		if list, j, inner, ok := cutIndex(rest); ok {
			if k, ok := kindListed(list, true); ok {
				r, rest = NounRef{k.about().name, c.ID, k.idAt(doc, c, j)}, inner
			}
		}
	}
	if rest == "" {
		return r.String()
	}
	return r.String() + ": " + rest
}

// places names the nouns that problems are in, and where in them.
func (p problems) places(doc *Document) string {
	var names []string
	for _, one := range p.named {
		name, field, _ := strings.Cut(doc.named(one.path), ": ")
		if field != "" {
			name += " (" + field + ")"
		}
		names = append(names, name)
	}
	if more := p.count - len(p.named); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// cutIndex takes list[i] off a path.
func cutIndex(path string) (list string, i int, rest string, ok bool) {
	list, rest, ok = strings.Cut(path, "[")
	number, rest, closed := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	return list, i, strings.TrimPrefix(rest, "."), ok && closed && err == nil && !strings.Contains(list, ".")
}
