package ledger

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/ledger/state"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// TestReadErrorsAreNoDamage: a disk that does not answer, or a process with too
// many open files, stops no organization.
func TestReadErrorsAreNoDamage(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{syscall.EIO, syscall.EMFILE} {
		var on atomic.Bool
		mem := vfs.NewMem()
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && filepath.Ext(op.Path) == ".sst" {
				return failure
			}
			return nil
		}))
		l := openTest(t, Options{Dir: "data", FS: fs, Limits: Limits{CacheBytes: 1, BlockCacheEntries: 1}})
		createMeters(t, l, "default", testMeters()[:1])
		appendAll(t, l, "default", sampleEvents(100, "a"))
		if err := storeOf(l).Flush(); err != nil {
			t.Fatal(err)
		}
		on.Store(true)
		if _, err := l.log.Body(2); meter.KindOf(err) != meter.KindUnavailable {
			t.Errorf("%v: a block: %v", failure, err)
		}
		if _, err := l.Events(context.Background(), meter.EventsQuery{Organization: "default"}); err != nil && meter.KindOf(err) == meter.KindCorrupt {
			t.Errorf("%v: events: %v", failure, err)
		}
		if got := l.Damaged(); len(got) != 0 {
			t.Errorf("%v: damage %v", failure, got)
		}
		on.Store(false)
		if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != "100" {
			t.Errorf("%v: total %s", failure, total)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		// At the start the block is read to be folded: an error ends the start.
		on.Store(true)
		if again, err := Open(context.Background(), Options{Dir: "data", FS: fs}); err == nil {
			for _, o := range again.Stats().Organizations {
				if o.Stopped != "" {
					t.Errorf("%v: %s", failure, o.Stopped)
				}
			}
			on.Store(false)
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		} else if meter.KindOf(err) == meter.KindCorrupt {
			t.Errorf("%v: opening: %v", failure, err)
		}
	}
}

// TestAStopIsCleared: an organization whose blocks can be read again is served
// again once the log is folded anew, with the same figures.
func TestAStopIsCleared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openTest(t, Options{Dir: dir})
	createMeters(t, l, "default", testMeters()[:1])
	createMeters(t, l, "other", testMeters()[:1])
	appendAll(t, l, "default", sampleEvents(100, "a"))
	appendAll(t, l, "other", sampleEvents(50, "b"))
	// As after a block that could not be read.
	err := l.onFold(func() error {
		org := l.org("default")
		l.mu.Lock()
		defer l.mu.Unlock()
		org.record.Stopped = &state.StopNote{Sequence: 3, Reason: "block 3 is damaged"}
		l.active.orgs[org] = struct{}{}
		org.publish()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: dir})
	stops, err := l.Stops(t.Context())
	if err != nil || len(stops) != 1 || stops[0].Organization != "default" || stops[0].Now != "" {
		t.Fatalf("%+v, %v", stops, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	done, err := Refold(dir)
	if err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: dir})
	if stops, err := l.Stops(t.Context()); err != nil || len(stops) != 0 {
		t.Errorf("%+v, %v", stops, err)
	}
	for org, want := range map[string]string{"default": "100", "other": "50"} {
		if total, _ := usageTotal(t, l, org, "requests", testStart, testStart.Add(time.Hour)); total != want {
			t.Errorf("%s: %s, want %s", org, total, want)
		}
	}
	if r := appendAll(t, l, "default", sampleEvents(101, "a")); r.Accepted != 1 || r.Duplicates != 100 {
		t.Errorf("%+v", r)
	}
	report, err := verify.Run(t.Context(), l, verify.Options{})
	if err != nil || len(report.Problems) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, stateFolder+replacedSuffix)); !os.IsNotExist(err) {
		t.Errorf("the state of before is left: %v", err)
	}
}
