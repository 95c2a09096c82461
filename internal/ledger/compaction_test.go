package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// stillLog are the limits of a ledger whose small blocks stay until a test merges them.
func stillLog() Limits { return Limits{CompactRows: -1} }

func testCompactor(t testing.TB, l *Ledger, rows int) *log.Compactor {
	t.Helper()
	c, err := l.log.Compactor(rows, func(h *block.Header, err error) { l.noteDamage(h, err) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mergeAll merges what can be merged and returns the runs that the log then has.
func mergeAll(t testing.TB, l *Ledger, c *log.Compactor) int {
	t.Helper()
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		var err error
		if more, err = c.Step(l.checkpointed.Load() - 1); err != nil {
			t.Fatal(err)
		}
	}
	return storedRuns(t, l)
}

// What the log does with small blocks.
const (
	minRunParts = 16   // a run has so many
	smallRows   = 1000 // events of a block that is large
)

// mergedUpTo is the sequence up to which the log has been looked at.
func mergedUpTo(t testing.TB, l *Ledger) uint64 {
	t.Helper()
	v, err := l.log.Meta("compacted")
	if err != nil || len(v) != 8 {
		t.Fatal(v, err)
	}
	return binary.BigEndian.Uint64(v)
}

func storedRuns(t testing.TB, l *Ledger) (n int) {
	t.Helper()
	err := state.Scan(storeOf(l), []byte{'x'}, func(key, _ []byte) error {
		if key[9] == logHeader {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logContent reads every header and body.
func logContent(t testing.TB, r log.Reader) (out [][2][]byte) {
	t.Helper()
	last, _, err := r.Last()
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= last; seq++ {
		h, err := r.Header(seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Body(seq)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, [2][]byte{h, b})
	}
	return out
}

func sameContent(t testing.TB, have, want [][2][]byte) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("the log has %d entries, want %d", len(have), len(want))
	}
	for i := range want {
		if !bytes.Equal(have[i][0], want[i][0]) || !bytes.Equal(have[i][1], want[i][1]) {
			t.Fatalf("entry %d differs", i+1)
		}
	}
}

// fillSmall appends requests of a few events, now and then a large one, for some organizations.
func fillSmall(t *testing.T, l *Ledger, rng *rand.Rand, requests int, next *int) {
	t.Helper()
	for range requests {
		n := 1 + rng.IntN(3)
		if rng.IntN(40) == 0 {
			n = smallRows
		}
		org := "default"
		if rng.IntN(4) == 0 {
			org = fmt.Sprint("org-", rng.IntN(3))
		}
		if _, err := l.Append(context.Background(), stage(t, l, org, randomEvents(rng, n, next))); err != nil {
			t.Fatal(err)
		}
	}
}

// Merging changes nothing that the log returns, nor any answer, also after a restart and in a backup.
func TestMergedBlocksReadTheSame(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	o := Options{FS: vfs.NewMem(), Dir: "/data", Limits: stillLog()}
	l := openTest(t, o)
	createMeters(t, l, "default", voidableMeters())
	next, merged := 0, 0
	for round := range 4 {
		fillSmall(t, l, rng, 120, &next)
		voidRandom(t, l, rng, 5, next)
		want := logContent(t, l.log)
		usage, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart.Add(-96 * time.Hour), To: testStart.Add(time.Hour), Window: "hour", AsOf: l.now()})
		if err != nil {
			t.Fatal(err)
		}
		runs := mergeAll(t, l, testCompactor(t, l, 40+20*round))
		if runs <= merged {
			t.Fatalf("%d runs after round %d, %d before", runs, round, merged)
		}
		merged = runs
		sameContent(t, logContent(t, l.log), want)
		flushDirty(t, l, 50)
		compareMeters(t, l, voidableMeters(), "day")
		verifyClean(t, l)
		again, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart.Add(-96 * time.Hour), To: testStart.Add(time.Hour), Window: "hour", AsOf: l.now()})
		if err != nil || again.Total.Cmp(usage.Total) != 0 {
			t.Fatalf("%s, %v; before the merge %s", again.Total, err, usage.Total)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, o)
		sameContent(t, logContent(t, l.log), want)
	}
	for range 50 {
		if _, err := l.Lookup(context.Background(), "default", "test", fmt.Sprintf("e%d", 1+rng.IntN(next))); err != nil && meter.KindOf(err) != meter.KindNotFound {
			t.Fatal(err)
		}
	}
	want := logContent(t, l.log)
	if _, err := l.Backup(context.Background(), "/backup"); err != nil {
		t.Fatal(err)
	}
	copied := openTest(t, Options{FS: o.FS, Dir: "/backup", Limits: stillLog()})
	sameContent(t, logContent(t, copied.log), want)
	verifyClean(t, copied)
}

// Only cold entries are merged, never the last one, and the cursor outlives a restart.
func TestMergeOnlyColdBlocks(t *testing.T) {
	t.Parallel()
	o := Options{FS: vfs.NewMem(), Dir: "/data", Limits: stillLog()}
	l := openTest(t, o)
	next := 0
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		appendAll(t, l, "default", randomEvents(rng, 1, &next))
	}
	c := testCompactor(t, l, minRunParts)
	if more, err := c.Step(0); more || err != nil || storedRuns(t, l) != 0 {
		t.Fatalf("%v, %v: entries that a replay needs were merged", more, err)
	}
	if n := mergeAll(t, l, c); n != 3 {
		t.Fatalf("%d runs of %d events out of 50", n, minRunParts)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, o)
	c = testCompactor(t, l, minRunParts)
	if n := mergedUpTo(t, l); n != 3*minRunParts {
		t.Errorf("the next start begins after block %d", n)
	}
	// Fewer parts than are worth it: passed over for good.
	appendAll(t, l, "default", randomEvents(rng, smallRows-1, &next))
	appendAll(t, l, "default", randomEvents(rng, smallRows-1, &next))
	if n := mergeAll(t, l, c); n != 3 || mergedUpTo(t, l) <= 3*minRunParts {
		t.Errorf("%d runs up to %d", n, mergedUpTo(t, l))
	}
	verifyClean(t, l)
}

// A crash at any moment leaves each entry once, in its old or its new place.
func TestCrashWhileMerging(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	mem := vfs.NewCrashableMem()
	var clones []*vfs.MemFS
	l := openTest(t, Options{FS: mem, Dir: "/data", Limits: stillLog()})
	next := 0
	fillSmall(t, l, rng, 150, &next)
	want := logContent(t, l.log)
	c := testCompactor(t, l, 30)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		for _, percent := range []int{0, 50, 100} {
			clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
		}
		var err error
		if more, err = c.Step(l.checkpointed.Load() - 1); err != nil {
			t.Fatal(err)
		}
		clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{}))
	}
	runs := map[int]bool{}
	for _, fs := range clones {
		copied := openTest(t, Options{FS: fs, Dir: "/data", Limits: stillLog()})
		runs[storedRuns(t, copied)] = true
		sameContent(t, logContent(t, copied.log), want)
		if err := copied.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(runs) < 3 {
		t.Errorf("the crashes found only %d states of merging", len(runs))
	}
}

// flipMerged changes one bit of a record of the first run, and returns the last of its blocks.
func flipMerged(t *testing.T, db *pebble.DB, rng *rand.Rand, record string) (last uint64) {
	t.Helper()
	var key, value []byte
	err := state.Scan(db, []byte{'x'}, func(k, v []byte) error {
		if key == nil && strings.HasPrefix(string(k[9:]), record) {
			key, value = slices.Clone(k), slices.Clone(v)
		}
		return nil
	})
	if err != nil || key == nil {
		t.Fatal(key, err)
	}
	value[rng.IntN(len(value))] ^= 1 << rng.IntN(8)
	if err := db.Set(key, value, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint64(key[1:])
}

// A flipped bit in a merged block names every block and the organization that
// it affects, and no other organization.
func TestFlippedBitInAMergedBlock(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: stillLog()})
	createMeters(t, l, "default", voidableMeters()[:1])
	next := 0
	for i := range 60 {
		org := "default"
		if i%3 == 2 {
			org = "other"
		}
		appendAll(t, l, org, randomEvents(rng, 1, &next))
	}
	mergeAll(t, l, testCompactor(t, l, 30))
	last := flipMerged(t, storeOf(l), rng, "b\x00\x00")
	r, err := verify.Run(context.Background(), l, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(r.Problems, "\n")
	affected := 0
	for seq := uint64(1); seq <= last; seq++ {
		h, err := l.header(seq)
		if err != nil {
			t.Fatal(err)
		}
		named := strings.Contains(text, fmt.Sprintf("block %d is damaged", seq))
		if named != (h.Org == "default") {
			t.Errorf("block %d of organization %s: named %v", seq, h.Org, named)
		}
		if named {
			affected++
		}
		if _, err := l.log.Body(seq); (meter.KindOf(err) == meter.KindCorrupt) != named {
			t.Errorf("block %d: %v", seq, err)
		} else if named && (!strings.Contains(err.Error(), "organization default") || !strings.Contains(err.Error(), "1-3, 5-6, 8-9")) {
			t.Errorf("the error does not say what is affected: %v", err)
		}
	}
	if affected < 30 || len(l.Damaged()) != affected {
		t.Errorf("%d blocks named, %d noted", affected, len(l.Damaged()))
	}
	if _, err := l.Events(context.Background(), meter.EventsQuery{Organization: "other"}); err != nil {
		t.Errorf("the other organization: %v", err)
	}
	if _, err := l.Events(context.Background(), meter.EventsQuery{Organization: "default"}); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("the damaged organization: %v", err)
	}
	if err := l.log.Checkpoint("/copy"); err != nil { // whose runs nobody has read yet
		t.Fatal(err)
	}
	copied, err := log.Open(l.fs, "/copy", storeWatch{l}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close() }()
	flipMerged(t, engineOf(copied), rng, "h")
	if _, err := copied.Header(3); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a header from a damaged record: %v", err)
	}
}

// A damaged small block is not merged: it stays as it is and is reported, its neighbours are merged.
func TestDamagedBlockIsNotMerged(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: stillLog()})
	next := 0
	rng := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		appendAll(t, l, "default", randomEvents(rng, 1, &next))
	}
	body, err := l.log.Body(7)
	if err != nil {
		t.Fatal(err)
	}
	body[9] ^= 4
	if err := storeOf(l).Set(logKey(7, logBody), body, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if n := mergeAll(t, l, testCompactor(t, l, 20)); n != 2 {
		t.Fatalf("%d runs", n)
	}
	if d := l.Damaged(); len(d) != 1 || d[0].Sequence != 7 {
		t.Errorf("%v", d)
	}
	if back, err := l.log.Body(7); err != nil || !bytes.Equal(back, body) {
		t.Errorf("the damaged block was not left alone: %v", err)
	}
	if _, err := l.log.Body(8); err != nil {
		t.Error(err)
	}
}

// The background merges by itself, beside requests and reads.
func TestCompactLoop(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data", Limits: Limits{CompactRows: 50}})
	createMeters(t, l, "default", voidableMeters())
	next := 0
	rng := rand.New(rand.NewPCG(3, 3))
	fillSmall(t, l, rng, 150, &next)
	waitFor(t, func() bool {
		fillSmall(t, l, rng, 1, &next)
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		return storedRuns(t, l) > 2
	})
	voidRandom(t, l, rng, 20, next)
	compareWithScan(t, l, meter.UsageQuery{Meter: "bytes", Window: "day"})
	verifyClean(t, l)
}

// BenchmarkMergedBlocks measures what 200,000 requests of one event take before
// and after merging, and a scan of them:
//
//	go test ./internal/ledger -run '^$' -bench MergedBlocks -benchtime 1x
func BenchmarkMergedBlocks(b *testing.B) {
	const requests = 200_000
	for range b.N {
		rng := rand.New(rand.NewPCG(1, 1))
		fs := vfs.NewMem()
		l, err := Open(context.Background(), Options{FS: fs, Dir: "/data", Limits: stillLog(), Fatal: func(m string) { b.Error(m) }})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.CreateMeter(context.Background(), "default", meter.Meter{Key: "bytes", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "service", "region"}}, "bench"); err != nil {
			b.Fatal(err)
		}
		for i := range requests {
			if _, err := l.Append(context.Background(), stageEdgeEvent(b, l, rng, i)); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Checkpoint(); err != nil {
			b.Fatal(err)
		}
		measure := func(when string) {
			db := storeOf(l)
			if err := db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
				b.Fatal(err)
			}
			n, err := db.EstimateDiskUsage([]byte{0}, []byte{0xff})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/requests, "bytes/event-"+when)
			start := time.Now()
			u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart.Add(-time.Hour), To: testStart.Add(240 * time.Hour), AsOf: l.now().Add(time.Hour)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), "s/scan-"+when)
			b.Log(when, u.Total, u.Source)
		}
		measure("before")
		start := time.Now()
		runs := mergeAll(b, l, testCompactor(b, l, DefaultLimits().CompactRows))
		b.ReportMetric(time.Since(start).Seconds(), "s/merging")
		b.ReportMetric(float64(runs), "runs")
		measure("after")
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// stageEdgeEvent stages one event of an edge log, with a random UUID.
func stageEdgeEvent(tb testing.TB, l *Ledger, rng *rand.Rand, i int) *block.Builder {
	tb.Helper()
	r := l.Builder("default")
	r.Begin()
	for _, a := range [][2]string{{"service", fmt.Sprint("svc-", rng.IntN(30))}, {"region", fmt.Sprint("eu-", rng.IntN(6))}, {"method", []string{"GET", "POST"}[rng.IntN(2)]}, {"cache", []string{"HIT", "MISS"}[rng.IntN(2)]}} {
		r.PutString(r.Attr([]byte(a[0])), []byte(a[1]))
	}
	r.PutNumber(r.Attr([]byte("bytes")), meter.QuantityFromInt64(int64(rng.IntN(100_000))))
	r.PutNumber(r.Attr([]byte("status")), meter.QuantityFromInt64([]int64{200, 206, 404}[rng.IntN(3)]))
	id := fmt.Appendf(nil, "%08x-%04x-4%03x-8%03x-%012x", rng.Uint32(), rng.Uint32N(1<<16), rng.Uint32N(1<<12), rng.Uint32N(1<<12), rng.Uint64N(1<<48))
	env := block.Envelope{Source: []byte("edge"), ID: id, Type: []byte("edge.request"), Subject: fmt.Appendf(nil, "cust-%d", rng.IntN(200)), HasSubject: true,
		Time: testStart.Add(time.Duration(i) * 37 * time.Millisecond).UnixNano()}
	if err := r.Commit(&env); err != nil {
		tb.Fatal(err)
	}
	return r
}
