package checksum

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"

	"odometer/internal/meter"
)

// Wrap returns a connector whose connections make and check checksums.
func (k *Keeper) Wrap(c driver.Connector) driver.Connector { return connector{c, k} }

type connector struct {
	driver.Connector
	keeper *Keeper
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(fullConn)
	if !ok {
		return nil, errors.Join(meter.Errorf(meter.KindInternal, "the database's driver lacks what checksums need"), inner.Close())
	}
	return &conn{fullConn: full, keeper: c.keeper}, nil
}

// fullConn is what the drivers in use have.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

// conn is a connection that extends statements. Its transactions are those of
// the connection below.
type conn struct {
	fullConn
	keeper *Keeper
	known  *knownRows // of the transaction that changes something; nil = there is none
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool {
	if v, ok := c.fullConn.(driver.Validator); ok {
		return v.IsValid()
	}
	return true
}

// CheckNamedValue implements driver.NamedValueChecker: what is written is one
// of driver's own types, so that its checksum is that of what will be read.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	var err error
	v.Value, err = driver.DefaultParameterConverter.ConvertValue(v.Value)
	if b, ok := v.Value.([]byte); ok && b == nil { // which the databases read back as NULL
		v.Value = nil
	}
	return err
}

// planOf returns nil where there is nothing to do.
func (c *conn) planOf(query string) (*plan, error) {
	if c.keeper.macs.Load() == nil {
		return nil, nil
	}
	p := c.keeper.plan(query)
	if p.opaque {
		c.known.forgetAll()
	}
	if p.plain() {
		return nil, nil
	}
	return p, p.err
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	p, err := c.planOf(query)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return c.fullConn.ExecContext(ctx, query, args)
	case p.update != nil:
		return c.change(ctx, p, args)
	case p.insert != nil:
		if args, err = c.insert(p.insert, args); err != nil {
			return nil, err
		}
	}
	return c.fullConn.ExecContext(ctx, p.text, args)
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := c.planOf(query)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return c.fullConn.QueryContext(ctx, query, args)
	case p.update != nil:
		return nil, meter.Errorf(meter.KindInternal, "a change of rows with checksums returns no rows")
	case p.insert != nil:
		if args, err = c.insert(p.insert, args); err != nil {
			return nil, err
		}
		return c.fullConn.QueryContext(ctx, p.text, args)
	}
	rows, err := c.fullConn.QueryContext(ctx, p.text, args)
	if err != nil {
		return nil, err
	}
	return newCheckedRows(c, p, rows), nil
}

// insert appends the checksum of each inserted row.
func (c *conn) insert(i *inserting, args []driver.NamedValue) ([]driver.NamedValue, error) {
	c.known.forget(i.table)
	return c.keeper.withSums(i, args)
}

// withSums appends the checksum of each inserted row.
func (k *Keeper) withSums(i *inserting, args []driver.NamedValue) ([]driver.NamedValue, error) {
	args = args[:len(args):len(args)]
	given := len(args)
	values := make([]driver.Value, len(i.at))
	for _, row := range i.rows {
		for c, at := range i.at {
			if at < 0 {
				values[c] = i.table.Defaulted[i.table.covered[c]]
				continue
			}
			if row[at] >= given {
				return nil, meter.Errorf(meter.KindInternal, "an insert into %s lacks a parameter", i.table.Name)
			}
			values[c] = args[row[at]].Value
		}
		sum, err := k.Sum(i.table.Name, values)
		if err != nil {
			return nil, err
		}
		args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: sum})
	}
	return args, nil
}

// each runs a query to its end.
func (c *conn) each(ctx context.Context, query string, args []driver.NamedValue, columns int, do func([]driver.Value) error) (err error) {
	rows, err := c.fullConn.QueryContext(ctx, query, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, columns)
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := do(row); err != nil {
			return err
		}
	}
}

// owned is a value that stays when the next row is read.
func owned(v driver.Value) driver.Value {
	if b, ok := v.([]byte); ok {
		return append([]byte{}, b...)
	}
	return v
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	p, err := c.planOf(query)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return c.fullConn.PrepareContext(ctx, query)
	}
	if p.update != nil {
		return nil, meter.Errorf(meter.KindInternal, "a change of rows with checksums cannot be prepared")
	}
	inner, err := c.fullConn.PrepareContext(ctx, p.text)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(fullStmt)
	if !ok {
		return nil, errors.Join(meter.Errorf(meter.KindInternal, "the database's driver lacks what checksums need"), inner.Close())
	}
	return &stmt{full, c, p}, nil
}

// Prepare implements driver.Conn.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// stmt is a prepared statement of a plan.
type stmt struct {
	fullStmt
	conn *conn
	plan *plan
}

// NumInput implements driver.Stmt: checksums are added below database/sql.
func (s *stmt) NumInput() int { return -1 }

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if s.plan.insert != nil {
		var err error
		if args, err = s.conn.insert(s.plan.insert, args); err != nil {
			return nil, err
		}
	}
	return s.fullStmt.ExecContext(ctx, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if s.plan.insert != nil {
		var err error
		if args, err = s.conn.insert(s.plan.insert, args); err != nil {
			return nil, err
		}
	}
	rows, err := s.fullStmt.QueryContext(ctx, args)
	if err != nil || len(s.plan.reads) == 0 {
		return rows, err
	}
	return newCheckedRows(s.conn, s.plan, rows), nil
}

// checkedRows are rows without what was added to check them.
type checkedRows struct {
	driver.Rows
	conn  *conn
	plan  *plan
	names []string
	all   []driver.Value
	row   []driver.Value // of one table
}

func newCheckedRows(c *conn, p *plan, rows driver.Rows) *checkedRows {
	names := rows.Columns()
	return &checkedRows{rows, c, p, names[:p.shown], make([]driver.Value, len(names)), nil}
}

// Columns implements driver.Rows.
func (r *checkedRows) Columns() []string { return r.names }

// Next implements driver.Rows.
func (r *checkedRows) Next(dest []driver.Value) error {
	for {
		if err := r.Rows.Next(r.all); err != nil {
			return err
		}
		err := r.check()
		if err == nil {
			copy(dest, r.all)
			return nil
		}
		if !r.plan.leaveOut || meter.KindOf(err) != meter.KindCorrupt {
			return err
		}
	}
}

func (r *checkedRows) check() error {
	for _, read := range r.plan.reads {
		r.row = r.row[:0]
		for _, at := range read.at {
			r.row = append(r.row, r.all[at])
		}
		if absent(r.row[:len(read.table.Key)]) { // the other side of an outer join
			continue
		}
		n := len(read.table.covered)
		if err := r.conn.keeper.Check(read.table.Name, r.row[:n], r.row[n]); err != nil {
			return err
		}
		r.conn.known.keep(read.table, r.row[:n])
	}
	return nil
}

// absent says that a key, which has no NULL, is that of no row.
func absent(key []driver.Value) bool {
	return !slices.ContainsFunc(key, func(v driver.Value) bool { return v != nil })
}
