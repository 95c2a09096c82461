package marketplace

import (
	"encoding/json"
	"maps"
	"slices"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/rating"
)

// aggregatedRecord is one aggregate of a billable metric, in the form in which
// reports show it.
type aggregatedRecord struct {
	Key         string            `json:"key"`
	Name        string            `json:"name,omitempty"`
	Quantity    json.Number       `json:"quantity"`
	Amount      *json.Number      `json:"amount,omitempty"`
	Group       string            `json:"groupBysExpression"`
	Aggregation meter.Aggregation `json:"billableMetricAggregationType"`
	Unique      *uniqueResult     `json:"uniqueCountAggregationResult,omitempty"`
}

type uniqueResult struct {
	NewItems map[string]bool `json:"newItems"`
}

// billed is what became of the records of billable metrics in an hour.
type billed struct {
	records  []aggregatedRecord
	unbilled []billing.SeenItem
	messages []string
}

// billable aggregates the records of billable metrics and adds what their
// metrics are mapped to. Each dimension has its own aggregate, of the groups
// for which it is not settled yet.
func (a *account) billable(e *catalog.Entitlement, b *bucket, portion func(string) *billing.Portion) (billed, error) {
	var out billed
	dimensions := map[string]rating.Dimension{}
	for i := range e.Dimensions {
		dimensions[e.Dimensions[i].Key] = rating.Dimension{UnitPrice: e.Dimensions[i].UnitPriceDecimal(), Metered: e.Dimensions[i].Meter != ""}
	}
	mapping := mappingOf(a.configs[e.Partner])
	for _, id := range metricsOf(b.groups) {
		m, known := a.metrics[id]
		if !known {
			out.messages = append(out.messages, "billable metric "+id+" is not known")
			continue
		}
		convert := func(q meter.Decimal) rating.Mapped {
			mapped, err := mapping.Map(map[string]meter.Decimal{id: q}, dimensions)
			if err != nil { // the metric is no dimension: it is counted, and billed nowhere
				return rating.Mapped{}
			}
			return mapped
		}
		one := convert(meter.NewDecimal(1))
		if one.Invalid != "" {
			out.messages = append(out.messages, one.Invalid)
		}
		if len(one.Records) == 0 {
			all, err := a.aggregate(e, m, b, "")
			if err != nil {
				return out, err
			}
			for _, s := range all {
				out.records = append(out.records, show(m, s, nil, dimensions))
			}
			out.unbilled = append(out.unbilled, a.saw(e.ID, "", m.Key, all)...)
		}
		var shown []shownSplits
		for _, dimension := range slices.Sorted(maps.Keys(one.Records)) {
			splits, err := a.aggregate(e, m, b, dimension)
			if err != nil {
				return out, err
			}
			shown = addShown(shown, splits, dimension)
			total := meter.Decimal{}
			for _, s := range splits {
				total = total.Add(s.Quantity)
			}
			p := portion(dimension)
			quantity := convert(total).Records[dimension]
			p.Usage, p.Billable = p.Usage.Add(quantity), p.Billable.Add(quantity)
			p.Metrics = append(p.Metrics, m.Key)
			if m.Aggregation != meter.AggCount && m.Aggregation != meter.AggSum {
				p.Whole = append(p.Whole, m.Key)
			}
			p.Late = p.Late || b.late[""]
			p.Seen = append(p.Seen, a.saw(e.ID, dimension, m.Key, splits)...)
		}
		for _, one := range shown {
			for _, s := range one.splits {
				mapped := convert(s.Quantity).Records
				maps.DeleteFunc(mapped, func(dimension string, _ meter.Decimal) bool { return !slices.Contains(one.dimensions, dimension) })
				out.records = append(out.records, show(m, s, mapped, dimensions))
			}
		}
	}
	return out, nil
}

// shownSplits are aggregates as they are billed, and where: a figure that is
// shown is the one that is billed. Dimensions of one metric have their own only
// where some of its groups are settled for one of them and not for the other.
type shownSplits struct {
	splits     []rating.Split
	dimensions []string
}

// addShown adds the splits that are billed as a dimension to those that are the same.
func addShown(all []shownSplits, splits []rating.Split, dimension string) []shownSplits {
	for i := range all {
		if slices.EqualFunc(all[i].splits, splits, func(a, b rating.Split) bool {
			return a.Group == b.Group && a.Quantity.Cmp(b.Quantity) == 0 && slices.Equal(a.NewItems, b.NewItems)
		}) {
			all[i].dimensions = append(all[i].dimensions, dimension)
			return all
		}
	}
	return append(all, shownSplits{splits, []string{dimension}})
}

// metricsOf are the metrics of which groups hold records, ascending.
func metricsOf(groups []billing.RecordGroup) []string {
	var ids []string
	for _, g := range groups {
		for _, r := range g.Billable {
			ids = append(ids, r.Metric)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// aggregate aggregates the records of one metric for one dimension; "" is for
// none in particular.
func (a *account) aggregate(e *catalog.Entitlement, m meter.Meter, b *bucket, dimension string) ([]rating.Split, error) {
	var rated []rating.Record
	for _, g := range b.groups {
		if dimension != "" && slices.Contains(g.Settled, dimension) {
			continue
		}
		for _, r := range g.Billable {
			if r.Metric != m.Key {
				continue
			}
			record := rating.Record{Time: g.Usage, Arrival: int64(g.Serial)}
			if r.Quantity != nil {
				record.Quantity = *r.Quantity
			}
			if len(r.Properties) > 0 {
				if err := json.Unmarshal(r.Properties, &record.Properties); err != nil {
					return nil, meter.WrapError(meter.KindCorrupt, err, "the properties in usage record group %q cannot be read", g.Name)
				}
			}
			rated = append(rated, record)
		}
	}
	return rating.Aggregate(m, rated, func(group string, item rating.DayItem) bool {
		return a.state.Seen[e.ID][billing.SeenKey{Dimension: dimension, Item: billing.SeenItem{Metric: m.Key, Split: group, Day: item.Day, Value: item.Value}}]
	})
}

// saw remembers new items for the next hours of this pass and returns them.
func (a *account) saw(entitlement, dimension, metric string, splits []rating.Split) []billing.SeenItem {
	var items []billing.SeenItem
	for _, s := range splits {
		for _, n := range s.NewItems {
			item := billing.SeenItem{Metric: metric, Split: s.Group, Day: n.Day, Value: n.Value}
			a.state.Seen[entitlement][billing.SeenKey{Dimension: dimension, Item: item}] = true
			items = append(items, item)
		}
	}
	return items
}

// show renders a split with what it costs where it is billed.
func show(m meter.Meter, s rating.Split, mapped map[string]meter.Decimal, dimensions map[string]rating.Dimension) aggregatedRecord {
	r := aggregatedRecord{Key: m.Key, Name: m.Name, Quantity: json.Number(s.Quantity.String()), Group: s.Group, Aggregation: m.Aggregation}
	if len(mapped) > 0 {
		total := meter.Decimal{}
		for dimension, quantity := range mapped {
			total = total.Add(quantity.Mul(dimensions[dimension].UnitPrice))
		}
		amount := json.Number(total.String())
		r.Amount = &amount
	}
	if m.Aggregation == meter.AggUniqueCount {
		r.Unique = &uniqueResult{NewItems: map[string]bool{}}
		for _, item := range s.NewItems {
			r.Unique.NewItems[item.Value] = true
		}
	}
	return r
}
