package marketplace

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
	"odometer/internal/store/postgrestest"
)

// benchEntitlements have one group of two dimensions each in the hour.
const benchEntitlements = 10_000

// BenchmarkHour closes, freezes and sends one hour of 10,000 entitlements, a
// third in each marketplace, to the simulator in the same process.
func BenchmarkHour(b *testing.B) {
	benchHour(b, func() *shop { return newShop(b) })
}

// BenchmarkPostgresHour does the same on PostgreSQL, whose own CPU time is not in the figure.
func BenchmarkPostgresHour(b *testing.B) {
	server, ok := postgrestest.Start(b)
	if !ok {
		return
	}
	benchHour(b, func() *shop {
		s := openShop(b, b.TempDir(), server.Fresh(b), fixedtest.NewClock(ten))
		b.Cleanup(s.close)
		return s
	})
}

func benchHour(b *testing.B, open func() *shop) {
	for b.Loop() {
		b.StopTimer()
		s := open()
		var yaml strings.Builder
		yaml.WriteString(product)
		for i := range benchEntitlements {
			yaml.WriteString(entitlement(fmt.Sprint("e", i), clouds[i%3], fmt.Sprint("account-", i), ""))
		}
		s.apply(yaml.String())
		groups := make([]billing.RecordGroup, 0, billing.MaxGroups)
		for i := range benchEntitlements {
			groups = append(groups, billing.RecordGroup{ID: fmt.Sprint("g", i), Entitlement: fmt.Sprint("e", i), Customer: "acme", Buyer: "acme", Product: "cdn",
				Partner: []string{catalog.PartnerAWS, catalog.PartnerAzure, catalog.PartnerGCP}[i%3], Status: billing.GroupCreated, Usage: ten, Source: "API",
				Records: map[string]meter.Decimal{"gb": meter.NewDecimal(int64(i + 1)), "seat": meter.NewDecimal(2)}})
			if len(groups) == billing.MaxGroups {
				_, _, err := s.records.CreateRecordGroups(context.Background(), org, groups, billing.Idempotency{})
				s.must(err)
				groups = groups[:0]
			}
		}
		m := newMarkets(b, s.clock, 1)
		r := s.reporter(m, "one")
		s.clock.Set(ten.Add(65 * time.Minute))
		before := cpuTime(b)
		b.StartTimer()
		s.run(r)
		b.StopTimer()
		b.ReportMetric((cpuTime(b) - before).Seconds(), "cpu-s")
		if n := len(m.Ledger()); n != 2*benchEntitlements {
			b.Fatalf("%d lines accepted", n)
		}
		b.ReportMetric(float64(peakKiB(b))/1024, "MiB-peak")
		b.StartTimer()
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
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
