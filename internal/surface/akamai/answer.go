package akamai

import (
	"context"
	"slices"

	"odometer/internal/catalog"
	"odometer/internal/surface/akamai/wire"
)

// months are those of a range that have begun.
func (r *request) months(asked wire.Range) []wire.Month {
	var out []wire.Month
	for m := asked.Start; m < min(asked.End, wire.MonthOf(r.now)+1); m++ {
		out = append(out, m)
	}
	return out
}

// contractMonthly is operation 1.
func (r *request) contractMonthly(ctx context.Context) (any, error) {
	return r.monthly(ctx, r.ofContract, bySummary)
}

// groupMonthly is operation 2.
func (r *request) groupMonthly(ctx context.Context) (any, error) {
	return r.monthly(ctx, r.ofGroup, bySummary)
}

// cpCodeMonthly is operation 3.
func (r *request) cpCodeMonthly(ctx context.Context) (any, error) {
	return r.monthly(ctx, r.ofContract, ofCodes)
}

// monthly answers operations 1, 2 and 3: what find finds, month by month.
func (r *request) monthly(ctx context.Context, find func(context.Context, wire.Range) (target, error), k kind) (any, error) {
	asked, err := wire.ParseMonths(r.Request.URL.RawQuery, r.now)
	if err != nil {
		return nil, err
	}
	t, err := find(ctx, asked)
	if err != nil {
		return nil, err
	}
	s := wire.Summary{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, ReportingGroup: t.group,
		ProductID: t.product.ID, ProductName: t.product.Name, Start: asked.Start, End: asked.End, RequestDate: wire.Instant(r.now)}
	for _, m := range r.months(asked) {
		of, err := r.month(ctx, &t, k, m.Period())
		if err != nil {
			return nil, err
		}
		for _, e := range of.entries {
			s.UsagePeriods = append(s.UsagePeriods, e.period(m, &of, t.group != nil))
		}
	}
	if len(s.UsagePeriods) == 0 {
		return nil, nil
	}
	return s, nil
}

// status is the month's dataStatus.
func (m *month) status() string {
	if m.closed {
		return wire.Finalized
	}
	return wire.Collecting
}

// period renders an entry. What came late for another month is billed in this
// one and has that one's days.
func (e *entry) period(m wire.Month, of *month, group bool) wire.Period {
	first, last := wire.Days(e.Period)
	p := wire.Period{Month: m, Start: first, End: last, Region: e.Region, DataStatus: of.status(), Stats: wireStats(e.Stats)}
	if group {
		p.CPCodes = of.codes
	}
	for _, c := range e.Codes {
		one := wire.CPCodeStat{CPCode: c.Code}
		for _, s := range wireStats(c.Stats) {
			s.StatType, s.Unit = wire.CPCodeName(s.StatType, s.Unit)
			one.Stats = append(one.Stats, s)
		}
		p.CPCodeStats = append(p.CPCodeStats, one)
	}
	return p
}

func wireStats(stats []stat) []wire.Stat {
	var out []wire.Stat
	for _, s := range stats {
		out = append(out, wire.Stat{StatType: s.Name, Unit: s.Unit, IsBillable: s.Billable, Value: wire.Number(s.Value)})
	}
	return out
}

// contractDaily is operation 4.
func (r *request) contractDaily(ctx context.Context) (any, error) { return r.daily(ctx, r.ofContract) }

// groupDaily is operation 5.
func (r *request) groupDaily(ctx context.Context) (any, error) { return r.daily(ctx, r.ofGroup) }

// daily answers operations 4 and 5: the statistics from the start of the
// month, or of its sub-period, to the end of each day.
func (r *request) daily(ctx context.Context, find func(context.Context, wire.Range) (target, error)) (any, error) {
	asked, err := wire.ParseDaily(r.Request.URL.RawQuery, r.now)
	if err != nil {
		return nil, err
	}
	t, err := find(ctx, asked)
	if err != nil {
		return nil, err
	}
	d := wire.Daily{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, ReportingGroup: t.group, ProductID: t.product.ID,
		ProductName: t.product.Name, Month: asked.Start, RequestDate: wire.Instant(r.now)}
	for _, m := range r.months(asked) {
		of, err := r.month(ctx, &t, ofDays, m.Period())
		if err != nil {
			return nil, err
		}
		d.DataStatus = of.status()
		if t.group != nil {
			d.CPCodes = of.codes
		}
		for _, e := range of.entries {
			d.UsagePeriods = append(d.UsagePeriods, e.dailyPeriod(m))
		}
	}
	if len(d.UsagePeriods) == 0 {
		return nil, nil
	}
	return d, nil
}

func (e *entry) dailyPeriod(m wire.Month) wire.DailyPeriod {
	first, last := wire.Days(e.Period)
	p := wire.DailyPeriod{Month: m, Start: first, End: last, Region: e.Region}
	for i, one := range e.Stats {
		s := wire.DailyStat{StatType: one.Name, Unit: one.Unit}
		for _, d := range e.Days {
			s.Values = append(s.Values, wire.DayValue{Date: wire.Date(d.Date), Value: wire.Number(d.Values[i])})
		}
		p.Stats = append(p.Stats, s)
	}
	return p
}

// products is operation 6.
func (r *request) products(ctx context.Context) (any, error) {
	asked, err := wire.ParseMonths(r.Request.URL.RawQuery, r.now)
	if err != nil {
		return nil, err
	}
	t, err := r.open(ctx, asked)
	if err == nil {
		err = t.findContract(r.Param("contract"))
	}
	if err = r.ready(ctx, &t, asked, err); err != nil {
		return nil, err
	}
	out := wire.Products{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, Start: asked.Start, End: asked.End,
		RequestDate: wire.Instant(r.now)}
	for _, m := range r.months(asked) {
		used, err := r.usedProducts(ctx, t, m)
		if err != nil {
			return nil, err
		}
		if len(used) > 0 {
			out.UsagePeriods = append(out.UsagePeriods, wire.ProductsPeriod{Month: m, UsageProducts: used})
		}
	}
	if len(out.UsagePeriods) == 0 {
		return nil, nil
	}
	return out, nil
}

// usedProducts are the contract's products with usage in a month, by id.
func (r *request) usedProducts(ctx context.Context, t target, m wire.Month) ([]wire.UsageProduct, error) {
	var out []wire.UsageProduct
	for _, id := range productsOf(t.contracts[0].Contract) {
		var ok bool
		if t.product, ok = t.book.ProductEver(id); !ok {
			continue
		}
		used, err := r.isUsed(ctx, &t, m)
		if err != nil {
			return nil, err
		}
		if used {
			out = append(out, wire.UsageProduct{ProductID: id, ProductName: t.product.Name})
		}
	}
	return out, nil
}

// productsOf are the products that a contract ever had, by id.
func productsOf(c *catalog.Contract) []string {
	var ids []string
	for _, term := range c.Terms {
		ids = append(ids, term.Products...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (r *request) isUsed(ctx context.Context, t *target, m wire.Month) (bool, error) {
	if closed, ok := t.closed.Month(m.Period()); ok {
		s, _, err := r.section(ctx, t, closed)
		return len(s.Summary) > 0, err
	}
	lines, err := r.lines(t.principal, t.product.UsageTypes)
	if err != nil {
		return false, err
	}
	for _, p := range t.parts(t.product.ID, m.Period()) {
		for _, l := range lines {
			rows, err := r.read(ctx, t, l, p, p.To, "")
			if err != nil || len(rows) > 0 {
				return len(rows) > 0, err
			}
		}
	}
	late, err := r.late(ctx, t, bySummary, m.Period())
	return len(late) > 0, err
}
