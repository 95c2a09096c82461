package ledger

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// Pages that are read while events arrive and checkpoints end show every
// customer that was there before the first of them, once and in order.
func TestPagesBesideEvents(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{CheckpointEvents: 300}})
	createMeters(t, l, "default", []meter.Meter{{Key: "requests", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"customer", "service"}}})
	n := 0
	add := func() {
		events := make([]testEvent, 20)
		for i := range events {
			n++
			events[i] = testEvent{id: fmt.Sprint(n), subject: fmt.Sprintf("c%04d", n*7919%10_000), at: testStart, data: map[string]any{"service": fmt.Sprint("s", n%50)}}
		}
		if _, err := l.Append(context.Background(), stage(t, l, "default", events)); err != nil {
			t.Error(err)
		}
	}
	for range 50 {
		add()
	}
	const before = 1000
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				add()
			}
		}
	})
	defer group.Wait()
	defer close(ended)
	for range 2 {
		q := meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart.AddDate(0, 0, -1), To: testStart.AddDate(0, 0, 1), GroupBy: []string{"customer"}, Limit: 70}
		seen, last := map[string]bool{}, ""
		for {
			u := ask(t, l, q)
			for _, r := range u.Rows {
				if r.Group[0] <= last {
					t.Fatalf("%q after %q", r.Group[0], last)
				}
				last = r.Group[0]
				seen[last] = true
			}
			if q.Cursor = u.NextCursor; q.Cursor == "" {
				break
			}
		}
		for i := 1; i <= before; i++ {
			if c := fmt.Sprintf("c%04d", i*7919%10_000); !seen[c] {
				t.Fatalf("customer %s is on no page", c)
			}
		}
	}
}
