package thousandeyes

import (
	"slices"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// The catalog's words that mean something here.
const (
	pricingLegacy  = "legacy"    // of a customer: agents are billed by number
	ratePerTimeout = "timeout_s" // of a rate: for each second of the timeout
)

// customerOf returns a customer as the catalog has it at the time now, with
// the tests and agents that were removed before: units of them keep their
// names and account groups.
func customerOf(v *catalog.View, id string, now time.Time) (*Customer, bool) {
	known, ok := v.Customer(id)
	if !ok {
		return nil, false
	}
	c := &Customer{CycleDay: known.CycleDay, Metered: known.Pricing != pricingLegacy, Groups: map[string]string{}, Rates: map[string]Rate{}}
	if q := known.Quota; q != nil {
		c.Quota = wire.Quota{CloudUnitsIncluded: q.CloudUnits, EnterpriseAgentsIncluded: q.EnterpriseAgents, EndpointAgentsIncluded: q.EndpointAgents,
			EndpointAgentsEssentialsIncluded: q.EndpointAgentsEssentials, EndpointAgentsEmbeddedIncluded: q.EndpointAgentsEmbedded}
	}
	if units := v.Units(); units != nil {
		for kind, r := range units.Rates {
			c.Rates[kind] = Rate{r.CloudDecimal(), r.EnterpriseDecimal(), r.Per == ratePerTimeout}
		}
	}
	for _, g := range v.AccountGroupsOf(id) {
		c.Groups[g.AID] = g.Name
	}
	group := func(aid string) {
		if _, ok := c.Groups[aid]; !ok {
			c.Groups[aid] = v.AccountGroupName(id, aid)
		}
	}
	for _, h := range v.TestsIn(id, time.Time{}, wire.Latest) {
		t := h.Noun
		group(t.AccountGroup)
		if !h.From.After(now) { // the last version before now wins
			last := Test{ID: t.ID, Name: t.Name, Type: t.Type, AccountGroup: t.AccountGroup, IntervalS: t.IntervalS, TimeoutS: t.TimeoutS,
				CloudAgents: t.CloudAgents, Agents: t.Agents, Enabled: t.Enabled && now.Before(h.To), Instant: t.Instant}
			c.Tests = setLast(c.Tests, last, func(t Test) string { return t.ID })
		}
	}
	for _, h := range v.AgentsOf(id, time.Time{}, wire.Latest) {
		g := h.Noun
		group(g.AccountGroup)
		if !h.From.After(now) {
			last := Agent{ID: g.ID, Name: g.Name, AccountGroup: g.AccountGroup, Kind: AgentKind(g.Kind), Enabled: g.Enabled && now.Before(h.To)}
			c.Agents = setLast(c.Agents, last, func(a Agent) string { return a.ID })
		}
	}
	cycle := c.cycle(now)
	for _, h := range v.AgentsCounted(id, cycle.From, cycle.To) {
		i, ok := slices.BinarySearchFunc(c.Agents, h.Noun.ID, func(a Agent, id string) int { return strings.Compare(a.ID, id) })
		if ok {
			c.Agents[i].Spans = append(c.Agents[i].Spans, Span{meter.Period{From: h.From, To: h.To}, h.Noun.AccountGroup})
		}
	}
	return c, true
}

// setLast adds one, or replaces the last of list if that has the same id.
func setLast[T any](list []T, one T, id func(T) string) []T {
	if n := len(list); n > 0 && id(list[n-1]) == id(one) {
		list[n-1] = one
		return list
	}
	return append(list, one)
}

// stretchIn is a stretch and when it is.
type stretchIn struct {
	meter.Period
	Stretch
}

// ownersIn cuts a period where a test or an agent of the customer changed its
// account group, and says for each part what belonged where. What was removed
// keeps the account group that it had.
func ownersIn(v *catalog.View, id string, in meter.Period) []stretchIn {
	tests, agents := owning{}, owning{}
	cuts := []time.Time{in.From}
	for _, h := range v.TestsIn(id, time.Time{}, wire.Latest) {
		tests.add(h.Noun.ID, h.Noun.AccountGroup, h.From, in, &cuts)
	}
	for _, h := range v.AgentsOf(id, time.Time{}, wire.Latest) {
		agents.add(h.Noun.ID, h.Noun.AccountGroup, h.From, in, &cuts)
	}
	groups := map[string]bool{}
	for _, g := range v.AccountGroupsOf(id) {
		groups[g.AID] = true
	}
	slices.SortFunc(cuts, time.Time.Compare)
	cuts = append(slices.CompactFunc(cuts, time.Time.Equal), in.To)
	var out []stretchIn
	for i := range len(cuts) - 1 {
		out = append(out, stretchIn{meter.Period{From: cuts[i], To: cuts[i+1]},
			Stretch{Owners: Owners{Tests: tests.at(cuts[i]), Agents: agents.at(cuts[i]), Groups: groups}}})
	}
	return out
}

// owning is, by id, since when something has belonged to which account group.
type owning map[string][]since

type since struct {
	from time.Time
	aid  string
}

// add takes the next version of something, and cuts the period where it came
// under another account group.
func (o owning) add(id, aid string, from time.Time, in meter.Period, cuts *[]time.Time) {
	had := o[id]
	if n := len(had); n > 0 {
		if had[n-1].aid == aid {
			return
		}
		if from.After(in.From) && from.Before(in.To) {
			*cuts = append(*cuts, from)
		}
	}
	o[id] = append(had, since{from, aid})
}

// at returns what belonged where at an instant. Something holds from its first
// version on, and before.
func (o owning) at(t time.Time) map[string]string {
	out := make(map[string]string, len(o))
	for id, had := range o {
		out[id] = had[0].aid
		for _, s := range had {
			if !s.from.After(t) {
				out[id] = s.aid
			}
		}
	}
	return out
}
