package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"

	"odometer/internal/meter"
)

// dialect is all that differs between databases, besides their migrations.
type dialect struct {
	name   string // folder of its migrations
	tables string // query: number of tables, and of those named schema_migrations
	begin  string // statement at the start of each change; "" = none
	// snapshot is the isolation of a transaction that reads the state of one instant.
	snapshot sql.IsolationLevel
	open     func(ctx context.Context, dsn string, wrap wrapper) (writer, reader *sql.DB, err error)
	kind     func(err error) meter.Kind // of an error of its driver
	backup   func(ctx context.Context, dsn, path string) error
	check    func(ctx context.Context, db *sql.DB) error

	// bulkRows is how many rows insertAll inserts with one statement. SQLite's
	// driver looks for each parameter by its name among all, so few are faster.
	bulkRows int

	shared bool // processes may share a catalog: it is bound to a ledger, and its keys are watched
	watch  func(ctx context.Context, dsn string, changed func(context.Context) error) error

	folder func(dsn string) string // where files beside the database go; nil = nowhere
}

// wrapper extends the connections of a database.
type wrapper func(driver.Connector) driver.Connector

// dialectOf chooses the database that a dsn names.
func dialectOf(dsn string) (dialect, error) {
	scheme, _, ok := strings.Cut(dsn, "://")
	switch {
	case !ok:
		return sqliteDialect(), nil
	case scheme == "postgres" || scheme == "postgresql":
		return postgresDialect(), nil
	}
	return dialect{}, meter.Errorf(meter.KindInvalid, "no catalog can be opened by %q: give the path of an SQLite file, or postgres://user@host/database", scheme+"://")
}

// Beside is the path of a file next to the database; "" where it is no file itself.
func (s *Store) Beside(name string) string {
	if s.dialect.folder == nil {
		return ""
	}
	return filepath.Join(s.dialect.folder(s.dsn), name)
}

// Backup writes a consistent copy of the catalog, as of one instant during
// the call, to a file that must not exist. Reading and writing go on. The copy
// is on stable storage when Backup returns, its name when the caller has
// synced the folder.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.flushAll(ctx); err != nil {
		return err
	}
	if err := s.dialect.backup(ctx, s.dsn, path); err != nil {
		return s.Fail(err, "cannot back up the catalog to %s", path)
	}
	return nil
}

// Check reads the whole database and reports damage, a broken reference or a
// row that is not as it was stored as KindCorrupt.
func (s *Store) Check(ctx context.Context) error {
	if err := s.dialect.check(ctx, s.reader); err != nil {
		return s.Fail(err, "the catalog is damaged")
	}
	var found []error
	more := 0
	err := s.CheckRows(ctx, func(problem error) {
		if len(found) == checkProblems {
			more++
			return
		}
		found = append(found, problem)
	})
	if more > 0 {
		found = append(found, meter.Errorf(meter.KindCorrupt, "and %d rows more", more))
	}
	return errors.Join(append(found, err)...)
}

// checkProblems is how many damaged rows Check names.
const checkProblems = 20
