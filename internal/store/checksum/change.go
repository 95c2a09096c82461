package checksum

import (
	"context"
	"database/sql/driver"
	"slices"
	"strconv"

	"odometer/internal/meter"
)

// change checks the rows that an UPDATE will change, changes them, and gives
// them the checksums of what they are then. A row that was read in the same
// transaction was checked then.
func (c *conn) change(ctx context.Context, p *plan, args []driver.NamedValue) (driver.Result, error) {
	u := p.update
	for _, at := range u.args {
		if at >= len(args) {
			return nil, meter.Errorf(meter.KindInternal, "a change of %s lacks a parameter", u.table.Name)
		}
	}
	if row := c.known.row(u, args); row != nil && len(args) == u.given {
		return c.changeOne(ctx, u, row, args)
	}
	some := make([]driver.NamedValue, len(u.args))
	for i, at := range u.args {
		some[i] = driver.NamedValue{Ordinal: i + 1, Value: args[at].Value}
	}
	covered, rows := len(u.table.covered), 0
	var last []driver.Value
	err := c.each(ctx, u.before, some, covered+1, func(row []driver.Value) error {
		rows++
		last = append(last[:0], row[:covered]...)
		return c.keeper.Check(u.table.Name, row[:covered], row[covered])
	})
	switch {
	case err != nil:
		return nil, err
	case rows == 1 && u.one != "" && len(args) == u.given:
		return c.changeOne(ctx, u, last, args)
	}
	return c.changeAll(ctx, p, args)
}

// changeOne changes a row of which all is known, in one statement with its checksum.
func (c *conn) changeOne(ctx context.Context, u *updating, row []driver.Value, args []driver.NamedValue) (driver.Result, error) {
	row = slices.Clone(row)
	for _, s := range u.sets {
		row[s.column] = s.value
		if s.arg >= 0 {
			row[s.column] = owned(args[s.arg].Value)
		}
	}
	sum, err := c.keeper.Sum(u.table.Name, row)
	if err != nil {
		return nil, err
	}
	args = append(args[:len(args):len(args)], driver.NamedValue{Ordinal: len(args) + 1, Value: sum})
	result, err := c.fullConn.ExecContext(ctx, u.one, args)
	if err != nil {
		return nil, err
	}
	n, err := result.RowsAffected()
	switch {
	case err != nil:
		return nil, err
	case n > 1:
		return nil, meter.Errorf(meter.KindInternal, "a change of one row of %s has changed %d", u.table.Name, n)
	case n == 1:
		c.known.keep(u.table, row)
	}
	return driver.RowsAffected(n), nil
}

// changeAll changes rows that were checked, and then gives them their checksums.
func (c *conn) changeAll(ctx context.Context, p *plan, args []driver.NamedValue) (driver.Result, error) {
	u := p.update
	c.known.forget(u.table)
	covered := len(u.table.covered)
	var seals [][]driver.NamedValue
	err := c.each(ctx, p.text, args, covered+1, func(row []driver.Value) error {
		sum, err := c.keeper.Sum(u.table.Name, row[:covered])
		seal := []driver.NamedValue{{Ordinal: 1, Value: sum}}
		for i := range u.table.Key {
			seal = append(seal, driver.NamedValue{Ordinal: i + 2, Value: owned(row[i])})
		}
		seals = append(seals, seal)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, seal := range seals {
		if _, err := c.fullConn.ExecContext(ctx, u.seal, seal); err != nil {
			return nil, err
		}
	}
	return driver.RowsAffected(len(seals)), nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.fullConn.BeginTx(ctx, o)
	if err != nil || o.ReadOnly {
		return tx, err
	}
	c.known = &knownRows{}
	return &changingTx{tx, c}, nil
}

// changingTx is a transaction that may change rows.
type changingTx struct {
	driver.Tx
	conn *conn
}

// Commit implements driver.Tx.
func (t *changingTx) Commit() error {
	t.conn.known = nil
	return t.Tx.Commit()
}

// Rollback implements driver.Tx.
func (t *changingTx) Rollback() error {
	t.conn.known = nil
	return t.Tx.Rollback()
}

// knownRows are rows that were read and found whole in one transaction, or
// written by it, as they are now: the values of their covered columns. It
// alone changes them until it ends. None is nil.
type knownRows struct {
	tables map[*Table]map[string][]driver.Value
	rows   int
}

// maxKnown bounds the rows that are known; others are read before they are changed.
const maxKnown = 4096

// keep remembers a row, whose values are copied.
func (k *knownRows) keep(t *Table, row []driver.Value) {
	if k == nil {
		return
	}
	key := keyOf(row[:len(t.Key)])
	if k.tables[t][key] == nil {
		if k.rows >= maxKnown {
			return
		}
		k.rows++
	}
	if k.tables == nil {
		k.tables = map[*Table]map[string][]driver.Value{}
	}
	if k.tables[t] == nil {
		k.tables[t] = map[string][]driver.Value{}
	}
	kept := make([]driver.Value, len(row))
	for i, v := range row {
		kept[i] = owned(v)
	}
	k.tables[t][key] = kept
}

// row is what an UPDATE changes, if it names one row by its key and that is known.
func (k *knownRows) row(u *updating, args []driver.NamedValue) []driver.Value {
	if k == nil || u.one == "" || u.key == nil || k.tables[u.table] == nil {
		return nil
	}
	key := make([]driver.Value, len(u.key))
	for i, at := range u.key {
		key[i] = args[at].Value
	}
	return k.tables[u.table][keyOf(key)]
}

func (k *knownRows) forget(t *Table) {
	if k != nil {
		k.rows -= len(k.tables[t])
		delete(k.tables, t)
	}
}

func (k *knownRows) forgetAll() {
	if k != nil {
		*k = knownRows{}
	}
}

// keyOf is a key as one text.
func keyOf(values []driver.Value) string {
	var b []byte
	for _, v := range values {
		switch v := plainText(v).(type) {
		case string:
			b = append(strconv.AppendInt(b, int64(len(v)), 10), ':')
			b = append(b, v...)
		case int64:
			b = append(strconv.AppendInt(append(b, 'n'), v, 10), ':')
		default: // no key has another
			b = append(b, '?')
		}
	}
	return string(b)
}
