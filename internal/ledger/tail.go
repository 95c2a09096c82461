package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// A write-ahead log that is gone, or cut where a chunk ends, looks to the
// engine like one to which nothing more was written. The tail mark knows
// better: a small file beside the stores, written in place after each sync with
// what is durable since then, and never before. It is synced at checkpoints only: a
// power failure may leave an older one, which is a lower bound as well.
//
//	acknowledged:8 checkpoint:8 checksum:4     little-endian
//
// acknowledged is the last sequence of the log, checkpoint the one to which the
// state was written.
type tailMark struct {
	mu           sync.Mutex
	path         string
	file         vfs.File
	acknowledged uint64
	checkpoint   uint64
	failed       bool // a write of it failed, which has been told
}

const (
	tailName = "TAIL"
	tailSize = 20
)

// open reads the mark or makes the file. A mark that cannot be told is none.
func (t *tailMark) open(fsys vfs.FS, path string) (damaged bool, err error) {
	_, missing := fsys.Stat(path)
	if t.path, t.file, err = path, nil, nil; missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return false, fmt.Errorf("read %s: %w", path, missing)
	}
	if t.file, err = fsys.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
		return false, fmt.Errorf("open %s: %w", path, err)
	}
	if missing != nil {
		return false, syncDir(fsys, fsys.PathDir(path))
	}
	var b [tailSize]byte
	n, err := t.file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	if n == 0 {
		return false, nil
	}
	if n < tailSize || binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], walTable) {
		return true, nil
	}
	t.acknowledged, t.checkpoint = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	return false, nil
}

// note stores what is durable now. An older mark is one too, so that a failure
// is told once and takes nothing away.
func (t *tailMark) note(acknowledged, checkpoint uint64, sync bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil || t.failed {
		return nil
	}
	t.acknowledged, t.checkpoint = max(t.acknowledged, acknowledged), max(t.checkpoint, checkpoint)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, tailSize), t.acknowledged)
	b = binary.LittleEndian.AppendUint64(b, t.checkpoint)
	_, err := t.file.WriteAt(binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, walTable)), 0)
	if err == nil && sync {
		err = t.file.Sync()
	}
	t.failed = err != nil
	return err
}

// reset takes the mark back to what is there.
func (t *tailMark) reset(acknowledged, checkpoint uint64) {
	t.acknowledged, t.checkpoint = acknowledged, checkpoint
}

func (t *tailMark) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// noteTail keeps the mark; either number may be 0.
func (l *Ledger) noteTail(acknowledged, checkpoint uint64, sync bool) {
	if err := l.mark.note(acknowledged, checkpoint, sync); err != nil {
		l.logger.Warn("the tail mark cannot be written: a loss of the log's end would not be noticed", "file", l.mark.path, "error", err)
	}
}

// checkTail compares what the stores hold with what the mark says they held.
// last is the end of the log, applied that of the state; fresh says that the
// state was made just now, to be folded anew.
func (l *Ledger) checkTail(last, applied uint64, fresh bool) error {
	damaged, err := l.mark.open(l.fs, filepath.Join(l.dir, tailName))
	if err != nil {
		return err
	}
	if damaged {
		l.logger.Warn("the tail mark is damaged: whether the log has lost its end cannot be told", "file", l.mark.path)
	}
	if want := l.mark.acknowledged; want > last {
		return meter.Errorf(meter.KindCorrupt, "blocks %d to %d were acknowledged and are not there: the log ends at %d, a write-ahead log (%s) is missing or cut short; "+
			"put it back or restore a backup. To go on without them, remove %s", last+1, want, last, filepath.Join(l.dir, logFolder, "*.log"), l.mark.path)
	}
	if want := l.mark.checkpoint; want > applied && !fresh {
		return meter.Errorf(meter.KindCorrupt, "the state was written up to block %d and now ends at %d: a write-ahead log (%s) is missing or cut short; "+
			"put it back, restore a backup, or remove the folders %s and %s of %s to have the log counted anew",
			want, applied, filepath.Join(l.dir, stateFolder, "*.log"), stateFolder, runFolder, l.dir)
	}
	l.mark.reset(last, applied)
	l.noteTail(last, applied, false)
	return nil
}

// checkLogs refuses a store that has tables and no write-ahead log: the
// engine makes the next one before it removes the last.
func checkLogs(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	tables := false
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			return nil
		}
		tables = tables || strings.HasSuffix(name, ".sst")
	}
	if tables {
		return meter.Errorf(meter.KindCorrupt, "%s has tables and no write-ahead log: files are missing; put them back or restore a backup", dir)
	}
	return nil
}

// walReach is how much of the log's end may have been in write-ahead logs only:
// the memtables that may wait, and one that is being filled.
const walReach = 4 * 32 << 20

// checkReach makes sure that no entry is missing in what write-ahead logs may
// have held: the engine passes over one that is gone between two others.
func (l *localLog) checkReach() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logEntryPrefix}, UpperBound: []byte{logEntryPrefix + 1}})
	if err != nil {
		return fmt.Errorf("read the end of the log: %w", err)
	}
	next, size := l.last+1, 0 // next is the lowest sequence seen
	for ok := it.Last(); ok && size < walReach; ok = it.Prev() {
		size += len(it.Key()) + len(it.Value())
		seq := binary.BigEndian.Uint64(it.Key()[1:9])
		if seq+1 < next {
			if _, err := l.Header(next - 1); meter.KindOf(err) == meter.KindNotFound {
				return errors.Join(meter.Errorf(meter.KindCorrupt, "blocks up to %d are missing in the log, which ends at %d: a write-ahead log is missing; put it back or restore a backup",
					next-1, l.last), it.Close())
			}
			break // merged from here on, so in tables for long
		}
		next = seq
	}
	if err := it.Close(); err != nil {
		return unreadable(err, "the end of the log cannot be read")
	}
	return nil
}
