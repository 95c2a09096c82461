package metering

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/ledger"
	"odometer/internal/meter"
)

// A ledger whose files are gone is not taken for a new one: the catalog
// knows meters of it. One that ends earlier than the catalog, as that of a
// backup may, is told.
func TestCatalogKnowsMoreThanTheLog(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	ctx := context.Background()
	service := s.service(t, Limits{})
	createCounters(t, service, "a", "b")
	other, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(t.TempDir(), "ledger"), Clock: s.clock, Fatal: func(m string) { t.Error(m) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	var log bytes.Buffer
	options := Options{Ledger: other, Catalog: s.catalog, Clock: s.clock, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := New(ctx, options); meter.KindOf(err) != meter.KindCorrupt || !strings.Contains(err.Error(), "files of the ledger are missing") {
		t.Fatalf("an empty ledger: %v", err)
	}
	if got := s.copies(t); got != "a b" {
		t.Fatalf("the catalog's copy after the refusal: %s", got)
	}
	if _, err := other.CreateMeter(ctx, "default", counter("a"), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(ctx, options); err != nil || !strings.Contains(log.String(), "files of the ledger are missing") {
		t.Fatalf("a shorter ledger: %v, %s", err, log.String())
	}
}
