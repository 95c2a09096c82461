package marketplace

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// TestValuesOfARefusedReportAreNewAgain: a dimension that the entitlement does
// not say how to bill is refused when it is frozen; what it saw is not counted
// as billed, so that a retry bills it.
func TestValuesOfARefusedReportAreNewAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := context.Background()
	whole := oneEach("")
	s.apply(strings.ReplaceAll(whole, ", seat: {name: seat, type: DOUBLE}", ""))
	_, err := s.records.PutMeteringConfigs(ctx, org, []billing.MeteringConfig{{Partner: catalog.PartnerGCP, EnableMapping: true,
		MappingV2: map[string][]billing.MappingValue{"users": {{Dimension: "seat"}}}}}, "test")
	s.must(err)
	_, err = s.records.CreateBillableMetric(ctx, org, billing.BillableMetric{ID: "users", Info: json.RawMessage(`{}`),
		Definition: json.RawMessage(`{"key":"users","event_type":"suger.metric.users","aggregation":"UNIQUE_COUNT","value":"properties.user"}`)})
	s.must(err)
	users := func(id, name string, at time.Time) {
		_, _, err = s.records.CreateRecordGroups(ctx, org, []billing.RecordGroup{{ID: id, Entitlement: "e-gcp", Customer: "acme", Buyer: "acme",
			Partner: catalog.PartnerGCP, Product: "cdn", Status: billing.GroupCreated, Usage: at, Source: "API",
			Billable: []billing.BillableRecord{{Metric: "users", Properties: json.RawMessage(`{"user":"` + name + `"}`)}}}}, billing.Idempotency{})
		s.must(err)
	}
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	users("u", "ann", ten)
	users("v", "ann", ten.Add(time.Hour)) // frozen in the same pass
	s.hourOf(r, ten.Add(time.Hour))
	s.wantStatus("u", billing.GroupReportFailed)
	s.wantStatus("v", billing.GroupReportFailed)
	s.clock.Set(ten.Add(2 * time.Hour))
	s.apply(whole)
	_, err = s.records.RetryRecordGroup(ctx, org, "v", "test")
	s.must(err)
	users("w", "bob", ten.Add(2*time.Hour))
	s.hourOf(r, ten.Add(2*time.Hour))
	if seats := m.Total("gcp-1", "seat"); seats.String() != "1" {
		t.Errorf("%s seats were accepted, want bob's", seats)
	}
	if b, err := s.records.Balances(ctx, org, ""); err != nil {
		t.Error(err)
	} else if got := b[billing.DimensionKey{Entitlement: "e-gcp", Dimension: "seat"}]; !got.Holds() || got.Parked.String() != "1" {
		t.Errorf("ann's is of a closed hour and waits for a person: %+v", got)
	}
}

// TestAnEntitlementStartsWithinAnHour: its first usage is billed for the hour
// in which it starts, and what is read of meters for whole hours after it.
func TestAnEntitlementStartsWithinAnHour(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		s.apply(product + strings.Replace(entitlement("e", cloud, "a", `, meter: bytes`), "starts: 2026-01-01", "starts: 2026-11-20T10:30:00Z", 1))
		r := s.reporter(m, "one")
		s.traffic("0", ten.Add(10*time.Minute), "100") // before it
		s.traffic("1", ten.Add(40*time.Minute), "21")
		s.traffic("2", ten.Add(70*time.Minute), "8")
		g := s.post("e", "seat=3", ten.Add(45*time.Minute))
		s.hourOf(r, ten)
		s.hourOf(r, ten.Add(time.Hour))
		s.wantStatus(g, billing.GroupReported)
		got := map[string]string{}
		for _, e := range m.Ledger() {
			got[e.Dimension+" "+e.Hour.UTC().Format("15:04")] = e.Quantity.String()
		}
		if len(got) != 3 || got["gb 10:00"] != "21" || got["gb 11:00"] != "8" || got["seat 10:00"] != "3" {
			t.Errorf("%v", got)
		}
		s.agree(m)
	})
}

// TestAChangedScaleRestatesNothing: how a dimension is read of a meter is what
// the entitlement said at the hour's start.
func TestAChangedScaleRestatesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
	scaled := func(scale string) string {
		return product + strings.Replace(entitlement("e", simulator.AWS, "a", `, meter: bytes, scale: "`+scale+`"`), "starts: 2026-01-01", "starts: 2026-11-20", 1)
	}
	s.apply(scaled("1"))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.traffic("1", ten, "20")
	s.hourOf(r, ten)
	s.clock.Set(ten.Add(90 * time.Minute))
	s.apply(scaled("10"))
	s.traffic("2", ten.Add(80*time.Minute), "3")
	s.hourOf(r, ten.Add(time.Hour))
	s.traffic("3", ten.Add(time.Minute), "1") // late for the first hour
	s.traffic("4", ten.Add(2*time.Hour), "4")
	s.hourOf(r, ten.Add(2*time.Hour))
	if got := m.Total("a", "gb"); got.String() != "64" {
		t.Errorf("accepted %s, want 20 + 3 + 1 + 4 x 10", got)
	}
	s.agree(m)
}

// TestAnAccountThatCannotBeFrozenKeepsNoOther bills the others of its batch.
func TestAnAccountThatCannotBeFrozenKeepsNoOther(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := context.Background()
	s.apply(oneEach(""))
	_, err := s.records.CreateBillableMetric(ctx, org, billing.BillableMetric{ID: "users", Info: json.RawMessage(`{}`),
		Definition: json.RawMessage(`{"key":"users","event_type":"suger.metric.users","aggregation":"UNIQUE_COUNT","value":"properties.user"}`)})
	s.must(err)
	_, _, err = s.records.CreateRecordGroups(ctx, org, []billing.RecordGroup{{ID: "bad", Entitlement: "e-azure", Customer: "acme", Buyer: "acme",
		Partner: catalog.PartnerAzure, Product: "cdn", Status: billing.GroupCreated, Usage: ten, Source: "API",
		Billable: []billing.BillableRecord{{Metric: "users", Properties: json.RawMessage(`[]`)}}}}, billing.Idempotency{})
	s.must(err)
	good := s.post("e-aws", "gb=1", ten)
	r := s.reporter(newMarkets(t, s.clock, 1), "one")
	s.clock.Set(ten.Add(65 * time.Minute))
	if err := r.RunOnce(ctx, s.clock.Now()); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("%v, want KindCorrupt", err)
	}
	s.wantStatus(good, billing.GroupReported)
	s.wantStatus("bad", billing.GroupCreated)
}

// TestAnEntitlementEndsWithinAnHour: what comes late for its last hour is given to no other.
func TestAnEntitlementEndsWithinAnHour(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
	s.apply(product + strings.Replace(entitlement("e", simulator.AWS, "a", `, meter: bytes`), "starts: 2026-01-01", "starts: 2026-11-20, ends: 2026-11-20T12:30:00Z", 1))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.traffic("1", ten.Add(130*time.Minute), "5")
	s.traffic("2", ten.Add(155*time.Minute), "100") // after it
	s.hourOf(r, ten.Add(2*time.Hour))
	s.traffic("3", ten.Add(131*time.Minute), "7")
	s.hourOf(r, ten.Add(3*time.Hour))
	s.hourOf(r, ten.Add(4*time.Hour))
	if l := m.Ledger(); len(l) != 1 || !l[0].Hour.Equal(ten.Add(2*time.Hour)) || l[0].Quantity.String() != "5" {
		t.Errorf("%+v", l)
	}
	s.agree(m)
}

// TestAnHourByHandComesAfterThoseBeforeIt: what is read of a meter is read in
// the order of hours, so that none is passed over.
func TestAnHourByHandComesAfterThoseBeforeIt(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.createMeter(`{"key":"most","event_type":"traffic","aggregation":"MAX","value":"bytes","group_by":["customer"]}`)
		s.apply(product + strings.Replace(entitlement("e", cloud, "a", `, meter: most`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
		r := s.reporter(m, "one")
		s.traffic("1", ten.Add(time.Minute), "5")
		s.traffic("2", ten.Add(61*time.Minute), "7")
		s.clock.Set(ten.Add(125 * time.Minute))
		by := func(hour time.Time) error {
			_, err := r.Report(context.Background(), org, "e", hour, false)
			return err
		}
		if err := by(ten.Add(time.Hour)); meter.KindOf(err) != meter.KindConflict || !strings.Contains(err.Error(), "2026-11-20T10:00:00Z") {
			t.Errorf("%v, want KindConflict that names the hour before", err)
		}
		s.must(by(ten))
		s.must(by(ten.Add(time.Hour)))
		if got := m.Total("a", "gb"); got.String() != "12" {
			t.Errorf("accepted %s, want 5 + 7", got)
		}
		s.run(r)
		s.agree(m)
	})
}

// TestMoreGroupsThanOneFreezeTakes: hours are frozen whole, as many as fit, and
// the rest in the next pass; one that alone has too many is cut.
func TestMoreGroupsThanOneFreezeTakes(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		s.apply(product + strings.Replace(entitlement("e", cloud, "a", `, meter: bytes`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
		r := s.reporter(m, "one")
		r.most = 3
		for _, minute := range []int{0, 1, 60, 61} { // 2 and 2: at the limit two hours do not fit
			s.post("e", "seat=1", ten.Add(time.Duration(minute)*time.Minute))
		}
		s.traffic("1", ten, "5")
		s.traffic("2", ten.Add(time.Hour), "7")
		s.hourOf(r, ten.Add(time.Hour))
		if got := m.Total("a", "gb").String() + " " + m.Total("a", "seat").String(); got != "5 2" {
			t.Errorf("accepted %s, want the first hour's 5 and 2", got)
		}
		s.run(r)
		if got := m.Total("a", "gb").String() + " " + m.Total("a", "seat").String(); got != "12 4" {
			t.Errorf("accepted %s, want 12 and 4", got)
		}
		for range 4 {
			s.post("e", "seat=1", ten.Add(2*time.Hour))
		}
		s.hourOf(r, ten.Add(2*time.Hour))
		if got := m.Total("a", "seat").String(); got != "7" {
			t.Errorf("accepted %s seats, want 3 more", got)
		}
		s.hourOf(r, ten.Add(3*time.Hour))
		b := s.balance(m)[billing.DimensionKey{Entitlement: "e", Dimension: "seat"}]
		if sent, parked := b.Sent.String(), b.Parked.String(); cloud == simulator.GCP && (sent != "7" || parked != "1") || cloud != simulator.GCP && sent != "8" {
			t.Errorf("the fourth is late: %+v", b)
		}
		s.agree(m)
	})
}

// TestResolvingALineLeavesWhatCameAfterIt: usage that came when its hour was
// closed is parked beside the line, and waits for a decision of its own.
func TestResolvingALineLeavesWhatCameAfterIt(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		s := newShop(t)
		s.apply(oneEach(""))
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		sent := s.post("e-gcp", "gb=3", ten)
		m.Next(simulator.GCP, simulator.FaultThrottle)
		s.hourOf(r, ten)
		late := s.post("e-gcp", "gb=7", ten.Add(time.Minute))
		s.clock.Set(ten.Add(25 * time.Hour))
		s.run(r)
		s.wantStatus(sent, billing.GroupReportPending)
		s.wantStatus(late, billing.GroupReportPending)
		resolved, left := sent, late
		if !first {
			resolved, left = late, sent
		}
		g, err := s.records.RecordGroup(context.Background(), org, resolved)
		s.must(err)
		s.must(s.records.ResolvePortion(context.Background(), org, g.Report, "gb", billing.LineRefused, "test"))
		s.wantStatus(resolved, billing.GroupReportFailed)
		s.wantStatus(left, billing.GroupReportPending)
		s.balance(m)
	}
}
