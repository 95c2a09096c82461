package marketplace

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the databases, which the tests damage
	_ "modernc.org/sqlite"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/cloudevents"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
	"odometer/internal/records"
)

// step does one random thing.
func (p *proof) step() {
	ctx := context.Background()
	switch n := p.r.IntN(100); {
	case n < 22:
		p.postSome()
	case n < 42:
		p.eventSome()
	case n < 45:
		p.voidSome()
	case n < 50:
		p.touchSome()
	case n < 53:
		suspended := p.r.IntN(2) == 0
		s := p.any()
		p.note("suspend %s %v", s.id, suspended)
		p.m.Suspend(s.account(), suspended)
	case n < 55:
		_, err := p.records.AddCredit(ctx, org, p.any().id, meter.NewDecimal(1+p.r.Int64N(5)).Quo(meter.NewDecimal(7)), billing.Idempotency{}, "test")
		p.must(err)
	case n < 58:
		p.note("faults")
		for _, cloud := range clouds {
			p.m.SetFaults(cloud, simulator.Faults{Throttle: p.r.IntN(15), Error: p.r.IntN(15), Drop: p.r.IntN(15), ErrorAfter: p.r.IntN(15), Partial: p.r.IntN(15),
				Unavailable: p.r.IntN(10), Credentials: p.r.IntN(10)})
		}
	case n < 60:
		p.answers(func() { p.foreign = []int{0, 0, 20, 100}[p.r.IntN(4)] })
		p.note("somebody else answers %d in 100", p.foreign)
	case n < 62:
		p.answers(func() { p.forbidden = []string{"", p.all[p.r.IntN(6)].account()}[p.r.IntN(2)] })
		p.note("403 for %q", p.forbidden)
	case n < 63:
		p.answers(func() { p.less = p.all[p.r.IntN(6)].account() })
	case n < 65:
		p.crash = append([]string{"", ""}, faultBeforeFreeze, faultBeforeSend, faultAfterSend, faultAfterBook)[p.r.IntN(6)]
		p.note("crash at %q", p.crash)
	case n < 66:
		p.slow = p.r.IntN(2) == 0
	case n < 68:
		p.resolveSome()
	case n < 70:
		p.changeTerms()
	case n < 71:
		p.tamper()
	case n < 75:
		hours := p.r.IntN(8)
		if p.r.IntN(6) == 0 {
			hours = 20 + p.r.IntN(20) // the reporter was away, and windows have closed
		}
		p.clock.Advance(time.Duration(hours)*time.Hour + time.Duration(p.r.IntN(60))*time.Minute)
		p.note("away")
	case n < 76:
		p.restart()
		p.note("restart")
	default:
		p.clock.Advance(time.Duration(p.r.IntN(40)) * time.Minute)
		p.pass()
	}
}

func (p *proof) postSome() {
	s := p.any()
	at := p.clock.Now().Add(-time.Duration(p.r.IntN(100)) * time.Minute)
	if p.r.IntN(10) == 0 {
		at = at.Add(-time.Duration(p.r.IntN(40)) * time.Hour)
	}
	if !s.ends.IsZero() && !at.Before(s.ends) {
		return
	}
	n := records.NewRecordGroup{ID: "g" + strconv.Itoa(len(p.groups)), Entitlement: s.id, Time: at,
		Records: map[string]meter.Decimal{"gb": decimal(fmt.Sprintf("%d.%07d", p.r.IntN(400), p.r.IntN(1e7)))}}
	if p.r.IntN(2) == 0 {
		n.Records["seat"] = decimal(fmt.Sprintf("0.%d", p.r.IntN(10)))
	}
	if p.r.IntN(12) == 0 {
		n.Records["gb"] = meter.NewDecimal(1e9 * (1 + p.r.Int64N(30)))
	}
	if _, err := p.room.ReportGroup(context.Background(), access.Job(org, "test"), n, records.Idempotency{}); err != nil {
		p.t.Fatalf("%+v: %v", n, err)
	}
	p.note("post %s %v at %s", s.id, n.Records, at.Format("01-02 15:04"))
	p.groups = append(p.groups, n.ID)
}

func (p *proof) eventSome() {
	for range 1 + p.r.IntN(3) {
		s := p.all[4+p.r.IntN(5)]
		at := p.clock.Now().Add(-time.Duration(p.r.IntN(100)) * time.Minute)
		if p.r.IntN(8) == 0 {
			at = at.Add(-time.Duration(p.r.IntN(60)) * time.Hour)
		}
		id := meter.Identity{Source: "edge", ID: strconv.Itoa(len(p.events))}
		p.events = append(p.events, id)
		body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"edge","type":"traffic","subject":"acme","time":%q,"data":{"bytes":%d.%d,"entitlement":%q,"product":"cdn"}}`,
			id.ID, at.Format(time.RFC3339), p.r.IntN(30), p.r.IntN(10), s.id)
		got, err := p.service.Ingest(context.Background(), access.Job(org, "test"), []byte(body), cloudevents.Auto, false)
		if err != nil || got.Accepted != 1 {
			p.t.Fatalf("%+v, %v", got, err)
		}
		p.note("event of %s at %s", s.id, at.Format("01-02 15:04"))
	}
}

func (p *proof) voidSome() {
	if len(p.events) > 0 {
		_, err := p.ledger.Void(context.Background(), org, []meter.Identity{p.events[p.r.IntN(len(p.events))]}, "test", "test")
		p.must(err)
		p.note("void")
	}
}

// touchSome deletes or retries a group, which may be refused.
func (p *proof) touchSome() {
	if len(p.groups) == 0 {
		return
	}
	id, who := p.groups[p.r.IntN(len(p.groups))], access.Job(org, "test")
	var err error
	if p.r.IntN(3) > 0 {
		_, err = p.room.RetryGroup(context.Background(), who, id, time.Time{})
	} else {
		_, err = p.room.DeleteGroup(context.Background(), who, id, time.Time{})
	}
	if err != nil && meter.KindOf(err) != meter.KindInvalid {
		p.t.Fatal(err)
	}
	p.note("touch %s: %v", id, err)
}

// resolveSome lets a person, who knows what the marketplace holds, end something.
func (p *proof) resolveSome() {
	stuck := slices.DeleteFunc(p.stuck(), func(l billing.StuckLine) bool { return l.State == billing.LineFrozen || l.State == billing.LineMoved })
	if len(stuck) == 0 {
		return
	}
	l := stuck[p.r.IntN(len(stuck))]
	as := []string{billing.LineMoved, billing.LineElsewhere, billing.LineRefused, billing.LineSettled}[p.r.IntN(4)]
	if held, is := p.held(l); l.Operation != "" && is {
		if held.Cmp(l.Quantity) != 0 || l.State == billing.LineRefused {
			return
		}
		as = billing.LineSettled
	} else if l.Operation != "" && as == billing.LineSettled || l.State == billing.LineRefused && as == billing.LineRefused {
		as = billing.LineMoved
	}
	p.note("resolve %s of %s, %s, as %s", l.Dimension, l.Entitlement, l.State, as)
	p.must(p.room.ResolveReport(context.Background(), access.Job(org, "test"), l.Report, l.Dimension, as))
}

// held is what a marketplace holds for a line.
func (p *proof) held(l billing.StuckLine) (meter.Decimal, bool) {
	for _, e := range p.m.Ledger() {
		if account := "account-" + l.Entitlement; slices.Contains([]string{account, azureResource(account), gcpConsumer(account)}, e.Account) && e.Dimension == l.Dimension && e.Hour.Equal(l.Hour) {
			return e.Quantity, true
		}
	}
	return meter.Decimal{}, false
}

// changeTerms begins a term, or ends an entitlement of which no meter is read.
func (p *proof) changeTerms() {
	s := p.any()
	now := p.clock.Now().Truncate(time.Second)
	switch {
	case !s.ends.IsZero() && !now.Before(s.ends) || len(s.termStarts) > 3:
		return
	case p.r.IntN(6) == 0 && len(s.fed) == 0:
		s.ends = now.Add(time.Duration(p.r.IntN(200)) * time.Minute)
		p.note("%s ends %s", s.id, s.ends)
	default:
		at := now.Add(time.Duration(p.r.IntN(200)-100) * time.Minute)
		if n := len(s.termStarts); n > 0 && !at.After(s.termStarts[n-1]) || !s.ends.IsZero() && !at.Before(s.ends) {
			return
		}
		s.termStarts = append(s.termStarts, at)
		p.note("%s has a term from %s", s.id, at)
	}
	p.applyAll()
}

// tamper damages a frozen line.
func (p *proof) tamper() {
	lines, err := p.records.FrozenLines(context.Background(), org, 10)
	if meter.KindOf(err) == meter.KindCorrupt { // one is damaged already
		return
	}
	p.must(err)
	if len(lines) == 0 {
		return
	}
	l := lines[p.r.IntN(len(lines))]
	target := []string{`{}`, `[]`, `"x"`, `{"aws":{}}`, `{"azure":{}}`, `{"gcp":{}}`, strings.Replace(string(l.Target), `"quantity":"`, `"quantity":"9`, 1), `{"hour":1}`}[p.r.IntN(8)]
	query := `UPDATE report_lines SET target = ? WHERE operation = ?`
	if p.dollar {
		query = `UPDATE report_lines SET target = $1 WHERE operation = $2`
	}
	_, err = p.database.Exec(query, target, l.Operation)
	p.must(err)
	p.note("the target of %s %s is %s", l.Account, l.Dimension, target)
}
