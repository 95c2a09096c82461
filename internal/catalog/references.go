package catalog

import (
	"slices"

	"odometer/internal/meter"
)

// scope is what references of a document may lead to.
type scope struct {
	meters    map[string]meter.Meter
	products  map[string]bool
	customers map[string]*customerScope

	accounts, contracts, aids map[string][]string // id -> customers that have it
	codes, groups             map[int64][]string
}

// customerScope is what references inside a customer may lead to.
type customerScope struct {
	codes         map[int64]bool
	accountGroups map[string]bool
	agents        map[string]Agent
	billed        map[string]bool // contracts that the customer is billed under
}

// scopeOf collects what a complete document has; meters are those that exist
// besides the document's.
func scopeOf(doc *Document, meters []meter.Meter) *scope {
	s := &scope{
		meters: map[string]meter.Meter{}, products: map[string]bool{}, customers: map[string]*customerScope{},
		accounts: map[string][]string{}, contracts: map[string][]string{}, aids: map[string][]string{},
		codes: map[int64][]string{}, groups: map[int64][]string{},
	}
	for _, m := range slices.Concat(meters, doc.Meters) {
		s.meters[m.Key] = m
	}
	for _, p := range doc.Products {
		s.products[p.ID] = true
	}
	for i := range doc.Customers {
		s.customers[doc.Customers[i].ID] = &customerScope{
			codes: map[int64]bool{}, accountGroups: map[string]bool{}, agents: map[string]Agent{}, billed: map[string]bool{},
		}
	}
	for i := range doc.Customers {
		s.addCustomer(&doc.Customers[i])
	}
	return s
}

func (s *scope) addCustomer(c *Customer) {
	own := s.customers[c.ID]
	if c.AccountID != "" {
		s.accounts[c.AccountID] = append(s.accounts[c.AccountID], c.ID)
	}
	for _, k := range c.Contracts {
		s.contracts[k.ID] = append(s.contracts[k.ID], c.ID)
		own.billed[k.ID] = true
		for _, other := range k.Customers {
			if o := s.customers[other]; o != nil {
				o.billed[k.ID] = true
			}
		}
	}
	for _, code := range c.CPCodes {
		s.codes[code.ID] = append(s.codes[code.ID], c.ID)
		own.codes[code.ID] = true
	}
	for _, g := range c.ReportingGroups {
		s.groups[g.ID] = append(s.groups[g.ID], c.ID)
	}
	for _, g := range c.AccountGroups {
		s.aids[g.AID] = append(s.aids[g.AID], c.ID)
		own.accountGroups[g.AID] = true
	}
	for _, a := range c.Agents {
		own.agents[a.ID] = a
	}
}

// check reports references of doc that lead nowhere.
func (s *scope) check(doc *Document) problems {
	v := &validator{}
	for i, p := range doc.Products {
		for j, u := range p.UsageTypes {
			at := item(item("products", i)+".usage_types", j)
			s.checkMeter(v, at, u.Meter, u.Where)
		}
	}
	if u := doc.Units; u != nil {
		if u.Cloud != nil {
			s.checkMeter(v, "units.cloud", u.Cloud.Meter, nil)
		}
		if u.Enterprise != nil {
			s.checkMeter(v, "units.enterprise", u.Enterprise.Meter, nil)
		}
	}
	for i := range doc.Customers {
		s.checkCustomer(v, item("customers", i), &doc.Customers[i])
	}
	for i, e := range doc.Entitlements {
		at := item("entitlements", i)
		if s.customers[e.Customer] == nil {
			v.problems.add(at+".customer", "there is no customer %q", meter.Clip(e.Customer))
		}
		s.checkProduct(v, at+".product", e.Product)
		for j, d := range e.Dimensions {
			if d.Meter != "" {
				s.checkMeter(v, item(at+".dimensions", j), d.Meter, d.Where)
			}
		}
	}
	return v.problems
}

func (s *scope) checkMeter(v *validator, at, key string, where map[string]string) {
	m, ok := s.meters[key]
	if !ok {
		v.problems.add(at+".meter", "there is no meter %q", meter.Clip(key))
		return
	}
	for _, attribute := range sortedKeys(where) {
		if !slices.Contains(m.GroupBy, attribute) {
			v.problems.add(at+".where."+meter.Clip(attribute), "meter %s does not group by %q", key, meter.Clip(attribute))
		}
	}
}

func (s *scope) checkProduct(v *validator, at, id string) {
	if !s.products[id] {
		v.problems.add(at, "there is no product %q", meter.Clip(id))
	}
}

func (s *scope) checkCustomer(v *validator, at string, c *Customer) {
	own := s.customers[c.ID]
	owner(v, at+".account_id", c.ID, c.AccountID, s.accounts)
	for i, k := range c.Contracts {
		at := item(at+".contracts", i)
		owner(v, at+".id", c.ID, k.ID, s.contracts)
		for j, id := range k.Customers {
			if s.customers[id] == nil {
				v.problems.add(item(at+".customers", j), "there is no customer %q", meter.Clip(id))
			}
		}
		for j, t := range k.Terms {
			for n, id := range t.Products {
				s.checkProduct(v, item(item(at+".terms", j)+".products", n), id)
			}
		}
	}
	for i, code := range c.CPCodes {
		at := item(at+".cp_codes", i)
		owner(v, at+".id", c.ID, code.ID, s.codes)
		if !own.billed[code.Contract] {
			v.problems.add(at+".contract", "customer %s has no contract %q", meter.Clip(c.ID), meter.Clip(code.Contract))
		}
		if code.Product != "" {
			s.checkProduct(v, at+".product", code.Product)
		}
	}
	for i, g := range c.ReportingGroups {
		at := item(at+".reporting_groups", i)
		owner(v, at+".id", c.ID, g.ID, s.groups)
		for j, code := range g.CPCodes {
			if !own.codes[code] {
				v.problems.add(item(at+".cp_codes", j), "customer %s has no CP code %d", meter.Clip(c.ID), code)
			}
		}
	}
	s.checkTests(v, at, c, own)
}

func (s *scope) checkTests(v *validator, at string, c *Customer, own *customerScope) {
	for i, g := range c.AccountGroups {
		owner(v, item(at+".account_groups", i)+".aid", c.ID, g.AID, s.aids)
	}
	group := func(at, aid string) {
		if !own.accountGroups[aid] {
			v.problems.add(at+".account_group", "customer %s has no account group %q", meter.Clip(c.ID), meter.Clip(aid))
		}
	}
	for i, a := range c.Agents {
		group(item(at+".agents", i), a.AccountGroup)
	}
	for i, t := range c.Tests {
		at := item(at+".tests", i)
		group(at, t.AccountGroup)
		for j, id := range t.Agents {
			a, ok := own.agents[id]
			switch {
			case !ok:
				v.problems.add(item(at+".agents", j), "customer %s has no agent %q", meter.Clip(c.ID), meter.Clip(id))
			case a.Kind != AgentEnterprise:
				v.problems.add(item(at+".agents", j), "agent %s is of kind %s and runs no tests", meter.Clip(id), a.Kind)
			}
		}
	}
}

// owner checks that nobody else has an id.
func owner[ID comparable](v *validator, at, customer string, id ID, has map[ID][]string) {
	for _, other := range has[id] {
		if other != customer {
			v.problems.add(at, "%v is customer %s's", id, meter.Clip(other))
		}
	}
}
