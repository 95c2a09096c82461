package fastly

import (
	"strings"
	"testing"

	"odometer/internal/metering"
)

// What comes late for a service of a part of a closed month counts where it
// comes in time: in the part in which the service is the customer's.
func TestLateUsageOfAServiceHeldInPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Apply(strings.Replace(catalogs["default"], "{id: S3, name: idle}, ", "", 1), metering.ApplyOptions{Prune: true, Effective: month(4)})
	ask := func(month string) string {
		return w.get(w.bound, v2(acme, "service-usage-metrics?product_id=cdn_usage&usage_type_name=Total+GB&time_granularity=month&start_month="+month+"&end_month="+month)).usage(t).rows()
	}
	w.ingest(edge{acme, "S1", "na", month(1), "1e9"})
	w.close(acme, "2026-03")
	w.ingest(edge{acme, "S3", "na", month(1), "64e9"}, edge{acme, "S3", "na", month(5), "32e9"})
	if got := ask("2026-04"); got != "S3=64" {
		t.Errorf("April has %s, want what is of the days until the 4th", got)
	}
	w.close(acme, "2026-04")
	w.ingest(edge{acme, "S3", "na", month(2), "0.5e9"}, edge{acme, "S3", "na", month(6), "128e9"})
	if april, may := ask("2026-04"), ask("2026-05"); april != "S3=64" || may != "S3=0.5" {
		t.Errorf("April has %s, May %s", april, may)
	}
}
