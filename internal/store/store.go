// Package store keeps the relational part of Odometer, in SQLite or PostgreSQL,
// and is the only one, with its rooms keys and records, that writes SQL.
//
//	organizations 1 --- n keys           (room keys) SHA-256 of a secret that is shown once
//	              1 --- n meters         copies; the log decides, ReplaceMeters rebuilds them
//	              1 --- n audit_entries  numbered per organization, never changed
//
//	              1 --- n nouns          products, customers and what is theirs, with history
//	              1 --- n periods        closed months of customers with their figures, never changed
//
//	              1 --- n record_groups  (room records) usage reported against entitlements, with a life cycle
//	              1 --- n metering_configs, entitlement_credits, billable_metrics, idempotency_keys
//
//	              1 --- n reports          what was frozen of an entitlement for an hour
//	                      1 --- n report_portions   where the usage of each dimension went
//	              1 --- n report_lines     what a marketplace is told, one for an account, dimension and hour
//
//	installation  one row, in PostgreSQL: the ledger that the catalog belongs to, and a number that tells of changes of keys
//
// Statements are in sql/ of each room, one file a table; constraints are in the
// schema, whose changes are numbered files in sql/migrations/DATABASE. Behaviour
// is stated by the suite in storetest, which every database has to pass.
//
// A change is one transaction together with its audit entry and is durable
// when the call returns. Instants are kept to the microsecond, in UTC.
// Errors are meter.Error; what one organization may not see of another is
// KindNotFound, in the same words as for a thing that does not exist.
package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/background"
	"odometer/internal/meter"
	"odometer/internal/store/checksum"
)

// Options say how a Store behaves. Clock is required.
type Options struct {
	Clock  func() time.Time // the one source of time
	Logger *slog.Logger     // nil = silent
	Limits Limits           // fields that are zero take their default
	Build  string           // of which commit the program is; "" = it is not known, and what it finds out of nouns is not stored
}

// Limits bound what a Store holds and answers.
type Limits struct {
	Organizations       int // organizations in the store
	KeysPerOrganization int // keys of one organization that are not revoked
	Keys                int // keys of all organizations that are not revoked
	PageSize            int // items in one page of a list
	Nouns               int // nouns of one organization that hold now
	NounsHeld           int // nouns of an organization, with those that there were, that are held all together; of more, what is asked for
	GroupsMatched       int // usage record groups that one list looks at for what no index has

	KeyBytes  int64 // memory for keys; those that it does not take are looked up when they are used
	NounBytes int64 // memory for nouns; those that it does not take are read when they are asked for
}

// DefaultLimits are the limits of a Store that is given none.
func DefaultLimits() Limits {
	return Limits{Organizations: 10_000, KeysPerOrganization: 1_000, Keys: 100_000, PageSize: 1_000, Nouns: 200_000, GroupsMatched: 1_000_000, KeyBytes: 32 << 20, NounsHeld: 10_000, NounBytes: 128 << 20}
}

// orDefault fills the fields that are zero.
func (l Limits) orDefault() Limits {
	def := DefaultLimits()
	for _, f := range []struct{ have, def *int }{
		{&l.Organizations, &def.Organizations}, {&l.KeysPerOrganization, &def.KeysPerOrganization},
		{&l.Keys, &def.Keys}, {&l.PageSize, &def.PageSize}, {&l.Nouns, &def.Nouns}, {&l.NounsHeld, &def.NounsHeld}, {&l.GroupsMatched, &def.GroupsMatched},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	if l.KeyBytes <= 0 {
		l.KeyBytes = def.KeyBytes
	}
	if l.NounBytes <= 0 {
		l.NounBytes = def.NounBytes
	}
	return l
}

// Store is an open catalog. Its methods may be called concurrently. One
// process at a time uses an SQLite catalog.
type Store struct {
	dialect dialect
	dsn     string
	writer  *sql.DB // one connection: writes take turns
	reader  *sql.DB

	checksums *checksum.Keeper
	clock     func() time.Time
	logger    *slog.Logger
	limits    Limits
	build     string

	ledger    atomic.Pointer[string] // that the catalog is bound to; nil = not checked
	mostNamed int                    // as the constant; tests have others
	partly    atomic.Uint64          // changes that were planned by what they touch
	watching  background.Jobs
	closing   sync.Once
	flush     []func(ctx context.Context) error // what is to be written before a copy and at the end

	// A place in readers is held over viewsMu, never the other way; under
	// viewsMu nothing is taken.
	viewsMu sync.Mutex
	cache   *nounCache               // of what was read
	many    map[string]bool          // organizations with more nouns than are held all together
	sound   map[string]*soundNouns   // by organization, as last found
	readers map[string]chan struct{} // by organization; who holds it reads a view
}

// Open opens the catalog that dsn names, creates it if there is none, and
// brings its schema up to date. The dsn is the path of an SQLite file, or
// postgres://user@host/database for the current schema of a PostgreSQL database. A
// catalog written by a newer program is refused as KindUnsupported, a file
// that is something else as KindInvalid, a damaged one as KindCorrupt.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Clock == nil {
		return nil, meter.Errorf(meter.KindInvalid, "the catalog needs a clock")
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d, err := dialectOf(dsn)
	if err != nil {
		return nil, err
	}
	sums := checksum.New(checkedTables, func(damage error) { logger.Error("a row of the catalog is damaged", "error", damage) })
	writer, reader, err := d.open(ctx, dsn, sums.Wrap)
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: d, dsn: dsn, writer: writer, reader: reader, checksums: sums, clock: o.Clock, logger: logger, limits: o.Limits.orDefault(), build: o.Build, mostNamed: mostNamed, many: map[string]bool{}, sound: map[string]*soundNouns{}, readers: map[string]chan struct{}{}}
	s.cache = newNounCache(s.limits.NounBytes)
	if err := s.migrate(ctx); err != nil {
		if err := s.closePools(); err != nil {
			logger.Error("cannot close the catalog", "error", err)
		}
		return nil, err
	}
	return s, nil
}

// Close writes what is pending and closes the catalog. No other call may be
// running or follow, but for Close, which then does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.watching.Stop()
		err = errors.Join(s.flushAll(context.Background()), s.closePools())
	})
	return err
}

// OnFlush has do called before each copy and before the end, to write what a
// room keeps in memory. It is for opening a room.
func (s *Store) OnFlush(do func(ctx context.Context) error) { s.flush = append(s.flush, do) }

func (s *Store) flushAll(ctx context.Context) error {
	var failed []error
	for _, do := range s.flush {
		failed = append(failed, do(ctx))
	}
	return errors.Join(failed...)
}

// Limits are the limits in force.
func (s *Store) Limits() Limits { return s.limits }

// Logger is where the store tells of what nobody asked for.
func (s *Store) Logger() *slog.Logger { return s.logger }

// Reader is the pool that reads.
func (s *Store) Reader() Queryer { return s.reader }

func (s *Store) closePools() error {
	return errors.Join(s.reader.Close(), s.writer.Close())
}

// Ping reports whether the catalog can be read now.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	if err := s.reader.QueryRowContext(ctx, stmt.OrganizationCount).Scan(&n); err != nil {
		return s.Fail(err, "cannot read the catalog")
	}
	return nil
}

// Now is the clock's instant as it is stored.
func (s *Store) Now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Write runs do in one transaction, which is durable when Write returns nil
// and has left no trace when it does not.
func (s *Store) Write(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return s.Fail(err, "cannot %s", what)
	}
	if err := s.begin(ctx, tx, do); err != nil {
		// The context may have rolled it back already.
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			s.logger.Error("cannot roll back a change of the catalog", "error", undo)
		}
		return s.Fail(err, "cannot %s", what)
	}
	if err := tx.Commit(); err != nil {
		return s.Fail(err, "cannot %s", what)
	}
	return nil
}

// snapshot runs do on the state of one instant: what is read by several
// statements fits together, whatever changes meanwhile.
func (s *Store) snapshot(ctx context.Context, what string, do func(q executor) error) error {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.dialect.snapshot})
	if err != nil {
		return s.Fail(err, "cannot %s", what)
	}
	err = do(tx)
	// It has changed nothing; the context may have ended it already.
	if end := tx.Rollback(); end != nil && !errors.Is(end, sql.ErrTxDone) {
		err = errors.Join(err, end)
	}
	if err != nil {
		return s.Fail(err, "cannot %s", what)
	}
	return nil
}

// begin runs do after what the database needs at the start of a change.
func (s *Store) begin(ctx context.Context, tx *sql.Tx, do func(tx *sql.Tx) error) error {
	if s.dialect.begin != "" {
		if _, err := tx.ExecContext(ctx, s.dialect.begin); err != nil {
			return err
		}
	}
	if err := s.checkBound(ctx, tx); err != nil {
		return err
	}
	return do(tx)
}

// Fail makes a meter.Error of a database's error; one that is a meter.Error stays.
func (s *Store) Fail(err error, format string, args ...any) error {
	var known *meter.Error
	if errors.As(err, &known) {
		return err
	}
	kind := s.dialect.kind(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = meter.KindUnavailable
	}
	return meter.WrapError(kind, err, format, args...)
}

// Queryer is a pool or a transaction.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Row is a *sql.Row or *sql.Rows.
type Row interface{ Scan(dest ...any) error }

// List reads all rows of a query; the slice is never nil.
func List[T any](ctx context.Context, q Queryer, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items, before := []T{}, [][]T(nil)
	for rows.Next() {
		if len(items) == listPiece { // a long list does not grow many times
			before, items = append(before, items), make([]T, 0, listPiece)
		}
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	if before != nil {
		items = slices.Concat(append(before, items)...)
	}
	return items, rows.Err()
}

// listPiece is how many rows of a list are together until it is complete.
const listPiece = 1024

// Micros is an instant as it is stored: NULL for the zero time.
func Micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// FromMicros is the reverse of Micros.
func FromMicros(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}
