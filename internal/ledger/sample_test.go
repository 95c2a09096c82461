package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"odometer/internal/meter"
)

// TestSampleIsBounded looks at as many of the latest blocks as fit, at least one,
// before a checkpoint and after.
func TestSampleIsBounded(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Clock: func() time.Time { return testStart.AddDate(0, 1, 0) }})
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for block := range 5 {
		var events []testEvent
		for i := range 10 {
			events = append(events, testEvent{id: fmt.Sprintf("%d-%d", block, i), subject: fmt.Sprint("c", i%2), at: at.Add(time.Duration(block) * time.Hour)})
		}
		appendAll(t, l, "default", events)
	}
	ctx := context.Background()
	c1 := "c1"
	for range 2 {
		for _, c := range []struct {
			most             int
			bytes            int64
			customer         *string
			events           int
			complete, newest bool
		}{
			{50, 1 << 20, nil, 50, true, false}, {49, 1 << 20, nil, 40, false, true}, {20, 1 << 20, nil, 20, false, true},
			{1, 1 << 20, nil, 10, false, true}, {50, 1, nil, 10, false, true}, {20, 1 << 20, &c1, 10, false, true},
		} {
			s, err := l.Sample(ctx, SampleQuery{Organization: "default", Meter: meter.Meter{EventType: "edge.request", Aggregation: meter.AggCount}, Customer: c.customer, MostEvents: c.most, MostBytes: c.bytes})
			if err != nil || s.Events != c.events || s.Complete != c.complete || s.Counted != c.events || c.newest && !s.To.Equal(at.Add(4*time.Hour)) {
				t.Errorf("%+v: %+v %v", c, s, err)
			}
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := l.Sample(ctx, SampleQuery{Organization: "other", MostEvents: 1, MostBytes: 1}); err != nil || s.Events != 0 || !s.Complete {
		t.Errorf("%+v %v", s, err)
	}
}
