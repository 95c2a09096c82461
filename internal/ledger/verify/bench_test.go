//go:build unix

package verify_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"odometer/internal/ledger"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// shape is what a benchmark's ledger has in it.
type shape struct {
	events, customers, services int
	span                        time.Duration
}

var benchStart = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// BenchmarkVerify verifies events like those of `odometer load`: 1,000 a request,
// counted, summed and sampled by customer, service and region.
func BenchmarkVerify(b *testing.B) {
	for name, s := range map[string]shape{
		"batch-1000": {2_000_000, 200, 1000, 10 * time.Minute},
		"month":      {5_000_000, 200, 10_000, 31 * 24 * time.Hour},
	} {
		b.Run(name, func(b *testing.B) {
			l := s.fill(b)
			used := cpuTime(b)
			for b.Loop() {
				r, err := verify.Run(context.Background(), l, verify.Options{})
				if err != nil || r.Err() != nil || r.Events != uint64(s.events) {
					b.Fatalf("%d events: %v %v", r.Events, err, r.Err())
				}
				b.Logf("%d cells", r.Cells)
			}
			used = cpuTime(b) - used
			events := float64(b.N) * float64(s.events)
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(used.Nanoseconds())/events, "cpu-ns/event")
		})
	}
}

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill makes a ledger of the shape, over four connections.
func (s shape) fill(b *testing.B) *ledger.Ledger {
	b.Helper()
	l, err := ledger.Open(context.Background(), ledger.Options{Dir: b.TempDir(), Limits: ledger.DefaultLimits()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	groups := []string{"customer", "service", "region"}
	for _, m := range []meter.Meter{
		{Key: "events", Aggregation: meter.AggCount}, {Key: "bytes", Aggregation: meter.AggSum, Value: "bytes"},
		{Key: "p95", Aggregation: meter.AggPercentile, Value: "bytes", Percentile: "95", Sample: meter.Duration(5 * time.Minute), Rate: true},
	} {
		m.EventType, m.GroupBy = "load", groups
		if m.Key == "p95" {
			m.GroupBy = groups[:2]
		}
		if s.span > time.Hour && m.Key == "p95" {
			continue
		}
		if _, err := l.CreateMeter(context.Background(), "default", m, "bench"); err != nil {
			b.Fatal(err)
		}
	}
	const connections, batch = 4, 1000
	var all sync.WaitGroup
	for c := range connections {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 0))
			for first := c * batch; first < s.events; first += connections * batch {
				if _, err := l.Append(context.Background(), s.request(l, r, first, batch)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := l.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	return l
}

func (s shape) request(l *ledger.Ledger, r *rand.Rand, first, n int) *block.Builder {
	rows := l.Builder("default")
	for i := range n {
		rows.Begin()
		service := r.IntN(s.services)
		rows.PutString(rows.Attr([]byte("service")), fmt.Appendf(nil, "svc-%d", service))
		rows.PutString(rows.Attr([]byte("region")), fmt.Appendf(nil, "region-%d", service%6))
		rows.PutNumber(rows.Attr([]byte("bytes")), meter.QuantityFromInt64(r.Int64N(1<<20)))
		e := block.Envelope{Source: []byte("bench"), ID: fmt.Appendf(nil, "event-%d", first+i), Type: []byte("load"), HasSubject: true,
			Subject: fmt.Appendf(nil, "customer-%d", service%s.customers), Time: benchStart.Add(time.Duration(r.Int64N(int64(s.span)))).Truncate(time.Second).UnixNano()}
		if err := rows.Commit(&e); err != nil {
			panic(err)
		}
	}
	return rows
}
