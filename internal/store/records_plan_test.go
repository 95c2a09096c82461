package store_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"odometer/internal/store"
	"odometer/internal/store/sqlfile"
)

// The lines of one booking find their portions by index, not among all of an
// organization, and lines that are due come in order without being sorted.
func TestReportsAreFoundByIndex(t *testing.T) {
	t.Parallel()
	_, path := filled(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := sqlfile.Read(os.DirFS("."), "records/sql")
	if err != nil {
		t.Fatal(err)
	}
	plan := func(query string, args []any) string {
		steps, err := store.List(t.Context(), db, func(r store.Row) (step string, err error) {
			var id, parent, unused int
			return step, r.Scan(&id, &parent, &unused, &step)
		}, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(steps, "\n")
	}
	query, args := store.InPairs(all["PortionOfLines"], 4, []any{"o", 1, "frozen"}, []string{"a", "gb", "b", "gb", "c", "gb"})
	if p := plan(query, args); !strings.Contains(p, "report_portions_of_line (organization=? AND account=? AND dimension=? AND hour_us=?)") {
		t.Errorf("%s:\n%s", query, p)
	}
	if p := plan(all["LineDue"], []any{1}); !strings.Contains(p, "report_lines_to_send") || strings.Contains(p, "TEMP B-TREE") {
		t.Errorf("lines that are due:\n%s", p)
	}
	for name, in := range map[string]int{"LineForeseen": 2, "ReportForeseen": 2, "PortionOfReports": 2, "PortionOpen": 2, "BalanceList": 2, "ReadList": 2, "CreditAmounts": 3, "ReportHours": 3} {
		query, args := store.InList(all[name], in, []any{"o", 1}[:in-1], []string{"a", "b", "c"})
		if p := plan(query, args); !strings.Contains(p, "=? AND") {
			t.Errorf("%s:\n%s", query, p)
		}
	}
}
