package ledger

import (
	"context"
	"testing"

	"odometer/internal/meter"
)

// Requests whose events would take more than Limits.StagedBytes together wait in
// turn; one that is larger still comes alone; one that is given up lets the next in.
func TestStaging(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &staging{most: 100}
	first, err := s.take(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.take(ctx, 40)
	if err != nil {
		t.Fatal("at the limit: ", err)
	}
	gone, cancel := context.WithCancel(ctx)
	refused := make(chan error)
	go func() {
		_, err := s.take(gone, 100)
		refused <- err
	}()
	waiting := func(n int) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.queue.Len() == n }
	waitFor(t, func() bool { return waiting(1) })
	admitted := make(chan func())
	go func() {
		done, err := s.take(ctx, 1)
		if err != nil {
			t.Error(err)
		}
		admitted <- done
	}()
	waitFor(t, func() bool { return waiting(2) })
	second() // room for the last, but it is not its turn
	if !waiting(2) {
		t.Fatal("a small request has passed a large one")
	}
	cancel()
	if err := <-refused; meter.KindOf(err) != meter.KindUnavailable {
		t.Fatal(err)
	}
	last := <-admitted
	last()
	first()
	if s.used != 0 {
		t.Fatalf("%d bytes are held by nobody", s.used)
	}
}
