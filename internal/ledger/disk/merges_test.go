package disk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// waiter tells of merges.
type waiter struct {
	quiet
	merged chan struct{}
}

func (w waiter) Compacted() {
	select {
	case w.merged <- struct{}{}:
	default:
	}
}

// What is to be merged when a store is opened waits until merges start: over
// crashes, and while what the write-ahead log holds goes to tables.
func TestNoMergeBeforeStart(t *testing.T) {
	t.Parallel()
	const layers = 8 // twice as many as the engine leaves alone
	fs, held := vfs.NewCrashableMem(), new(Merges)
	open := func(w Watcher) *pebble.DB {
		db, err := Open(fs, "store", "store", w, held, &pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	write := func(db *pebble.DB, layer int) {
		for key := range 10 {
			if err := db.Set(fmt.Appendf(nil, "key %d", key), fmt.Appendf(nil, "value %d", layer), pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(db *pebble.DB, layer int) {
		t.Helper()
		v, closer, err := db.Get([]byte("key 7"))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("value %d", layer); string(v) != want {
			t.Fatalf("%s, want %s", v, want)
		}
		_ = closer.Close()
	}
	db := open(quiet{})
	for layer := range layers {
		write(db, layer)
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	last := layers
	write(db, last) // in the write-ahead log only
	crash := func() {
		before, old := fs, db
		fs, held = before.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))}), new(Merges)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var w waiter
	for range 3 {
		crash()
		w = waiter{merged: make(chan struct{}, 1)}
		db = open(w)
		m := db.Metrics()
		if m.Compact.Count != 0 || m.Compact.NumInProgress != 0 || m.Flush.Count != 1 || m.Levels[0].Sublevels <= int32(layers) {
			t.Fatalf("%d merges, %d under way, %d flushes, %d layers", m.Compact.Count, m.Compact.NumInProgress, m.Flush.Count, m.Levels[0].Sublevels)
		}
		check(db, last)
		last++
		write(db, last)
	}
	held.Start()
	<-w.merged
	crash() // at any step of the merges that follow
	held.Start()
	w = waiter{merged: make(chan struct{}, 1)}
	db = open(w)
	defer func() { _ = db.Close() }()
	check(db, last)
	// Enough for more than one merge, one after the other.
	for range 4 * layers {
		last++
		write(db, last)
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for db.Metrics().Levels[0].Sublevels >= layers {
		<-w.merged
	}
	check(db, last)
}
