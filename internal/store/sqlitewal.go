package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"odometer/internal/meter"
)

// SQLite reads its write-ahead log up to the first frame that fails its
// checksum and takes that for the end: after a crash, one damaged frame would
// silently take back every change after it, which were acknowledged. Frames
// that are whole after it tell the two apart: each change is synced before the
// next is written, so that what power interrupts has no later change behind it.
//
// The log is a header of 32 bytes, magic:4 version:4 page:4 checkpoint:4
// salt:8 checksum:8, and frames, each a header of 24 bytes, page:4 size:4
// salt:8 checksum:8, and a page; numbers are big-endian. A size that is not 0
// ends a change. A frame's checksum goes on from that of the frame before.

const (
	walHeaderBytes = 32
	walFrameBytes  = 24
	walMagic       = 0x377f0682 // the lowest bit: checksums are over big-endian words
	walMaxPage     = 65536
)

// checkSQLiteWAL refuses the catalog at path if changes that were
// acknowledged are cut off by damage of its write-ahead log.
func checkSQLiteWAL(path string) (err error) {
	file, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return checkNoWAL(path)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	frame, lost, err := damagedFrame(file)
	if err != nil {
		return fmt.Errorf("read %s-wal: %w", path, err)
	}
	if lost > 0 {
		return meter.Errorf(meter.KindCorrupt, "the catalog's write-ahead log %s-wal is damaged at frame %d: %d whole frames after it hold changes that were acknowledged and would be lost; "+
			"restore a backup, or move the file and %s-shm away to go on without them", path, frame, lost, path)
	}
	return nil
}

// checkNoWAL refuses the catalog at path if its write-ahead log was taken
// away. SQLite makes the log before the -shm file and removes it after that, so
// a -shm file alone is that of a process which was killed and had a log.
// Somebody may open or close the catalog just now, with SQLite's own shell,
// say: the log has to be missing while one and the same -shm file is there.
func checkNoWAL(path string) error {
	for {
		before, err := os.Stat(path + "-shm")
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := os.Stat(path + "-wal"); err == nil {
			return nil // of who has the catalog open
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		after, err := os.Stat(path + "-shm")
		if err == nil && os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()) {
			break
		}
	}
	return meter.Errorf(meter.KindCorrupt, "the catalog's write-ahead log %s-wal is gone, and %s-shm says that the catalog was not closed: changes that were acknowledged would be lost; "+
		"put the log back, restore a backup, or move %s-shm away to go on without them", path, path, path)
}

// damagedFrame returns the first frame, from 1, that fails its checksum (0 =
// the header), and how many whole frames after it show that what is there was durable.
func damagedFrame(r io.Reader) (frame, lost int, err error) {
	var header [walHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, ignoreEnd(err)
	}
	w := walReader{page: int(binary.BigEndian.Uint32(header[8:])), big: header[3]&1 == 1, salt: [8]byte(header[16:24])}
	if w.page == 1 {
		w.page = walMaxPage
	}
	sum := w.sum([2]uint32{}, header[:24])
	broken := binary.BigEndian.Uint32(header[:])&^1 != walMagic || sum != pair(header[24:]) || w.page < 512 || w.page > walMaxPage
	if broken {
		// The first frame has the salt too; the page size is SQLite's default.
		w.page, w.unsure = 4096, true
	}
	ended := false // a frame from the damage on ends a change
	buffer := make([]byte, walFrameBytes+w.page)
	last := sum
	for n := 1; ; n++ {
		if _, err := io.ReadFull(r, buffer); err != nil {
			return frame, lost, ignoreEnd(err)
		}
		if n == 1 && w.unsure {
			w.salt = [8]byte(buffer[8:16])
		}
		ours := [8]byte(buffer[8:16]) == w.salt
		ok := ours && w.sum(w.sum(last, buffer[:8]), buffer[walFrameBytes:]) == pair(buffer[16:24])
		if !ok && !broken {
			broken, frame = true, n
		}
		if ok && ended {
			lost++
		}
		ended = ended || broken && ours && binary.BigEndian.Uint32(buffer[4:8]) != 0
		last = pair(buffer[16:24]) // a later frame goes on from what is stored
	}
}

type walReader struct {
	page   int
	big    bool
	salt   [8]byte
	unsure bool // the header is damaged
}

func pair(b []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// sum is SQLite's checksum of bytes in eights, going on from another.
func (w *walReader) sum(s [2]uint32, b []byte) [2]uint32 {
	word := binary.LittleEndian.Uint32
	if w.big {
		word = binary.BigEndian.Uint32
	}
	for ; len(b) >= 8; b = b[8:] {
		s[0] += word(b) + s[1]
		s[1] += word(b[4:]) + s[0]
	}
	return s
}

// ignoreEnd makes the end of the file, also in the middle of a frame, no error.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
