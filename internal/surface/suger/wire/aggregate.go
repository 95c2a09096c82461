package wire

import (
	"net/url"
	"strings"
	"time"

	"odometer/internal/meter"
)

// AggregateQuery is the query of the two aggregate operations.
type AggregateQuery struct {
	ListQuery
	Layout string                    // in which dates are answered
	Period func(time.Time) time.Time // the start of a period
}

// Sum is one element of an answer (UsageRecordAggregated).
type Sum struct {
	Date      string `json:"date"`
	Dimension string `json:"dimensionKey"`
	Quantity  Number `json:"quantity"`
}

// ParseAggregateQuery reads the query of the aggregate operations. The vendor
// names no values of granularity: a day and a month are taken in any case.
func ParseAggregateQuery(q url.Values, now time.Time) (AggregateQuery, error) {
	list, err := ParseListQuery(q, now)
	if err != nil {
		return AggregateQuery{}, err
	}
	out := AggregateQuery{ListQuery: list, Layout: time.DateOnly, Period: func(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }}
	switch granularity := q.Get("granularity"); strings.ToUpper(granularity) {
	case "", "DAY", "DAILY":
	case "MONTH", "MONTHLY":
		out.Layout = "2006-01"
		out.Period = func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }
	default:
		return AggregateQuery{}, meter.Errorf(meter.KindInvalid, "granularity %q: want DAY or MONTH", clip(granularity))
	}
	return out, nil
}

// EncodeSums renders the answer, an array.
func EncodeSums(list []Sum) ([]byte, error) { return encode(list) }
