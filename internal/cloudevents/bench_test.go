package cloudevents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/valyala/fastjson"

	"odometer/internal/ledger/block"
)

var (
	testKey = block.Key{K0: 1, K1: 2}
	testNow = time.Date(2025, 6, 15, 12, 0, 0, 0, time.UTC)
)

// benchEvent is an event as design section 11 describes it, about 250 bytes.
func benchEvent(r *rand.Rand, dst []byte) []byte {
	at := testNow.Add(-time.Duration(r.Int64N(600_000)) * time.Millisecond)
	dst = fmt.Appendf(dst, `{"specversion":"1.0","id":"%08x-%04x-4%03x-a%03x-%012x","source":"edge/fra","type":"request","subject":"customer-%03d","time":"%s",`,
		r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0xfff, r.Uint64()&0xffffffffffff, r.IntN(200), at.Format("2006-01-02T15:04:05.000Z"))
	return fmt.Appendf(dst, `"data":{"service":"svc-%04d","region":"region-%d","bytes":%d,"status":%d}}`,
		r.IntN(1000), r.IntN(6), r.IntN(1_000_000), []int{200, 200, 200, 204, 304, 404}[r.IntN(6)])
}

// benchBatch is a batch of n such events.
func benchBatch(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := []byte{'['}
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = benchEvent(r, out)
	}
	return append(out, ']')
}

func perEvent(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body, builder := benched(b, n)
			for b.Loop() {
				decodeBench(b, body, builder)
				if builder.Rows().N != n {
					b.Fatal("rejected")
				}
			}
			perEvent(b, n)
		})
	}
}

func BenchmarkDecodeAndEncode1000(b *testing.B) {
	body, builder := benched(b, 1000)
	var out []byte
	for b.Loop() {
		decodeBench(b, body, builder)
		out = block.Encode(out[:0], builder.Rows())
	}
	perEvent(b, 1000)
	b.ReportMetric(float64(len(out))/1000, "bytes/event")
}

// BenchmarkParseOnly is the ceiling that budgets compare with: fastjson
// parsing the same bytes and nothing else.
func BenchmarkParseOnly(b *testing.B) {
	body := benchBatch(1000)
	var p fastjson.Parser
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := p.ParseBytes(body); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, 1000)
}

// BenchmarkFastjsonFields adds what a decoder over fastjson would at least
// have to do: visit the members.
func BenchmarkFastjsonFields(b *testing.B) {
	body := benchBatch(1000)
	var p fastjson.Parser
	sum := 0
	for b.Loop() {
		v, err := p.ParseBytes(body)
		if err != nil {
			b.Fatal(err)
		}
		events, _ := v.Array()
		for _, e := range events {
			o, _ := e.Object()
			o.Visit(func(key []byte, v *fastjson.Value) {
				if v.Type() == fastjson.TypeObject {
					v.GetObject().Visit(func(key []byte, v *fastjson.Value) { sum += len(key) })
					return
				}
				s, _ := v.StringBytes()
				sum += len(s)
			})
		}
	}
	perEvent(b, 1000)
}

func BenchmarkNDJSON1000(b *testing.B) {
	body := benchBatch(1000)
	body = bytes.ReplaceAll(body[1:len(body)-1], []byte(`}},{`), []byte("}}\n{"))
	builder := block.NewBuilder(testKey, "acme", "")
	for b.Loop() {
		builder.Reset("acme", "")
		if err := Decode(body, NDJSON, testNow, Limits{}, builder); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, 1000)
}

// BenchmarkDecodeShapes has events that repeat their neighbour's keys less well.
func BenchmarkDecodeShapes(b *testing.B) {
	compact := benchBatch(1000)
	spaced := bytes.ReplaceAll(bytes.ReplaceAll(compact, []byte(`":`), []byte(`": `)), []byte(`,"`), []byte(`, "`))
	r := rand.New(rand.NewPCG(3, 4))
	var events []map[string]json.RawMessage
	if err := json.Unmarshal(compact, &events); err != nil {
		b.Fatal(err)
	}
	shuffled := []byte{'['}
	for i, e := range events {
		if i > 0 {
			shuffled = append(shuffled, ',')
		}
		shuffled = append(shuffled, '{')
		keys := slices.Sorted(maps.Keys(e))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for j, k := range keys {
			if j > 0 {
				shuffled = append(shuffled, ',')
			}
			shuffled = fmt.Appendf(shuffled, "%q:%s", k, e[k])
		}
		shuffled = append(shuffled, '}')
	}
	shuffled = append(shuffled, ']')
	for name, body := range map[string][]byte{"spaced": spaced, "shuffled": shuffled} {
		b.Run(name, func(b *testing.B) {
			builder := block.NewBuilder(testKey, "acme", "")
			for b.Loop() {
				builder.Reset("acme", "")
				if err := Decode(body, Batch, testNow, Limits{}, builder); err != nil || builder.Rows().N != 1000 {
					b.Fatal(err)
				}
			}
			perEvent(b, 1000)
		})
	}
}

func TestBenchBatchIsSound(t *testing.T) {
	t.Parallel()
	body := benchBatch(10)
	if !json.Valid(body) {
		t.Fatal("not JSON")
	}
	b := block.NewBuilder(testKey, "acme", "")
	if err := Decode(body, Batch, testNow, Limits{}, b); err != nil {
		t.Fatal(err)
	}
	rows := b.Rows()
	if rows.N != 10 || len(rows.Requests[0].Rejections) != 0 {
		t.Fatalf("%d rows, %+v", rows.N, rows.Requests[0].Rejections)
	}
}

// benched is a batch of events that is measured, and what takes it in.
func benched(b *testing.B, n int) ([]byte, *block.Builder) {
	body := benchBatch(n)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	return body, block.NewBuilder(testKey, "acme", "")
}

func decodeBench(b *testing.B, body []byte, builder *block.Builder) {
	builder.Reset("acme", "")
	if err := Decode(body, Batch, testNow, Limits{}, builder); err != nil {
		b.Fatal(err)
	}
}
