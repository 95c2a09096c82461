package store

import (
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"testing"
)

// A statement that is kept prepared answers as one that is not: also while its
// rows are read, after it has failed, when the table has changed and when
// there were more statements than are kept.
func TestKeptStatements(t *testing.T) {
	t.Parallel()
	writer, reader, err := openSQLite(t.Context(), filepath.Join(t.TempDir(), "kept.db"), func(c driver.Connector) driver.Connector { return c })
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	exec := func(query string, args ...any) error {
		_, err := writer.ExecContext(ctx, query, args...)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
	const insert, list = "INSERT INTO numbers (n, name) VALUES ($1, $2)", "SELECT name FROM numbers WHERE n > $1 ORDER BY n"
	for i := range 3 {
		must(exec(insert, i, fmt.Sprint("number ", i)))
	}
	if err := exec(insert, 1, "again"); err == nil {
		t.Error("a number was inserted twice")
	}
	must(exec(insert, 3, "number 3"))

	tx, err := writer.BeginTx(ctx, nil)
	must(err)
	outer, err := tx.QueryContext(ctx, list, 0)
	must(err)
	for i := 1; outer.Next(); i++ {
		var have string
		must(outer.Scan(&have))
		inner, err := List(ctx, tx, scanText, list, 1)
		if err != nil || have != fmt.Sprint("number ", i) || len(inner) != 2 {
			t.Errorf("%s, and %q beside it: %v", have, inner, err)
		}
	}
	must(outer.Err())
	must(outer.Close())
	must(tx.Commit())

	must(exec("ALTER TABLE numbers ADD COLUMN more TEXT NOT NULL DEFAULT 'none'"))
	must(exec("UPDATE numbers SET name = more || $1 WHERE n = $2", "!", 3))
	for i := range 2 * keptStatements {
		names, err := List(ctx, reader, scanText, fmt.Sprintf("SELECT name FROM numbers WHERE n > $1 AND n < %d", i+4), 2)
		if err != nil || len(names) != 1 || names[0] != "none!" {
			t.Fatalf("%q, %v", names, err)
		}
	}
	must(reader.Close())
	must(writer.Close())
}
