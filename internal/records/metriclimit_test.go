package records

import (
	"context"
	"fmt"
	"odometer/internal/billing"
	"testing"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// TestBillableMetricsHaveALimit: a key that reports cannot use up the metrics
// of the organization, nor its meters, and an admin removes what is deleted.
func TestBillableMetricsHaveALimit(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	ctx := context.Background()
	service := s.service(t, Limits{BillableMetrics: 5})
	reporter := access.Principal{Organization: admin.Organization, KeyID: "r", Role: access.RoleReport}
	create := func(p access.Principal, i int) error {
		_, err := service.CreateBillableMetric(ctx, p, NewBillableMetric{ID: fmt.Sprint("m", i), Name: "Some metric", Aggregation: meter.AggCount})
		return err
	}
	want := func(what string, err error, kind meter.Kind) {
		t.Helper()
		if err == nil || meter.KindOf(err) != kind {
			t.Errorf("%s: %v, want %s", what, err, kind)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		must(create(reporter, i))
	}
	want("past a reporter's half", create(reporter, 3), meter.KindTooLarge)
	must(create(admin, 3))
	must(create(admin, 4))
	want("past the limit", create(admin, 5), meter.KindTooLarge)
	if _, err := s.ledger.CreateMeter(ctx, admin.Organization, meter.Meter{Key: "own", EventType: "e", Aggregation: meter.AggCount}, "test"); err != nil {
		t.Errorf("a meter of the organization: %v", err)
	}
	// Removal: deleted first, and by an admin.
	want("one that is active", service.usage.DeleteMeter(ctx, admin, "m4"), meter.KindConflict)
	deleted := true
	if _, err := service.UpdateBillableMetric(ctx, reporter, "m4", BillableMetricPatch{Deleted: &deleted}); err != nil {
		t.Fatal(err)
	}
	want("by the reporter", service.usage.DeleteMeter(ctx, reporter, "m4"), meter.KindForbidden)
	must(service.usage.DeleteMeter(ctx, admin, "m4"))
	_, err := service.BillableMetric(ctx, admin, "m4")
	want("afterwards", err, meter.KindNotFound)
	if _, had := s.ledger.Meter(admin.Organization, "m4"); had {
		t.Error("its meter is still there")
	}
	must(create(admin, 5))
}

// TestMetricsInUseStay: what is not reported yet needs its metric.
func TestMetricsInUseStay(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	ctx := context.Background()
	service := s.reporting(t)
	if _, err := service.CreateBillableMetric(ctx, admin, NewBillableMetric{ID: "used", Name: "Some metric", Aggregation: meter.AggCount}); err != nil {
		t.Fatal(err)
	}
	g, err := service.ReportGroup(ctx, admin, NewRecordGroup{Entitlement: "e1", Billable: []billing.BillableRecord{{Metric: "used"}}}, Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	deleted := true
	if _, err := service.UpdateBillableMetric(ctx, admin, "used", BillableMetricPatch{Deleted: &deleted}); err != nil {
		t.Fatal(err)
	}
	if err := service.usage.DeleteMeter(ctx, admin, "used"); err == nil || meter.KindOf(err) != meter.KindConflict {
		t.Errorf("%v", err)
	}
	if _, err := service.DeleteGroup(ctx, admin, g.ID, g.Created.Truncate(24*60*60*1e9)); err != nil {
		t.Fatal(err)
	}
	if err := service.usage.DeleteMeter(ctx, admin, "used"); err != nil {
		t.Error(err)
	}
}
