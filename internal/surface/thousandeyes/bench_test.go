package thousandeyes

import (
	"fmt"
	"testing"
	"time"

	"odometer/internal/meter"
	"odometer/internal/surface/thousandeyes/wire"
)

// BenchmarkTestUnits makes a page of 100 tests, each with units of both kinds.
func BenchmarkTestUnits(b *testing.B) {
	now := time.Date(2026, 11, 22, 12, 7, 3, 0, time.UTC)
	c := &Customer{CycleDay: 1, Metered: true, Groups: map[string]string{"1": "Web"},
		Rates:  map[string]Rate{"x": {Cloud: meter.NewDecimal(1), Enterprise: meter.NewDecimal(1), PerTimeout: true}},
		Agents: []Agent{{ID: "a", AccountGroup: "1", Kind: Enterprise, Enabled: true}}}
	part := Stretch{Owners: Owners{Tests: map[string]string{}, Agents: map[string]string{"a": "1"}, Groups: map[string]bool{"1": true}}}
	half, err := meter.ParseDecimal("12345.5")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100 {
		id := fmt.Sprint(i)
		c.Tests = append(c.Tests, Test{ID: id, Name: id, Type: "x", AccountGroup: "1", IntervalS: 60 * (1 + i%5), TimeoutS: 5, CloudAgents: 2, Agents: []string{"a"}, Enabled: true})
		part.Owners.Tests[id] = "1"
		part.Cloud = append(part.Cloud, Use{Test: id, Units: half})
		part.Enterprise = append(part.Enterprise, Use{Test: id, Agent: "a", Units: half})
	}
	r := wire.UnitsRequest{Now: now, Range: c.cycle(now)}
	u := Units{Range: []Stretch{part}, Cycle: []Stretch{part}}
	for b.Loop() {
		if rows, _ := c.TestUnits(r, u, 100); len(rows) != 100 {
			b.Fatal(len(rows))
		}
	}
}
