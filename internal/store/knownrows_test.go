package store_test

import (
	"database/sql"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/records"
)

// A row that was read in a transaction is changed without being read again;
// it keeps the checksum of what it holds, whatever else the transaction did.
func TestRowsKnownInATransaction(t *testing.T) {
	t.Parallel()
	const (
		read   = "SELECT status FROM reports WHERE organization = $1 AND id = $2"
		decide = "UPDATE reports\nSET status = $3, message = $4\nWHERE organization = $1 AND id = $2"
		pinned = "UPDATE reports\nSET status = $3\nWHERE organization = $1 AND id = $2 AND message = $4"
		lease  = "UPDATE report_lines\nSET maybe = 1, accepted = $3, attempts = attempts + 1\nWHERE organization = $1 AND operation = $2"
		free   = "UPDATE record_groups\nSET report = NULL, settled = $3\nWHERE organization = $1 AND id = $2"
		raise  = "UPDATE reports\nSET serial = serial + $2\nWHERE organization = $1"
		put    = "INSERT INTO report_balances (organization, entitlement, kind, term, dimension, period, amount)\nVALUES ($1, $2, $3, $4, $5, $6, $7)\n" +
			"ON CONFLICT (organization, entitlement, kind, term, dimension, period) DO UPDATE SET amount = excluded.amount"
		balance = "SELECT amount FROM report_balances WHERE organization = $1 AND entitlement = $2 AND kind = $3 AND term = $4 AND dimension = $5 AND period = $6"
		move    = "UPDATE report_balances\nSET amount = $7\nWHERE organization = $1 AND entitlement = $2 AND kind = $3 AND term = $4 AND dimension = $5 AND period = $6"
	)
	org := catalog.DefaultOrganization
	key := []any{org, "e1", "carry", "t1", "gb", ""}
	for _, reads := range []bool{false, true} {
		s, _ := filled(t)
		err := s.Write(t.Context(), "change rows", func(tx *sql.Tx) error {
			scan := func(query string, args ...any) {
				if !reads {
					return
				}
				var text string
				if err := tx.QueryRowContext(t.Context(), query, args...).Scan(&text); err != nil {
					t.Errorf("%s: %v", query, err)
				}
			}
			change := func(want int64, query string, args ...any) {
				t.Helper()
				done, err := tx.ExecContext(t.Context(), query, args...)
				if err != nil {
					t.Fatalf("%s: %v", query, err)
				}
				if n, err := done.RowsAffected(); n != want || err != nil {
					t.Errorf("%s: %d rows, %v", query, n, err)
				}
			}
			scan(read, org, "r1")
			change(1, decide, org, "r1", "FAILED", "one")
			change(1, pinned, org, "r1", "PARKED", "one")
			change(0, pinned, org, "r1", "MOVED", "another")
			change(0, decide, org, "r2", "MOVED", "none")
			change(1, raise, org, 5)
			change(1, decide, org, "r1", "SUCCESS", "two")
			scan("SELECT target FROM report_lines WHERE organization = $1 AND operation = $2", org, "op")
			change(1, lease, org, "op", "3")
			change(1, lease, org, "op", "2")
			scan("SELECT name FROM record_groups WHERE organization = $1 AND id = $2", org, groupOf(t, s))
			change(1, free, org, groupOf(t, s), `["gb"]`)
			scan(balance, key...)
			change(1, put, append(key[:6:6], "7")...)
			change(1, move, append(key[:6:6], "8")...)
			scan(balance, key...)
			change(1, "DELETE FROM report_balances WHERE organization = $1 AND term = $2", org, "t1")
			change(0, move, append(key[:6:6], "9")...)
			change(1, put, append(key[:6:6], "10")...)
			change(1, move, append(key[:6:6], "11")...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"reports", "report_lines", "record_groups", "report_balances"} {
			if n, err := s.Damaged(t.Context(), table); n != 0 || err != nil {
				t.Errorf("%s, reads %t: %d damaged rows, %v", table, reads, n, err)
			}
		}
		r, err := records.New(s).Report(t.Context(), org, "r1")
		if err != nil || r.Serial != 6 || r.Status != "SUCCESS" || r.Message != "two" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// A row that was changed by nobody knows whom after it was read is read again.
func TestRowsChangedUnseen(t *testing.T) {
	t.Parallel()
	s, _ := filled(t)
	org := catalog.DefaultOrganization
	err := s.Write(t.Context(), "change rows", func(tx *sql.Tx) error {
		var text string
		if err := tx.QueryRowContext(t.Context(), "SELECT status FROM reports WHERE organization = $1 AND id = $2", org, "r1").Scan(&text); err != nil {
			return err
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE reports SET buyer = 'thief'; SELECT 1"); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "UPDATE reports\nSET status = $3\nWHERE organization = $1 AND id = $2", org, "r1", "MOVED")
		return err
	})
	if err == nil {
		t.Error("a change covers up damage")
	}
}

// groupOf is the id of the usage record group that there is.
func groupOf(t *testing.T, s *store.Store) (id string) {
	t.Helper()
	if err := s.Reader().QueryRowContext(t.Context(), "-- unchecked: only its id\nSELECT id FROM record_groups").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
