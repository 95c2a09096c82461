package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// A page of events is bounded in bytes as well as in number, has one event at
// least, and no event is left out between two pages.
func TestEventsPageBytes(t *testing.T) {
	t.Parallel()
	const most = 20_000
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{PageBytes: most}})
	var events []testEvent
	for i := range 60 {
		size := 1000
		if i%10 == 0 {
			size = 30_000 // more than a page by itself
		}
		events = append(events, testEvent{id: fmt.Sprintf("%02d", i), at: testStart, data: map[string]any{"text": strings.Repeat("x", size)}})
	}
	appendAll(t, l, "default", events)
	var ids []string
	q := meter.EventsQuery{Organization: "default", Limit: 1000}
	pages := 0
	for {
		page, err := l.Events(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for i := range page.Events {
			bytes += recordBytes(&page.Events[i])
			ids = append(ids, page.Events[i].ID)
		}
		if bytes > most && len(page.Events) != 1 {
			t.Errorf("a page of %d events has %d bytes, the limit is %d", len(page.Events), bytes, most)
		}
		pages++
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			break
		}
	}
	if len(ids) != len(events) || !slices.IsSorted(ids) || pages < 10 {
		t.Fatalf("%d of %d events on %d pages: %q", len(ids), len(events), pages, ids)
	}
	if n := l.reads.Used(); n != 0 {
		t.Errorf("%d bytes are held by no query", n)
	}
}

// Pages of usage are bounded in bytes too, a question for all rows has them in one answer.
func TestUsagePageBytes(t *testing.T) {
	t.Parallel()
	const most = 16 << 10
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{PageBytes: most, UsageRows: 100}})
	createMeters(t, l, "default", []meter.Meter{{Key: "n", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"service"}}})
	var events []testEvent
	for i := range 500 {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart, data: map[string]any{"service": fmt.Sprintf("%0*d", 1+i%500, i), "path": fmt.Sprintf("%0*d", 1+2*i, i)}})
	}
	appendAll(t, l, "default", events)
	for _, by := range []string{"service", "path"} { // from cells, and from the events
		q := meter.UsageQuery{Organization: "default", Meter: "n", From: testStart, To: testStart.Add(time.Hour), GroupBy: []string{by}}
		q.All = true
		all, err := l.Usage(context.Background(), q)
		if err != nil || len(all.Rows) != len(events) || all.NextCursor != "" {
			t.Fatalf("all rows by %s: %d %v", by, len(all.Rows), err)
		}
		q.All = false
		var paged []meter.UsageRow
		for {
			u, err := l.Usage(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			var bytes int64
			for i := range u.Rows {
				bytes += rowBytes(&u.Rows[i])
			}
			if bytes > most || len(u.Rows) > 100 || len(u.Rows) == 0 {
				t.Errorf("a page of %d rows has %d bytes", len(u.Rows), bytes)
			}
			paged = append(paged, u.Rows...)
			if q.Cursor = u.NextCursor; q.Cursor == "" {
				break
			}
		}
		if fmt.Sprint(paged) != fmt.Sprint(all.Rows) {
			t.Errorf("by %s the pages together are not all rows: %d, %d", by, len(paged), len(all.Rows))
		}
	}
}

// All queries at work share Limits.ReadBytes: one that is too large by itself is
// told so, one that others leave no room for may try again, and all is given back.
func TestReadBytes(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{ReadBytes: 256 << 10}})
	createMeters(t, l, "default", []meter.Meter{
		{Key: "n", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"service"}},
		{Key: "p95", EventType: "edge.request", Aggregation: meter.AggPercentile, Value: "bytes", GroupBy: []string{"service"}}})
	var events []testEvent
	for i := range 400 {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart.Add(time.Duration(i) * time.Minute),
			data: map[string]any{"service": fmt.Sprintf("%0400d", i), "path": fmt.Sprintf("%0400d", i), "bytes": i}})
	}
	for part := range slices.Chunk(events, 50) {
		appendAll(t, l, "default", part)
	}
	ask := func(key string, by ...string) error {
		_, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: testStart.Add(24 * time.Hour), GroupBy: by})
		return err
	}
	if err := ask("n"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ meter, by string }{{"n", "service"}, {"n", "path"}, {"p95", "service"}} {
		if err := ask(c.meter, c.by); meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), "196608 bytes of memory") {
			t.Errorf("%s by %s: %v", c.meter, c.by, err)
		}
	}
	other, another := l.newReading("other"), l.newReading("other")
	if err := other.grow(150 << 10); err != nil {
		t.Fatal(err)
	}
	if err := another.grow(42<<10 + 1); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("one past the share of an organization: %v", err)
	}
	if err := another.grow(42 << 10); err != nil {
		t.Errorf("at the share of an organization: %v", err)
	}
	if err := ask("n"); err != nil {
		t.Errorf("beside an organization that has its share: %v", err)
	}
	third := l.newReading("third")
	if err := third.grow(63 << 10); err != nil {
		t.Fatal(err)
	}
	if err := ask("p95"); meter.KindOf(err) != meter.KindOverloaded {
		t.Errorf("beside a large query: %v", err)
	}
	other.release()
	another.release()
	third.release()
	if err := ask("n"); err != nil || l.reads.Used() != 0 {
		t.Errorf("afterwards: %v, %d bytes held", err, l.reads.Used())
	}
}
