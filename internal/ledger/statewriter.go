package ledger

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/disk"
)

// stateWriter writes what a checkpoint adds to the state, in order of keys. Much
// goes into sorted tables that are handed to the engine all at once: nothing of
// it passes through a write-ahead log and a memtable, and what is being written
// takes the memory of one block. Little goes into a batch: a table of a few rows
// from all over the state would have much of it merged again.
type stateWriter struct {
	fs      vfs.FS
	dir     string
	options sstable.WriterOptions
	paths   []string
	table   *sstable.Writer
	size    int64         // of keys and values in the table
	most    int64         // from which it ends
	batch   *pebble.Batch // in place of tables
	removed [][2][]byte   // ranges to delete, disjoint and ascending: what is left of them

	tell  func(steps int64)
	steps int64 // done and not told
	cells int64 // of all steps, those for cells
}

const (
	// incoming begins the names of tables that the engine does not have yet. A
	// crash leaves them behind.
	incoming = "incoming-"
	// incomingTableBytes is the size, before compression, at which a table ends. Of
	// large ones, each from all over the state, a merge takes most of the state,
	// and checkpoints waited for it: 8 seconds with 20 million groups.
	incomingTableBytes = 4 << 20
)

// newStateWriter begins what a checkpoint writes, which is much or little.
// removed are ranges of keys to delete, in which nothing may be written.
func (l *Ledger) newStateWriter(removed [][2][]byte, much bool) *stateWriter {
	slices.SortFunc(removed, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
	w := &stateWriter{fs: l.fs, dir: filepath.Join(l.dir, stateFolder), most: l.incomingSize, removed: removed, tell: l.ckpt.progress.step}
	if much {
		w.options = l.stateOptions.MakeWriterOptions(0, l.state.TableFormat())
	} else {
		w.batch = l.state.NewBatch()
	}
	return w
}

// set writes a key that must be greater than the one before.
func (w *stateWriter) set(key, value []byte) error {
	w.did(rowSteps)
	if w.batch != nil {
		return w.batch.Set(key, value, nil)
	}
	t, err := w.next(key, len(value))
	if err != nil {
		return err
	}
	return t.Set(key, value)
}

// did notes steps, and tells of them now and then.
func (w *stateWriter) did(steps int64) {
	if w.steps += steps; w.steps >= stepsTold {
		w.tell(w.steps)
		w.steps = 0
	}
}

// didCells is did for cells.
func (w *stateWriter) didCells(steps int64) {
	w.cells += steps
	w.did(steps)
}

// merge is set for a chunk of cells, which is added to the stored one.
func (w *stateWriter) merge(key, value []byte) error {
	w.didCells(chunkSteps)
	if w.batch != nil {
		return w.batch.Merge(key, value, nil)
	}
	t, err := w.next(key, len(value))
	if err != nil {
		return err
	}
	return t.Merge(key, value)
}

// remove is set for a key that goes.
func (w *stateWriter) remove(key []byte) error {
	if w.batch != nil {
		return w.batch.Delete(key, nil)
	}
	t, err := w.next(key, 0)
	if err != nil {
		return err
	}
	return t.Delete(key)
}

// next returns the table that a key goes to.
func (w *stateWriter) next(key []byte, value int) (*sstable.Writer, error) {
	if w.table != nil && w.size >= w.most {
		if err := w.end(); err != nil {
			return nil, err
		}
	}
	if w.table == nil {
		if err := w.begin(); err != nil {
			return nil, err
		}
	}
	for len(w.removed) > 0 && bytes.Compare(w.removed[0][0], key) <= 0 {
		if err := w.removeFirst(); err != nil {
			return nil, err
		}
	}
	w.size += int64(len(key) + value)
	return w.table, nil
}

func (w *stateWriter) removeFirst() error {
	r := w.removed[0]
	w.removed = w.removed[1:]
	return w.table.DeleteRange(r[0], r[1])
}

func (w *stateWriter) begin() error {
	path := filepath.Join(w.dir, fmt.Sprint(incoming, len(w.paths)))
	file, err := w.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w.paths, w.size = append(w.paths, path), 0
	w.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file), w.options)
	return nil
}

// end makes the table's bytes durable.
func (w *stateWriter) end() error {
	t := w.table
	w.table = nil
	return t.Close()
}

// commit adds all that was written to the state, in one atomic and durable step.
func (w *stateWriter) commit(db *pebble.DB) error {
	if w.batch != nil {
		for _, r := range w.removed {
			if err := w.batch.DeleteRange(r[0], r[1], nil); err != nil {
				return err
			}
		}
		return w.batch.Commit(pebble.Sync)
	}
	if w.table == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for len(w.removed) > 0 {
		if err := w.removeFirst(); err != nil {
			return err
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	return db.Ingest(context.Background(), w.paths)
}

// maxStateDepth is how many layers of tables the state may have before a
// checkpoint waits for their merging: each is one more to look into when
// reading. A checkpoint's tables are one layer.
const maxStateDepth = 24

// awaitMerging waits while the state's tables lie too deep. So what comes in
// faster than it can be merged waits here, and in the end at the door.
func (l *Ledger) awaitMerging() {
	again := time.NewTicker(time.Second) // a merge that failed is tried again by the engine
	defer again.Stop()
	for l.state.Metrics().Levels[0].Sublevels >= maxStateDepth && l.stopped() == nil && !l.closing.Load() {
		l.merges.Start() // where the replay of a start comes so deep
		select {
		case <-l.compacted:
		case <-again.C:
		}
	}
}

// close lets go of what is left when a checkpoint has been committed, or has failed.
func (w *stateWriter) close() {
	if w.batch != nil {
		_ = w.batch.Close() // fails only if closed before
	}
	if w.table != nil {
		_ = w.end() // the checkpoint has failed already
	}
}

// removeIncoming removes what a crash during a checkpoint left in the state's folder.
func removeIncoming(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return disk.Unreadable(err, "the folder of the state cannot be listed")
	}
	for _, name := range names {
		if strings.HasPrefix(name, incoming) {
			if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
