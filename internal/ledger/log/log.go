// Package log keeps the entries of the ledger: what was appended, durably and
// in order, and nothing of what is made of it. Everything else is a fold of it.
package log

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/meter"
)

// Entry is one block of the log: its header and its body as stored.
type Entry struct {
	Sequence uint64
	Header   []byte
	Body     []byte
}

// Reader reads the entries of a log by their sequences, which start at 1 and
// have no gaps.
type Reader interface {
	// Last returns the sequence and header of the last entry; 0 and nil when empty.
	Last() (sequence uint64, header []byte, err error)
	// Header returns the header of one entry; the caller owns the slice.
	// KindNotFound if there is no such entry, KindCorrupt if it cannot be read.
	Header(sequence uint64) ([]byte, error)
	// Body returns the body of one entry; as Header otherwise.
	Body(sequence uint64) ([]byte, error)
}

// Log is the ordered, durable sequence of one shard's entries. The local form
// is a Pebble instance; replicated forms implement the same contract.
type Log interface {
	Reader
	// Append makes the entries durable in order, all or none. The first one's
	// sequence is Last()+1. A failure that leaves the outcome unknown must
	// end the process: nothing in doubt is answered.
	Append(entries []Entry) error
	// Compactor returns what rewrites cold small entries into merged blocks of
	// about so many rows of an organization. Entries that are found damaged
	// stay where they are, and damage is told of them.
	Compactor(rows int, damage func(h *block.Header, err error)) (*Compactor, error)
	// Meta returns a value stored with SetMeta, nil if absent.
	Meta(key string) ([]byte, error)
	// SetMeta durably stores a small value beside the entries (the hash key, the format).
	SetMeta(key string, value []byte) error
	// Checkpoint writes a consistent copy of the log into dir, which must not exist.
	Checkpoint(dir string) error
	// Close releases the log.
	Close() error
}

// local is the log in a directory of this host. It keeps two keys an entry, sequence first so that keys only
// grow and compactions move tables instead of rewriting them:
//
//	'e' seq:8 'b' -> body        'e' seq:8 'h' -> header        'm' name -> meta
//
// Cold small entries are kept as parts of merged blocks, see merged.go.
type local struct {
	db   *pebble.DB
	last uint64
	runs runCache
}

var _ Log = (*local)(nil)

const (
	logEntryPrefix = 'e'
	logMetaPrefix  = 'm'
	logBody        = 'b'
	logHeader      = 'h'
)

// Open opens or creates the log in dir. The event size is bounded by
// the limits of ingest, so one memtable holds many groups.
func Open(fsys vfs.FS, dir string, w disk.Watcher, merges *disk.Merges, cache *pebble.Cache) (Log, error) {
	opts := &pebble.Options{Cache: cache, LBaseMaxBytes: 512 << 20}
	// Bodies are compressed column by column already.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range opts.TargetFileSizes {
		opts.TargetFileSizes[i] = 64 << 20
	}
	db, err := disk.Open(fsys, dir, "log", w, merges, opts)
	if err != nil {
		return nil, err
	}
	l := &local{db: db}
	err = l.findLast()
	if err == nil {
		err = l.checkReach()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

func (l *local) findLast() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logEntryPrefix}, UpperBound: []byte{logEntryPrefix + 1}})
	if err != nil {
		return fmt.Errorf("read the end of the log: %w", err)
	}
	if it.Last() {
		l.last = binary.BigEndian.Uint64(it.Key()[1:9])
	}
	if err := it.Close(); err != nil {
		return disk.Unreadable(err, "the end of the log cannot be read")
	}
	return nil
}

func logKey(seq uint64, kind byte) []byte {
	k := make([]byte, 10)
	k[0] = logEntryPrefix
	binary.BigEndian.PutUint64(k[1:], seq)
	k[9] = kind
	return k
}

// Append implements Log.
func (l *local) Append(entries []Entry) error {
	size := 0
	for _, e := range entries {
		size += len(e.Header) + len(e.Body) + 64
	}
	b := l.db.NewBatchWithSize(size)
	defer b.Close()
	for _, e := range entries {
		if e.Sequence != l.last+1 {
			return fmt.Errorf("append entry %d after %d: sequences must not skip", e.Sequence, l.last)
		}
		l.last = e.Sequence
		if err := set(b, logKey(e.Sequence, logBody), e.Body); err != nil {
			return err
		}
		if err := set(b, logKey(e.Sequence, logHeader), e.Header); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return nil
}

// set writes through the deferred form, which copies the value once.
func set(b *pebble.Batch, key, value []byte) error {
	op := b.SetDeferred(len(key), len(value))
	copy(op.Key, key)
	copy(op.Value, value)
	return op.Finish()
}

// Last implements Reader.
func (l *local) Last() (uint64, []byte, error) {
	if l.last == 0 {
		return 0, nil, nil
	}
	h, err := l.Header(l.last)
	return l.last, h, err
}

// readTries is how often a read is tried that fails without damage.
const readTries = 3

func (l *local) get(key []byte, what string, seq uint64) ([]byte, error) {
	v, closer, err := l.db.Get(key)
	for try := 1; try < readTries && err != nil && !errors.Is(err, pebble.ErrNotFound) && !disk.Damaged(err); try++ {
		v, closer, err = l.db.Get(key)
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, meter.Errorf(meter.KindNotFound, "%s %d is not in the log", what, seq)
	}
	if err != nil {
		return nil, disk.Unreadable(err, "%s %d of the log cannot be read", what, seq)
	}
	out := append([]byte(nil), v...)
	if err := closer.Close(); err != nil {
		return nil, disk.Unreadable(err, "%s %d of the log cannot be read", what, seq)
	}
	return out, nil
}

// Body implements Reader.
func (l *local) Body(seq uint64) ([]byte, error) {
	return l.entry(seq, logBody, "block", l.mergedBody)
}

// Header implements Reader.
func (l *local) Header(seq uint64) ([]byte, error) {
	return l.entry(seq, logHeader, "header of block", l.mergedHeader)
}

// entry reads a part of an entry under its own key, else from its merged
// block: merging removes the one in the batch that adds the other.
func (l *local) entry(seq uint64, kind byte, what string, merged func(uint64) ([]byte, error)) ([]byte, error) {
	if l.runs.find(seq) != nil {
		if v, err := merged(seq); v != nil || err != nil {
			return v, err
		}
	}
	v, err := l.get(logKey(seq, kind), what, seq)
	if meter.KindOf(err) != meter.KindNotFound {
		return v, err
	}
	if v, merr := merged(seq); v != nil || merr != nil {
		return v, merr
	}
	return nil, err
}

// Meta implements Log.
func (l *local) Meta(key string) ([]byte, error) {
	v, err := l.get(append([]byte{logMetaPrefix}, key...), "meta", 0)
	if meter.KindOf(err) == meter.KindNotFound {
		return nil, nil
	}
	return v, err
}

// SetMeta implements Log.
func (l *local) SetMeta(key string, value []byte) error {
	if err := l.db.Set(append([]byte{logMetaPrefix}, key...), value, pebble.Sync); err != nil {
		return fmt.Errorf("store %s in the log: %w", key, err)
	}
	return nil
}

// Checkpoint implements Log.
func (l *local) Checkpoint(dir string) error {
	if err := l.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the log to %s: %w", dir, err)
	}
	return nil
}

// Close implements Log.
func (l *local) Close() error { return l.db.Close() }

// checkReach makes sure that no entry is missing in what write-ahead logs may
// have held: the engine passes over one that is gone between two others.
func (l *local) checkReach() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logEntryPrefix}, UpperBound: []byte{logEntryPrefix + 1}})
	if err != nil {
		return fmt.Errorf("read the end of the log: %w", err)
	}
	next, size := l.last+1, 0 // next is the lowest sequence seen
	for ok := it.Last(); ok && size < disk.Reach; ok = it.Prev() {
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
		return disk.Unreadable(err, "the end of the log cannot be read")
	}
	return nil
}

// DB is the engine below, for who looks at what is stored, or damages it on purpose.
func (l *local) DB() *pebble.DB { return l.db }
