package catalog

// owned are the ids that exist once in an organization, whoever has them.
type owned struct {
	accounts, contracts, aids map[string]itemPlace
	codes, groups             map[int64]itemPlace
}

func newOwned() owned {
	return owned{map[string]itemPlace{}, map[string]itemPlace{}, map[string]itemPlace{}, map[int64]itemPlace{}, map[int64]itemPlace{}}
}

func (v *validator) customers(customers []Customer) {
	once(v, "customers", "id", customers, func(c Customer) string { return c.ID })
	ids := newOwned()
	for i := range customers {
		c, at := &customers[i], item("customers", i)
		v.text(at+".id", c.ID)
		v.text(at+".name", c.Name)
		v.optional(at+".account_id", c.AccountID)
		if first, ok := ids.accounts[c.AccountID]; ok && c.AccountID != "" {
			v.problems.addTwice(at+".account_id", c.AccountID, first)
		}
		ids.accounts[c.AccountID] = itemPlace{"customers", i}
		v.between(at+".cycle_day", c.CycleDay, 1, maxCycleDay)
		v.oneOf(at+".pricing", c.Pricing, PricingUsage, PricingLegacy)
		once(v, at+".services", "id", c.Services, func(s Service) string { return s.ID })
		services := at + ".services"
		for j := range c.Services {
			v.named(services, j, c.Services[j].ID, c.Services[j].Name)
		}
		v.contracts(at+".contracts", c, ids)
		v.codes(at, c, ids)
		v.accountGroups(at, c, ids)
		v.quota(at+".quota", c.Quota)
	}
}

func (v *validator) contracts(path string, c *Customer, ids owned) {
	onceAmong(v, ids.contracts, path, "id", c.Contracts, func(k Contract) string { return k.ID })
	for i, k := range c.Contracts {
		at := item(path, i)
		v.text(at+".id", k.ID)
		v.order(at, k.Starts, k.Ends)
		v.listed(at+".customers", k.Customers)
		terms := at + ".terms"
		for j, t := range k.Terms {
			at := item(terms, j)
			v.listed(at+".products", t.Products)
			v.optional(at+".regions.attribute", t.Regions.Attribute)
			switch {
			case j > 0 && !k.Terms[j-1].From.Before(t.From.Time):
				v.problems.add(at+".from", "is not after that of the term before")
			case !t.From.IsZero() && t.From.Before(k.Starts.Time):
				v.problems.add(at+".from", "is before the contract starts")
			case !k.Ends.IsZero() && !t.From.Before(k.Ends.Time):
				v.problems.add(at+".from", "is not before the contract ends")
			}
		}
	}
}

func (v *validator) codes(path string, c *Customer, ids owned) {
	onceAmong(v, ids.codes, path+".cp_codes", "id", c.CPCodes, func(code CPCode) int64 { return code.ID })
	for i, code := range c.CPCodes {
		at := item(path+".cp_codes", i)
		v.number(at+".id", code.ID)
		v.text(at+".name", code.Name)
		v.text(at+".contract", code.Contract)
		v.optional(at+".product", code.Product)
	}
	onceAmong(v, ids.groups, path+".reporting_groups", "id", c.ReportingGroups, func(g ReportingGroup) int64 { return g.ID })
	for i, g := range c.ReportingGroups {
		at := item(path+".reporting_groups", i)
		v.number(at+".id", g.ID)
		v.text(at+".name", g.Name)
		seen := map[int64]bool{}
		for j, code := range g.CPCodes {
			if seen[code] {
				v.problems.add(item(at+".cp_codes", j), "%d is given twice", code)
			}
			seen[code] = true
		}
	}
}

// number checks an id that is a number.
func (v *validator) number(path string, id int64) {
	if id <= 0 {
		v.problems.add(path, "want a whole number of at least 1")
	}
}

func (v *validator) accountGroups(path string, c *Customer, ids owned) {
	onceAmong(v, ids.aids, path+".account_groups", "aid", c.AccountGroups, func(g AccountGroup) string { return g.AID })
	for i, g := range c.AccountGroups {
		at := item(path+".account_groups", i)
		v.text(at+".aid", g.AID)
		v.text(at+".name", g.Name)
	}
	once(v, path+".agents", "id", c.Agents, func(a Agent) string { return a.ID })
	for i, a := range c.Agents {
		at := item(path+".agents", i)
		v.text(at+".id", a.ID)
		v.text(at+".name", a.Name)
		v.oneOf(at+".kind", a.Kind, AgentEnterprise, AgentEndpoint, AgentEndpointEssentials, AgentEndpointEmbedded)
		v.text(at+".account_group", a.AccountGroup)
	}
	once(v, path+".tests", "id", c.Tests, func(t Test) string { return t.ID })
	for i, t := range c.Tests {
		at := item(path+".tests", i)
		v.text(at+".id", t.ID)
		v.text(at+".name", t.Name)
		v.text(at+".type", t.Type)
		v.text(at+".account_group", t.AccountGroup)
		v.listed(at+".agents", t.Agents)
		least := 1
		if t.Instant {
			least = 0
		}
		v.between(at+".interval_s", t.IntervalS, least, maxSeconds)
		v.between(at+".timeout_s", t.TimeoutS, 0, maxSeconds)
		v.between(at+".cloud_agents", t.CloudAgents, 0, maxCloudAgents)
	}
}

// maxCloudAgents bounds Test.CloudAgents, so that projections stay in range.
const maxCloudAgents = 1_000_000

func (v *validator) quota(path string, q *Quota) {
	if q == nil {
		return
	}
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"cloud_units", q.CloudUnits}, {"enterprise_agents", q.EnterpriseAgents}, {"endpoint_agents", q.EndpointAgents},
		{"endpoint_agents_essentials", q.EndpointAgentsEssentials}, {"endpoint_agents_embedded", q.EndpointAgentsEmbedded},
	} {
		if f.n < 0 {
			v.problems.add(path+"."+f.name, "%d is negative", f.n)
		}
	}
}
