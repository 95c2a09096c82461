package catalog

import (
	"encoding/json"
	"math"
	"time"

	"odometer/internal/meter"
)

// PeriodLayout is the form of Period.Month, for package time.
const PeriodLayout = "2006-01"

// Period is a customer's billing month that is closed: its figures are final.
// A month that is not closed is collecting, and there is no Period of it.
type Period struct {
	Customer string          `json:"customer"`
	Month    string          `json:"month"` // a calendar month in UTC, such as 2026-01
	Closed   time.Time       `json:"closed"`
	Sequence uint64          `json:"sequence"`          // of the log, as of which the figures are
	Figures  json.RawMessage `json:"figures,omitempty"` // JSON, which is the closer's to read
}

// maxFiguresBytes bounds the figures of one period.
const maxFiguresBytes = 64 << 20

// PeriodPage is a part of a customer's closed months, the oldest first,
// without their figures.
type PeriodPage struct {
	Items []Period
	Next  string // Page.Cursor of what follows; "" at the end
}

// Validate says what is wrong with a period that is to be closed.
func (p Period) Validate() error {
	month, err := time.Parse(PeriodLayout, p.Month)
	switch {
	case err != nil:
		return meter.Errorf(meter.KindInvalid, "%q is not a month such as 2026-01", meter.Clip(p.Month))
	case month.AddDate(0, 1, 0).After(p.Closed):
		return meter.Errorf(meter.KindInvalid, "month %s has not ended", p.Month)
	case !meter.PlainText(p.Customer, MaxNounIDBytes):
		return meter.Errorf(meter.KindInvalid, "customer is 1 to %d bytes of UTF-8 without control characters", MaxNounIDBytes)
	case p.Sequence > math.MaxInt64:
		return meter.Errorf(meter.KindInvalid, "a sequence is at most %d", int64(math.MaxInt64))
	case len(p.Figures) > maxFiguresBytes:
		return meter.Errorf(meter.KindTooLarge, "the figures have %d bytes, more than %d", len(p.Figures), maxFiguresBytes)
	case !json.Valid(p.Figures):
		return meter.Errorf(meter.KindInvalid, "figures are not JSON")
	}
	return nil
}

// ClosedFor says for whom a month is closed.
type ClosedFor struct {
	Month     string   `json:"month"`
	Customers []string `json:"customers"` // the first of them, in order of their ids
	More      bool     `json:"more,omitempty"`
}
