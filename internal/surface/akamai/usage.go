package akamai

import (
	"cmp"
	"context"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/wire"
)

// reader reads usage for answers, and for the book of a month that is closed.
type reader struct {
	service  *metering.Service
	usage    metering.UsageReader
	now      time.Time
	sequence uint64 // as the log stood at this entry; 0 = now
}

// line is one statistic of a product, with its usage in a part of a month.
type line struct {
	usage catalog.UsageType
	meter meter.Meter
	rows  []meter.UsageRow
}

// additive says whether the figures of parts add up to that of the whole.
func (l line) additive() bool {
	return l.meter.Aggregation == meter.AggCount || l.meter.Aggregation == meter.AggSum
}

// lines are the statistics that the surface shows of usage types.
func (r *reader) lines(p access.Principal, usages []catalog.UsageType) ([]line, error) {
	meters, err := r.service.Definitions(p)
	if err != nil {
		return nil, err
	}
	var out []line
	for _, u := range usages {
		l := line{usage: u}
		for _, m := range meters { // where it is gone, ContractUsage says so
			if m.Key == u.Meter {
				l.meter = m
			}
		}
		if u.ShownOn(surfaceName) {
			out = append(out, l)
		}
	}
	return out, nil
}

// read answers a query of a line's usage.
func (r *reader) read(ctx context.Context, t *target, l line, in part, until time.Time, window meter.Window, by ...string) ([]meter.UsageRow, error) {
	return r.usage.ContractUsage(ctx, t.principal, r.query(t, l, in, until, window, by), in.Scopes)
}

// query asks for a line's usage in a part of a month until an instant.
func (r *reader) query(t *target, l line, in part, until time.Time, window meter.Window, by []string) metering.ProductQuery {
	q := metering.ProductQuery{Product: t.product.ID, UsageType: l.usage, From: in.From, To: until, Window: window, By: by, AsOfSequence: r.sequence}
	if t.codes != nil {
		q.Filters = []meter.AttrFilter{{Attribute: cpCodeAttribute, Values: codeTexts(t.codes)}}
	}
	return q
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
func (l line) value(match func(meter.UsageRow) bool) meter.Decimal { return valueOf(l.rows, match) }

// valueOf is the figure of the row where match holds, 0 if there is none.
func valueOf(rows []meter.UsageRow, match func(meter.UsageRow) bool) meter.Decimal {
	if i := slices.IndexFunc(rows, match); i >= 0 {
		return rows[i].Value
	}
	return meter.Decimal{}
}

// stat is the line's figure where match holds.
func (l line) stat(match func(meter.UsageRow) bool) stat {
	return stat{l.usage.Name, l.usage.Unit, l.usage.Billable, l.value(match)}
}

// summaries are the figures of a sub-period, by region.
func (r *reader) summaries(ctx context.Context, t *target, lines []line, p part) ([]entry, error) {
	lines = slices.Clone(lines)
	var err error
	for i := range lines {
		if lines[i].rows, err = r.read(ctx, t, lines[i], p, p.To, "", p.regionKey()...); err != nil {
			return nil, err
		}
	}
	var out []entry
	for _, region := range p.regions(lines) {
		e := entry{Period: p.Period, Region: region}
		for _, l := range lines {
			e.Stats = append(e.Stats, l.stat(func(row meter.UsageRow) bool { return p.region(row.Group) == region }))
		}
		out = append(out, e)
	}
	return out, nil
}

// byCode are the figures of a sub-period, by region and CP code. A percentile
// or a peak is no figure of a CP code.
func (r *reader) byCode(ctx context.Context, t *target, lines []line, p part) ([]entry, error) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.meter.Sampled() })
	var err error
	for i := range lines {
		by := append([]string{cpCodeAttribute}, p.regionKey()...)
		if lines[i].rows, err = r.read(ctx, t, lines[i], p, p.To, "", by...); err != nil {
			return nil, err
		}
	}
	var out []entry
	for _, region := range p.regions(lines) {
		e := entry{Period: p.Period, Region: region}
		for i, code := range codeTexts(t.codes) {
			if len(t.book.CPCodeIn(t.codes[i], p.From, p.To)) == 0 {
				continue // it was not there, or not any more
			}
			if stats, used := p.codeStats(lines, code, region); used {
				e.Codes = append(e.Codes, codeStats{t.codes[i], stats})
			}
		}
		if e.Codes != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// codeStats are the figures of one CP code in a region; used is false if there is no usage.
func (p part) codeStats(lines []line, code, region string) (stats []stat, used bool) {
	for _, l := range lines {
		match := func(row meter.UsageRow) bool { return row.Group[0] == code && p.region(row.Group) == region }
		used = used || slices.ContainsFunc(l.rows, match)
		stats = append(stats, l.stat(match))
	}
	return stats, used
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
