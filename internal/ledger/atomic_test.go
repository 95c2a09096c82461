package ledger

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

func appendAtomic(t *testing.T, l *Ledger, events []testEvent, rejected int) meter.Result {
	t.Helper()
	b := stage(t, l, "default", events)
	for i := range rejected {
		b.Reject(fmt.Sprint("bad", i), "test", "not an event", nil)
	}
	b.SetAtomic(true)
	r, err := l.Append(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted+r.Duplicates+r.Conflicts+r.Rejected != len(events)+rejected {
		t.Fatalf("%+v for %d events", r, len(events)+rejected)
	}
	return r
}

func with(e testEvent, bytes int) testEvent {
	e.data = map[string]any{"bytes": bytes}
	return e
}

// An atomic request counts whole or not at all, and a refused one leaves no
// identity behind, in a block of its own or in one that requests share.
func TestAtomicRequests(t *testing.T) {
	t.Parallel()
	for _, merge := range []int{1, 1000} {
		l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{MergeRows: merge}})
		createMeters(t, l, "default", testMeters())
		e := sampleEvents(6, "a")
		appendAll(t, l, "default", e[:1])
		for name, c := range map[string]struct {
			events   []testEvent
			rejected int
			reason   string
		}{
			"a conflict with what was counted": {[]testEvent{e[1], with(e[0], -5), e[2]}, 0, "data.bytes was 0, now -5"},
			"a conflict within the request":    {[]testEvent{e[1], e[2], with(e[1], -6)}, 0, "the request has this source and id twice"},
			"an event that cannot be read":     {e[1:3], 1, "not an event"},
		} {
			r := appendAtomic(t, l, c.events, c.rejected)
			if r.Accepted != 0 || r.Rejected != 3 || len(r.Errors) != 3 {
				t.Fatalf("%s: %+v", name, r)
			}
			var reasons []string
			for i, x := range r.Errors {
				if x.Index != i || x.Verdict != meter.Rejected {
					t.Errorf("%s: %+v", name, x)
				}
				reasons = append(reasons, x.Text())
			}
			if all := strings.Join(reasons, "\n"); !strings.Contains(all, c.reason) || !strings.Contains(all, "atomic") {
				t.Errorf("%s: %s", name, all)
			}
		}
		if r := appendAtomic(t, l, []testEvent{e[1], e[0], e[2], e[1]}, 0); r.Accepted != 2 || r.Duplicates != 2 {
			t.Fatalf("duplicates do not refuse: %+v", r)
		}
		if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != "3" {
			t.Fatalf("total %s", total)
		}
		verifyClean(t, l)
	}
}

// Each conflict of a refused request names the event that it contradicts.
func TestAtomicConflictsAreExplained(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	e := sampleEvents(4, "a")
	appendAll(t, l, "default", e[3:])
	r := appendAtomic(t, l, []testEvent{e[0], with(e[0], 100), e[1], with(e[1], 101), with(e[3], 103), with(e[0], 104)}, 0)
	twice := "the request has this source and id twice with different content"
	for i, want := range map[int]string{1: twice, 3: twice, 4: "data.bytes was 3, now 103", 5: twice} {
		if !strings.Contains(r.Errors[i].Text(), want) {
			t.Errorf("event %d: %s; want %s", i, r.Errors[i].Text(), want)
		}
	}
}

// The same id twice in one request is one event.
func TestSameIDTwiceInARequest(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem()})
	e := sampleEvents(2, "a")
	r := appendAll(t, l, "default", []testEvent{e[0], e[1], e[0], with(e[1], 7), e[1]})
	if r.Accepted != 2 || r.Duplicates != 2 || r.Conflicts != 1 || r.Errors[0].Index != 3 || !strings.Contains(r.Errors[0].Text(), "data.bytes was 1, now 7") {
		t.Fatalf("%+v", r)
	}
}

// Of requests with the same id at the same time one is accepted; the others
// are duplicates, or conflicts if their content differs. So it stays after a
// conflict found in a sealed run and a restart.
func TestSameIDInConcurrentRequests(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	o := Options{Dir: "data", FS: fs, Limits: Limits{CheckpointEvents: 40}}
	l := openTest(t, o)
	createMeters(t, l, "default", testMeters())
	const rounds, senders = 30, 8
	accepted, duplicates, conflicts := 0, 0, 0
	for round := range rounds {
		results := make([]meter.Result, senders)
		var wg sync.WaitGroup
		for i := range senders {
			e := sampleEvents(3, fmt.Sprint("r", round))
			if i%4 == 3 {
				e[1] = with(e[1], 1000+i)
			}
			b := stage(t, l, "default", e)
			wg.Go(func() {
				var err error
				if results[i], err = l.Append(context.Background(), b); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range results {
			accepted, duplicates, conflicts = accepted+r.Accepted, duplicates+r.Duplicates, conflicts+r.Conflicts
		}
	}
	// Of the second event of each round either form may have come first.
	if accepted != 3*rounds || duplicates+conflicts != 3*rounds*(senders-1) || conflicts < 2*rounds {
		t.Fatalf("%d accepted, %d duplicates, %d conflicts", accepted, duplicates, conflicts)
	}
	for range 2 {
		if total, _ := usageTotal(t, l, "default", "requests", testStart, testStart.Add(time.Hour)); total != fmt.Sprint(3*rounds) {
			t.Fatalf("total %s", total)
		}
		r := appendAll(t, l, "default", []testEvent{with(sampleEvents(1, "r0")[0], 9)})
		if r.Conflicts != 1 || !strings.Contains(r.Errors[0].Text(), "data.bytes was 0, now 9") {
			t.Fatalf("%+v", r)
		}
		verifyClean(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openTest(t, o)
	}
	rec, err := l.Lookup(context.Background(), "default", "test", "r0-0")
	if err != nil || len(rec.Conflicts) != 2 || rec.Event.Verdict != meter.Accepted {
		t.Fatalf("%+v %v", rec, err)
	}
}

// Totals that a reader sees are never below what was acknowledged before it
// asked, across checkpoints, and never above what was sent.
func TestReadersSeeWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{CheckpointEvents: 100}})
	createMeters(t, l, "default", testMeters())
	var mu sync.Mutex
	acked, sent := 0, 0
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			for i := range 40 {
				mu.Lock()
				sent += 10
				mu.Unlock()
				appendAll(t, l, "default", sampleEvents(10, fmt.Sprintf("w%d.%d", w, i)))
				mu.Lock()
				acked += 10
				mu.Unlock()
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, by := range [][]string{nil, {"region"}, {"subject"}} {
					mu.Lock()
					least := acked
					mu.Unlock()
					u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour), GroupBy: by})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					most := sent
					mu.Unlock()
					sum := meter.NewDecimal(0)
					for _, r := range u.Rows {
						sum = sum.Add(r.Value)
					}
					if u.Total.Cmp(meter.NewDecimal(int64(least))) < 0 || u.Total.Cmp(meter.NewDecimal(int64(most))) > 0 || sum.Cmp(u.Total) != 0 {
						t.Errorf("total %s, rows %s from %s by %v; %d acknowledged, %d sent", u.Total, sum, u.Source, by, least, most)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// A sealed answer is made of what was sent: it names neither place nor content
// of what an event conflicts with, in every mode.
func TestSealedAnswers(t *testing.T) {
	t.Parallel()
	for _, merge := range []int{1, 1000} {
		l := openTest(t, Options{Dir: "data", FS: vfs.NewMem(), Limits: Limits{MergeRows: merge}})
		e := sampleEvents(4, "a")
		appendAll(t, l, "default", e[:2])
		for _, atomic := range []bool{false, true} {
			b := stage(t, l, "default", []testEvent{with(e[0], -5), with(e[1], -6), e[2]})
			b.SetAtomic(atomic)
			r, err := l.AppendSealed(context.Background(), b)
			if err != nil || r.Conflicts+r.Rejected < 2 {
				t.Fatalf("%+v %v", r, err)
			}
			for _, x := range r.Errors[:2] {
				if x.Text() != sealedConflict || x.First != (meter.Place{}) || x.Difference != "" {
					t.Errorf("atomic %v: %+v", atomic, x)
				}
			}
		}
	}
}
