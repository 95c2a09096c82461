package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"odometer/internal/meter"
)

// keptWorld is a ledger with one event a day of October and November.
func keptWorld(t *testing.T, lim Limits) (*Ledger, meter.UsageQuery) {
	t.Helper()
	l := openTest(t, Options{Clock: func() time.Time { return testStart.AddDate(0, 1, 0) }, Limits: lim})
	createMeters(t, l, "default", testMeters())
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	for day := range 61 {
		appendAll(t, l, "default", []testEvent{{id: fmt.Sprint("d", day), subject: fmt.Sprint("c", day%2), at: october.AddDate(0, 0, day),
			data: map[string]any{"bytes": 1, "service": "s", "region": "r"}}})
	}
	return l, meter.UsageQuery{Organization: "default", Meter: "bytes", From: october, To: october.AddDate(0, 1, 0), GroupBy: []string{"customer"}}
}

// isKept asks twice whether the answer to a question is kept and holds.
func isKept(t *testing.T, l *Ledger, q meter.UsageQuery) bool {
	t.Helper()
	qu, err := l.question(q)
	if err != nil {
		t.Fatal(err)
	}
	return qu.mayKeep(l.now()) && l.keptAnswer(qu, qu.key()) != nil
}

func ask(t *testing.T, l *Ledger, q meter.UsageQuery) *meter.Usage {
	t.Helper()
	u, err := l.Usage(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// An answer is kept until an entry reaches its months; its sequence goes on.
func TestKeptAnswers(t *testing.T) {
	t.Parallel()
	l, q := keptWorld(t, Limits{})
	add := func(id string, at time.Time) {
		t.Helper()
		appendAll(t, l, "default", []testEvent{{id: id, subject: "c0", at: at, data: map[string]any{"bytes": 1}}})
	}
	for _, key := range []string{"bytes", "requests", "p95", "largest", "services"} {
		q.Meter = key
		before := ask(t, l, q)
		if !isKept(t, l, q) {
			t.Errorf("the answer of %s is not kept", key)
		}
		add("november "+key, q.To)
		if again := ask(t, l, q); !isKept(t, l, q) || again.Sequence != before.Sequence+1 || again.Total.Cmp(before.Total) != 0 || len(again.Rows) != 2 {
			t.Errorf("%s after an event of another month: %+v, before %+v", key, again, before)
		}
	}
	q.Meter = "bytes"
	ask(t, l, q).Rows[0].Value = meter.NewDecimal(999) // the caller's own
	if u := ask(t, l, q); u.Rows[0].Value.String() != "16" {
		t.Errorf("a caller changed what is kept: %+v", u.Rows)
	}
	createMeters(t, l, "default", []meter.Meter{{Key: "other", EventType: "x", Aggregation: meter.AggCount}}) // reaches nothing
	if !isKept(t, l, q) {
		t.Error("another meter ended the answer")
	}
	for _, reach := range []struct {
		name string
		do   func()
	}{
		{"first instant", func() { add("late 1", q.From) }},
		{"last instant", func() { add("late 2", q.To.Add(-1)) }},
		{"void", func() {
			if _, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "late 1"}}, "test", "gone"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		ask(t, l, q)
		if !isKept(t, l, q) {
			t.Fatalf("before %s: not kept", reach.name)
		}
		reach.do()
		if isKept(t, l, q) {
			t.Errorf("%s: the answer is still kept", reach.name)
		}
		compareWithScan(t, l, meter.UsageQuery{Meter: "bytes", GroupBy: []string{"customer"}, Window: "day"})
	}
}

// A question until now is answered again later, with the later end.
func TestKeptAnswersUntilNow(t *testing.T) {
	t.Parallel()
	l, q := keptWorld(t, Limits{})
	q.To = l.now()
	first := ask(t, l, q)
	q.To = q.To.Add(time.Minute)
	if !isKept(t, l, q) {
		t.Error("the answer until a minute before is not kept")
	}
	if u := ask(t, l, q); !u.Rows[0].End.Equal(q.To) || u.Total.Cmp(first.Total) != 0 || !first.Rows[0].End.Equal(q.To.Add(-time.Minute)) {
		t.Errorf("%+v, before %+v", u, first)
	}
	appendAll(t, l, "default", []testEvent{{id: "now", subject: "c0", at: q.To.Add(-time.Second), data: map[string]any{"bytes": 5}}})
	if u := ask(t, l, q); u.Total.String() != "66" {
		t.Errorf("after another event: %+v", u)
	}
	q.To = q.To.Add(-time.Minute) // before that event
	if u := ask(t, l, q); u.Total.String() != "61" {
		t.Errorf("without the last event: %+v", u)
	}
}

// Tables without an entry for some seconds give their memory back and go on counting.
func TestRest(t *testing.T) {
	t.Parallel()
	l, q := keptWorld(t, Limits{})
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	before := l.active.table
	for range restAfter + 2 {
		if err := l.onFold(func() error { l.rest(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if l.spareTable.Load() != nil || l.active.table == before {
		t.Error("the tables of a quiet ledger are kept")
	}
	appendAll(t, l, "default", []testEvent{{id: "later", subject: "c0", at: q.From, data: map[string]any{"bytes": 5}}})
	if u := ask(t, l, q); u.Total.String() != "36" {
		t.Errorf("%+v", u)
	}
}

// What depends on the clock or on another standing of the log is not kept;
// other questions have other answers.
func TestAnswersNotKept(t *testing.T) {
	t.Parallel()
	l, q := keptWorld(t, Limits{})
	for name, change := range map[string]func(q *meter.UsageQuery){
		"samples to come": func(q *meter.UsageQuery) { q.Meter, q.To = "p95", l.now().Add(time.Hour) },
		"as of":           func(q *meter.UsageQuery) { q.AsOf = l.now() },
		"as of sequence":  func(q *meter.UsageQuery) { q.AsOfSequence = l.Stats().Last },
		"from events":     func(q *meter.UsageQuery) { q.GroupBy = []string{"bytes"} },
	} {
		other := q
		change(&other)
		ask(t, l, other)
		if isKept(t, l, other) {
			t.Errorf("%s: kept", name)
		}
	}
	ask(t, l, q)
	customer := "c1"
	for name, change := range map[string]func(q *meter.UsageQuery){
		"from": func(q *meter.UsageQuery) { q.From = q.From.Add(time.Hour) }, "to": func(q *meter.UsageQuery) { q.To = q.To.Add(time.Hour) },
		"meter": func(q *meter.UsageQuery) { q.Meter = "requests" }, "groups": func(q *meter.UsageQuery) { q.GroupBy = nil },
		"filter": func(q *meter.UsageQuery) {
			q.Filters = []meter.AttrFilter{{Attribute: "customer", Values: []string{"c1"}}}
		}, "customer": func(q *meter.UsageQuery) { q.Customer = &customer },
		"window": func(q *meter.UsageQuery) { q.Window = "day" }, "fill": func(q *meter.UsageQuery) { q.FillZero = true }, "limit": func(q *meter.UsageQuery) { q.Limit = 1 },
		"zone": func(q *meter.UsageQuery) { q.Location = time.FixedZone("UTC+1", 3600) },
	} {
		other := q
		change(&other)
		if isKept(t, l, other) {
			t.Errorf("another %s has the same answer", name)
		}
	}
	a, b := q, q
	a.Filters = []meter.AttrFilter{{Attribute: "customer", Values: []string{"c0", "c1"}}, {Attribute: "region", Values: []string{"r"}}}
	b.Filters = []meter.AttrFilter{{Attribute: "region", Values: []string{"r"}}, {Attribute: "customer", Values: []string{"c1", "c0"}}}
	ask(t, l, a)
	if !isKept(t, l, b) {
		t.Error("the order of filters matters")
	}
}

// At the limit of memory the answers stay; one past it the one goes that was not used for longest.
func TestKeptAnswerLimits(t *testing.T) {
	t.Parallel()
	l, q := keptWorld(t, Limits{})
	ask(t, l, q)
	one := l.kept.bytes
	second, third := q, q
	second.From, third.From = q.From.AddDate(0, 0, 1), q.From.AddDate(0, 0, 2)
	l.kept.most = 2 * one
	ask(t, l, second)
	if !isKept(t, l, q) || !isKept(t, l, second) || l.kept.bytes != 2*one {
		t.Errorf("two answers of %d bytes do not fit in %d: %d", one, l.kept.most, l.kept.bytes)
	}
	isKept(t, l, q) // the last used
	ask(t, l, third)
	if !isKept(t, l, q) || isKept(t, l, second) || !isKept(t, l, third) || l.kept.bytes != 2*one || l.kept.used.Len() != 2 {
		t.Errorf("of three answers, %d bytes are kept", l.kept.bytes)
	}
	l.kept.most = one - 1
	fourth := q
	fourth.From = q.From.AddDate(0, 0, 3)
	ask(t, l, fourth)
	if isKept(t, l, fourth) {
		t.Error("an answer larger than the limit is kept")
	}

	l, q = keptWorld(t, Limits{AnswerCells: 31}) // a cell a day
	ask(t, l, q)
	if !isKept(t, l, q) {
		t.Error("an answer of 31 cells is not kept")
	}
	q.To = q.To.AddDate(0, 0, -1)
	ask(t, l, q)
	if isKept(t, l, q) {
		t.Error("an answer of 30 cells is kept")
	}
}

// BenchmarkUsage asks for a month of one customer's 50 services in 6 regions,
// read anew each time or kept.
func BenchmarkUsage(b *testing.B) {
	for name, most := range map[string]int64{"read": 1, "kept": 0} {
		l := openTest(b, Options{Clock: func() time.Time { return testStart.AddDate(0, 1, 0) }, Limits: Limits{AnswerBytes: most}})
		createMeters(b, l, "default", testMeters()[:1])
		october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
		for day := range 31 {
			var events []testEvent
			for i := range 300 {
				events = append(events, testEvent{id: fmt.Sprint(day, "-", i), subject: "acme", at: october.AddDate(0, 0, day).Add(time.Duration(i) * time.Minute),
					data: map[string]any{"service": fmt.Sprint("s", i/6), "region": fmt.Sprint("r", i%6)}})
			}
			appendAll(b, l, "default", events)
		}
		if err := l.Checkpoint(); err != nil {
			b.Fatal(err)
		}
		q := meter.UsageQuery{Organization: "default", Meter: "requests", From: october, To: october.AddDate(0, 1, 0), GroupBy: []string{"service"},
			Filters: []meter.AttrFilter{{Attribute: "customer", Values: []string{"acme"}}}}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if u, err := l.Usage(context.Background(), q); err != nil || len(u.Rows) != 50 {
					b.Fatalf("%+v, %v", u, err)
				}
			}
		})
	}
}
