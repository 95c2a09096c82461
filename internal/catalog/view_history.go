package catalog

import (
	"cmp"
	"encoding/json"
)

// addHistory takes over the version at i of versions, which are in order.
func (v *View) addHistory(versions []version, i int) error {
	one := versions[i]
	if one.kind == NounEntitlement {
		e, err := held[Entitlement](one)
		v.entitled[one.id] = append(v.entitled[one.id], e)
		return err
	}
	if one.customer == "" {
		return nil
	}
	h := v.histories[one.customer]
	if h == nil {
		h = &customerHistory{services: map[string][]Held[Service]{}}
		v.histories[one.customer] = h
	}
	switch one.kind {
	case NounService:
		s, err := held[Service](one)
		h.services[one.id] = append(h.services[one.id], s)
		return err
	case NounAccountGroup:
		return hold(&h.accountGroups, one)
	case NounAgent:
		return hold(&h.agents, one)
	case NounTest:
		return hold(&h.tests, one)
	case NounContract:
		return v.addContract(one)
	case NounCPCode:
		c, err := held[CPCode](one)
		own(v.codes, c.Noun.ID, one.customer, c)
		return err
	case NounReportingGroup:
		g, err := held[ReportingGroup](one)
		own(v.groups, g.Noun.ID, one.customer, g)
		return err
	}
	return nil
}

func held[T any](one version) (Held[T], error) {
	h := Held[T]{From: fromBound(one.from), To: toBound(one.to)}
	return h, json.Unmarshal([]byte(one.body), &h.Noun)
}

func hold[T any](to *[]Held[T], one version) error {
	h, err := held[T](one)
	*to = append(*to, h)
	return err
}

// own adds a version of a noun whose id exists once. If customers had it one
// after the other, the last is whose it is.
func own[T any](to map[int64]ownedHistory[T], id int64, customer string, h Held[T]) {
	had := to[id]
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
func (v *View) addContract(one version) error {
	h, err := held[Contract](one)
	c := &h.Noun
	if !h.To.IsZero() && (c.Ends.IsZero() || h.To.Before(c.Ends.Time)) {
		c.Ends = dateOf(h.To)
	}
	had, ok := v.contracts[one.id]
	if ok && had.customer != one.customer && !laterEnd(c.Ends, had.contract.Ends) {
		return err
	}
	v.contracts[one.id] = contractOf{c, one.customer}
	return err
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
