package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// Entry is one block of the log: its header and its body as stored.
type Entry struct {
	Sequence uint64
	Header   []byte
	Body     []byte
}

// Log is the ordered, durable sequence of one shard's entries. Sequences
// start at 1 and have no gaps. The local form is a Pebble instance; replicated
// forms implement the same contract.
type Log interface {
	// Append makes the entries durable in order, all or none. The first one's
	// sequence is Last()+1. A failure that leaves the outcome unknown must
	// end the process: nothing in doubt is answered.
	Append(entries []Entry) error
	// Last returns the sequence and header of the last entry; 0 and nil when empty.
	Last() (sequence uint64, header []byte, err error)
	// Body returns the body of one entry; the caller owns the slice.
	// KindNotFound if there is no such entry, KindCorrupt if it cannot be read.
	Body(sequence uint64) ([]byte, error)
	// Header returns the header of one entry; as Body otherwise.
	Header(sequence uint64) ([]byte, error)
	// Meta returns a value stored with SetMeta, nil if absent.
	Meta(key string) ([]byte, error)
	// SetMeta durably stores a small value beside the entries (the hash key, the format).
	SetMeta(key string, value []byte) error
	// Checkpoint writes a consistent copy of the log into dir, which must not exist.
	Checkpoint(dir string) error
	// Close releases the log.
	Close() error
}

// The local log keeps two keys an entry, sequence first so that keys only
// grow and compactions move tables instead of rewriting them:
//
//	'e' seq:8 'b' -> body        'e' seq:8 'h' -> header        'm' name -> meta
//
// Cold small entries are kept as parts of merged blocks, see merged.go.
type localLog struct {
	db   *pebble.DB
	last uint64
	runs runCache
}

var _ Log = (*localLog)(nil)

const (
	logEntryPrefix = 'e'
	logMetaPrefix  = 'm'
	logBody        = 'b'
	logHeader      = 'h'
)

// pebbleFormat is raised deliberately, one release at a time. It must be at
// least FormatWALSyncChunks: before it, one flipped bit in the live
// write-ahead log silently shortened the log.
const pebbleFormat = pebble.FormatWALSyncChunks

// openLocalLog opens or creates the log in dir. The event size is bounded by
// the limits of ingest, so one memtable holds many groups.
func openLocalLog(fs vfs.FS, dir string, logger pebble.Logger, cache *pebble.Cache) (*localLog, error) {
	opts := &pebble.Options{
		FS: manifestFS{fs}, Logger: logger, Cache: cache, EventListener: storeEvents(logger),
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               512 << 20,
		MaxOpenFiles:                1000,
	}
	// Bodies are compressed column by column already.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range opts.TargetFileSizes {
		opts.TargetFileSizes[i] = 64 << 20
	}
	if err := checkWAL(fs, dir); err != nil {
		return nil, err
	}
	db, err := openStore(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, err)
	}
	l := &localLog{db: db}
	err = l.findLast()
	if err == nil {
		err = l.checkReach()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

// storeEvents reports damaged tables instead of ending the process, which is
// the engine's default: whoever reads the table gets the error.
func storeEvents(logger pebble.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			logger.Errorf("%s", info)
			if p, ok := logger.(pebbleLogger); ok {
				p.l.notePlace(info.Path)
			}
		},
		BackgroundError: func(err error) {
			if p, ok := logger.(pebbleLogger); ok && isFull(err) {
				p.l.noRoom(err)
			}
		},
	}
}

func (l *localLog) findLast() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logEntryPrefix}, UpperBound: []byte{logEntryPrefix + 1}})
	if err != nil {
		return fmt.Errorf("read the end of the log: %w", err)
	}
	if it.Last() {
		l.last = binary.BigEndian.Uint64(it.Key()[1:9])
	}
	if err := it.Close(); err != nil {
		return unreadable(err, "the end of the log cannot be read")
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

func (l *localLog) Append(entries []Entry) error {
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

func (l *localLog) Last() (uint64, []byte, error) {
	if l.last == 0 {
		return 0, nil, nil
	}
	h, err := l.Header(l.last)
	return l.last, h, err
}

func (l *localLog) get(key []byte, what string, seq uint64) ([]byte, error) {
	v, closer, err := l.db.Get(key)
	for try := 1; try < readTries && err != nil && !errors.Is(err, pebble.ErrNotFound) && !isDamage(err); try++ {
		v, closer, err = l.db.Get(key)
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, meter.Errorf(meter.KindNotFound, "%s %d is not in the log", what, seq)
	}
	if err != nil {
		return nil, unreadable(err, "%s %d of the log cannot be read", what, seq)
	}
	out := append([]byte(nil), v...)
	if err := closer.Close(); err != nil {
		return nil, unreadable(err, "%s %d of the log cannot be read", what, seq)
	}
	return out, nil
}

func (l *localLog) Body(seq uint64) ([]byte, error) {
	return l.entry(seq, logBody, "block", l.mergedBody)
}

func (l *localLog) Header(seq uint64) ([]byte, error) {
	return l.entry(seq, logHeader, "header of block", l.mergedHeader)
}

// entry reads a part of an entry under its own key, else from its merged
// block: merging removes the one in the batch that adds the other.
func (l *localLog) entry(seq uint64, kind byte, what string, merged func(uint64) ([]byte, error)) ([]byte, error) {
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

func (l *localLog) Meta(key string) ([]byte, error) {
	v, err := l.get(append([]byte{logMetaPrefix}, key...), "meta", 0)
	if meter.KindOf(err) == meter.KindNotFound {
		return nil, nil
	}
	return v, err
}

func (l *localLog) SetMeta(key string, value []byte) error {
	if err := l.db.Set(append([]byte{logMetaPrefix}, key...), value, pebble.Sync); err != nil {
		return fmt.Errorf("store %s in the log: %w", key, err)
	}
	return nil
}

func (l *localLog) Checkpoint(dir string) error {
	if err := l.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the log to %s: %w", dir, err)
	}
	return nil
}

func (l *localLog) Close() error { return l.db.Close() }
