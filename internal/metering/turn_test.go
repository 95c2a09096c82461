package metering

import (
	"context"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
	"odometer/internal/share"
)

// A request has one place among the reads from its first read until its answer
// is written, however many reads it is made of.
func TestHeldTurn(t *testing.T) {
	t.Parallel()
	s := openStores(t).service(t, Limits{Reads: 1, ReadWait: time.Millisecond})
	ctx, release := share.HoldTurn(context.Background())
	for range 3 {
		_, turn, err := s.turn(ctx, admin)
		if err != nil {
			t.Fatal(err)
		}
		turn.Done()
	}
	other, releaseOther := share.HoldTurn(context.Background())
	if _, _, err := s.turn(other, admin); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("beside a request whose answer is being written: %v", err)
	}
	release()
	if _, _, err := s.turn(other, admin); err != nil {
		t.Errorf("after its end: %v", err)
	}
	releaseOther()
	if s.reads.Taken() != 0 {
		t.Error("a place is held by nobody")
	}
}

// A key that takes all the places it can get leaves some to other keys of its
// organization and to other organizations; one past its share it is refused itself.
func TestReadsAreShared(t *testing.T) {
	t.Parallel()
	s := openStores(t).service(t, Limits{Reads: 16, ReadWait: time.Millisecond})
	ctx := context.Background()
	flood := func(p access.Principal) (held int) {
		for {
			if _, _, err := s.turn(ctx, p); meter.KindOf(err) == meter.KindOverloaded && err != nil {
				return held
			} else if err != nil {
				t.Fatal(err)
			}
			held++
		}
	}
	one, another := admin, admin
	one.KeyID, another.KeyID = "one", "another"
	if n := flood(one); n != 9 {
		t.Errorf("one key holds %d of 16 places, want 9", n)
	}
	if _, err := s.Events(ctx, one, meter.EventsQuery{}); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("the key that floods: %v", err)
	}
	if _, err := s.Events(ctx, another, meter.EventsQuery{}); err != nil {
		t.Errorf("another key of the organization: %v", err)
	}
	flood(another)
	stranger := access.Principal{Organization: "elsewhere", KeyID: "theirs", Role: admin.Role}
	for range 3 {
		if _, err := s.Events(ctx, stranger, meter.EventsQuery{}); err != nil {
			t.Errorf("another organization: %v", err)
		}
	}
}

// A query ends with its time, in words that say so.
func TestQueryTime(t *testing.T) {
	t.Parallel()
	stores := openStores(t)
	if _, err := stores.service(t, Limits{}).Events(context.Background(), admin, meter.EventsQuery{}); err != nil {
		t.Fatal(err)
	}
	s := stores.service(t, Limits{QueryTime: time.Nanosecond})
	ctx, turn, err := s.turn(context.Background(), admin)
	if err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	for given, kind := range map[error]meter.Kind{ctx.Err(): meter.KindUnavailable, meter.Errorf(meter.KindInvalid, "wrong"): meter.KindInvalid} {
		if got := meter.KindOf(turn.Because(ctx, given)); got != kind {
			t.Errorf("%v became %s", given, got)
		}
	}
	turn.Done()
	if s.reads.Taken() != 0 {
		t.Error("a place is held by nobody")
	}
}
