package semanticstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"odometer/internal/meter"
	"odometer/internal/rating"
)

// quantities reads words of the form name=decimal.
func (w *world) quantities(text string) map[string]meter.Decimal {
	out := map[string]meter.Decimal{}
	for _, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			w.t.Fatalf("want name=decimal, not %q", word)
		}
		out[name] = w.decimal(value)
	}
	return out
}

func (w *world) decimal(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// decimals renders quantities in ascending order of their names.
func decimals(q map[string]meter.Decimal) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		words = append(words, name+"="+q[name].String())
	}
	return strings.Join(words, " ")
}

// mapRecords runs the mapping. Lines of input: "records NAME=Q ...",
// "price DIMENSION=P ...", "metered DIMENSION ...",
// "v1 SOURCE DESTINATION QUANTITY|AMOUNT [multiplier]", and "v2" likewise.
func (w *world) mapRecords(a arguments, p part) error {
	m := rating.Mapping{Enabled: !a.has("off"), V1: map[string]rating.Destination{}, V2: map[string][]rating.Destination{}}
	var records map[string]meter.Decimal
	dimensions := map[string]rating.Dimension{}
	for _, line := range p.input {
		verb, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		switch verb {
		case "records":
			records = w.quantities(rest)
		case "price":
			for name, price := range w.quantities(rest) {
				dimensions[name] = rating.Dimension{UnitPrice: price}
			}
		case "metered":
			for _, name := range words {
				dimensions[name] = rating.Dimension{Metered: true}
			}
		case "v1", "v2":
			to := rating.Destination{Dimension: words[1], Mode: rating.Mode(words[2])}
			if len(words) > 3 {
				to.Multiplier = w.decimal(words[3])
			}
			if err := to.Check(); err != nil {
				return err
			}
			if verb == "v1" {
				m.V1[words[0]] = to
			} else {
				m.V2[words[0]] = append(m.V2[words[0]], to)
			}
		default:
			return fmt.Errorf("line %q is not known", line)
		}
	}
	got, err := m.Map(records, dimensions)
	switch {
	case err != nil:
		return err
	case got.Invalid != "":
		w.printf("invalid: %s\n", got.Invalid)
	default:
		w.printf("%s\n", decimals(got.Records))
	}
	return nil
}
