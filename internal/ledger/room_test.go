package ledger

import (
	"context"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// TestFullDiskIsToldAtOnce: a ledger is not opened on a disk without room for
// what its write-ahead logs hold, and the error says how much is missing where.
func TestFullDiskIsToldAtOnce(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs})
	appendAll(t, l, "default", sampleEvents(1000, "a"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, free := range []uint64{0, 1, openMargin, openMargin + 1000} {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 1 << 30, UsedBytes: 1<<30 - free})
		_, err := Open(context.Background(), Options{Dir: "data", FS: fs})
		if meter.KindOf(err) != meter.KindStorageFull || !strings.Contains(err.Error(), "the disk of data is full") || !strings.Contains(err.Error(), "bytes are missing") {
			t.Errorf("%d bytes free: %v", free, err)
		}
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 31, UsedBytes: 1 << 30})
	l = openTest(t, Options{Dir: "data", FS: fs})
	if got := l.Stats().Organizations; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}
