package thousandeyes

import (
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// Customer is what answers need to know of one customer.
type Customer struct {
	CycleDay int
	Metered  bool              // billed by units; else enterprise agents are billed by number and use no units
	Quota    wire.Quota        // without its bounds
	Groups   map[string]string // names by aid, those of removed account groups too
	Tests    []Test            // those that were removed too, disabled
	Agents   []Agent           // those that were removed too, disabled
	Rates    map[string]Rate   // by type of test
}

// Test is a test as it is now.
type Test struct {
	ID, Name, Type, AccountGroup     string
	IntervalS, TimeoutS, CloudAgents int
	Agents                           []string
	Enabled, Instant                 bool
}

// Agent is an agent as it is now, and when it was enabled before.
type Agent struct {
	ID, Name, AccountGroup string
	Kind                   AgentKind
	Enabled                bool
	Spans                  []Span
}

// Span is a time in which an agent was enabled and belonged to one account group.
type Span struct {
	meter.Period // see HourlyMaximum
	AccountGroup string
}

// AgentKind is the kind of an agent, by the catalog's word.
type AgentKind string

// The kinds of agents.
const (
	Enterprise         AgentKind = "enterprise"
	Endpoint           AgentKind = "endpoint"
	EndpointEssentials AgentKind = "endpoint_essentials"
	EndpointEmbedded   AgentKind = "endpoint_embedded"
)

// cycle returns the billing cycle that holds now.
func (c *Customer) cycle(now time.Time) meter.Period { return meter.Cycle(now, c.CycleDay) }

// owners returns which account group everything belongs to now.
func (c *Customer) owners() Owners {
	o := Owners{Tests: map[string]string{}, Agents: map[string]string{}, Groups: map[string]bool{}}
	for aid := range c.Groups {
		o.Groups[aid] = true
	}
	for _, t := range c.Tests {
		o.Tests[t.ID] = t.AccountGroup
	}
	for _, a := range c.Agents {
		o.Agents[a.ID] = a.AccountGroup
	}
	return o
}

func (c *Customer) group(aid string) wire.AccountGroup {
	return wire.AccountGroup{AID: aid, Name: c.Groups[aid]}
}

// plans returns what the configuration is going to use: enabled tests at their
// interval, on cloud agents and on enabled enterprise agents. Instant tests
// count when they run, and are not planned.
func (c *Customer) plans() (cloud, enterprise []Plan) {
	enabled := map[string]bool{}
	for _, a := range c.Agents {
		enabled[a.ID] = a.Enabled && a.Kind == Enterprise
	}
	for _, t := range c.Tests {
		if !t.Enabled || t.Instant || t.IntervalS <= 0 {
			continue
		}
		rate, rated := c.Rates[t.Type]
		if t.CloudAgents > 0 {
			cloud = append(cloud, Plan{Test: t.ID, Units: rate.CloudRun(t.TimeoutS, t.CloudAgents), IntervalS: t.IntervalS, Unrated: !rated})
		}
		for _, agent := range t.Agents {
			if c.Metered && enabled[agent] {
				enterprise = append(enterprise, Plan{t.ID, agent, rate.EnterpriseRun(t.TimeoutS), t.IntervalS, !rated})
			}
		}
	}
	return cloud, enterprise
}

// collect returns the rows of one kind of unit: used in the range, used in the
// cycle, and planned.
func collect(o Owners, by attribution, kind kindOf, used, cycle []Stretch, plans []Plan) accounts {
	rows := accounts{}
	rows.use(by, used, kind)
	rows.useCycle(by, cycle, kind)
	rows.plan(o, by, plans)
	return rows
}

// Usage answers GET /v7/usage at the time now; cycle is what was used in the
// current cycle until then.
func (c *Customer) Usage(r wire.UsageRequest, now time.Time, cycle []Stretch) wire.Usage {
	period := c.cycle(now)
	remaining := period.To.Sub(now)
	next := c.cycle(period.To)
	owners := c.owners()
	cloudPlans, enterprisePlans := c.plans()
	if !c.Metered {
		cycle = slices.Clone(cycle)
		for i := range cycle {
			cycle[i].Enterprise = nil
		}
	}
	cloud := collect(owners, byTest, cloudUnits, cycle, cycle, cloudPlans)
	enterprise := collect(owners, byAgent, enterpriseUnits, cycle, cycle, enterprisePlans)

	u := wire.Usage{Quota: c.Quota}
	u.Quota.MonthStart, u.Quota.MonthEnd = wire.Time(period.From), wire.Time(period.To)
	if c.Metered {
		u.Quota.EnterpriseAgentsIncluded = 0
	}
	total := cloud.total()
	u.CloudUnitsUsed = wire.RoundUnits(total.used)
	u.CloudUnitsProjected = roundUnits(total.projected(remaining))
	u.CloudUnitsNextBillingPeriod = roundUnits(total.load.Projected(meter.Decimal{}, next.To.Sub(next.From)))
	total = enterprise.total()
	u.EnterpriseUnitsUsed = wire.RoundUnits(total.used)
	u.EnterpriseUnitsProjected = roundUnits(total.projected(remaining))
	u.EnterpriseUnitsNextBillingPeriod = roundUnits(total.load.Projected(meter.Decimal{}, next.To.Sub(next.From)))
	c.countAgents(&u, r, period, now)
	if r.Has(wire.ExpandTest) {
		u.Tests = c.testRows(cloud, remaining)
	}
	if r.Has(wire.ExpandEnterpriseUnit) {
		u.EnterpriseAgentUnits = c.agentRows(enterprise, enterprise.positions(), remaining, false)
	}
	return u
}

// countAgents fills in the numbers of agents, and their arrays.
func (c *Customer) countAgents(u *wire.Usage, r wire.UsageRequest, cycle meter.Period, now time.Time) {
	u.EnterpriseAgentsUsed = c.most(Enterprise, "", cycle, now)
	u.EndpointAgentsUsed = c.most(Endpoint, "", cycle, now)
	u.EndpointAgentsEssentialsUsed = c.most(EndpointEssentials, "", cycle, now)
	u.EndpointAgentsEmbeddedUsed = c.most(EndpointEmbedded, "", cycle, now)
	var aids []string
	for aid := range c.Groups {
		aids = append(aids, aid)
	}
	slices.SortFunc(aids, func(a, b string) int {
		return wire.ComparePositions(wire.Position{AID: a}, wire.Position{AID: b})
	})
	u.EnterpriseAgents = counts(c, r.Has(wire.ExpandEnterpriseAgent), aids, func(g wire.AccountGroup) (wire.EnterpriseAgents, bool) {
		n := c.most(Enterprise, g.AID, cycle, now)
		return wire.EnterpriseAgents{AccountGroup: g, Used: n}, n > 0
	})
	u.EndpointAgents = counts(c, r.Has(wire.ExpandEndpointAgent), aids, func(g wire.AccountGroup) (wire.EndpointAgents, bool) {
		n := c.most(Endpoint, g.AID, cycle, now)
		return wire.EndpointAgents{AccountGroup: g, Used: n}, n > 0
	})
	u.EndpointAgentsEssentials = counts(c, r.Has(wire.ExpandEndpointEssentials), aids, func(g wire.AccountGroup) (wire.EndpointEssentials, bool) {
		n := c.most(EndpointEssentials, g.AID, cycle, now)
		return wire.EndpointEssentials{AccountGroup: g, Used: n}, n > 0
	})
	u.EndpointAgentsEmbedded = counts(c, r.Has(wire.ExpandEndpointEmbedded), aids, func(g wire.AccountGroup) (wire.EndpointEmbedded, bool) {
		n := c.most(EndpointEmbedded, g.AID, cycle, now)
		return wire.EndpointEmbedded{AccountGroup: g, Used: n}, n > 0
	})
}

// counts returns a row for each account group that has one; nil if they were not asked for.
func counts[Row any](c *Customer, asked bool, aids []string, count func(g wire.AccountGroup) (Row, bool)) []Row {
	if !asked {
		return nil
	}
	rows := []Row{}
	for _, aid := range aids {
		if row, ok := count(c.group(aid)); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

// most returns the hourly maximum of one kind of agent, in one account group
// or, for "", in all.
func (c *Customer) most(kind AgentKind, aid string, cycle meter.Period, now time.Time) int64 {
	var agents [][]meter.Period
	for _, a := range c.Agents {
		if a.Kind != kind {
			continue
		}
		var periods []meter.Period
		for _, s := range a.Spans {
			if aid == "" || s.AccountGroup == aid {
				periods = append(periods, s.Period)
			}
		}
		agents = append(agents, periods)
	}
	return int64(hourlyMaximum(agents, cycle, now))
}

func (c *Customer) testsByID() map[string]Test {
	m := make(map[string]Test, len(c.Tests))
	for _, t := range c.Tests {
		m[t.ID] = t
	}
	return m
}

func (c *Customer) testRows(rows accounts, remaining time.Duration) []wire.TestUsage {
	tests := c.testsByID()
	out := []wire.TestUsage{}
	for _, p := range rows.positions() {
		t := tests[p.ID]
		out = append(out, wire.TestUsage{AccountGroup: c.group(p.AID), TestID: p.ID, TestName: t.Name, TestType: t.Type,
			CloudUnitsUsed: wire.RoundUnits(rows[p].used), CloudUnitsProjected: rows[p].member(remaining, false)})
	}
	return out
}

// member is a row's projection, nil where there is none: what is enabled has
// no rate, or the range is past and nothing is enabled now.
func (a *account) member(remaining time.Duration, past bool) *wire.Units {
	if !a.planned && (a.unrated || past) {
		return nil
	}
	return roundUnits(a.projected(remaining)).Optional()
}

func (c *Customer) agentRows(rows accounts, positions []wire.Position, remaining time.Duration, past bool) []wire.EnterpriseAgentUnit {
	names := map[string]string{}
	for _, a := range c.Agents {
		names[a.ID] = a.Name
	}
	out := []wire.EnterpriseAgentUnit{}
	for _, p := range positions {
		out = append(out, wire.EnterpriseAgentUnit{AccountGroup: c.group(p.AID), AgentID: p.ID, AgentName: names[p.ID],
			EnterpriseUnitsUsed: wire.RoundUnits(rows[p].used), EnterpriseUnitsProjected: rows[p].member(remaining, past)})
	}
	return out
}

// Units is what the units operations answer from.
type Units struct {
	Range []Stretch // what was used in the range that was asked for
	Cycle []Stretch // what was used in the current cycle up to now
}

// past reports whether a range lies before the current cycle: then rows are
// only of what was used in it.
func (c *Customer) past(r wire.UnitsRequest) bool { return !r.Range.To.After(c.cycle(r.Now).From) }

// TestUnits answers a page of at most size rows of GET /v7/usage/units/tests,
// and the position of its last row if there are more.
func (c *Customer) TestUnits(r wire.UnitsRequest, u Units, size int) ([]wire.TestUnits, *wire.Position) {
	owners, past := c.owners(), c.past(r)
	remaining := c.cycle(r.Now).To.Sub(r.Now)
	cloudPlans, enterprisePlans := c.plans()
	cloud := collect(owners, byTest, cloudUnits, u.Range, u.Cycle, cloudPlans)
	enterprise := collect(owners, byTest, enterpriseUnits, u.Range, u.Cycle, enterprisePlans)
	all := append(cloud.shown(past), enterprise.shown(past)...)
	slices.SortFunc(all, wire.ComparePositions)
	page, next := cut(slices.Compact(all), r.After, size)
	tests := c.testsByID()
	out := []wire.TestUnits{}
	for _, p := range page {
		t := tests[p.ID]
		x, y := cloud.at(p), enterprise.at(p)
		row := wire.TestUnits{AccountGroup: c.group(p.AID), TestID: p.ID, TestName: t.Name, TestType: t.Type, IsInstantTest: t.Instant,
			CloudUnitsUsed: wire.RoundUnits(x.used), EnterpriseUnitsUsed: wire.RoundUnits(y.used)}
		// A test is projected as a whole: on agents of a kind it does not use, as none.
		if running := x.planned || y.planned; running || !x.unrated && !y.unrated && !past {
			row.CloudUnitsProjected = roundUnits(x.projected(remaining)).Optional()
			row.EnterpriseUnitsProjected = roundUnits(y.projected(remaining)).Optional()
		}
		out = append(out, row)
	}
	return out, next
}

// AgentUnits answers a page of at most size rows of GET
// /v7/usage/units/enterprise-agents, and the position of its last row if there
// are more.
func (c *Customer) AgentUnits(r wire.UnitsRequest, u Units, size int) ([]wire.EnterpriseAgentUnit, *wire.Position) {
	past := c.past(r)
	_, plans := c.plans()
	rows := collect(c.owners(), byAgentOfTest, enterpriseUnits, u.Range, u.Cycle, plans)
	page, next := cut(rows.shown(past), r.After, size)
	return c.agentRows(rows, page, c.cycle(r.Now).To.Sub(r.Now), past), next
}

// shown returns the rows of a units operation in their order.
func (a accounts) shown(past bool) []wire.Position {
	return slices.DeleteFunc(a.positions(), func(p wire.Position) bool { return past && a[p].used.IsZero() })
}

// cut returns at most size of the positions after one, which need not be
// there any more, and the last of them if more follow.
func cut(all []wire.Position, after *wire.Position, size int) (page []wire.Position, next *wire.Position) {
	if after != nil {
		i, found := slices.BinarySearchFunc(all, *after, wire.ComparePositions)
		if found {
			i++
		}
		all = all[i:]
	}
	if len(all) <= size {
		return all, nil
	}
	last := all[size-1]
	return all[:size], &last
}
