package records

import (
	"context"
	"encoding/json"
	"log/slog"
	"odometer/internal/access"
	"odometer/internal/billing"
	"slices"
	"time"
	"unicode/utf8"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// The limits of a billable metric's texts, in characters: the vendor's clients
// refuse a whole answer that holds others.
const (
	minMetricNameChars        = 4
	maxMetricNameChars        = 50
	maxMetricDescriptionChars = 300
)

// Where a billable metric's meter finds what a record says.
const (
	recordProperties = "properties."
	recordQuantity   = "quantity"
)

// metricAttributes are grouped by too, where there is room, so that usage of
// one customer or entitlement is answered without reading its events.
var metricAttributes = []string{"customer", "entitlement"}

// MetricInfo says which records a billable metric takes and how it splits them.
type MetricInfo struct {
	FilterGroups     []MetricFilterGroup `json:"filter_groups,omitempty"` // all hold
	GroupBys         []string            `json:"group_bys,omitempty"`     // properties, in the order they are told in
	PropertyUniqueOn string              `json:"property_unique_on,omitempty"`
}

// MetricFilterGroup holds if one of its filters does.
type MetricFilterGroup struct {
	Filters []MetricFilter `json:"filters"`
}

// MetricFilter is a condition on a property.
type MetricFilter struct {
	Name      string      `json:"name"`
	Operation meter.Op    `json:"operation"`
	Value     meter.Value `json:"value,omitzero"`
	ValueType string      `json:"value_type,omitempty"` // STRING or FLOAT, as it was given
}

// NewBillableMetric is what a caller says of a metric to create.
type NewBillableMetric struct {
	ID          string // "" = one that is made here
	Name        string
	Description string
	Aggregation meter.Aggregation
	Info        MetricInfo
}

// BillableMetric is a meter that counts records which are reported against entitlements.
type BillableMetric struct {
	ID          string
	Name        string
	Description string
	Aggregation meter.Aggregation
	Info        MetricInfo
	Deleted     bool
	Created     time.Time
	Updated     time.Time
}

// BillableMetricPatch changes what may change of a metric; nil leaves a part alone.
type BillableMetricPatch struct {
	Name        *string
	Description *string
	Deleted     *bool
}

// CreateBillableMetric defines a billable metric and its meter. An id that a
// meter has already, whether of a metric or not, is KindConflict.
func (s *Service) CreateBillableMetric(ctx context.Context, p access.Principal, n NewBillableMetric) (BillableMetric, error) {
	if err := p.MayReportAll(); err != nil {
		return BillableMetric{}, err
	}
	if n.ID == "" {
		n.ID = newUUID()
	}
	m, err := n.meter()
	if err != nil {
		return BillableMetric{}, err
	}
	noted := billing.BillableMetric{ID: n.ID}
	if noted.Definition, err = json.Marshal(m); err != nil {
		return BillableMetric{}, err
	}
	if noted.Info, err = json.Marshal(n.Info); err != nil {
		return BillableMetric{}, err
	}
	done, err := s.meters.ChangeMeters(ctx, p.Organization)
	if err != nil {
		return BillableMetric{}, err
	}
	defer done()
	if _, had := s.ledger.Meter(p.Organization, n.ID); had {
		return BillableMetric{}, meter.Errorf(meter.KindConflict, "there is a meter %q already", n.ID)
	}
	if err := s.metricRoom(ctx, p); err != nil {
		return BillableMetric{}, err
	}
	// The catalog first: a crash before the meter is defined is mended by PostPending.
	if noted, err = s.metrics.CreateBillableMetric(ctx, p.Organization, noted); err != nil {
		return BillableMetric{}, err
	}
	ctx = context.WithoutCancel(ctx)
	state, _, err := s.meters.DefineMeter(ctx, p, m)
	if err != nil {
		if drop := s.metrics.DropBillableMetric(ctx, p.Organization, n.ID); drop != nil {
			s.logger.Warn("a billable metric whose meter was refused is still noted", slog.String("metric", n.ID), slog.Any("error", drop))
		}
		return BillableMetric{}, err
	}
	return metricOf(noted, state)
}

// metricRoom says whether a key may make a billable metric more. Caller has the turn to change meters.
func (s *Service) metricRoom(ctx context.Context, p access.Principal) error {
	have, err := s.metrics.BillableMetrics(ctx, p.Organization)
	if err != nil {
		return err
	}
	most := s.limits.BillableMetrics
	switch report := (most + 1) / 2; {
	case len(have) >= most:
		return meter.Errorf(meter.KindTooLarge, "the organization has %d billable metrics, the limit: an admin can remove deleted ones", len(have))
	case len(have) >= report && !p.Role.Allows(access.ActionManage):
		return meter.Errorf(meter.KindTooLarge, "the organization has %d billable metrics, and keys of the role report may make no more than %d: an admin can, or can remove deleted ones", len(have), report)
	}
	return nil
}

// ReleaseMeter takes from a meter that it is a billable metric, for good: the
// metric must be deleted, and groups that are not reported yet need it. Who
// removes the meter calls it first, with the turn to change meters: a meter
// that is no metric's is an ordinary one.
func (s *Service) ReleaseMeter(ctx context.Context, organization, id string) error {
	m, err := s.billableMetric(ctx, organization, id)
	if err != nil {
		return err
	}
	if !m.Deleted {
		return meter.Errorf(meter.KindConflict, "meter %q is a billable metric: set its status to deleted first", id)
	}
	waiting, err := s.metrics.MetricInUse(ctx, organization, id)
	if err != nil {
		return err
	}
	if waiting {
		return meter.Errorf(meter.KindConflict, "usage record groups of the billable metric %q are not reported yet", id)
	}
	return s.metrics.DropBillableMetric(ctx, organization, id)
}

// MeterChanged notes the time at which a metric's meter was changed.
func (s *Service) MeterChanged(ctx context.Context, organization, id string) {
	if err := s.metrics.TouchBillableMetric(context.WithoutCancel(ctx), organization, id); err != nil {
		s.logger.Warn("the time of a billable metric's change was not stored", slog.String("metric", id), slog.Any("error", err))
	}
}

// OwnedMeters are the keys of the meters that are billable metrics.
func (s *Service) OwnedMeters(ctx context.Context, organization string) ([]string, error) {
	noted, err := s.metrics.BillableMetrics(ctx, organization)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, m := range noted {
		keys = append(keys, m.ID)
	}
	return keys, nil
}

// meter is the meter that counts the metric's records.
func (n NewBillableMetric) meter() (meter.Meter, error) {
	m := meter.Meter{Key: n.ID, Name: n.Name, Description: n.Description, EventType: metricEventType + n.ID, Aggregation: n.Aggregation}
	if len(n.ID) > billing.MaxMetricIDBytes {
		return m, meter.Errorf(meter.KindInvalid, "id has %d bytes (limit %d)", len(n.ID), billing.MaxMetricIDBytes)
	}
	if err := checkMetricTexts(n.Name, n.Description); err != nil {
		return m, err
	}
	switch n.Aggregation {
	case meter.AggCount:
	case meter.AggUniqueCount:
		if n.Info.PropertyUniqueOn == "" {
			return m, meter.Errorf(meter.KindInvalid, "info.propertyUniqueOn is required for UNIQUE_COUNT")
		}
		m.Value = recordProperties + n.Info.PropertyUniqueOn
	case meter.AggSum, meter.AggMax, meter.AggLast:
		m.Value = recordQuantity
	default:
		return m, meter.Errorf(meter.KindInvalid, "aggregationType %q: want COUNT, UNIQUE_COUNT, SUM, MAX or LAST", meter.Clip(string(n.Aggregation)))
	}
	for i, name := range n.Info.GroupBys {
		if name == "" || slices.Contains(n.Info.GroupBys[:i], name) {
			return m, meter.Errorf(meter.KindInvalid, "info.groupBys: property %q is empty or given twice", meter.Clip(name))
		}
		m.GroupBy = append(m.GroupBy, recordProperties+name)
	}
	for _, name := range metricAttributes {
		if len(m.GroupBy) < meter.MaxGroupBy {
			m.GroupBy = append(m.GroupBy, name)
		}
	}
	for _, group := range n.Info.FilterGroups {
		var alternatives []meter.Filter
		for _, f := range group.Filters {
			alternatives = append(alternatives, meter.Filter{Attribute: recordProperties + f.Name, Op: f.Operation, Value: f.Value})
		}
		m.Filters = append(m.Filters, alternatives)
	}
	return m, m.Validate()
}

// checkMetricTexts holds a metric's texts to what the vendor's clients accept.
// No name is allowed.
func checkMetricTexts(name, description string) error {
	if n := utf8.RuneCountInString(name); name != "" && (n < minMetricNameChars || n > maxMetricNameChars) {
		return meter.Errorf(meter.KindInvalid, "name has %d characters: want %d to %d", n, minMetricNameChars, maxMetricNameChars)
	}
	if n := utf8.RuneCountInString(description); n > maxMetricDescriptionChars {
		return meter.Errorf(meter.KindInvalid, "description has %d characters (limit %d)", n, maxMetricDescriptionChars)
	}
	return nil
}

// MetricDefinitions are the meters of all billable metrics by their ids, deleted
// ones too, as they were defined: what was reported before is billed by them.
func (s *Service) MetricDefinitions(ctx context.Context, p access.Principal) (map[string]meter.Meter, error) {
	if err := p.May(access.ActionReport); err != nil {
		return nil, err
	}
	noted, err := s.metrics.BillableMetrics(ctx, p.Organization)
	if err != nil {
		return nil, err
	}
	all := map[string]meter.Meter{}
	for _, n := range noted {
		if all[n.ID], err = meter.DecodeMeter(n.Definition); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// BillableMetrics lists the organization's metrics, the oldest first, deleted
// ones among them.
func (s *Service) BillableMetrics(ctx context.Context, p access.Principal) ([]BillableMetric, error) {
	if err := p.May(access.ActionReport); err != nil {
		return nil, err
	}
	noted, err := s.metrics.BillableMetrics(ctx, p.Organization)
	if err != nil {
		return nil, err
	}
	seen, err := s.meters.SeenMeters(ctx, p)
	if err != nil {
		return nil, err
	}
	list := []BillableMetric{}
	for _, n := range noted {
		state, ok := s.ledger.Meter(p.Organization, n.ID)
		if !ok || !seen(state.Meter) { // not there: between the note and the meter
			continue
		}
		m, err := metricOf(n, state)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// BillableMetric returns one metric; a meter that is none is KindNotFound, and
// so is one that a bound key may not know of.
func (s *Service) BillableMetric(ctx context.Context, p access.Principal, id string) (BillableMetric, error) {
	if err := p.May(access.ActionReport); err != nil {
		return BillableMetric{}, err
	}
	if state, ok := s.ledger.Meter(p.Organization, id); ok {
		seen, err := s.meters.SeenMeters(ctx, p)
		if err != nil {
			return BillableMetric{}, err
		}
		if !seen(state.Meter) {
			return BillableMetric{}, errNoMetric(id)
		}
	}
	return s.billableMetric(ctx, p.Organization, id)
}

func errNoMetric(id string) error {
	return meter.Errorf(meter.KindNotFound, "no billable metric %q", meter.Clip(id))
}

func (s *Service) billableMetric(ctx context.Context, organization, id string) (BillableMetric, error) {
	noted, err := s.metrics.BillableMetric(ctx, organization, id)
	if err != nil {
		return BillableMetric{}, err
	}
	state, ok := s.ledger.Meter(organization, id)
	if !ok {
		return BillableMetric{}, errNoMetric(id)
	}
	return metricOf(noted, state)
}

// UpdateBillableMetric changes name, description or status. A deleted metric
// takes no new usage and can be made active again.
func (s *Service) UpdateBillableMetric(ctx context.Context, p access.Principal, id string, patch BillableMetricPatch) (BillableMetric, error) {
	if err := p.MayReportAll(); err != nil {
		return BillableMetric{}, err
	}
	change := meter.MeterPatch{Name: patch.Name, Description: patch.Description}
	if patch.Deleted != nil {
		status := meter.StatusActive
		if *patch.Deleted {
			status = meter.StatusDeleted
		}
		change.Status = &status
	}
	done, err := s.meters.ChangeMeters(ctx, p.Organization)
	if err != nil {
		return BillableMetric{}, err
	}
	defer done()
	if _, err := s.billableMetric(ctx, p.Organization, id); err != nil {
		return BillableMetric{}, err
	}
	if _, err := s.meters.AmendMeter(ctx, p, id, change); err != nil {
		return BillableMetric{}, err
	}
	return s.billableMetric(ctx, p.Organization, id)
}

// CheckMeterPatch keeps a change of a billable metric's meter within what the
// metric's readers accept, and says whether the meter is a metric's.
func (s *Service) CheckMeterPatch(ctx context.Context, organization, key string, patch meter.MeterPatch) (metric bool, err error) {
	_, err = s.metrics.BillableMetric(ctx, organization, key)
	if meter.KindOf(err) == meter.KindNotFound && err != nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var name, description string
	if patch.Name != nil {
		name = *patch.Name
	}
	if patch.Description != nil {
		description = *patch.Description
	}
	return true, checkMetricTexts(name, description)
}

// metricOf joins what the catalog and the log say of a metric.
func metricOf(noted billing.BillableMetric, state meter.MeterState) (BillableMetric, error) {
	m := BillableMetric{ID: noted.ID, Name: state.Name, Description: state.Description, Aggregation: state.Aggregation,
		Deleted: state.Status == meter.StatusDeleted, Created: noted.Created, Updated: noted.Updated}
	if err := json.Unmarshal(noted.Info, &m.Info); err != nil {
		return m, meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: billable metric %s cannot be read", noted.ID)
	}
	return m, nil
}

// activeMetrics are the meters of metrics that take the principal's usage, by id.
func (s *Service) activeMetrics(ctx context.Context, p access.Principal) (map[string]meter.Meter, error) {
	noted, err := s.metrics.BillableMetrics(ctx, p.Organization)
	if err != nil {
		return nil, err
	}
	seen, err := s.meters.SeenMeters(ctx, p)
	if err != nil {
		return nil, err
	}
	active := map[string]meter.Meter{}
	for _, n := range noted {
		if state, ok := s.ledger.Meter(p.Organization, n.ID); ok && state.Status != meter.StatusDeleted && seen(state.Meter) {
			active[n.ID] = state.Meter
		}
	}
	return active, nil
}

// defineMetrics defines the meters of metrics that were noted and whose meter
// a crash kept from the log.
func (s *Service) defineMetrics(ctx context.Context) error {
	for page := (catalog.Page{}); ; {
		list, err := s.catalog.Organizations(ctx, page)
		if err != nil {
			return err
		}
		for _, o := range list.Items {
			if err := s.defineMetricsOf(ctx, o.ID); err != nil {
				return err
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			return nil
		}
	}
}

func (s *Service) defineMetricsOf(ctx context.Context, organization string) error {
	done, err := s.meters.ChangeMeters(ctx, organization)
	if err != nil {
		return err
	}
	defer done()
	noted, err := s.metrics.BillableMetrics(ctx, organization)
	if err != nil {
		return err
	}
	system := access.Principal{Organization: organization, KeyID: "system"}
	for _, n := range noted {
		if _, ok := s.ledger.Meter(organization, n.ID); ok {
			continue
		}
		var m meter.Meter
		if err := json.Unmarshal(n.Definition, &m); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: billable metric %s cannot be read", n.ID)
		}
		if _, _, err := s.meters.DefineMeter(ctx, system, m); err != nil {
			return err
		}
	}
	return nil
}
