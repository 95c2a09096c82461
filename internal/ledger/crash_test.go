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
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// crashCopy is what a disk may hold when power fails at one moment.
type crashCopy struct {
	fs    *vfs.MemFS
	op    string
	acked uint64 // last sequence acknowledged by then
}

// copier takes crash copies before file operations that it picks.
type copier struct {
	mu     sync.Mutex
	mem    *vfs.MemFS
	r      *rand.Rand
	acked  uint64
	seen   map[string]int // operations by kind and folder
	per    int            // copies of each
	copies []crashCopy
}

func newCopier(r *rand.Rand, per int) (*copier, vfs.FS) {
	c := &copier{mem: vfs.NewCrashableMem(), r: rand.New(rand.NewPCG(r.Uint64(), 0)), seen: map[string]int{}, per: per}
	return c, errorfs.Wrap(c.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			c.before(op)
		}
		return nil
	}))
}

// before copies the disk ahead of the first operations of each kind on each
// kind of file, and of later ones now and then.
func (c *copier) before(op errorfs.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, name := c.mem.PathDir(op.Path), c.mem.PathBase(op.Path)
	kind := name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			kind = name[i:]
			break
		}
	}
	what := fmt.Sprintf("%v of %s/%s", op.Kind, dir, kind)
	n := c.seen[what]
	c.seen[what]++
	if n >= c.per && c.r.IntN(n+1) >= c.per/2 {
		return
	}
	percent := pick(c.r, 0, 0, 50, 100)
	c.copies = append(c.copies, crashCopy{c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.r}),
		fmt.Sprintf("%s (number %d, %d %% of what was not synced)", what, n, percent), c.acked})
}

func (c *copier) ack(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked = seq
}

// prefix is what is right when the log ends at a sequence.
type prefix struct {
	total  string // of the meter "bytes"
	events int    // that were ever accepted
	meters int
}

// TestCrashAtEveryStep runs a ledger through appends, checkpoints, merges of
// identity runs, backfills, voids and merges of small blocks, and opens what a
// power failure before each kind of file operation would have left: everything
// acknowledged is there once, and nothing half.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	c, fs := newCopier(r, 2)
	lim := Limits{CheckpointEvents: 60, MergeRows: 10, CompactRows: 200, DirtyPerFlush: 3, TableBytes: pick(r, int64(1), 40<<10, 1<<30)}
	l := openTest(t, Options{Dir: "data", FS: fs, Limits: lim})
	state := []prefix{{"0", 0, 0}}
	events := sampleEvents(900, "e")
	sum, sent, voided := 0, 0, 0
	note := func(meters int) {
		state = append(state, prefix{fmt.Sprint(sum), sent, meters})
		c.ack(uint64(len(state) - 1))
	}
	ctx := context.Background()
	createMeters(t, l, "default", testMeters()[1:2])
	note(1)
	meters := 1
	for sent < len(events) {
		n := min(1+r.IntN(50), len(events)-sent)
		for i := sent; i < sent+n; i++ {
			sum += i
		}
		sent += n
		appendAll(t, l, "default", events[sent-n:sent])
		note(meters)
		switch {
		case meters < 6 && sent > 100*meters:
			m := append(testMeters()[:1], testMeters()[2:]...)[meters-1]
			createMeters(t, l, "default", []meter.Meter{m})
			meters++
			note(meters)
		case r.IntN(4) == 0:
			res, err := l.Void(ctx, "default", []meter.Identity{{Source: "test", ID: events[voided].id}}, "test", "crash")
			if err != nil || res.Voided != 1 {
				t.Fatalf("%+v %v", res, err)
			}
			sum -= voided
			voided++
			note(meters)
		}
	}
	waitBackfilled(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	copies := c.copies
	if len(copies) < 40 {
		t.Errorf("only %d crashes of %v", len(copies), c.seen)
	}
	keep := 40
	if long() {
		keep = len(copies)
	}
	r.Shuffle(len(copies), func(i, j int) { copies[i], copies[j] = copies[j], copies[i] })
	for i, cc := range copies[:min(keep, len(copies))] {
		checkCrash(t, cc, lim, events, state, i%8 == 0)
	}
	t.Logf("%d of %d crashes, %d kinds of operation", min(keep, len(copies)), len(copies), len(c.seen))
}

func checkCrash(t *testing.T, cc crashCopy, lim Limits, events []testEvent, state []prefix, goOn bool) {
	t.Helper()
	ctx := context.Background()
	l, err := Open(ctx, Options{Dir: "data", FS: cc.fs, Limits: lim, Fatal: func(m string) { panic(cc.op + ": " + m) }})
	if err != nil {
		t.Fatalf("crash before %s: open: %v", cc.op, err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Fatalf("crash before %s: close: %v", cc.op, err)
		}
	}()
	last := l.Stats().Last
	if last < cc.acked || last >= uint64(len(state)) {
		t.Fatalf("crash before %s: the log ends at %d, %d was acknowledged", cc.op, last, cc.acked)
	}
	want := state[last]
	if len(l.Meters("default")) != want.meters {
		t.Fatalf("crash before %s: %d meters, want %d", cc.op, len(l.Meters("default")), want.meters)
	}
	check := func(when string) {
		t.Helper()
		if want.meters > 0 {
			if total, source := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(time.Hour)); total != want.total {
				t.Fatalf("crash before %s: %s the total at %d is %s from %s, want %s", cc.op, when, last, total, source, want.total)
			}
		}
		if want.meters > 0 && want.events > 0 {
			waitBackfilled(t, l)
		}
		if r, err := verify.Run(ctx, l, verify.Options{}); err != nil || r.Err() != nil {
			t.Fatalf("crash before %s: %s verify at %d: %v %v", cc.op, when, last, err, r.Err())
		}
	}
	check("at once")
	if !goOn {
		return
	}
	// It goes on from there: what it has is duplicate, the rest is new.
	r := appendAll(t, l, "default", events)
	if r.Duplicates != want.events || r.Accepted != len(events)-want.events {
		t.Fatalf("crash before %s: a resend gave %+v, want %d duplicates", cc.op, r, want.events)
	}
	for i := want.events; i < len(events) && want.meters > 0; i++ {
		q := mustQuantity(t, want.total).Decimal().Add(meter.NewDecimal(int64(i)))
		want.total = q.String()
	}
	check("after a resend")
}

// A crash after the log is synced and before the fold has seen the block: the
// caller has no answer, the events are there once, and a resend is duplicate.
func TestCrashBetweenAppendAndFold(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	l := openTest(t, Options{Dir: "data", FS: mem})
	createMeters(t, l, "default", testMeters()[:2])
	release := stallFold(t, l)
	before := l.Stats().Appends
	var wg sync.WaitGroup
	wg.Go(func() { appendAll(t, l, "default", sampleEvents(700, "a")) })
	waitFor(t, func() bool { return l.Stats().Appends > before })
	fs := mem.CrashClone(vfs.CrashCloneCfg{})
	release()
	wg.Wait()
	l = openTest(t, Options{Dir: "data", FS: fs})
	if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != "700" {
		t.Fatalf("total %s", total)
	}
	if r := appendAll(t, l, "default", sampleEvents(701, "a")); r.Duplicates != 700 || r.Accepted != 1 {
		t.Fatalf("%+v", r)
	}
	verifyClean(t, l)
}

// stallFold holds the fold up until release is called or the test ends.
func stallFold(t *testing.T, l *Ledger) (release func()) {
	t.Helper()
	stalled, goOn := make(chan struct{}), make(chan struct{})
	go func() { _ = l.onFold(func() error { close(stalled); <-goOn; return nil }) }()
	<-stalled
	release = sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	return release
}

// Many goroutines append while the disk is copied; each request is found whole
// or not at all, and whole if it was acknowledged before the copy.
func TestCrashUnderConcurrentAppends(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	mem := vfs.NewCrashableMem()
	l := openTest(t, Options{Dir: "data", FS: mem, Limits: Limits{CheckpointEvents: 500, MergeRows: 20}})
	for _, org := range []string{"default", "other"} {
		createMeters(t, l, org, testMeters())
	}
	const workers, requests = 12, 25
	var mu sync.Mutex
	acked := map[string]bool{}
	sizes := map[string]int{}
	var wg sync.WaitGroup
	copied := make(chan struct{})
	var fs *vfs.MemFS
	var before map[string]bool
	crashAt := workers * requests / 3
	for w := range workers {
		rng := rand.New(rand.NewPCG(r.Uint64(), uint64(w)))
		wg.Go(func() {
			for i := range requests {
				name := fmt.Sprintf("w%d.%d", w, i)
				n := 1 + rng.IntN(pick(rng, 1, 5, 40))
				mu.Lock()
				sizes[name] = n
				mu.Unlock()
				b := stage(t, l, pick(rng, "default", "other"), sampleEvents(n, name))
				b.SetAtomic(rng.IntN(3) == 0)
				if res, err := l.Append(context.Background(), b); err != nil || res.Accepted != n {
					t.Errorf("%+v %v", res, err)
				}
				mu.Lock()
				acked[name] = true
				if len(acked) == crashAt {
					before = map[string]bool{}
					for k := range acked {
						before[k] = true
					}
					close(copied)
				}
				mu.Unlock()
			}
		})
	}
	<-copied
	fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(r, 0, 50, 100), RNG: r})
	wg.Wait()
	l = openTest(t, Options{Dir: "data", FS: fs})
	found, total := 0, 0
	for name, n := range sizes {
		have := 0
		for i := range n {
			for _, org := range []string{"default", "other"} {
				if _, err := l.Lookup(context.Background(), org, "test", fmt.Sprintf("%s-%d", name, i)); err == nil {
					have++
				} else if meter.KindOf(err) != meter.KindNotFound {
					t.Fatal(err)
				}
			}
		}
		if have != 0 && have != n || have == 0 && before[name] {
			t.Fatalf("request %s has %d of %d events; acknowledged before: %v", name, have, n, before[name])
		}
		if have > 0 {
			found++
			total += n
		}
	}
	if counted := requestsCounted(t, l, "default") + requestsCounted(t, l, "other"); counted != total || found < len(before) {
		t.Fatalf("%d events counted, %d found in %d requests", counted, total, found)
	}
	verifyClean(t, l)
}

// requestsCounted is the total of the meter that counts events.
func requestsCounted(t *testing.T, l *Ledger, org string) int {
	t.Helper()
	s, _ := usageTotal(t, l, org, "requests", testStart, testStart.Add(time.Hour))
	n := 0
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A power failure during a backup leaves a directory that is refused, empty or
// whole, and the ledger itself unharmed.
func TestCrashDuringBackup(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	c, fs := newCopier(r, 1)
	l := openTest(t, Options{Dir: "data", FS: fs})
	createMeters(t, l, "default", testMeters())
	appendAll(t, l, "default", sampleEvents(1200, "a"))
	last := l.Stats().Last
	c.ack(last)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	from := len(c.copies)
	clear(c.seen)
	info, err := l.Backup(context.Background(), "backup")
	if err != nil || info.Sequence != last {
		t.Fatalf("%+v %v", info, err)
	}
	c.mu.Lock()
	copies := slices.Clone(c.copies[from:])
	c.mu.Unlock()
	taken := len(copies)
	r.Shuffle(taken, func(i, j int) { copies[i], copies[j] = copies[j], copies[i] })
	if !long() {
		copies = copies[:min(16, taken)]
	}
	copies = append(copies, crashCopy{c.mem.CrashClone(vfs.CrashCloneCfg{}), "the end", last})
	for i, cc := range copies {
		for _, dir := range []string{"data", "backup"} {
			l, err := Open(context.Background(), Options{Dir: dir, FS: cc.fs, Fatal: func(m string) { panic(cc.op + ": " + m) }})
			if err != nil {
				if dir == "data" || i == len(copies)-1 {
					t.Fatalf("crash before %s: %v", cc.op, err)
				}
				continue
			}
			got := l.Stats().Last
			if got != last && (dir == "data" || got != 0) {
				t.Fatalf("crash before %s: %s has %d of %d blocks", cc.op, dir, got, last)
			}
			if got == last {
				verifyClean(t, l)
				if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != "1200" {
					t.Fatalf("crash before %s: %s counts %s", cc.op, dir, total)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of %d crashes", len(copies), taken+1)
}
