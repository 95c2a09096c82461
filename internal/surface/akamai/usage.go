package akamai

import (
	"cmp"
	"context"
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/wire"
)

// line is one statistic of a product, with its usage in a part of a month.
type line struct {
	usage metering.UsageType
	meter meter.Meter
	rows  []metering.ProductRow
}

// lines are the statistics that the surface shows of a product.
func (r *request) lines(ctx context.Context, p metering.Principal, product *metering.Product) ([]line, error) {
	meters, err := r.Service.Meters(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []line
	for _, u := range product.UsageTypes {
		l := line{usage: u}
		for _, m := range meters { // where it is gone, ContractUsage says so
			if m.Key == u.Meter {
				l.meter = m.Meter
			}
		}
		if u.ShownOn(surfaceName) {
			out = append(out, l)
		}
	}
	return out, nil
}

// read asks for a line's usage in a part of a month until an instant.
func (r *request) read(t *target, l line, in part, until time.Time, window meter.Window, by ...string) ([]metering.ProductRow, error) {
	q := metering.ProductQuery{Product: t.product.ID, UsageType: l.usage, From: in.From, To: until, Window: window, By: by}
	if t.codes != nil {
		q.Filters = []metering.AttrFilter{{Attribute: cpCodeAttribute, Values: codeTexts(t.codes)}}
	}
	return r.Service.ContractUsage(r.Request.Context(), t.principal, q, in.scopes)
}

// regionKey is by what a part's statistics are split.
func (p part) regionKey() []string {
	if p.Regions.Global() {
		return nil
	}
	return []string{p.Regions.Attribute}
}

// region names the group of a row; its last text is the region's.
func (p part) region(group []string) string {
	if p.Regions.Global() {
		return wire.Global
	}
	return cmp.Or(group[len(group)-1], wire.Unknown)
}

// regions are those in which any of the lines has usage, in order.
func (p part) regions(lines []line) []string {
	seen := map[string]bool{}
	for _, l := range lines {
		for _, row := range l.rows {
			seen[p.region(row.Group)] = true
		}
	}
	out := make([]string, 0, len(seen))
	for region := range seen {
		out = append(out, region)
	}
	slices.Sort(out)
	return out
}

// value is the line's figure where match holds, 0 if there is none.
func (l line) value(match func(metering.ProductRow) bool) wire.Number {
	if i := slices.IndexFunc(l.rows, match); i >= 0 {
		return wire.Number(l.rows[i].Value)
	}
	return wire.Number{}
}

// months are those of a range that have begun.
func (r *request) months(asked wire.Range) []wire.Month {
	var out []wire.Month
	for m := asked.Start; m < min(asked.End, wire.MonthOf(r.now)+1); m++ {
		out = append(out, m)
	}
	return out
}

// contractMonthly is operation 1.
func (r *request) contractMonthly() (any, error) { return r.monthly(r.ofContract, r.periods) }

// groupMonthly is operation 2.
func (r *request) groupMonthly() (any, error) { return r.monthly(r.ofGroup, r.periods) }

// cpCodeMonthly is operation 3.
func (r *request) cpCodeMonthly() (any, error) {
	return r.monthly(func(asked wire.Range) (target, error) {
		t, err := r.ofContract(asked)
		if err == nil {
			t.findCodes()
		}
		return t, err
	}, r.codePeriods)
}

// findCodes sets the CP codes of the contract that are of the product, those
// that were removed too.
func (t *target) findCodes() {
	t.codes = []int64{}
	a := t.contracts[0]
	for _, code := range t.book.CPCodesEver(a.Owner) {
		if code.Contract == a.Contract.ID && (code.Product == "" || code.Product == t.product.ID) {
			t.codes = append(t.codes, code.ID)
		}
	}
}

// monthly answers operations 1, 2 and 3: what find finds, month by month.
func (r *request) monthly(find func(wire.Range) (target, error),
	periods func(*target, []line, wire.Month) ([]wire.Period, error)) (any, error) {
	asked, err := wire.ParseMonths(r.Request.URL.RawQuery, r.now)
	if err != nil {
		return nil, err
	}
	t, err := find(asked)
	if err != nil {
		return nil, err
	}
	lines, err := r.lines(r.Request.Context(), t.principal, t.product)
	if err != nil {
		return nil, err
	}
	s := wire.Summary{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, ReportingGroup: t.group,
		ProductID: t.product.ID, ProductName: t.product.Name, Start: asked.Start, End: asked.End, RequestDate: wire.Instant(r.now)}
	for _, m := range r.months(asked) {
		of, err := periods(&t, lines, m)
		if err != nil {
			return nil, err
		}
		s.UsagePeriods = append(s.UsagePeriods, of...)
	}
	if len(s.UsagePeriods) == 0 {
		return nil, nil
	}
	return s, nil
}

// period is an entry of an answer without its figures.
func (p part) period(m wire.Month, region string) wire.Period {
	first, last := wire.Days(p.Period)
	return wire.Period{Month: m, Start: first, End: last, Region: region, DataStatus: wire.Collecting}
}

// periods are a month's entries in operations 1 and 2.
func (r *request) periods(t *target, lines []line, m wire.Month) ([]wire.Period, error) {
	var out []wire.Period
	for _, p := range t.parts(t.product.ID, m.Period()) {
		var err error
		for i := range lines {
			if lines[i].rows, err = r.read(t, lines[i], p, p.To, "", p.regionKey()...); err != nil {
				return nil, err
			}
		}
		for _, region := range p.regions(lines) {
			e := p.period(m, region)
			e.CPCodes = t.codes
			for _, l := range lines {
				e.Stats = append(e.Stats, wire.Stat{StatType: l.usage.Name, Unit: l.usage.Unit, IsBillable: l.usage.Billable,
					Value: l.value(func(row metering.ProductRow) bool { return p.region(row.Group) == region })})
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// codePeriods are a month's entries in operation 3. A percentile or a peak is
// no figure of a CP code.
func (r *request) codePeriods(t *target, lines []line, m wire.Month) ([]wire.Period, error) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.meter.Sampled() })
	var out []wire.Period
	for _, p := range t.parts(t.product.ID, m.Period()) {
		var err error
		for i := range lines {
			by := append([]string{cpCodeAttribute}, p.regionKey()...)
			if lines[i].rows, err = r.read(t, lines[i], p, p.To, "", by...); err != nil {
				return nil, err
			}
		}
		for _, region := range p.regions(lines) {
			e := p.period(m, region)
			for _, code := range t.codes {
				if len(t.book.CPCodeIn(code, p.From, p.To)) == 0 {
					continue // it was not there, or not any more
				}
				if stats, used := p.codeStats(lines, codeTexts([]int64{code})[0], region); used {
					e.CPCodeStats = append(e.CPCodeStats, wire.CPCodeStat{CPCode: code, Stats: stats})
				}
			}
			if e.CPCodeStats != nil {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// codeStats are the figures of one CP code in a region; used is false if there is no usage.
func (p part) codeStats(lines []line, code, region string) (stats []wire.Stat, used bool) {
	for _, l := range lines {
		match := func(row metering.ProductRow) bool { return row.Group[0] == code && p.region(row.Group) == region }
		used = used || slices.ContainsFunc(l.rows, match)
		name, unit := wire.CPCodeName(l.usage.Name, l.usage.Unit)
		stats = append(stats, wire.Stat{StatType: name, Unit: unit, IsBillable: l.usage.Billable, Value: l.value(match)})
	}
	return stats, used
}

// products is operation 6.
func (r *request) products() (any, error) {
	asked, err := wire.ParseMonths(r.Request.URL.RawQuery, r.now)
	if err != nil {
		return nil, err
	}
	t, err := r.open(asked)
	if err == nil {
		err = t.findContract(r.Param("contract"))
	}
	if err == nil {
		err = t.checkStart(asked)
	}
	if err != nil {
		return nil, err
	}
	out := wire.Products{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, Start: asked.Start, End: asked.End,
		RequestDate: wire.Instant(r.now)}
	for _, m := range r.months(asked) {
		used, err := r.usedProducts(t, m)
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
func (r *request) usedProducts(t target, m wire.Month) ([]wire.UsageProduct, error) {
	var ids []string
	for _, term := range t.contracts[0].Contract.Terms {
		ids = append(ids, term.Products...)
	}
	slices.Sort(ids)
	var out []wire.UsageProduct
	for _, id := range slices.Compact(ids) {
		var ok bool
		if t.product, ok = t.book.Product(id); !ok {
			continue
		}
		used, err := r.isUsed(&t, m)
		if err != nil {
			return nil, err
		}
		if used {
			out = append(out, wire.UsageProduct{ProductID: id, ProductName: t.product.Name})
		}
	}
	return out, nil
}

func (r *request) isUsed(t *target, m wire.Month) (bool, error) {
	lines, err := r.lines(r.Request.Context(), t.principal, t.product)
	if err != nil {
		return false, err
	}
	for _, p := range t.parts(t.product.ID, m.Period()) {
		for _, l := range lines {
			rows, err := r.read(t, l, p, p.To, "")
			if err != nil || len(rows) > 0 {
				return len(rows) > 0, err
			}
		}
	}
	return false, nil
}
