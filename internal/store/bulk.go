package store

import (
	"context"
	"database/sql"
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
