package akamai

import (
	"context"
	"slices"
	"time"

	"odometer/internal/meter"
)

const day = 24 * time.Hour

// byDay are the figures of a sub-period from its start to the end of each of
// its days that have begun, by region.
func (r *reader) byDay(ctx context.Context, t *target, lines []line, p part) ([]entry, error) {
	days := daysOf(p.Period, r.now)
	toDate := make([][][]meter.UsageRow, len(lines)) // by line and day: the figures at its end
	lines = slices.Clone(lines)
	for i := range lines {
		var err error
		if toDate[i], err = r.toDate(ctx, t, lines[i], p, days); err != nil {
			return nil, err
		}
		if len(days) > 0 {
			lines[i].rows = toDate[i][len(days)-1]
		}
	}
	if len(days) == 0 {
		return nil, nil
	}
	var out []entry
	for _, region := range p.regions(lines) {
		e := entry{Period: p.Period, Region: region, Stats: make([]stat, len(lines)), Days: make([]dayValues, len(days))}
		match := func(row meter.UsageRow) bool { return p.region(row.Group) == region }
		for i, l := range lines {
			e.Stats[i] = l.stat(match)
		}
		values := make([]meter.Decimal, len(days)*len(lines))
		for d := range days {
			v := dayValues{Date: days[d].From, Values: values[:len(lines):len(lines)]}
			for i := range lines {
				v.Values[i] = valueOf(toDate[i][d], match)
			}
			e.Days[d], values = v, values[len(lines):]
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
func (r *reader) toDate(ctx context.Context, t *target, l line, p part, days []meter.Period) ([][]meter.UsageRow, error) {
	if !l.additive() {
		ends := make([]time.Time, len(days))
		for i, d := range days {
			ends[i] = d.To
		}
		return r.usage.ContractUsageTo(ctx, t.principal, r.query(t, l, p, p.To, "", p.regionKey()), p.Scopes, ends)
	}
	out := make([][]meter.UsageRow, len(days))
	rows, err := r.read(ctx, t, l, p, p.To, "day", p.regionKey()...)
	if err != nil {
		return nil, err
	}
	var sofar []meter.UsageRow
	for i, d := range days {
		if len(rows) > 0 { // the day before keeps its own
			sofar = slices.Clone(sofar)
		}
		for len(rows) > 0 && (rows[0].Start.Before(d.To) || i == len(days)-1) { // of days to come: an event may be a day early
			sofar = addRow(sofar, rows[0])
			rows = rows[1:]
		}
		out[i] = sofar
	}
	return out, nil
}

// addRow adds a row to that of its group.
func addRow(to []meter.UsageRow, row meter.UsageRow) []meter.UsageRow {
	for i := range to {
		if slices.Equal(to[i].Group, row.Group) {
			to[i].Value = to[i].Value.Add(row.Value)
			return to
		}
	}
	return append(to, row)
}
