package ledger

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// A group and a distinct value have at most meter.MaxGroupBytes; an event with a
// longer one is skipped by the meters that take it, and by no other.
func TestGroupTextLimit(t *testing.T) {
	t.Parallel()
	most, over := strings.Repeat("g", meter.MaxGroupBytes), strings.Repeat("é", meter.MaxGroupBytes/2)+"x"
	meters := []meter.Meter{
		{Key: "by-region", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "region"}},
		{Key: "largest", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes", GroupBy: []string{"region"}},
		{Key: "regions", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "region", GroupBy: []string{"customer"}},
		{Key: "plain", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"customer"}},
	}
	events := []testEvent{
		{id: "at", subject: "acme", at: testStart, data: map[string]any{"region": most, "bytes": 1}},
		{id: "over", subject: "acme", at: testStart.Add(time.Minute), data: map[string]any{"region": over, "bytes": 20}},
		{id: "none", subject: "acme", at: testStart.Add(2 * time.Minute), data: map[string]any{"bytes": 300}},
		{id: "nested", subject: "acme", at: testStart.Add(3 * time.Minute), data: map[string]any{"region": 7, "bytes": 4000}},
	}
	for _, backfilled := range []bool{false, true} {
		l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
		if !backfilled {
			createMeters(t, l, "default", meters)
		}
		if r := appendAll(t, l, "default", events); r.Accepted != len(events) {
			t.Fatalf("%+v: every event is accepted, whatever meters make of it", r)
		}
		if backfilled {
			createMeters(t, l, "default", meters)
			waitBackfilled(t, l)
		}
		for key, want := range map[string]struct {
			total   string
			skipped uint64
		}{"by-region": {"4301", 1}, "largest": {"4000", 1}, "regions": {"2", 2}, "plain": {"4", 0}} {
			m, _ := l.Meter("default", key)
			if total, _ := usageTotal(t, l, "default", key, testStart, testStart.Add(time.Hour)); total != want.total || m.Skipped != want.skipped {
				t.Errorf("meter %s: total %s with %d skipped, want %s with %d (backfilled %v)", key, total, m.Skipped, want.total, want.skipped, backfilled)
			}
		}
		for _, q := range []meter.UsageQuery{{Meter: "by-region"}, {Meter: "by-region", GroupBy: []string{"region"}}, {Meter: "largest", GroupBy: []string{"region"}},
			{Meter: "regions", GroupBy: []string{"customer"}}, {Meter: "plain", GroupBy: []string{"customer"}, Window: "hour"}} {
			compareWithScan(t, l, q)
		}
		found, err := l.Lookup(context.Background(), "default", "test", "over")
		if err != nil || len(found.Counted) != 1 || len(found.Skipped) != 3 {
			t.Fatalf("lookup: %+v %v", found, err)
		}
		for _, s := range found.Skipped {
			if want := fmt.Sprintf("attribute region has a text of %d bytes; a group or a distinct value has at most %d", meter.MaxGroupBytes+1, meter.MaxGroupBytes); s.Reason != want {
				t.Errorf("skipped by %s: %q, want %q", s.Meter, s.Reason, want)
			}
		}
		verifyClean(t, l)
	}
}

// A question that groups by an attribute of its own finds every event: texts
// that are too long are groups under their digests, and can be filtered by.
func TestLongTextsOfAQuestion(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	createMeters(t, l, "default", []meter.Meter{{Key: "n", EventType: "edge.request", Aggregation: meter.AggCount}})
	long := strings.Repeat("é", 16<<10)
	var events []testEvent
	for i, path := range []string{long + "a", long + "b", long + "a", "/", strings.Repeat("x", meter.MaxGroupBytes)} {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart, data: map[string]any{"path": path}})
	}
	appendAll(t, l, "default", events)
	q := meter.UsageQuery{Organization: "default", Meter: "n", From: testStart, To: testStart.Add(time.Hour), GroupBy: []string{"path"}}
	u, err := l.Usage(context.Background(), q)
	if err != nil || len(u.Rows) != 4 || u.Total.String() != "5" {
		t.Fatalf("by path: %+v %v", u, err)
	}
	for _, r := range u.Rows {
		if n := len(r.Group[0]); n > meter.MaxGroupBytes {
			t.Errorf("a group of %d bytes", n)
		}
	}
	q.Filters = []meter.AttrFilter{{Attribute: "path", Values: []string{long + "a"}}}
	if u, err = l.Usage(context.Background(), q); err != nil || len(u.Rows) != 1 || u.Total.String() != "2" || !strings.HasPrefix(u.Rows[0].Group[0], strings.Repeat("é", 32)+"… sha256:") {
		t.Fatalf("of one long path: %+v %v", u, err)
	}
}

// No customer is the customer "" to a meter's filters, as it is in groups and queries.
func TestFilterOfNoCustomer(t *testing.T) {
	t.Parallel()
	is := func(op meter.Op, v string) [][]meter.Filter {
		return [][]meter.Filter{{{Attribute: "customer", Op: op, Value: meter.StringValue(v)}}}
	}
	meters := []meter.Meter{
		{Key: "none", EventType: "edge.request", Aggregation: meter.AggCount, Filters: is(meter.OpIs, "")},
		{Key: "some", EventType: "edge.request", Aggregation: meter.AggCount, Filters: is(meter.OpNotIs, "")},
		{Key: "not-acme", EventType: "edge.request", Aggregation: meter.AggCount, Filters: is(meter.OpNotIs, "acme")},
		{Key: "absent", EventType: "edge.request", Aggregation: meter.AggCount, Filters: [][]meter.Filter{{{Attribute: "customer", Op: meter.OpNotExists}}}},
	}
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	createMeters(t, l, "default", meters)
	appendAll(t, l, "default", []testEvent{{id: "a", subject: "acme", at: testStart}, {id: "b", at: testStart}, {id: "c", at: testStart}})
	for key, want := range map[string]string{"none": "2", "some": "1", "not-acme": "2", "absent": "2"} {
		compareWithScan(t, l, meter.UsageQuery{Meter: key})
		if total, _ := usageTotal(t, l, "default", key, testStart, testStart.Add(time.Hour)); total != want {
			t.Errorf("meter %s counts %s, want %s", key, total, want)
		}
	}
	verifyClean(t, l)
}
