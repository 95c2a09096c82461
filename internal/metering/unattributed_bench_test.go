package metering

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

// BenchmarkUnattributed asks for pages of 100 of what is unattributed where
// usage names 300,000 customers of which the catalog knows two.
//
//	go test ./internal/metering -run '^$' -bench Unattributed -benchtime 1x
func BenchmarkUnattributed(b *testing.B) {
	service := openStores(b).service(b, Limits{})
	if _, err := service.Apply(b.Context(), admin, []byte(unattributedCatalog), ApplyOptions{}); err != nil {
		b.Fatal(err)
	}
	at := testStart.Truncate(24 * time.Hour).Add(-time.Hour).Format(time.RFC3339)
	const batch = 5000
	for first := 0; first < 300_000; first += batch {
		var lines strings.Builder
		for n := range batch {
			id := (first + n) * 7919 % 300_000
			fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%d","source":"s","type":"edge","subject":"customer-%06d","time":%q,"data":{"service":"S-%d","bytes":1}}`+"\n", id, id, at, id)
		}
		if r, err := service.Ingest(b.Context(), admin, []byte(lines.String()), cloudevents.NDJSON, false); err != nil || r.Accepted != batch {
			b.Fatalf("%+v %v", r, err)
		}
	}
	q := UnattributedQuery{In: meter.Month(testStart), Limit: 100}
	for _, name := range []string{"first page", "later pages"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := service.UnattributedPage(b.Context(), admin, q)
				if err != nil || len(page.Rows) != q.Limit {
					b.Fatalf("%d rows, %v", len(page.Rows), err)
				}
				if name == "later pages" {
					q.Cursor = page.NextCursor
				}
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if all, err := service.Unattributed(b.Context(), admin, q.In); err != nil || len(all) != 300_000 {
				b.Fatalf("%d rows, %v", len(all), err)
			}
		}
	})
}
