package idset

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
)

// pack puts as many entries as fit into a page and returns it with their number.
func pack(es []Entry) (*pageBuffer, int) {
	var b pageBuilder
	n := 0
	for n < len(es) && b.add(&es[n]) {
		n++
	}
	p := new(pageBuffer)
	b.encode(p[:pageBytes], 7, 3)
	return p, n
}

// pageInput makes sorted entries of many shapes.
func pageInput(rng *rand.Rand) []Entry {
	n := 1 + rng.IntN(maxPageEntries+50)
	hash := randomHash
	switch rng.IntN(4) {
	case 0:
		hash = crowdedHash
	case 1:
		width := 1 + rng.IntN(63)
		hash = func(rng *rand.Rand) block.Hash {
			return block.Hash{Hi: rng.Uint64() >> width, Lo: rng.Uint32()}
		}
	case 2: // like one page of a large run
		base := rng.Uint64() >> 1
		hash = func(rng *rand.Rand) block.Hash {
			return block.Hash{Hi: base + rng.Uint64N(1<<44), Lo: rng.Uint32()}
		}
	}
	es := sorted(entries(rng, n, hash))
	seqs, ords := rng.Uint64()>>rng.IntN(65), uint32(rng.Uint64N(1<<32)>>rng.IntN(33))
	first := rng.Uint64N(math.MaxUint64 - seqs)
	for i := range es {
		es[i].Seq, es[i].Ord = first, 0
		if rng.IntN(100) > 0 {
			es[i].Seq += rng.Uint64N(seqs + 1)
			es[i].Ord = uint32(rng.Uint64N(uint64(ords) + 1))
		}
	}
	return es
}

func TestPageHoldsWhatWasPut(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 500 {
		es := pageInput(rng)
		p, n := pack(es)
		if !pageIntact(p, 7, 3) || pageIntact(p, 7, 4) || pageIntact(p, 8, 3) {
			t.Fatal("the checksum does not belong to this page of this run")
		}
		got, err := decodePage(p, nil)
		if err != nil || !slices.Equal(got, es[:n]) {
			t.Fatalf("decoded %d entries, %v; want %d", len(got), err, n)
		}
		for i, e := range es {
			got, ok, err := searchPage(p, e.Hash)
			if err != nil || ok != (i < n) || ok && got != e {
				t.Fatalf("entry %d of %d: found %v %v %v, want %v", i, n, got, ok, err, e)
			}
			for _, h := range []block.Hash{{Hi: e.Hash.Hi, Lo: e.Hash.Lo + 1}, {Hi: e.Hash.Hi + 1, Lo: e.Hash.Lo}, {Hi: e.Hash.Hi - 1, Lo: e.Hash.Lo}} {
				_, want := slices.BinarySearchFunc(es[:n], h, func(e Entry, h block.Hash) int { return compareHash(e.Hash, h) })
				if _, ok, err := searchPage(p, h); ok != want || err != nil {
					t.Fatalf("search of %v: %v %v, want %v", h, ok, err, want)
				}
			}
		}
	}
}

// TestPageFillsUp shows that the cheap test for room leaves none unused.
func TestPageFillsUp(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 300 {
		es := pageInput(rng)
		_, n := pack(es)
		if n == len(es) {
			continue
		}
		var minSeq, maxSeq, maxOrd uint64 = math.MaxUint64, 0, 0
		for _, e := range es[:n+1] {
			minSeq, maxSeq, maxOrd = min(minSeq, e.Seq), max(maxSeq, e.Seq), max(maxOrd, uint64(e.Ord))
		}
		s := shapePage(n+1, es[n].Hash.Hi-es[0].Hash.Hi, maxSeq-minSeq, uint32(maxOrd))
		if s.end <= pageBytes {
			t.Fatalf("%d entries fit, the page took %d", n+1, n)
		}
	}
}

func TestPageTakesTheMost(t *testing.T) {
	t.Parallel()
	es := make([]Entry, maxPageEntries+1)
	for i := range es {
		es[i] = Entry{Hash: block.Hash{Hi: 9, Lo: uint32(i)}, Check: uint64(i), Seq: 5, Ord: 0}
	}
	if _, n := pack(es[:maxPageEntries]); n != maxPageEntries {
		t.Errorf("took %d, want %d", n, maxPageEntries)
	}
	if _, n := pack(es); n != maxPageEntries {
		t.Errorf("took %d, want no more than %d", n, maxPageEntries)
	}
}

func FuzzPage(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		p, _ := pack(pageInput(rng))
		f.Add(p[:pageBytes], uint64(1), uint32(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, hi uint64, lo uint32) {
		p := new(pageBuffer)
		copy(p[:pageBytes], data)
		got, err := decodePage(p, nil)
		if len(got) > maxPageEntries {
			t.Fatalf("%d entries in a page", len(got))
		}
		probe := block.Hash{Hi: hi, Lo: lo}
		_, ok, _ := searchPage(p, probe)
		if err != nil {
			return
		}
		for i, e := range got {
			// No writer makes a page that is out of order; a search in it may
			// go astray, but must come back.
			if e.Hash.Hi < binary.LittleEndian.Uint64(p[16:]) || i > 0 && !lessHash(got[i-1].Hash, e.Hash) {
				return
			}
		}
		if ok != slices.ContainsFunc(got, func(e Entry) bool { return e.Hash == probe }) {
			t.Fatal("search and decode disagree")
		}
		for _, e := range got {
			if found, ok, err := searchPage(p, e.Hash); !ok || err != nil || found != e {
				t.Fatalf("search of %v: %v %v %v", e, found, ok, err)
			}
		}
	})
}

func FuzzFooter(f *testing.F) {
	f.Add((&footer{run: 1, entries: 200, pages: 1, blocks: 1}).encode())
	f.Add([]byte(footerMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		foot, err := decodeFooter(data)
		if err != nil {
			return
		}
		again, err := decodeFooter(foot.encode())
		if err != nil || again != foot || foot.size() < footerBytes || int64(foot.size()) < 0 {
			t.Fatalf("%+v then %+v, %v", foot, again, err)
		}
	})
}

func TestFooterRoundTrip(t *testing.T) {
	t.Parallel()
	want := footer{run: 1, entries: 2000, pages: 3, blocks: 4, indexSum: 7, blockSum: 8}
	b := want.encode()
	got, err := decodeFooter(b)
	if err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := decodeFooter(b); err == nil {
			t.Fatalf("bit %d flipped and not noticed", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	binary.LittleEndian.PutUint32(b[8:], formatVersion+1)
	if _, err := decodeFooter(b); err == nil || err.Error() != "format version 2, want 1" {
		t.Fatalf("a newer version: %v", err)
	}
}

func TestFirstAtLeast(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for range 3000 {
		x := make([]uint64, rng.IntN(300))
		for i := range x {
			x[i] = rng.Uint64() >> rng.IntN(64)
			if rng.IntN(3) == 0 {
				x[i] = -x[i]
			}
		}
		slices.Sort(x)
		for range 20 {
			v := rng.Uint64() >> rng.IntN(64)
			if len(x) > 0 && rng.IntN(2) == 0 {
				v = x[rng.IntN(len(x))] + rng.Uint64N(3) - 1
			}
			if want, _ := slices.BinarySearch(x, v); firstAtLeast(x, v) != want {
				t.Fatalf("%d in %v: %d, want %d", v, x, firstAtLeast(x, v), want)
			}
		}
	}
}
