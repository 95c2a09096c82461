package records

import (
	"context"
	"odometer/internal/billing"
	"path/filepath"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store/postgrestest"
)

// BenchmarkReportGroups accepts batches of 1,000 usage record groups: checked,
// mapped, durable in the catalog, durable and counted in the ledger.
func BenchmarkReportGroups(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkReportGroups(b, filepath.Join(b.TempDir(), "catalog.db")) })
	b.Run("postgres", func(b *testing.B) {
		if server, ok := postgrestest.Start(b); ok {
			benchmarkReportGroups(b, server.Fresh(b))
		}
	})
}

func benchmarkReportGroups(b *testing.B, dsn string) {
	ctx := context.Background()
	service := openStoresAt(b, b.TempDir(), dsn).reporting(b)
	if _, err := service.UpdateMeteringConfigs(ctx, admin, []billing.MeteringConfig{{Partner: catalog.PartnerAWS, EnableMapping: true,
		Mapping: map[string]billing.MappingValue{"mb": {Dimension: "gb", Multiplier: "0.001"}}}}); err != nil {
		b.Fatal(err)
	}
	groups := make([]NewRecordGroup, billing.MaxGroups)
	for i := range groups {
		groups[i] = NewRecordGroup{Entitlement: "e1", Records: map[string]meter.Decimal{"mb": amount("1234.5"), "seat": amount("3")}}
	}
	b.ResetTimer()
	for b.Loop() {
		made, err := service.ReportGroups(ctx, admin, groups, Idempotency{})
		if err != nil || len(made) != len(groups) {
			b.Fatal(len(made), err)
		}
	}
}
