package cloudevents

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

func quoted(n int) string { return `"` + strings.Repeat("x", n) + `"` }

func attributes(n int, name, value string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"%s%d":%s`, name, i, value)
	}
	return strings.Join(parts, ",")
}

// TestLimits has each limit of one event at its value, then one past it.
func TestLimits(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	nested := func(depth int) string {
		return strings.Repeat(`{"a":`, depth-1) + `{"b":1}` + strings.Repeat("}", depth-1)
	}
	for _, c := range []struct {
		name   string
		limit  int
		event  func(n int) string
		reason string
	}{
		{"id", lim.IDBytes, func(n int) string { return event("id", quoted(n)) }, "id is longer than 256 bytes"},
		{"source", lim.SourceBytes, func(n int) string { return event("source", quoted(n)) }, "source is longer than 512 bytes"},
		{"type", lim.TypeBytes, func(n int) string { return event("type", quoted(n)) }, "type is longer than 512 bytes"},
		{"subject", lim.SubjectBytes, func(n int) string { return event("subject", quoted(n)) }, "subject is longer than 512 bytes"},
		{"attributes", lim.Attributes, func(n int) string { return event("data", "{"+attributes(n, "a", "1")+"}") }, "data has more than 128 attributes"},
		{"nested attributes", lim.Attributes, func(n int) string { return event("data", `{"o":{`+attributes(n-1, "a", "[]")+`},"e":{}}`) }, "data has more than 128 attributes"},
		{"extensions", lim.Attributes, func(n int) string { return event()[:1] + attributes(n, "x", "1") + "," + event()[1:] }, "more than 128 extension attributes"},
		{"name", lim.NameBytes, func(n int) string { return event("data", "{"+quoted(n)+":1}") }, "an attribute's name is longer than 256 bytes"},
		{"name in an array", lim.NameBytes, func(n int) string { return event("data", `{"a":[{`+quoted(n)+":1}]}") }, "an attribute's name is longer than 256 bytes"},
		{"extension's name", lim.NameBytes, func(n int) string { return event(strings.Repeat("x", n), "1") }, "an attribute's name is longer than 256 bytes"},
		{"text", lim.StringBytes, func(n int) string { return event("data", `{"a":`+quoted(n)+"}") }, `attribute "a" is longer than 32768 bytes`},
		{"array", lim.JSONBytes, func(n int) string { return event("data", `{"a":[`+quoted(n-4)+"]}") }, `attribute "a": an array is longer than 32768 bytes`},
		{"depth", lim.Depth, func(n int) string { return event("data", nested(n)) }, "data is nested more than 16 levels deep"},
		{"depth of an empty object", lim.Depth, func(n int) string { return event("data", strings.Replace(nested(n), `"b":1`, "", 1)) }, "data is nested more than 16 levels deep"},
		{"depth of arrays", lim.Depth, func(n int) string {
			return event("data", `{"a":`+strings.Repeat("[", n-1)+strings.Repeat("]", n-1)+"}")
		}, "data is nested more than 16 levels deep"},
		{"depth of objects in arrays", lim.Depth, func(n int) string {
			return event("data", `{"a":[`+nested(n-2)+"]}")
		}, "data is nested more than 16 levels deep"},
		{"future", int(lim.FutureAge), func(n int) string {
			return event("time", testNow.Add(time.Duration(n)).Format(`"`+time.RFC3339Nano+`"`))
		}, "ahead of the server's clock"},
		{"past", int(lim.PastAge), func(n int) string {
			return event("time", testNow.Add(-time.Duration(n)).Format(`"`+time.RFC3339Nano+`"`))
		}, "days in the past"},
	} {
		if rows := decode(t, c.event(c.limit), Single); rows.N != 1 {
			t.Errorf("%s at its limit: %+v", c.name, rows.Requests[0].Rejections)
		}
		rows := decode(t, c.event(c.limit+1), Single)
		if x := rows.Requests[0].Rejections; rows.N != 0 || !strings.Contains(x[0].Reason, c.reason) {
			t.Errorf("%s past its limit: %d rows, %+v", c.name, rows.N, x)
		}
	}
}

func TestEventsPerRequestLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{DefaultLimits().EventsPerRequest, DefaultLimits().EventsPerRequest + 1} {
		events := make([]string, n)
		for i := range events {
			events[i] = event("id", fmt.Sprintf(`"%d"`, i))
		}
		events[1] = `{"rejected":"ones count too"}`
		for mode, body := range map[Mode]string{Batch: "[" + strings.Join(events, ",") + "]", NDJSON: strings.Join(events, "\n") + "\n\n"} {
			rows, err := tryDecode(body, mode, Limits{})
			if n == DefaultLimits().EventsPerRequest {
				if err != nil || rows.N != n-1 {
					t.Errorf("mode %d at the limit: %v", mode, err)
				}
			} else if meter.KindOf(err) != meter.KindTooLarge || !strings.Contains(err.Error(), "20000") {
				t.Errorf("mode %d past the limit: %v", mode, err)
			}
		}
	}
}

func TestEventsPerRequestIsBoundedByTheBlock(t *testing.T) {
	t.Parallel()
	if got := (Limits{EventsPerRequest: 1 << 30}).withDefaults().EventsPerRequest; got != block.MaxRows {
		t.Errorf("%d", got)
	}
}

// TestTooManyNames: names add up over a request, so they bound the request.
func TestTooManyNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{block.MaxColumns, block.MaxColumns + 1} {
		var events []string
		for at := 0; at < n; at += 64 {
			events = append(events, event("data", "{"+attributes(min(64, n-at), fmt.Sprint("a", at, "_"), "1")+"}"))
		}
		rows, err := tryDecode("["+strings.Join(events, ",")+"]", Batch, Limits{})
		if n == block.MaxColumns {
			if err != nil || len(rows.Columns) != n {
				t.Errorf("at the limit: %v", err)
			}
		} else if meter.KindOf(err) != meter.KindTooLarge {
			t.Errorf("past the limit: %v", err)
		}
	}
}

// TestKeysAreForgotten bounds what one decoder learns.
func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	d := &decoder{}
	for i := range 200 {
		b := block.NewBuilder(testKey, "acme", "")
		d.reset([]byte(event("data", "{"+attributes(100, fmt.Sprint("a", i, "_"), "1")+"}")), testNow, DefaultLimits(), b)
		if err := d.single(); err != nil {
			t.Fatal(err)
		}
		if rows := b.Rows(); rows.N != 1 || len(rows.Columns) != 100 {
			t.Fatalf("%+v", rows.Requests[0].Rejections)
		}
		if d.shape.nodes > maxNodes+200 {
			t.Fatalf("%d keys are remembered", d.shape.nodes)
		}
	}
}

func TestNestingOfTheBody(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return event("data", strings.Repeat("[", n)+strings.Repeat("]", n)) }
	if rows := decode(t, "["+deep(maxNesting-1)+"]", Batch); rows.N != 0 {
		t.Error("a deep event is accepted")
	}
	if _, err := tryDecode("["+deep(maxNesting)+"]", Batch, Limits{}); meter.KindOf(err) != meter.KindInvalid {
		t.Errorf("too deep to read: %v", err)
	}
	if rows := decode(t, deep(maxNesting), NDJSON); rows.N != 0 {
		t.Error("a deep line is accepted")
	}
}
