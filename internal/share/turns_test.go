package share

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestTurns: one at a time of an organization, and others beside it.
func TestTurns(t *testing.T) {
	t.Parallel()
	var turns Turns
	var inside [2]atomic.Int32
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			done, err := turns.Take(t.Context(), []string{"a", "b"}[i%2])
			if err != nil {
				t.Error(err)
				return
			}
			if inside[i%2].Add(1) != 1 {
				t.Error("two at a time")
			}
			inside[i%2].Add(-1)
			done()
		})
	}
	group.Wait()
	if len(turns.of) != 0 {
		t.Errorf("%d turns are left", len(turns.of))
	}
}
