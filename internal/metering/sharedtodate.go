package metering

import (
	"cmp"
	"context"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// ContractUsageTo is that of the Service. What is sampled goes through the
// customer's samples once for all ends, where they are read for several
// customers.
func (u *sharedUsage) ContractUsageTo(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope, ends []time.Time) ([][]meter.UsageRow, error) {
	if len(ends) > 1 {
		whole := q
		whole.To = ends[len(ends)-1]
		if asks, parts := partsOf(p, whole, scopes); isWhole(parts, whole) {
			out, ok, err := u.samplesTo(ctx, asks, parts[0], ends)
			if ok || err != nil {
				return out, err
			}
		}
	}
	return usageTo(ctx, u, p, q, scopes, ends)
}

// samplesTo answers for all ends from the form's samples; false if it cannot.
func (u *sharedUsage) samplesTo(ctx context.Context, p access.Principal, q ProductQuery, ends []time.Time) (out [][]meter.UsageRow, ok bool, err error) {
	ask, ok := u.question(p, q)
	if !ok || !ask.samples || q.Window != "" || q.most > 0 || q.undivided || !q.From.Before(ends[0]) {
		return nil, false, nil
	}
	for _, end := range ends {
		if end.UnixNano()%int64(ask.m.SlotWidth()) != 0 {
			return nil, false, nil // a part of a sample counts for nothing
		}
	}
	rows, ok, err := u.rowsOf(ctx, p, ask)
	if !ok || err != nil {
		return nil, false, err
	}
	return ask.joinTo(rows, ends), true, nil
}

// joinTo makes the answer to each of ends of the form's samples.
func (ask *sharedQuestion) joinTo(rows []meter.UsageRow, ends []time.Time) [][]meter.UsageRow {
	groups := map[string][]meter.UsageRow{}
	for _, r := range rows {
		if ask.takes(&r) {
			r.Group = slices.Clip(r.Group[:len(ask.By)])
			key := lengthsKey(r.Group...)
			groups[key] = append(groups[key], r)
		}
	}
	out := make([][]meter.UsageRow, len(ends))
	scale := ask.UsageType.ScaleDecimal()
	for _, samples := range groups {
		slices.SortFunc(samples, func(a, b meter.UsageRow) int { return a.Start.Compare(b.Start) })
		var sofar []meter.Decimal // in ascending order
		group := samples[0].Group
		var element, value meter.Decimal // value is the element's figure
		for i, end := range ends {
			for len(samples) > 0 && samples[0].Start.Before(end) {
				one := samples[0]
				for samples = samples[1:]; len(samples) > 0 && samples[0].Start.Equal(one.Start); samples = samples[1:] {
					one.Value = one.Value.Add(samples[0].Value)
				}
				at, _ := slices.BinarySearchFunc(sofar, one.Value, meter.Decimal.Cmp)
				sofar = slices.Insert(sofar, at, one.Value)
			}
			if len(sofar) == 0 {
				continue
			}
			_, n := meter.Samples(ask.From, end, end, ask.m.SlotWidth())
			if of := elementOf(ask.m, sofar, n); of.Cmp(element) != 0 {
				element, value = of, ask.m.Result(of, scale)
			}
			out[i] = append(out[i], meter.UsageRow{Start: ask.From.UTC(), End: end.UTC(), Group: group, Value: value})
		}
	}
	for _, rows := range out {
		slices.SortFunc(rows, func(a, b meter.UsageRow) int {
			return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Group, b.Group))
		})
	}
	return out
}
