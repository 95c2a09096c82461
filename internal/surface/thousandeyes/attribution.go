package thousandeyes

import (
	"math/big"
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// Use is what one agent used for one test, as the meter groups it: the texts
// of the events, whatever the catalog knows of them.
type Use struct {
	AccountGroup, Test, Agent string
	Units                     meter.Decimal
}

// Plan is the load that one enabled, scheduled test puts on one agent, or on
// all its cloud agents.
type Plan struct {
	Test, Agent string
	Units       meter.Decimal // a run
	IntervalS   int
	Unrated     bool // the type of test has no rate: Units is unknown
}

// Stretch is a part of a range in which no test and no agent changed its
// account group, with what was used in it.
type Stretch struct {
	Owners     Owners
	Cloud      []Use // of no agent
	Enterprise []Use
}

// kindOf picks one kind of unit.
type kindOf func(s Stretch) []Use

func cloudUnits(s Stretch) []Use      { return s.Cloud }
func enterpriseUnits(s Stretch) []Use { return s.Enterprise }

// Owners says which account group each test and each agent of one customer
// belongs to, and which account groups it has.
type Owners struct {
	Tests, Agents map[string]string
	Groups        map[string]bool
}

// ofTest returns the account group of a test. The event's own counts only
// where the test is unknown, and only if it is the customer's; else there is
// none, "": the units stay the customer's, under no account group.
func (o Owners) ofTest(u Use) string { return o.group(o.Tests, u.Test, u.AccountGroup) }

func (o Owners) ofAgent(u Use) string { return o.group(o.Agents, u.Agent, u.AccountGroup) }

func (o Owners) group(owners map[string]string, id, given string) string {
	if aid, ok := owners[id]; ok {
		return aid
	}
	if o.Groups[given] {
		return given
	}
	return ""
}

// attribution is the row that a use belongs to.
type attribution func(o Owners, u Use) wire.Position

// The three ways in which units are shown. The last two differ in each
// account group where agents are shared, and have the same total.
func byTest(o Owners, u Use) wire.Position { return wire.Position{AID: o.ofTest(u), ID: u.Test} }

func byAgentOfTest(o Owners, u Use) wire.Position {
	return wire.Position{AID: o.ofTest(u), ID: u.Agent}
}

func byAgent(o Owners, u Use) wire.Position { return wire.Position{AID: o.ofAgent(u), ID: u.Agent} }

// account is one row before it is rounded.
type account struct {
	used    meter.Decimal // in the range that was asked for
	cycle   meter.Decimal // in the current cycle up to now
	load    Load
	planned bool // something enabled is going to be used
	unrated bool // something enabled has no rate, so cannot be projected
}

// projected returns the units of the whole current cycle.
func (a *account) projected(remaining time.Duration) *big.Rat {
	return a.load.Projected(a.cycle, remaining)
}

// isZero reports whether a row says nothing.
func (a *account) isZero() bool { return a.used.IsZero() && a.cycle.IsZero() && a.load.IsZero() }

// accounts are the rows of one answer.
type accounts map[wire.Position]*account

func (a accounts) at(p wire.Position) *account {
	if a[p] == nil {
		a[p] = &account{}
	}
	return a[p]
}

// use adds what was used in the range that was asked for.
func (a accounts) use(by attribution, stretches []Stretch, kind kindOf) {
	for _, s := range stretches {
		for _, u := range kind(s) {
			row := a.at(by(s.Owners, u))
			row.used = row.used.Add(u.Units)
		}
	}
}

// useCycle adds what was used in the current cycle up to now.
func (a accounts) useCycle(by attribution, stretches []Stretch, kind kindOf) {
	for _, s := range stretches {
		for _, u := range kind(s) {
			row := a.at(by(s.Owners, u))
			row.cycle = row.cycle.Add(u.Units)
		}
	}
}

// plan adds what is going to be used.
func (a accounts) plan(o Owners, by attribution, plans []Plan) {
	for _, p := range plans {
		row := a.at(by(o, Use{Test: p.Test, Agent: p.Agent}))
		if p.Unrated {
			row.unrated = true
			continue
		}
		row.load.Add(p.Units, p.IntervalS)
		row.planned = true
	}
}

// total is all rows as one.
func (a accounts) total() account {
	var t account
	for _, row := range a {
		t.used, t.cycle = t.used.Add(row.used), t.cycle.Add(row.cycle)
		t.load.AddLoad(row.load)
	}
	return t
}

// positions returns the rows that are not zero, in the order of answers.
func (a accounts) positions() []wire.Position {
	var out []wire.Position
	for p, row := range a {
		if !row.isZero() {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, wire.ComparePositions)
	return out
}
