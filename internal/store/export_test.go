package store

import (
	"context"
	"database/sql"
	"log/slog"
	"math"
	"testing"

	"odometer/internal/catalog"
)

// What tests outside see of the package, beside what everybody does.
var (
	CheckedTables = checkedTables
	TestClock     = testClock
	OpenTest      = openTest
)

// Damaged counts the rows of a table that are not as they were stored.
func (s *Store) Damaged(ctx context.Context, table string) (int, error) {
	rows, err := s.damagedRows(ctx, s.reader, table)
	return len(rows), err
}

// Covered are the columns of a table that its checksums cover.
func (s *Store) Covered(table string) []string { return s.checksums.Covered(table) }

// Seal gives all rows of a table their checksums.
func (s *Store) Seal(ctx context.Context, tx *sql.Tx, table string) error {
	return s.seal(ctx, tx, table, nil)
}

// MigrateTo applies one step after those that there are.
func (s *Store) MigrateTo(t *testing.T, name, statements string) error {
	have, _ := steps(t)
	return s.apply(t.Context(), append(have, migration{len(have) + 1, name, statements}))
}

// WithFirstSchema makes a database in SQLite as the first program did, and runs statements in it.
func WithFirstSchema(t *testing.T, path string, fill func(db *sql.DB)) {
	t.Helper()
	have, _ := steps(t)
	d := sqliteDialect()
	writer, reader, err := d.open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	old := &Store{dialect: d, writer: writer, reader: reader, clock: testClock, logger: slog.New(slog.DiscardHandler)}
	if err := old.apply(t.Context(), have[:1]); err != nil {
		t.Fatal(err)
	}
	fill(writer)
	if err := old.closePools(); err != nil {
		t.Fatal(err)
	}
}

// WatchKeys is the job behind OnKeysChanged.
func (s *Store) WatchKeys(ctx context.Context, refresh func(ctx context.Context) error) {
	s.watchKeys(ctx, refresh)
}

// ReadAnew is the view of an organization's nouns as the database has them.
func (s *Store) ReadAnew(ctx context.Context, organization string) (*catalog.View, error) {
	versions, err := loadNouns(ctx, s.reader, organization)
	if err != nil {
		return nil, err
	}
	return catalog.NewView(versions)
}

// Holds says whether the view of an organization's nouns as they are now is in memory.
func (s *Store) Holds(ctx context.Context, organization string) (bool, error) {
	var number int64
	err := s.reader.QueryRowContext(ctx, stmt.NounsVersion, organization).Scan(&number)
	have, _ := s.held(organization)
	return have != nil && have.number == number, err
}

// Partly counts the changes that were planned by what they touch.
func (s *Store) Partly() uint64 { return s.partly.Load() }

// Many says whether an organization's nouns are read by key.
func (s *Store) Many(organization string) bool {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	return s.many[organization]
}

// ReadNamed lets documents that are not pruned read what they name, or all nouns.
func (s *Store) ReadNamed(named bool) {
	s.mostNamed = math.MaxInt32
	if named {
		s.mostNamed = -1
	}
}

// ReadAll lets the next change of one noun read all of them.
func (s *Store) ReadAll(organization string) error {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	delete(s.sound, organization)
	_, err := s.writer.ExecContext(context.Background(), "UPDATE organizations SET nouns_sound_by = '' WHERE id = $1", organization)
	return err
}

// Forget leaves what a start would know of an organization's nouns.
func (s *Store) Forget(organization string) {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	delete(s.sound, organization)
	s.cache.dropAll(s.cache.organization(organization))
	s.cache.drop(s.cache.organization(organization).items[nounKey{what: cachedView}])
}
