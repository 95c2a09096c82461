package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"odometer/internal/meter"
	"odometer/internal/store/checksum"
)

// checkedTables lists the tables whose rows can bill somebody or let somebody
// in, with the columns that their checksums cover. Statements need not care:
// package checksum extends what writes and reads these tables.
//
// To add a column to such a table:
//
//   - add it in a migration with a DEFAULT, and name it here under Defaulted with
//     that default, so that rows from before keep their checksum;
//   - a migration that changes covered columns of rows that are there says so
//     in a line `-- checksums: TABLE, TABLE`: their rows are checked before it
//     and get new checksums after it. One that makes a table anew keeps the
//     column checksum;
//   - to make a table one of these, add a column checksum (BLOB or BYTEA), the
//     line above, and an entry here;
//   - an INSERT names all covered columns that have no default under Defaulted, and
//     gives them as parameters. What reads few columns of large rows says
//     `-- unchecked: why`, and what must go on past a damaged row
//     `-- damaged rows are left out: why`.
//
// Not covered is what may change without harm: when a key was last used, what
// of a group was posted (posting again counts nothing twice, and verify
// compares with the ledger), the lease of a line. The status of a usage record group is a word of
// which no other is a bit away; what decides about billing it again are report and settled.
var checkedTables = []checksum.Table{
	{Name: "organizations", Noun: "organization", Key: cols("id"), Columns: cols("name customer_attribute created_us")},
	{Name: "keys", Noun: "key", Key: cols("id"), Columns: cols("organization role kind customer operator hash created_us expires_us accounts default_aid client_token access_token secret"),
		Defaulted: values{"revoked_us": nil, "sources": "", "strict": int64(0)}},
	{Name: "nouns", Noun: "noun", Key: cols("organization kind customer id from_us"), Columns: cols("body"), Defaulted: values{"to_us": nil}},
	{Name: "periods", Noun: "closed month", Key: cols("organization customer month"), Columns: cols("closed_us sequence figures")},
	{Name: "close_jobs", Noun: "closing of all customers", Key: cols("organization id"), Columns: cols("month actor created_us sequence")},
	{Name: "metering_configs", Noun: "metering configuration", Key: cols("organization partner"), Columns: cols("config")},
	{Name: "entitlement_credits", Noun: "credit", Key: cols("organization entitlement number"), Columns: cols("amount time_us actor")},
	{Name: "billable_metrics", Noun: "billable metric", Key: cols("organization id"), Columns: cols("definition info created_us")},
	{Name: "record_groups", Noun: "usage record group", Key: cols("organization id"),
		Columns:   cols("serial entitlement customer buyer partner product usage_us created_us source origin records billable"),
		Defaulted: values{"settled": "[]", "report": nil, "reported_us": nil}},
	{Name: "idempotency_keys", Noun: "idempotency key", Key: cols("organization scope key"), Columns: cols("request answer created_us")},
	{Name: "reports", Noun: "report", Key: cols("organization id"),
		Columns: cols("serial entitlement term buyer product partner account hour_us created_us status info")},
	{Name: "report_portions", Noun: "portion of a report", Key: cols("organization report dimension"), Columns: cols("entitlement term account hour_us state body")},
	{Name: "report_lines", Noun: "line of a report", Key: cols("organization operation"),
		Columns: cols("partner account dimension hour_us quantity target state accepted maybe deadline_us")},
	{Name: "report_balances", Noun: "balance", Key: cols("organization entitlement kind term dimension period"), Columns: cols("amount")},
	{Name: "report_seen", Noun: "counted value", Key: cols("organization entitlement dimension metric split day value"), Columns: cols("report")},
	{Name: "report_reads", Noun: "reading of a meter", Key: cols("organization entitlement dimension period"), Columns: cols("through_us value")},
	{Name: "reporter_states", Noun: "state of the reporter", Key: cols("organization"), Columns: cols("paused restored_us")},
}

type values = map[string]driver.Value

func cols(names string) []string { return strings.Fields(names) }

// checksumMigration is how the name of the migration ends that brought checksums.
const checksumMigration = "_checksums"

// checksumDirective begins the line of a migration that names the tables whose
// rows need new checksums after it.
const checksumDirective = "-- checksums:"

// resealed returns the tables that a migration names.
func resealed(text string) []string {
	var tables []string
	for line := range strings.Lines(text) {
		if names, ok := strings.CutPrefix(strings.TrimSpace(line), checksumDirective); ok {
			tables = append(tables, strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	return tables
}

// checksumKeyCopies is how often the key is stored: one damaged copy is no harm.
const checksumKeyCopies = 2

// checksumKey returns the key of the checksums, and makes it if make says so
// and there is none. The key lives in the catalog, so that whatever copies,
// restores or rebinds the catalog takes it along.
func (s *Store) checksumKey(ctx context.Context, q Queryer) ([]byte, error) {
	type stored struct{ key, proof string }
	copies, err := List(ctx, q, func(r Row) (stored, error) {
		var c stored
		err := r.Scan(&c.key, &c.proof)
		return c, err
	}, stmt.ChecksumKeyList)
	if err != nil {
		return nil, err
	}
	for _, c := range copies {
		key, err := hex.DecodeString(c.key)
		if err == nil && len(key) == checksum.KeyBytes && hmac.Equal([]byte(c.proof), []byte(proofOf(key))) {
			return key, nil
		}
	}
	if len(copies) > 0 {
		return nil, meter.Errorf(meter.KindCorrupt, "the catalog is damaged: the key of its checksums cannot be read")
	}
	return nil, nil
}

// proofOf tells whether a stored key is whole.
func proofOf(key []byte) string {
	sum := sha256.Sum256(append([]byte("odometer checksum key\n"), key...))
	return hex.EncodeToString(sum[:16])
}

func (s *Store) ensureChecksumKey(ctx context.Context, tx *sql.Tx) ([]byte, error) {
	key, err := s.checksumKey(ctx, tx)
	if err != nil || key != nil {
		return key, err
	}
	key = make([]byte, checksum.KeyBytes)
	_, _ = rand.Read(key) // never fails
	for i := range checksumKeyCopies {
		if _, err := tx.ExecContext(ctx, stmt.ChecksumKeyCreate, i+1, hex.EncodeToString(key), proofOf(key)); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// useChecksums starts to check and make checksums.
func (s *Store) useChecksums(ctx context.Context) error {
	key, err := s.checksumKey(ctx, s.reader)
	if err == nil && key == nil {
		err = meter.Errorf(meter.KindCorrupt, "the catalog is damaged: the key of its checksums is missing")
	}
	if err != nil {
		return s.Fail(err, "cannot read the key of the catalog's checksums")
	}
	s.checksums.SetKey(key)
	return nil
}

// checkPage is how many rows are read at once while all are.
const checkPage = 500

// eachChecked calls do with each row of a table: its covered columns and its checksum.
func (s *Store) eachChecked(ctx context.Context, q Queryer, table string, withSum bool, do func(values []driver.Value, stored driver.Value) error) error {
	key, covered := s.checksums.Key(table), s.checksums.Covered(table)
	columns := strings.Join(covered, ", ")
	if withSum {
		columns += ", " + checksum.Column
	} else {
		columns += ", NULL"
	}
	var after []any
	for {
		// Statements are made here, since they follow from the list of tables alone.
		query := "-- unchecked: each row is checked here\nSELECT " + columns + "\nFROM " + table
		if after != nil {
			var places []string
			for i := range key {
				places = append(places, "$"+strconv.Itoa(i+1))
			}
			query += "\nWHERE (" + strings.Join(key, ", ") + ") > (" + strings.Join(places, ", ") + ")"
		}
		query += "\nORDER BY " + strings.Join(key, ", ") + "\nLIMIT " + strconv.Itoa(checkPage)
		page, err := List(ctx, q, func(r Row) ([]driver.Value, error) { return scanValues(r, len(covered)+1) }, query, after...)
		if err != nil {
			return err
		}
		for _, values := range page {
			if err := do(values[:len(covered)], values[len(covered)]); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		after = after[:0]
		for i := range key {
			after = append(after, page[len(page)-1][i])
		}
	}
}

// scanValues reads a row of so many values as the database gives it.
func scanValues(r Row, n int) ([]driver.Value, error) {
	values, read, dest := make([]driver.Value, n), make([]any, n), make([]any, n)
	for i := range dest {
		dest[i] = &read[i]
	}
	err := r.Scan(dest...)
	for i, v := range read {
		values[i] = v
	}
	return values, err
}

// seal gives all rows of a table their checksums. A row that had another one
// than it should keeps it: it is damaged, and stays known as that.
func (s *Store) seal(ctx context.Context, tx *sql.Tx, table string, damaged map[string]bool) error {
	return s.eachChecked(ctx, tx, table, false, func(values []driver.Value, _ driver.Value) error {
		if damaged[rowID(values[:len(s.checksums.Key(table))])] {
			return nil
		}
		return s.sealRow(ctx, tx, table, values)
	})
}

// sealRow gives one row the checksum of its covered values.
func (s *Store) sealRow(ctx context.Context, tx *sql.Tx, table string, values []driver.Value) error {
	sum, err := s.checksums.Sum(table, values)
	if err != nil {
		return err
	}
	args := []any{sum}
	for i := range s.checksums.Key(table) {
		args = append(args, values[i])
	}
	_, err = tx.ExecContext(ctx, s.checksums.SealStatement(table), args...)
	return err
}

func rowID(key []driver.Value) string { return fmt.Sprintf("%q", key) }

// damagedRows finds the rows of a table that do not have their checksums.
func (s *Store) damagedRows(ctx context.Context, q Queryer, table string) (map[string]bool, error) {
	damaged := map[string]bool{}
	err := s.eachChecked(ctx, q, table, true, func(values []driver.Value, stored driver.Value) error {
		err := s.checksums.Check(table, values, stored)
		if meter.KindOf(err) == meter.KindCorrupt {
			damaged[rowID(values[:len(s.checksums.Key(table))])] = true
			return nil
		}
		return err
	})
	return damaged, err
}

// TakeOver gives those rows of a table that a condition chooses and that are
// damaged the checksum of what they hold, and returns them with columns that
// checksums do not cover, for the caller to say what becomes of them.
func (s *Store) TakeOver(ctx context.Context, tx *sql.Tx, table, where string, more []string, args ...any) ([]map[string]driver.Value, error) {
	covered := s.checksums.Covered(table)
	columns := slices.Concat(covered, []string{checksum.Column}, more)
	query := "-- unchecked: each is checked here\nSELECT " + strings.Join(columns, ", ") + "\nFROM " + table + "\nWHERE " + where
	all, err := List(ctx, tx, func(r Row) ([]driver.Value, error) { return scanValues(r, len(columns)) }, query, args...)
	if err != nil {
		return nil, err
	}
	var damaged []map[string]driver.Value
	for _, values := range all {
		err := s.checksums.Check(table, values[:len(covered)], values[len(covered)])
		if err == nil {
			continue
		}
		if meter.KindOf(err) != meter.KindCorrupt {
			return nil, err
		}
		if err := s.sealRow(ctx, tx, table, values[:len(covered)]); err != nil {
			return nil, err
		}
		row := map[string]driver.Value{}
		for i, column := range columns {
			row[column] = values[i]
		}
		damaged = append(damaged, row)
	}
	return damaged, nil
}

// CheckRows reads every row that can bill or let somebody in, and calls
// problem with each that is damaged.
func (s *Store) CheckRows(ctx context.Context, problem func(error)) error {
	for _, table := range s.checksums.Tables() {
		err := s.eachChecked(ctx, s.reader, table, true, func(values []driver.Value, stored driver.Value) error {
			err := s.checksums.Check(table, values, stored)
			if meter.KindOf(err) == meter.KindCorrupt {
				problem(err)
				return nil
			}
			return err
		})
		if err != nil {
			return s.Fail(err, "cannot check the catalog's rows")
		}
	}
	return nil
}

// DamagedRows is the number of rows that were read, found damaged, and not
// found whole since.
func (s *Store) DamagedRows() int { return s.checksums.Damaged() }
