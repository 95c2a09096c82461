package semanticstest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/metering"
)

// BenchmarkCloseMonth closes a month of all customers of an organization, with
// the books of every surface. Each customer has a service, a contract, and
// three events in the month, two in the month before and one after.
func BenchmarkCloseMonth(b *testing.B) {
	for _, customers := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%d customers", customers), func(b *testing.B) {
			var busy time.Duration
			for b.Loop() {
				b.StopTimer()
				s := newClosing(b, customers)
				b.StartTimer()
				before := cpuTime(b)
				s.closeMonth(b, "2026-10", customers)
				busy += cpuTime(b) - before
				b.StopTimer()
				s.close()
				b.StartTimer()
			}
			each := float64(b.N) * float64(customers)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/each, "µs/customer")
			b.ReportMetric(float64(busy.Microseconds())/each, "cpu-µs/customer")
		})
	}
}

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// closing is a server with customers whose months can be closed.
type closing struct {
	*server
	log *ledger.Ledger
}

func newClosing(b *testing.B, customers int) *closing {
	dir := b.TempDir()
	clock := func() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) }
	log, err := ledger.Open(context.Background(), ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock, Fatal: func(text string) { b.Error(text) }})
	if err != nil {
		b.Fatal(err)
	}
	s := &closing{newServer(b, dir, log, clock), log}
	var text strings.Builder
	text.WriteString(`
meters:
  - {key: requests, event_type: edge, aggregation: COUNT, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: p95, event_type: edge, aggregation: PERCENTILE, rate: true, value: bytes, group_by: [customer, product, contract, region]}
products:
  - {id: delivery, usage_types: [{name: Requests, meter: requests}, {name: Total GB, meter: bytes, unit: GB, scale: "0.000000001"}, {name: 95/5 Mbps, meter: p95, surfaces: [akamai]}]}
`)
	apply := func() {
		_, err := s.apply("default", text.String(), metering.ApplyOptions{})
		s.check(err)
		text.Reset()
	}
	for c := range customers {
		if c%10_000 == 0 { // a document has a bound
			apply()
			text.WriteString("customers:\n")
		}
		fmt.Fprintf(&text, "  - {id: c%06d, services: [{id: s%06d, name: service}], contracts: [{id: k%06d, starts: 2026-01-01, terms: [{products: [delivery]}]}]}\n", c, c, c)
	}
	apply()
	for i, at := range []string{"2026-10-03", "2026-10-15", "2026-10-30", "2026-09-07", "2026-09-23", "2026-11-11"} {
		for first := 0; first < customers; first += 1000 {
			var lines []string
			for c := first; c < min(first+1000, customers); c++ {
				lines = append(lines, fmt.Sprintf(`{"specversion":"1.0","id":"%d-%d","source":"s","type":"edge","time":"%sT%02d:00:00Z","subject":"c%06d","data":{"service":"s%06d","product":"delivery","bytes":%d}}`,
					i, c, at, c%24, c, c, 1000000*(c+1)))
			}
			r, err := s.service.Ingest(context.Background(), s.admin, []byte("["+strings.Join(lines, ",")+"]"), cloudevents.Batch, false)
			s.check(err)
			if r.Accepted != len(lines) {
				b.Fatalf("%+v", r)
			}
		}
	}
	return s
}

func (s *closing) close() {
	s.server.close()
	s.check(s.log.Close())
}

// closeMonth closes a month of all.
func (s *closing) closeMonth(b *testing.B, month string, customers int) {
	job := s.server.closeMonth(s.admin, month)
	if job.Closed != customers || job.Status() != catalog.CloseJobDone {
		b.Fatalf("%+v", job)
	}
	p, _, err := s.service.Period(context.Background(), s.admin, "c000000", month)
	s.check(err)
	if n, _, err := metering.KeptFigures(p); n != 2 || err != nil {
		b.Fatalf("%d figures, %v", n, err)
	}
}
