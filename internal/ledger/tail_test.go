package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// killed is a data directory as kill -9 leaves it: nothing is flushed, and
// what the process wrote is there.
func killed(mem *vfs.MemFS) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// cut writes the first n bytes of a file as the whole of it.
func cut(t *testing.T, fs *vfs.MemFS, name string, n int) {
	t.Helper()
	b, err := fs.UnsafeGetFileDataBuffer(name)
	if err != nil {
		t.Fatal(err)
	}
	b = append([]byte(nil), b[:n]...)
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// lossNoticed opens a damaged copy: it is refused as damaged, or all is there.
func lossNoticed(t *testing.T, fs *vfs.MemFS, what string, blocks uint64, events int) bool {
	t.Helper()
	l, err := Open(context.Background(), Options{Dir: "data", FS: fs, Fatal: func(m string) { t.Error(m) }})
	if err != nil {
		if meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("%s: %v", what, err)
		}
		return true
	}
	defer func() { _ = l.Close() }()
	if last := l.Stats().Last; last != blocks {
		t.Fatalf("%s: opened without a word with %d of %d blocks", what, last, blocks)
	}
	if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(events) {
		t.Fatalf("%s: %s of %d events", what, total, events)
	}
	if r, err := verify.Run(context.Background(), l, verify.Options{}); err != nil || r.Err() != nil {
		t.Fatalf("%s: verify: %v %v", what, err, r.Err())
	}
	return false
}

// tailSample is a ledger of which a good part is in write-ahead logs only.
func tailSample(t *testing.T) (mem *vfs.MemFS, last uint64, events int) {
	t.Helper()
	r := fixedtest.Rand(t)
	mem = vfs.NewCrashableMem()
	l := openTest(t, Options{Dir: "data", FS: mem, Limits: Limits{TableBytes: 1 << 30}}) // checkpoints are in the state's log
	createMeters(t, l, "default", testMeters())
	add := func(n int) {
		appendAll(t, l, "default", sampleEvents(n, fmt.Sprint("e", events, "-")))
		events += n
	}
	add(30)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		add(pick(r, 1, 30, 300))
	}
	for range 2 { // the state's own memory of it is in its write-ahead log only
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		add(5)
	}
	return mem, l.Stats().Last, events
}

// Every write-ahead log of both stores, gone or cut anywhere after a kill: what
// was acknowledged is there, or the start says that it is not.
func TestLostWriteAheadLogs(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	mem, last, events := tailSample(t)
	for _, folder := range []string{logFolder, stateFolder} {
		whole := killed(mem)
		if lossNoticed(t, whole, "nothing lost", last, events) {
			t.Fatal("a whole directory is refused")
		}
		fs := killed(mem)
		for _, name := range filesOf(t, fs, folder, ".log") {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		if !lossNoticed(t, fs, folder+": all logs gone", last, events) {
			t.Errorf("%s: all logs gone, and not a word", folder)
		}
		noticed := 0
		for _, name := range filesOf(t, killed(mem), folder, ".log") {
			fs := killed(mem)
			if _, err := fs.Stat(name); err != nil {
				continue // its removal was under way
			}
			b, err := fs.UnsafeGetFileDataBuffer(name)
			if err != nil {
				t.Fatal(err)
			}
			used := len(b)
			for used > 0 && b[used-1] == 0 {
				used--
			}
			for _, n := range []int{0, used / 2, r.IntN(used + 1), r.IntN(used + 1), used - 1} {
				fs := killed(mem)
				cut(t, fs, name, max(n, 0))
				if lossNoticed(t, fs, fmt.Sprintf("%s cut to %d of %d", name, n, used), last, events) {
					noticed++
				}
			}
		}
		if noticed == 0 {
			t.Errorf("%s: no cut was noticed", folder)
		}
	}
}

// The documented ways on after a loss: without what is lost, and counted anew.
func TestGoingOnAfterALoss(t *testing.T) {
	t.Parallel()
	mem, last, events := tailSample(t)
	fs := killed(mem)
	for _, name := range filesOf(t, fs, logFolder, ".log") {
		cut(t, fs, name, 0)
	}
	if err := fs.RemoveAll(filepath.Join("data", stateFolder)); err != nil {
		t.Fatal(err)
	}
	if err := fs.RemoveAll(filepath.Join("data", runFolder)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(context.Background(), Options{Dir: "data", FS: fs})
	if err == nil || !strings.Contains(err.Error(), "To go on without them, remove "+filepath.Join("data", markName)) {
		t.Fatal(err)
	}
	if err := fs.Remove(filepath.Join("data", markName)); err != nil {
		t.Fatal(err)
	}
	on := openTest(t, Options{Dir: "data", FS: fs})
	if on.Stats().Last >= last {
		t.Errorf("%d blocks of %d after the loss", on.Stats().Last, last)
	}
	fs = killed(mem)
	if err := fs.RemoveAll(filepath.Join("data", stateFolder)); err != nil {
		t.Fatal(err)
	}
	if err := fs.RemoveAll(filepath.Join("data", runFolder)); err != nil {
		t.Fatal(err)
	}
	if lossNoticed(t, fs, "the state removed", last, events) {
		t.Error("a removed state is refused")
	}
}

// A write-ahead log between others that is gone leaves a hole, not an end.
func TestHoleInTheLog(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	l := openTest(t, Options{Dir: "data", FS: mem})
	createMeters(t, l, "default", testMeters())
	for i := range 6 {
		appendAll(t, l, "default", sampleEvents(10, fmt.Sprint("e", i, "-")))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, Options{Dir: "data", FS: mem}).Close(); err != nil {
		t.Fatal(err)
	}
	editLog(t, mem, func(db *pebble.DB) error {
		return errors.Join(db.Delete(logKey(4, logBody), nil), db.Delete(logKey(4, logHeader), nil))
	})
	_, err := Open(context.Background(), Options{Dir: "data", FS: mem})
	if meter.KindOf(err) != meter.KindCorrupt || !strings.Contains(err.Error(), "blocks up to 4 are missing in the log") {
		t.Fatalf("a hole in the log: %v", err)
	}
}

// A mark that cannot be read is no mark: it is told, and made anew.
func TestDamagedTailMark(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	l := openTest(t, Options{Dir: "data", FS: mem})
	appendAll(t, l, "default", sampleEvents(10, "e"))
	path := filepath.Join("data", markName)
	for n := range 20 {
		fs := killed(mem)
		b, err := fs.UnsafeGetFileDataBuffer(path)
		if err != nil || len(b) != 20 {
			t.Fatal(len(b), err)
		}
		b[n] ^= 1
		var m log.Mark
		if _, _, damaged, err := m.Open(fs, path); err != nil || !damaged {
			t.Errorf("byte %d: damaged %v, %v", n, damaged, err)
		}
		_ = m.Close()
		again := openTest(t, Options{Dir: "data", FS: fs})
		if again.Stats().Last != l.Stats().Last {
			t.Errorf("byte %d: %d blocks", n, again.Stats().Last)
		}
	}
}
