package records

import (
	"context"
	"errors"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/share"
)

// A list ends with the time of queries, in words that say so; so does each
// further one of its request.
func TestQueryTime(t *testing.T) {
	t.Parallel()
	w := openStores(t).service(t, Limits{})
	w.reads = share.NewReads(1, time.Minute, time.Nanosecond)
	reporter := admin
	reporter.Role = "report"
	ctx, release := share.HoldTurn(context.Background())
	for range 2 {
		if _, err := w.RecordGroups(ctx, reporter, billing.RecordGroupFilter{}, 0, 10); meter.KindOf(err) != meter.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	release()
	if w.reads.Taken() != 0 {
		t.Error("a place is held by nobody")
	}
}
