package keys

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/store"
)

var manyKeys = flag.Int("keys", 100_000, "how many keys BenchmarkManyKeys has")

// BenchmarkManyKeys measures what keys cost where an organization has many: the
// start, a key that is held, one that was never seen, one that nobody has, the
// creation of one, and a page of the list. -keys says how many.
func BenchmarkManyKeys(b *testing.B) {
	ctx := context.Background()
	path := filepath.Join(b.TempDir(), "catalog.db")
	clock := fixedtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	limits := store.Limits{KeysPerOrganization: *manyKeys + 1_000_000, Keys: *manyKeys + 1_000_000}
	open := func() (*store.Store, *Store) {
		db, err := store.Open(ctx, path, store.Options{Clock: clock.Now, Limits: limits})
		if err != nil {
			b.Fatal(err)
		}
		s, err := Open(ctx, db, "")
		if err != nil {
			b.Fatal(err)
		}
		return db, s
	}
	db, s := open()
	tokens := fillKeys(b, db, s, *manyKeys)
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	before := heap()
	start := time.Now()
	db, s = open()
	b.Logf("%d keys: start %v, memory %d MiB, all held: %v", *manyKeys, time.Since(start).Round(time.Millisecond), (heap()-before)>>20, s.ring.holdsAll())
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	measure := func(name string, do func(i int) error) {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				if err := do(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	used := func(token string) error {
		_, err := s.AuthenticateKey(ctx, token)
		return err
	}
	measure("held", func(int) error { return used(tokens[0]) })
	measure("another", func(i int) error { return used(tokens[i*7919%len(tokens)]) })
	measure("unknown", func(int) error {
		if used(formatToken(randomText(keyIDBytes), randomText(secretBytes))) == nil {
			return fmt.Errorf("a key that nobody has is valid")
		}
		return nil
	})
	measure("create", func(int) error {
		_, _, err := s.CreateKey(ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, "key:test")
		return err
	})
	measure("page", func(i int) error {
		at := clock.Now().Add(-time.Duration(i*7919%*manyKeys) * time.Microsecond)
		_, err := s.Keys(ctx, "a", catalog.Page{Limit: 100, Cursor: catalog.Position{Number: at.UnixMicro()}.String()})
		return err
	})
}

// fillKeys makes keys of customers, a microsecond apart.
func fillKeys(b *testing.B, db *store.Store, s *Store, n int) []string {
	b.Helper()
	ctx := context.Background()
	if _, err := db.CreateOrganization(ctx, catalog.NewOrganization{ID: "a"}, "key:test"); err != nil {
		b.Fatal(err)
	}
	var tokens []string
	for len(tokens) < n {
		err := db.Write(ctx, "make keys", func(tx *sql.Tx) error {
			for range min(10_000, n-len(tokens)) {
				d, err := s.draftKey(access.NewKey{Organization: "a", Role: access.RoleRead, Customer: fmt.Sprintf("c%07d", len(tokens)), Kind: access.KindToken})
				if err != nil {
					return err
				}
				d.held.key.Created = d.held.key.Created.Add(-time.Duration(len(tokens)) * time.Microsecond)
				if err := s.insertKey(ctx, tx, d, "key:test"); err != nil {
					return err
				}
				tokens = append(tokens, d.token)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return tokens
}

// heap is what is in use after garbage was collected.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
