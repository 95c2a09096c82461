package marketplace

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// benchEntitlements have one group of two dimensions each in the hour.
const benchEntitlements = 10_000

// BenchmarkHour closes, freezes and sends one hour of 10,000 entitlements, a
// third in each marketplace, to the simulator in the same process.
func BenchmarkHour(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newShop(b)
		var yaml strings.Builder
		yaml.WriteString(product)
		for i := range benchEntitlements {
			yaml.WriteString(entitlement(fmt.Sprint("e", i), clouds[i%3], fmt.Sprint("account-", i), ""))
		}
		s.apply(yaml.String())
		groups := make([]catalog.RecordGroup, 0, catalog.MaxGroups)
		for i := range benchEntitlements {
			groups = append(groups, catalog.RecordGroup{ID: fmt.Sprint("g", i), Entitlement: fmt.Sprint("e", i), Customer: "acme", Buyer: "acme", Product: "cdn",
				Partner: []string{catalog.PartnerAWS, catalog.PartnerAzure, catalog.PartnerGCP}[i%3], Status: catalog.GroupCreated, Usage: ten, Source: "API",
				Records: map[string]meter.Decimal{"gb": meter.NewDecimal(int64(i + 1)), "seat": meter.NewDecimal(2)}})
			if len(groups) == catalog.MaxGroups {
				_, _, err := s.catalog.CreateRecordGroups(context.Background(), org, groups, catalog.Idempotency{})
				s.must(err)
				groups = groups[:0]
			}
		}
		m := newMarkets(b, s.clock, 1)
		r := s.reporter(m, "one")
		s.clock.set(ten.Add(65 * time.Minute))
		b.StartTimer()
		s.run(r)
		b.StopTimer()
		if n := len(m.Ledger()); n != 2*benchEntitlements {
			b.Fatalf("%d lines accepted", n)
		}
		b.ReportMetric(float64(peakKiB(b))/1024, "MiB-peak")
		b.StartTimer()
	}
}

// peakKiB is the largest memory that this process has had.
func peakKiB(b *testing.B) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.Sys / 1024)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// BenchmarkReportList reads pages of 100 of 50,000 reports, with their
// portions, and tells the 99th percentile.
func BenchmarkReportList(b *testing.B) {
	s := newShop(b)
	ctx := context.Background()
	const reports, batch = 50_000, 1_000
	for first := 0; first < reports; first += batch {
		s.must(s.catalog.Freeze(ctx, org, catalog.FreezeQuery{}, func(*catalog.FreezeState) ([]catalog.FrozenReport, []catalog.Line, error) {
			var some []catalog.FrozenReport
			for i := first; i < first+batch; i++ {
				id := fmt.Sprint("r", i)
				p := catalog.Portion{Report: id, Dimension: "gb", Entitlement: fmt.Sprint("e", i%10_000), Account: fmt.Sprint("a", i%10_000), State: catalog.LineSettled}
				some = append(some, catalog.FrozenReport{Portions: []catalog.Portion{p}, Report: catalog.Report{ID: id, Entitlement: p.Entitlement, Buyer: p.Entitlement,
					Product: "cdn", Partner: catalog.PartnerAWS, Account: p.Account, Hour: ten.Add(time.Duration(i/10_000) * time.Hour),
					Created: ten.Add(time.Duration(i) * 360 * time.Millisecond), Status: catalog.ReportSuccess, Info: []byte("{}")}})
			}
			return some, nil, nil
		}))
	}
	all := catalog.ReportFilter{From: ten.AddDate(0, 0, -1), To: ten.AddDate(0, 0, 30)}
	var took []time.Duration
	i := 0
	for b.Loop() {
		f := all
		switch i % 3 {
		case 1:
			f.Entitlement = fmt.Sprint("e", i%10_000)
		case 2:
			f.Partner = catalog.PartnerAWS
		}
		start := time.Now()
		page, err := s.catalog.Reports(ctx, org, f, 0, 100)
		s.must(err)
		_, err = s.catalog.ReportDetails(ctx, org, page.Items)
		s.must(err)
		took = append(took, time.Since(start))
		i++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
