package disk

import (
	"errors"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/meter"
)

// Damaged says that an error means that what is stored is not what was
// written: a checksum fails, bytes do not decode, or something is gone. Any
// other error of reading, such as one of the disk's controller or a process
// with too many open files, may pass.
func Damaged(err error) bool {
	kind := meter.KindOf(err)
	return kind == meter.KindCorrupt || kind == meter.KindNotFound || pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist)
}

// Unreadable is an error of reading what is stored: KindCorrupt where it is
// damaged, else KindUnavailable.
func Unreadable(err error, format string, args ...any) error {
	kind := meter.KindUnavailable
	if Damaged(err) {
		kind = meter.KindCorrupt
	}
	return meter.WrapError(kind, err, format, args...)
}
