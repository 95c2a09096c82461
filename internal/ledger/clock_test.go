package ledger

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// A clock that is a year ahead for a while and then back again never makes an
// acceptance time go back, and every as_of answer stays what it was.
func TestClockAYearAheadAndBack(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart)
	fs := vfs.NewMem()
	o := Options{Dir: "data", FS: fs, Clock: clock.Now, Limits: Limits{CheckpointEvents: 50}}
	l := openTest(t, o)
	createMeters(t, l, "default", testMeters()[:1])
	count := func(at time.Time) string {
		t.Helper()
		u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour), AsOf: at})
		if err != nil {
			t.Fatal(err)
		}
		return u.Total.String()
	}
	var last time.Time
	known := map[time.Time]string{}
	for i, move := range []time.Duration{time.Minute, 365 * 24 * time.Hour, -365 * 24 * time.Hour, time.Minute, -time.Hour, time.Minute, 2 * 365 * 24 * time.Hour, time.Minute} {
		clock.Advance(move)
		r := appendAll(t, l, "default", sampleEvents(10, fmt.Sprint("step", i)))
		h, err := l.header(r.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if h.Accepted.Before(last) {
			t.Fatalf("step %d is accepted at %s, before %s", i, h.Accepted, last)
		}
		if now := clock.Now(); now.After(last) && !h.Accepted.Equal(now) {
			t.Fatalf("step %d is accepted at %s, the clock shows %s", i, h.Accepted, now)
		}
		last = h.Accepted
		known[last] = fmt.Sprint(10 * (i + 1)) // the last of those with one time
		if i == 3 || i == 6 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openTest(t, o)
		}
		for at, want := range known {
			if got := count(at); got != want {
				t.Fatalf("step %d: as of %s %s, want %s", i, at, got, want)
			}
		}
		if got := count(time.Time{}); got != fmt.Sprint(10*(i+1)) {
			t.Fatalf("step %d: now %s", i, got)
		}
		if got := count(testStart); got != "0" {
			t.Fatalf("step %d: as of the start %s", i, got)
		}
	}
	verifyClean(t, l)
}

// A backup taken while usage comes in opens elsewhere, verifies, and has the
// totals of its sequence.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs, Limits: Limits{CheckpointEvents: 300, MergeRows: 20}})
	createMeters(t, l, "default", testMeters())
	var mu sync.Mutex
	bySeq := map[uint64]int{} // events per block
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				n := 1 + (i*7+w)%40
				res := appendAll(t, l, "default", sampleEvents(n, fmt.Sprintf("w%d.%d", w, i)))
				mu.Lock()
				bySeq[res.Sequence] += n
				mu.Unlock()
			}
		})
	}
	const backups = 4
	var infos []BackupInfo
	for i := range backups {
		waitFor(t, func() bool { return l.Stats().Last > uint64(20*(i+1)) })
		if i == 1 {
			m := testMeters()[1]
			m.Key = "late" // its backfill is under way in the copy
			createMeters(t, l, "default", []meter.Meter{m})
		}
		info, err := l.Backup(context.Background(), fmt.Sprint("backup", i))
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	if _, err := l.Backup(context.Background(), "backup0"); meter.KindOf(err) != meter.KindConflict {
		t.Errorf("a backup over another: %v", err)
	}
	close(stop)
	wg.Wait()
	for i, info := range infos {
		want := 0
		for seq, n := range bySeq {
			if seq <= info.Sequence {
				want += n
			}
		}
		if info.Checkpoint > info.Sequence || info.Checkpoint == 0 {
			t.Errorf("%+v", info)
		}
		b := openTest(t, Options{Dir: fmt.Sprint("backup", i), FS: fs})
		if b.Stats().Last != info.Sequence {
			t.Errorf("backup %d ends at %d, it said %d", i, b.Stats().Last, info.Sequence)
		}
		if total, _ := usageTotal(t, b, "default", "requests", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(want) {
			t.Errorf("backup %d counts %s at %d, want %d", i, total, info.Sequence, want)
		}
		waitBackfilled(t, b)
		verifyClean(t, b)
		if res := appendAll(t, b, "default", sampleEvents(5, "w0.0")); res.Accepted+res.Duplicates != 5 {
			t.Errorf("%+v", res)
		}
	}
}
