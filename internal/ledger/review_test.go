package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// Zero rows count against the limit of rows, too: windows times groups.
func TestFilledRowsAreBounded(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{UsageWindows: 28}})
	createMeters(t, l, "default", testMeters())
	appendAll(t, l, "default", sampleEvents(14, "a")) // 7 customers
	q := meter.UsageQuery{Organization: "default", Meter: "largest", From: testStart, To: testStart.Add(4 * time.Hour), Window: meter.WindowHour, GroupBy: []string{"customer"}, FillZero: true}
	if u, err := l.Usage(context.Background(), q); err != nil || len(u.Rows) != 28 {
		t.Errorf("at the limit: %d rows, %v", len(u.Rows), err)
	}
	q.To = testStart.Add(5 * time.Hour)
	if _, err := l.Usage(context.Background(), q); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("past the limit: %v", err)
	}
}

// as_of takes any instant, also those that nanoseconds since 1970 cannot say.
func TestAsOfAnyInstant(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters())
	appendAll(t, l, "default", sampleEvents(10, "a"))
	for at, want := range map[time.Time]string{
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC): "10",
		time.Unix(0, 0): "0",
		time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC): "0",
	} {
		q := meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour), AsOf: at}
		if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != want {
			t.Errorf("as of %s: %+v %v, want %s", at, u, err, want)
		}
	}
}

// What is folded between the layout of the windows and the view of the answer
// must be in the answer: it names the sequence that it reflects.
func TestQuestionOutOfDate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters())
	read := func(qu *question) (error, error) {
		_, _, _, cells := l.readCells(ctx, qu)
		_, _, events := l.scanUsage(ctx, qu)
		return cells, events
	}
	for i, key := range []string{"requests", "p95"} {
		q := meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: testStart.Add(48 * time.Hour), Window: meter.WindowHour}
		for n, at := range []time.Duration{0, time.Minute, 5 * time.Hour, 30 * time.Minute} {
			qu, err := l.question(q)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, l, "default", []testEvent{{id: fmt.Sprint(key, n), subject: "c", at: testStart.Add(at), data: map[string]any{"bytes": 1}}})
			moved := i == 0 && n%2 == 0
			if cells, events := read(qu); (cells == errMoved) != moved || (events == errMoved) != moved {
				t.Errorf("%s, event %d: %v, %v", key, n, cells, events)
			}
		}
	}
	qu, err := l.question(meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteMeter(ctx, "default", "requests", "test"); err != nil {
		t.Fatal(err)
	}
	if cells, events := read(qu); cells != errMoved || events != errMoved {
		t.Errorf("a deleted meter: %v, %v", cells, events)
	}
	if _, err := l.Usage(ctx, qu.q); meter.KindOf(err) != meter.KindNotFound {
		t.Errorf("a deleted meter: %v", err)
	}
}

// A damaged block holds up the backfill of its own organization only.
func TestBackfillBesideDamage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{CompactRows: -1}})
	for i := range 20 {
		for _, org := range []string{"default", "other"} {
			appendAll(t, l, org, sampleEvents(10, fmt.Sprint(org, i)))
		}
	}
	flipBody(t, storeOf(l), fixedtest.Rand(t), firstBlock(t, l, "default"))
	createMeters(t, l, "default", testMeters()[:1])
	createMeters(t, l, "other", testMeters()[:1])
	waitFor(t, func() bool { m, _ := l.Meter("other", "requests"); return m.Backfill.Done })
	if m, _ := l.Meter("default", "requests"); m.Backfill.Done {
		t.Error("a backfill passed over a damaged block")
	}
	if _, err := l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)}); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("usage over the damaged block: %v", err)
	}
}

// A backfill that meets many new texts writes checkpoints between, so that
// they do not gather in memory.
func TestBackfillOfManyTextsCheckpoints(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart)
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Clock: clock.Now, Limits: Limits{CheckpointEvents: 100}})
	const blocks = 20
	for i := range blocks {
		events := sampleEvents(60, fmt.Sprint(i))
		for j := range events {
			events[j].data["session"] = fmt.Sprintf("s-%d-%d", i, j)
		}
		appendAll(t, l, "default", events)
	}
	before := l.Stats().Checkpoints
	createMeters(t, l, "default", []meter.Meter{{Key: "sessions", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "session"}})
	waitFor(t, func() bool { m, _ := l.Meter("default", "sessions"); return m.Backfill.Done })
	if got, want := l.Stats().Checkpoints-before, uint64(blocks*60/(2*100)-1); got < want {
		t.Errorf("%d checkpoints during the backfill of %d texts, want at least %d", got, blocks*60, want)
	}
	if total, source := usageTotal(t, l, "default", "sessions", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(blocks*60) || source != "cells" {
		t.Errorf("%s from %s", total, source)
	}
}

// A void may name events of many more blocks than are held in memory.
func TestVoidAcrossManyBlocks(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{BlockCacheEntries: 1}})
	createMeters(t, l, "default", testMeters())
	var ids []string
	for i := range 20 {
		appendAll(t, l, "default", sampleEvents(10, fmt.Sprint(i)))
		ids = append(ids, fmt.Sprintf("%d-9", i), fmt.Sprintf("%d-8", i))
	}
	if r := voidIDs(t, l, ids...); r.Voided != 40 {
		t.Fatalf("%+v", r)
	}
	for key, want := range map[string]string{"requests": "160", "bytes": "560", "largest": "7"} {
		if got, _ := usageTotal(t, l, "default", key, testStart, testStart.Add(time.Hour)); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
	verifyClean(t, l)
}

// Decoded blocks are held up to a number and up to a size.
func TestDecodedBlocksAreBounded(t *testing.T) {
	t.Parallel()
	const most = 300_000
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{CacheBytes: most}})
	for i := range 20 {
		appendAll(t, l, "default", sampleEvents(500, fmt.Sprint(i)))
	}
	if _, err := l.Events(context.Background(), meter.EventsQuery{Organization: "default", Type: "none"}); err != nil {
		t.Fatal(err)
	}
	c := &l.blocks
	var sum int64
	for _, r := range c.rows {
		sum += rowsBytes(r)
	}
	if c.bytes != sum || sum > most || len(c.rows) < 2 || len(c.rows) != len(c.order) {
		t.Errorf("%d blocks of %d bytes are held, counted as %d (limit %d)", len(c.rows), sum, c.bytes, most)
	}
}

// Lookup lists the first conflicts, stored and new ones together.
func TestConflictsOfOneIdentityAreBounded(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	for i := range 150 {
		appendAll(t, l, "default", []testEvent{{id: "one", at: testStart, data: map[string]any{"bytes": i}}})
		if i == 80 {
			if err := l.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := l.Lookup(context.Background(), "default", "test", "one")
	if err != nil || len(r.Conflicts) != maxConflictsListed {
		t.Fatalf("%d conflicts, %v", len(r.Conflicts), err)
	}
	for i, c := range r.Conflicts {
		if want := fmt.Sprintf(`{"bytes":%d}`, i+1); string(c.Data) != want {
			t.Errorf("conflict %d is %s, want %s", i, c.Data, want)
		}
	}
}

// foldAgain makes the next Open fold the whole log.
func foldAgain(t *testing.T, fs vfs.FS) {
	t.Helper()
	for _, dir := range []string{stateFolder, runFolder} {
		if err := fs.RemoveAll("data/" + dir); err != nil {
			t.Fatal(err)
		}
	}
}

// An Open that fails or is given up while it folds the log leaves nothing
// behind that still uses it.
func TestOpenFailsWhileFolding(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	o := Options{Dir: "data", FS: fs, Limits: Limits{CompactRows: -1, CheckpointEvents: 20}}
	l := openTest(t, o)
	for i := range 60 {
		appendAll(t, l, "default", sampleEvents(10, fmt.Sprint(i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	foldAgain(t, fs)
	local, err := log.Open(fs, "data/"+logFolder, storeWatch{l}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := local.Header(29)
	if err == nil {
		err = engineOf(local).Set(logKey(30, logHeader), raw, pebble.Sync)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Close(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := Open(context.Background(), o); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("opened with a broken chain: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Open(ctx, o); err == nil {
			t.Fatal("opened after having been given up")
		}
		foldAgain(t, fs)
	}
}

// A state beside the log of another ledger is refused, also when both end at
// the same sequence.
func TestStateOfAnotherLog(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	for _, dir := range []string{"data", "else"} {
		l := openTest(t, Options{Dir: dir, FS: fs})
		appendAll(t, l, "default", sampleEvents(10, dir))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.RemoveAll("data/" + logFolder); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("else/"+logFolder, "data/"+logFolder); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(context.Background(), Options{Dir: "data", FS: fs}); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("opened: %v", err)
		_ = l.Close()
	}
}

// A question that is given up does not go on through the cells.
func TestUsageGivenUp(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters())
	events := sampleEvents(2000, "a")
	for i := range events {
		events[i].subject = fmt.Sprint("c", i)
	}
	appendAll(t, l, "default", events)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q := meter.UsageQuery{Organization: "default", Meter: "largest", From: testStart, To: testStart.Add(time.Hour), GroupBy: []string{"customer"}}
	for _, when := range []string{"folded", "stored"} {
		if _, err := l.Usage(ctx, q); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", when, err)
		}
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
}

// The list of folded headers must not keep the rows and bodies of their blocks.
func TestFoldedHeadersAreApart(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	err := l.onFold(func() error {
		it := &foldItem{header: block.Header{Sequence: l.active.applied, Org: "default", Accepted: testStart}}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.noteBlock(l.org("default"), it)
		if last := len(l.active.headers) - 1; l.active.headers[last].header == &it.header {
			t.Error("the header is a part of the item")
		}
		l.active.headers = nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is asked of a closed ledger is refused.
func TestAskedAfterClose(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	createMeters(t, l, "default", testMeters())
	appendAll(t, l, "default", sampleEvents(10, "a"))
	late := stage(t, l, "default", sampleEvents(1, "late"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"append": func() error { _, err := l.Append(ctx, late); return err },
		"void": func() error {
			_, err := l.Void(ctx, "default", []meter.Identity{{Source: "test", ID: "a-1"}}, "", "")
			return err
		},
		"usage": func() error {
			_, err := l.Usage(ctx, meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)})
			return err
		},
		"events": func() error { _, err := l.Events(ctx, meter.EventsQuery{Organization: "default"}); return err },
		"lookup": func() error { _, err := l.Lookup(ctx, "default", "test", "a-1"); return err },
		"verify": func() error { _, err := verify.Run(ctx, l, verify.Options{}); return err },
		"backup": func() error { _, err := l.Backup(ctx, "copy"); return err },
	} {
		if err := ask(); meter.KindOf(err) != meter.KindUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
