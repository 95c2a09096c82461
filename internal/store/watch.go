package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"odometer/internal/meter"
)

// KeysCheckEvery bounds how long a change of keys by another process can stay
// unknown while the database answers: a process is told of a change when it is
// committed, and looks for one that it was not told of this often.
const KeysCheckEvery = time.Second

// watchPatience bounds how long a watcher waits for the database.
const watchPatience = 10 * time.Second

// OnKeysChanged has refresh called now and after each change of keys by another
// process, until Close, where other processes may use the database. It is for
// opening the keys.
func (s *Store) OnKeysChanged(ctx context.Context, refresh func(ctx context.Context) error) {
	if s.dialect.watch == nil {
		return
	}
	s.watching.Start(ctx, func(ctx context.Context) { s.watchKeys(ctx, refresh) })
}

func (s *Store) watchKeys(ctx context.Context, refresh func(ctx context.Context) error) {
	failing := false
	for ctx.Err() == nil {
		err := s.dialect.watch(ctx, s.dsn, func(ctx context.Context) error {
			if err := refresh(ctx); err != nil {
				return err
			}
			if failing {
				s.logger.Info("changes of keys by other processes are seen again")
				failing = false
			}
			return nil
		})
		if ctx.Err() == nil && !failing {
			s.logger.Warn("changes of keys by other processes are not seen while the catalog cannot be reached", "error", err)
			failing = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(KeysCheckEvery):
		}
	}
}

// watchPostgres calls changed once it listens and after each change of keys,
// until ctx ends or the connection fails.
func watchPostgres(ctx context.Context, dsn string, changed func(context.Context) error) error {
	config, err := postgresConfig(dsn)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, stmt.PostgresListen); err != nil {
		return err
	}
	for known := int64(-1); ; {
		version, err := keysVersion(ctx, conn)
		if err != nil {
			return err
		}
		if version != known {
			if err := changed(ctx); err != nil {
				return err
			}
			known = version
		}
		if err := awaitNotice(ctx, conn); err != nil {
			return err
		}
	}
}

func keysVersion(ctx context.Context, conn *pgx.Conn) (version int64, err error) {
	patient, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	err = conn.QueryRow(patient, stmt.KeysVersion).Scan(&version)
	return version, err
}

// awaitNotice returns when there is one, or after KeysCheckEvery: notices may
// get lost, for example where a pool of connections stands between.
func awaitNotice(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, KeysCheckEvery)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err != nil && ctx.Err() == nil && pgconn.Timeout(err) && !conn.IsClosed() {
		return nil
	}
	return err
}

// postgresConfig reads a DSN. Its error says nothing of what stands in it,
// since that may be a password.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, meter.Errorf(meter.KindInvalid, "cannot read the catalog's address: want postgres://user:password@host:port/database, with special characters as %%xx")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = watchPatience
	}
	for name, value := range map[string]string{
		"application_name":              "odometer",
		"synchronous_commit":            "on", // also where the server's default is another
		"default_transaction_isolation": "read committed",
	} {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}
