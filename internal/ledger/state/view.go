package state

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/log"
)

// View is a standing of the ledger for those who read what is stored with code
// of their own: the log, and the state and the identities as of one checkpoint.
type View struct {
	Log        log.Reader
	Key        block.Key // of the hashes
	State      pebble.Reader
	Identities *idset.Sealed
	Now        func() time.Time
	// Damage notes a damaged block and says what it affects.
	Damage func(h *block.Header, err error) string
	// Release must be called once, when nothing is read any more.
	Release func()
}
