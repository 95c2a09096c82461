package ledger

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/background/backgroundtest"
)

// watchedDisk counts how often the free space of the ledger's folder is asked for.
type watchedDisk struct {
	vfs.FS
	asked atomic.Int64
}

func (w *watchedDisk) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if path == "/data" {
		w.asked.Add(1)
	}
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40}, nil
}

// jobless is a ledger whose own jobs have ended, with something to do for each.
func jobless(t *testing.T) (*Ledger, *watchedDisk) {
	disk := &watchedDisk{FS: vfs.NewMem()}
	l := openTest(t, Options{FS: disk, Dir: "/data", Limits: Limits{CompactRows: 50}})
	l.jobs.Stop()
	for i := range 40 { // small blocks in four runs of identities, and meters that came later
		appendAll(t, l, "default", sampleEvents(2, fmt.Sprint(i)))
		if i%10 == 9 {
			if err := l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	createMeters(t, l, "default", testMeters())
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	return l, disk
}

func TestJobs(t *testing.T) {
	t.Parallel()
	backgroundtest.Jobs(t, map[string]func(t *testing.T) backgroundtest.Job{
		"backfill": func(t *testing.T) backgroundtest.Job {
			l, _ := jobless(t)
			return backgroundtest.Job{Run: l.backfillLoop, Begun: func() (blocks int) {
				for _, m := range l.Meters("default") {
					blocks += int(m.Backfill.Cursor)
				}
				return blocks
			}}
		},
		"compaction": func(t *testing.T) backgroundtest.Job {
			l, _ := jobless(t)
			return backgroundtest.Job{Run: l.compactLoop, Begun: func() int {
				v, err := l.log.Meta("compacted")
				if err != nil {
					t.Fatal(err)
				}
				return len(v)
			}}
		},
		"housekeeping": func(t *testing.T) backgroundtest.Job {
			l, disk := jobless(t)
			before := disk.asked.Load()
			return backgroundtest.Job{Run: l.housekeeping, Begun: func() int { return int(disk.asked.Load() - before) }}
		},
		"merge of identities": func(t *testing.T) backgroundtest.Job {
			l, _ := jobless(t)
			return backgroundtest.Job{Once: true, Run: l.merge, Begun: func() int {
				l.ckpt.mu.Lock()
				defer l.ckpt.mu.Unlock()
				return l.ckpt.merge + len(l.ckpt.merged)
			}}
		},
	})
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"ledger": func(t *testing.T) func() {
			l, err := Open(context.Background(), Options{FS: vfs.NewMem(), Dir: "/data"})
			if err != nil {
				t.Fatal(err)
			}
			createMeters(t, l, "default", testMeters())
			appendAll(t, l, "default", sampleEvents(10, "a"))
			return func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		},
	})
}
