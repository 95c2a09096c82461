package fastly

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/metering"
)

// BenchmarkRequests measures answers for one of 200 customers with 150
// services each, of a month in which every service was used daily.
func BenchmarkRequests(b *testing.B) {
	const customers, services, days = 200, 150, 28
	w := newWorld(b)
	var text strings.Builder
	text.WriteString("customers:\n")
	for c := range customers {
		fmt.Fprintf(&text, "  - {id: c%d, name: c%d, services: [", c, c)
		for s := range services {
			fmt.Fprintf(&text, "{id: s%d-%03d, name: service}, ", c, s)
		}
		text.WriteString("]}\n")
	}
	w.Apply(text.String(), metering.ApplyOptions{})
	for day := range days {
		var events []edge
		for c := range customers {
			for s := range services {
				events = append(events, edge{fmt.Sprintf("c%d", c), fmt.Sprintf("s%d-%03d", c, s), "na", month(day + 1).Add(time.Duration(s) * time.Second), "1.5"})
			}
		}
		for i := 0; i < len(events); i += 15000 {
			w.ingest(events[i:min(i+15000, len(events))]...)
		}
	}
	for name, path := range map[string]string{
		"page of 100": v2("c7", "service-usage-metrics?limit=100&") + na + march,
		"usage types": v2("c7", "service-usage-types"),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a := w.get(w.key, path); a.Status != 200 || len(a.Body) < 100 {
					b.Fatalf("%d %s", a.Status, a.Body)
				}
			}
		})
	}
}
