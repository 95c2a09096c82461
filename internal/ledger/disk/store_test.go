package disk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
func (quiet) NoteFile(string)       {}
func (quiet) NoRoom(error)          {}
func (quiet) Compacted()            {}

// The memtables of the stores that share a cache leave its blocks their room.
func TestCacheBesideMemtables(t *testing.T) {
	t.Parallel()
	const stores, bytes, memTable = 2, 4 << 20, 8 << 20
	cache := NewCache(bytes, memTable, memTable)
	defer cache.Unref()
	var open []*pebble.DB
	r := rand.New(rand.NewChaCha8([32]byte{}))
	value := make([]byte, 64<<10)
	fill := func(db *pebble.DB, size int) {
		for i := range size / len(value) {
			for b := 0; b < len(value); b++ { // so that nothing is compressed away
				value[b] = byte(r.Uint32())
			}
			if err := db.Set(fmt.Appendf(nil, "%06d", i), value, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range stores {
		db, err := Open(vfs.NewMem(), fmt.Sprint("store", i), "store", quiet{}, nil, &pebble.Options{Cache: cache, MemTableSize: memTable})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		open = append(open, db)
		for range 8 { // a store's memtables grow to their size by and by
			fill(db, 4<<20)
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if m := db.Metrics().MemTable; m.Size+m.ZombieSize < 2*memTable {
			t.Fatalf("memtables of %d and %d bytes", m.Size, m.ZombieSize)
		}
	}
	for range 2 {
		for i := range 16 {
			_, closer, err := open[0].Get(fmt.Appendf(nil, "%06d", i))
			if err != nil {
				t.Fatal(err)
			}
			_ = closer.Close()
		}
	}
	if m := open[0].Metrics().BlockCache; m.Size < 16*int64(len(value)) || m.Hits < 16 {
		t.Errorf("%d bytes of blocks in a cache of %d, %d hits", m.Size, bytes, m.Hits)
	}
}
