package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

func isLog(op errorfs.Op) bool {
	return strings.Contains(op.Path, "data/"+logFolder+"/") && filepath.Ext(op.Path) == ".log"
}

// doomed opens a ledger that may stop: Fatal tells and never returns, as a
// process that ends would not. The ledger is left as it is then.
func doomed(t *testing.T, fs vfs.FS, lim Limits) (*Ledger, chan string, error) {
	t.Helper()
	fatal := make(chan string, 100)
	l, err := Open(context.Background(), Options{Dir: "data", FS: fs, Limits: lim, Fatal: func(m string) {
		fatal <- m
		select {}
	}})
	return l, fatal, err
}

// faultyLife appends until the ledger stops or everything is sent, and returns
// what was acknowledged, by request, and what was sent.
func faultyLife(t *testing.T, l *Ledger, fatal chan string, r *rand.Rand) (acked, sent map[string]int, stopped string) {
	t.Helper()
	acked, sent = map[string]int{}, map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		rng := rand.New(rand.NewPCG(r.Uint64(), uint64(w)))
		wg.Go(func() {
			for i := range 30 {
				name, n := fmt.Sprintf("w%d.%d", w, i), 1+rng.IntN(30)
				mu.Lock()
				sent[name] = n
				mu.Unlock()
				b := stage(t, l, "default", sampleEvents(n, name))
				said := make(chan error, 1)
				go func() {
					res, err := l.Append(context.Background(), b)
					if err == nil && res.Accepted != n {
						err = fmt.Errorf("%+v", res)
						t.Error(err)
					}
					said <- err
				}()
				select {
				case err := <-said:
					if err != nil {
						return
					}
					mu.Lock()
					acked[name] = n
					mu.Unlock()
				case <-stop:
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case stopped = <-fatal:
	case <-done:
		select {
		case stopped = <-fatal:
		default:
		}
	}
	close(stop)
	<-done
	return acked, sent, stopped
}

// checkAcked opens what is left on a disk without faults: all that was
// acknowledged is there, no request in part, and each event counts once.
func checkAcked(t *testing.T, fs vfs.FS, acked, sent map[string]int) {
	t.Helper()
	l := openTest(t, Options{Dir: "data", FS: fs})
	total := 0
	for name, n := range sent {
		have := 0
		for i := range n {
			_, err := l.Lookup(context.Background(), "default", "test", fmt.Sprintf("%s-%d", name, i))
			if err == nil {
				have++
			} else if meter.KindOf(err) != meter.KindNotFound {
				t.Fatal(err)
			}
		}
		if have != 0 && have != n || have == 0 && acked[name] > 0 {
			t.Fatalf("request %s has %d of %d events; acknowledged: %v", name, have, n, acked[name] > 0)
		}
		total += have
	}
	if len(l.Meters("default")) > 0 {
		if got, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); got != fmt.Sprint(total) {
			t.Fatalf("%s events counted, %d found", got, total)
		}
	}
	verifyClean(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// isTableSync and isStateSync are the two ways of a checkpoint to the disk.
func isTableSync(op errorfs.Op) bool {
	return strings.HasPrefix(filepath.Base(op.Path), incoming) && isSync(op)
}

func isStateSync(op errorfs.Op) bool {
	return strings.Contains(op.Path, "data/"+stateFolder) && filepath.Ext(op.Path) == ".log" && isSync(op)
}

// A sync of the log that fails, or a full disk, ends the process; what was
// acknowledged is there afterwards.
func TestFailedSyncEndsTheProcess(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for _, what := range []struct {
		name  string
		err   error
		hit   func(op errorfs.Op) bool
		table int64
	}{
		{"sync of the log", syscall.EIO, func(op errorfs.Op) bool { return isLog(op) && isSync(op) }, 1},
		{"write of the log", syscall.ENOSPC, func(op errorfs.Op) bool { return isLog(op) && op.Kind == errorfs.OpFileWrite }, 1},
		{"write of an identity run", syscall.ENOSPC, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "data/"+runFolder) && op.Kind == errorfs.OpFileWrite
		}, 1},
		{"sync of the state's table", syscall.EIO, isTableSync, 1},
		{"sync of the state's log", syscall.EIO, isStateSync, 1 << 30},
	} {
		t.Run(what.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var left atomic.Int64
			fs := failsLater(mem, &left, what.hit, what.err)
			l, fatal, err := doomed(t, fs, Limits{CheckpointEvents: 100, MergeRows: 10, TableBytes: what.table})
			if err != nil {
				t.Fatal(err)
			}
			createMeters(t, l, "default", testMeters())
			left.Store(r.Int64N(4))
			acked, sent, stopped := faultyLife(t, l, fatal, r)
			if stopped == "" {
				t.Fatal("the ledger went on")
			}
			if _, err := l.Append(context.Background(), stage(t, l, "default", sampleEvents(1, "late"))); meter.KindOf(err) != meter.KindUnavailable {
				t.Fatalf("append to a stopped ledger: %v", err)
			}
			if !l.Stats().Failed {
				t.Error("Stats does not say that it failed")
			}
			checkAcked(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(r, 0, 50, 100), RNG: r}), acked, sent)
		})
	}
}

// Writes, syncs, renames and the like fail at random, from the opening on.
func TestRandomWriteFaults(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	lives, stops := 8, 0
	if long() {
		lives = 300
	}
	for range lives {
		mem := vfs.NewCrashableMem()
		likely := pick(r, 30, 200, 1000)
		rng := rand.New(rand.NewPCG(r.Uint64(), 0))
		var mu sync.Mutex
		on := chance(r, 30)
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if on && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !endsByItself(op) && rng.IntN(likely) == 0 {
				return errorfs.ErrInjected
			}
			return nil
		}))
		var acked, sent map[string]int
		lim := Limits{CheckpointEvents: 100, MergeRows: 10, TableBytes: pick(r, int64(1), 1<<30)}
		opened := make(chan struct{})
		var l *Ledger
		var fatal chan string
		var err error
		early := make(chan string, 100)
		go func() {
			defer close(opened)
			l, err = Open(context.Background(), Options{Dir: "data", FS: fs, Limits: lim, Fatal: func(m string) {
				early <- m
				select {}
			}})
		}()
		select {
		case <-opened:
			if err != nil {
				break
			}
			fatal = early
			mu.Lock()
			on = true
			mu.Unlock()
			var stopped string
			if acked, sent, stopped = faultyLife(t, l, fatal, r); stopped != "" {
				stops++
			}
		case <-early:
			stops++
		}
		mu.Lock()
		on = false
		mu.Unlock()
		left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(r, 0, 50, 100), RNG: r})
		if len(sent) == 0 && !opens(left) {
			continue // it failed while it was made: nothing was stored, and it says so
		}
		checkAcked(t, left, acked, sent)
	}
	t.Logf("%d of %d lives ended", stops, lives)
}

// endsByItself is the sync of one of the engine's directories: when it fails
// the engine panics, in any goroutine, which a test cannot outlive.
func endsByItself(op errorfs.Op) bool {
	name := filepath.Base(op.Path)
	return isSync(op) && (name == logFolder || name == stateFolder)
}

func opens(fs vfs.FS) bool {
	l, err := Open(context.Background(), Options{Dir: "data", FS: fs})
	return err == nil && l.Close() == nil
}

// Reads that fail give errors, never other totals.
func TestRandomReadFaults(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	mem := vfs.NewCrashableMem()
	l := dataset(t, mem)
	for _, flush := range []func() error{l.state.Flush, storeOf(l).Flush} {
		if err := flush(); err != nil {
			t.Fatal(err)
		}
	}
	blocks := l.Stats().Last
	lives := 8
	if long() {
		lives = 300
	}
	noticed := 0
	for range lives {
		likely := pick(r, 5, 20, 100)
		rng := rand.New(rand.NewPCG(r.Uint64(), 0))
		var mu sync.Mutex
		var on atomic.Bool
		fs := errorfs.Wrap(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: r}), errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && rng.IntN(likely) == 0 {
				return syscall.EIO
			}
			return nil
		}))
		if said := honestUnderFaults(t, fs, &on, blocks); said {
			noticed++
		}
	}
	if noticed < lives/3 {
		t.Errorf("only %d of %d lives met a fault", noticed, lives)
	}
}

func honestUnderFaults(t *testing.T, fs vfs.FS, on *atomic.Bool, blocks uint64) (noticed bool) {
	t.Helper()
	l, fatal, err := doomed(t, fs, Limits{CacheBytes: 1, BlockCacheEntries: 1, CompactRows: -1})
	if err != nil {
		t.Fatal(err)
	}
	if l.Stats().Last != blocks {
		t.Fatalf("opened with %d of %d blocks", l.Stats().Last, blocks)
	}
	on.Store(true)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ctx := context.Background()
		for round := range 3 {
			for key, want := range map[string]string{"requests": "1800", "bytes": "539100", "largest": "599", "services": "13"} {
				for _, by := range [][]string{nil, {"customer"}, {"subject"}} {
					u, err := l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: testStart.Add(time.Hour), GroupBy: by})
					if noticed = noticed || err != nil; err == nil && u.Total.String() != want {
						t.Errorf("%s is %s from %s, want %s", key, u.Total, u.Source, want)
					}
				}
			}
			page, err := l.Events(ctx, meter.EventsQuery{Organization: "default", Limit: 1000})
			if noticed = noticed || err != nil; err == nil && len(page.Events) != 1000 {
				t.Errorf("a page of %d events", len(page.Events))
			}
			if _, err := l.Lookup(ctx, "default", "test", "default1-5"); err != nil {
				if noticed = true; meter.KindOf(err) == meter.KindNotFound {
					t.Error("a read fault made an event unknown")
				}
			}
			res, err := l.Append(ctx, stage(t, l, "default", sampleEvents(600, fmt.Sprint("default", round))))
			if noticed = noticed || err != nil; err == nil && res.Duplicates != 600 {
				t.Errorf("a resend gave %+v", res)
			}
		}
	}()
	select {
	case <-fatal:
		return true
	case <-finished:
	}
	on.Store(false)
	if noticed { // the faults are over: everything is as it was
		if total, _ := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(time.Hour)); total != "539100" {
			t.Errorf("after the faults the total is %s", total)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return noticed
}

// syncGate counts the syncs of the log and can hold them up.
type syncGate struct {
	count atomic.Int64
	mu    sync.Mutex
	hold  chan struct{} // non-nil: syncs wait for it
	held  chan struct{} // one token per sync that waits
}

func (g *syncGate) wrap(fs vfs.FS) vfs.FS {
	g.held = make(chan struct{}, 1000)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isLog(op) && isSync(op) {
			g.mu.Lock()
			hold := g.hold
			g.mu.Unlock()
			if hold != nil {
				g.held <- struct{}{}
				<-hold
			}
			g.count.Add(1)
		}
		return nil
	}))
}

func (g *syncGate) close() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	hold := make(chan struct{})
	g.hold = hold
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.hold = nil
		close(hold)
	}
}

// An answer leaves after a sync of the log, and many small requests share one.
func TestSyncsPerAcknowledgement(t *testing.T) {
	t.Parallel()
	g := &syncGate{}
	l := openTest(t, Options{Dir: "data", FS: g.wrap(vfs.NewMem()), Limits: Limits{GroupBlocks: 100}})
	for i := range 20 {
		before := g.count.Load()
		appendAll(t, l, "default", sampleEvents(1, fmt.Sprint(i)))
		if g.count.Load() == before {
			t.Fatal("an answer without a sync of the log")
		}
	}
	for _, change := range []func() error{
		func() error { createMeters(t, l, "default", testMeters()[:1]); return nil },
		func() error {
			_, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "0-0"}}, "a", "b")
			return err
		},
		func() error { return l.DeleteMeter(context.Background(), "default", "requests", "a") },
		func() error { return l.SetCustomerAttribute(context.Background(), "default", "x", "a") },
	} {
		before := g.count.Load()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if g.count.Load() == before {
			t.Fatal("a change was answered without a sync of the log")
		}
	}

	const n = 400
	release := g.close()
	var wg sync.WaitGroup
	var answered atomic.Int64
	send := func(i int) {
		wg.Go(func() {
			if r := appendAll(t, l, pick(rand.New(rand.NewPCG(uint64(i), 0)), "default", "a", "b"), sampleEvents(1, fmt.Sprint("n", i))); r.Accepted != 1 {
				t.Errorf("%+v", r)
			}
			answered.Add(1)
		})
	}
	send(0)
	<-g.held
	for i := 1; i < n; i++ {
		send(i)
	}
	waitFor(t, func() bool { return l.Stats().Waiting == n })
	if answered.Load() != 0 {
		t.Fatal("an answer before its sync")
	}
	before := g.count.Load()
	release()
	wg.Wait()
	if syncs := g.count.Load() - before; syncs > n/20 {
		t.Errorf("%d syncs for %d requests", syncs, n)
	}
}

// A second process is kept out of the directory, and let in afterwards.
func TestSecondOpenIsRefused(t *testing.T) {
	t.Parallel()
	for _, fs := range []vfs.FS{vfs.NewMem(), vfs.Default} {
		dir := filepath.Join(t.TempDir(), "data")
		l := openTest(t, Options{Dir: dir, FS: fs})
		appendAll(t, l, "default", sampleEvents(3, "a"))
		_, err := Open(context.Background(), Options{Dir: dir, FS: fs})
		if meter.KindOf(err) != meter.KindUnavailable || !strings.Contains(err.Error(), "in use") {
			t.Fatalf("a second open: %v", err)
		}
		if r := appendAll(t, l, "default", sampleEvents(4, "a")); r.Accepted != 1 || r.Duplicates != 3 {
			t.Fatalf("the first after it: %+v", r)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(context.Background(), stage(t, l, "default", sampleEvents(1, "b"))); !errors.As(err, new(*meter.Error)) || meter.KindOf(err) != meter.KindUnavailable {
			t.Fatalf("append to a closed ledger: %v", err)
		}
		l = openTest(t, Options{Dir: dir, FS: fs})
		if r := appendAll(t, l, "default", sampleEvents(4, "a")); r.Duplicates != 4 {
			t.Fatalf("after opening again: %+v", r)
		}
	}
}

// failsLater fails with an error what hit names, once left is used up.
func failsLater(fs vfs.FS, left *atomic.Int64, hit func(op errorfs.Op) bool, err error) vfs.FS {
	left.Store(1 << 40)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hit(op) && left.Add(-1) < 0 {
			return err
		}
		return nil
	}))
}
