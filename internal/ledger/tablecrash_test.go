package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// throng is a history in which every event that counts makes a new group.
type throng struct {
	requests, rows int // new events of each request
	every          int // requests between checkpoints; 0 = they come when they are due
	step           time.Duration
	tableBytes     int64 // of a checkpoint's tables
	per            int   // crashes of each kind of step that are taken for certain
	limits         Limits

	r      *rand.Rand
	mu     sync.Mutex
	states []throngState // by the sequence at which the log ends
	now    throngState
}

// throngState says what is right at one sequence.
type throngState struct {
	sent, voided int // the first ones are voided
	meters       int
}

// throngMeters are four families: of three columns, of two meters that share
// one, and of one meter each. Three of the meters are recomputed where usage is voided.
func throngMeters() []meter.Meter {
	full, half := []string{"customer", "service", "region"}, []string{"service", "customer"}
	meters := []meter.Meter{
		{Key: "requests", Aggregation: meter.AggCount, GroupBy: full},
		{Key: "bytes", Aggregation: meter.AggSum, Value: "bytes", GroupBy: full},
		{Key: "largest", Aggregation: meter.AggMax, Value: "bytes", GroupBy: full},
		{Key: "again", Aggregation: meter.AggSum, Value: "bytes", GroupBy: half},
		{Key: "average", Aggregation: meter.AggAvg, Value: "bytes", GroupBy: half},
		{Key: "services", Aggregation: meter.AggUniqueCount, Value: "service", GroupBy: []string{"customer"}},
		{Key: "latest", Aggregation: meter.AggLast, Value: "bytes"},
	}
	for i := range meters {
		meters[i].EventType = "edge.request"
	}
	return meters
}

// totals are the answers at a state.
func (s throngState) totals() map[string]string {
	count := s.sent - s.voided
	sum := fmt.Sprint(s.sent*(s.sent-1)/2 - s.voided*(s.voided-1)/2)
	return map[string]string{"requests": fmt.Sprint(count), "bytes": sum, "again": sum, "largest": fmt.Sprint(s.sent - 1), "latest": fmt.Sprint(s.sent - 1), "services": fmt.Sprint(count)}
}

// event is the i-th of the history, of a service of its own.
func (h *throng) event(i int) testEvent {
	return testEvent{id: fmt.Sprint("g-", i), subject: fmt.Sprint("cust-", i/3), at: testStart.Add(time.Duration(i) * h.step),
		data: map[string]any{"service": fmt.Sprint("svc-", i), "region": fmt.Sprint("r", i%5), "bytes": i}}
}

func (h *throng) end() time.Time {
	return testStart.Add(time.Duration((h.requests+2)*h.rows) * h.step).Truncate(24 * time.Hour).Add(24 * time.Hour)
}

// next notes what the entry that is about to be made will have changed, and
// makes it. s hears that it is acknowledged.
func (h *throng) next(s *stepper, change func(*throngState), make func() error) error {
	h.mu.Lock()
	change(&h.now)
	h.states = append(h.states, h.now)
	seq := uint64(len(h.states) - 1)
	h.mu.Unlock()
	if err := make(); err != nil {
		return err
	}
	s.acked(seq)
	return nil
}

// request appends new events between some that were sent before, as they were or with other content.
func (h *throng) request(ctx context.Context, tb testing.TB, s *stepper, l *Ledger) error {
	from := h.now.sent
	var events []testEvent
	for i := range h.rows {
		events = append(events, h.event(from+i))
	}
	duplicates, conflicts := 0, 0
	if from > 0 {
		duplicates, conflicts = 1+h.rows/10, 1
		for range duplicates {
			events = append(events, h.event(h.r.IntN(from)))
		}
		other := h.event(h.r.IntN(from))
		other.data["bytes"] = -1
		events = append(events, other)
	}
	b := stage(tb, l, "default", events)
	return h.next(s, func(n *throngState) { n.sent += h.rows }, func() error {
		res, err := l.Append(ctx, b)
		if err == nil && (res.Accepted != h.rows || res.Duplicates != duplicates || res.Conflicts != conflicts) {
			err = fmt.Errorf("%+v, want %d, %d and %d", res, h.rows, duplicates, conflicts)
		}
		return err
	})
}

// void takes back the first events that count.
func (h *throng) void(ctx context.Context, s *stepper, l *Ledger) error {
	var ids []meter.Identity
	for i := range 1 + h.r.IntN(3) {
		ids = append(ids, meter.Identity{Source: "test", ID: h.event(h.now.voided + i).id})
	}
	return h.next(s, func(n *throngState) { n.voided += len(ids) }, func() error {
		res, err := l.Void(ctx, "default", ids, "test", "crash")
		if err == nil && res.Voided != len(ids) {
			err = fmt.Errorf("%+v, want %d voided", res, len(ids))
		}
		return err
	})
}

// run goes through the history. A meter is made on the way, behind usage, and deleted again.
func (h *throng) run(ctx context.Context, tb testing.TB, s *stepper, l *Ledger) error {
	late := meter.Meter{Key: "late", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "service", "region"}}
	for n := range h.requests {
		err := h.request(ctx, tb, s, l)
		if err == nil && n%4 == 2 {
			err = h.void(ctx, s, l)
		}
		switch {
		case err != nil:
		case n == h.requests/3:
			err = h.next(s, func(n *throngState) { n.meters++ }, func() error { _, err := l.CreateMeter(ctx, "default", late, "test"); return err })
		case n == h.requests*3/4:
			err = h.next(s, func(n *throngState) { n.meters-- }, func() error { return l.DeleteMeter(ctx, "default", late.Key, "test") })
		}
		if err == nil && h.every > 0 && n%h.every == h.every-1 {
			err = l.Checkpoint()
		}
		if err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
	}
	return l.Checkpoint()
}

// stepper holds the disk up before steps of checkpoints that it picks, and
// hands out what a power failure would leave there.
type stepper struct {
	mem  *vfs.MemFS
	per  int
	cuts chan powerCut
	quit chan struct{} // closed when nobody takes cuts any more
	on   atomic.Bool

	mu   sync.Mutex
	r    *rand.Rand
	seen map[string]int
	ack  uint64
}

// powerCut is one power failure.
type powerCut struct {
	fs    *vfs.MemFS
	op    string
	acked uint64
	done  chan struct{}
}

func newStepper(r *rand.Rand, per int) (*stepper, vfs.FS) {
	s := &stepper{mem: vfs.NewCrashableMem(), per: per, cuts: make(chan powerCut), quit: make(chan struct{}), seen: map[string]int{}, r: rand.New(rand.NewPCG(r.Uint64(), 0))}
	return s, errorfs.Wrap(s.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// What the log does by itself is no step of a checkpoint.
		if s.on.Load() && stepNames[op.Kind] != "" && !strings.Contains(op.Path, "data/"+logFolder) {
			s.before(op)
		}
		return nil
	}))
}

func (s *stepper) acked(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ack = seq
}

// stepNames are the kinds of steps; others, as of reserving room, change nothing that is there.
var stepNames = map[errorfs.OpKind]string{
	errorfs.OpCreate: "create", errorfs.OpLink: "link", errorfs.OpRemove: "remove", errorfs.OpRename: "rename", errorfs.OpReuseForWrite: "reuse",
	errorfs.OpFileWrite: "write", errorfs.OpFileWriteAt: "write", errorfs.OpFileSync: "sync", errorfs.OpFileSyncData: "sync", errorfs.OpFileSyncTo: "sync",
}

var digits = regexp.MustCompile(`[0-9]+`)

// before takes the first steps of each kind, and of later ones fewer and fewer,
// or none in short tests.
// Of a checkpoint's tables each is a kind of its own.
func (s *stepper) before(op errorfs.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := op.Path
	if !strings.HasPrefix(s.mem.PathBase(op.Path), incoming) {
		what = digits.ReplaceAllString(what, "#")
	}
	what = stepNames[op.Kind] + " of " + what
	n := s.seen[what]
	s.seen[what]++
	if n >= s.per && (testing.Short() || s.r.IntN(n+1) >= s.per) {
		return
	}
	percent := pick(s.r, 0, 0, 50, 100)
	c := powerCut{s.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: s.r}), fmt.Sprintf("%s (number %d, %d %% of what was not synced)", what, n, percent), s.ack, make(chan struct{})}
	select {
	case s.cuts <- c:
		select {
		case <-c.done:
		case <-s.quit:
		}
	case <-s.quit:
	}
}

// TestCrashAtEachStepOfACheckpoint runs a ledger in which every event makes a
// new group, in several families and beside voids, duplicates, conflicts, a
// backfill and a deleted meter, through checkpoints of several tables. Before
// each kind of file operation of these it opens what a power failure would
// have left: totals are exact, and it verifies. `make sim` does it with a million groups.
func TestCrashAtEachStepOfACheckpoint(t *testing.T) {
	t.Parallel()
	few := &throng{requests: 16, rows: 30, every: 2, step: 23 * time.Minute, tableBytes: 16 << 10, per: 1, limits: Limits{TableBytes: 1, MergeRows: 10, DirtyPerFlush: 4, CompactRows: -1}}
	t.Run("few", func(t *testing.T) {
		t.Parallel()
		if long() {
			few.per = 8
		}
		few.crash(t)
	})
	if long() {
		million := &throng{requests: 1000, rows: 1000, step: time.Second, tableBytes: incomingTableBytes, per: 1, limits: Limits{DirtyPerFlush: 100}}
		t.Run("million", million.crash)
	}
}

// open makes a ledger with the meters of the history.
func (h *throng) open(t *testing.T) (*stepper, *Ledger) {
	t.Helper()
	h.r = fixedtest.Rand(t)
	s, fs := newStepper(h.r, h.per)
	l := openTest(t, Options{Dir: "data", FS: fs, Limits: h.limits})
	if err := l.onFold(func() error { l.incomingSize = h.tableBytes; return nil }); err != nil {
		t.Fatal(err)
	}
	createMeters(t, l, "default", throngMeters())
	for n := range len(throngMeters()) + 1 {
		h.now.meters = n
		h.states = append(h.states, h.now)
	}
	s.acked(uint64(h.now.meters))
	return s, l
}

// crash goes through the history and all its crashes.
func (h *throng) crash(t *testing.T) {
	s, l := h.open(t)
	s.on.Store(true)
	ran := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	end := sync.OnceFunc(func() { s.on.Store(false); close(s.quit) })
	defer end()
	go func() { ran <- h.run(ctx, t, s, l) }()
	crashes := 0
	for {
		select {
		case c := <-s.cuts:
			h.check(t, &c, crashes%8 == 0)
			crashes++
			if long() {
				t.Logf("crash %d before %s: exact", crashes, c.op)
			}
			close(c.done)
			continue
		case err := <-ran:
			if err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	end()
	t.Logf("%d crashes before %d kinds of step", crashes, len(s.seen))
	for _, what := range []string{"create of data/state/incoming-1", "write of data/state/incoming-1", "sync of data/state/incoming-1", "link of data/state/incoming-1", "remove of data/state/incoming-1",
		"write of data/state/MANIFEST-#", "sync of data/state/MANIFEST-#", "sync of data/state", "write of data/ids/#.tmp", "rename of data/ids/#.tmp", "sync of data/ids", "remove of data/ids/#.run", "write of data/TAIL"} {
		if s.seen[what] == 0 {
			t.Errorf("no %s among the steps %v", what, s.seen)
		}
	}
	verifyClean(t, l)
}

// check opens what a crash has left.
func (h *throng) check(t *testing.T, c *powerCut, goOn bool) {
	t.Helper()
	ctx := context.Background()
	l, err := Open(ctx, Options{Dir: "data", FS: c.fs, Limits: h.limits, Fatal: func(m string) { panic(c.op + ": " + m) }})
	if err != nil {
		t.Fatalf("crash before %s: open: %v", c.op, err)
	}
	last := l.Stats().Last
	h.mu.Lock()
	states := h.states
	h.mu.Unlock()
	if last < c.acked || last >= uint64(len(states)) {
		t.Fatalf("crash before %s: the log ends at %d, %d was acknowledged", c.op, last, c.acked)
	}
	want := states[last]
	if n := len(l.Meters("default")); n != want.meters {
		t.Fatalf("crash before %s: %d meters, want %d", c.op, n, want.meters)
	}
	exact := func(when string) {
		t.Helper()
		for key, total := range want.totals() {
			if got, source := usageTotal(t, l, "default", key, testStart, h.end()); got != total && want.sent > 0 {
				t.Fatalf("crash before %s: %s %s is %s from %s, want %s of %+v", c.op, when, key, got, source, total, want)
			}
		}
		waitBackfilled(t, l)
		r, err := verify.Run(ctx, l, verify.Options{Folder: t.TempDir()})
		if err == nil {
			err = r.Err()
		}
		if err != nil || r.Identities != uint64(want.sent) {
			t.Fatalf("crash before %s: %s verify at %d: %d identities, want %d: %v", c.op, when, last, r.Identities, want.sent, err)
		}
	}
	exact("at once")
	if goOn {
		h.goOn(t, l, c, &want)
		exact("after more usage")
	}
	if err := l.Close(); err != nil {
		t.Fatalf("crash before %s: close: %v", c.op, err)
	}
	names, err := c.fs.List("data/" + stateFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, incoming) {
			t.Errorf("crash before %s: %s is left", c.op, name)
		}
	}
}

// goOn sends what came last once more, which is known, and what would have come next.
func (h *throng) goOn(t *testing.T, l *Ledger, c *powerCut, want *throngState) {
	t.Helper()
	var events []testEvent
	known := min(want.sent, 2*h.rows)
	for i := range known + h.rows {
		events = append(events, h.event(want.sent-known+i))
	}
	if r := appendAll(t, l, "default", events); r.Duplicates != known || r.Accepted != h.rows {
		t.Fatalf("crash before %s: a resend gave %+v, want %d duplicates", c.op, r, known)
	}
	want.sent += h.rows
	if err := l.Checkpoint(); err != nil {
		t.Fatalf("crash before %s: checkpoint: %v", c.op, err)
	}
}
