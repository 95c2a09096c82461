package idset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// run is an open sealed run. It never changes but for its counters, which
// Set.mu guards.
type run struct {
	set    *Set
	info   RunInfo
	file   vfs.File
	foot   footer
	index  []uint64 // high half of the first hash of each page
	filter *filter
	born   uint64 // version of the set at which its identities became sealed

	refs    int  // views and merges that use it
	merging bool // input of a merge that is neither installed nor aborted
}

// openRun opens a run that a manifest names.
func (s *Set) openRun(info RunInfo) (*run, error) {
	name := runName(info.ID)
	file, err := s.fs.Open(s.path(name), vfs.RandomReadsOption)
	if isNotExist(err) {
		return nil, meter.WrapError(meter.KindCorrupt, err, "identity run %s is missing", name)
	}
	if err != nil {
		return nil, storageError(err, "open %s", name)
	}
	r := &run{set: s, info: info, file: file, born: 1}
	if err := r.load(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// load reads footer, index and filter.
func (r *run) load() error {
	stat, err := r.file.Stat()
	if err != nil {
		return storageError(err, "stat %s", r.name())
	}
	if uint64(stat.Size()) != r.info.Bytes || r.info.Bytes < footerBytes {
		return r.corrupt(nil, "is %d bytes long, want %d", stat.Size(), r.info.Bytes)
	}
	b := make([]byte, footerBytes)
	if err := r.read(b, r.info.Bytes-footerBytes); err != nil {
		return err
	}
	r.foot, err = decodeFooter(b)
	if err != nil {
		return r.corrupt(err, "has a damaged footer")
	}
	if r.foot.run != r.info.ID || r.foot.entries != r.info.Entries || r.foot.size() != r.info.Bytes || footerSum(b) != r.info.Checksum {
		return r.corrupt(nil, "is not the file that the manifest names")
	}
	r.setIndex(make([]uint64, r.foot.pages))
	r.filter = newFilter(r.foot.blocks, &r.set.memory)
	indexErr, err := r.loadIndex()
	if err != nil {
		return err
	}
	filterErr, err := r.loadFilter()
	if err != nil {
		return err
	}
	if indexErr == nil && filterErr == nil {
		return nil
	}
	if err := r.rebuild(); err != nil {
		return err
	}
	r.report("index", indexErr)
	r.report("filter", filterErr)
	return nil
}

// report tells of a part that was made anew, if err is not nil.
func (r *run) report(part string, err error) {
	if err != nil && r.set.opt.OnRepair != nil {
		r.set.opt.OnRepair(Repair{File: r.name(), Part: part, Err: err})
	}
}

func (r *run) setIndex(index []uint64) {
	r.index = index
	r.set.memory.Add(int64(indexBytes * cap(index)))
}

// loadIndex reads the index; damage is what it is worth rebuilding for.
func (r *run) loadIndex() (damage, err error) {
	sum := xxhash.New()
	at := 0
	err = r.readChunks(r.foot.indexAt(), indexBytes*r.foot.pages, func(b []byte) {
		_, _ = sum.Write(b)
		for ; len(b) > 0; b = b[indexBytes:] {
			r.index[at] = binary.LittleEndian.Uint64(b)
			at++
		}
	})
	if err == nil && sum.Sum64() != r.foot.indexSum {
		damage = errors.New("the page index fails its checksum")
	}
	return damage, err
}

func (r *run) loadFilter() (damage, err error) {
	sum := xxhash.New()
	at := 0
	err = r.readChunks(r.foot.filterAt(), filterBlockBytes*r.foot.blocks, func(b []byte) {
		_, _ = sum.Write(b)
		at = r.filter.decode(b, at)
	})
	if err == nil && sum.Sum64() != r.foot.blockSum {
		damage = errors.New("the filter fails its checksum")
	}
	return damage, err
}

// rebuild makes index and filter from the pages.
func (r *run) rebuild() error {
	clear(r.filter.blocks)
	it := newPageReader(r, 0, r.foot.pages)
	for it.next() {
		r.index[it.page-1] = it.entries[0].Hash.Hi
		for i := range it.entries {
			r.filter.add(it.entries[i].Hash)
		}
	}
	return it.err
}

func (r *run) name() string { return runName(r.info.ID) }

func (r *run) corrupt(err error, format string, args ...any) error {
	return meter.WrapError(meter.KindCorrupt, err, "identity run %s %s", r.name(), fmt.Sprintf(format, args...))
}

// read fills b from offset at on.
func (r *run) read(b []byte, at uint64) error {
	n, err := r.file.ReadAt(b, int64(at))
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return r.corrupt(err, "ends at byte %d, inside its data", at+uint64(n))
	}
	return storageError(err, "read %s at byte %d", r.name(), at)
}

// readChunks reads n bytes from offset at on in pieces that are multiples of 64.
func (r *run) readChunks(at, n uint64, fn func([]byte)) error {
	buf := make([]byte, min(n, writeChunk))
	for n > 0 {
		b := buf[:min(n, uint64(len(buf)))]
		if err := r.read(b, at); err != nil {
			return err
		}
		fn(b)
		at, n = at+uint64(len(b)), n-uint64(len(b))
	}
	return nil
}

// pagesOf returns the pages [from,to) that may hold hashes whose high half is
// in [lo,hi].
func (r *run) pagesOf(lo, hi uint64) (from, to uint64) {
	at := firstAtLeast(r.index, lo)
	end := at
	for end < len(r.index) && r.index[end] <= hi {
		end++
	}
	if at > 0 {
		at-- // starts before lo and may reach it
	}
	return uint64(at), uint64(end)
}

// firstAtLeast returns the position of the first value of x that is at least
// v, or len(x). Hashes are spread evenly, so it is near v's share of x: looking
// around there touches a few neighbours, where halving touches twenty places.
func firstAtLeast(x []uint64, v uint64) int {
	guess, _ := bits.Mul64(v, uint64(len(x)))
	lo, hi := int(guess), int(guess)
	for step := 8; lo > 0 && x[lo-1] >= v; step *= 4 {
		lo, hi = max(0, lo-step), lo-1
	}
	for step := 8; hi < len(x) && x[hi] < v; step *= 4 {
		lo, hi = hi+1, min(len(x), hi+step)
	}
	n, _ := slices.BinarySearch(x[lo:hi], v)
	return lo + n
}

var pageBuffers = sync.Pool{New: func() any { return new(pageBuffer) }}

// find looks h up in the pages. A page that cannot be trusted is an error,
// never an absence.
func (r *run) find(h block.Hash) (Entry, bool, error) {
	p := pageBuffers.Get().(*pageBuffer)
	defer pageBuffers.Put(p)
	from, to := r.pagesOf(h.Hi, h.Hi)
	for page := to; page > from; page-- {
		if e, ok, err := r.search(p, page-1, h); ok || err != nil {
			return e, ok, err
		}
	}
	return Entry{}, false, nil
}

func (r *run) search(p *pageBuffer, page uint64, h block.Hash) (Entry, bool, error) {
	if err := r.read(p[:pageBytes], page*pageBytes); err != nil {
		return Entry{}, false, err
	}
	if !pageIntact(p, r.info.ID, page) {
		return Entry{}, false, r.corrupt(nil, "page %d fails its checksum", page)
	}
	e, ok, err := searchPage(p, h)
	if err != nil {
		return Entry{}, false, r.corrupt(err, "page %d cannot be read", page)
	}
	return e, ok, nil
}

// reaches says whether index and filter lead to the entries of a page.
func (r *run) reaches(page uint64, entries []Entry) error {
	if r.index[page] != entries[0].Hash.Hi {
		return r.corrupt(nil, "has page %d in its index with another hash than it begins with", page)
	}
	for i := range entries {
		if r.filter.has(entries[i].Hash) == 0 {
			return r.corrupt(nil, "has an identity on page %d that its filter does not know", page)
		}
	}
	return nil
}

// close frees what the run holds; its file stays.
func (r *run) close() {
	_ = r.file.Close() // opened for reading only
	if r.filter != nil {
		r.filter.free()
	}
	r.set.memory.Add(-int64(indexBytes * cap(r.index)))
	r.index = nil
}

// pageReader reads the pages of a run in order, in large pieces.
type pageReader struct {
	run     *run
	page    uint64 // next
	end     uint64
	entries []Entry // of the page before
	at      int     // first of them not taken
	buf     []byte
	unread  []byte
	scratch pageBuffer
	last    block.Hash
	any     bool
	err     error
}

const readChunk = 256 << 10

// newPageReader reads the pages [from,to).
func newPageReader(r *run, from, to uint64) *pageReader {
	return &pageReader{run: r, page: from, end: to, entries: make([]Entry, 0, maxPageEntries), buf: make([]byte, min(readChunk, (to-from)*pageBytes))}
}

// next decodes the next page; false at the end or with err set.
func (it *pageReader) next() bool {
	if it.page == it.end || it.err != nil {
		return false
	}
	if len(it.unread) == 0 {
		it.unread = it.buf[:min(uint64(len(it.buf)), (it.end-it.page)*pageBytes)]
		if it.err = it.run.read(it.unread, it.page*pageBytes); it.err != nil {
			return false
		}
	}
	copy(it.scratch[:], it.unread[:pageBytes])
	it.unread = it.unread[pageBytes:]
	if !pageIntact(&it.scratch, it.run.info.ID, it.page) {
		it.err = it.run.corrupt(nil, "page %d fails its checksum", it.page)
		return false
	}
	var err error
	it.entries, err = decodePage(&it.scratch, it.entries[:0])
	if err != nil {
		it.err = it.run.corrupt(err, "page %d cannot be read", it.page)
		return false
	}
	for i := range it.entries {
		if it.any && !lessHash(it.last, it.entries[i].Hash) {
			it.err = it.run.corrupt(nil, "page %d is out of order", it.page)
			return false
		}
		it.last, it.any = it.entries[i].Hash, true
	}
	it.page++
	it.at = 0
	return true
}

// take returns the next entry of the page; it is good until the next page.
func (it *pageReader) take() *Entry {
	it.at++
	return &it.entries[it.at-1]
}
