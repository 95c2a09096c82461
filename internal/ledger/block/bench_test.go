package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"odometer/internal/meter"
)

// benchProfile makes events as design section 11 describes them.
func benchRows(n int) *Rows {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(testKey, "acme", "")
	for i := range n {
		b.Begin()
		b.PutString(b.Attr([]byte("service")), fmt.Appendf(nil, "svc-%04d", r.IntN(1000)))
		b.PutString(b.Attr([]byte("region")), fmt.Appendf(nil, "region-%d", r.IntN(6)))
		b.PutNumber(b.Attr([]byte("bytes")), meter.QuantityFromInt64(r.Int64N(1_000_000)))
		b.PutNumber(b.Attr([]byte("status")), meter.QuantityFromInt64([]int64{200, 200, 204, 304, 404}[r.IntN(5)]))
		env := Envelope{
			Source: []byte("edge/fra"), ID: randomUUID(r), Type: []byte("request"), HasSubject: true,
			Subject: fmt.Appendf(nil, "customer-%03d", r.IntN(200)), Time: 1_750_000_000_000_000_000 + r.Int64N(600_000)*1_000_000,
		}
		if err := b.Commit(&env); err != nil {
			panic(fmt.Sprint(i, err))
		}
	}
	return b.Rows()
}

func perEvent(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
}

func BenchmarkEncode1000(b *testing.B) {
	rows := benchRows(1000)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = Encode(out[:0], rows)
	}
	perEvent(b, 1000)
	b.ReportMetric(float64(len(out))/1000, "bytes/event")
}

func BenchmarkDecodeBlock1000(b *testing.B) {
	body := Encode(nil, benchRows(1000))
	for _, hashes := range []bool{false, true} {
		b.Run(fmt.Sprintf("hashes=%v", hashes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(body, testKey, hashes, testAccepted); err != nil {
					b.Fatal(err)
				}
			}
			perEvent(b, 1000)
		})
	}
}

// BenchmarkMerge appends requests of one event, 1000 to a block.
func BenchmarkMerge(b *testing.B) {
	var single [64]*Rows
	all := rand.New(rand.NewPCG(3, 4))
	for i := range single {
		n := 1 + all.IntN(64)
		single[i] = rowOf(benchRows(n), n-1)
	}
	dst := NewBuilder(testKey, "acme", "")
	b.ReportAllocs()
	for b.Loop() {
		dst.Reset("acme", "")
		for i := range 1000 {
			dst.Merge(single[i%len(single)])
		}
		dst.Rows()
	}
	perEvent(b, 1000)
}

// rowOf stages one row of rows again, as a request of its own.
func rowOf(rows *Rows, row int) *Rows {
	b := NewBuilder(testKey, rows.Org, "")
	e := rows.Event(row)
	g := generated{env: Envelope{Source: []byte(e.Source), ID: []byte(e.ID), Type: []byte(e.Type), Subject: []byte(e.Subject), HasSubject: e.HasSubject, Time: e.Time.UnixNano()}}
	for _, a := range e.Data {
		g.data = append(g.data, attribute{a.Path, a.Value})
	}
	b.Begin()
	g.put(b)
	if err := b.Commit(&g.env); err != nil {
		panic(err)
	}
	return b.Rows()
}

func BenchmarkIdentity(b *testing.B) {
	prefix := testKey.identityPrefix([]byte("acme"), []byte("edge/fra"))
	id := randomUUID(rand.New(rand.NewPCG(1, 1)))
	for b.Loop() {
		identityHash(prefix, id)
	}
}
