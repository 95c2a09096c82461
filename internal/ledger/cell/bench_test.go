package cell

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// The data of these benchmarks follows docs/performance.md: 6,000 series of 200 customers.
const (
	benchSeries    = 6000
	benchCustomers = 200
)

func benchGroup(i int) []uint64 {
	return []uint64{uint64(i % benchCustomers), 1000 + uint64(i/benchCustomers)%5, 2000 + uint64(i/benchCustomers/5)}
}

func benchTable(n int) (*Table, []uint32) {
	t := NewTable(0)
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = t.Series(only(t, 1, Numeric), benchGroup(i))
	}
	return t, ids
}

func benchPlan(perDay int) Plan {
	return Plan{
		Layout: Layout{Org: "default", Version: 1, Kind: Numeric, Groups: 3, SlotsPerDay: perDay},
		Projections: []Projection{{ID: ProjectionAll}, {ID: ProjectionCustomer, Take: []int{0}}, {ID: ProjectionTotal},
			{ID: ProjectionCustomerContract, Take: []int{0, 1}}},
	}
}

func BenchmarkSeries(b *testing.B) {
	for _, n := range []int{benchSeries, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t, _ := benchTable(n)
			order := rand.New(rand.NewPCG(1, 1)).Perm(n)
			groups := make([][]uint64, n)
			for i, o := range order {
				groups[i] = benchGroup(o)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				t.Series(only(t, 1, Numeric), groups[i%n])
			}
		})
	}
}

// BenchmarkAddNumeric adds to cells in random order: a few hot slots a series
// ("hot"), and a million cells ("million").
func BenchmarkAddNumeric(b *testing.B) {
	q := meter.QuantityFromInt64(1234)
	for _, c := range []struct {
		name  string
		slots int
	}{{"hot1", 1}, {"hot2", 2}, {"million", 167}} {
		b.Run(c.name, func(b *testing.B) {
			t, ids := benchTable(benchSeries)
			rng := rand.New(rand.NewPCG(1, 1))
			type target struct {
				n    uint32
				slot int32
			}
			targets := make([]target, 1<<20)
			for i := range targets {
				targets[i] = target{ids[rng.IntN(len(ids))], 2_000_000 + int32(rng.IntN(c.slots))}
			}
			for n := range ids {
				for s := range c.slots {
					t.AddNumeric(t.Cell(ids[n], 2_000_000+int32(s)), 1, q)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				a := targets[i&(1<<20-1)]
				t.AddNumeric(t.Cell(a.n, a.slot), 1, q)
			}
			b.ReportMetric(float64(t.Bytes())/float64(t.Cells()), "B/cell")
		})
	}
}

// BenchmarkAddOthers adds to two hot slots a series with the other methods.
func BenchmarkAddOthers(b *testing.B) {
	q := meter.QuantityFromInt64(1234)
	source, id := []byte("https://example.com/source"), []byte("01234567-89ab-cdef-0123-456789abcdef")
	for _, c := range []struct {
		name string
		kind Kind
		add  func(t *Table, n uint32, slot int32, i int)
	}{
		{"count", Numeric, func(t *Table, n uint32, slot int32, _ int) { t.addCount(t.Cell(n, slot), 1) }},
		{"max", Max, func(t *Table, n uint32, slot int32, _ int) { t.AddMax(t.Cell(n, slot), q) }},
		{"last", Last, func(t *Table, n uint32, slot int32, i int) { t.AddLast(t.Cell(n, slot), int64(i), source, id, q) }},
		{"set of 10,000", Distinct, func(t *Table, n uint32, slot int32, i int) { t.AddSet(t.Cell(n, slot), uint64(i*7919%10_000)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			t := NewTable(0)
			series := benchSeries
			if c.kind == Distinct {
				series = 60
			}
			for i := range series {
				t.Series(only(t, 1, c.kind), benchGroup(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.add(t, uint32(i*31%series), int32(i>>5&1), i)
			}
		})
	}
}

// BenchmarkAddNumericNew makes a million new cells in random order, table reused.
func BenchmarkAddNumericNew(b *testing.B) {
	q := meter.QuantityFromInt64(1234)
	t := NewTable(0)
	rng := rand.New(rand.NewPCG(1, 1))
	order := rng.Perm(1_000_000)
	b.ReportAllocs()
	for i := range b.N {
		if i%len(order) == 0 {
			b.StopTimer()
			t.Reset()
			for i := range benchSeries {
				t.Series(only(t, 1, Numeric), benchGroup(i))
			}
			b.StartTimer()
		}
		o := order[i%len(order)]
		t.AddNumeric(t.Cell(uint32(o%benchSeries), int32(o/benchSeries)), 1, q)
	}
}

// fillBench gives each of the 6,000 series cells in the given number of slots, in random order.
func fillBench(slots, step int, decimals bool) *Table {
	t, ids := benchTable(benchSeries)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range rng.Perm(slots) {
		for _, i := range rng.Perm(len(ids)) {
			q := meter.QuantityFromInt64(rng.Int64N(1_000_000_000))
			if decimals {
				q = meter.QuantityFromParts(0, rng.Uint64N(1_000_000_000)*1_000_000)
			}
			t.AddNumeric(t.Cell(ids[i], 2_000_000+int32(s*step)), 1+rng.Int64N(100), q)
		}
	}
	return t
}

// BenchmarkFlush reports the time per cell, four projections included.
func BenchmarkFlush(b *testing.B) {
	for _, c := range []struct {
		name     string
		slots    int
		step     int // slots from one to the next
		decimals bool
	}{{"slots=2", 2, 1, false}, {"slots=96", 96, 1, false}, {"slots=96/decimals", 96, 1, true}, {"slots=167", 167, 1, false}, {"month", 167, 17, false}} {
		b.Run(c.name, func(b *testing.B) {
			t := fillBench(c.slots, c.step, c.decimals)
			plan := benchPlan(96)
			var size, chunks int
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				size, chunks = 0, 0
				err := Flush(t, nil, func(key, value []byte) error {
					size += len(value)
					chunks++
					return nil
				}, func(uint32) (Plan, bool) { return plan, true })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(t.Cells()), "ns/cell")
			b.ReportMetric(float64(size)/float64(chunks), "B/chunk")
		})
	}
}

// benchChunks returns the chunk of one series with the given number of slots, twice with other values.
func benchChunks(b *testing.B, perDay, slots int, decimals bool) [2][]byte {
	var out [2][]byte
	for i := range out {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		t := NewTable(0)
		n := t.Series(only(t, 1, Numeric), []uint64{1, 2, 3})
		for _, s := range rng.Perm(perDay)[:slots] {
			q := meter.QuantityFromInt64(rng.Int64N(1_000_000_000))
			if decimals {
				q = meter.QuantityFromParts(0, rng.Uint64N(1_000_000_000)*1_000_000)
			}
			t.AddNumeric(t.Cell(n, int32(s)), 1+rng.Int64N(1000), q)
		}
		plan := benchPlan(perDay)
		plan.Projections = plan.Projections[:1]
		err := Flush(t, nil, func(_, value []byte) error {
			out[i] = append([]byte(nil), value...)
			return nil
		}, func(uint32) (Plan, bool) { return plan, true })
		if err != nil {
			b.Fatal(err)
		}
	}
	return out
}

func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct {
		name     string
		perDay   int
		slots    int
		decimals bool
	}{{"96of96", 96, 96, false}, {"96of96/decimals", 96, 96, true}, {"288of288", 288, 288, false}, {"2of96", 96, 2, false}} {
		b.Run(c.name, func(b *testing.B) {
			chunks := benchChunks(b, c.perDay, c.slots, c.decimals)
			b.ReportAllocs()
			for range b.N {
				m, err := Merger.Merge(nil, chunks[0])
				if err == nil {
					err = m.MergeNewer(chunks[1])
				}
				var closer io.Closer
				if err == nil {
					_, closer, err = m.Finish(true)
				}
				if err != nil {
					b.Fatal(err)
				}
				closer.Close()
			}
		})
	}
}

func BenchmarkChunkReader(b *testing.B) {
	for _, decimals := range []bool{false, true} {
		b.Run(fmt.Sprint("96of96/decimals=", decimals), func(b *testing.B) {
			chunk := benchChunks(b, 96, 96, decimals)[0]
			var r chunkReader
			var sum meter.Sum
			b.ReportAllocs()
			for range b.N {
				if err := r.Reset(chunk); err != nil {
					b.Fatal(err)
				}
				for r.Next() {
					sum.AddSum(r.State().Sum)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/96, "ns/slot")
		})
	}
}

// BenchmarkCollect reads 31 days from Pebble: one customer's projection, the
// total, and one customer's 30 series.
func BenchmarkCollect(b *testing.B) {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Merger: Merger, Logger: quiet{}})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	plan := benchPlan(96)
	for day := range 31 {
		t, ids := benchTable(benchSeries)
		for _, n := range ids {
			for s := range 24 {
				t.AddNumeric(t.Cell(n, int32(day*96+4*s)), 1, meter.QuantityFromInt64(1000))
			}
		}
		batch := db.NewBatch()
		err := Flush(t, nil, func(key, value []byte) error { return batch.Merge(key, value, nil) },
			func(uint32) (Plan, bool) { return plan, true })
		if err == nil {
			err = batch.Commit(pebble.NoSync)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		projection int
		group      []uint64
		days       int32
	}{{"total", 2, nil, 31}, {"customer", 1, []uint64{17}, 31}, {"customer's 30 series", 0, []uint64{17}, 31},
		{"all customers", 1, nil, 31}, {"all customers, one day", 1, nil, 1}} {
		b.Run(c.name, func(b *testing.B) {
			scope := Scope{Layout: plan.Layout, Projection: plan.Projections[c.projection], Group: c.group, From: 0, To: c.days * 96}
			var total State
			for range b.N {
				total.Reset(Numeric)
				err := scope.collect(db, func(_ []uint64, _ int32, s *State) error {
					total.Merge(s)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			if total.Count == 0 {
				b.Fatal("nothing read")
			}
		})
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
