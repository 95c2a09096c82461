package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// askAll sends all kinds of requests until the ledger has failed; every one of
// them is answered. It returns what was acknowledged and what was sent.
func askAll(t *testing.T, l *Ledger, failed func() bool) (acked, sent map[string]int) {
	t.Helper()
	acked, sent = map[string]int{}, map[string]int{}
	ctx := context.Background()
	var mu sync.Mutex
	var askers sync.WaitGroup
	for w := range 6 {
		askers.Go(func() {
			for i := 0; !failed(); i++ {
				name := fmt.Sprintf("w%d.%d", w, i)
				mu.Lock()
				sent[name] = 20
				mu.Unlock()
				r, err := l.Append(ctx, stage(t, l, "default", sampleEvents(20, name)))
				if err == nil && r.Accepted == 20 {
					mu.Lock()
					acked[name] = 20
					mu.Unlock()
				}
			}
		})
	}
	askers.Go(func() {
		for i := 0; !failed(); i++ {
			_, _ = l.CreateMeter(ctx, "default", meter.Meter{Key: fmt.Sprint("late", i), EventType: "request", Aggregation: meter.AggCount}, "test")
		}
	})
	askers.Go(func() {
		for !failed() {
			_, _ = l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)})
			_ = l.Checkpoint()
		}
	})
	askers.Wait()
	return acked, sent
}

// A Fatal that returns leaves a ledger that has failed: everybody is answered,
// nothing is folded past what failed, nothing is served any more, it closes,
// and all that was acknowledged is there when it is opened again.
func TestFatalThatReturns(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for _, what := range []struct {
		name  string
		hit   func(op errorfs.Op) bool
		table int64
	}{
		{"sync of the log", func(op errorfs.Op) bool { return isLog(op) && isSync(op) }, 1},
		{"write of the log", func(op errorfs.Op) bool { return isLog(op) && op.Kind == errorfs.OpFileWrite }, 1},
		{"write of an identity run", func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "data/"+runFolder) && op.Kind == errorfs.OpFileWrite
		}, 1},
		{"sync of the state's table", isTableSync, 1},
		{"sync of the state's log", isStateSync, 1 << 30},
	} {
		t.Run(what.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var left atomic.Int64
			fs := failsLater(mem, &left, what.hit, syscall.EIO)
			var fatals atomic.Int64
			l, err := Open(context.Background(), Options{Dir: "data", FS: fs, Limits: Limits{CheckpointEvents: 200, MergeRows: 10, TableBytes: what.table}, Fatal: func(string) { fatals.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			createMeters(t, l, "default", testMeters())
			left.Store(r.Int64N(4))
			acked, sent := askAll(t, l, func() bool { return l.Stats().Failed })
			checkFailed(t, l)
			if n := fatals.Load(); n != 1 {
				t.Errorf("Fatal was called %d times", n)
			}
			_ = l.Close() // whatever it says, it ends
			checkAcked(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(r, 0, 50, 100), RNG: r}), acked, sent)
		})
	}
}

// checkFailed makes sure that a failed ledger serves nothing.
func checkFailed(t *testing.T, l *Ledger) {
	t.Helper()
	ctx := context.Background()
	before := l.Stats().Last
	_, appended := l.Append(ctx, stage(t, l, "default", sampleEvents(1, "late")))
	_, created := l.CreateMeter(ctx, "default", meter.Meter{Key: "later", EventType: "request", Aggregation: meter.AggCount}, "test")
	_, asked := l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)})
	_, looked := l.Lookup(ctx, "default", "test", "w0.0-0")
	for what, err := range map[string]error{"append": appended, "meter": created, "usage": asked, "lookup": looked, "checkpoint": l.Checkpoint()} {
		if kind := meter.KindOf(err); kind != meter.KindUnavailable && kind != meter.KindCorrupt {
			t.Errorf("%s of a failed ledger: %v", what, err)
		}
	}
	if after := l.Stats().Last; after != before {
		t.Errorf("a failed ledger went from block %d to %d", before, after)
	}
}

// What damage has made fail says so.
func TestFailureByDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause error
		kind  meter.Kind
	}{{pebble.ErrCorruption, meter.KindCorrupt}, {errors.New("input/output error"), meter.KindUnavailable}, {nil, meter.KindUnavailable}} {
		l, err := Open(context.Background(), Options{Dir: "data", FS: vfs.NewMem(), Fatal: func(string) {}})
		if err != nil {
			t.Fatal(err)
		}
		l.fatal("a test", c.cause)
		if err := l.stopped(); meter.KindOf(err) != c.kind {
			t.Errorf("%v: %v", c.cause, err)
		}
		checkFailed(t, l)
		if err := l.Close(); meter.KindOf(err) != c.kind {
			t.Errorf("%v: close: %v", c.cause, err)
		}
	}
}
