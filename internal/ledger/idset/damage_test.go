package idset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// damaged is a file system that holds one run, and a way to spoil it.
type damaged struct {
	t    *testing.T
	es   []Entry
	info RunInfo
	foot footer
	good []byte
}

func newDamaged(t *testing.T, n int) *damaged {
	t.Helper()
	fs := vfs.NewMem()
	s := mustOpen(t, fs, nil, Options{RecentSlots: 2 * n})
	d := &damaged{t: t, es: entries(fixedtest.Rand(t), n, randomHash)}
	d.info = seal(t, s, d.es)
	d.foot = s.sealed.runs[0].foot
	mustClose(t, s)
	b, err := fs.UnsafeGetFileDataBuffer("ids/" + runName(d.info.ID))
	if err != nil {
		t.Fatal(err)
	}
	d.good = slices.Clone(b)
	return d
}

// open opens the set on a file of the given bytes.
func (d *damaged) open(file []byte) (*Set, []Repair, error) {
	d.t.Helper()
	fs := vfs.NewMem()
	writeFile(d.t, fs, runName(d.info.ID), file)
	var repairs []Repair
	s, err := Open(fs, "ids", []RunInfo{d.info}, Options{RecentSlots: 100, OnRepair: func(r Repair) { repairs = append(repairs, r) }})
	return s, repairs, err
}

func writeFile(tb testing.TB, fs vfs.FS, name string, b []byte) {
	tb.Helper()
	if err := fs.MkdirAll("ids", 0o755); err != nil {
		tb.Fatal(err)
	}
	f, err := fs.Create("ids/"+name, writeCategory)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

// flip returns the good file with one bit changed.
func (d *damaged) flip(bit uint64) []byte {
	b := slices.Clone(d.good)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// hashesOf returns the hashes of the entries.
func hashesOf(es []Entry) []block.Hash {
	hashes := make([]block.Hash, len(es))
	for i, e := range es {
		hashes[i] = e.Hash
	}
	return hashes
}

// TestFlippedBits changes one bit at a time, in every region of the file.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 1000)
	size := uint64(len(d.good))
	step := uint64(307) // bits; shares no factor with the sizes of anything
	if testing.Short() {
		step = 1009
	}
	for bit := uint64(0); bit < 8*size; bit += step {
		at := bit / 8
		s, repairs, err := d.open(d.flip(bit))
		if at >= size-footerBytes {
			wantKind(t, err, meter.KindCorrupt, fmt.Sprintf("bit %d, in the footer", bit))
			continue
		}
		if err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		switch {
		case at >= d.foot.filterAt():
			d.wantRepair(s, repairs, "filter")
		case at >= d.foot.indexAt():
			d.wantRepair(s, repairs, "index")
		default:
			d.wantDamagedPage(s, repairs, at/pageBytes)
		}
		mustClose(t, s)
	}
}

// wantRepair checks that the part was reported and nothing is missing.
func (d *damaged) wantRepair(s *Set, repairs []Repair, part string) {
	d.t.Helper()
	if len(repairs) != 1 || repairs[0].Part != part || repairs[0].File != runName(d.info.ID) || repairs[0].Err == nil {
		d.t.Fatalf("repairs %v, want one of the %s", repairs, part)
	}
	v := s.Sealed()
	defer v.Release()
	found := make([]Found, len(d.es))
	if err := v.Probe(hashesOf(d.es), found); err != nil {
		d.t.Fatal(err)
	}
	for i, e := range d.es {
		if !found[i].OK || found[i].Entry != e {
			d.t.Fatalf("%v is lost after the repair of the %s", e, part)
		}
	}
}

// wantDamagedPage checks that what is on the page is unknown, by name of file
// and page, and everything else is found.
func (d *damaged) wantDamagedPage(s *Set, repairs []Repair, page uint64) {
	d.t.Helper()
	if len(repairs) != 0 {
		d.t.Fatalf("repairs %v", repairs)
	}
	want := fmt.Sprintf("identity run %s page %d fails its checksum", runName(d.info.ID), page)
	r := s.sealed.runs[0]
	v := s.Sealed()
	defer v.Release()
	found := make([]Found, 1)
	var onPage []Entry
	for i, e := range d.es {
		_, to := r.pagesOf(e.Hash.Hi, e.Hash.Hi)
		if to-1 == page {
			onPage = append(onPage, e)
		} else if i%20 != 0 {
			continue
		}
		err := v.Probe([]block.Hash{e.Hash}, found)
		got, ok, err2 := s.Lookup(e.Hash, 0)
		if to-1 != page {
			if err != nil || err2 != nil || found[0] != (Found{true, e}) || !ok || got != e {
				d.t.Fatalf("page %d is damaged, %v is on page %d: %v %v", page, e, to-1, err, err2)
			}
			continue
		}
		for _, err := range []error{err, err2} {
			wantKind(d.t, err, meter.KindCorrupt, "an identity on a damaged page")
			if !strings.Contains(err.Error(), want) {
				d.t.Fatalf("got %q, want %q", err, want)
			}
		}
	}
	if len(onPage) == 0 {
		d.t.Fatalf("nothing was on page %d", page)
	}
	if page%2 == 0 {
		_, err := s.createRun(d.info.Entries, 1, func(w *runWriter) error { return mergeRuns(noContext{}, v.view.runs, 0, ^uint64(0), w.add) })
		wantKind(d.t, err, meter.KindCorrupt, "merging a damaged page")
	}
	if err := v.Walk(noContext{}, 0, ^uint64(0), func(int, []Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
		d.t.Fatalf("a walk over a damaged page: %v", err)
	}
}

func TestDamagedFilterOverDamagedPage(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 1000)
	b := d.flip(8 * d.foot.filterAt())
	b[2*pageBytes+99] ^= 1
	_, _, err := d.open(b)
	wantKind(t, err, meter.KindCorrupt, "nothing to rebuild the filter from")
	if want := "page 2 fails its checksum"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestDamagedIndexAndFilterAreBothReported(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 1000)
	b := d.flip(8 * d.foot.filterAt())
	b[d.foot.indexAt()] ^= 1
	s, repairs, err := d.open(b)
	if err != nil || len(repairs) != 2 || repairs[0].Part != "index" || repairs[1].Part != "filter" {
		t.Fatal(repairs, err)
	}
	checkAll(t, s, model(d.es), nil)
	mustClose(t, s)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 500)
	swapped := slices.Clone(d.good)
	copy(swapped, d.good[pageBytes:2*pageBytes])
	copy(swapped[pageBytes:], d.good[:pageBytes])
	other := newDamaged(t, 500)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"cut by a byte", d.good[:len(d.good)-1], "bytes long"},
		{"cut by a page", d.good[pageBytes:], "bytes long"},
		{"empty", nil, "bytes long"},
		{"longer", append(slices.Clone(d.good), 0), "bytes long"},
		{"zeroed footer", append(slices.Clone(d.good[:len(d.good)-footerBytes]), make([]byte, footerBytes)...), "damaged footer"},
		{"another run of the same name and size", other.good, "not the file that the manifest names"},
	} {
		if c.name == "another run of the same name and size" && len(other.good) != len(d.good) {
			c.want = "bytes long"
		}
		_, _, err := d.open(c.file)
		wantKind(t, err, meter.KindCorrupt, c.name)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, want %q", c.name, err, c.want)
		}
	}
	if s, _, err := d.open(swapped); err != nil {
		t.Errorf("swapped pages are found when they are read: %v", err)
	} else {
		_, _, err := s.Lookup(sorted(d.es)[0].Hash, 0)
		wantKind(t, err, meter.KindCorrupt, "a page in another's place")
		mustClose(t, s)
	}
	_, err := Open(vfs.NewMem(), "ids", []RunInfo{d.info}, Options{})
	wantKind(t, err, meter.KindCorrupt, "a missing run")
	for _, manifest := range [][]RunInfo{{{}}, {d.info, d.info}} {
		_, err := Open(vfs.NewMem(), "ids", manifest, Options{})
		wantKind(t, err, meter.KindCorrupt, "a senseless manifest")
	}
}

// TestFailedOpenDeletesNothing: the manifest may be the one that is wrong.
func TestFailedOpenDeletesNothing(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 100)
	fs := vfs.NewMem()
	names := []string{runName(d.info.ID), runName(77), tempName(78)}
	for _, name := range names {
		writeFile(t, fs, name, d.good)
	}
	missing := d.info
	missing.ID = 5
	_, err := Open(fs, "ids", []RunInfo{d.info, missing}, Options{})
	wantKind(t, err, meter.KindCorrupt, "a missing run")
	if got := filesIn(t, fs, "ids"); !slices.Equal(got, names) {
		t.Errorf("files %v, want %v", got, names)
	}
}

func TestOpenLeavesStrangersAlone(t *testing.T) {
	t.Parallel()
	d := newDamaged(t, 100)
	fs := vfs.NewMem()
	writeFile(t, fs, runName(d.info.ID), d.good)
	for _, name := range []string{runName(77), tempName(78), tempName(d.info.ID), "notes.txt", "1.run", "x.run", "000000000001.run.bak"} {
		writeFile(t, fs, name, []byte("x"))
	}
	s := mustOpen(t, fs, []RunInfo{d.info}, Options{RecentSlots: 200})
	defer mustClose(t, s)
	want := []string{runName(d.info.ID), "000000000001.run.bak", "1.run", "notes.txt", "x.run"}
	slices.Sort(want)
	if got := filesIn(t, fs, "ids"); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if info := seal(t, s, entries(fixedtest.Rand(t), 10, randomHash)); info.ID != 79 {
		t.Errorf("run %d follows 78", info.ID)
	}
}
