package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"odometer/internal/meter"
)

// Settings of the SQLite connections.
const (
	sqliteReaders     = 4                // connections that read
	sqliteBusyTimeout = 30 * time.Second // wait for another process's lock
)

func sqliteDialect() dialect {
	return dialect{
		name: "sqlite", tables: stmt.SQLiteTables, bulkRows: 8,
		open: openSQLite, kind: sqliteKind, backup: backupSQLite, check: checkSQLite,
		folder: filepath.Dir,
	}
}

// openSQLite opens the file at path, which only its owner may read if it is new.
func openSQLite(ctx context.Context, path string, wrap wrapper) (writer, reader *sql.DB, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, nil, meter.WrapError(meter.KindInternal, err, "cannot find the catalog's folder")
	}
	if err := checkSQLiteWAL(path); err != nil {
		if meter.KindOf(err) == meter.KindCorrupt {
			return nil, nil, err
		}
		return nil, nil, meter.WrapError(meter.KindInternal, err, "cannot open the catalog %s", path)
	}
	if err := touchSQLite(path); err != nil {
		return nil, nil, meter.WrapError(meter.KindInternal, err, "cannot open the catalog %s", path)
	}
	writer, err = sqlitePool(path, 1, "_txlock=immediate", wrap)
	if err != nil {
		return nil, nil, err
	}
	// The first connection sets the journal mode, before readers come.
	if err := writer.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(meter.WrapError(sqliteKind(err), err, "cannot open the catalog %s", path), writer.Close())
	}
	reader, err = sqlitePool(path, sqliteReaders, "_pragma=query_only(1)", wrap)
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	return writer, reader, nil
}

// touchSQLite creates the file if there is none, and makes its name durable.
func touchSQLite(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func sqlitePool(path string, connections int, extra string, wrap wrapper) (*sql.DB, error) {
	// A URL, so that any character may stand in the path.
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: extra +
		"&_pragma=busy_timeout(" + strconv.FormatInt(sqliteBusyTimeout.Milliseconds(), 10) + ")" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, meter.WrapError(meter.KindInternal, err, "cannot open the catalog")
	}
	if wrap != nil { // the pool above has opened nothing yet, and only names the driver
		if err := db.Close(); err != nil {
			return nil, meter.WrapError(meter.KindInternal, err, "cannot open the catalog")
		}
		db = sql.OpenDB(wrap(sqliteConnector{db.Driver(), dsn.String()}))
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// sqliteKind classifies an error of the driver.
func sqliteKind(err error) meter.Kind {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return meter.KindInternal
	}
	switch e.Code() & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_FULL:
		return meter.KindStorageFull
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return meter.KindCorrupt
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return meter.KindUnavailable
	}
	return meter.KindInternal
}

// sqliteConnector makes connections of a driver that has no connector.
type sqliteConnector struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return newKeepingConn(inner)
}

// Driver implements driver.Connector.
func (c sqliteConnector) Driver() driver.Driver { return c.driver }

// backupSQLite writes a compact copy and syncs it. It has a connection of its
// own, so that the writer's stays free; a reader's may not write a file.
func backupSQLite(ctx context.Context, dsn, path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return meter.Errorf(meter.KindConflict, "cannot back up the catalog: %s exists", path)
	}
	source, err := filepath.Abs(dsn)
	if err != nil {
		return err
	}
	db, err := sqlitePool(source, 1, "", nil)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, db.Close())
		if err != nil {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}()
	if _, err := db.ExecContext(ctx, stmt.SQLiteBackup, path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Sync(), file.Close())
}

// checkSQLite runs the checks that SQLite has built in.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, stmt.SQLiteIntegrity).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return meter.WrapError(meter.KindCorrupt, errors.New(verdict), "the catalog is damaged")
	}
	rows, err := db.QueryContext(ctx, stmt.SQLiteReferences)
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		return meter.Errorf(meter.KindCorrupt, "the catalog is damaged: a row belongs to nothing")
	}
	return rows.Err()
}
