package rating

import "odometer/internal/meter"

// Format is the form in which a marketplace takes quantities.
type Format struct {
	Places  int           // decimals; 0 = whole numbers
	Maximum meter.Decimal // largest quantity of one record
}

// exactDouble is the largest whole number below 2^33, up to where neighbouring
// float64 values are less than 10^-6 apart: each quantity of decimalPlaces
// decimals has a float64 of its own, whose shortest text is that quantity.
const exactDouble = 1<<33 - 1

// decimalPlaces is the scale of quantities where a marketplace takes decimals:
// how many of them it keeps is not documented, six are safe.
const decimalPlaces = 6

// The formats of the marketplaces. AWS takes an int32, Azure a JSON number of
// undocumented precision, GCP an int64 or a double as the metric is defined.
var (
	FormatAWS       = Format{Maximum: meter.NewDecimal(1<<31 - 1)}
	FormatAzure     = Format{Places: decimalPlaces, Maximum: meter.NewDecimal(exactDouble)}
	FormatGCPInt    = Format{Maximum: meter.NewDecimal(1<<63 - 1)}
	FormatGCPDouble = Format{Places: decimalPlaces, Maximum: meter.NewDecimal(exactDouble)}
)

// Carry splits what is to be billed and what was carried in into what is sent
// and what is carried out: billed + in = sent + out, always. What is sent is
// cut to the places of the format and is never below 0 nor above its maximum;
// the rest waits for a later hour.
func Carry(billed, in meter.Decimal, f Format) (sent, out meter.Decimal) {
	total := billed.Add(in)
	if total.Sign() > 0 {
		sent = total.Round(f.Places, meter.Down)
	}
	if sent.Cmp(f.Maximum) > 0 {
		sent = f.Maximum
	}
	return sent, total.Sub(sent)
}
