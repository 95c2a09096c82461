package metering

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// sharedWorld has customers with contracts, of which some are billed for
// others too, and events that name all sorts of things.
type sharedWorld struct {
	*Service
	*rand.Rand
	customers []string
	sent      int
}

func newSharedWorld(t *testing.T) *sharedWorld {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 12, 5, 0, 0, 0, 0, time.UTC) }
	w := &sharedWorld{Service: openStoresAt(t, clock).service(t, Limits{}), Rand: fixedtest.Rand(t)}
	var text strings.Builder
	text.WriteString("meters:\n")
	for i, of := range []string{"COUNT", "SUM", "MIN", "MAX", "AVG", "LAST", "UNIQUE_COUNT", "PEAK, rate: true, sample: 1h", "PERCENTILE, sample: 6h", "PERCENTILE, rate: true, percentile: 40, sample: 24h"} {
		value := ", value: v"
		if of == "COUNT" {
			value = ""
		}
		by := "customer, contract, service, region, product"
		if w.IntN(3) == 0 {
			by = "region"
		}
		fmt.Fprintf(&text, "  - {key: m%d, event_type: e, aggregation: %s%s, group_by: [%s]}\n", i, of, value, by)
	}
	text.WriteString("products: [{id: p, usage_types: [{name: u, meter: m0}]}]\ncustomers:\n")
	for i := range 40 {
		id := fmt.Sprintf("c%02d", i)
		w.customers = append(w.customers, id)
		more := ""
		if i%7 == 3 {
			more = fmt.Sprintf(", customers: [c%02d, c%02d]", i-1, (i+5)%40)
		}
		fmt.Fprintf(&text, "  - {id: %s, contracts: [{id: k%02d, starts: 2026-01-01, terms: [{products: [p]}]%s}]}\n", id, i, more)
	}
	if _, err := w.Apply(context.Background(), admin, []byte(text.String()), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// pick is one of several texts.
func (w *sharedWorld) pick(texts ...string) string { return texts[w.IntN(len(texts))] }

func (w *sharedWorld) send(t *testing.T, events int) {
	t.Helper()
	var lines []string
	for range events {
		w.sent++
		customer := w.IntN(len(w.customers) + 2)
		data := map[string]any{"v": json.Number(fmt.Sprintf("%d.%d", w.IntN(40)-10, w.IntN(10)))}
		for name, texts := range map[string][]string{
			"contract": {"", "", fmt.Sprintf("k%02d", customer), fmt.Sprintf("k%02d", customer), "k01", strings.Repeat("k", 2000)},
			"service":  {"", "s1", "s2", "7"}, "region": {"", "eu", "na"}, "product": {"", "p", "other"},
		} {
			if text := w.pick(texts...); text != "" {
				data[name] = text
			}
		}
		text, err := json.Marshal(map[string]any{"specversion": "1.0", "id": fmt.Sprint(w.sent), "source": "s", "type": "e", "subject": fmt.Sprintf("c%02d", customer),
			"time": time.Date(2026, 9, 25, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.IntN(40*24*4)) * 15 * time.Minute), "data": data})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	if _, err := w.Ingest(context.Background(), admin, []byte("["+strings.Join(lines, ",")+"]"), cloudevents.Batch, false); err != nil {
		t.Fatal(err)
	}
}

// question is a random one, of the customer whose place is given.
func (w *sharedWorld) question(at int) (q ProductQuery, scopes []Scope) {
	month := meter.Period{From: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	day := func(n int) time.Time { return month.From.AddDate(0, 0, n) }
	in := []meter.Period{month, month, {From: month.From, To: day(5)}, {From: day(3), To: day(20)}, {From: day(-4), To: day(2)}, {From: day(1).Add(17 * time.Minute), To: day(9)}}[w.IntN(6)]
	q = ProductQuery{Product: "p", Customers: []string{w.customers[at]}, From: in.From, To: in.To,
		UsageType: catalog.UsageType{Name: "u", Meter: fmt.Sprint("m", w.IntN(10)), Scale: w.pick("", "0.001", "3")}}
	if w.IntN(3) == 0 {
		q.UsageType.Where = map[string]string{"region": "eu"}
	}
	if w.IntN(4) == 0 {
		q.Customers = append(q.Customers, w.customers[w.IntN(len(w.customers))])
	}
	if w.IntN(2) == 0 {
		q.Contracts = []string{"", fmt.Sprintf("k%02d", at)}[w.IntN(2):]
	}
	if w.IntN(4) == 0 {
		q.Filters = []meter.AttrFilter{{Attribute: "service", Values: [][]string{{"s1"}, {"7", "s2"}, {}, {strings.Repeat("s", 2000)}}[w.IntN(4)]}}
	}
	q.By = [][]string{nil, nil, {"service"}, {"region", "service"}, {"contract"}}[w.IntN(5)]
	q.Window = []meter.Window{"", "", "day", "hour"}[w.IntN(4)]
	if w.IntN(3) > 0 {
		return q, nil
	}
	cut := in.From.Add(in.To.Sub(in.From) / 2).Truncate(24 * time.Hour)
	mine := fmt.Sprintf("k%02d", at)
	return q, []Scope{
		{Period: meter.Period{From: in.From, To: cut}, Owner: w.customers[at], Customers: q.Customers, Contracts: []string{"", mine}},
		{Period: meter.Period{From: cut, To: in.To}, Owner: w.customers[at], Customers: q.Customers, Contracts: []string{mine}},
	}[:1+w.IntN(2)]
}

// endsOf are ends of days, and sometimes of other hours, in a question's range.
func endsOf(r *rand.Rand, q ProductQuery) (ends []time.Time) {
	step := []time.Duration{24 * time.Hour, 24 * time.Hour, 7 * time.Hour}[r.IntN(3)]
	for end := q.From.Truncate(24 * time.Hour).Add(step); !end.After(q.To); end = end.Add(step * time.Duration(1+r.IntN(9))) {
		if end.After(q.From) {
			ends = append(ends, end)
		}
	}
	return append(ends, q.To)
}

// What is read for many customers at once is what each question by itself
// says, as the log stood at one place, whatever comes meanwhile.
func TestSharedUsage(t *testing.T) {
	t.Parallel()
	w := newSharedWorld(t)
	ctx := context.Background()
	view, err := w.catalog.View(ctx, "default")
	if err != nil {
		t.Fatal(err)
	}
	w.send(t, 1500)
	sequence := w.ledger.Stats().Last
	shared := newSharedUsage(w.Service, "default", func(context.Context, []string) (*catalog.View, error) { return view, nil }, w.customers)
	forms := 40
	if testing.Short() {
		forms = 15
	}
	answered, rows := 0, 0
	for range forms {
		seed := w.Uint64()
		for at := range w.customers {
			if at > 0 && w.IntN(200) == 0 {
				w.send(t, 3)
			}
			shared.turnTo(at)
			of := &sharedWorld{Rand: fixedtest.From(seed), customers: w.customers} // alike for each
			q, scopes := of.question(at)
			q.AsOfSequence = sequence
			read := func(r UsageReader) string {
				t.Helper()
				var got []meter.UsageRow
				var err error
				if scopes == nil {
					got, err = r.ProductUsage(ctx, admin, q)
				} else {
					got, err = r.ContractUsage(ctx, admin, q, scopes)
				}
				if rows += len(got); err != nil {
					return err.Error()
				}
				return fmt.Sprint(slices.Collect(func(yield func(string) bool) {
					for _, row := range got {
						yield(fmt.Sprint(row.Start, row.End, row.Group, row.Value, row.Clipped))
					}
				}))
			}
			if got, want := read(shared), read(w.Service); got != want {
				t.Fatalf("%+v %+v of %s:\n%s, want\n%s", q, scopes, w.customers[at], got, want)
			}
			if scopes == nil {
				scopes = []Scope{{Period: meter.Period{From: q.From, To: q.To}, Owner: w.customers[at], Customers: q.Customers, Contracts: q.Contracts}}
			}
			ends := endsOf(w.Rand, q)
			to := func(r UsageReader) string {
				got, err := r.ContractUsageTo(ctx, admin, q, scopes, ends)
				return fmt.Sprint(got, err)
			}
			if got, want := to(shared), to(w.Service); got != want {
				t.Fatalf("%+v %+v of %s to %s:\n%s, want\n%s", q, scopes, w.customers[at], ends, got, want)
			}
		}
		for _, f := range shared.forms {
			if f.rows != nil {
				answered++
			}
		}
	}
	if answered == 0 || rows == 0 {
		t.Errorf("%d forms, %d rows", answered, rows)
	}
}
