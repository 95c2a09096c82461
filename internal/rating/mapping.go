package rating

import (
	"maps"
	"slices"

	"odometer/internal/meter"
)

// Mode says how a source becomes a quantity of its destination.
type Mode string

// The modes of a mapping. "" is modeQuantity.
const (
	modeQuantity Mode = "QUANTITY" // the source times the multiplier
	modeAmount   Mode = "AMOUNT"   // the source is money: divided by the destination's unit price
)

// Destination is one dimension that a source is converted to.
type Destination struct {
	Dimension  string
	Mode       Mode
	Multiplier meter.Decimal // of ModeQuantity; 0 = absent = 1
}

// Check refuses what a configuration must not hold: a mode that is not known,
// a destination without a name, and a multiplier below 0. An explicit
// multiplier of 0 is refused where it is decoded, because here it means absent.
func (d Destination) Check() error {
	switch {
	case d.Dimension == "":
		return meter.Errorf(meter.KindInvalid, "dimensionKey is empty")
	case d.Mode != "" && d.Mode != modeQuantity && d.Mode != modeAmount:
		return meter.Errorf(meter.KindInvalid, "mappingMode %q is not known: want QUANTITY or AMOUNT", d.Mode)
	case d.Multiplier.Sign() < 0:
		return meter.Errorf(meter.KindInvalid, "convertionMultiplier %s of %q is not above 0", d.Multiplier, d.Dimension)
	}
	return nil
}

// Mapping converts the keys of posted records to destination dimensions.
type Mapping struct {
	Enabled bool
	V1      map[string]Destination   // one destination for each source; read where V2 has no entry
	V2      map[string][]Destination // several: each receives its own conversion of the whole source
}

// Dimension is what a mapping must know of a dimension of the entitlement.
type Dimension struct {
	UnitPrice meter.Decimal // effective price; 0 = none
	Metered   bool          // read from a meter, so that nothing may be posted for it
}

// Mapped is the outcome of a mapping.
type Mapped struct {
	Records map[string]meter.Decimal // by destination; nil if Invalid is said
	Invalid string                   // why the group cannot be billed though its request was sound; "" = it can
}

// Map converts records, whose keys are sources, to quantities of the
// entitlement's dimensions.
//
//   - V2 wins over V1; a source without a mapping, and every source while the
//     mapping is not enabled, passes through if it is itself a dimension.
//   - Several sources of one destination add up. Products are exact, each
//     AMOUNT is one quotient, and the sum is rounded once to
//     meter.QuotientPlaces decimals, half to even.
//   - A source that is neither mapped nor a dimension, and one that leads to a
//     metered dimension, is an error of meter.KindInvalid.
//   - A destination that the entitlement does not have, and an AMOUNT without
//     a unit price above 0, make the group invalid: the configuration is at
//     fault and not the request.
//
// Sources are looked at in ascending order, so the same fault is named each time.
func (m Mapping) Map(records map[string]meter.Decimal, dimensions map[string]Dimension) (Mapped, error) {
	sums := make(map[string]meter.Decimal, len(records))
	for _, source := range slices.Sorted(maps.Keys(records)) {
		for _, to := range m.destinations(source) {
			dimension, known := dimensions[to.Dimension]
			switch {
			case !known && to.Dimension == source:
				return Mapped{}, meter.Errorf(meter.KindInvalid, "%q is no dimension of the entitlement and no mapping leads from it", source)
			case !known:
				return Mapped{Invalid: "the mapping of " + source + " leads to " + to.Dimension + ", which is no dimension of the entitlement"}, nil
			case dimension.Metered:
				return Mapped{}, meter.Errorf(meter.KindInvalid, "dimension %q is read from a meter: usage cannot be posted for it", to.Dimension)
			}
			quantity := records[source]
			if to.Mode == modeAmount {
				if dimension.UnitPrice.Sign() <= 0 {
					return Mapped{Invalid: "the amount of " + source + " cannot be converted: " + to.Dimension + " has no unit price above 0"}, nil
				}
				quantity = quantity.Quo(dimension.UnitPrice)
			} else if !to.Multiplier.IsZero() {
				quantity = quantity.Mul(to.Multiplier)
			}
			sums[to.Dimension] = sums[to.Dimension].Add(quantity)
		}
	}
	for dimension, sum := range sums {
		sums[dimension] = sum.Round(meter.QuotientPlaces, meter.HalfEven)
	}
	return Mapped{Records: sums}, nil
}

// destinations returns where a source leads: to itself if nothing else is said.
func (m Mapping) destinations(source string) []Destination {
	if m.Enabled {
		if to := m.V2[source]; len(to) > 0 {
			return to
		}
		if to, ok := m.V1[source]; ok {
			return []Destination{to}
		}
	}
	return []Destination{{Dimension: source}}
}
