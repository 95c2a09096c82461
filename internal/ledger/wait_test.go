package ledger

import (
	"testing"
	"time"
)

// waitFor waits until something that goroutines bring about has happened.
func waitFor(tb testing.TB, done func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Minute) // for what hangs only
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatal("it did not happen within half an hour")
		}
	}
}
