package billing

import (
	"encoding/json"
	"odometer/internal/meter"
	"time"
)

// Line is a frozen quantity of one account, dimension and hour.
type Line struct {
	Organization string
	Operation    string // the same for every attempt
	Partner      string
	Account      string
	Dimension    string
	Hour         time.Time // its start
	Quantity     meter.Decimal
	Target       json.RawMessage // how the marketplace is addressed
	State        string
	Accepted     meter.Decimal // what the marketplace holds; of a settled line
	Maybe        bool          // an attempt may have been accepted
	Grace        bool          // the customer's state forbids it for now
	Attempts     int
	Next         time.Time // not to be sent before
	Deadline     time.Time // not to be sent after
	Lease        string
	LeaseUntil   time.Time
	Fence        int64 // grows with each lease
	Message      string
	Request      json.RawMessage
	Response     json.RawMessage
}

// StuckLine is a portion of a report that is not settled, with the line that
// bills it if it has one: else Operation is "" and nothing of it was sent.
// Quantity is the portion's part of the line, or its usage if it has none.
type StuckLine struct {
	Line
	Report, Entitlement string
	Usage               meter.Decimal // what of it still waits
}

// LineCount counts portions that are not settled.
type LineCount struct {
	Organization, Partner, State string
	Count                        int64
	Oldest                       time.Time // hour
}
