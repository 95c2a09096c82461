package wire

import (
	"encoding/json"

	"odometer/internal/meter"
)

// The states of a billable metric.
const (
	StatusActive  = "ACTIVE"
	StatusDeleted = "DELETED"
)

// The types of a filter's value.
const (
	valueString = "STRING"
	valueFloat  = "FLOAT"
)

// Metric is a billable metric (BillableMetric), in requests and answers. Of a
// request, what the server sets is ignored.
type Metric struct {
	ID           string      `json:"id,omitempty"`
	Name         *string     `json:"name,omitempty"`
	Description  *string     `json:"description,omitempty"`
	Aggregation  string      `json:"aggregationType,omitempty"`
	Info         *MetricInfo `json:"info,omitempty"`
	Status       string      `json:"status,omitempty"`
	Organization string      `json:"organizationId,omitempty"` // a lower-case d, unlike elsewhere
	Created      *Time       `json:"creationTime,omitempty"`
	Updated      *Time       `json:"lastUpdateTime,omitempty"`
}

// MetricInfo is BillableMetricInfo.
type MetricInfo struct {
	FilterGroups     []FilterGroup `json:"filterGroups,omitempty"` // null is none: the vendor's Go client sends it
	GroupBys         []string      `json:"groupBys,omitempty"`
	PropertyUniqueOn string        `json:"propertyUniqueOn,omitempty"`
}

// FilterGroup is a list of alternatives.
type FilterGroup struct {
	Filters []Filter `json:"filters,omitempty"` // null as above
}

// Filter is one condition on a property.
type Filter struct {
	Name      string      `json:"name,omitempty"`
	Operation string      `json:"operation,omitempty"`
	Value     FilterValue `json:"value,omitzero"`
	ValueType string      `json:"valueType,omitempty"`
}

// FilterValue is a scalar that both clients take for an object: it is sent as
// {"value": scalar}, and read as that, as any object with one member, or bare.
type FilterValue struct{ Scalar meter.Value }

// IsZero says whether there is no value.
func (v FilterValue) IsZero() bool { return v.Scalar.Kind <= meter.Null }

// MarshalJSON renders {"value": scalar}.
func (v FilterValue) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]meter.Value{"value": v.Scalar})
}

// UnmarshalJSON reads any of the forms.
func (v *FilterValue) UnmarshalJSON(text []byte) error {
	if text[0] == '{' {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return err
		}
		if len(object) != 1 {
			return meter.Errorf(meter.KindInvalid, "value: an object has one member, not %d", len(object))
		}
		for _, text = range object {
		}
	}
	if text[0] == '{' || text[0] == '[' {
		return meter.Errorf(meter.KindInvalid, "value: want a string, a number or a boolean, not %s", clip(string(text)))
	}
	if err := json.Unmarshal(text, &v.Scalar); err != nil {
		return meter.Errorf(meter.KindInvalid, "value %s cannot be read, or is out of range", clip(string(text)))
	}
	return nil
}

// typed is a filter's value as its type says: a number for FLOAT, a text for
// STRING. Without a type, a number is FLOAT and anything else STRING.
func (f *Filter) typed() error {
	if f.Value.IsZero() {
		f.Value = FilterValue{}
		if f.ValueType != "" && f.ValueType != valueString && f.ValueType != valueFloat {
			return meter.Errorf(meter.KindInvalid, "valueType %q: want STRING or FLOAT", clip(f.ValueType))
		}
		return nil
	}
	if f.ValueType == "" {
		f.ValueType = valueString
		if f.Value.Scalar.Kind == meter.Number || f.Value.Scalar.Kind == meter.Excess {
			f.ValueType = valueFloat
		}
	}
	switch f.ValueType {
	case valueString:
		f.Value.Scalar = meter.StringValue(f.Value.Scalar.Group())
	case valueFloat:
		if f.Value.Scalar.Kind == meter.Excess {
			return meter.Errorf(meter.KindInvalid, "value %s is out of range: a FLOAT has at most %d digits before the point and %d after it",
				clip(f.Value.Scalar.Group()), meter.MaxIntegerDigits, meter.MaxFractionDigits)
		}
		n, ok := f.Value.Scalar.Numeric()
		if !ok {
			return meter.Errorf(meter.KindInvalid, "value %q is not a FLOAT", clip(f.Value.Scalar.Group()))
		}
		f.Value.Scalar = meter.NumberValue(n)
	default:
		return meter.Errorf(meter.KindInvalid, "valueType %q: want STRING or FLOAT", clip(f.ValueType))
	}
	return nil
}

// ParseMetric reads the body of createBillableMetric.
func ParseMetric(body []byte) (Metric, error) {
	var m *Metric
	if err := decode(body, &m); err != nil {
		return Metric{}, err
	}
	if m == nil {
		return Metric{}, meter.Errorf(meter.KindInvalid, "the body: want an object")
	}
	if m.Info == nil {
		m.Info = &MetricInfo{}
	}
	for i, group := range m.Info.FilterGroups {
		for j := range group.Filters {
			f := &group.Filters[j]
			if f.Name == "" {
				return Metric{}, meter.Errorf(meter.KindInvalid, "info.filterGroups[%d].filters[%d]: name is required", i, j)
			}
			if err := f.typed(); err != nil {
				return Metric{}, meter.Errorf(meter.KindInvalid, "info.filterGroups[%d].filters[%d]: %s", i, j, err)
			}
		}
	}
	return *m, checkGiven(m.Name)
}

// checkGiven refuses a name that is given and empty: the vendor's clients
// would refuse it in an answer.
func checkGiven(name *string) error {
	if name != nil && *name == "" {
		return meter.Errorf(meter.KindInvalid, "name is empty")
	}
	return nil
}

// Encode renders the metric.
func (m Metric) Encode() ([]byte, error) { return encode(m) }

// EncodeMetrics renders the answer of listBillableMetrics, a bare array.
func EncodeMetrics(metrics []Metric) ([]byte, error) {
	if metrics == nil {
		metrics = []Metric{}
	}
	return encode(metrics)
}

// MetricPatch is UpdateBillableMetricParams; nil leaves a part alone.
type MetricPatch struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Status      *string `json:"status"`
}

// ParseMetricPatch reads the body of updateBillableMetric.
func ParseMetricPatch(body []byte) (MetricPatch, error) {
	var p *MetricPatch
	if err := decode(body, &p); err != nil {
		return MetricPatch{}, err
	}
	if p == nil {
		return MetricPatch{}, meter.Errorf(meter.KindInvalid, "the body: want an object")
	}
	if p.Status != nil && *p.Status != StatusActive && *p.Status != StatusDeleted {
		return MetricPatch{}, meter.Errorf(meter.KindInvalid, "status %q: want ACTIVE or DELETED", clip(*p.Status))
	}
	return *p, checkGiven(p.Name)
}
