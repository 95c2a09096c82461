package billing

import (
	"encoding/json"
	"time"

	"odometer/internal/meter"
)

// FreezeQuery says what a freeze looks at.
type FreezeQuery struct {
	Entitlements []string
	Accounts     []string
	Before       time.Time // usage before this instant
	HoursFrom    time.Time // hours that have reports are told from here on
	MaxGroups    int       // of one entitlement, the rest is for another freeze; 0 = as many as one report takes
}

// FreezeState is what a freeze has to decide about. Balances and reads are as
// settled; what is open is to be counted on top.
type FreezeState struct {
	Groups   map[string][]RecordGroup // by entitlement, by time of usage: claimed by nothing
	Until    map[string]time.Time     // by entitlement with more groups than MaxGroups: the hours before it are told
	Open     map[string][]Portion     // by entitlement: frozen or parked
	Balances map[string]map[BalanceKey]meter.Decimal
	Credits  map[string]meter.Decimal        // given so far
	Hours    map[string]map[time.Time]bool   // by account: hours that have a report
	Reads    map[string]map[string]MeterRead // by entitlement, and dimension and period joined by a slash
	Seen     map[string]map[SeenKey]bool     // by entitlement
}

// SeenKey is an item for the dimension it is billed as.
type SeenKey struct {
	Dimension string
	Item      SeenItem
}

// FrozenReport is a report to be stored, with all that it holds.
type FrozenReport struct {
	Report
	Portions []Portion
	Groups   []RecordGroup // claimed; their status follows from the portions
	Unbilled []SeenItem    // of metrics that no dimension bills
}

// Decision is what became of a line that was leased.
type Decision struct {
	Line            // as it was leased
	To       string // LineFrozen: to be sent again at Next
	Accepted meter.Decimal
	Maybe    bool
	Grace    bool
	Next     time.Time // zero = as it was
	Deadline time.Time // zero = as it was
	Message  string
	Request  json.RawMessage
	Response json.RawMessage
}
