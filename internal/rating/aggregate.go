package rating

import (
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

// Record is one posted record of a billable metric.
type Record struct {
	Time       time.Time              // of the usage
	Arrival    int64                  // order of acceptance, for LAST among equal times
	Properties map[string]meter.Value // by property name
	Quantity   meter.Decimal          // for SUM, MAX and LAST
}

// Split is the aggregate of the records with the same values of the metric's
// group-bys.
type Split struct {
	Group    string        // see GroupExpression
	Quantity meter.Decimal // the aggregated value; for UNIQUE_COUNT the number of new items
	NewItems []DayItem     // UNIQUE_COUNT: values not seen before on their day, ascending
}

// DayItem is one value of UNIQUE_COUNT on the UTC day of its usage.
type DayItem struct {
	Day   string // 2026-11-29
	Value string
}

// Seen says whether UNIQUE_COUNT has counted an item of a split already.
type Seen func(group string, item DayItem) bool

// Aggregate aggregates the records of one hour for a billable metric: those
// that pass its filters, split by its group-bys, one Split for each in
// ascending order of Group. The metric's aggregation is COUNT, UNIQUE_COUNT,
// SUM, MAX or LAST; its value names the property that UNIQUE_COUNT counts.
//
//   - COUNT counts records, SUM and MAX take the quantities, LAST the quantity
//     of the latest usage and of the latest arrival among equal times.
//   - UNIQUE_COUNT counts the values that are new on the UTC day of their usage,
//     so that the hours of a day add up to its distinct values. A record without
//     a value is skipped.
//
// Errors: KindInvalid for another aggregation.
func Aggregate(m meter.Meter, records []Record, seen Seen) ([]Split, error) {
	splits := map[string][]Record{}
	for _, r := range records {
		get := func(name string) meter.Value { return r.Properties[propertyName(name)] }
		if meter.MatchAny(m.Filters, get) {
			group := groupExpression(m.GroupBy, get)
			splits[group] = append(splits[group], r)
		}
	}
	var out []Split
	for group, rs := range splits {
		s := Split{Group: group}
		switch m.Aggregation {
		case meter.AggCount:
			s.Quantity = meter.NewDecimal(int64(len(rs)))
		case meter.AggUniqueCount:
			s.NewItems = newItems(m.Value, group, rs, seen)
			s.Quantity = meter.NewDecimal(int64(len(s.NewItems)))
		case meter.AggSum, meter.AggMax, meter.AggLast:
			s.Quantity = fold(m.Aggregation, rs)
		default:
			return nil, meter.Errorf(meter.KindInvalid, "billable metric %q: aggregation %s is not reported to marketplaces", m.Key, m.Aggregation)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Split) int { return strings.Compare(a.Group, b.Group) })
	return out, nil
}

// propertyName is the property that a meter's attribute names: records of
// billable metrics are events whose properties lie under "properties".
func propertyName(attribute string) string { return strings.TrimPrefix(attribute, "properties.") }

func fold(aggregation meter.Aggregation, rs []Record) meter.Decimal {
	last := rs[0]
	value := last.Quantity
	for _, r := range rs[1:] {
		switch aggregation {
		case meter.AggSum:
			value = value.Add(r.Quantity)
		case meter.AggMax:
			if r.Quantity.Cmp(value) > 0 {
				value = r.Quantity
			}
		default:
			if c := r.Time.Compare(last.Time); c > 0 || c == 0 && r.Arrival >= last.Arrival {
				last, value = r, r.Quantity
			}
		}
	}
	return value
}

func newItems(property, group string, rs []Record, seen Seen) []DayItem {
	var items []DayItem
	counted := map[DayItem]bool{}
	for _, r := range rs {
		text, ok := r.Properties[propertyName(property)].Text()
		item := DayItem{Day: r.Time.UTC().Format(time.DateOnly), Value: text}
		if !ok || counted[item] || seen(group, item) {
			continue
		}
		counted[item] = true
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b DayItem) int {
		if c := strings.Compare(a.Day, b.Day); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return items
}

// escape keeps values of group-bys from being taken for other splits.
var escape = strings.NewReplacer("%", "%25", ",", "%2C", "=", "%3D")

// groupExpression names a split: name=value pairs joined by commas in the
// configured order of the group-bys, "" without any. A missing value is empty;
// a comma, an equals sign and a percent sign in a value are percent-encoded.
func groupExpression(groupBys []string, get func(name string) meter.Value) string {
	var b strings.Builder
	for i, name := range groupBys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(propertyName(name) + "=" + escape.Replace(get(name).Group()))
	}
	return b.String()
}
