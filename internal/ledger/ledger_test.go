package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// testEvent is an event as tests write it.
type testEvent struct {
	id, source, typ, subject string
	at                       time.Time
	data                     map[string]any // string, int, meter.Quantity, bool, nil
}

var testStart = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)

func openTest(t testing.TB, o Options) *Ledger {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Limits.AnswerCells == 0 {
		o.Limits.AnswerCells = 1 // every answer is kept as long as it holds
	}
	if o.Limits.TableBytes == 0 {
		o.Limits.TableBytes = 1 // checkpoints are tables, however little they have
	}
	if o.Fatal == nil {
		o.Fatal = func(m string) { t.Errorf("fatal: %s", m) }
	}
	l, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func stage(t testing.TB, l *Ledger, org string, events []testEvent) *block.Builder {
	t.Helper()
	b := l.Builder(org)
	for _, e := range events {
		b.Begin()
		for k, v := range e.data {
			a := b.Attr([]byte(k))
			switch v := v.(type) {
			case string:
				b.PutString(a, []byte(v))
			case int:
				b.PutNumber(a, meter.QuantityFromInt64(int64(v)))
			case meter.Quantity:
				b.PutNumber(a, v)
			case bool:
				kind := meter.False
				if v {
					kind = meter.True
				}
				b.PutLiteral(a, kind)
			case nil:
				b.PutLiteral(a, meter.Null)
			default:
				t.Fatalf("value %T", v)
			}
		}
		source, typ := e.source, e.typ
		if source == "" {
			source = "test"
		}
		if typ == "" {
			typ = "edge.request"
		}
		env := block.Envelope{Source: []byte(source), ID: []byte(e.id), Type: []byte(typ), Subject: []byte(e.subject), HasSubject: e.subject != "", Time: e.at.UnixNano()}
		if err := b.Commit(&env); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func appendAll(t testing.TB, l *Ledger, org string, events []testEvent) meter.Result {
	t.Helper()
	r, err := l.Append(context.Background(), stage(t, l, org, events))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testMeters() []meter.Meter {
	return []meter.Meter{
		{Key: "requests", EventType: "edge.request", Aggregation: meter.AggCount, GroupBy: []string{"customer", "service", "region"}},
		{Key: "bytes", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"service", "customer", "region"}},
		{Key: "p95", EventType: "edge.request", Aggregation: meter.AggPercentile, Value: "bytes", GroupBy: []string{"customer", "region"}, Rate: true},
		{Key: "largest", EventType: "edge.request", Aggregation: meter.AggMax, Value: "bytes", GroupBy: []string{"customer"}},
		{Key: "latest", EventType: "edge.request", Aggregation: meter.AggLast, Value: "bytes"},
		{Key: "services", EventType: "edge.request", Aggregation: meter.AggUniqueCount, Value: "service", GroupBy: []string{"customer"}},
	}
}

func createMeters(t testing.TB, l *Ledger, org string, ms []meter.Meter) {
	t.Helper()
	for _, m := range ms {
		if _, err := l.CreateMeter(context.Background(), org, m, "test"); err != nil {
			t.Fatal(err)
		}
	}
}

func usageTotal(t *testing.T, l *Ledger, org, key string, from, to time.Time) (string, string) {
	t.Helper()
	u, err := l.Usage(context.Background(), meter.UsageQuery{Organization: org, Meter: key, From: from, To: to})
	if err != nil {
		t.Fatal(err)
	}
	return u.Total.String(), u.Source
}

func sampleEvents(n int, salt string) []testEvent {
	out := make([]testEvent, n)
	for i := range out {
		out[i] = testEvent{id: fmt.Sprintf("%s-%d", salt, i), subject: fmt.Sprintf("cust-%d", i%7), at: testStart.Add(time.Duration(i) * time.Second),
			data: map[string]any{"service": fmt.Sprintf("svc-%d", i%13), "region": fmt.Sprintf("r%d", i%3), "bytes": i}}
	}
	return out
}

// An event is counted when its answer arrives, also after a restart, and its resend is not.
func TestAppendThenRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openTest(t, Options{Dir: dir})
	createMeters(t, l, "default", testMeters())
	events := sampleEvents(1000, "a")
	if r := appendAll(t, l, "default", events); r.Accepted != 1000 || r.Duplicates+r.Conflicts+r.Rejected != 0 {
		t.Fatalf("%+v", r)
	}
	check := func(l *Ledger) {
		t.Helper()
		from, to := testStart, testStart.Add(time.Hour)
		for key, want := range map[string]string{"requests": "1000", "bytes": "499500", "largest": "999", "latest": "999", "services": "13"} {
			if got, source := usageTotal(t, l, "default", key, from, to); got != want || source != "cells" {
				t.Errorf("%s = %s from %s, want %s from cells", key, got, source, want)
			}
		}
		// 999 s of traffic fill 3 samples and part of a fourth; the 95th percentile of 12 is the 12th.
		if got, _ := usageTotal(t, l, "default", "p95", from, to); got != "749.5" {
			t.Errorf("p95 = %s", got)
		}
	}
	check(l)
	if got, source := usageTotal(t, l, "default", "bytes", events[0].at, events[999].at.Add(1)); got != "499500" || source != "cells" {
		t.Errorf("just the events' range: %s from %s", got, source)
	}
	if got, source := usageTotal(t, l, "default", "requests", events[10].at, events[990].at); got != "980" || source != "cells" {
		t.Errorf("a range with ragged edges: %s from %s", got, source)
	}
	if r := appendAll(t, l, "default", events); r.Duplicates != 1000 {
		t.Fatalf("%+v", r)
	}
	events[3].data["bytes"] = 4
	if r := appendAll(t, l, "default", events[3:4]); r.Conflicts != 1 || r.Errors[0].Reason == "" {
		t.Fatalf("%+v", r)
	} else {
		t.Log(r.Errors[0].Reason)
	}
	check(l)
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openTest(t, Options{Dir: dir})
	check(l)
	events[3].data["bytes"] = 3
	if r := appendAll(t, l, "default", events); r.Duplicates != 1000 {
		t.Fatalf("%+v", r)
	}
	check(l)
}
