package meter

import (
	"slices"
	"strconv"
	"time"
)

// Aggregation says how the events of a window become one figure.
type Aggregation string

// The aggregations. All but COUNT take the meter's value attribute;
// PERCENTILE and PEAK sum it per sample first.
const (
	AggCount       Aggregation = "COUNT"        // events
	AggSum         Aggregation = "SUM"          // sum of values
	AggMin         Aggregation = "MIN"          // smallest value
	AggMax         Aggregation = "MAX"          // largest value
	AggAvg         Aggregation = "AVG"          // sum divided by the number of values
	AggUniqueCount Aggregation = "UNIQUE_COUNT" // distinct texts
	AggLast        Aggregation = "LAST"         // value of the latest event; then of the greatest (source, id)
	AggPercentile  Aggregation = "PERCENTILE"   // element PercentileRank of the samples in ascending order
	AggPeak        Aggregation = "PEAK"         // largest sample
)

var aggregations = []Aggregation{AggCount, AggSum, AggMin, AggMax, AggAvg, AggUniqueCount, AggLast, AggPercentile, AggPeak}

// What a meter uses where its definition leaves something out.
const (
	DefaultPercentile = Percentage("95")
	defaultPercentile = 95
	defaultSample     = Duration(5 * time.Minute)
	defaultSlot       = 15 * time.Minute // cells of meters that are not sampled; covers the hours of every zone in use
)

// The values of Meter.Status.
const (
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// Meter says how events of one type become a quantity. Everything but Name,
// Description, Unit and Status is its definition and never changes.
type Meter struct {
	Key         string      `json:"key" yaml:"key"`
	Name        string      `json:"name,omitempty" yaml:"name,omitempty"`
	Description string      `json:"description,omitempty" yaml:"description,omitempty"`
	EventType   string      `json:"event_type" yaml:"event_type"`
	Aggregation Aggregation `json:"aggregation" yaml:"aggregation"`
	Value       string      `json:"value,omitempty" yaml:"value,omitempty"`                     // attribute to aggregate; none for COUNT
	GroupBy     []string    `json:"group_by,omitempty" yaml:"group_by,omitempty"`               // attributes
	Filters     [][]Filter  `json:"filters,omitempty" yaml:"filters,omitempty" strict:"filled"` // see MatchAny
	Percentile  Percentage  `json:"percentile,omitempty" yaml:"percentile,omitempty"`           // PERCENTILE only
	Sample      Duration    `json:"sample,omitempty" yaml:"sample,omitempty"`                   // PERCENTILE and PEAK only
	Rate        bool        `json:"rate,omitempty" yaml:"rate,omitempty"`                       // divide samples by their seconds
	Excess      ExcessRule  `json:"excess,omitempty" yaml:"excess,omitempty"`                   // of values with too many digits; "" = ExcessSkip
	Unit        string      `json:"unit,omitempty" yaml:"unit,omitempty"`
	Status      string      `json:"status,omitempty" yaml:"status,omitempty"`
}

// ExcessRule says what a meter does with a value that has more digits than a
// Quantity holds.
type ExcessRule string

// The rules. A value with too many digits before the point is skipped by both.
const (
	ExcessSkip  ExcessRule = "skip"  // the meter skips the event
	ExcessRound ExcessRule = "round" // to MaxFractionDigits after the point, half to even
)

// Take returns the quantity that the meter takes of its value attribute,
// false if it skips the event.
func (m *Meter) Take(v Value) (Quantity, bool) {
	if m.Excess == ExcessRound {
		return v.Rounded()
	}
	return v.Numeric()
}

// Normalize returns m with the defaults filled in, the percentile in its
// shortest text, and slices of its own. It does not validate.
func (m Meter) Normalize() Meter {
	m.GroupBy = slices.Clone(m.GroupBy)
	if len(m.GroupBy) == 0 {
		m.GroupBy = nil
	}
	filters := m.Filters
	m.Filters = nil
	for _, group := range filters {
		m.Filters = append(m.Filters, slices.Clone(group))
	}
	if m.Sampled() && m.Sample == 0 {
		m.Sample = defaultSample
	}
	if m.Aggregation == AggPercentile {
		if m.Percentile == "" {
			m.Percentile = DefaultPercentile
		}
		if d, err := ParseDecimal(string(m.Percentile)); err == nil {
			m.Percentile = Percentage(d.String())
		}
	}
	if m.Excess == ExcessSkip {
		m.Excess = "" // as in definitions from before there was a rule
	}
	if m.Status == "" {
		m.Status = StatusActive
	}
	return m
}

// SameDefinition reports whether m and o count alike: equal in everything but
// name, description, unit and status. The order of group_by and of filters
// means nothing, and neither does a default written out.
func (m Meter) SameDefinition(o Meter) bool {
	m, o = m.Normalize(), o.Normalize()
	return m.Key == o.Key && m.EventType == o.EventType && m.Aggregation == o.Aggregation && m.Value == o.Value &&
		m.Percentile == o.Percentile && m.Sample == o.Sample && m.Rate == o.Rate && m.Excess == o.Excess &&
		slices.Equal(sorted(m.GroupBy), sorted(o.GroupBy)) && slices.Equal(filterTexts(m.Filters), filterTexts(o.Filters))
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// filterTexts renders filters so that equal texts mean equal filters. 500 and
// "500" match the same events.
func filterTexts(groups [][]Filter) []string {
	var out []string
	for _, group := range groups {
		var texts []string
		for _, f := range group {
			texts = append(texts, JoinPath(f.Attribute, string(f.Op), f.Value.Group()))
		}
		slices.Sort(texts)
		out = append(out, JoinPath(texts...))
	}
	slices.Sort(out)
	return out
}

// Sampled reports whether m sums its value per sample first.
func (m Meter) Sampled() bool {
	return m.Aggregation == AggPercentile || m.Aggregation == AggPeak
}

// SlotWidth returns the width of the time slots that m is folded into: the
// sample, or defaultSlot. Slots lie on multiples of it since the Unix epoch.
func (m Meter) SlotWidth() time.Duration {
	switch {
	case !m.Sampled():
		return defaultSlot
	case m.Sample == 0:
		return time.Duration(defaultSample)
	default:
		return time.Duration(m.Sample)
	}
}

// Result turns the aggregated element of m into the figure that is answered:
// multiplied by scale first and, for a rate, divided by the sample's seconds
// last.
func (m Meter) Result(element, scale Decimal) Decimal {
	element = element.Mul(scale)
	if !m.Rate {
		return element
	}
	return Rate(element, int(m.SlotWidth()/time.Second))
}

// Duration is the width of a sample: a time.Duration with a short text, such as
// "5m" or "1h", in JSON and YAML.
type Duration time.Duration

// String returns the text in the largest whole unit of h, m and s, or as
// time.Duration has it.
func (d Duration) String() string {
	v := time.Duration(d)
	for _, u := range [...]struct {
		width time.Duration
		name  string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if v != 0 && v%u.width == 0 {
			return strconv.FormatInt(int64(v/u.width), 10) + u.name
		}
	}
	return v.String()
}

// MarshalText renders what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return Errorf(KindInvalid, "sample %q: want a duration such as 5m or 1h", clip(string(b)))
	}
	*d = Duration(v)
	return nil
}

// Percentage is the decimal text of a percentage, such as "95" or "99.9". In
// JSON and YAML it is a number or a string.
type Percentage string

// Decimal returns the percentage as a number; DefaultPercentile if it is "" or
// no number, which Meter.Validate refuses.
func (p Percentage) Decimal() Decimal {
	if p == "" {
		return NewDecimal(defaultPercentile)
	}
	d, err := ParseDecimal(string(p))
	if err != nil {
		return NewDecimal(defaultPercentile)
	}
	return d
}

// clip shortens a text that an error repeats.
func clip(s string) string {
	if len(s) > maxErrorText {
		return s[:maxErrorText] + "..."
	}
	return s
}
