package store_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/checksum"
	"odometer/internal/store/records"
	"odometer/internal/store/sqlfile"
)

func decimal(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// filled is a catalog with rows in each table that has checksums.
func filled(t *testing.T) (s *store.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "catalog.db")
	s, err := store.Open(t.Context(), path, store.Options{Clock: store.TestClock})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, org, hour := t.Context(), catalog.DefaultOrganization, store.TestClock().UTC().Truncate(time.Hour).Add(-2*time.Hour)
	_, err = openKeys(t, s).EnsureDefault(ctx, "test")
	must(err)
	_, err = s.Apply(ctx, org, &catalog.Document{Customers: []catalog.Customer{{ID: "acme", Name: "Acme", CycleDay: 1, Pricing: catalog.PricingUsage}}}, catalog.ApplyOptions{Actor: "test"})
	must(err)
	must(records.New(s).SetReporter(ctx, org, billing.ReporterState{Paused: true}, "test"))
	_, err = records.New(s).PutMeteringConfigs(ctx, org, []billing.MeteringConfig{{Partner: catalog.PartnerAWS}}, "test")
	must(err)
	_, err = records.New(s).CreateBillableMetric(ctx, org, billing.BillableMetric{ID: "m", Definition: json.RawMessage(`{}`), Info: json.RawMessage(`{}`), Created: store.TestClock()})
	must(err)
	month := store.TestClock().AddDate(0, -2, 0).Format(catalog.PeriodLayout)
	_, err = s.ClosePeriod(ctx, org, catalog.Period{Customer: "acme", Month: month, Figures: json.RawMessage(`{"gb":1}`)}, "test")
	must(err)
	_, err = s.CreateCloseJob(ctx, org, month, "test")
	must(err)
	must(s.Write(ctx, "give a credit", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO entitlement_credits (organization, entitlement, number, amount, time_us, actor) VALUES ($1, $2, $3, $4, $5, $6)`, org, "e1", 1, "9", store.Micros(store.TestClock()), "test")
		return err
	}))
	groups, _, err := records.New(s).CreateRecordGroups(ctx, org, []billing.RecordGroup{{ID: "g1", Entitlement: "e1", Customer: "acme", Buyer: "b", Partner: catalog.PartnerAWS, Product: "cdn",
		Status: billing.GroupCreated, Usage: hour, Source: "API", Origin: map[string]meter.Decimal{"gb": decimal("4")}, Records: map[string]meter.Decimal{"gb": decimal("4")}}},
		billing.Idempotency{Scope: "s", Key: "k", Request: "r"})
	must(err)
	p := billing.Portion{Report: "r1", Dimension: "gb", Entitlement: "e1", Term: "t1", Account: "acc", Hour: hour, State: billing.LineFrozen, Usage: decimal("4"), Left: decimal("4"), Adjusted: decimal("4"),
		Sent: decimal("3"), CarryOut: decimal("1"), Reads: []billing.MeterRead{{Period: "2026-03", Through: hour, Value: decimal("1")}}, Seen: []billing.SeenItem{{Metric: "m", Split: "s", Day: "2026-03-01", Value: "v"}}}
	q := billing.FreezeQuery{Entitlements: []string{"e1"}, Accounts: []string{"acc"}, Before: hour.Add(time.Hour), HoursFrom: hour.Add(-time.Hour)}
	must(records.New(s).Freeze(ctx, org, q, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
		return []billing.FrozenReport{{Report: billing.Report{ID: "r1", Entitlement: "e1", Term: "t1", Buyer: "b", Product: "cdn", Partner: catalog.PartnerAWS, Account: "acc", Hour: hour, Created: store.TestClock(),
				Status: billing.ReportPending, Info: json.RawMessage(`{}`)}, Portions: []billing.Portion{p}, Groups: groups}},
			[]billing.Line{{Operation: "op", Partner: catalog.PartnerAWS, Account: "acc", Dimension: "gb", Hour: hour, Quantity: decimal("3"), Target: json.RawMessage(`{}`), Next: hour, Deadline: hour.Add(24 * time.Hour)}}, nil
	}))
	lines, err := records.New(s).LeaseLines(ctx, "me", store.TestClock(), store.TestClock().Add(time.Minute), 10, func(*billing.Line) bool { return true })
	if err != nil || len(lines) != 1 {
		t.Fatal(lines, err)
	}
	if n, err := records.New(s).DecideLines(ctx, []billing.Decision{{Line: lines[0], To: billing.LineSettled, Accepted: decimal("3")}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	must(s.Check(ctx))
	return s, path
}

// beside changes rows by other means than the catalog's: as damage does.
func beside(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=ignore_check_constraints(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, trigger := range []string{"periods_stay", "periods_stay_as_closed", "entitlement_credits_stay", "entitlement_credits_stay_as_given"} {
		statements = append([]string{"DROP TRIGGER IF EXISTS " + trigger}, statements...)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Each covered column of each table is one whose change is found.
func TestEveryCoveredColumnIsChecked(t *testing.T) {
	t.Parallel()
	s, path := filled(t)
	for _, table := range store.CheckedTables {
		damaged := func() int {
			rows, err := s.Damaged(t.Context(), table.Name)
			if err != nil {
				t.Fatal(err)
			}
			return rows
		}
		var rows int
		if err := s.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table.Name).Scan(&rows); err != nil || rows == 0 {
			t.Errorf("%s: %d rows, %v", table.Name, rows, err)
		}
		for _, column := range append(s.Covered(table.Name), checksum.Column) {
			beside(t, path, "CREATE TABLE kept AS SELECT * FROM "+table.Name,
				fmt.Sprintf("UPDATE %s SET %s = CASE typeof(%s) WHEN 'integer' THEN %s + 1 WHEN 'null' THEN %s WHEN 'blob' THEN zeroblob(length(%s)) ELSE %s || 'x' END",
					table.Name, column, column, column, instead(table.Name, column), column, column))
			if n := damaged(); n != rows {
				t.Errorf("%s.%s: %d of %d changed rows are found", table.Name, column, n, rows)
			}
			beside(t, path, "DELETE FROM "+table.Name, "INSERT INTO "+table.Name+" SELECT * FROM kept", "DROP TABLE kept")
			if n := damaged(); n != 0 {
				t.Errorf("%s: %d damaged rows after putting them back", table.Name, n)
			}
		}
	}
}

// instead is a value of a column that was NULL.
func instead(table, column string) string {
	switch {
	case strings.HasSuffix(column, "_us"):
		return "1"
	case column == "secret" || column == "hash":
		return "x'00'"
	}
	return "'" + table + "'"
}

// What reads a damaged row says so instead of answering with it, and what
// changes one does not cover it up.
func TestADamagedRowIsNoAnswer(t *testing.T) {
	t.Parallel()
	s, path := filled(t)
	ctx, org := t.Context(), catalog.DefaultOrganization
	reads := map[string]struct {
		damage string
		read   func() error
	}{
		"a group": {`UPDATE record_groups SET records = replace(records, '4', '6')`, func() error {
			_, err := records.New(s).RecordGroup(ctx, org, "g1")
			return err
		}},
		"a list of groups": {`UPDATE record_groups SET records = replace(records, '4', '5')`, func() error {
			_, err := records.New(s).RecordGroups(ctx, org, billing.RecordGroupFilter{From: time.Unix(0, 0), To: store.TestClock().AddDate(1, 0, 0)}, 0, 10)
			return err
		}},
		"a group that is changed": {`UPDATE record_groups SET customer = 'bcme', status = 'REPORT_FAILED'`, func() error {
			_, err := records.New(s).RetryRecordGroup(ctx, org, "g1", "test")
			return err
		}},
		"a report":  {`UPDATE reports SET account = 'acd'`, func() error { _, err := records.New(s).Report(ctx, org, "r1"); return err }},
		"a portion": {`UPDATE report_portions SET body = replace(body, '3', '2')`, func() error { _, err := records.New(s).ReportPortions(ctx, org, "r1"); return err }},
		"a line": {`UPDATE report_lines SET quantity = '7'`, func() error {
			_, err := records.New(s).LinesOfReport(ctx, org, billing.Report{Account: "acc", Hour: store.TestClock().UTC().Truncate(time.Hour).Add(-2 * time.Hour)})
			return err
		}},
		"a line that is changed": {`UPDATE report_lines SET quantity = '1', state = 'frozen'`, func() error { return records.New(s).DoubtLines(ctx, org, store.TestClock()) }},
		"a balance":              {`UPDATE report_balances SET amount = '0'`, func() error { _, err := records.New(s).Balances(ctx, org, ""); return err }},
		"a credit":               {`UPDATE entitlement_credits SET amount = '99'`, func() error { _, err := records.New(s).Credits(ctx, org, "e1", catalog.Page{}); return err }},
		"a noun": {`UPDATE nouns SET body = body || ' '; UPDATE organizations SET nouns_version = nouns_version + 1`, func() error {
			_, err := s.View(ctx, org)
			return err
		}},
		"a closed month": {`UPDATE periods SET figures = '{"gb":2}'`, func() error {
			_, _, err := s.Period(ctx, org, "acme", store.TestClock().AddDate(0, -2, 0).Format(catalog.PeriodLayout))
			return err
		}},
		"a metric":        {`UPDATE billable_metrics SET definition = '[]'`, func() error { _, err := records.New(s).BillableMetric(ctx, org, "m"); return err }},
		"a configuration": {`UPDATE metering_configs SET config = '[]'`, func() error { _, err := records.New(s).MeteringConfigs(ctx, org); return err }},
		"the reporter":    {`UPDATE reporter_states SET paused = 0`, func() error { _, err := records.New(s).Reporter(ctx, org); return err }},
		"a key":           {`UPDATE keys SET role = 'read', operator = 0`, func() error { _, err := openKeys(t, s).Keys(ctx, org, catalog.Page{}); return err }},
	}
	for name, c := range reads {
		table := strings.Fields(c.damage)[1]
		beside(t, path, "CREATE TABLE kept AS SELECT * FROM "+table)
		if err := c.read(); meter.KindOf(err) == meter.KindCorrupt {
			t.Errorf("%s before the damage: %v", name, err)
		}
		beside(t, path, c.damage)
		for range 2 { // the second time too
			if err := c.read(); meter.KindOf(err) != meter.KindCorrupt {
				t.Errorf("%s: %v, want one of kind %s", name, err, meter.KindCorrupt)
			}
		}
		if s.DamagedRows() == 0 {
			t.Errorf("%s: no damaged row is counted", name)
		}
		if err := s.Check(ctx); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s: Check says %v", name, err)
		}
		beside(t, path, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM kept", "DROP TABLE kept", "UPDATE organizations SET nouns_version = nouns_version + 1")
		if err := s.Check(ctx); err != nil || s.DamagedRows() != 0 {
			t.Errorf("%s: after it was put back: %v, %d damaged rows", name, err, s.DamagedRows())
		}
	}
}

// One damaged key is refused, the others work.
func TestADamagedKeyIsNotLet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := store.OpenTest(t, path)
	admin, err := openKeys(t, s).EnsureDefault(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	k, token, err := openKeys(t, s).CreateKey(t.Context(), access.NewKey{Organization: catalog.DefaultOrganization, Role: access.RoleRead, Customer: "acme"}, "test")
	if err != nil {
		t.Fatal(err)
	}
	beside(t, path, "UPDATE keys SET customer = 'acmf' WHERE id = '"+k.ID+"'")
	again, err := store.Open(t.Context(), path, store.Options{Clock: store.TestClock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if _, err := openKeys(t, again).AuthenticateKey(t.Context(), token); meter.KindOf(err) != meter.KindUnauthenticated {
		t.Errorf("the damaged key: %v", err)
	}
	if _, err := openKeys(t, again).AuthenticateKey(t.Context(), admin); err != nil {
		t.Errorf("the other key: %v", err)
	}
}

// A damaged copy of the key of the checksums is no harm; both are.
func TestDamagedChecksumKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := store.OpenTest(t, path)
	if _, err := openKeys(t, s).EnsureDefault(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	beside(t, path, "UPDATE checksum_keys SET key = replace(replace(key, '0', 'f'), '1', 'e') WHERE copy = 1")
	again, err := store.Open(t.Context(), path, store.Options{Clock: store.TestClock})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	beside(t, path, "UPDATE checksum_keys SET proof = 'x'")
	if _, err := store.Open(t.Context(), path, store.Options{Clock: store.TestClock}); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("no whole key: %v", err)
	}
}

// A later migration that changes rows gives them new checksums, but covers no damage up.
func TestMigrationsKeepDamageVisible(t *testing.T) {
	t.Parallel()
	s, path := filled(t)
	beside(t, path, `UPDATE report_balances SET amount = '17'`)
	err := s.MigrateTo(t, "later", "-- checksums: report_balances, reports\nUPDATE reports SET product = 'x'; UPDATE report_balances SET dimension = dimension || '';")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := records.New(s).Report(t.Context(), catalog.DefaultOrganization, "r1"); err != nil || r.Product != "x" {
		t.Errorf("%+v, %v", r, err)
	}
	if rows, err := s.Damaged(t.Context(), "report_balances"); err != nil || rows == 0 {
		t.Errorf("%d damaged balances, %v", rows, err)
	}
}

// Every statement that writes a table with checksums can be extended, and
// every one that reads its rows is checked or says why not.
func TestEveryStatementKeepsChecksums(t *testing.T) {
	t.Parallel()
	k := checksum.New(store.CheckedTables, nil)
	for _, folder := range []string{"sql", "keys/sql", "records/sql"} {
		all, err := sqlfile.Read(os.DirFS("."), folder)
		if err != nil || len(all) == 0 {
			t.Fatal(folder, len(all), err)
		}
		for name, text := range all {
			if err := k.Explain(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A damaged line is not sent: it is parked with its reason, for a person.
func TestADamagedLineIsParked(t *testing.T) {
	t.Parallel()
	s, path := filled(t)
	beside(t, path, `UPDATE report_lines SET quantity = '300', state = 'frozen', next_us = 0, lease_us = 0`)
	lines, err := records.New(s).LeaseLines(t.Context(), "me", store.TestClock(), store.TestClock().Add(time.Minute), 10, func(*billing.Line) bool { return true })
	if err != nil || len(lines) != 0 {
		t.Errorf("leased %+v, %v", lines, err)
	}
	parked, err := records.New(s).LinesOfReport(t.Context(), catalog.DefaultOrganization, billing.Report{Account: "acc", Hour: store.TestClock().UTC().Truncate(time.Hour).Add(-2 * time.Hour)})
	if err != nil || len(parked) != 1 || parked[0].State != billing.LineParked || !strings.Contains(parked[0].Message, "not as it was stored") {
		t.Errorf("%+v, %v", parked, err)
	}
}

// What is parked beside a line is resolved although that line is damaged and
// not parked yet: nothing of the one was sent with the other.
func TestResolvingBesideADamagedLine(t *testing.T) {
	t.Parallel()
	for _, to := range []string{billing.LineMoved, billing.LineElsewhere, billing.LineRefused, billing.LineSettled} {
		s, path := filled(t)
		ctx, org, hour := t.Context(), catalog.DefaultOrganization, store.TestClock().UTC().Truncate(time.Hour).Add(-time.Hour)
		report := func(id, state, sent string) billing.FrozenReport {
			return billing.FrozenReport{Report: billing.Report{ID: id, Entitlement: "e1", Term: "t1", Buyer: "b", Product: "cdn", Partner: catalog.PartnerAWS, Account: "acc", Hour: hour,
				Created: store.TestClock(), Status: billing.ReportPending, Info: json.RawMessage(`{}`)},
				Portions: []billing.Portion{{Report: id, Dimension: "gb", Entitlement: "e1", Term: "t1", Account: "acc", Hour: hour, State: state, Usage: decimal("2"), Left: decimal("2"),
					Adjusted: decimal("2"), Sent: decimal(sent)}}}
		}
		q := billing.FreezeQuery{Entitlements: []string{"e1"}, Accounts: []string{"acc"}, Before: hour.Add(time.Hour), HoursFrom: hour.Add(-2 * time.Hour)}
		err := records.New(s).Freeze(ctx, org, q, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
			return []billing.FrozenReport{report("sent", billing.LineFrozen, "2"), report("beside", billing.LineParked, "0")},
				[]billing.Line{{Operation: "line", Partner: catalog.PartnerAWS, Account: "acc", Dimension: "gb", Hour: hour, Quantity: decimal("2"), Target: json.RawMessage(`{}`), Next: hour, Deadline: hour.Add(24 * time.Hour)}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		beside(t, path, `UPDATE report_lines SET target = '[]' WHERE operation = 'line'`)
		if err := records.New(s).ResolvePortion(ctx, org, "beside", "gb", to, "test"); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		if err := records.New(s).ResolvePortion(ctx, org, "sent", "gb", to, "test"); meter.KindOf(err) != meter.KindNotFound {
			t.Errorf("%s: the damaged line itself is not parked yet: %v", to, err)
		}
	}
}
