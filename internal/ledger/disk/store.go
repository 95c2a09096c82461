// Package disk opens the ledger's stores so that nothing durable is lost without
// a word: their write-ahead logs are checked, names of files are synced, files
// are the owner's only, and damage is told from trouble that may pass.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the engine's. It is raised deliberately, one release at a time. It must be at
// least FormatWALSyncChunks: before it, one flipped bit in the live
// write-ahead log silently shortened the log.
const Format = pebble.FormatWALSyncChunks

// What a store keeps in memory before it is in tables, unless its options say less.
const (
	MemTableBytes = 32 << 20
	memTables     = 3 // that may wait to be written
)

// mergeLayers is how many layers of tables on top of a store are merged into
// what is below, unless its options say more.
const mergeLayers = 4

// Reach is how much of a store's end may be in write-ahead logs only:
// the memtables that may wait, and one that is being filled.
const Reach = (memTables + 1) * MemTableBytes

// NewCache returns a block cache for stores of such memtables. The engine takes
// the memory of memtables from the cache, also of one that it keeps for the next
// turn; without room for two of each store no block would stay. Where more of
// them wait to be written, blocks give way.
func NewCache(bytes int64, memTables ...int64) *pebble.Cache {
	for _, m := range memTables {
		bytes += 2 * m
	}
	return pebble.NewCache(bytes)
}

// Watcher is told what a store says on its own account.
type Watcher interface {
	pebble.Logger
	NoteFile(path string) // a file is damaged
	NoRoom(err error)     // the disk is full; the store waits for the answer
	Compacted()           // tables were merged
}

// Open opens or creates a store in dir; what names it in errors. It merges no tables before merges
// starts; nil = it does so at once. The options are its own part; what all stores have in common is
// filled in. Durable parts of write-ahead logs that are damaged or missing are refused: KindCorrupt.
func Open(fsys vfs.FS, dir, what string, w Watcher, merges *Merges, opts *pebble.Options) (*pebble.DB, error) {
	opts.FS, opts.Logger, opts.EventListener = manifestFS{fsys}, w, events(w)
	opts.FormatMajorVersion = Format
	opts.MemTableStopWritesThreshold = memTables
	if opts.MemTableSize == 0 {
		opts.MemTableSize = MemTableBytes
	}
	if opts.L0CompactionThreshold == 0 {
		opts.L0CompactionThreshold = mergeLayers
	}
	opts.L0StopWritesThreshold = 24
	opts.MaxOpenFiles = 1000
	opts.Experimental.CompactionScheduler = merges.scheduler()
	if err := checkWAL(fsys, dir); err != nil {
		return nil, err
	}
	db, err := openTwice(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open the %s in %s: %w", what, dir, err)
	}
	return db, nil
}

// openTwice opens a new store twice: the engine writes the first write-ahead
// log of a new instance in its oldest form, in which damage cannot be told from
// the end of the log.
func openTwice(dir string, opts *pebble.Options) (*pebble.DB, error) {
	if found, err := pebble.Peek(dir, opts.FS); errors.Is(err, fs.ErrNotExist) || err == nil && !found.Exists {
		db, err := pebble.Open(dir, opts)
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := checkLogs(opts.FS, dir); err != nil {
		return nil, err
	}
	return pebble.Open(dir, opts)
}

// events reports damaged tables instead of ending the process, which is
// the engine's default: whoever reads the table gets the error.
func events(w Watcher) *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			w.Errorf("%s", info)
			w.NoteFile(info.Path)
		},
		CompactionEnd: func(pebble.CompactionInfo) { w.Compacted() },
		BackgroundError: func(err error) {
			if isFull(err) {
				w.NoRoom(err)
			}
		},
	}
}

// isFull says that an error is a full disk's.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
