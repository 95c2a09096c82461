package block

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// compareRows checks rows against the events they were made of.
func compareRows(t *testing.T, r *Rows, events []generated) {
	t.Helper()
	if r.N != len(events) {
		t.Fatalf("%d rows, want %d", r.N, len(events))
	}
	for i := range events {
		g := &events[i]
		e := r.Event(i)
		at := g.env.Time
		if g.env.Untimed {
			at = testAccepted
		}
		if e.ID != string(g.env.ID) || e.Source != string(g.env.Source) || e.Type != string(g.env.Type) ||
			e.HasSubject != g.env.HasSubject || e.Subject != string(g.env.Subject) || e.Time.UnixNano() != at || e.Untimed != g.env.Untimed {
			t.Fatalf("row %d is %+v, want %+v", i, e, g.env)
		}
		if e.Customer != string(g.env.Subject) {
			t.Fatalf("row %d: customer %q, subject %q", i, e.Customer, g.env.Subject)
		}
		if len(e.Data) != len(g.data) {
			t.Fatalf("row %d has %d attributes, want %d", i, len(e.Data), len(g.data))
		}
		for _, a := range g.data {
			if got := e.Get(a.path); got != a.value {
				t.Fatalf("row %d, %s: %+v, want %+v", i, a.path, got, a.value)
			}
		}
		if r.Hashes != nil {
			if want := testKey.Identity(r.Org, string(g.env.Source), string(g.env.ID)); r.Hashes[i] != want {
				t.Fatalf("row %d: hash %x, want %x", i, r.Hashes[i], want)
			}
		}
	}
}

func TestCodecKeepsRandomRows(t *testing.T) {
	t.Parallel()
	for round := range 300 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := fixedtest.Rand(t)
			p := randomProfile(r)
			events := randomEvents(r, p, []int{0, 1, 2, 7, 100, 1000}[r.IntN(6)])
			b := NewBuilder(testKey, "acme", "")
			b.SetAtomic(r.IntN(2) == 0)
			var rejected []int
			for i := range events {
				for r.IntN(20) == 0 {
					rejected = append(rejected, b.Events())
					b.Begin()
					g := p.event(r, i)
					g.put(b)
					b.Abort()
					b.Reject("id", "source", "because", bytes.Repeat([]byte("x"), r.IntN(2000)))
				}
				stageOne(t, b, &events[i])
			}
			staged := b.Rows()
			staged.SetAccepted(testAccepted)
			compareRows(t, staged, events)
			body := Encode([]byte("before"), staged)[len("before"):]
			decoded := decodedAs(t, body, staged, events)
			if !slices.Equal(decoded.Index, staged.Index) {
				t.Fatal("positions differ")
			}
			if again := Encode(nil, decoded); !bytes.Equal(again, body) {
				t.Fatalf("encoding again gives other bytes: %d, was %d", len(again), len(body))
			}
			q := decoded.Requests[0]
			if len(q.Rejections) != len(rejected) || q.Rejected() != len(rejected) || q.Atomic != staged.Requests[0].Atomic {
				t.Fatalf("request %+v, want %d rejections", q, len(rejected))
			}
			for i, x := range q.Rejections {
				if int(x.Index) != rejected[i] || x.ID != "id" || x.Source != "source" || x.Reason != "because" || len(x.Raw) > MaxRawBytes {
					t.Fatalf("rejection %+v, want index %d", x, rejected[i])
				}
			}
		})
	}
}

func TestMergeKeepsEverything(t *testing.T) {
	t.Parallel()
	for round := range 100 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := fixedtest.Rand(t)
			pool := NewPool(testKey)
			dst := pool.Get("acme", "")
			var all []generated
			var sizes []int
			for range 1 + r.IntN(30) {
				src := pool.Get("acme", "")
				events := randomEvents(r, randomProfile(r), r.IntN(5))
				stage(t, src, events)
				rejected := r.IntN(3)
				for range rejected {
					src.Reject("", "", "no", nil)
				}
				rows := src.Rows()
				if !dst.Fits(rows) {
					t.Fatal("does not fit")
				}
				row, request := dst.Merge(rows)
				if row != len(all) || request != len(sizes) {
					t.Fatalf("merged at row %d, request %d; want %d, %d", row, request, len(all), len(sizes))
				}
				all = append(all, events...)
				sizes = append(sizes, len(events)+rejected)
				pool.Put(src)
			}
			rows := dst.Rows()
			rows.SetAccepted(testAccepted)
			compareRows(t, rows, all)
			body := Encode(nil, rows)
			decoded := decodedAs(t, body, rows, all)
			if len(decoded.Requests) != len(sizes) {
				t.Fatalf("%d requests, want %d", len(decoded.Requests), len(sizes))
			}
			for i, q := range decoded.Requests {
				if int(q.Events) != sizes[i] {
					t.Fatalf("request %d has %d events, want %d", i, q.Events, sizes[i])
				}
				for row := q.First; row < q.First+q.Rows; row++ {
					if decoded.Request(int(row)).First != q.First || decoded.Index[row] != row-q.First {
						t.Fatalf("row %d is not at its place", row)
					}
				}
			}
			if !bytes.Equal(Encode(nil, decoded), body) {
				t.Fatal("encoding again gives other bytes")
			}
		})
	}
}

func TestDecodeFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	b := NewBuilder(testKey, "acme", "")
	stage(t, b, randomEvents(r, randomProfile(r), 20))
	body := Encode(nil, b.Rows())
	for bit := range 8 * len(body) {
		body[bit/8] ^= 1 << (bit % 8)
		if _, err := Decode(body, testKey, true, testAccepted); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		body[bit/8] ^= 1 << (bit % 8)
	}
	for n := range body {
		if _, err := Decode(body[:n], testKey, true, testAccepted); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// TestDecodeSurvivesForgedBodies damages bodies and repairs their checksum, so
// that the damage reaches the code behind it.
func TestDecodeSurvivesForgedBodies(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 60 {
		b := NewBuilder(testKey, "acme", "")
		b.Reject("", "", "no", []byte("raw"))
		stage(t, b, randomEvents(r, randomProfile(r), 1+r.IntN(100)))
		body := Encode(nil, b.Rows())
		for range 300 {
			forged := forge(body, r)
			if rows, err := Decode(forged, testKey, true, testAccepted); err == nil {
				exercise(rows)
			} else if k := meter.KindOf(err); k != meter.KindCorrupt && k != meter.KindUnsupported {
				t.Fatalf("kind %v: %v", k, err)
			}
		}
	}
}

func forge(body []byte, r *rand.Rand) []byte {
	forged := slices.Clone(body)
	content := forged[:len(forged)-tailBytes]
	for range 1 + r.IntN(3) {
		content[r.IntN(len(content))] ^= byte(1 + r.IntN(255))
	}
	return resum(content)
}

// resum appends the checksum that fits the contents.
func resum(content []byte) []byte {
	sum := xxhash.Sum64(content)
	for range tailBytes {
		content = append(content, byte(sum))
		sum >>= 8
	}
	return content
}

// exercise touches everything that rows offer.
func exercise(rows *Rows) {
	for i := range rows.N {
		rows.Event(i)
		rows.DataJSON(i, nil)
		rows.ExtensionsJSON(i, nil)
		rows.Request(i)
	}
	rows.TimeRange()
	rows.Rejected()
	Encode(nil, rows)
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		b := NewBuilder(testKey, "acme", "")
		p := randomProfile(r)
		for i := range 30 {
			g := p.event(r, i)
			b.Begin()
			g.put(b)
			if err := b.Commit(&g.env); err != nil {
				f.Fatal(err)
			}
		}
		b.Reject("id", "source", "reason", []byte("raw"))
		body := Encode(nil, b.Rows())
		f.Add(body[:len(body)-tailBytes])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := Decode(content, testKey, true, testAccepted); err != nil && meter.KindOf(err) == meter.KindInternal {
			t.Fatal(err)
		}
		rows, err := Decode(resum(slices.Clone(content)), testKey, true, testAccepted)
		if err != nil {
			if k := meter.KindOf(err); k != meter.KindCorrupt && k != meter.KindUnsupported {
				t.Fatal(err)
			}
			return
		}
		if rows.N < 1000 {
			exercise(rows)
		}
	})
}

// decodedAs decodes a body, which must give the events and the hashes that were staged.
func decodedAs(t *testing.T, body []byte, staged *Rows, events []generated) *Rows {
	t.Helper()
	decoded, err := Decode(body, testKey, true, testAccepted)
	if err != nil {
		t.Fatal(err)
	}
	compareRows(t, decoded, events)
	if !slices.Equal(decoded.Hashes, staged.Hashes) || !slices.Equal(decoded.Checks, staged.Checks) {
		t.Fatal("recomputed hashes differ from those of staging")
	}
	return decoded
}
