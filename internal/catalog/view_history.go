package catalog

import (
	"cmp"
	"encoding/json"
)

// addHistory takes over version i, which come in order.
func (v *View) addHistory(read *readNouns, one Version, i int) error {
	if one.Kind == NounEntitlement {
		e, err := heldOf(read, one, i, func(d *Document, _ *Customer) []Entitlement { return d.Entitlements })
		v.entitled[one.ID] = append(v.entitled[one.ID], e)
		return err
	}
	if one.Customer == "" {
		return nil
	}
	h := v.histories[one.Customer]
	if h == nil {
		h = &customerHistory{services: map[string][]Held[Service]{}}
		v.histories[one.Customer] = h
	}
	switch one.Kind {
	case NounService:
		s, err := heldOf(read, one, i, func(_ *Document, c *Customer) []Service { return c.Services })
		h.services[one.ID] = append(h.services[one.ID], s)
		return err
	case NounAccountGroup:
		g, err := heldOf(read, one, i, func(_ *Document, c *Customer) []AccountGroup { return c.AccountGroups })
		h.accountGroups = append(h.accountGroups, g)
		return err
	case NounAgent:
		a, err := heldOf(read, one, i, func(_ *Document, c *Customer) []Agent { return c.Agents })
		h.agents = append(h.agents, a)
		return err
	case NounTest:
		t, err := heldOf(read, one, i, func(_ *Document, c *Customer) []Test { return c.Tests })
		h.tests = append(h.tests, t)
		return err
	case NounContract:
		c, err := heldOf(read, one, i, func(_ *Document, c *Customer) []Contract { return c.Contracts })
		v.addContract(one, c)
		return err
	case NounCPCode:
		c, err := heldOf(read, one, i, func(_ *Document, c *Customer) []CPCode { return c.CPCodes })
		own(v.codes, c.Noun.ID, one, c, v.moved)
		return err
	case NounReportingGroup:
		g, err := heldOf(read, one, i, func(_ *Document, c *Customer) []ReportingGroup { return c.ReportingGroups })
		own(v.groups, g.Noun.ID, one, g, v.moved)
		return err
	}
	return nil
}

// heldOf is held of version i; one that holds now was read already, and shares
// what it has with the noun of the document.
func heldOf[T any](read *readNouns, one Version, i int, list func(*Document, *Customer) []T) (Held[T], error) {
	at := read.at[i]
	if at < 0 {
		return held[T](one)
	}
	var c *Customer
	if read.customers[i] >= 0 {
		c = read.customer(i)
	}
	return Held[T]{Noun: list(read.doc, c)[at], From: fromBound(one.From), To: toBound(one.To)}, nil
}

func held[T any](one Version) (Held[T], error) {
	h := Held[T]{From: fromBound(one.From), To: toBound(one.To)}
	return h, json.Unmarshal([]byte(one.Body), &h.Noun)
}

// own adds a version of a noun whose id exists once. If customers had it one
// after the other, the last is whose it is, and it has moved.
func own[T any](to map[int64]ownedHistory[T], id int64, one Version, h Held[T], moved map[NounRef]bool) {
	had, customer := to[id], one.Customer
	if len(had.versions) > 0 && had.customer != customer {
		moved[NounRef{Kind: one.Kind, ID: one.ID}] = true
	}
	switch {
	case had.customer == customer || len(had.versions) == 0:
		to[id] = ownedHistory[T]{customer, append(had.versions, h)}
	case later(h, had.versions[len(had.versions)-1]):
		to[id] = ownedHistory[T]{customer, []Held[T]{h}}
	}
}

// later says whether a holds after b; no end is the latest.
func later[T any](a, b Held[T]) bool {
	return !b.To.IsZero() && (a.To.IsZero() || a.To.After(b.To))
}

// addContract takes over a contract, which its last version describes: its
// dates are its own. Removing one ended it.
func (v *View) addContract(one Version, h Held[Contract]) {
	c := &h.Noun
	if !h.To.IsZero() && (c.Ends.IsZero() || h.To.Before(c.Ends.Time)) {
		c.Ends = dateOf(h.To)
	}
	had, ok := v.contracts[one.ID]
	if ok && had.customer != one.Customer {
		v.moved[NounRef{Kind: one.Kind, ID: one.ID}] = true
	}
	if ok && had.customer != one.Customer && !laterEnd(c.Ends, had.contract.Ends) {
		return
	}
	v.contracts[one.ID] = contractOf{c, one.Customer}
}

// laterEnd says whether an end is after another; none is the latest.
func laterEnd(a, b Date) bool {
	switch {
	case b.IsZero():
		return false
	case a.IsZero():
		return true
	}
	return cmp.Compare(a.UnixMicro(), b.UnixMicro()) > 0
}
