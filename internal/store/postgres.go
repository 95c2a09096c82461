package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"odometer/internal/meter"
)

// postgresReaders is the number of PostgreSQL connections that read.
const postgresReaders = 4

// oldestPostgres is the oldest server that is used, as PostgreSQL numbers its versions.
const oldestPostgres = 150000

// postgresDialect keeps a catalog in the current schema of a PostgreSQL
// database. A change holds a lock of that schema from its start to its commit,
// so that changes take turns among processes as they do in SQLite.
func postgresDialect() dialect {
	return dialect{
		name: "postgres", tables: stmt.PostgresTables, begin: stmt.PostgresLock, snapshot: sql.LevelRepeatableRead,
		open: openPostgres, kind: postgresKind, backup: backupPostgres, check: checkPostgres,
		bulkRows: 200, shared: true, watch: watchPostgres,
	}
}

func openPostgres(ctx context.Context, dsn string, wrap wrapper) (writer, reader *sql.DB, err error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	writer = sql.OpenDB(wrap(stdlib.GetConnector(*config)))
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	var version int
	if err := writer.QueryRowContext(ctx, stmt.PostgresVersion).Scan(&version); err != nil {
		return nil, nil, errors.Join(meter.WrapError(postgresKind(err), err, "cannot open the catalog in PostgreSQL"), writer.Close())
	}
	if version < oldestPostgres {
		err := meter.Errorf(meter.KindUnsupported, "the catalog needs PostgreSQL %d or newer; the server's version number is %d", oldestPostgres/10000, version)
		return nil, nil, errors.Join(err, writer.Close())
	}
	reading := config.Copy()
	reading.RuntimeParams["default_transaction_read_only"] = "on"
	reader = sql.OpenDB(wrap(stdlib.GetConnector(*reading)))
	reader.SetMaxOpenConns(postgresReaders)
	reader.SetMaxIdleConns(postgresReaders)
	return writer, reader, nil
}

// postgresKind classifies an error of the driver by its SQLSTATE.
func postgresKind(err error) meter.Kind {
	var refused *pgconn.ConnectError
	var broken net.Error
	var e *pgconn.PgError
	switch {
	case !errors.As(err, &e):
		if errors.As(err, &refused) || errors.As(err, &broken) || lostConnection(err) {
			return meter.KindUnavailable
		}
		return meter.KindInternal
	case e.Code == "53100": // disk full
		return meter.KindStorageFull
	case e.Code == "XX001", e.Code == "XX002": // data or index corrupted
		return meter.KindCorrupt
	case e.Code == "22021": // a text that is not UTF-8, or has a zero byte
		return meter.KindInvalid
	}
	if e.Code == "25006" { // the server has become a standby, which changes nothing
		return meter.KindUnavailable
	}
	for _, class := range []string{"08", "40", "53", "57", "58"} { // connection, rollback, resources, intervention, system
		if strings.HasPrefix(e.Code, class) {
			return meter.KindUnavailable
		}
	}
	return meter.KindInternal
}

// lostConnection says that a connection ended in the middle of something: the
// server died, was stopped, or something between cut it.
func lostConnection(err error) bool {
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// backupPostgres refuses: a server is backed up as a whole, by its own tools.
func backupPostgres(context.Context, string, string) error {
	return meter.Errorf(meter.KindUnsupported, "the catalog is in PostgreSQL: back it up with pg_dump or the server's own backups")
}

// checkPostgres reads every row. References hold by constraint.
func checkPostgres(ctx context.Context, db *sql.DB) error {
	var rows int64
	return db.QueryRowContext(ctx, stmt.PostgresCheck).Scan(&rows)
}
