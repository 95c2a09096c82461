package marketplace

import (
	"context"
	"strings"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// TestNobodyIsBilledForAnother: what was reported or counted for another than
// the entitlement bills when its hour is reported waits for a person.
func TestNobodyIsBilledForAnother(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		two := strings.Replace(product, "  - {id: acme, name: Acme}\n", "  - {id: acme, name: Acme}\n  - {id: beta, name: Beta}\n", 1)
		sold := func(customer, account string) string {
			return two + strings.Replace(strings.Replace(entitlement("e", cloud, account, `, meter: bytes`), "customer: acme", "customer: "+customer, 1), "starts: 2026-01-01", "starts: 2026-11-20", 1)
		}
		s.apply(sold("acme", "a"))
		s.traffic("1", ten.Add(time.Minute), "5")
		s.clock.Set(ten.Add(30 * time.Minute))
		s.apply(sold("beta", "b")) // nothing was reported yet
		r := s.reporter(m, "one")
		// Reported for acme by one that saw the entitlement before.
		_, _, err := s.records.CreateRecordGroups(context.Background(), org, []billing.RecordGroup{{ID: "old", Entitlement: "e", Customer: "acme", Buyer: "acme",
			Partner: strings.ToUpper(cloud), Product: "cdn", Status: billing.GroupCreated, Usage: ten.Add(2 * time.Minute), Source: "API", Records: map[string]meter.Decimal{"seat": meter.NewDecimal(3)}}}, billing.Idempotency{})
		s.must(err)
		s.hourOf(r, ten)
		own := s.post("e", "seat=2", ten.Add(time.Hour))
		s.hourOf(r, ten.Add(time.Hour))
		s.hourOf(r, ten.Add(2*time.Hour))
		s.wantStatus(own, billing.GroupReported)
		s.wantStatus("old", billing.GroupReportPending)
		for _, account := range []string{"a", "b"} {
			if got := m.Total(account, "gb"); !got.IsZero() {
				t.Errorf("%s was billed %s GB", account, got)
			}
		}
		if got := m.Total("b", "seat"); got.String() != "2" {
			t.Errorf("b was billed %s seats, want its own 2", got)
		}
		stuck, err := s.records.StuckLines(context.Background(), org, 10)
		s.must(err)
		reason := movedReason
		if cloud == simulator.GCP { // where usage is given no other hour anyway
			reason = closedHour
		}
		if len(stuck) != 2 || stuck[0].Message != reason || stuck[1].Message != reason {
			t.Errorf("%+v", stuck)
		}
		for _, l := range stuck {
			s.must(s.records.ResolvePortion(context.Background(), org, l.Report, l.Dimension, billing.LineElsewhere, "test"))
		}
		s.wantStatus("old", billing.GroupReported)
		s.agree(m)
	})
}
