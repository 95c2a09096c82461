package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// appendAsync appends one event and counts how it went.
type asyncAppends struct {
	t                    *testing.T
	l                    *Ledger
	wg                   sync.WaitGroup
	accepted, overloaded atomic.Int64
}

func (a *asyncAppends) send(name string, n int) {
	b := stage(a.t, a.l, "default", sampleEvents(n, name))
	a.wg.Go(func() {
		r, err := a.l.Append(context.Background(), b)
		switch {
		case err == nil && r.Accepted == n:
			a.accepted.Add(int64(n))
		case meter.KindOf(err) == meter.KindOverloaded:
			if e := err.(*meter.Error); e.RetryAfter <= 0 {
				a.t.Errorf("no word on when to retry: %v", err)
			}
			a.overloaded.Add(1)
		default:
			a.t.Errorf("append: %+v %v", r, err)
		}
	})
}

// At Limits.BytesInFlight and BlocksInFlight requests wait; one past is
// refused before anything is stored, and accepted once the fold goes on.
func TestInFlightLimits(t *testing.T) {
	t.Parallel()
	const small = 128 + 256 // of a request of one event
	for name, lim := range map[string]Limits{
		"bytes":  {BytesInFlight: 10 * small, BlocksInFlight: 1000},
		"blocks": {BlocksInFlight: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most := int64(10)
			if name == "blocks" {
				most = 64
			}
			l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: lim})
			createMeters(t, l, "default", testMeters()[:1])
			release := stallFold(t, l)
			a := &asyncAppends{t: t, l: l}
			for i := range int(most) {
				a.send(fmt.Sprint(i), 1)
			}
			waitFor(t, func() bool { return l.Stats().Waiting == int(most) })
			for i := range 3 {
				a.send(fmt.Sprint("past", i), 1)
			}
			waitFor(t, func() bool { return a.overloaded.Load() == 3 })
			if _, err := l.CreateMeter(context.Background(), "default", testMeters()[1], "x"); meter.KindOf(err) != meter.KindOverloaded {
				t.Errorf("a definition past the limit: %v", err)
			}
			// The first request of another organization is let in; its second is one past.
			others := make(chan error, 1)
			go func() {
				_, err := l.CreateMeter(context.Background(), "other", testMeters()[0], "x")
				others <- err
			}()
			waitFor(t, func() bool { return l.Stats().Waiting == int(most)+1 })
			if _, err := l.CreateMeter(context.Background(), "other", testMeters()[1], "x"); meter.KindOf(err) != meter.KindOverloaded {
				t.Errorf("another organization's second: %v", err)
			}
			release()
			if err := <-others; err != nil {
				t.Errorf("another organization beside the flood: %v", err)
			}
			a.wg.Wait()
			if a.accepted.Load() != most || l.Stats().Waiting != 0 || l.Stats().WaitingBytes != 0 {
				t.Fatalf("%d accepted, %+v", a.accepted.Load(), l.Stats())
			}
			a.send("past0", 1)
			// One request larger than all that may wait still gets its turn.
			a.wg.Wait()
			a.send("large", 2000)
			a.wg.Wait()
			if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(most+1+2000) {
				t.Fatalf("total %s", total)
			}
		})
	}
}

// A fold that is slow makes requests wait, then be refused; what waits stays
// bounded, and all that was accepted is counted.
func TestSlowFoldKeepsMemoryBounded(t *testing.T) {
	t.Parallel()
	lim := Limits{BytesInFlight: 64 << 10, BlocksInFlight: 4, CheckpointEvents: 2000}
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: lim})
	createMeters(t, l, "default", testMeters())
	a := &asyncAppends{t: t, l: l}
	sent := 0
	for a.overloaded.Load() < 50 {
		release := stallFold(t, l)
		for range 40 {
			sent++
			a.send(fmt.Sprint("r", sent), 20)
			if s := l.Stats(); s.WaitingBytes > lim.BytesInFlight || s.Waiting > lim.BlocksInFlight*64 {
				t.Fatalf("%d bytes in %d requests wait", s.WaitingBytes, s.Waiting)
			}
		}
		waitFor(t, func() bool { return l.Stats().Waiting > 0 })
		release()
	}
	a.wg.Wait()
	if got := a.accepted.Load()/20 + a.overloaded.Load(); got != int64(sent) {
		t.Fatalf("%d answers for %d requests", got, sent)
	}
	if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(a.accepted.Load()) {
		t.Fatalf("total %s, accepted %d", total, a.accepted.Load())
	}
	verifyClean(t, l)
}

// Below Limits.MinFreeDisk nothing is accepted and reading goes on.
func TestMinFreeDisk(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs, Limits: Limits{MinFreeDisk: 1000}})
	createMeters(t, l, "default", testMeters()[:1])
	appendAll(t, l, "default", sampleEvents(10, "a"))
	free := func(n uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 5000, UsedBytes: 5000 - n})
		l.checkDisk()
	}
	free(1000)
	if r := appendAll(t, l, "default", sampleEvents(11, "a")); r.Accepted != 1 {
		t.Fatalf("at the floor: %+v", r)
	}
	free(999)
	ctx := context.Background()
	if _, err := l.Append(ctx, stage(t, l, "default", sampleEvents(1, "b"))); meter.KindOf(err) != meter.KindStorageFull {
		t.Errorf("append below the floor: %v", err)
	}
	if _, err := l.CreateMeter(ctx, "default", testMeters()[1], "x"); meter.KindOf(err) != meter.KindStorageFull {
		t.Errorf("a definition below the floor: %v", err)
	}
	if !l.Stats().DiskLow {
		t.Error("Stats does not say so")
	}
	if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != "11" {
		t.Errorf("total %s", total)
	}
	if _, err := l.Lookup(ctx, "default", "test", "a-3"); err != nil {
		t.Error(err)
	}
	free(1000)
	if r := appendAll(t, l, "default", sampleEvents(1, "b")); r.Accepted != 1 {
		t.Errorf("with room again: %+v", r)
	}
}

func TestErrorsPerAnswer(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{ErrorsPerAnswer: 5}})
	events := sampleEvents(6, "a")
	appendAll(t, l, "default", events)
	for i := range events {
		events[i].data["bytes"] = -1
	}
	for n, truncated := range map[int]int{5: 0, 6: 1} {
		r := appendAll(t, l, "default", events[:n])
		if r.Conflicts != n || len(r.Errors) != 5 || r.Truncated != truncated {
			t.Errorf("%d conflicts: %d listed, %d not, counted %d", n, len(r.Errors), r.Truncated, r.Conflicts)
		}
		for i, e := range r.Errors {
			if e.Index != i || e.ID != events[i].id || e.Verdict != meter.Conflict || !strings.Contains(e.Text(), fmt.Sprintf("data.bytes was %d, now -1", i)) {
				t.Errorf("error %d: %+v", i, e)
			}
		}
	}
}

func TestMetersPerOrganization(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{MetersPerOrg: 3}})
	ms := testMeters()
	createMeters(t, l, "default", ms[:3])
	if _, err := l.CreateMeter(context.Background(), "default", ms[3], "x"); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("one past the limit: %v", err)
	}
	createMeters(t, l, "default", ms[:3]) // the same again is none more
	createMeters(t, l, "other", ms[:3])
	if err := l.DeleteMeter(context.Background(), "default", ms[0].Key, "x"); err != nil {
		t.Fatal(err)
	}
	createMeters(t, l, "default", ms[3:4])
}

// What one question may span and hold.
func TestUsageLimits(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{UsageWindows: 24, UsageGroups: 7, UsageRows: 50}})
	createMeters(t, l, "default", testMeters()[:1])
	events := sampleEvents(14, "a")
	for i := range events {
		events[i].at = testStart.Add(time.Duration(i) * 2 * time.Hour)
	}
	appendAll(t, l, "default", events)
	q := meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(24 * time.Hour)}
	ask := func(change func(q *meter.UsageQuery)) error {
		c := q
		change(&c)
		_, err := l.Usage(context.Background(), c)
		if _, err2 := l.usageOfEvents(c); meter.KindOf(err) != meter.KindOf(err2) {
			t.Errorf("cells say %v, events %v", err, err2)
		}
		return err
	}
	attributes := func(n int) []meter.AttrFilter {
		var out []meter.AttrFilter
		for i := range n {
			out = append(out, meter.AttrFilter{Attribute: fmt.Sprint("a", i), Values: []string{""}})
		}
		return out
	}
	for name, c := range map[string]struct{ at, past func(q *meter.UsageQuery) }{
		"windows": {func(q *meter.UsageQuery) { q.Window, q.FillZero = meter.WindowHour, true },
			func(q *meter.UsageQuery) { q.Window, q.FillZero, q.To = meter.WindowHour, true, q.To.Add(time.Hour) }},
		"groups": {func(q *meter.UsageQuery) { q.GroupBy = []string{"customer"} }, func(q *meter.UsageQuery) { q.GroupBy = []string{"customer", "region"} }},
		"rows":   {func(q *meter.UsageQuery) { q.Limit = 50 }, func(q *meter.UsageQuery) { q.Limit = 51 }},
		"attributes": {func(q *meter.UsageQuery) { q.Filters = attributes(maxUsageAttributes) },
			func(q *meter.UsageQuery) { q.Filters = attributes(maxUsageAttributes + 1) }},
		"time": {func(q *meter.UsageQuery) { q.From, q.To = minTime, maxTime }, func(q *meter.UsageQuery) { q.To = maxTime.Add(1) }},
	} {
		if err := ask(c.at); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if err := ask(c.past); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%s past the limit: %v", name, err)
		}
	}
}

func TestEventsPageLimit(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{EventsPage: 10}})
	appendAll(t, l, "default", sampleEvents(21, "a"))
	if _, err := l.Events(context.Background(), meter.EventsQuery{Organization: "default", Limit: 11}); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("past the limit: %v", err)
	}
	var sizes []int
	q := meter.EventsQuery{Organization: "default", Limit: 10}
	for {
		p, err := l.Events(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(p.Events))
		if q.Cursor = p.NextCursor; q.Cursor == "" {
			break
		}
	}
	if !slices.Equal(sizes, []int{10, 10, 1}) {
		t.Errorf("pages of %v", sizes)
	}
}

// Rejections are kept with what was sent up to the quota, then only counted.
func TestKeptRejections(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{KeptRejections: 5}})
	reject := func(n int) meter.Result {
		b := stage(t, l, "default", nil)
		for i := range n {
			b.Reject(fmt.Sprint("r", i), "s", "bad", []byte("raw"))
		}
		r, err := l.Append(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	kept := func() int {
		p, err := l.Events(context.Background(), meter.EventsQuery{Organization: "default", Limit: 1000, Verdict: ptr(meter.Rejected)})
		if err != nil {
			t.Fatal(err)
		}
		return len(p.Events)
	}
	for i, step := range []struct{ send, kept, total int }{{2, 2, 2}, {3, 5, 5}, {1, 5, 6}, {4, 5, 10}} {
		if r := reject(step.send); r.Rejected != step.send || len(r.Errors) != step.send {
			t.Errorf("step %d: %+v", i, r)
		}
		if s := l.Stats().Organizations[0]; kept() != step.kept || s.KeptRejections != uint64(step.kept) || s.Rejected != uint64(step.total) {
			t.Errorf("step %d: %d listed, %+v", i, kept(), s)
		}
	}
	verifyClean(t, l)
}

func TestMaxVoids(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	appendAll(t, l, "default", sampleEvents(3, "a"))
	ids := make([]meter.Identity, MaxVoids+1)
	for i := range ids {
		ids[i] = meter.Identity{Source: "test", ID: fmt.Sprintf("a-%d", i)}
	}
	if r, err := l.Void(context.Background(), "default", ids[:MaxVoids], "x", ""); err != nil || r.Voided != 3 || len(r.Rejected) != MaxVoids-3 {
		t.Errorf("%d identities: %d voided, %d rejected, %v", MaxVoids, r.Voided, len(r.Rejected), err)
	}
	for _, n := range []int{0, MaxVoids + 1} {
		if _, err := l.Void(context.Background(), "default", ids[:n], "x", ""); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%d identities: %v", n, err)
		}
	}
}

// The definitions of an organization's meters are bounded in bytes, and a void in
// what it changes: the limit, and one past it.
func TestMeterBytesAndVoidCounts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	define := func(key string) meter.Meter {
		return meter.Meter{Key: key, EventType: "edge.request", Aggregation: meter.AggCount}
	}
	one := newMeterState("default", state.MeterRecord{Meter: define("a").Normalize()}).bytes
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{MeterBytes: 2 * one, VoidCounts: 4}})
	createMeters(t, l, "default", []meter.Meter{define("a"), define("b")})
	if _, err := l.CreateMeter(ctx, "default", define("c"), "test"); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("one definition past the limit: %v", err)
	}
	if _, err := l.CreateMeter(ctx, "other", define("c"), "test"); err != nil {
		t.Errorf("another organization: %v", err)
	}
	var events []testEvent
	var ids []meter.Identity
	for i := range 3 {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart})
		ids = append(ids, meter.Identity{Source: "test", ID: fmt.Sprint(i)})
	}
	appendAll(t, l, "default", events)
	if _, err := l.Void(ctx, "default", ids, "test", ""); meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), "at most 2") {
		t.Errorf("three events of two meters: %v", err)
	}
	if r, err := l.Void(ctx, "default", ids[:2], "test", ""); err != nil || r.Voided != 2 {
		t.Errorf("two events of two meters: %+v %v", r, err)
	}
}
