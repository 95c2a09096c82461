package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// growth is one case of BenchmarkGrowth.
type growth struct {
	name                string
	customers, services int // services of each customer
	days                int
	meters              int
	values              int // attributes that the meters take in turn
}

// BenchmarkGrowth appends 1,000 events at a time, each of a customer and a
// service drawn anew, from two goroutines and without HTTP or JSON:
//
//	go test ./internal/ledger -run '^$' -bench Growth -benchtime 3000000x
func BenchmarkGrowth(b *testing.B) {
	for _, g := range []growth{
		{"1,000 customers of 5 services, a day", 1_000, 5, 1, 3, 1},
		{"1,000,000 customers, a day", 1_000_000, 1, 1, 3, 1},
		{"1,000,000 customers of 5 services, a month", 1_000_000, 5, 31, 3, 1},
		{"30 meters", 1_000, 5, 1, 30, 1},
		{"30 meters of 3 values", 1_000, 5, 1, 30, 3},
	} {
		b.Run(g.name, func(b *testing.B) { g.run(b) })
	}
}

func (g growth) run(b *testing.B) {
	l := openTest(b, Options{Clock: time.Now})
	kinds := []meter.Aggregation{meter.AggCount, meter.AggSum, meter.AggMax, meter.AggMin, meter.AggAvg}
	for i := range g.meters {
		m := meter.Meter{Key: fmt.Sprint("m", i), EventType: "edge.request", Aggregation: kinds[i%len(kinds)], GroupBy: []string{"customer", "service"}}
		if m.Aggregation != meter.AggCount {
			m.Value = growthValues[i/len(kinds)%g.values]
		}
		createMeters(b, l, "default", []meter.Meter{m})
	}
	const batch = 1000
	var next, done atomic.Int64
	var second [600]atomic.Int64
	start, used := time.Now(), processorTime(b)
	b.ResetTimer()
	var group sync.WaitGroup
	for w := range 2 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for next.Add(batch) <= int64(b.N)+batch-1 {
				if _, err := l.Append(context.Background(), g.stage(b, l, rng, batch)); err != nil {
					b.Error(err)
					return
				}
				done.Add(batch)
				second[min(len(second)-1, int(time.Since(start)/time.Second))].Add(batch)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.Log(l.state.Metrics())
	whole := int(time.Since(start) / time.Second)
	worst := int64(1 << 62)
	for i := 1; i < whole; i++ {
		worst = min(worst, second[i].Load())
	}
	if whole > 1 {
		b.ReportMetric(float64(worst), "worst-second")
	}
	b.ReportMetric(float64(done.Load())/time.Since(start).Seconds(), "events/s")
	b.ReportMetric(float64(processorTime(b)-used)/float64(b.N), "cpu-ns/event")
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(v)[0])
			b.ReportMetric(float64(kb)/1024, "peak-MiB")
		}
	}
}

var growthValues = [...]string{"bytes", "requests", "millis"}

// processorTime is what the process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (g growth) stage(b *testing.B, l *Ledger, rng *rand.Rand, n int) *block.Builder {
	s := l.Builder("default")
	var customer, service, id []byte
	for range n {
		c := rng.IntN(g.customers)
		customer = fmt.Appendf(customer[:0], "customer-%07d", c)
		service = fmt.Appendf(service[:0], "service-%08d", c*g.services+rng.IntN(g.services))
		id = strconv.AppendUint(id[:0], rng.Uint64(), 36)
		s.Begin()
		s.PutString(s.Attr([]byte("service")), service)
		for _, name := range growthValues[:g.values] {
			s.PutNumber(s.Attr([]byte(name)), meter.QuantityFromInt64(rng.Int64N(1_000_000)))
		}
		at := testStart.Add(time.Duration(rng.Int64N(int64(g.days) * int64(24*time.Hour))))
		if err := s.Commit(&block.Envelope{Source: []byte("edge/fra-01"), ID: id, Type: []byte("edge.request"), Subject: customer, HasSubject: true, Time: at.UnixNano()}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}
