package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/meter"
)

// A part of the delta that is filled waits for as large a part of the checkpoint, but for the slack.
func TestProgress(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	appendAll(t, l, "default", sampleEvents(1000, "a"))
	var d *delta
	if err := l.onFold(func() error { d = l.active; d.texts, d.ids = l.texts.freeze(), l.ids.Freeze(); return nil }); err != nil {
		t.Fatal(err)
	}
	var p progress
	p.begin(d)
	if p.all < 1000 {
		t.Fatalf("%d steps", p.all)
	}
	check := func(filled int64, behind bool) {
		t.Helper()
		if got := p.behind(filled); got != behind {
			t.Errorf("%d of %d steps, %d filled: behind %v", p.done, p.all, filled, got)
		}
	}
	check(filledSlack, false)
	check(filledSlack+1, true)
	p.step(p.all / 2)
	check((filledParts+filledSlack)/2-1, false)
	check((filledParts+filledSlack)/2+2, true)
	p.step(p.all - p.done - 1)
	check(filledParts-1, false)
	check(filledParts, true)
	p.step(p.all) // more than was thought
	check(filledParts, false)
	p.begin(d)
	released := make(chan struct{})
	go func() { p.await(filledParts); close(released) }()
	waitFor(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.waits == 1 })
	p.end() // with few of the steps told
	<-released
}

// heldTables is a file system on which a checkpoint's tables wait while held is locked.
func heldTables(fs vfs.FS, held *sync.Mutex) vfs.FS {
	made := 0
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasPrefix(filepath.Base(op.Path), incoming) {
			held.Lock()
			made++
			held.Unlock()
		}
		return nil
	}))
}

// The fold waits long before the delta is full while the checkpoint does not
// come on, says so, and goes on with it: nothing is lost, and closing waits for nothing else.
func TestFoldKeepsPace(t *testing.T) {
	t.Parallel()
	const batch, most = 50, 400
	var held sync.Mutex
	l := openTest(t, Options{Dir: "data", FS: heldTables(vfs.NewMem(), &held), Limits: Limits{CheckpointEvents: 10 * batch, MergeRows: 1}})
	createMeters(t, l, "default", testMeters())
	held.Lock()
	var answered atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for i := range most {
			if _, err := l.Append(context.Background(), stage(t, l, "default", sampleEvents(batch, fmt.Sprint(i)))); err != nil {
				t.Error(err)
				return
			}
			answered.Add(1)
		}
	})
	p := &l.ckpt.progress
	waitFor(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.waits > 0 && p.told.L != nil })
	// The checkpoint was due after 10 batches, and the delta would be full after 20 more.
	if n := answered.Load(); n < 10 || n > 20 {
		t.Errorf("%d requests were answered before the fold waited", n)
	}
	held.Unlock()
	group.Wait()
	if w := l.Stats().FoldWaits; w.Count == 0 || len(w.Within) != len(waitBounds) {
		t.Errorf("waits: %+v", w)
	}
	if got, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(24*time.Hour)); got != fmt.Sprint(batch*most) {
		t.Errorf("%s requests counted", got)
	}
	verifyClean(t, l)
}

// What was lost with a checkpoint that was being written is folded again without one.
func TestReplayWithoutCheckpoint(t *testing.T) {
	t.Parallel()
	const batch = 100
	var held sync.Mutex
	mem := vfs.NewCrashableMem()
	lim := Limits{CheckpointEvents: 10 * batch}
	l := openTest(t, Options{Dir: "data", FS: heldTables(mem, &held), Limits: lim})
	createMeters(t, l, "default", testMeters())
	held.Lock()
	for i := range 11 { // one is counted beside the checkpoint
		appendAll(t, l, "default", sampleEvents(batch, fmt.Sprint(i)))
	}
	copied := killed(mem)
	held.Unlock()
	again := openTest(t, Options{Dir: "data", FS: copied, Limits: lim})
	if err := again.onFold(func() error {
		if again.ckpt.busy || again.checkpointed.Load() != 0 || again.additions() != 11*batch {
			t.Errorf("a checkpoint is under way: %v, one was written up to block %d, %d events are in none", again.ckpt.busy, again.checkpointed.Load(), again.additions())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, again, "default", sampleEvents(batch, "more"))
	waitFor(t, func() bool { return again.Stats().Checkpoints == 1 })
	if got, _ := usageTotal(t, again, "default", "requests", testStart, testStart.Add(24*time.Hour)); got != fmt.Sprint(12*batch) {
		t.Errorf("%s requests counted", got)
	}
	verifyClean(t, again)
}

// A checkpoint that fails lets go of the fold that waits for it.
func TestFailedCheckpointEndsPace(t *testing.T) {
	t.Parallel()
	var held sync.Mutex
	var fail atomic.Bool
	fs := errorfs.Wrap(heldTables(vfs.NewMem(), &held), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail.Load() && op.Kind == errorfs.OpFileSync && strings.HasPrefix(filepath.Base(op.Path), incoming) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	failed := make(chan string, 10)
	l, err := Open(context.Background(), Options{Dir: "data", FS: fs, Limits: Limits{CheckpointEvents: 500, MergeRows: 1, TableBytes: 1}, Fatal: func(m string) { failed <- m }})
	if err != nil {
		t.Fatal(err)
	}
	createMeters(t, l, "default", testMeters())
	held.Lock()
	ended := make(chan error)
	go func() {
		for i := 0; ; i++ {
			if _, err := l.Append(context.Background(), stage(t, l, "default", sampleEvents(50, fmt.Sprint(i)))); err != nil {
				ended <- err
				return
			}
		}
	}()
	p := &l.ckpt.progress
	waitFor(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.waits > 0 })
	fail.Store(true)
	held.Unlock()
	<-failed
	if err := <-ended; meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("append: %v", err)
	}
	if err := l.Close(); err == nil {
		t.Error("closed as if nothing had failed")
	}
}
