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
	toDate := make([][]line, len(days)) // by day: the lines with their figures at its end
	for i := range lines {
		at, err := r.toDate(ctx, t, lines[i], p, days)
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
	var out []entry
	for _, region := range p.regions(toDate[len(days)-1]) {
		e := entry{Period: p.Period, Region: region}
		match := func(row meter.UsageRow) bool { return p.region(row.Group) == region }
		for _, l := range toDate[len(days)-1] {
			e.Stats = append(e.Stats, l.stat(match))
		}
		for d := range days {
			v := dayValues{Date: days[d].From}
			for _, l := range toDate[d] {
				v.Values = append(v.Values, l.value(match))
			}
			e.Days = append(e.Days, v)
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
	out := make([][]meter.UsageRow, len(days))
	if !l.additive() {
		for i, d := range days {
			var err error
			if out[i], err = r.read(ctx, t, l, p, d.To, "", p.regionKey()...); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	rows, err := r.read(ctx, t, l, p, p.To, "day", p.regionKey()...)
	if err != nil {
		return nil, err
	}
	var sofar []meter.UsageRow
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
func addRow(to []meter.UsageRow, row meter.UsageRow) []meter.UsageRow {
	for i := range to {
		if slices.Equal(to[i].Group, row.Group) {
			to[i].Value = to[i].Value.Add(row.Value)
			return to
		}
	}
	return append(to, row)
}
