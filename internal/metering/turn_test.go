package metering

import (
	"context"
	"testing"

	"odometer/internal/meter"
)

// A request has one place among the reads from its first read until its answer
// is written, however many reads it is made of.
func TestHeldTurn(t *testing.T) {
	t.Parallel()
	s := &Service{reads: make(chan struct{}, 1)}
	ctx, release := HoldTurn(context.Background())
	for range 3 {
		done, err := s.turn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	other, releaseOther := HoldTurn(context.Background())
	if _, err := s.turn(other); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("beside a request whose answer is being written: %v", err)
	}
	release()
	if _, err := s.turn(other); err != nil {
		t.Errorf("after its end: %v", err)
	}
	releaseOther()
	if len(s.reads) != 0 {
		t.Error("a place is held by nobody")
	}
}
