package log

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

func testRun(t testing.TB, rng *rand.Rand, n int) (*openRun, []byte) {
	t.Helper()
	var o *openRun
	var prev [16]byte
	for i := range n {
		body := make([]byte, 8+rng.IntN(40))
		if rng.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(body[len(body)-8:], xxhash.Sum64(body[:len(body)-8]))
		}
		h := block.Header{Sequence: 10 + uint64(i), Kind: block.KindEvents, Org: fmt.Sprint("o", rng.IntN(3)), Accepted: time.Unix(0, int64(i)*5), Rows: rng.Uint32N(5), MinTime: rng.Int64() - 1<<62,
			BodyLen: uint32(len(body)), BodySum: block.BodySum(body), Prev: prev}
		h.MaxTime = h.MinTime + int64(rng.IntN(100))
		prev = h.Sum()
		if o == nil {
			o = newOpenRun(&h)
		}
		if rng.IntN(5) == 0 {
			body = nil
		}
		o.add(h.Append(nil), &h, body)
	}
	headers, err := o.encodeHeaders()
	if err != nil {
		t.Fatal(err)
	}
	return o, headers
}

func FuzzMergedHeaders(f *testing.F) {
	for n := range uint64(4) {
		_, headers := testRun(f, rand.New(rand.NewPCG(n, n)), int(1+n*5))
		f.Add(headers)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fix := range []bool{false, true} {
			if fix && len(b) > 8 { // past the checksum
				b = slices.Clone(b)
				binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
			}
			r, err := decodeHeaders(b)
			if err != nil {
				if meter.KindOf(err) != meter.KindCorrupt {
					t.Fatal(err)
				}
				continue
			}
			for org := range r.orgs {
				if _, err := r.decodeBodies(b, org); err == nil {
					t.Fatal("headers read as bodies")
				}
			}
		}
	})
}

func FuzzMergedBodies(f *testing.F) {
	o, headers := testRun(f, rand.New(rand.NewPCG(1, 1)), 30)
	for org, joined := range o.joined {
		f.Add(uint8(org), encodeBodies(o.last(), org, joined))
	}
	f.Fuzz(func(t *testing.T, org uint8, b []byte) {
		r, err := decodeHeaders(headers)
		if err != nil {
			t.Fatal(err)
		}
		at := int(org) % len(r.orgs)
		if len(b) > 8 {
			binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
		}
		joined, err := r.decodeBodies(b, at)
		if err != nil {
			if meter.KindOf(err) != meter.KindCorrupt {
				t.Fatal(err)
			}
			return
		}
		for i := range r.entries {
			if e := &r.entries[i]; e.org == at && !e.apart && len(r.body(e, joined)) != int(e.bodySize) {
				t.Fatalf("entry %d has the wrong length", i)
			}
		}
	})
}
