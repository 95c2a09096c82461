package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/records"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// fillReports writes a million reports of 10,000 entitlements, each with one portion.
const fillReports = `
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO reports
SELECT 'default', 'r' || i, i, 'e' || (i % 10000), '', 'e' || (i % 10000), 'cdn', 'AWS', 'a' || (i % 10000), i / 10000 * 3600000000,
    1700000000000000 + i * 360000, 0, 'SUCCESS', '', '{}', NULL
FROM n`

const fillPortions = `
INSERT INTO report_portions
SELECT organization, id, 'gb', entitlement, '', account, hour_us, 'settled', '{}', NULL
FROM reports`

// BenchmarkReports lists pages of 100 with their portions, of all, of an
// entitlement, of a buyer and of a partner.
func BenchmarkReports(b *testing.B) {
	path := filepath.Join(b.TempDir(), "catalog.db")
	s, err := store.Open(b.Context(), path, store.Options{Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := openKeys(b, s).EnsureDefault(b.Context(), "test"); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{fillReports, fillPortions} {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	err = s.Write(b.Context(), "give the rows checksums", func(tx *sql.Tx) error {
		return errors.Join(s.Seal(b.Context(), tx, "reports"), s.Seal(b.Context(), tx, "report_portions"))
	})
	if err != nil {
		b.Fatal(err)
	}
	all := billing.ReportFilter{From: time.Unix(1_600_000_000, 0), To: time.Unix(1_900_000_000, 0)}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		f := all
		switch one := fmt.Sprint("e", i%10_000); i % 4 {
		case 1:
			f.Entitlement = one
		case 2:
			f.Buyer = one
		case 3:
			f.Partner = catalog.PartnerAWS
		}
		began := time.Now()
		page, err := records.New(s).Reports(b.Context(), "default", f, 0, 100)
		if err != nil || len(page.Items) != 100 {
			b.Fatalf("%d reports, %v", len(page.Items), err)
		}
		if _, err := records.New(s).ReportDetails(b.Context(), "default", page.Items); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
