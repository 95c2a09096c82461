package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// BenchmarkPages asks for usage by customer among a million customers, each of
// one service, with an event or two in a day. Nothing is kept from one
// question to the next. The last tenth of the events is in no checkpoint.
//
//	go test ./internal/ledger -run '^$' -bench Pages -benchtime 1x
func BenchmarkPages(b *testing.B) {
	const customers = 1_000_000
	l := openTest(b, Options{Clock: time.Now, Limits: Limits{AnswerBytes: -1, ReadBytes: 4 << 30, CheckpointEvery: time.Hour}})
	createMeters(b, l, "default", []meter.Meter{{Key: "bytes", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "service"}},
		{Key: "ones", EventType: "edge.request", Aggregation: meter.AggMax, Value: "one", GroupBy: []string{"customer"}}})
	rng := rand.New(rand.NewPCG(1, 2))
	order := rng.Perm(customers)
	appendOf := func(order []int) {
		for len(order) > 0 {
			n := min(1000, len(order))
			appendPageEvents(b, l, rng, order[:n])
			order = order[n:]
		}
	}
	appendOf(order)
	if err := l.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	appendOf(order[:customers/10])
	q := meter.UsageQuery{Organization: "default", Meter: "bytes", From: testStart, To: testStart.AddDate(0, 0, 1), GroupBy: []string{"customer"}}
	page := func(b *testing.B, q meter.UsageQuery) *meter.Usage {
		u, err := l.Usage(context.Background(), q)
		if err != nil {
			b.Fatal(err)
		}
		return u
	}
	b.Run("first 100 by key", func(b *testing.B) {
		q := q
		q.Limit = 100
		for b.Loop() {
			page(b, q)
		}
	})
	b.Run("later 100 by key", func(b *testing.B) {
		q := q
		q.Limit = 100
		for b.Loop() {
			u := page(b, q)
			q.Cursor = u.NextCursor
		}
	})
	b.Run("largest 100", func(b *testing.B) {
		q := q
		q.ByValue = true
		for b.Loop() {
			if u := page(b, q); len(u.Rows) != 100 {
				b.Fatalf("%d rows", len(u.Rows))
			}
		}
	})
	b.Run("largest 100 of equal ones", func(b *testing.B) {
		q := q
		q.Meter, q.ByValue = "ones", true
		for b.Loop() {
			if u := page(b, q); len(u.Rows) != 100 {
				b.Fatalf("%d rows", len(u.Rows))
			}
		}
	})
	b.Run("all by key, 10000 a page", func(b *testing.B) {
		for b.Loop() {
			q, rows := q, 0
			for {
				u := page(b, q)
				rows += len(u.Rows)
				if q.Cursor = u.NextCursor; q.Cursor == "" {
					break
				}
			}
			if rows != customers {
				b.Fatalf("%d rows", rows)
			}
		}
	})
}

func appendPageEvents(b *testing.B, l *Ledger, rng *rand.Rand, customers []int) {
	s := l.Builder("default")
	for _, c := range customers {
		s.Begin()
		s.PutString(s.Attr([]byte("service")), fmt.Appendf(nil, "service-%08d", c))
		s.PutNumber(s.Attr([]byte("bytes")), meter.QuantityFromInt64(rng.Int64N(1_000_000)))
		s.PutNumber(s.Attr([]byte("one")), meter.QuantityFromInt64(1))
		at := testStart.Add(time.Duration(rng.Int64N(int64(24 * time.Hour))))
		if err := s.Commit(&block.Envelope{Source: []byte("edge/fra-01"), ID: strconv.AppendUint(nil, rng.Uint64(), 36), Type: []byte("edge.request"),
			Subject: fmt.Appendf(nil, "customer-%07d", c), HasSubject: true, Time: at.UnixNano()}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := l.Append(context.Background(), s); err != nil {
		b.Fatal(err)
	}
}
