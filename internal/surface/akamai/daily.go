package akamai

import (
	"slices"
	"time"

	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/wire"
)

const day = 24 * time.Hour

// contractDaily is operation 4.
func (r *request) contractDaily() (any, error) { return r.daily(r.ofContract) }

// groupDaily is operation 5.
func (r *request) groupDaily() (any, error) { return r.daily(r.ofGroup) }

// daily answers operations 4 and 5: the statistics from the start of the
// month, or of its sub-period, to the end of each day.
func (r *request) daily(find func(wire.Range) (target, error)) (any, error) {
	asked, err := wire.ParseDaily(r.Request.URL.RawQuery, r.now)
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
	d := wire.Daily{AccountID: t.account, ContractID: t.contracts[0].Contract.ID, ReportingGroup: t.group, ProductID: t.product.ID,
		ProductName: t.product.Name, Month: asked.Start, DataStatus: wire.Collecting, RequestDate: wire.Instant(r.now), CPCodes: t.codes}
	for _, m := range r.months(asked) {
		for _, p := range t.parts(t.product.ID, m.Period()) {
			of, err := r.dailyPeriods(&t, lines, p, m)
			if err != nil {
				return nil, err
			}
			d.UsagePeriods = append(d.UsagePeriods, of...)
		}
	}
	if len(d.UsagePeriods) == 0 {
		return nil, nil
	}
	return d, nil
}

// dailyPeriods are a sub-period's entries, one for each region.
func (r *request) dailyPeriods(t *target, lines []line, p part, m wire.Month) ([]wire.DailyPeriod, error) {
	days := daysOf(p.Period, r.now)
	toDate := make([][]line, len(days)) // by day: the lines with their figures at its end
	for i := range lines {
		at, err := r.toDate(t, lines[i], p, days)
		if err != nil {
			return nil, err
		}
		for d := range days {
			toDate[d] = append(toDate[d], line{usage: lines[i].usage, rows: at[d]})
		}
	}
	if len(days) == 0 {
		return nil, nil
	}
	first, last := wire.Days(p.Period)
	var out []wire.DailyPeriod
	for _, region := range p.regions(toDate[len(days)-1]) {
		e := wire.DailyPeriod{Month: m, Start: first, End: last, Region: region}
		for i, l := range lines {
			s := wire.DailyStat{StatType: l.usage.Name, Unit: l.usage.Unit}
			for d := range days {
				v := toDate[d][i].value(func(row metering.ProductRow) bool { return p.region(row.Group) == region })
				s.Values = append(s.Values, wire.DayValue{Date: wire.Date(days[d].From), Value: v})
			}
			e.Stats = append(e.Stats, s)
		}
		out = append(out, e)
	}
	return out, nil
}

// daysOf are the days of a period that have begun, the first and the last no
// longer than the period.
func daysOf(p meter.Period, now time.Time) []meter.Period {
	var out []meter.Period
	for from := p.From; from.Before(p.To) && !from.After(now); {
		to := from.Truncate(day).Add(day)
		if p.To.Before(to) {
			to = p.To
		}
		out = append(out, meter.Period{From: from, To: to})
		from = to
	}
	return out
}

// toDate returns the line's rows from the sub-period's start to the end of
// each day. What counts and sums is added up from the days' own.
func (r *request) toDate(t *target, l line, p part, days []meter.Period) ([][]metering.ProductRow, error) {
	out := make([][]metering.ProductRow, len(days))
	adds := l.meter.Aggregation == meter.AggCount || l.meter.Aggregation == meter.AggSum
	if !adds {
		for i, d := range days {
			var err error
			if out[i], err = r.read(t, l, p, d.To, "", p.regionKey()...); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	rows, err := r.read(t, l, p, p.To, "day", p.regionKey()...)
	if err != nil {
		return nil, err
	}
	var sofar []metering.ProductRow
	for i, d := range days {
		for len(rows) > 0 && rows[0].Start.Before(d.To) {
			sofar = addRow(sofar, rows[0])
			rows = rows[1:]
		}
		out[i] = slices.Clone(sofar)
	}
	if len(days) > 0 { // of days to come: an event may be a day early
		for _, row := range rows {
			out[len(days)-1] = addRow(out[len(days)-1], row)
		}
	}
	return out, nil
}

// addRow adds a row to that of its group.
func addRow(to []metering.ProductRow, row metering.ProductRow) []metering.ProductRow {
	for i := range to {
		if slices.Equal(to[i].Group, row.Group) {
			to[i].Value = to[i].Value.Add(row.Value)
			return to
		}
	}
	return append(to, row)
}
