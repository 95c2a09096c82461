package ledger

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// openMargin is what opening writes beside the write-ahead logs: manifests,
// new logs, the lock.
const openMargin = 4 << 20

// checkRoom refuses to open the stores on a disk without room for it. What the
// write-ahead logs hold is written into tables when they are opened, and the
// engine tries that for ever: on a full disk opening would never end.
func checkRoom(fsys vfs.FS, dir string) error {
	usage, err := fsys.GetDiskUsage(dir)
	for at := dir; err != nil; usage, err = fsys.GetDiskUsage(at) { // the directory may not be there yet
		above := filepath.Dir(at)
		if above == at {
			return nil // an in-memory file system has no size
		}
		at = above
	}
	need := uint64(openMargin)
	for _, folder := range []string{logFolder, stateFolder} {
		path := filepath.Join(dir, folder)
		names, err := fsys.List(path)
		if err != nil {
			continue // is not there yet, or is told when it is opened
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".log") {
				continue
			}
			if info, err := fsys.Stat(fsys.PathJoin(path, name)); err == nil {
				need += uint64(max(info.Size(), 0))
			}
		}
	}
	if usage.AvailBytes >= need {
		return nil
	}
	return meter.Errorf(meter.KindStorageFull, "the disk of %s is full: opening it takes %d bytes of free space, %d are free, %d bytes are missing", dir, need, usage.AvailBytes, need-usage.AvailBytes)
}

// CheckRoom returns an error of KindStorageFull that says how much is missing
// where, if the ledger in dir cannot be opened for want of free disk space.
func CheckRoom(dir string) error { return checkRoom(vfs.Default, dir) }

// FreeDisk returns the free bytes of the disk that dir is on; ok is false
// where that cannot be told.
func FreeDisk(dir string) (free uint64, ok bool) {
	usage, err := vfs.Default.GetDiskUsage(dir)
	return usage.AvailBytes, err == nil
}
