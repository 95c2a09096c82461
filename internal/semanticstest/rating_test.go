package semanticstest

import (
	"encoding/json"
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

// absorb runs absorption. Lines of input: "usage DIMENSION=Q ...", "price ...",
// "included ...", "credit MONEY", "commit MONEY". order=included,credit,commit swaps the steps.
func (w *world) absorb(a arguments, p part) error {
	var usage, prices map[string]meter.Decimal
	var b rating.Balances
	for _, line := range p.input {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "usage":
			usage = w.quantities(rest)
		case "price":
			prices = w.quantities(rest)
		case "included":
			b.Included = w.quantities(rest)
		case "credit":
			b.Credit = w.decimal(rest)
		case "commit":
			b.Commit = w.decimal(rest)
		default:
			return fmt.Errorf("line %q is not known", line)
		}
	}
	order := rating.DefaultOrder
	if text := a.get("order"); text != "" {
		order = nil
		for name := range strings.SplitSeq(text, ",") {
			order = append(order, map[string]rating.Step{"credit": rating.StepCredit, "commit": rating.StepCommit, "included": rating.StepIncluded}[name])
		}
	}
	got := rating.Absorb(usage, prices, b, order)
	var credit, commit meter.Decimal
	for _, dimension := range slices.Sorted(maps.Keys(got)) {
		d := got[dimension]
		w.printf("%s: credit %s, commit %s, included %s, to bill %s\n", dimension, d.Credit, d.Commit, d.Included, d.Left)
		credit, commit = credit.Add(d.CreditAmount), commit.Add(d.CommitSpent)
	}
	w.printf("credit left %s, commit left %s\n", b.Credit.Sub(credit), b.Commit.Sub(commit))
	return nil
}

// listPrice converts an overage: list_price OVERAGE unit=P list=P.
func (w *world) listPrice(a arguments, _ part) error {
	w.printf("%s\n", rating.AtListPrice(w.decimal(a.words[0]), w.decimal(a.get("unit")), w.decimal(a.get("list"))))
	return nil
}

// carry sends one hour after the other: carry FORMAT, and a quantity a line.
func (w *world) carry(a arguments, p part) error {
	format, ok := map[string]rating.Format{"AWS": rating.FormatAWS, "AZURE": rating.FormatAzure, "INT64": rating.FormatGCPInt, "DOUBLE": rating.FormatGCPDouble}[a.words[0]]
	if !ok {
		return fmt.Errorf("format %q is not known", a.words[0])
	}
	var in meter.Decimal
	for _, line := range p.input {
		sent, out := rating.Carry(w.decimal(line), in, format)
		w.printf("sent %s, carried %s\n", sent, out)
		in = out
	}
	return nil
}

// aggregate aggregates one hour after the other: a meter, then a line for each
// record (time, quantity, properties); "hour" ends an hour, whose new items
// are seen from then on.
func (w *world) aggregate(_ arguments, p part) error {
	m, err := meter.DecodeMeter([]byte(p.input[0]))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	var records []rating.Record
	for i, line := range append(p.input[1:], "hour") {
		if line != "hour" {
			fields := strings.SplitN(line, " ", 3)
			r := rating.Record{Time: w.time(fields[0]), Quantity: w.decimal(fields[1]), Arrival: int64(i)}
			if err := json.Unmarshal([]byte(fields[2]), &r.Properties); err != nil {
				return err
			}
			records = append(records, r)
			continue
		}
		key := func(group string, item rating.DayItem) string { return group + "\xff" + item.Day + "\xff" + item.Value }
		splits, err := rating.Aggregate(m, records, func(group string, item rating.DayItem) bool { return seen[key(group, item)] })
		if err != nil {
			return err
		}
		for _, s := range splits {
			w.printf("%q %s", s.Group, s.Quantity)
			for _, item := range s.NewItems {
				seen[key(s.Group, item)] = true
				w.printf(" %s", item.Value)
			}
			w.printf("\n")
		}
		w.printf("end of hour\n")
		records = nil
	}
	return nil
}
