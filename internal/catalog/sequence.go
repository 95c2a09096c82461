package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"odometer/internal/meter"
)

// Walk visits an organization's nouns as of one instant, in the order of a
// document: in parts that have some of one list each, but for the first, which has the
// organization and its meters. It may be called again, and visits the same.
type Walk func(visit func(part *Document) error) error

// The names of a document's lists that may be long.
const (
	listProducts     = "products"
	listCustomers    = "customers"
	listEntitlements = "entitlements"
)

// DocumentLimits bound a document.
type DocumentLimits struct {
	Bytes  int // of its text
	Values int // and names in it, about
}

// DefaultDocumentLimits are those of the documents that ReadDocument takes.
func DefaultDocumentLimits() DocumentLimits {
	return DocumentLimits{Bytes: MaxDocumentBytes, Values: maxDocumentNodes}
}

// errFull says that a document takes no more.
var errFull = errors.New("the document is full")

// WriteYAML renders what is walked as a document that ReadDocument takes; or, if
// that is over a document's limits, as several, each within them, that are applied
// in their order. They are set apart as YAML has it. It holds one document at most.
func WriteYAML(w io.Writer, walk Walk, limits DocumentLimits) error {
	var whole bytes.Buffer
	y := &yamlWriter{w: &whole, limits: limits, one: true}
	err := walk(y.write)
	if err == nil {
		_, err = w.Write(whole.Bytes())
	}
	if !errors.Is(err, errFull) {
		return err
	}
	y = &yamlWriter{w: w, limits: limits}
	whole = bytes.Buffer{}
	return y.sequence(walk)
}

// sequence renders what is walked so that nothing refers to what comes in a
// later document: contracts that name other customers come after all customers,
// then CP codes under others' contracts, then entitlements.
func (y *yamlWriter) sequence(walk Walk) error {
	shared, foreign := false, false
	err := walk(func(part *Document) error {
		if len(part.Entitlements) > 0 {
			return nil
		}
		early := *part
		early.Customers = slices.Clone(part.Customers)
		for i := range early.Customers {
			c := &early.Customers[i]
			shared = c.withoutShared() || shared
			foreign = c.withoutForeign() || foreign
		}
		return y.write(&early)
	})
	if err == nil && shared {
		y.ends = true
		err = walk(y.late((*Customer).withoutShared, func(late, c *Customer) { late.Contracts = c.Contracts }))
	}
	if err == nil && foreign {
		y.ends = true
		err = walk(y.late(func(c *Customer) bool { c.withoutShared(); return c.withoutForeign() },
			func(late, c *Customer) { late.CPCodes, late.ReportingGroups = c.CPCodes, c.ReportingGroups }))
	}
	if err != nil {
		return err
	}
	return walk(func(part *Document) error {
		if len(part.Entitlements) == 0 {
			return nil
		}
		return y.write(part)
	})
}

// late writes of customers, where something has been left out, what that is.
func (y *yamlWriter) late(left func(*Customer) bool, add func(late, c *Customer)) func(*Document) error {
	return func(part *Document) error {
		var some Document
		for i := range part.Customers {
			c := &part.Customers[i]
			if early := *c; !left(&early) {
				continue
			}
			late := c.alone()
			add(&late, c)
			some.Customers = append(some.Customers, late)
		}
		if some.Customers == nil {
			return nil
		}
		return y.write(&some)
	}
}

// withoutShared leaves out contracts that name other customers, and says whether there are any.
func (c *Customer) withoutShared() bool {
	own := make([]Contract, 0, len(c.Contracts))
	for _, k := range c.Contracts {
		if len(k.Customers) == 0 {
			own = append(own, k)
		}
	}
	left := len(own) < len(c.Contracts)
	c.Contracts = own
	return left
}

// withoutForeign leaves out the CP codes and reporting groups of a customer one
// of whose CP codes is under a contract that the customer does not have.
func (c *Customer) withoutForeign() bool {
	for _, code := range c.CPCodes {
		if !slices.ContainsFunc(c.Contracts, func(k Contract) bool { return k.ID == code.Contract }) {
			c.CPCodes, c.ReportingGroups = nil, nil
			return true
		}
	}
	return false
}

// PartOfDocument is a document of versions that hold now, in any order, with
// those of each customer whose own nouns they are.
func PartOfDocument(versions []Version) (*Document, error) {
	SortVersions(versions)
	return documentOf(versions)
}

// Add adds a part of a walk to a document.
func (doc *Document) Add(part *Document) {
	if part.Organization != nil {
		doc.Organization = part.Organization
	}
	if part.Units != nil {
		doc.Units = part.Units
	}
	doc.Meters = append(doc.Meters, part.Meters...)
	doc.Products = append(doc.Products, part.Products...)
	doc.Customers = append(doc.Customers, part.Customers...)
	doc.Entitlements = append(doc.Entitlements, part.Entitlements...)
}

// yamlWriter writes documents within limits.
type yamlWriter struct {
	w      io.Writer
	limits DocumentLimits
	one    bool // a second document is errFull
	ends   bool // what comes may be of customers that the document has, and begins another

	list string         // that the document ends in
	has  DocumentLimits // what the document has
}

// write adds a part, in halves where it is too large for what a document takes more.
func (y *yamlWriter) write(part *Document) error {
	text, err := part.YAML()
	if err != nil {
		return err
	}
	nodes := yamlNodes(text)
	list := part.onlyList()
	if y.ends && y.has.Bytes > 0 {
		return y.next(part, list, nodes)
	}
	head := []byte(list + ":\n")
	if list != "" && list == y.list {
		text = bytes.TrimPrefix(text, head)
	}
	if y.has.Bytes+len(text) > y.limits.Bytes || y.has.Values+nodes > y.limits.Values {
		return y.next(part, list, nodes)
	}
	if _, err := y.w.Write(text); err != nil {
		return err
	}
	y.list, y.has = list, DocumentLimits{y.has.Bytes + len(text), y.has.Values + nodes}
	return nil
}

// next begins another document with a part.
func (y *yamlWriter) next(part *Document, list string, nodes int) error {
	switch {
	case y.one:
		return errFull
	case y.has.Bytes == 0:
		a, b, ok := part.halves(list)
		if !ok {
			return meter.Errorf(meter.KindTooLarge, "a part of the catalog has about %d values and names and is too large for a document", nodes)
		}
		if err := y.write(a); err != nil {
			return err
		}
		y.ends = list == listCustomers && a.Customers[0].ID == b.Customers[0].ID
		return y.write(b)
	}
	if _, err := io.WriteString(y.w, "---\n"); err != nil {
		return err
	}
	y.list, y.has, y.ends = "", DocumentLimits{}, false
	return y.write(part)
}

// onlyList is the name of the list that a part has items of, "" if it has anything else.
func (doc *Document) onlyList() string {
	if doc.Organization != nil || doc.Meters != nil || doc.Units != nil {
		return ""
	}
	switch {
	case doc.Products != nil:
		return listProducts
	case doc.Customers != nil:
		return listCustomers
	case doc.Entitlements != nil:
		return listEntitlements
	}
	return ""
}

// halves are the items of a part's list in two parts; false if there is one
// item that is not to be divided.
func (doc *Document) halves(list string) (a, b *Document, ok bool) {
	a, b = &Document{}, &Document{}
	switch list {
	case listProducts:
		ok = halve(doc.Products, &a.Products, &b.Products)
	case listCustomers:
		if ok = halve(doc.Customers, &a.Customers, &b.Customers); !ok {
			var one, other Customer
			one, other, ok = doc.Customers[0].halves()
			a.Customers, b.Customers = []Customer{one}, []Customer{other}
		}
	case listEntitlements:
		ok = halve(doc.Entitlements, &a.Entitlements, &b.Entitlements)
	}
	return a, b, ok
}

func halve[T any](all []T, a, b *[]T) bool {
	*a, *b = all[:len(all)/2], all[len(all)/2:]
	return len(all) > 1
}

// halves are a customer twice, each with half of what is its own; the first has
// nothing that refers to what the second has. False if there are fewer than two nouns.
func (c *Customer) halves() (a, b Customer, ok bool) {
	n := len(c.Services) + len(c.Contracts) + len(c.CPCodes) + len(c.ReportingGroups) + len(c.AccountGroups) + len(c.Agents) + len(c.Tests)
	a, b = c.alone(), c.alone()
	left := n / 2
	cut(&left, c.Services, &a.Services, &b.Services)
	cut(&left, c.Contracts, &a.Contracts, &b.Contracts)
	cut(&left, c.CPCodes, &a.CPCodes, &b.CPCodes)
	cut(&left, c.ReportingGroups, &a.ReportingGroups, &b.ReportingGroups)
	cut(&left, c.AccountGroups, &a.AccountGroups, &b.AccountGroups)
	cut(&left, c.Agents, &a.Agents, &b.Agents)
	cut(&left, c.Tests, &a.Tests, &b.Tests)
	return a, b, n > 1
}

// cut gives a as much of a list as is left to it, and b the rest.
func cut[T any](left *int, list []T, a, b *[]T) {
	n := min(*left, len(list))
	*a, *b = list[:n:n], list[n:]
	*left -= n
}

// WriteJSON renders what is walked as one JSON document, a part at a time.
func WriteJSON(w io.Writer, walk Walk) error {
	list, members := "", 0
	var out bytes.Buffer
	err := walk(func(part *Document) error {
		out.Reset()
		text, err := json.Marshal(part)
		if err != nil {
			return err
		}
		text = text[1 : len(text)-1] // the braces
		if len(text) == 0 {
			return nil
		}
		now := part.onlyList()
		head := []byte(`"` + now + `":[`)
		if list != "" && list != now {
			out.WriteByte(']')
		}
		out.WriteByte("{,"[min(members, 1)])
		if now != "" {
			text = bytes.TrimSuffix(text, []byte("]"))
			if now == list {
				text = bytes.TrimPrefix(text, head)
			}
		}
		out.Write(text)
		list = now
		members++
		_, err = w.Write(out.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	end := "}\n"
	if list != "" {
		end = "]}\n"
	}
	if members == 0 {
		end = "{}\n"
	}
	_, err = io.WriteString(w, end)
	return err
}
