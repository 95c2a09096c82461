package records

import (
	"context"
	"maps"
	"odometer/internal/access"
	"odometer/internal/billing"
	"slices"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
	"odometer/internal/rating"
)

// groupChecker judges the groups of one request against one state of the catalog.
type groupChecker struct {
	p        access.Principal
	now      time.Time
	view     *catalog.View
	mappings map[string]rating.Mapping       // by partner
	priced   map[*catalog.Entitlement]priced // those that were looked at
	load     func() (map[string]meter.Meter, error)
	metrics  map[string]meter.Meter // active billable metrics by id, loaded when the first is needed
}

// priced is what a mapping knows of an entitlement's dimensions.
type priced struct {
	dimensions map[string]rating.Dimension
	names      map[string]string // display names that one dimension has, to its key
}

// checkGroups judges groups and stages their events. at is the index of the
// group that an error is about, -1 if it is about the whole request.
func (s *Service) checkGroups(ctx context.Context, p access.Principal, groups []NewRecordGroup) (c checkedGroups, at int, err error) {
	if err := p.May(access.ActionReport); err != nil {
		return c, -1, err
	}
	if len(groups) == 0 {
		return c, -1, meter.Errorf(meter.KindInvalid, "no usage record group is given")
	}
	if len(groups) > billing.MaxGroups {
		return c, -1, meter.Errorf(meter.KindTooLarge, "%d usage record groups in one request (limit %d)", len(groups), billing.MaxGroups)
	}
	if err := s.ledger.Accepting(p.Organization); err != nil {
		return c, -1, err
	}
	check, err := s.newChecker(ctx, p)
	if err != nil {
		return c, -1, err
	}
	c.groups = make([]billing.RecordGroup, len(groups))
	for i, n := range groups {
		if c.groups[i], err = check.group(n); err != nil {
			return c, i, err
		}
	}
	at, err = s.stage(p.Organization, &c, check.now)
	return c, at, err
}

func (s *Service) newChecker(ctx context.Context, p access.Principal) (*groupChecker, error) {
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.Want{})
	if err != nil {
		return nil, err
	}
	configs, err := s.accounts.MeteringConfigs(ctx, p.Organization)
	if err != nil {
		return nil, err
	}
	check := &groupChecker{p: p, now: s.now().UTC().Truncate(time.Microsecond), view: view,
		mappings: map[string]rating.Mapping{}, priced: map[*catalog.Entitlement]priced{}}
	for _, c := range configs {
		check.mappings[c.Partner] = mappingOf(c)
	}
	check.load = func() (map[string]meter.Meter, error) { return s.activeMetrics(ctx, p) }
	return check, nil
}

// group is a new group as it is stored, or why it is refused.
func (c *groupChecker) group(n NewRecordGroup) (billing.RecordGroup, error) {
	g := billing.RecordGroup{Name: n.ID, Entitlement: n.Entitlement, Status: billing.GroupCreated, Source: groupSource, Usage: n.Time.UTC().Truncate(time.Microsecond)}
	if g.Name == "" {
		g.Name = newUUID()
	}
	g.ID = billing.GroupID(c.p.Customer, g.Name)
	if n.Time.IsZero() {
		g.Usage = c.now
	}
	if g.Usage.After(c.now.Add(maxUsageAhead)) {
		return g, meter.Errorf(meter.KindInvalid, "timestamp %s is more than %s ahead of the server's clock", g.Usage.Format(time.RFC3339Nano), maxUsageAhead)
	}
	e, err := c.entitlement(n.Entitlement, g.Usage)
	if err != nil {
		return g, err
	}
	g.Customer, g.Buyer, g.Partner, g.Product = e.Customer, e.BuyerID(), e.Partner, e.Product
	if err := n.agrees(g); err != nil {
		return g, err
	}
	switch {
	case len(n.Records) > 0 && len(n.Billable) > 0:
		return g, meter.Errorf(meter.KindInvalid, "records and billableRecords are both given: want one of them")
	case len(n.Records) > 0:
		return g, c.records(&g, e, n.Records)
	case len(n.Billable) > 0:
		g.Billable, err = c.billable(n.Billable)
		return g, err
	}
	return g, meter.Errorf(meter.KindInvalid, "neither records nor billableRecords are given")
}

// agrees refuses a group that names another party than its entitlement has: it
// would be billed to somebody whom its sender did not mean.
func (n NewRecordGroup) agrees(g billing.RecordGroup) error {
	for _, named := range []struct{ field, given, is string }{{"buyerID", n.Buyer, g.Buyer}, {"partner", strings.ToUpper(n.Partner), g.Partner}, {"productID", n.Product, g.Product}} {
		if named.given != "" && named.given != named.is {
			return meter.Errorf(meter.KindInvalid, "%s is %q, but that of entitlement %q is %q: leave it out, or name the entitlement that is meant",
				named.field, meter.Clip(named.given), meter.Clip(g.Entitlement), meter.Clip(named.is))
		}
	}
	return nil
}

// entitlement returns the entitlement as it was at the start of the hour of
// the usage. One of another customer than a bound key's is as unknown.
func (c *groupChecker) entitlement(id string, usage time.Time) (*catalog.Entitlement, error) {
	e, known := c.view.EntitlementAt(id, usage.Truncate(time.Hour))
	if !known {
		e, known = c.view.Entitlement(id)
	}
	if !known || c.p.Customer != "" && e.Customer != c.p.Customer {
		return nil, meter.Errorf(meter.KindInvalid, "there is no entitlement %q", meter.Clip(id))
	}
	if then, ok := c.view.EntitlementAt(id, usage); !ok || !then.ActiveAt(usage) {
		return nil, meter.Errorf(meter.KindInvalid, "entitlement %q was not active at %s", meter.Clip(id), usage.Format(time.RFC3339Nano))
	}
	return e, nil
}

// records checks and maps the records of a group by dimension.
func (c *groupChecker) records(g *billing.RecordGroup, e *catalog.Entitlement, records map[string]meter.Decimal) error {
	known := c.dimensions(e)
	mapping := c.mappings[e.Partner]
	g.Origin = make(map[string]meter.Decimal, len(records))
	zero := true
	for _, key := range slices.Sorted(maps.Keys(records)) {
		quantity, err := acceptQuantity(records[key])
		if err != nil {
			return meter.Errorf(meter.KindInvalid, "records %q: %s", meter.Clip(key), meter.MessageOf(err))
		}
		zero = zero && quantity.IsZero()
		source, err := known.source(key, mapping)
		if err != nil {
			return err
		}
		if g.Origin[source], err = acceptQuantity(g.Origin[source].Add(quantity)); err != nil {
			return meter.Errorf(meter.KindInvalid, "records %q: %s", meter.Clip(key), meter.MessageOf(err))
		}
	}
	if zero {
		return errAllZero
	}
	mapped, err := mapping.Map(g.Origin, known.dimensions)
	if err != nil {
		return meter.Errorf(meter.KindOf(err), "records: %s", meter.MessageOf(err))
	}
	if mapped.Invalid != "" {
		g.Status, g.Message, g.Posted = billing.GroupInvalid, mapped.Invalid, billing.NothingToPost
		return nil
	}
	g.Records = mapped.Records
	return nil
}

var errAllZero = meter.Errorf(meter.KindInvalid, "all the quantity of usage records are zero")

// acceptQuantity is a reported quantity as it is kept: rounded once to
// meter.QuotientPlaces decimals, half to even.
func acceptQuantity(d meter.Decimal) (meter.Decimal, error) {
	if d.Sign() < 0 {
		return d, meter.Errorf(meter.KindInvalid, "quantity %s is negative", d)
	}
	d = d.Round(meter.QuotientPlaces, meter.HalfEven)
	_, err := meter.ParseQuantity(d.String())
	return d, err
}

// dimensions returns what is known of an entitlement's dimensions.
func (c *groupChecker) dimensions(e *catalog.Entitlement) priced {
	if known, ok := c.priced[e]; ok {
		return known
	}
	known := priced{dimensions: map[string]rating.Dimension{}, names: map[string]string{}}
	shared := map[string]bool{}
	for _, d := range e.Dimensions {
		known.dimensions[d.Key] = rating.Dimension{UnitPrice: d.UnitPriceDecimal(), Metered: d.Meter != ""}
		if _, had := known.names[d.Name]; had {
			shared[d.Name] = true
		}
		known.names[d.Name] = d.Key
	}
	for name := range shared {
		known.names[name] = ""
	}
	c.priced[e] = known
	return known
}

// source is the key of a record as a mapping takes it: a dimension's display
// name means its key, unless the text is itself a key or is mapped.
func (d priced) source(key string, m rating.Mapping) (string, error) {
	if _, ok := d.dimensions[key]; ok {
		return key, nil
	}
	if m.Enabled && (len(m.V2[key]) > 0 || m.V1[key] != (rating.Destination{})) {
		return key, nil
	}
	named, ok := d.names[key]
	if ok && named == "" {
		return "", meter.Errorf(meter.KindInvalid, "records %q is the name of several dimensions: give the key of one", meter.Clip(key))
	}
	if ok {
		return named, nil
	}
	return key, nil
}

// billable checks records of billable metrics.
func (c *groupChecker) billable(records []billing.BillableRecord) ([]billing.BillableRecord, error) {
	if c.metrics == nil {
		var err error
		if c.metrics, err = c.load(); err != nil {
			return nil, err
		}
	}
	kept := make([]billing.BillableRecord, len(records))
	zero := true
	for i, r := range records {
		m, ok := c.metrics[r.Metric]
		if !ok {
			return nil, meter.Errorf(meter.KindInvalid, "billableRecords %d: there is no active billable metric %q", i, meter.Clip(r.Metric))
		}
		takes := m.Aggregation != meter.AggCount && m.Aggregation != meter.AggUniqueCount
		if r.Quantity == nil && takes {
			return nil, meter.Errorf(meter.KindInvalid, "billableRecords %d: quantity is required, the metric's aggregation is %s", i, m.Aggregation)
		}
		kept[i] = r
		if r.Quantity != nil {
			quantity, err := acceptQuantity(*r.Quantity)
			if err != nil {
				return nil, meter.Errorf(meter.KindInvalid, "billableRecords %d: %s", i, meter.MessageOf(err))
			}
			kept[i].Quantity = &quantity
		}
		zero = zero && m.Aggregation == meter.AggSum && kept[i].Quantity.IsZero()
	}
	if zero {
		return nil, errAllZero
	}
	return kept, nil
}

// stage puts the events of groups into one builder, which finds what the
// ledger would refuse of them.
func (s *Service) stage(organization string, c *checkedGroups, now time.Time) (at int, err error) {
	body, owners := eventsOf(c.groups)
	c.events = s.ledger.SubjectBuilder(organization)
	limits := s.limits.Events
	limits.RefuseExcess = true // what is accepted here is billed, not skipped
	err = cloudevents.Decode(body, cloudevents.Batch, now, limits, c.events)
	at = -1
	if err == nil {
		for _, q := range c.events.Rows().Requests {
			for _, r := range q.Rejections {
				if at < 0 {
					at, err = owners[r.Index], meter.Errorf(meter.KindInvalid, "the usage cannot be counted: %s", r.Reason)
				}
			}
		}
	}
	if err != nil {
		s.ledger.Discard(c.events)
		c.events = nil
	}
	return at, err
}
