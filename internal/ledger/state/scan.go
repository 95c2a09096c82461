package state

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/disk"
)

// Scan calls fn for every key with the prefix, in order.
func Scan(db pebble.Reader, prefix []byte, fn func(key, value []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: UpperBound(prefix)})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			_ = it.Close()
			return err
		}
	}
	if err := it.Close(); err != nil {
		return disk.Unreadable(err, "the state cannot be read")
	}
	return nil
}
