package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/postgrestest"
)

// BenchmarkChangeOne changes one noun of 10,000 customers with a service and a
// contract each, and asks for a page of customers after it. The aim is 5 ms for
// each of both.
func BenchmarkChangeOne(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkChangeOne(b, filepath.Join(b.TempDir(), "catalog.db")) })
	b.Run("PostgreSQL", func(b *testing.B) {
		if server, ok := postgrestest.Start(b); ok {
			benchmarkChangeOne(b, server.Fresh(b))
		}
	})
}

func benchmarkChangeOne(b *testing.B, dsn string) {
	s, err := store.Open(b.Context(), dsn, store.Options{Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	const customers = 10_000
	var text strings.Builder
	text.WriteString("products: [{id: cdn}]\ncustomers:\n")
	for c := range customers {
		fmt.Fprintf(&text, "- {id: c%d, services: [{id: s%d}], contracts: [{id: k%d, terms: [{products: [cdn]}]}]}\n", c, c, c)
	}
	if _, err := s.CreateOrganization(b.Context(), catalog.NewOrganization{ID: "a"}, "bench"); err != nil {
		b.Fatal(err)
	}
	if err := applyText(b, s, "a", []byte(text.String())); err != nil {
		b.Fatal(err)
	}
	opt := catalog.ApplyOptions{Actor: "bench"}
	n := 0
	patch := func(r catalog.NounRef, text string) func() error {
		return func() error {
			fields, err := catalog.ReadNoun(b.Context(), []byte(text))
			if err != nil {
				return err
			}
			return s.PatchNoun(b.Context(), "a", r, fields, opt)
		}
	}
	list := func() error {
		view, err := s.View(b.Context(), "a")
		if err == nil {
			_, err = s.PageOf(view, catalog.NounRef{Kind: catalog.NounCustomer}, catalog.Page{Cursor: "c77"})
		}
		return err
	}
	customer := catalog.NounRef{Kind: catalog.NounCustomer, ID: "c77"}
	first := timed(b, func() error { return patch(customer, `{"name": "the first"}`)() }) // reads all of them
	read := timed(b, list)
	spent := map[string]time.Duration{}
	started := cpuTime(b)
	for b.Loop() {
		n++
		c := fmt.Sprintf("c%d", n*7919%customers)
		customer.ID = c
		spent["customer"] += timed(b, patch(customer, fmt.Sprintf(`{"name": "name %d"}`, n)))
		spent["list"] += timed(b, list)
		spent["service"] += timed(b, patch(catalog.NounRef{Kind: catalog.NounService, Customer: c, ID: "s" + c[1:]}, fmt.Sprintf(`{"name": "name %d"}`, n)))
		spent["contract"] += timed(b, patch(catalog.NounRef{Kind: catalog.NounContract, Customer: c, ID: "k" + c[1:]}, fmt.Sprintf(`{"starts": "2026-01-01T00:00:%02dZ"}`, n%60)))
		spent["list"] += timed(b, list)
	}
	per := float64(n) * 1000
	b.ReportMetric(float64((cpuTime(b)-started).Microseconds())/per/3, "cpu-ms/change")
	b.ReportMetric(float64(first.Milliseconds()), "ms/first")
	b.ReportMetric(float64(read.Milliseconds()), "ms/first-list")
	for what, of := range spent {
		each := per
		if what == "list" {
			each *= 2
		}
		b.ReportMetric(float64(of.Microseconds())/each, "ms/"+what)
	}
}

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
