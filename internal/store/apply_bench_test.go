package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/postgrestest"
)

// large is a document of 200 customers with 50 services each.
func large() []byte {
	var b strings.Builder
	b.WriteString("products: [{id: cdn}]\ncustomers:\n")
	for c := range 200 {
		fmt.Fprintf(&b, "- id: customer-%d\n  account_id: A-%d\n  contracts: [{id: K-%d, terms: [{products: [cdn], regions: GLOBAL}]}]\n  services:\n", c, c, c)
		for s := range 50 {
			fmt.Fprintf(&b, "  - {id: service-%d-%d, name: the service %d}\n", c, s, s)
		}
	}
	return []byte(b.String())
}

// BenchmarkApply applies 200 customers with 10,000 services to an empty
// organization, and once more where nothing changes. The aim is 10 s for the first.
func BenchmarkApply(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkApply(b, filepath.Join(b.TempDir(), "catalog.db")) })
	b.Run("PostgreSQL", func(b *testing.B) {
		if server, ok := postgrestest.Start(b); ok {
			benchmarkApply(b, server.Fresh(b))
		}
	})
}

func benchmarkApply(b *testing.B, dsn string) {
	s, err := store.Open(b.Context(), dsn, store.Options{Clock: noon})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	text := large()
	n := 0
	var first, again, view time.Duration
	for b.Loop() {
		id := fmt.Sprintf("o%d", n)
		n++
		if _, err := s.CreateOrganization(b.Context(), catalog.NewOrganization{ID: id}, "bench"); err != nil {
			b.Fatal(err)
		}
		first += timed(b, func() error { return applyText(b, s, id, text) })
		again += timed(b, func() error { return applyText(b, s, id, text) })
		view += timed(b, func() error { _, err := s.View(b.Context(), id); return err })
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(n), "ms/first")
	b.ReportMetric(float64(again.Milliseconds())/float64(n), "ms/again")
	b.ReportMetric(float64(view.Milliseconds())/float64(n), "ms/view")
}

func timed(b *testing.B, do func() error) time.Duration {
	b.Helper()
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func applyText(b *testing.B, s *store.Store, organization string, text []byte) error {
	doc, err := catalog.ParseDocument(text)
	if err != nil {
		return err
	}
	_, err = s.Apply(b.Context(), organization, doc, catalog.ApplyOptions{Actor: "bench"})
	return err
}
