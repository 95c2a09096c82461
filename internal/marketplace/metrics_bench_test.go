package marketplace

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"odometer/internal/catalog"
	"odometer/internal/figures"
)

// BenchmarkMetrics gathers all metrics of a server with 1,000 organizations.
func BenchmarkMetrics(b *testing.B) {
	s := newShop(b)
	for i := range 1000 {
		_, err := s.catalog.CreateOrganization(context.Background(), catalog.NewOrganization{ID: fmt.Sprint("o", i)}, "test")
		s.must(err)
	}
	registry := prometheus.NewPedanticRegistry()
	s.must(registry.Register(s.reporter(newMarkets(b, s.clock, 1), "one").Collector()))
	s.must(registry.Register(figures.Of(s.service, s.room)))
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
