package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sync"

	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

var meterCases = []testCase{
	{"the copy of the meters follows the log", metersFollow},
	{"a change that is not after the copy is refused and changes nothing", metersOrdered},
	{"the copy is replaced as a whole", metersReplaced},
	{"bad copies of meters are refused", metersRefused},
	{"meters are listed in pages by key", meterPages},
	{"meters of another organization are not seen", metersIsolated},
	{"concurrent changes of meters leave a copy that the log's order explains", metersConcurrent},
}

func copyOf(organization, key string, sequence uint64) store.MeterCopy {
	return store.MeterCopy{
		Organization: organization, Key: key, Version: uint32(sequence), Sequence: sequence,
		Definition: json.RawMessage(fmt.Sprintf(`{"key":%q,"unit":"of %d"}`, key, sequence)),
	}
}

// wantMeters fails the test unless the copy is as given, also after a restart.
func (b *bench) wantMeters(organization string, sequence uint64, want ...store.MeterCopy) {
	b.Helper()
	if want == nil {
		want = []store.MeterCopy{}
	}
	for range 2 {
		page, err := b.store.Meters(b.ctx, organization, catalog.Page{})
		b.must(err)
		if !reflect.DeepEqual(page.Items, want) {
			b.Fatalf("meters %+v, want %+v", page.Items, want)
		}
		for _, m := range want {
			got, err := b.store.Meter(b.ctx, organization, m.Key)
			b.must(err)
			if !reflect.DeepEqual(got, m) {
				b.Fatalf("meter %+v, want %+v", got, m)
			}
		}
		got, err := b.store.MetersSequence(b.ctx, organization)
		b.must(err)
		if got != sequence {
			b.Fatalf("the copy is as of %d, want %d", got, sequence)
		}
		b.reopen(b.limit)
	}
}

func metersFollow(b *bench) {
	b.organization("a")
	b.wantMeters("a", 0)
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m1", 3), actor))
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m2", 5), actor))
	b.wantMeters("a", 5, copyOf("a", "m1", 3), copyOf("a", "m2", 5))
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m1", 9), actor))
	b.must(b.store.DeleteMeter(b.ctx, "a", "m2", 10, actor))
	b.wantMeters("a", 10, copyOf("a", "m1", 9))
	_, err := b.store.Meter(b.ctx, "a", "m2")
	b.wantKind(err, meter.KindNotFound)
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m2", 11), actor))
	b.wantMeters("a", 11, copyOf("a", "m1", 9), copyOf("a", "m2", 11))
	top := store.MeterCopy{Organization: "a", Key: "m3", Version: math.MaxUint32, Definition: json.RawMessage(`{}`), Sequence: math.MaxInt64}
	b.must(b.store.PutMeter(b.ctx, top, actor))
	b.wantMeters("a", math.MaxInt64, copyOf("a", "m1", 9), copyOf("a", "m2", 11), top)
}

func metersOrdered(b *bench) {
	b.organization("a")
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m1", 5), actor))
	for _, late := range []uint64{1, 4, 5} {
		b.wantKind(b.store.PutMeter(b.ctx, copyOf("a", "m1", late), actor), meter.KindConflict)
		b.wantKind(b.store.PutMeter(b.ctx, copyOf("a", "m2", late), actor), meter.KindConflict)
		b.wantKind(b.store.DeleteMeter(b.ctx, "a", "m1", late, actor), meter.KindConflict)
	}
	b.wantKind(b.store.DeleteMeter(b.ctx, "a", "m2", 6, actor), meter.KindNotFound)
	b.wantMeters("a", 5, copyOf("a", "m1", 5))
	if got := len(b.audit("a")); got != 2 {
		b.Fatalf("%d audit entries, want 2", got)
	}
}

func metersReplaced(b *bench) {
	b.organization("a")
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m1", 5), actor))
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m2", 6), actor))
	b.must(b.store.ReplaceMeters(b.ctx, "a", []store.MeterCopy{copyOf("a", "m3", 7), copyOf("a", "m1", 4)}, 8))
	b.wantMeters("a", 8, copyOf("a", "m1", 4), copyOf("a", "m3", 7))
	// A restored log may be older than the catalog: the log decides.
	b.must(b.store.ReplaceMeters(b.ctx, "a", []store.MeterCopy{copyOf("a", "m1", 2)}, 2))
	b.wantMeters("a", 2, copyOf("a", "m1", 2))
	b.must(b.store.ReplaceMeters(b.ctx, "a", nil, 0))
	b.wantMeters("a", 0)
	if got := len(b.audit("a")); got != 3 {
		b.Fatalf("%d audit entries, want 3: a replaced copy is no change", got)
	}
}

func metersRefused(b *bench) {
	b.organization("a")
	b.organization("b")
	for name, change := range map[string]func(m *store.MeterCopy){
		"no key":         func(m *store.MeterCopy) { m.Key = "" },
		"no definition":  func(m *store.MeterCopy) { m.Definition = nil },
		"not JSON":       func(m *store.MeterCopy) { m.Definition = json.RawMessage(`{`) },
		"no sequence":    func(m *store.MeterCopy) { m.Sequence = 0 },
		"large sequence": func(m *store.MeterCopy) { m.Sequence = math.MaxInt64 + 1 },
	} {
		m := copyOf("a", "m1", 1)
		change(&m)
		if err := b.store.PutMeter(b.ctx, m, actor); meter.KindOf(err) != meter.KindInvalid {
			b.Errorf("PutMeter, %s: %v", name, err)
		}
		if err := b.store.ReplaceMeters(b.ctx, "a", []store.MeterCopy{m}, math.MaxInt64); meter.KindOf(err) != meter.KindInvalid {
			b.Errorf("ReplaceMeters, %s: %v", name, err)
		}
	}
	b.wantKind(b.store.PutMeter(b.ctx, copyOf("c", "m1", 1), actor), meter.KindNotFound)
	b.wantKind(b.store.PutMeter(b.ctx, copyOf("a", "m1", 1), ""), meter.KindInvalid)
	b.wantKind(b.store.DeleteMeter(b.ctx, "c", "m1", 1, actor), meter.KindNotFound)
	b.wantKind(b.store.DeleteMeter(b.ctx, "a", "m1", 0, actor), meter.KindInvalid)
	b.wantKind(b.store.ReplaceMeters(b.ctx, "c", nil, 1), meter.KindNotFound)
	b.wantKind(b.store.ReplaceMeters(b.ctx, "a", nil, math.MaxInt64+1), meter.KindInvalid)
	b.wantKind(b.store.ReplaceMeters(b.ctx, "a", []store.MeterCopy{copyOf("b", "m1", 1)}, 1), meter.KindInvalid)
	b.wantKind(b.store.ReplaceMeters(b.ctx, "a", []store.MeterCopy{copyOf("a", "m1", 2)}, 1), meter.KindInvalid)
	_, err := b.store.MetersSequence(b.ctx, "c")
	b.wantKind(err, meter.KindNotFound)
	b.wantMeters("a", 0)
}

func meterPages(b *bench) {
	b.organization("a")
	var want []store.MeterCopy
	for i := range 7 {
		want = append(want, copyOf("a", fmt.Sprintf("m.%d/é", i), uint64(i+1)))
	}
	b.must(b.store.ReplaceMeters(b.ctx, "a", want, 7))
	for _, limit := range []int{0, 1, 3, 7, 8} {
		got := pages(b, func(p catalog.Page) ([]store.MeterCopy, string, error) {
			page, err := b.store.Meters(b.ctx, "a", p)
			return page.Items, page.Next, err
		}, limit)
		if !reflect.DeepEqual(got, want) {
			b.Fatalf("pages of %d: %+v", limit, got)
		}
	}
}

func metersIsolated(b *bench) {
	b.organization("a")
	b.organization("b")
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m1", 5), actor))
	b.must(b.store.PutMeter(b.ctx, copyOf("b", "m2", 3), actor))
	_, err := b.store.Meter(b.ctx, "b", "m1")
	b.wantKind(err, meter.KindNotFound)
	b.wantKind(b.store.DeleteMeter(b.ctx, "b", "m1", 9, actor), meter.KindNotFound)
	b.must(b.store.ReplaceMeters(b.ctx, "b", nil, 4))
	b.wantMeters("a", 5, copyOf("a", "m1", 5))
	b.wantMeters("b", 4)
}

func metersConcurrent(b *bench) {
	b.organization("a")
	var wg sync.WaitGroup
	const last = 24
	applied := make([]bool, last+1)
	for sequence := uint64(1); sequence <= last; sequence++ {
		wg.Go(func() {
			err := b.store.PutMeter(b.ctx, copyOf("a", fmt.Sprintf("m%d", sequence%3), sequence), actor)
			applied[sequence] = err == nil
			if err != nil && meter.KindOf(err) != meter.KindConflict {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	newest := map[string]uint64{}
	count := 0
	for sequence, ok := range applied {
		if ok {
			count++
			newest[fmt.Sprintf("m%d", sequence%3)] = uint64(sequence)
		}
	}
	var want []store.MeterCopy
	for _, key := range []string{"m0", "m1", "m2"} {
		if sequence, ok := newest[key]; ok {
			want = append(want, copyOf("a", key, sequence))
		}
	}
	if !applied[last] {
		b.Fatal("the last change was refused")
	}
	b.wantMeters("a", last, want...)
	if got := len(b.audit("a")); got != 1+count {
		b.Fatalf("%d audit entries, want %d", got, 1+count)
	}
}
