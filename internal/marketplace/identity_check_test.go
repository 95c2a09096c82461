package marketplace

import (
	"context"
	"encoding/json"
	"maps"
	"odometer/internal/billing"
	"slices"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// pass makes a pass that may be cut short, and takes note of what it has to have read.
func (p *proof) pass() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.cancel = cancel
	through := p.reporter.timing.through(p.clock.Now())
	reads := through.After(p.reporter.read[org])
	fresh, moved := map[*seller]map[string]meter.Decimal{}, map[string]meter.Decimal{}
	if reads {
		moved = p.moved()
		for _, s := range p.all {
			fresh[s] = map[string]meter.Decimal{}
			for dimension := range s.fed {
				fresh[s][dimension] = p.figure(s, dimension, through)
			}
		}
	}
	err := p.reporter.RunOnce(ctx, p.clock.Now())
	cut := ctx.Err() != nil || meter.KindOf(err) == meter.KindCorrupt // a damaged line is parked when it is due, and told until then
	p.note("pass, reads %v, cut %v: %v", reads, cut, err)
	if err != nil && !cut {
		p.t.Fatal(err)
	}
	if !reads {
		return
	}
	again := !through.After(p.through)
	p.through = latest(p.through, through)
	var all map[billing.DimensionKey]billing.Balance
	var now map[string]meter.Decimal
	if cut || again {
		all, now = p.accounts(), p.moved()
	}
	for s, figures := range fresh {
		for dimension, figure := range figures {
			key := s.id + "/" + dimension
			mapped := all[billing.DimensionKey{Entitlement: s.id, Dimension: dimension}].Mapped
			if cut && !again && mapped.Add(now[key]).Sub(moved[key]).Cmp(figure) != 0 {
				continue // it was not this one's turn
			}
			if again { // by a reporter that was restarted: where all hours are reported, some of it is for the next
				figure, moved[key] = mapped, now[key]
			}
			s.read[dimension], s.movedThen[dimension] = figure, moved[key]
		}
	}
}

// figure is what the ledger says of a dimension's meter in the hours before an instant.
func (p *proof) figure(s *seller, dimension string, before time.Time) meter.Decimal {
	p.t.Helper()
	q := meter.UsageQuery{Meter: dimension, From: proofStart, To: before, Window: meter.WindowHour,
		Filters: []meter.AttrFilter{{Attribute: "entitlement", Values: []string{s.id}}}}
	total := meter.Decimal{}
	for {
		u, err := p.service.Usage(context.Background(), access.Job(org, "test"), q)
		p.must(err)
		for _, row := range u.Rows {
			total = total.Add(row.Value)
		}
		if q.Cursor = u.NextCursor; q.Cursor == "" {
			return total.Mul(decimal("0.7"))
		}
	}
}

// posted is what the ledger says of usage that was reported, by entitlement and dimension.
func (p *proof) posted() map[billing.DimensionKey]meter.Decimal {
	p.t.Helper()
	out := map[billing.DimensionKey]meter.Decimal{}
	q := meter.UsageQuery{Meter: "posted", From: proofStart.AddDate(0, -2, 0), To: proofStart.AddDate(0, 12, 0), GroupBy: []string{"entitlement", "dimension"}}
	for {
		u, err := p.service.Usage(context.Background(), access.Job(org, "test"), q)
		p.must(err)
		for _, row := range u.Rows {
			out[billing.DimensionKey{Entitlement: row.Group[0], Dimension: row.Group[1]}] = row.Value
		}
		if q.Cursor = u.NextCursor; q.Cursor == "" {
			return out
		}
	}
}

// moved is all that was ever read of meters and moved, by entitlement and dimension.
func (p *proof) moved() map[string]meter.Decimal {
	p.t.Helper()
	rows, err := p.database.Query(`SELECT entitlement, dimension, body FROM report_portions WHERE state = 'moved'`)
	p.must(err)
	defer rows.Close()
	out := map[string]meter.Decimal{}
	for rows.Next() {
		var entitlement, dimension, body string
		p.must(rows.Scan(&entitlement, &dimension, &body))
		var portion billing.Portion
		p.must(json.Unmarshal([]byte(body), &portion))
		out[entitlement+"/"+dimension] = out[entitlement+"/"+dimension].Add(portion.Metered)
	}
	p.must(rows.Err())
	return out
}

func (p *proof) accounts() map[billing.DimensionKey]billing.Balance {
	p.t.Helper()
	all, err := p.records.Balances(context.Background(), org, "")
	p.must(err)
	return all
}

// check holds every account against the ledger.
func (p *proof) check() map[billing.DimensionKey]billing.Balance {
	p.t.Helper()
	all, posted := p.accounts(), p.posted()
	ours := meter.Decimal{}
	for k, b := range all {
		if !b.Holds() {
			p.t.Errorf("%v does not add up: %+v", k, b)
		}
		ours = ours.Add(b.Sent)
		if k.Dimension == "gb" || k.Dimension == "seat" {
			if parts := b.Settled.Add(b.Carry).Add(b.Pending).Add(b.Failed).Add(b.Parked).Add(b.Absorbed); parts.Cmp(posted[k]) != 0 {
				p.t.Errorf("%v: the ledger says %s, the accounts %s: %+v", k, posted[k], parts, b)
			}
		}
	}
	for k, q := range posted {
		if _, is := all[k]; !is && !q.IsZero() {
			p.t.Errorf("%v: the ledger says %s, there is no account", k, q)
		}
	}
	moved := p.moved()
	for _, s := range p.all {
		for dimension := range s.fed {
			b := all[billing.DimensionKey{Entitlement: s.id, Dimension: dimension}]
			parts := b.Settled.Add(b.Carry).Add(b.Pending).Add(b.Failed).Add(b.Parked).Add(b.Absorbed)
			// What was moved since its meter was read will be read again.
			if got := parts.Add(moved[s.id+"/"+dimension]).Sub(s.movedThen[dimension]); got.Cmp(s.read[dimension]) != 0 {
				p.t.Errorf("%s of %s: the ledger said %s when it was read, the accounts %s and moved make %s: %+v", dimension, s.id, s.read[dimension], parts, got, b)
			}
		}
	}
	theirs := meter.Decimal{}
	for _, e := range p.m.Ledger() {
		theirs = theirs.Add(e.Quantity)
	}
	if ours.Cmp(theirs) > 0 {
		p.t.Errorf("booked %s, accepted %s", ours, theirs)
	}
	for _, v := range p.m.Violations() {
		if !strings.HasPrefix(v, "Azure") || !strings.Contains(v, "sent again with") { // of which half was recorded
			p.t.Errorf("the marketplaces complain: %s", v)
		}
	}
	return all
}

// rest lets everything come to its end.
func (p *proof) rest(hours int) map[billing.DimensionKey]billing.Balance {
	p.t.Helper()
	for hour := range hours {
		p.clock.Advance(time.Hour)
		p.pass()
		if hour%4 == 0 {
			p.clock.Advance(6 * time.Minute)
			p.pass()
			p.check()
		}
	}
	return p.check()
}

// settle ends all faults but one and lets everything come to its end.
func (p *proof) settle() {
	p.t.Helper()
	p.crash, p.slow = "", false
	p.answers(func() { p.foreign, p.less = 0, "" })
	for _, cloud := range clouds {
		p.m.SetFaults(cloud, simulator.Faults{})
	}
	for _, s := range p.all {
		p.m.Suspend(s.account(), false)
	}
	held := p.forbidden
	if held == "" {
		held = p.all[0].account()
		p.answers(func() { p.forbidden = held })
	}
	p.note("settle")
	for k, b := range p.rest(26) { // the one that is answered 403 keeps no other
		if "account-"+k.Entitlement != held && !b.Pending.IsZero() && !p.leaves(k) {
			p.t.Errorf("%v: %s is pending, though only %s is answered 403", k, b.Pending, held)
		}
	}
	p.answers(func() { p.forbidden = "" })
	p.note("settle, no more 403")
	p.settled(p.rest(26))
}

// leaves says whether usage of an entitlement may stay unreported: it is over.
func (p *proof) leaves(k billing.DimensionKey) bool {
	for _, s := range p.all {
		if s.id == k.Entitlement {
			return !s.ends.IsZero()
		}
	}
	return false
}

// settled checks what is left when everything has come to its end.
func (p *proof) settled(all map[billing.DimensionKey]billing.Balance) {
	p.t.Helper()
	stuck, reserved, unsure := map[billing.DimensionKey]meter.Decimal{}, map[billing.DimensionKey]bool{}, meter.Decimal{}
	for _, l := range p.stuck() {
		k := billing.DimensionKey{Entitlement: l.Entitlement, Dimension: l.Dimension}
		stuck[k] = stuck[k].Add(l.Usage)
		if l.State == billing.LineFrozen || l.Message == "" || l.Operation != "" && l.Deadline.IsZero() {
			p.t.Errorf("not decided, or without its reason: %+v", l)
		}
		reserved[k] = reserved[k] || l.State == billing.LineParked && l.Operation != ""
		if held, is := p.held(l); is && l.Operation != "" {
			unsure = unsure.Add(held)
		}
	}
	through := p.reporter.timing.through(p.clock.Now())
	booked := meter.Decimal{}
	for _, s := range p.all {
		dimensions := append([]string{"gb", "seat"}, slices.Collect(maps.Keys(s.fed))...)
		for _, dimension := range dimensions {
			k := billing.DimensionKey{Entitlement: s.id, Dimension: dimension}
			b := all[k]
			booked = booked.Add(b.Sent)
			if waits := b.Failed.Add(b.Parked); waits.Cmp(stuck[k]) != 0 {
				p.t.Errorf("%v: %s waits, %s is told: %+v", k, waits, stuck[k], b)
			}
			if !b.Pending.IsZero() && s.ends.IsZero() {
				p.t.Errorf("%v: %s is still pending", k, b.Pending)
			}
			unit := meter.NewDecimal(1)
			if s.cloud == simulator.Azure || s.cloud == simulator.GCP && dimension == "seat" {
				unit = decimal("0.000001")
			}
			if reserved[k] { // a line that is parked may still take it
				unit = meter.NewDecimal(1e12)
			}
			if b.Carry.Cmp(unit) >= 0 || !reserved[k] && !s.ends.IsZero() && !b.Carry.IsZero() {
				p.t.Errorf("%v: %s is carried and never sent", k, b.Carry)
			}
			if _, is := s.fed[dimension]; is {
				if figure := p.figure(s, dimension, through); b.Mapped.Cmp(figure) != 0 {
					p.t.Errorf("%v: the ledger says %s, the accounts %s", k, figure, b.Mapped)
				}
			}
		}
	}
	theirs := meter.Decimal{}
	for _, e := range p.m.Ledger() {
		theirs = theirs.Add(e.Quantity)
	}
	if booked.Add(unsure).Cmp(theirs) != 0 {
		p.t.Errorf("booked %s, may have been accepted %s, accepted %s", booked, unsure, theirs)
		p.differences()
	}
}

// differences tells which lines a marketplace holds otherwise than was booked.
func (p *proof) differences() {
	p.t.Helper()
	for _, e := range p.m.Ledger() {
		var operation, state, accepted, message string
		query := `SELECT operation, state, accepted, message FROM report_lines WHERE dimension = $1 AND hour_us = $2 AND target LIKE '%"' || $3 || '"%'`
		if err := p.database.QueryRow(query, e.Dimension, e.Hour.UnixMicro(), e.Account).Scan(&operation, &state, &accepted, &message); err != nil {
			p.t.Errorf("no line for %+v: %v", e, err)
		} else if state != billing.LineSettled || decimal(accepted).Cmp(e.Quantity) != 0 {
			p.t.Errorf("the marketplace holds %+v, line %s is %s with %q: %s", e, operation, state, accepted, message)
		}
	}
}
