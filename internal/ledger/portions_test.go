package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// crowdOfMeters are meters of every aggregation over one type, some with filters.
func crowdOfMeters(n int) []meter.Meter {
	aggregations := []meter.Aggregation{meter.AggSum, meter.AggCount, meter.AggMax, meter.AggMin, meter.AggLast, meter.AggUniqueCount, meter.AggAvg}
	var out []meter.Meter
	for i := range n {
		m := meter.Meter{Key: fmt.Sprint("m", i), EventType: "edge.request", Aggregation: aggregations[i%len(aggregations)], GroupBy: []string{"customer", "service"}[i%2:]}
		if m.Aggregation != meter.AggCount {
			m.Value = "bytes"
		}
		if i%4 != 0 { // the others are of one family
			m.Filters = [][]meter.Filter{{{Attribute: "service", Op: meter.OpNotIs, Value: meter.StringValue(fmt.Sprint("svc-", i))}}}
		}
		out = append(out, m)
	}
	return out
}

func wideEvents(r *rand.Rand, n int, salt string) []testEvent {
	out := make([]testEvent, n)
	for i := range out {
		out[i] = testEvent{id: fmt.Sprintf("%s-%d", salt, r.IntN(n)), subject: fmt.Sprintf("cust-%d", r.IntN(n)), at: testStart.Add(time.Duration(r.IntN(86400)) * time.Second),
			data: map[string]any{"service": fmt.Sprintf("svc-%d", r.IntN(n)), "bytes": r.IntN(1000)}}
		if r.IntN(20) == 0 {
			delete(out[i].data, "bytes")
		}
	}
	return out
}

// A block whose cells outgrow the memory allowed is written in portions; a
// crash between any two of them counts nothing twice and loses nothing.
func TestBlockInPortions(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	fs := vfs.NewCrashableMem()
	var mu sync.Mutex
	var clones []*vfs.MemFS
	armed, calls := false, 0
	clock := func() time.Time { // it is read when a checkpoint begins and when it has ended
		mu.Lock()
		defer mu.Unlock()
		if calls++; armed && calls%3 == 0 && len(clones) < 12 {
			clones = append(clones, fs.CrashClone(vfs.CrashCloneCfg{}))
		}
		return testStart.Add(time.Hour)
	}
	arm := func(on bool) { mu.Lock(); armed = on; mu.Unlock() }
	lim := Limits{CellBytes: 256 << 10}
	l := openTest(t, Options{FS: fs, Dir: "/data", Clock: clock, Limits: lim})
	meters := crowdOfMeters(14)
	createMeters(t, l, "default", meters)
	appendAll(t, l, "default", wideEvents(r, 300, "a"))
	events := wideEvents(r, 1000, "a")
	before := l.Stats().Checkpoints
	arm(true)
	want := appendAll(t, l, "default", events)
	arm(false)
	if n := l.Stats().Checkpoints - before; n < 5 {
		t.Fatalf("%d checkpoints within the block, want several", n)
	}
	check := func(l *Ledger) []string {
		var out []string
		for _, m := range meters {
			for _, by := range [][]string{nil, m.GroupBy} {
				q := meter.UsageQuery{Meter: m.Key, GroupBy: by, Window: "day"}
				if from := compareWithScan(t, l, q); from != "cells" {
					t.Errorf("meter %s by %v is answered from %s", m.Key, by, from)
				}
			}
			st, _ := l.Meter("default", m.Key)
			total, _ := usageTotal(t, l, "default", m.Key, testStart, testStart.Add(24*time.Hour))
			out = append(out, fmt.Sprint(m.Key, " ", total, " ", st.Skipped, " ", st.Groups))
		}
		return append(out, fmt.Sprint(l.Stats().Organizations))
	}
	figures := check(l)
	verifyClean(t, l)
	within := 0
	for i, clone := range clones {
		c := openTest(t, Options{FS: clone, Dir: "/data", Limits: lim})
		for _, m := range meters {
			if o := c.peekOrg("default"); o.meter(m.Key).record.Ahead == want.Sequence {
				within++
				break
			}
		}
		if c.Stats().Last < want.Sequence {
			continue // before the block was stored
		}
		if got := check(c); !slices.Equal(got, figures) {
			t.Fatalf("crash %d: %q\nwithout it %q", i, got, figures)
		}
		again := appendAll(t, c, "default", events)
		if again.Accepted != 0 || again.Duplicates+again.Conflicts != len(events) {
			t.Fatalf("crash %d: sent again %+v, first %+v", i, again, want)
		}
		verifyClean(t, c)
	}
	if within == 0 {
		t.Fatal("no crash came between two portions")
	}
}

// What no checkpoint holds yet stays within Limits.CellBytes, whatever it is
// made of, while it is folded and while the log's tail is folded again.
func TestUncheckpointedMemory(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	text := func(n, size int) string { return fmt.Sprintf("%0*d", size, n) }
	for name, event := range map[string]func(i int) testEvent{
		"groups":    func(i int) testEvent { return testEvent{data: map[string]any{"service": text(i, meter.MaxGroupBytes)}} },
		"customers": func(i int) testEvent { return testEvent{subject: text(i, meter.MaxGroupBytes)} },
		"values":    func(i int) testEvent { return testEvent{data: map[string]any{"value": text(i, meter.MaxGroupBytes)}} },
		"sources":   func(i int) testEvent { return testEvent{source: text(i, 512), data: map[string]any{"bytes": i}} },
		"too long":  func(i int) testEvent { return testEvent{data: map[string]any{"service": text(i, 32<<10)}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewCrashableMem()
			lim := Limits{CellBytes: limit, StringBytes: limit, CheckpointEvery: time.Hour}
			var most int64
			held := func(l *Ledger) {
				_ = l.onFold(func() error {
					n := l.held()
					l.mu.RLock() // the flush lets go of what is frozen under the lock
					defer l.mu.RUnlock()
					if l.frozen != nil {
						n += l.frozen.table.Bytes() + l.frozen.side + l.frozen.texts.memory()
					}
					most = max(most, n)
					return nil
				})
			}
			l := openTest(t, Options{FS: fs, Dir: "/data", Limits: lim})
			createMeters(t, l, "default", append(testMeters(), meter.Meter{Key: "values", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "value"},
				meter.Meter{Key: "latest-by", EventType: "edge.request", Aggregation: meter.AggLast, Value: "bytes", GroupBy: []string{"customer", "service"}}))
			n := 0
			for range 30 {
				var events []testEvent
				for range 100 {
					e := event(n)
					e.id, e.at = fmt.Sprint(n), testStart.Add(time.Duration(n)*time.Minute)
					events = append(events, e)
					n++
				}
				appendAll(t, l, "default", events)
				held(l)
			}
			if most > limit {
				t.Errorf("%d bytes are in no checkpoint, the limit is %d", most, limit)
			}
			if got := l.texts.known.bytes + l.texts.byIDBytes; got > limit {
				t.Errorf("%d bytes of texts are cached", got)
			}
			verifyClean(t, l)
			// The whole log is folded again.
			clone := fs.CrashClone(vfs.CrashCloneCfg{})
			for _, folder := range []string{"/data/state", "/data/ids"} {
				if err := clone.RemoveAll(folder); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Open(context.Background(), Options{FS: clone, Dir: "/data", Limits: lim})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if name != "too long" && name != "sources" && c.Stats().Checkpointed == 0 {
				t.Error("the tail was folded without a checkpoint")
			}
			most = 0
			held(c)
			if most > limit {
				t.Errorf("%d bytes are in no checkpoint after a restart, the limit is %d", most, limit)
			}
			verifyClean(t, c)
		})
	}
}
