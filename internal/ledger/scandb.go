package ledger

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/disk"
)

// scanDB calls fn for every key with the prefix, in order.
func scanDB(db pebble.Reader, prefix []byte, fn func(key, value []byte) error) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
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

// upperBound returns the first key after all keys with the prefix.
func upperBound(prefix []byte) []byte {
	up := append([]byte(nil), prefix...)
	for i := len(up) - 1; i >= 0; i-- {
		if up[i] != 0xff {
			up[i]++
			return up[:i+1]
		}
	}
	return nil
}
