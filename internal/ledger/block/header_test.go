package block

import (
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

func sampleHeader() Header {
	return Header{
		Sequence: 77, Kind: KindEvents, Org: "acme", Accepted: time.Unix(1_750_000_000, 123_456_789).UTC(),
		MinTime: -5, MaxTime: 1 << 60, Rows: 1000, Rejected: 3, BodyLen: 25_000, BodySum: 0x1122334455667788,
		Prev: [16]byte{1, 2, 3, 15: 16},
	}
}

func TestHeaderSurvives(t *testing.T) {
	t.Parallel()
	for _, org := range []string{"", "a", strings.Repeat("o", MaxOrgBytes)} {
		h := sampleHeader()
		h.Org = org
		got, err := DecodeHeader(h.Append([]byte("before"))[len("before"):])
		if err != nil || got != h {
			t.Fatalf("%+v, %v; want %+v", got, err, h)
		}
	}
}

func TestHeaderChain(t *testing.T) {
	t.Parallel()
	a, b := sampleHeader(), sampleHeader()
	if a.Sum() != b.Sum() {
		t.Fatal("equal headers, different sums")
	}
	b.Prev[7]++
	if a.Sum() == b.Sum() {
		t.Fatal("the sum does not cover the chain")
	}
}

func TestDecodeHeaderFindsDamage(t *testing.T) {
	t.Parallel()
	stored := sampleHeader().Append(nil)
	for bit := range 8 * len(stored) {
		stored[bit/8] ^= 1 << (bit % 8)
		if _, err := DecodeHeader(stored); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		stored[bit/8] ^= 1 << (bit % 8)
	}
	for n := range stored {
		if _, err := DecodeHeader(stored[:n]); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for at, want := range map[int]meter.Kind{0: meter.KindUnsupported, 1: meter.KindUnsupported, headerFixed - 1: meter.KindCorrupt} {
		content := append([]byte(nil), stored[:len(stored)-8]...)
		content[at] = 200
		if _, err := DecodeHeader(resum(content)); meter.KindOf(err) != want {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

func TestCheckBody(t *testing.T) {
	t.Parallel()
	body := []byte("body")
	h := Header{BodyLen: 4, BodySum: BodySum(body)}
	if err := h.CheckBody(body); err != nil {
		t.Fatal(err)
	}
	if err := h.CheckBody([]byte("bodY")); meter.KindOf(err) != meter.KindCorrupt {
		t.Fatal(err)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(sampleHeader().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, stored := range [][]byte{b, resum(append([]byte(nil), b...))} {
			h, err := DecodeHeader(stored)
			if err != nil {
				if k := meter.KindOf(err); k != meter.KindCorrupt && k != meter.KindUnsupported {
					t.Fatalf("kind %v", k)
				}
				continue
			}
			if string(h.Append(nil)) != string(stored) {
				t.Fatalf("%x is read as %+v, which is written otherwise", stored, h)
			}
		}
	})
}
