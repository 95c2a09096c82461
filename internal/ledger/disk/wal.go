package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// The engine ends its reading of a write-ahead log at the first chunk that
// fails its checksum. Whether a write was torn there, or something durable was
// damaged, it tells by chunks in later blocks of 32 KiB that promise more; in
// the block of the damage itself it does not look, so that a flipped bit there
// took up to 32 KiB of acknowledged usage without a word. checkWAL looks.
//
// A chunk is, little-endian: checksum:4 length:2 kind:1 log:4 synced:8 payload.
// synced is how much of the file was durable when the chunk was written; kinds
// 5 to 8 lack it.

const (
	walBlock      = 32 << 10
	walOldHeader  = 11
	walHeader     = 19
	walOldKinds   = 5 // full, first, middle and last chunks without a synced offset
	walFirstKind  = 9 // the same with one
	walBehindKind = 13
)

var walTable = crc32.MakeTable(crc32.Castagnoli)

// checkWAL refuses the write-ahead logs in dir whose durable part is damaged.
// Damage of the very last writes cannot be told from a write that power
// interrupted.
func checkWAL(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, ".log")
		if !ok {
			continue
		}
		number, err := strconv.ParseUint(base, 10, 32)
		if err != nil {
			continue // none of the engine's
		}
		path := fsys.PathJoin(dir, name)
		b, err := readFile(fsys, path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if at, lost := damagedWAL(b, uint32(number)); lost {
			return meter.Errorf(meter.KindCorrupt, "the write-ahead log %s is damaged at byte %d of what was durable; restore a backup", path, at)
		}
	}
	return nil
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return b, err
}

// damagedWAL returns where the readable chunks of a log end, and whether a
// later chunk says that what is there was durable.
func damagedWAL(b []byte, number uint32) (at int, lost bool) {
	for at < len(b) {
		if room := min(walBlock-at%walBlock, len(b)-at); room < walHeader && len(bytes.Trim(b[at:at+room], "\x00")) == 0 {
			at += room // too little for another chunk
			continue
		}
		length, _, ok := walChunk(b, at, number)
		if !ok {
			break
		}
		at += length
	}
	for i := at + 1; i+walHeader <= len(b); i++ {
		if kind := b[i+6]; kind < walFirstKind || kind >= walBehindKind {
			continue
		}
		if _, synced, ok := walChunk(b, i, number); ok && synced > uint64(at) {
			return at, true
		}
	}
	return at, false
}

// walChunk reads the chunk at a position: its length with the header and the
// offset it promises.
func walChunk(b []byte, at int, number uint32) (length int, synced uint64, ok bool) {
	if len(b)-at < walOldHeader || binary.LittleEndian.Uint32(b[at+7:]) != number {
		return 0, 0, false
	}
	header := walOldHeader
	switch kind := b[at+6]; {
	case kind < walOldKinds || kind >= walBehindKind:
		return 0, 0, false
	case kind >= walFirstKind:
		header = walHeader
	}
	length = header + int(binary.LittleEndian.Uint16(b[at+4:]))
	if at%walBlock+length > walBlock || length > len(b)-at {
		return 0, 0, false
	}
	sum := crc32.Checksum(b[at+6:at+length], walTable)
	if binary.LittleEndian.Uint32(b[at:]) != (sum>>15|sum<<17)+0xa282ead8 {
		return 0, 0, false
	}
	if header == walHeader {
		synced = binary.LittleEndian.Uint64(b[at+walOldHeader:])
	}
	return length, synced, true
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
