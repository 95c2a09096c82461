package store

import (
	"context"
	"database/sql"
	"math/bits"
	"strconv"
	"strings"
)

// RepeatValues makes of a statement that inserts one row of columns
// parameters, VALUES ($1, ..., $columns), one that inserts that many rows.
func RepeatValues(statement string, columns, rows int) string {
	before, rest, _ := strings.Cut(statement, "VALUES (")
	_, after, _ := strings.Cut(rest, ")")
	var b strings.Builder
	b.WriteString(before)
	b.WriteString("VALUES ")
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		for c := range columns {
			b.WriteByte("(,"[min(c, 1)])
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(i*columns + c + 1))
		}
		b.WriteByte(')')
	}
	b.WriteString(after)
	return b.String()
}

// BulkRows is how many rows of so many columns one statement inserts: about as
// many parameters as for nouns.
func (s *Store) BulkRows(columns int) int {
	return max(1, s.dialect.bulkRows*nounColumns/columns)
}

// insertAll inserts any number of rows, whose parameters follow each other,
// dialect.bulkRows with one statement.
func (s *Store) insertAll(ctx context.Context, tx *sql.Tx, statement string, columns int, args []any) error {
	for len(args) > 0 {
		rows := min(s.dialect.bulkRows, len(args)/columns)
		if _, err := tx.ExecContext(ctx, RepeatValues(statement, columns, rows), args[:rows*columns]...); err != nil {
			return err
		}
		args = args[rows*columns:]
	}
	return nil
}

// RepeatIn makes of IN ($first), whose parameter is the last, a list of n.
func RepeatIn(statement string, first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + first))
	}
	return strings.Replace(statement, "IN ($"+strconv.Itoa(first)+")", "IN ("+b.String()+")", 1)
}

// InList makes of IN ($first), whose parameter is the last, a list of values,
// at least one, and adds these to args. The last is repeated so that the list
// has one of few lengths: each is a statement that a connection keeps prepared.
func InList(statement string, first int, args []any, values []string) (string, []any) {
	for _, v := range values {
		args = append(args, v)
	}
	n := evenLength(len(values))
	for range n - len(values) {
		args = append(args, values[len(values)-1])
	}
	return RepeatIn(statement, first, n), args
}

// InPairs does the same with IN (VALUES ($first, ...)), whose parameters are the
// last two: values are pairs, one after another.
func InPairs(statement string, first int, args []any, values []string) (string, []any) {
	for _, v := range values {
		args = append(args, v)
	}
	n := evenLength(len(values) / 2)
	for range n - len(values)/2 {
		args = append(args, values[len(values)-2], values[len(values)-1])
	}
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($" + strconv.Itoa(first+2*i) + ", $" + strconv.Itoa(first+2*i+1) + ")")
	}
	return strings.Replace(statement, "($"+strconv.Itoa(first)+", $"+strconv.Itoa(first+1)+")", b.String(), 1), args
}

// evenLength is the least power of two that is not less than n.
func evenLength(n int) int { return 1 << bits.Len(uint(n-1)) }
