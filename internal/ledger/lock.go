package ledger

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// dirLock keeps a second process out of the data directory.
type dirLock struct{ closer io.Closer }

func (d *dirLock) take(fs vfs.FS, path string) error {
	c, err := fs.Lock(path)
	if err != nil {
		return meter.WrapError(meter.KindUnavailable, err,
			"the data directory is in use by another odometer process (lock %s); stop it, or use another directory", path)
	}
	d.closer = c
	return nil
}

func (d *dirLock) release() error {
	if d.closer == nil {
		return nil
	}
	return d.closer.Close()
}
