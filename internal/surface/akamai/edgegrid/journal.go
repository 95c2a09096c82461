package edgegrid

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Journal keeps the nonces of the last minute in a file, so that a server that
// was killed does not take a request a second time after it has started again.
//
//	file   = *record, in order of use; a torn one at the end is left out
//	record = hash of client and nonce (16 bytes) | until when it counts (8 bytes, big-endian, nanoseconds since 1970)
//
// It is written without a sync: what a process wrote survives its end, and a
// machine that loses power is away for longer than a timestamp is good. A
// write that fails costs the memory over a restart, not the request.
type Journal struct {
	path string
	file *os.File
	size int64
	left []nonceUse // what was in the file at the start and still counts
}

const recordBytes = 24

// journalSlack is how much the file may hold beside twice what still counts.
const journalSlack = 1 << 20

// OpenJournal reads the file, which need not be there, and leaves out what
// counts no more. One process may have it open.
func OpenJournal(path string, now time.Time) (*Journal, error) {
	j := &Journal{path: path}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for ; len(text) >= recordBytes; text = text[recordBytes:] {
		u := nonceUse{key: nonceKey(text[:16]), until: time.Unix(0, int64(binary.BigEndian.Uint64(text[16:recordBytes])))}
		if !now.After(u.until) {
			j.left = append(j.left, u)
		}
	}
	return j, j.rewrite(j.left)
}

// rewrite makes the file hold these uses only.
func (j *Journal) rewrite(uses []nonceUse) error {
	text := make([]byte, 0, len(uses)*recordBytes)
	for i := range uses {
		text = appendRecord(text, &uses[i])
	}
	next := j.path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, j.path); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size = file, int64(len(text))
	return nil
}

// note writes one more use; live are all that still count, this one included.
func (j *Journal) note(u *nonceUse, live []nonceUse) {
	if j.size > 2*int64(len(live))*recordBytes+journalSlack {
		if j.rewrite(live) == nil {
			return
		}
	}
	if n, err := j.file.Write(appendRecord(nil, u)); err == nil {
		j.size += int64(n)
	}
}

func appendRecord(text []byte, u *nonceUse) []byte {
	text = append(text, u.key[:]...)
	return binary.BigEndian.AppendUint64(text, uint64(u.until.UnixNano()))
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
