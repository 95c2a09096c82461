package disk

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// manifestFS makes the name of a new manifest durable when the file is made.
// The engine syncs the directory only after it has moved the marker to the new
// manifest; a disk that keeps the one name and loses the other at a power
// failure would leave a store that does not open.
type manifestFS struct{ vfs.FS }

// Create makes a file as the file system below does.
func (f manifestFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	if err != nil || !strings.HasPrefix(f.PathBase(name), "MANIFEST-") {
		return file, err
	}
	dir, err := f.OpenDir(f.PathDir(name))
	if err == nil {
		err = dir.Sync()
		if closed := dir.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
