package idset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
)

const (
	writeChunk = 256 << 10 // bytes handed to the file at a time
	syncChunk  = 1 << 20   // bytes after which writing back is begun, so that the final sync is short
)

// runWriter writes one run front to back: pages, index, filter, footer. The
// filter is in memory, where the finished run needs it; everything else is bounded.
type runWriter struct {
	file    vfs.File
	buf     []byte
	page    pageBuilder
	index   []uint64
	filter  *filter
	foot    footer
	last    block.Hash
	written uint64
}

func newRunWriter(file vfs.File, run, entries uint64, bitsPerID int, total *atomic.Int64) *runWriter {
	return &runWriter{
		file:   vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: syncChunk}),
		buf:    make([]byte, 0, writeChunk),
		page:   pageBuilder{entries: make([]Entry, 0, maxPageEntries)},
		index:  make([]uint64, 0, entries/128+1),
		filter: newFilter(filterBlocks(entries, bitsPerID), total),
		foot:   footer{run: run},
	}
}

// add appends e, which must come after everything added before.
func (w *runWriter) add(e *Entry) error {
	if w.foot.entries > 0 && !lessHash(w.last, e.Hash) {
		return errors.New("identities out of order")
	}
	if !w.page.add(e) {
		if err := w.flushPage(); err != nil {
			return err
		}
		w.page.add(e)
	}
	w.filter.add(e.Hash)
	w.foot.entries++
	w.last = e.Hash
	return nil
}

func (w *runWriter) flushPage() error {
	if len(w.buf)+pageBytes > cap(w.buf) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.index = append(w.index, w.page.entries[0].Hash.Hi)
	n := len(w.buf)
	w.buf = w.buf[:n+pageBytes]
	w.page.encode(w.buf[n:], w.foot.run, w.foot.pages)
	w.foot.pages++
	return nil
}

func (w *runWriter) flush() error {
	n, err := w.file.Write(w.buf)
	w.written += uint64(n)
	w.buf = w.buf[:0]
	return err
}

// finish writes what follows the pages and syncs. It returns the footer's checksum.
func (w *runWriter) finish() (uint64, error) {
	if len(w.page.entries) > 0 {
		if err := w.flushPage(); err != nil {
			return 0, err
		}
	}
	sum := xxhash.New()
	for _, hi := range w.index {
		if err := w.room(indexBytes); err != nil {
			return 0, err
		}
		w.buf = binary.LittleEndian.AppendUint64(w.buf, hi)
		_, _ = sum.Write(w.buf[len(w.buf)-indexBytes:])
	}
	w.foot.indexSum = sum.Sum64()
	sum.Reset()
	w.foot.blocks = uint64(len(w.filter.blocks))
	for at := 0; at < len(w.filter.blocks); {
		if err := w.room(filterBlockBytes); err != nil {
			return 0, err
		}
		n := len(w.buf)
		w.buf, at = w.filter.encode(w.buf, at)
		_, _ = sum.Write(w.buf[n:])
	}
	w.foot.blockSum = sum.Sum64()
	if err := w.room(footerBytes); err != nil {
		return 0, err
	}
	foot := w.foot.encode()
	w.buf = append(w.buf, foot...)
	if err := w.flush(); err != nil {
		return 0, err
	}
	if w.written != w.foot.size() {
		return 0, fmt.Errorf("wrote %d bytes, want %d", w.written, w.foot.size())
	}
	return footerSum(foot), w.file.Sync()
}

// room makes the buffer take n more bytes.
func (w *runWriter) room(n int) error {
	if len(w.buf)+n > cap(w.buf) {
		return w.flush()
	}
	return nil
}

// createRun writes a run of at most entries identities, which fill adds in
// order, under a temporary name, and gives it its own name once it is complete
// and synced. On error nothing is left but perhaps an unnamed file.
func (s *Set) createRun(entries uint64, tier int, fill func(*runWriter) error) (_ *run, err error) {
	id := s.nextID.Add(1) - 1
	tmp, name := s.path(tempName(id)), s.path(runName(id))
	file, err := s.fs.Create(tmp, writeCategory)
	if err != nil {
		return nil, storageError(err, "create %s", tempName(id))
	}
	w := newRunWriter(file, id, entries, s.opt.BitsPerID, &s.memory)
	defer func() {
		if err != nil {
			w.filter.free()
			_ = s.fs.Remove(tmp)
			_ = s.fs.Remove(name)
		}
	}()
	var sum uint64
	if err = fill(w); err == nil {
		sum, err = w.finish()
	}
	if err2 := file.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = s.fs.Rename(tmp, name)
	}
	if err == nil {
		err = s.syncDir(s.dir)
	}
	if err == nil {
		file, err = s.fs.Open(name, vfs.RandomReadsOption)
	}
	if err != nil {
		return nil, storageError(err, "write %s", runName(id))
	}
	r := &run{set: s, file: file, foot: w.foot, filter: w.filter,
		info: RunInfo{ID: id, Entries: w.foot.entries, Bytes: w.foot.size(), Tier: tier, Checksum: sum}}
	r.setIndex(slices.Clone(w.index))
	return r, nil
}
