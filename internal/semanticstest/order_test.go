package semanticstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// orderMeters has every aggregation, with few and with many groups.
var orderMeters = []string{
	`{"key":"count","event_type":"request","aggregation":"COUNT","group_by":["customer","region"]}`,
	`{"key":"sum","event_type":"request","aggregation":"SUM","value":"q","group_by":["region"],"filters":[[{"attribute":"q","op":"LT","value":50}]]}`,
	`{"key":"min","event_type":"request","aggregation":"MIN","value":"q","group_by":["customer"]}`,
	`{"key":"max","event_type":"request","aggregation":"MAX","value":"q"}`,
	`{"key":"avg","event_type":"request","aggregation":"AVG","value":"q","group_by":["customer"]}`,
	`{"key":"unique","event_type":"request","aggregation":"UNIQUE_COUNT","value":"user","group_by":["region"]}`,
	`{"key":"last","event_type":"request","aggregation":"LAST","value":"q","group_by":["customer"]}`,
	`{"key":"p95","event_type":"request","aggregation":"PERCENTILE","value":"q","group_by":["customer","region"],"rate":true}`,
	`{"key":"peak","event_type":"request","aggregation":"PEAK","value":"q","sample":"15m"}`,
}

func orderEvents(r *rand.Rand, n int) []string {
	events := make([]string, n)
	for i := range events {
		// Few instants, so that LAST has ties; quantities of all sizes.
		at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(500)) * 173 * time.Second)
		events[i] = fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"s%d","type":"request","time":%q,"subject":"c%d","data":{"q":%d.%d,"region":"r%d","user":"u%d"}}`,
			i, r.IntN(3), at.Format(time.RFC3339), r.IntN(4), r.IntN(200)-50, r.IntN(1000), r.IntN(3), r.IntN(20))
	}
	return events
}

// TestOrderChangesNoTotal: the same events in another order, in other batches,
// some of them sent several times, with meters defined before, between or
// after them and restarts, give the same figures.
func TestOrderChangesNoTotal(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	events := orderEvents(r, 1500)
	var want []meter.Usage
	for round := range 5 {
		w := newWorld(t)
		order := slices.Clone(events)
		meters := slices.Clone(orderMeters)
		if round > 0 {
			for range r.IntN(len(events)) {
				order = append(order, events[r.IntN(len(events))])
			}
			r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			r.Shuffle(len(meters), func(i, j int) { meters[i], meters[j] = meters[j], meters[i] })
		}
		accepted := 0
		for len(order) > 0 || len(meters) > 0 {
			if len(meters) > 0 && (round == 0 || len(order) == 0 || r.IntN(3) == 0) {
				if err := w.createMeter(arguments{}, part{input: meters[:1]}); err != nil {
					t.Fatal(err)
				}
				meters = meters[1:]
				continue
			}
			n := 1 + r.IntN(min(len(order), 400))
			got, err := w.decode("["+strings.Join(order[:n], ",")+"]", cloudevents.Batch, false)
			if err != nil || got.Accepted+got.Duplicates != n {
				t.Fatalf("%+v, %v", got, err)
			}
			accepted += got.Accepted
			order = order[n:]
			if round > 0 && r.IntN(6) == 0 {
				w.reopen()
			}
		}
		if accepted != len(events) {
			t.Fatalf("accepted %d of %d events", accepted, len(events))
		}
		got := orderAnswers(t, w)
		if round == 0 {
			want = got
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("round %d differs:\n%+v\nwant\n%+v", round, got, want)
		}
		w.verify()
	}
}

// orderAnswers asks every meter in several ways.
func orderAnswers(t *testing.T, w *world) []meter.Usage {
	t.Helper()
	if err := w.awaitBackfill(arguments{}, part{}); err != nil {
		t.Fatal(err)
	}
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	var out []meter.Usage
	for _, key := range []string{"count", "sum", "min", "max", "avg", "unique", "last", "p95", "peak"} {
		for _, window := range []meter.Window{"", meter.WindowHour, meter.WindowDay} {
			for _, group := range [][]string{nil, {"customer"}, {"region"}} {
				u, err := w.ledger.Usage(context.Background(), meter.UsageQuery{Organization: w.org, Meter: key, GroupBy: group, Window: window, Location: kolkata,
					From: w.time("2026-11-20T03:07:00Z"), To: w.time("2026-11-21T00:00:01Z")})
				if err != nil {
					t.Fatal(err)
				}
				u.Sequence = 0 // of the log, which differs
				out = append(out, *u)
			}
		}
	}
	return out
}
