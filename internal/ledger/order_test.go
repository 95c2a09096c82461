package ledger

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// chunksByText returns the stored cells of all meters with the texts of their
// groups instead of numbers, which depend on the order of arrival.
func chunksByText(t *testing.T, l *Ledger, org string) map[string]string {
	t.Helper()
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range l.peekOrg(org).meters {
		for _, projection := range m.Projections() {
			s := cell.Scope{Layout: m.Layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
			err := s.Chunks(l.state, func(group []uint64, slot int32, st *cell.State) error {
				var texts []string
				for _, id := range group {
					text, err := l.texts.text(id)
					if err != nil {
						return err
					}
					texts = append(texts, text)
				}
				if st.Count != 0 || !st.Sum.IsZero() {
					out[fmt.Sprintf("%s/%d %q %d", m.record.Meter.Key, projection.ID, texts, slot)] = cellText(l, st)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// cellText is what a cell holds, with the texts of its set.
func cellText(l *Ledger, st *cell.State) string {
	var values []string
	if st.Set != nil {
		for id := range st.Set.All {
			text, err := l.texts.text(id)
			values = append(values, fmt.Sprint(text, err))
		}
		slices.Sort(values)
	}
	return fmt.Sprint(st.Count, st.Sum, st.Value, st.Source, st.ID, values)
}

// The same events in other batches, in another order and repeated, with
// meters before or after them, give the same cells.
func TestSplitPermutedAndRepeatedBatches(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var events []meter.Event
	for i := range 400 {
		e := randomEvent(r, meter.Identity{Source: pick(r, "s", "t"), ID: fmt.Sprint(i)})
		if e.Untimed { // theirs would be when they arrive
			e.Time, e.Untimed = randomTime(r), false
		}
		events = append(events, e)
	}
	var meters []meter.Meter
	for i := range 10 {
		meters = append(meters, randomMeter(r, fmt.Sprint("m", i)))
	}
	run := func(order []meter.Event, batch int, metersAt int) map[string]string {
		l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{CheckpointEvents: pick(r, 50, 1000), CellBytes: pick(r, int64(1<<16), 0)}})
		for n := 0; n < len(order); n += batch {
			if n <= metersAt && metersAt < n+batch {
				createMeters(t, l, "default", meters)
			}
			req := &simRequest{org: "default", atomic: chance(r, 10)}
			for i := n; i < min(n+batch, len(order)); i++ {
				req.items = append(req.items, simItem{event: &order[i]})
			}
			if _, err := l.Append(context.Background(), stageRequest(t, l, req)); err != nil {
				t.Fatal(err)
			}
		}
		waitBackfilled(t, l)
		verifyClean(t, l)
		return chunksByText(t, l, "default")
	}
	want := run(events, 400, 0)
	for _, batch := range []int{1, 17, 250} {
		order := slices.Clone(events)
		for range 1 + batch/17 {
			order = append(order, events[r.IntN(len(events)):]...) // resent
		}
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		got := run(order, batch, r.IntN(len(order)))
		if len(got) != len(want) {
			t.Errorf("batches of %d: %d cells, want %d", batch, len(got), len(want))
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("batches of %d: cell %s is %s, want %s", batch, k, got[k], v)
			}
		}
	}
}

// Sums at the edge of what a quantity holds are exact in every order, also
// where a part of the sum does not fit 128 bits.
func TestSumsAtTheEdgeInEveryOrder(t *testing.T) {
	t.Parallel()
	most := mustQuantity(t, "99999999999999999999999999.999999999999")
	values := []meter.Quantity{most, most, most.Neg(), mustQuantity(t, "0.000000000001")}
	want := most.Decimal().Add(mustQuantity(t, "0.000000000001").Decimal()).String()
	n := 0
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	permute(len(values), func(order []int) {
		n++
		org := fmt.Sprint("org", n)
		createMeters(t, l, org, testMeters()[1:2])
		for i, at := range order {
			appendAll(t, l, org, []testEvent{{id: fmt.Sprint(at), at: testStart, data: map[string]any{"bytes": values[at]}}})
			if i == n%4 {
				if err := l.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, by := range [][]string{nil, {"customer"}, {"subject"}} {
			u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: org, Meter: "bytes", From: testStart, To: testStart.Add(time.Hour), GroupBy: by})
			if err != nil || u.Total.String() != want || len(u.Rows) != 1 || u.Rows[0].Value.String() != want {
				t.Fatalf("in order %v: %+v %v, want %s", order, u, err, want)
			}
		}
	})
	if n != 24 {
		t.Fatalf("%d orders", n)
	}
	// Many of the largest: 2000 of them do not fit 128 bits.
	createMeters(t, l, "default", testMeters()[1:2])
	var events []testEvent
	for i := range 2000 {
		events = append(events, testEvent{id: fmt.Sprint(i), at: testStart, data: map[string]any{"bytes": most}})
	}
	appendAll(t, l, "default", events)
	if total, _ := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(time.Hour)); total != "199999999999999999999999999999.999999998" {
		t.Fatalf("total %s", total)
	}
	verifyClean(t, l)
}

// permute calls fn with every order of n things.
func permute(n int, fn func(order []int)) {
	var next func(done, left []int)
	next = func(done, left []int) {
		if len(left) == 0 {
			fn(done)
		}
		for i := range left {
			rest := slices.Concat(left[:i], left[i+1:])
			next(append(slices.Clone(done), left[i]), rest)
		}
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	next(nil, all)
}

// Every event is sent twice, in random order, with many small checkpoints and
// merges of identity runs: each counts once. ODOMETER_SIM_LONG=1 sends 10 M.
func TestShuffledResend(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	n, o := 20_000, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{CheckpointEvents: 1000}}
	if long() {
		n, o = 10_000_000, Options{}
	}
	l := openTest(t, o)
	createMeters(t, l, "default", testMeters()[:2])
	const batch = 500
	send := func(at []int) (accepted, duplicates int) {
		for len(at) > 0 {
			k := min(batch, len(at))
			var events []testEvent
			for _, i := range at[:k] {
				events = append(events, testEvent{id: fmt.Sprintf("e%08d", i), at: testStart.Add(time.Duration(i%3600) * time.Second), data: map[string]any{"bytes": i}})
			}
			res := appendAll(t, l, "default", events)
			accepted, duplicates = accepted+res.Accepted, duplicates+res.Duplicates
			at = at[k:]
		}
		return accepted, duplicates
	}
	if a, d := send(rand.New(rand.NewPCG(r.Uint64(), 0)).Perm(n)); a != n || d != 0 {
		t.Fatalf("%d accepted, %d duplicates", a, d)
	}
	if a, d := send(r.Perm(n)); a != 0 || d != n {
		t.Fatalf("sent again: %d accepted, %d duplicates", a, d)
	}
	if total, _ := usageTotal(t, l, "default", "bytes", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(n*(n-1)/2) {
		t.Fatalf("total %s", total)
	}
}
