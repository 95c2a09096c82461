package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func voidIDs(t *testing.T, l *Ledger, ids ...string) meter.VoidResult {
	t.Helper()
	var list []meter.Identity
	for _, id := range ids {
		list = append(list, meter.Identity{Source: "test", ID: id})
	}
	r, err := l.Void(context.Background(), "default", list, "anna", "sent twice by mistake")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A void takes events out of every figure from then on, and only from then on.
func TestVoid(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart)
	fs := vfs.NewMem()
	l := openTest(t, Options{Dir: "data", FS: fs, Clock: clock.Now})
	meters := append(testMeters(), meter.Meter{Key: "smallest", EventType: "edge.request", Aggregation: meter.AggMin, Value: "bytes"},
		meter.Meter{Key: "mean", EventType: "edge.request", Aggregation: meter.AggAvg, Value: "bytes"})
	createMeters(t, l, "default", meters)
	events := sampleEvents(20, "a")
	appendAll(t, l, "default", events)
	before := clock.Now()
	clock.Advance(time.Hour)
	if r := voidIDs(t, l, "a-19", "a-0", "nobody", "a-19"); r.Voided != 2 || r.Duplicates != 1 || len(r.Rejected) != 1 || r.Rejected[0].Index != 2 || r.Rejected[0].ID != "nobody" || r.Rejected[0].Reason == "" {
		t.Fatalf("%+v", r)
	}
	clock.Advance(time.Hour)
	want := map[string]string{"requests": "18", "bytes": "171", "largest": "18", "smallest": "1", "latest": "18", "services": "13", "mean": "9.5"}
	was := map[string]string{"requests": "20", "bytes": "190", "largest": "19", "smallest": "0", "latest": "19", "services": "13", "mean": "9.5"}
	check := func(when string) {
		t.Helper()
		for key := range want {
			q := meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: testStart.Add(time.Hour)}
			if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != want[key] {
				t.Errorf("%s: %s is %v %v, want %s", when, key, u, err, want[key])
			}
			for _, at := range []time.Time{before, before.Add(time.Hour - 1)} {
				q.AsOf = at
				if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != was[key] || u.Source != "events" {
					t.Errorf("%s: %s as of %s is %v %v, want %s", when, key, at, u, err, was[key])
				}
			}
			q.AsOf = before.Add(time.Hour)
			if u, err := l.Usage(context.Background(), q); err != nil || u.Total.String() != want[key] {
				t.Errorf("%s: %s as of the void is %v %v, want %s", when, key, u, err, want[key])
			}
			q.AsOf = before.Add(-1)
			if u, err := l.Usage(context.Background(), q); err != nil || len(u.Rows) != 0 {
				t.Errorf("%s: %s as of before the events is %v %v", when, key, u, err)
			}
		}
		if r := appendAll(t, l, "default", events); r.Duplicates != 20 {
			t.Errorf("%s: a resend gave %+v", when, r)
		}
		if r := voidIDs(t, l, "a-0"); r.Duplicates != 1 || r.Voided != 0 {
			t.Errorf("%s: a second void gave %+v", when, r)
		}
		rec, err := l.Lookup(context.Background(), "default", "test", "a-0")
		if v := rec.Event.Voided; err != nil || v == nil || v.Actor != "anna" || v.Reason != "sent twice by mistake" || !v.At.Equal(before.Add(time.Hour)) || len(rec.Counted) != 0 {
			t.Errorf("%s: lookup of a voided event: %+v %v", when, rec, err)
		}
		verifyClean(t, l)
	}
	check("at once")
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	check("after a checkpoint")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: "data", FS: fs, Clock: clock.Now})
	check("after a restart")
	changed := slices.Clone(events[:1])
	changed[0].data = map[string]any{"bytes": 7}
	if r := appendAll(t, l, "default", changed); r.Conflicts != 1 {
		t.Errorf("another content under a voided identity: %+v", r)
	}
	voidTheRest(t, l, events, want)
}

// voidTheRest voids all events, two of which are voided already: no window of any group is left.
func voidTheRest(t *testing.T, l *Ledger, events []testEvent, meters map[string]string) {
	t.Helper()
	var all []string
	for _, e := range events {
		all = append(all, e.id)
	}
	if r := voidIDs(t, l, all...); r.Voided != 18 || r.Duplicates != 2 {
		t.Fatalf("%+v", r)
	}
	for key := range meters {
		u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: testStart.Add(time.Hour), Window: meter.Window15m})
		if err != nil || len(u.Rows) != 0 {
			t.Errorf("%s with everything voided: %+v %v", key, u, err)
		}
	}
	verifyClean(t, l)
}

// An event voided and then counted by no one may be voided while a meter made
// later is on its way through the log: behind its cursor, ahead of it, and
// before its definition. Restarts and crashes come between.
func TestVoidsAroundABackfill(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var behind, ahead atomic.Int64
	for _, m := range testMeters() {
		t.Run(m.Key, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(r.Uint64(), 0))
			t.Parallel()
			b, a := voidAroundBackfill(t, rng, m)
			behind.Add(int64(b))
			ahead.Add(int64(a))
		})
	}
	t.Cleanup(func() { // after the parallel parts
		t.Logf("%d voids behind the cursors, %d ahead of them", behind.Load(), ahead.Load())
		if !t.Failed() && (behind.Load() == 0 || ahead.Load() == 0) {
			t.Error("no void came behind a cursor, or none ahead of one")
		}
	})
}

func voidAroundBackfill(t *testing.T, r *rand.Rand, m meter.Meter) (behind, ahead int) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	lim := Limits{CheckpointEvents: 200, BlockCacheEntries: 4, CompactRows: -1}
	l := openTest(t, Options{Dir: "data", FS: mem, Limits: lim})
	const blocks, each = 120, 6
	model := &simOrg{name: "default", first: map[meter.Identity]*simEvent{}}
	for b := range blocks {
		appendModelled(t, l, model, r, fmt.Sprint("b", b), each)
	}
	void := func() {
		st, _ := l.Meter("default", m.Key)
		e := model.accepted[r.IntN(len(model.accepted))]
		if done := int(st.Backfill.Cursor) * each; done > 0 && done < len(model.accepted) && r.IntN(2) == 0 {
			e = model.accepted[r.IntN(done)] // behind the cursor
		}
		if e.voided != 0 {
			return
		}
		res := voidIDs(t, l, e.ID)
		if res.Voided != 1 {
			t.Fatalf("%+v", res)
		}
		e.voided, e.voidSeq = 1, res.Sequence
		if !st.Backfill.Done && st.Backfill.Target > 0 {
			if e.seq <= st.Backfill.Cursor {
				behind++
			} else {
				ahead++
			}
		}
	}
	for range 15 {
		void() // before the definition
	}
	createMeters(t, l, "default", []meter.Meter{m})
	for i := range 60 {
		void()
		if i%8 == 7 { // let the backfill come on
			from, _ := l.Meter("default", m.Key)
			waitFor(t, func() bool {
				st, _ := l.Meter("default", m.Key)
				return st.Backfill.Done || st.Backfill.Cursor > from.Backfill.Cursor+2
			})
		}
		if i == 20 {
			l = openTest(t, Options{Dir: "data", FS: mem.CrashClone(vfs.CrashCloneCfg{}), Limits: lim})
		}
	}
	check := func() { t.Helper(); checkModelled(t, l, model, m) }
	check()
	waitBackfilled(t, l)
	check()
	void()
	check()
	verifyClean(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return behind, ahead
}

// appendModelled appends n events at random times and tells the model.
func appendModelled(t *testing.T, l *Ledger, model *simOrg, r *rand.Rand, salt string, n int) {
	t.Helper()
	events := sampleEvents(n, salt)
	for i := range events {
		events[i].at = testStart.Add(time.Duration(r.IntN(7200)) * time.Second)
		events[i].data["bytes"] = r.IntN(1000)
	}
	res := appendAll(t, l, "default", events)
	for _, e := range events {
		s := &simEvent{Event: meter.Event{Identity: meter.Identity{Source: "test", ID: e.id}, Type: "edge.request", Subject: e.subject, Customer: e.subject, Time: e.at}, seq: res.Sequence}
		for k, v := range e.data {
			val := meter.Value{}
			switch v := v.(type) {
			case int:
				val = meter.NumberValue(meter.QuantityFromInt64(int64(v)))
			case string:
				val = meter.StringValue(v)
			}
			s.Data = append(s.Data, meter.Attribute{Path: k, Value: val})
		}
		model.accepted, model.first[s.Identity] = append(model.accepted, s), s
	}
}

// checkModelled asks a meter for its hours, whole and by group, and compares with the model.
func checkModelled(t *testing.T, l *Ledger, model *simOrg, m meter.Meter) {
	t.Helper()
	for _, by := range [][]string{nil, m.GroupBy} {
		q := meter.UsageQuery{Organization: "default", Meter: m.Key, From: testStart, To: testStart.Add(2 * time.Hour), Window: meter.WindowHour, GroupBy: by}
		u, err := l.Usage(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		def, _ := l.Meter("default", m.Key)
		want := model.usage(&def.Meter, q, testStart.Add(24*time.Hour))
		if u.Total.Cmp(want.total) != 0 || len(u.Rows) != len(want.rows) {
			t.Fatalf("total %s in %d rows from %s, want %s in %d", u.Total, len(u.Rows), u.Source, want.total, len(want.rows))
		}
		for i, row := range u.Rows {
			if row.Value.Cmp(want.rows[i].Value) != 0 || !slices.Equal(row.Group, want.rows[i].Group) {
				t.Fatalf("row %+v from %s, want %+v", row, u.Source, want.rows[i])
			}
		}
	}
}
