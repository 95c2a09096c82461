package fastly

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
	"odometer/internal/metering"
)

func (w *world) close(customer, month string) {
	w.Helper()
	_, err := w.Service.ClosePeriod(context.Background(), w.Admin, customer, month)
	w.Check(err)
}

// A closed month answers what it answered when it was closed; what counts and
// sums of what comes after is in the open month, once, and names its own.
func TestClosedMonths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	april := time.Date(2026, 4, 2, 3, 0, 0, 0, time.UTC)
	w.ingest(edge{acme, "S1", "na", month(1), "1e9"}, edge{acme, "S1", "eu", month(2), "2e9"}, edge{acme, "S2", "na", month(3), "4e9"},
		edge{acme, "unknown", "na", month(3), "8e9"}, edge{acme, "S1", "na", april, "16e9"})
	gb := "product_id=cdn_usage&usage_type_name=Total+GB&time_granularity="
	ask := func(query string) string {
		return w.get(w.bound, v2(acme, "service-usage-metrics?"+gb+query)).usage(t).rows()
	}
	inMonth := func(from, to string) string { return ask("month&start_month=" + from + "&end_month=" + to) }
	monthly := func() string {
		return w.get(w.bound, "/billing/v3/usage-metrics?start_month=2026-03&end_month=2026-05").Body
	}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want(inMonth("2026-03", "2026-03"), "S1=3, S2=4")
	w.close(acme, "2026-03")
	before := monthly()
	want(inMonth("2026-03", "2026-03"), "S1=3, S2=4")
	want(inMonth("2026-03", "2026-04"), "S1=19, S2=4")

	w.ingest(edge{acme, "S1", "na", month(4), "32e9"}, edge{acme, "S3", "na", month(4), "64e9"}, edge{acme, "unknown", "na", month(5), "128e9"})
	want(inMonth("2026-03", "2026-03"), "S1=3, S2=4")
	want(inMonth("2026-04", "2026-04"), "S1=16, S1=32, S3=64")
	want(inMonth("2026-03", "2026-04"), "S1=19, S1=32, S2=4, S3=64")
	want(ask("day&start_date=2026-03-04&end_date=2026-03-04"), "") // as it was known when March was closed
	want(ask("day&start_date=2026-03-02&end_date=2026-04-02"), "S1=18, S2=4")
	if after := monthly(); !strings.Contains(after, `"month":"2026-04","usage_type":"Total GB","name":"Total GB (late usage of 2026-03)","region":"","unit":"GB","quantity":224,"raw_quantity":224000000000,`) ||
		!strings.Contains(after, `"late_month":"2026-03"`) || !strings.HasPrefix(after, before[:strings.Index(before, `{"month":"2026-04"`)]) {
		t.Errorf("%s\nbefore\n%s", after, before)
	}
	for _, text := range []string{`"service_id":"S1","service_name":"shop (late usage of 2026-03)","usage_units":32,"late_month":"2026-03"}`, `"service_name":"shop","usage_units":16}`} {
		if body := w.get(w.bound, v2(acme, "service-usage-metrics?"+gb+"month&start_month=2026-04&end_month=2026-04")).Body; !strings.Contains(body, text) {
			t.Errorf("%s has not %s", body, text)
		}
	}
	csv := w.send("GET", v2(acme, "service-usage-metrics?"+gb+"month&start_month=2026-04&end_month=2026-04"), "Fastly-Key", w.bound, "Accept", "text/csv").Body
	if !strings.Contains(csv, "S1,shop (late usage of 2026-03),2026-04-01T00:00:00Z,2026-04-30T23:59:59Z,32\r\n") {
		t.Error(csv)
	}

	// Pages tell a service's own line from its late one.
	var paged []string
	for cursor, n := "", 0; n < 5; n++ {
		u := w.get(w.bound, v2(acme, "service-usage-metrics?"+gb+"month&start_month=2026-04&end_month=2026-04&limit=1&cursor="+cursor)).usage(t)
		paged = append(paged, u.rows())
		if cursor = u.Meta.NextCursor; cursor == "" {
			break
		}
	}
	want(strings.Join(paged, ", "), "S1=16, S1=32, S3=64")

	w.close(acme, "2026-04")
	w.ingest(edge{acme, "S1", "na", month(6), "0.5e9"}, edge{acme, "S2", "na", april, "0.25e9"})
	want(inMonth("2026-04", "2026-04"), "S1=16, S1=32, S3=64")
	want(inMonth("2026-05", "2026-05"), "S1=0.5, S2=0.25")

	// A service that the catalog learns of later: what came since, and no more. Scales and names of today change no figure.
	w.Apply(strings.NewReplacer("name: shop}", "name: shop}, {id: unknown, name: known}", `scale: "0.000000001"`, `scale: "5"`).Replace(catalogs["default"]), metering.ApplyOptions{})
	w.ingest(edge{acme, "unknown", "na", month(7), "1e9"})
	want(inMonth("2026-03", "2026-03"), "S1=3, S2=4")
	want(inMonth("2026-04", "2026-04"), "S1=16, S1=32, S3=64")
	want(inMonth("2026-05", "2026-05"), "S1=0.5, S2=0.25, unknown=129")
	_, err := w.Ledger.Void(context.Background(), "default", []meter.Identity{{Source: "s", ID: "0"}}, "test", "wrong")
	w.Check(err)
	want(inMonth("2026-03", "2026-03"), "S1=3, S2=4")
	want(inMonth("2026-05", "2026-05"), "S1=-0.5, S2=0.25, unknown=129")
}

// Usage of all months together is what the ledger has, whatever was closed when.
func TestLateUsageIsBookedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	total := 0
	check := func(step string) {
		t.Helper()
		u := w.get(w.bound, v2(acme, "service-usage-metrics?product_id=cdn_usage&usage_type_name=Requests&time_granularity=month&start_month=2026-01&end_month=2026-11&limit=100")).usage(t)
		sum := meter.NewDecimal(0)
		for _, d := range u.Details {
			n, err := meter.ParseDecimal(d.UsageUnits.String())
			if err != nil {
				t.Fatal(err)
			}
			sum = sum.Add(n)
		}
		if sum.String() != fmt.Sprint(total) {
			t.Errorf("%s: %s, want %d: %s", step, sum, total, u.rows())
		}
	}
	step := func(closing string) {
		t.Helper()
		for m := time.January; m <= time.November; m++ {
			for s := range int(m) {
				w.ingest(edge{acme, fmt.Sprintf("S%d", s%7+1), "na", time.Date(2026, m, 3, 0, 0, 0, 0, time.UTC), "1"})
				total++
			}
		}
		check("usage before " + closing)
		if closing != "" {
			w.close(acme, closing)
			check("closed " + closing)
		}
	}
	for _, closing := range []string{"2026-02", "2026-03", "2026-01", "2026-06", "2026-04", "2026-10", "2026-05", ""} {
		step(closing)
	}
}

// What a closed month said of a product stays when the product is removed, and
// when a cursor's page lies in it.
func TestClosedMonthsOfRemovedProducts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ingest(edge{acme, "S1", "na", month(1), "1e9"}, edge{acme, "S1", "na", time.Date(2026, 4, 2, 3, 0, 0, 0, time.UTC), "16e9"})
	w.close(acme, "2026-03")
	w.Apply(`products: [{id: dns, name: DNS, usage_types: [{name: Queries, meter: queries}]}]
customers: [{id: `+acme+`, name: Acme, services: [{id: S1, name: shop}]}]`, metering.ApplyOptions{Prune: true})
	w.ingest(edge{acme, "S1", "na", month(2), "2e9"})
	const gb = "product_id=cdn_usage&usage_type_name=Total+GB&time_granularity=month&start_month="
	for months, want := range map[string]string{"2026-03&end_month=2026-03": "S1=1", "2026-03&end_month=2026-04": "S1=1, S1=2", "2026-04&end_month=2026-04": "S1=2"} {
		if got := w.get(w.bound, v2(acme, "service-usage-metrics?"+gb+months)).usage(t).rows(); got != want {
			t.Errorf("%s: %s, want %s", months, got, want)
		}
	}
	if got := w.get(w.bound, v2(acme, "service-usage-metrics?"+gb+"2026-05&end_month=2026-05")); got.Status != 400 {
		t.Errorf("a month without it: %d %s", got.Status, got.Body)
	}
	body := w.get(w.bound, "/billing/v3/usage-metrics?start_month=2026-03&end_month=2026-04").Body
	if !strings.Contains(body, `{"month":"2026-03","usage_type":"Total GB","name":"Total GB","region":"","unit":"GB","quantity":1,`) || strings.Contains(body, `"quantity":16,`) {
		t.Error(body)
	}
}
