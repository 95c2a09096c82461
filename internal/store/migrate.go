package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"odometer/internal/meter"
)

//go:embed sql/migrations
var migrationFiles embed.FS

// migration is one numbered step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// readMigrations returns the steps in dir, in order. Their files are named
// NNNN_what.sql and numbered 1, 2, 3, ... without a gap.
func readMigrations(files fs.FS, dir string) ([]migration, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.sql"))
	if err != nil {
		return nil, meter.WrapError(meter.KindInternal, err, "cannot list migrations")
	}
	var steps []migration
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, meter.WrapError(meter.KindInternal, err, "cannot read a migration")
		}
		base := strings.TrimSuffix(path.Base(name), ".sql")
		number, _, _ := strings.Cut(base, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(steps)+1 {
			return nil, meter.Errorf(meter.KindInternal, "migration %s is not number %d", name, len(steps)+1)
		}
		steps = append(steps, migration{version, base, string(text)})
	}
	return steps, nil
}

// migrate applies the steps that the database does not hold.
func (s *Store) migrate(ctx context.Context) error {
	steps, err := readMigrations(migrationFiles, path.Join("sql/migrations", s.dialect.name))
	if err != nil {
		return err
	}
	if err := s.apply(ctx, steps); err != nil {
		return err
	}
	return s.useChecksums(ctx)
}

// apply brings the schema to the last of steps, each in a transaction of its
// own that also records it: a crash leaves the one before or the one after.
func (s *Store) apply(ctx context.Context, steps []migration) error {
	have, err := s.schemaVersion(ctx, s.reader)
	if err != nil {
		return err
	}
	if have > len(steps) {
		return meter.Errorf(meter.KindUnsupported,
			"the catalog was written by a newer odometer: its schema is version %d, this program knows versions up to %d", have, len(steps))
	}
	for _, step := range steps[have:] {
		if err := s.applyOne(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) applyOne(ctx context.Context, step migration) error {
	return s.Write(ctx, "migrate the catalog to "+step.name, func(tx *sql.Tx) error {
		// Another process may have been faster.
		have, err := s.schemaVersion(ctx, tx)
		if err != nil || have >= step.version {
			return err
		}
		if err := s.applySQL(ctx, tx, step); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.MigrationCreate, step.version, step.name, Micros(s.Now())); err != nil {
			return err
		}
		s.logger.Info("catalog migrated", "step", step.name)
		return nil
	})
}

// applySQL runs a step's statements and gives the rows that it says it changes
// their checksums, but for those that were damaged before.
func (s *Store) applySQL(ctx context.Context, tx *sql.Tx, step migration) error {
	tables := resealed(step.sql)
	damaged := map[string]map[string]bool{}
	if len(tables) > 0 && !strings.HasSuffix(step.name, checksumMigration) {
		key, err := s.checksumKey(ctx, tx)
		if err != nil {
			return err
		}
		s.checksums.SetKey(key)
		for _, table := range tables {
			if damaged[table], err = s.damagedRows(ctx, tx, table); err != nil {
				return err
			}
		}
	}
	if _, err := tx.ExecContext(ctx, step.sql); err != nil || len(tables) == 0 {
		return err
	}
	key, err := s.ensureChecksumKey(ctx, tx)
	if err != nil {
		return err
	}
	s.checksums.SetKey(key)
	for _, table := range tables {
		if err := s.seal(ctx, tx, table, damaged[table]); err != nil {
			return err
		}
	}
	return nil
}

// schemaVersion is the number of the last step that the database holds; 0 if
// it is empty. One with tables but none of ours is KindInvalid.
func (s *Store) schemaVersion(ctx context.Context, q Queryer) (int, error) {
	var tables, ours int
	if err := q.QueryRowContext(ctx, s.dialect.tables).Scan(&tables, &ours); err != nil {
		return 0, s.Fail(err, "cannot read the catalog's schema")
	}
	if tables == 0 {
		return 0, nil
	}
	if ours == 0 {
		return 0, meter.Errorf(meter.KindInvalid, "the database is not a catalog of odometer: it holds other tables")
	}
	var version int
	if err := q.QueryRowContext(ctx, stmt.MigrationLatest).Scan(&version); err != nil {
		return 0, s.Fail(err, "cannot read the catalog's schema")
	}
	return version, nil
}
