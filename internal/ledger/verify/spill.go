package verify

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// spillFolder holds what does not fit the memory, in the folder that the caller
// names. Nothing else is ever in it: what a run that was killed left is removed.
const spillFolder = "verify-spill"

// spill is the temporary folder of one verification.
type spill struct {
	above string // the caller's folder, "" = the system's

	mu  sync.Mutex
	dir string // "" until it is made
}

// newSpill removes what an earlier run left in a folder.
func newSpill(above string) (*spill, error) {
	if above == "" {
		return &spill{}, nil
	}
	if err := os.RemoveAll(filepath.Join(above, spillFolder)); err != nil {
		return nil, fmt.Errorf("remove temporary files of an earlier verification: %w", err)
	}
	return &spill{above: above}, nil
}

// close removes all that was written.
func (s *spill) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove temporary files: %w", err)
	}
	return nil
}

// path is where a file is; the folder is made when it is first needed.
func (s *spill) path(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		return filepath.Join(s.dir, name), nil
	}
	dir := filepath.Join(s.above, spillFolder)
	var err error
	if s.above == "" {
		dir, err = os.MkdirTemp("", "odometer-verify-")
	} else {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", meter.WrapError(meter.KindUnavailable, err, "no folder for temporary files can be made")
	}
	s.dir = dir
	return filepath.Join(dir, name), nil
}

// free returns the free bytes of the disk; ok is false where that cannot be told.
func (s *spill) free() (free uint64, where string, ok bool) {
	if where = s.above; where == "" {
		where = os.TempDir()
	}
	usage, err := vfs.Default.GetDiskUsage(where)
	return usage.AvailBytes, where, err == nil
}

// check refuses to write so many bytes to a disk that has no room for them.
func (s *spill) check(need int64) error {
	free, where, ok := s.free()
	if !ok || free >= uint64(need) {
		return nil
	}
	return meter.Errorf(meter.KindStorageFull,
		"the disk of %s is too full: verification in this much memory takes up to %d bytes of temporary files, %d are free, %d bytes are missing",
		where, need, free, uint64(need)-free)
}

// part is one temporary file: frames of length:4 checksum:8 payload, all little
// endian. What it holds in memory is not in the file yet.
type part struct {
	spill  *spill
	name   string
	size   int64
	buffer []byte
}

const frameHead = 12

// add appends a record; it is written when the buffer is full. Records lie whole in a frame.
func (p *part) add(record []byte, most int) error {
	if len(p.buffer) > 0 && len(p.buffer)+len(record) > most {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if len(p.buffer) == 0 {
		p.buffer = append(p.buffer, make([]byte, frameHead)...)
	}
	p.buffer = append(p.buffer, record...)
	return nil
}

// flush writes the buffer as a frame and lets go of it.
func (p *part) flush() error {
	if len(p.buffer) <= frameHead {
		return nil
	}
	path, err := p.spill.path(p.name)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(p.buffer, uint32(len(p.buffer)-frameHead))
	binary.LittleEndian.PutUint64(p.buffer[4:], xxhash.Sum64(p.buffer[frameHead:]))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(p.buffer)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return meter.WrapError(meter.KindUnavailable, err, "a temporary file cannot be written")
	}
	p.size += int64(len(p.buffer))
	p.buffer = nil
	return nil
}

// frames calls fn for each frame of the file; the payload is only valid during the call.
func (p *part) frames(fn func(payload []byte) error) error {
	if err := p.flush(); err != nil || p.size == 0 {
		return err
	}
	path, err := p.spill.path(p.name)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return p.unreadable(err)
	}
	defer func() { _ = f.Close() }() // read only
	in := bufio.NewReaderSize(f, 64<<10)
	var head [frameHead]byte
	var payload []byte
	for left := p.size; left > 0; left -= frameHead + int64(len(payload)) {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return p.unreadable(err)
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		if n > left-frameHead {
			return p.unreadable(errDamaged)
		}
		if int64(cap(payload)) < n {
			payload = make([]byte, n)
		}
		payload = payload[:n]
		if _, err := io.ReadFull(in, payload); err != nil {
			return p.unreadable(err)
		}
		if xxhash.Sum64(payload) != binary.LittleEndian.Uint64(head[4:]) {
			return p.unreadable(errDamaged)
		}
		if err := fn(payload); err != nil {
			return err
		}
	}
	return nil
}

// errDamaged is no damage of what is verified.
var errDamaged = errors.New("it is not what was written")

func (p *part) unreadable(err error) error {
	return meter.Errorf(meter.KindUnavailable, "the temporary file %s cannot be read: %v", p.name, err)
}

// remove deletes the file.
func (p *part) remove() error {
	p.buffer = nil
	if p.size == 0 {
		return nil
	}
	p.size = 0
	path, err := p.spill.path(p.name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove a temporary file: %w", err)
	}
	return nil
}
