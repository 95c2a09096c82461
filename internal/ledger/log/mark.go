package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/disk"
)

// Mark remembers where the log ends. A write-ahead log that is gone, or cut where
// a chunk ends, looks to the engine like one to which nothing more was written.
// The mark knows better: a small file beside the stores, written in place after
// each sync with what is durable since then, and never before. It is synced at
// checkpoints only: a power failure may leave an older one, which is a lower
// bound as well.
//
//	acknowledged:8 checkpoint:8 checksum:4     little-endian
//
// acknowledged is the last sequence of the log, checkpoint the one to which the
// state was written.
type Mark struct {
	mu           sync.Mutex
	file         vfs.File
	acknowledged uint64
	checkpoint   uint64
	failed       bool // a write of it failed, which has been told
}

const markSize = 20

var markTable = crc32.MakeTable(crc32.Castagnoli)

// Open reads the mark or makes the file, and returns what it says. A mark that
// is damaged says nothing.
func (m *Mark) Open(fsys vfs.FS, path string) (acknowledged, checkpoint uint64, damaged bool, err error) {
	_, missing := fsys.Stat(path)
	if m.file = nil; missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return 0, 0, false, fmt.Errorf("read %s: %w", path, missing)
	}
	if m.file, err = fsys.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
		return 0, 0, false, fmt.Errorf("open %s: %w", path, err)
	}
	if missing != nil {
		return 0, 0, false, disk.SyncDir(fsys, fsys.PathDir(path))
	}
	var b [markSize]byte
	n, err := m.file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, false, fmt.Errorf("read %s: %w", path, err)
	}
	if n == 0 {
		return 0, 0, false, nil
	}
	if n < markSize || binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], markTable) {
		return 0, 0, true, nil
	}
	m.acknowledged, m.checkpoint = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	return m.acknowledged, m.checkpoint, false, nil
}

// Note stores what is durable now. An older mark is one too, so that a failure
// is told once and takes nothing away.
func (m *Mark) Note(acknowledged, checkpoint uint64, sync bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil || m.failed {
		return nil
	}
	m.acknowledged, m.checkpoint = max(m.acknowledged, acknowledged), max(m.checkpoint, checkpoint)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, markSize), m.acknowledged)
	b = binary.LittleEndian.AppendUint64(b, m.checkpoint)
	_, err := m.file.WriteAt(binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, markTable)), 0)
	if err == nil && sync {
		err = m.file.Sync()
	}
	m.failed = err != nil
	return err
}

// Reset takes the mark back to what is there.
func (m *Mark) Reset(acknowledged, checkpoint uint64) {
	m.acknowledged, m.checkpoint = acknowledged, checkpoint
}

// Close releases the file.
func (m *Mark) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}
