package catalog

import (
	"database/sql"
	"errors"
	"fmt"
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
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "catalog.db"), Options{Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.EnsureDefault(b.Context(), "test"); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", s.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{fillReports, fillPortions} {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	err = s.write(b.Context(), "give the rows checksums", func(tx *sql.Tx) error {
		return errors.Join(s.seal(b.Context(), tx, "reports", nil), s.seal(b.Context(), tx, "report_portions", nil))
	})
	if err != nil {
		b.Fatal(err)
	}
	all := ReportFilter{From: time.Unix(1_600_000_000, 0), To: time.Unix(1_900_000_000, 0)}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		f := all
		switch one := fmt.Sprint("e", i%10_000); i % 4 {
		case 1:
			f.Entitlement = one
		case 2:
			f.Buyer = one
		case 3:
			f.Partner = PartnerAWS
		}
		began := time.Now()
		page, err := s.Reports(b.Context(), "default", f, 0, 100)
		if err != nil || len(page.Items) != 100 {
			b.Fatalf("%d reports, %v", len(page.Items), err)
		}
		if _, err := s.ReportDetails(b.Context(), "default", page.Items); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
