package store

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"odometer/internal/meter"
)

// SQLite's driver parses and plans a statement each time it is run by its
// text, which takes longer than most of ours run. A connection therefore keeps
// what it has run prepared. PostgreSQL's driver does the same by itself.
const (
	keptStatements = 128      // of one connection, those used last
	keptBytes      = 4 * 1024 // longer texts are not kept: they insert many rows, and differ in how many
)

// sqliteConn is what the driver's connections have.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStmt is what its prepared statements have.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepingConn is a connection that keeps statements prepared. One that runs
// is not among those kept: its text may be run again while its rows are read.
type keepingConn struct {
	sqliteConn
	kept  map[string]*list.Element // of keptStmt, by text
	order *list.List               // the one used last is in front
}

type keptStmt struct {
	text string
	sqliteStmt
}

func newKeepingConn(inner driver.Conn) (driver.Conn, error) {
	full, ok := inner.(sqliteConn)
	if !ok {
		return nil, errors.Join(meter.Errorf(meter.KindInternal, "the database's driver lacks what prepared statements need"), inner.Close())
	}
	return &keepingConn{full, map[string]*list.Element{}, list.New()}, nil
}

// take returns a statement that nobody else uses; nil for a text that is not
// kept, such as a migration of several statements.
func (c *keepingConn) take(ctx context.Context, text string) (*keptStmt, error) {
	if len(text) > keptBytes || strings.Contains(text, ";") {
		return nil, nil
	}
	if e := c.kept[text]; e != nil {
		delete(c.kept, text)
		s, _ := c.order.Remove(e).(*keptStmt)
		return s, nil
	}
	inner, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(sqliteStmt)
	if !ok {
		return nil, errors.Join(meter.Errorf(meter.KindInternal, "the database's driver lacks what prepared statements need"), inner.Close())
	}
	return &keptStmt{text, full}, nil
}

// done keeps a statement, or closes it if it has failed.
func (c *keepingConn) done(s *keptStmt, failed error) error {
	if failed != nil || c.kept[s.text] != nil {
		return errors.Join(failed, s.Close())
	}
	c.kept[s.text] = c.order.PushFront(s)
	if c.order.Len() <= keptStatements {
		return nil
	}
	last, _ := c.order.Remove(c.order.Back()).(*keptStmt)
	delete(c.kept, last.text)
	return last.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	result, err := s.ExecContext(ctx, args)
	if err := c.done(s, err); err != nil {
		return nil, err
	}
	return result, nil
}

// QueryContext implements driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, c.done(s, err)
	}
	return &keptRows{rows, c, s}, nil
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	var failed []error
	for e := c.order.Front(); e != nil; e = e.Next() {
		s, _ := e.Value.(*keptStmt)
		failed = append(failed, s.Close())
	}
	c.order.Init()
	clear(c.kept)
	return errors.Join(append(failed, c.sqliteConn.Close())...)
}

// keptRows are rows of a statement that is kept when they are closed.
type keptRows struct {
	driver.Rows
	conn *keepingConn
	stmt *keptStmt
}

// Close implements driver.Rows.
func (r *keptRows) Close() error { return r.conn.done(r.stmt, r.Rows.Close()) }
