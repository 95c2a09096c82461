package rating

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// thousandths is a random decimal of up to three places.
func thousandths(r *rand.Rand, n int64) meter.Decimal {
	return meter.NewDecimal(r.Int64N(n)).Quo(meter.NewDecimal(1000))
}

// TestMappingOrderDoesNotMatter: one record of the sum of a source maps to the
// same as the sum of what its parts map to, where nothing is rounded.
func TestMappingOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 500 {
		m := Mapping{Enabled: true, V2: map[string][]Destination{}}
		dimensions := map[string]Dimension{}
		for i := range 4 {
			dimensions[fmt.Sprint("d", i)] = Dimension{UnitPrice: meter.NewDecimal(1 << r.IntN(6))} // quotients are exact
		}
		whole, parts := map[string]meter.Decimal{}, [2]map[string]meter.Decimal{{}, {}}
		for i := range 1 + r.IntN(5) {
			source := fmt.Sprint("s", i)
			for range 1 + r.IntN(3) {
				to := Destination{Dimension: fmt.Sprint("d", r.IntN(4)), Multiplier: meter.NewDecimal(1 + r.Int64N(9))}
				if r.IntN(2) == 0 {
					to.Mode = modeAmount
				}
				m.V2[source] = append(m.V2[source], to)
			}
			parts[0][source], parts[1][source] = thousandths(r, 1e6), thousandths(r, 1e6)
			whole[source] = parts[0][source].Add(parts[1][source])
		}
		want, err := m.Map(whole, dimensions)
		if err != nil {
			t.Fatal(err)
		}
		first, err := m.Map(parts[0], dimensions)
		if err != nil {
			t.Fatal(err)
		}
		second, err := m.Map(parts[1], dimensions)
		if err != nil {
			t.Fatal(err)
		}
		for dimension, q := range want.Records {
			if sum := first.Records[dimension].Add(second.Records[dimension]); sum.Cmp(q) != 0 {
				t.Fatalf("%s: parts give %s, the whole gives %s", dimension, sum, q)
			}
		}
	}
}
