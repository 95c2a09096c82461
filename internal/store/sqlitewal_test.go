package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// crashed is a catalog with changes in its write-ahead log, as a killed
// process leaves it, and how many organizations were acknowledged.
func crashed(t *testing.T, changes int) (database, wal []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := openTest(t, path)
	for i := range changes {
		if _, err := s.CreateOrganization(t.Context(), catalog.NewOrganization{ID: fmt.Sprintf("o%03d", i)}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	return read(path), read(path + "-wal")
}

// A flipped bit anywhere in the write-ahead log is found at the next start, or
// takes back no more than the last change.
func TestFlippedBitInTheCatalogsLog(t *testing.T) {
	t.Parallel()
	const changes = 20
	database, wal := crashed(t, changes)
	r := fixedtest.Rand(t)
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	refused := 0
	for range rounds {
		at, bit := r.IntN(len(wal)), byte(1)<<r.IntN(8)
		damaged := bytes.Clone(wal)
		damaged[at] ^= bit
		path := filepath.Join(t.TempDir(), "catalog.db")
		if err := os.WriteFile(path, database, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), path, Options{Clock: testClock})
		if err != nil {
			if meter.KindOf(err) != meter.KindCorrupt {
				t.Errorf("bit %d of byte %d: %v", bit, at, err)
			}
			refused++
			continue
		}
		all, err := s.Organizations(t.Context(), catalog.Page{Limit: 1000})
		if err != nil || len(all.Items) < changes-1 {
			t.Errorf("bit %d of byte %d: %d of %d organizations, %v", bit, at, len(all.Items), changes, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if refused < rounds/2 {
		t.Errorf("%d of %d refused", refused, rounds)
	}
}

// A log that power cut short, at any byte, is none that is damaged.
func TestCutCatalogLogIsNoDamage(t *testing.T) {
	t.Parallel()
	_, wal := crashed(t, 4)
	for n := 0; n <= len(wal); n += 997 {
		if frame, lost, err := damagedFrame(bytes.NewReader(wal[:n])); lost != 0 || err != nil {
			t.Errorf("cut at %d: frame %d, %d lost, %v", n, frame, lost, err)
		}
		// Power may leave anything, or what an older log held there, after what was synced.
		torn := append(bytes.Clone(wal[:n]), make([]byte, len(wal)-n)...)
		if frame, lost, err := damagedFrame(bytes.NewReader(torn)); lost != 0 || err != nil {
			t.Errorf("zeros from %d: frame %d, %d lost, %v", n, frame, lost, err)
		}
	}
}

func FuzzDamagedFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 9000))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := damagedFrame(bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
	})
}

// TestDeletedCatalogsLog: a write-ahead log that was deleted after a kill is
// told at the start, and passed over once the file that says so is away too.
func TestDeletedCatalogsLog(t *testing.T) {
	t.Parallel()
	database, wal := crashed(t, 3)
	path := filepath.Join(t.TempDir(), "catalog.db")
	write := func(suffix string, content []byte) {
		if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("", database)
	write("-shm", make([]byte, 32<<10))
	if _, err := Open(t.Context(), path, Options{Clock: testClock}); meter.KindOf(err) != meter.KindCorrupt || !strings.Contains(err.Error(), path+"-wal is gone") {
		t.Fatalf("%v", err)
	}
	write("-wal", wal)
	s := openTest(t, path)
	if _, err := s.Organization(t.Context(), "o002"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-shm"); !os.IsNotExist(err) {
		t.Errorf("a catalog that is closed leaves its -shm file: %v", err)
	}
	openTest(t, path)
}

// TestCatalogThatOthersOpen: who opens and closes the catalog meanwhile
// makes nobody believe that its log was deleted.
func TestCatalogThatOthersOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := openTest(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 60 && err == nil; i++ {
			var db *sql.DB
			if db, err = sqlitePool(path, 1, "", nil); err == nil {
				err = errors.Join(db.Ping(), db.Close())
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if err := checkSQLiteWAL(path); err != nil {
			t.Fatalf("%v", errors.Join(err, <-done))
		}
	}
}
