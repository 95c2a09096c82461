package suger

import (
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/records"
	"odometer/internal/surface/suger/wire"
)

// createMetric is operation createBillableMetric.
func (a api) createMetric(x *httpserver.Exchange) error {
	text, err := body(x)
	if err != nil {
		return err
	}
	if len(x.Request.Header["Idempotency-Key"]) > 0 {
		return meter.Errorf(meter.KindInvalid, "Idempotency-Key is not taken here: give the billable metric an id, which exists once")
	}
	parsed, err := wire.ParseMetric(text)
	if err != nil {
		return err
	}
	n := records.NewBillableMetric{ID: parsed.ID, Aggregation: meter.Aggregation(parsed.Aggregation),
		Info: records.MetricInfo{GroupBys: parsed.Info.GroupBys, PropertyUniqueOn: parsed.Info.PropertyUniqueOn}}
	if parsed.Name != nil {
		n.Name = *parsed.Name
	}
	if parsed.Description != nil {
		n.Description = *parsed.Description
	}
	for _, group := range parsed.Info.FilterGroups {
		var filters []records.MetricFilter
		for _, f := range group.Filters {
			filters = append(filters, records.MetricFilter{Name: f.Name, Operation: meter.Op(f.Operation), Value: f.Value.Scalar, ValueType: f.ValueType})
		}
		n.Info.FilterGroups = append(n.Info.FilterGroups, records.MetricFilterGroup{Filters: filters})
	}
	m, err := a.Records.CreateBillableMetric(x.Request.Context(), x.Principal, n)
	if err != nil {
		return err
	}
	return answerMetric(x, m)
}

// metric is operation getBillableMetric.
func (a api) metric(x *httpserver.Exchange) error {
	m, err := a.Records.BillableMetric(x.Request.Context(), x.Principal, x.Param("metric"))
	if err != nil {
		return err
	}
	return answerMetric(x, m)
}

// metrics is operation listBillableMetrics, of every status where none is asked for.
func (a api) metrics(x *httpserver.Exchange) error {
	values, err := x.Query()
	if err != nil {
		return err
	}
	status, err := wire.ParseMetricStatus(values)
	if err != nil {
		return err
	}
	list, err := a.Records.BillableMetrics(x.Request.Context(), x.Principal)
	if err != nil {
		return err
	}
	var out []wire.Metric
	for _, m := range list {
		if one := metricOf(x.Principal.Organization, m); status == "" || one.Status == status {
			out = append(out, one)
		}
	}
	encoded, err := wire.EncodeMetrics(out)
	return answer(x, encoded, err)
}

// updateMetric is operation updateBillableMetric.
func (a api) updateMetric(x *httpserver.Exchange) error {
	text, err := body(x)
	if err != nil {
		return err
	}
	parsed, err := wire.ParseMetricPatch(text)
	if err != nil {
		return err
	}
	patch := records.BillableMetricPatch{Name: parsed.Name, Description: parsed.Description}
	if parsed.Status != nil {
		deleted := *parsed.Status == wire.StatusDeleted
		patch.Deleted = &deleted
	}
	m, err := a.Records.UpdateBillableMetric(x.Request.Context(), x.Principal, x.Param("metric"), patch)
	if err != nil {
		return err
	}
	return answerMetric(x, m)
}

func answerMetric(x *httpserver.Exchange, m records.BillableMetric) error {
	encoded, err := metricOf(x.Principal.Organization, m).Encode()
	return answer(x, encoded, err)
}

// metricOf is a metric as it is answered.
func metricOf(organization string, m records.BillableMetric) wire.Metric {
	out := wire.Metric{ID: m.ID, Aggregation: string(m.Aggregation), Status: wire.StatusActive, Organization: organization,
		Info:    &wire.MetricInfo{GroupBys: m.Info.GroupBys, PropertyUniqueOn: m.Info.PropertyUniqueOn},
		Created: wire.TimeOf(m.Created), Updated: wire.TimeOf(m.Updated)}
	if m.Deleted {
		out.Status = wire.StatusDeleted
	}
	if m.Name != "" {
		out.Name = &m.Name
	}
	if m.Description != "" {
		out.Description = &m.Description
	}
	for _, group := range m.Info.FilterGroups {
		var filters []wire.Filter
		for _, f := range group.Filters {
			filters = append(filters, wire.Filter{Name: f.Name, Operation: string(f.Operation), Value: wire.FilterValue{Scalar: f.Value}, ValueType: f.ValueType})
		}
		out.Info.FilterGroups = append(out.Info.FilterGroups, wire.FilterGroup{Filters: filters})
	}
	return out
}
