package disk

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// Lock keeps a second process out of the data directory until what it returns is closed.
func Lock(fs vfs.FS, path string) (io.Closer, error) {
	c, err := fs.Lock(path)
	if err != nil {
		return nil, meter.WrapError(meter.KindUnavailable, err,
			"the data directory is in use by another odometer process (lock %s); stop it, or use another directory", path)
	}
	return c, nil
}

// MakeDir makes dir and its parents, durably: a power failure right after must
// not take the directory with everything that was synced in it.
func MakeDir(fs vfs.FS, dir string) error {
	parents := []string{fs.PathDir(dir)}
	_, missing := fs.Stat(dir)
	for missing != nil {
		d := parents[len(parents)-1]
		up := fs.PathDir(d)
		if _, err := fs.Stat(d); err == nil || up == d {
			break
		}
		parents = append(parents, up)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory %s: %w", dir, err)
	}
	for _, d := range parents {
		// One that was there already was synced by whoever made it, and its
		// parent may be none of ours to open.
		if err := SyncDir(fs, d); err != nil && missing != nil {
			return fmt.Errorf("make the directory %s durable: %w", dir, err)
		}
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
