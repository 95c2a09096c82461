package thousandeyes

import (
	"maps"
	"math/big"
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// Use is what one agent used for one test, as the meter groups it: the texts
// of the events, whatever the catalogue knows of them.
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
}

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
	used    meter.Decimal
	load    Load
	planned bool // there is something to project
}

// projected returns the whole cycle's units, given those of the cycle so far.
func (a *account) projected(remaining time.Duration) *big.Rat {
	return a.load.Projected(a.used, remaining)
}

// accounts are the rows of one answer.
type accounts map[wire.Position]*account

func (a accounts) at(p wire.Position) *account {
	if a[p] == nil {
		a[p] = &account{}
	}
	return a[p]
}

// use adds what was used.
func (a accounts) use(o Owners, by attribution, uses []Use) {
	for _, u := range uses {
		row := a.at(by(o, u))
		row.used = row.used.Add(u.Units)
	}
}

// plan adds what is going to be used.
func (a accounts) plan(o Owners, by attribution, plans []Plan) {
	for _, p := range plans {
		row := a.at(by(o, Use{Test: p.Test, Agent: p.Agent}))
		row.load.Add(p.Units, p.IntervalS)
		row.planned = true
	}
}

// total is all rows as one.
func (a accounts) total() account {
	var t account
	for _, row := range a {
		t.used = t.used.Add(row.used)
		t.load.AddLoad(row.load)
	}
	return t
}

// positions returns the rows that are not zero, in the order of answers.
func (a accounts) positions() []wire.Position {
	out := slices.DeleteFunc(slices.Collect(maps.Keys(a)), func(p wire.Position) bool {
		return a[p].used.IsZero() && a[p].load.IsZero()
	})
	slices.SortFunc(out, wire.ComparePositions)
	return out
}
