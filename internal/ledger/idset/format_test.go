package idset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
)

// readByTheBook reads a run from its description in docs/format.md alone, bit
// by bit, sharing no code with the package.
func readByTheBook(b []byte) ([]Entry, error) {
	u64 := func(at uint64) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	foot := uint64(len(b)) - 128
	if !bytes.Equal(b[foot:foot+16], []byte("odoidset\x01\x00\x00\x00\x00\x10\x00\x00")) || u64(foot+120) != xxhash.Sum64(b[foot:foot+120]) {
		return nil, fmt.Errorf("no footer")
	}
	run, n, pages, blocks := u64(foot+16), u64(foot+24), u64(foot+32), u64(foot+40)
	index, filter := 4096*pages, 4104*pages
	if filter+64*blocks != foot || u64(foot+48) != xxhash.Sum64(b[index:filter]) || u64(foot+56) != xxhash.Sum64(b[filter:foot]) {
		return nil, fmt.Errorf("the parts do not add up")
	}
	if !bytes.Equal(b[foot+64:foot+120], make([]byte, 56)) {
		return nil, fmt.Errorf("the footer's rest is not zero")
	}
	var all []Entry
	for page := range pages {
		p := b[4096*page : 4096*page+4096]
		if binary.LittleEndian.Uint64(p) != xxhash.Sum64(p[8:])+run*0x9e3779b97f4a7c15+(page+1)*0xd6e8feb86659fd93 {
			return nil, fmt.Errorf("page %d fails its checksum", page)
		}
		es := pageByTheBook(p)
		if es[0].Hash.Hi != u64(index+8*page) {
			return nil, fmt.Errorf("page %d is not the one in the index", page)
		}
		all = append(all, es...)
	}
	for _, e := range all {
		at, x := filter+64*mulHigh(e.Hash.Hi, blocks), uint64(e.Hash.Lo)*65536+e.Hash.Hi%65536
		for k := range uint64(8) {
			if u64(at+8*k)>>(x>>(6*k)%64)&1 == 0 {
				return nil, fmt.Errorf("%v is not in the filter", e.Hash)
			}
		}
	}
	if uint64(len(all)) != n {
		return nil, fmt.Errorf("%d entries, want %d", len(all), n)
	}
	return all, nil
}

// mulHigh returns the high 64 bits of a*b, for b below 2^32.
func mulHigh(a, b uint64) uint64 { return (a>>32*b + a%(1<<32)*b>>32) >> 32 }

func pageByTheBook(p []byte) []Entry {
	number := func(bit, width int) (v uint64) {
		for i := range width {
			v |= uint64(p[(bit+i)/8]>>((bit+i)%8)&1) << i
		}
		return v
	}
	n, l, s, o, w := int(number(64, 16)), int(p[10]), int(p[11]), int(p[12]), int(number(112, 16))
	checks := 32 + 8*w
	los := checks + 8*n
	lows := los + 4*n
	seqs := lows + (n*l+7)/8
	ords := seqs + (n*s+7)/8
	var es []Entry
	for bit := range 64 * w {
		if number(8*32+bit, 1) == 0 {
			continue
		}
		i := len(es)
		es = append(es, Entry{
			Hash: block.Hash{
				Hi: number(128, 64) + uint64(bit-i)<<l + number(8*lows+i*l, l),
				Lo: uint32(number(8*(los+4*i), 32)),
			},
			Check: number(8*(checks+8*i), 64),
			Seq:   number(192, 64) + number(8*seqs+i*s, s),
			Ord:   uint32(number(8*ords+i*o, o)),
		})
	}
	return es
}

// runFile seals the entries and returns the file.
func runFile(t *testing.T, es []Entry) []byte {
	t.Helper()
	fs := vfs.NewMem()
	s := mustOpen(t, fs, nil, Options{RecentSlots: 2*len(es) + minRecentSlots})
	info := seal(t, s, es)
	mustClose(t, s)
	b, err := fs.UnsafeGetFileDataBuffer("ids/" + runName(info.ID))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFileIsAsDescribed(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for _, hash := range []func(*rand.Rand) block.Hash{randomHash, crowdedHash} {
		for _, n := range []int{1, 2, 300, 2000} {
			es := entries(rng, n, hash)
			got, err := readByTheBook(runFile(t, es))
			if err != nil || !slices.Equal(got, sorted(es)) {
				t.Errorf("%d entries: read %d, %v", n, len(got), err)
			}
		}
	}
}

// TestStoredForm pins the bytes: a change of them is a new version.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	if got, want := xxhash.Sum64(runFile(t, entries(rng, 3000, randomHash))), uint64(0x9516a72d0d0d311c); got != want {
		t.Errorf("the file's checksum is %#x, want %#x", got, want)
	}
}

// TestSizeOnDisk holds the bytes an identity takes to the budget of 24.
func TestSizeOnDisk(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	const n = 1_000_000
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 2 * n})
	defer mustClose(t, s)
	es := make([]Entry, n)
	for i, h := range randomHashes(rng, n) {
		es[i] = Entry{Hash: h, Check: rng.Uint64(), Seq: uint64(i / 1000), Ord: uint32(i % 1000)}
	}
	table := s.Memory()
	info := seal(t, s, es)
	s.Free()    // the fold lets go of the sealed table,
	s.Prepare() // which becomes the next one
	table *= 2
	if info.Bytes > 24*n {
		t.Errorf("%d bytes on disk for %d identities", info.Bytes, n)
	}
	if memory := s.Memory() - table; memory > 2*n {
		t.Errorf("%d bytes of memory for %d identities", memory, n)
	}
	t.Logf("%d.%02d bytes on disk, %d.%02d in memory per identity", info.Bytes/n, info.Bytes%n/(n/100), (s.Memory()-table)/n, (s.Memory()-table)%n/(n/100))
}
