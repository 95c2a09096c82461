package marketplace

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/rating"
)

// hour makes the reports of one hour of the account, one for each
// entitlement, and its lines, one for each dimension.
func (a *account) hour(to place, buckets map[string]*bucket) ([]billing.FrozenReport, error) {
	sums := map[string]meter.Decimal{} // sent, by dimension
	payers := map[string]*catalog.Entitlement{}
	var reports []billing.FrozenReport
	for _, id := range slices.Sorted(maps.Keys(buckets)) {
		e, ok := a.view.EntitlementAt(id, to.hour)
		if !ok {
			if e, ok = a.latest(id); !ok {
				continue
			}
		}
		report, err := a.report(e, to, buckets[id], sums)
		if err != nil {
			return nil, err
		}
		for i := range report.Portions {
			if p := &report.Portions[i]; p.State == billing.LineFrozen && payers[p.Dimension] == nil {
				payers[p.Dimension] = e
			}
		}
		reports = append(reports, report)
	}
	for _, dimension := range slices.Sorted(maps.Keys(payers)) {
		target, _ := targetOf(payers[dimension], a.organization, a.name, dimension, to.hour, sums[dimension])
		text, err := json.Marshal(target)
		if err != nil {
			return nil, err
		}
		a.lines = append(a.lines, billing.Line{Operation: target.OperationID, Partner: payers[dimension].Partner, Account: a.name, Dimension: dimension,
			Hour: to.hour, Quantity: sums[dimension], Target: text, Next: a.due(), Deadline: a.deadline(payers[dimension].Partner, to.hour)})
	}
	return reports, nil
}

// report makes the report of one entitlement for one hour.
func (a *account) report(e *catalog.Entitlement, to place, b *bucket, sums map[string]meter.Decimal) (billing.FrozenReport, error) {
	at, _ := activeIn(e, to.hour)
	term, _ := e.TermAt(at)
	f := billing.FrozenReport{Groups: b.groups, Report: billing.Report{ID: a.reportID(), Entitlement: e.ID, Term: term.ID, Buyer: e.BuyerID(),
		Product: e.Product, Partner: e.Partner, Account: a.name, Hour: to.hour, Created: a.now.UTC().Truncate(time.Microsecond), Status: billing.ReportSuccess, Message: to.parked}}
	usage := map[string]*billing.Portion{}
	portion := func(dimension string) *billing.Portion {
		if usage[dimension] == nil {
			usage[dimension] = &billing.Portion{Report: f.ID, Dimension: dimension, Entitlement: e.ID, Term: term.ID, Account: a.name, Hour: to.hour, Late: b.late[dimension]}
		}
		return usage[dimension]
	}
	for i := range b.groups {
		for dimension, quantity := range b.groups[i].Records {
			if !slices.Contains(b.groups[i].Settled, dimension) {
				p := portion(dimension)
				p.Usage = p.Usage.Add(quantity)
			}
		}
	}
	for _, m := range b.reads {
		p := portion(m.dimension)
		p.Usage, p.Metered = p.Usage.Add(m.value), p.Metered.Add(m.value)
		p.Reads = append(p.Reads, billing.MeterRead{Period: m.period, Through: m.through, Value: m.value})
	}
	for dimension, takes := range b.takes {
		p := portion(dimension)
		p.Taken = takes
		p.Usage = p.Usage.Add(p.TakenAmount())
		for term, amount := range takes { // nobody else takes it in this pass
			k := billing.BalanceKey{Kind: billing.BalanceCarry, Term: term, Dimension: dimension}
			a.state.Balances[e.ID][k] = a.state.Balances[e.ID][k].Sub(amount)
		}
	}
	info := billing.ReportInfo{Late: b.late[""], Sequence: sequenceOf(b.reads)}
	billed, err := a.billable(e, b, portion)
	if err != nil {
		return f, err
	}
	if len(billed.records) > 0 {
		if info.Billable, err = json.Marshal(billed.records); err != nil {
			return f, err
		}
	}
	f.Unbilled = billed.unbilled
	if f.Message == "" {
		f.Message = strings.Join(billed.messages, "; ")
	}
	a.bill(e, term, to, usage, sums, &info)
	for _, dimension := range slices.Sorted(maps.Keys(usage)) {
		p := usage[dimension]
		switch {
		case p.State == billing.LineFrozen:
			f.Status = billing.ReportPending
		case p.State == billing.LineParked && f.Status == billing.ReportSuccess:
			f.Status = billing.ReportParked
		case p.State == billing.LineRefused && f.Status != billing.ReportPending:
			f.Status, f.Message = billing.ReportFailed, p.Reason
		}
		f.Portions = append(f.Portions, *p)
		if p.State != billing.LineRefused {
			a.state.Open[e.ID] = append(a.state.Open[e.ID], *p) // counts for the next hours of this pass
			continue
		}
		for _, item := range p.Seen {
			delete(a.state.Seen[e.ID], billing.SeenKey{Dimension: dimension, Item: item})
		}
	}
	for _, g := range b.groups {
		info.Groups = append(info.Groups, g.Name)
	}
	f.Info, err = json.Marshal(info)
	return f, err
}

// balances are an entitlement's balances with what is open on top: a portion
// that may still be settled is not given twice.
func (a *account) balances(entitlement string) map[billing.BalanceKey]meter.Decimal {
	all := maps.Clone(a.state.Balances[entitlement])
	for i := range a.state.Open[entitlement] {
		p := &a.state.Open[entitlement][i]
		p.Each(func(k billing.BalanceKey, by meter.Decimal) {
			if k.Kind == billing.BalanceCarry && p.State == billing.LineParked && p.Sent.IsZero() {
				return // nothing of it was sent: only a person may have it billed
			}
			all[k] = all[k].Add(by)
		})
	}
	return all
}

// bill says where the usage of each portion goes, and adds what is sent to sums.
func (a *account) bill(e *catalog.Entitlement, term catalog.EntitlementTerm, to place, usage map[string]*billing.Portion, sums map[string]meter.Decimal, info *billing.ReportInfo) {
	balances, config := a.balances(e.ID), a.configs[e.Partner]
	period := ""
	if term.IncludedPer != "term" {
		period = to.hour.UTC().Format("2006-01")
	}
	info.CommitAmount, info.CreditAmount = term.CommitDecimal(), a.state.Credits[e.ID]
	info.UsedCommit = balances[billing.BalanceKey{Kind: billing.BalanceCommit, Term: term.ID}]
	info.UsedCredit = balances[billing.BalanceKey{Kind: billing.BalanceCredit}]
	left := rating.Balances{Credit: info.CreditAmount.Sub(info.UsedCredit), Included: map[string]meter.Decimal{}}
	if config.CommitFirst {
		left.Commit = info.CommitAmount.Sub(info.UsedCommit)
	}
	quantities, prices := map[string]meter.Decimal{}, map[string]meter.Decimal{}
	for dimension, p := range usage {
		quantities[dimension] = p.Usage.Sub(p.TakenAmount()) // what was carried has been absorbed and adjusted before
		if d, ok := e.Dimension(dimension); ok {
			p.UnitPrice, p.ListPrice = d.UnitPriceDecimal(), d.ListPriceDecimal()
			prices[dimension] = p.UnitPrice
			left.Included[dimension] = d.IncludedDecimal().Sub(balances[billing.BalanceKey{Kind: billing.BalanceIncluded, Term: term.ID, Dimension: dimension, Period: period}])
		}
	}
	absorbed := rating.Absorb(quantities, prices, left, rating.DefaultOrder)
	for _, dimension := range slices.Sorted(maps.Keys(usage)) {
		p, took := usage[dimension], absorbed[dimension]
		p.Credit, p.Commit, p.Included = took.Credit, took.Commit, took.Included
		p.CreditAmount, p.CommitSpent, p.Period = took.CreditAmount, took.CommitSpent, period
		p.Left, p.Adjusted = took.Left, took.Left
		if config.CommitFirst && config.OverageAtList {
			p.Adjusted = rating.AtListPrice(took.Left, p.UnitPrice, p.ListPrice)
		}
		p.Left, p.Adjusted = p.Left.Add(p.TakenAmount()), p.Adjusted.Add(p.TakenAmount())
		if to.parked != "" { // settled by hand, it is carried into the next hour that is billed
			p.State, p.CarryOut, p.Reason = billing.LineParked, p.Adjusted, to.parked
			continue
		}
		if len(p.Taken) == 0 {
			carryIn(p, balances)
		}
		format := formatOf(e, dimension)
		format.Maximum = format.Maximum.Sub(sums[dimension])
		p.Sent, p.CarryOut = rating.Carry(p.Adjusted, p.CarryIn, format)
		p.State = billing.LineSettled // nothing has to be sent
		if p.Sent.Sign() > 0 {
			p.State = billing.LineFrozen
			if _, known := targetOf(e, a.organization, a.name, dimension, to.hour, p.Sent); !known {
				p.State, p.Reason = billing.LineRefused, "the entitlement does not say how "+dimension+" is billed"
				continue
			}
			sums[dimension] = sums[dimension].Add(p.Sent)
		}
	}
}

// carryIn gives a portion all that its dimension carries, of whatever term.
func carryIn(p *billing.Portion, balances map[billing.BalanceKey]meter.Decimal) {
	for k, amount := range balances {
		if k.Kind != billing.BalanceCarry || k.Dimension != p.Dimension || amount.IsZero() {
			continue
		}
		p.CarryIn = p.CarryIn.Add(amount)
		if k.Term != p.Term {
			if p.Carried == nil {
				p.Carried = map[string]meter.Decimal{}
			}
			p.Carried[k.Term] = amount
		}
	}
}
