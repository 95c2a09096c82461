package billing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"odometer/internal/meter"
	"time"
)

// The states of a usage record group.
//
//	CREATED ──► REPORT_PENDING ──► REPORTED
//	   ▲  │            │
//	   │  ▼            ▼
//	   │ DELETED   REPORT_FAILED
//	   └───────────────┘ retry            INVALID ──► DELETED
const (
	GroupCreated       = "CREATED"
	GroupInvalid       = "INVALID"        // accepted, but cannot be billed; nothing of it is posted
	GroupReportPending = "REPORT_PENDING" // claimed by a report whose outcome is open
	GroupReported      = "REPORTED"       // a marketplace has accepted it, or nothing had to be sent
	GroupReportFailed  = "REPORT_FAILED"  // a marketplace refused it, or a dimension of it
	GroupDeleted       = "DELETED"
)

// Posted says what of a group is in the ledger.
type Posted uint8

// A group is posted events first, and its void after them.
const (
	EventsToPost  Posted = iota // its events are to be posted
	EventsPosted                // they are in the ledger
	VoidToPost                  // its events, and then their void, are to be posted
	NothingToPost               // the void is in the ledger, or there were never events
)

// RecordGroup is usage that was reported against an entitlement. What was
// reported never changes; status, Posted, Settled and the report do.
type RecordGroup struct {
	ID          string // within the organization, see GroupID
	Name        string // what its reporter calls it; "" when it is created = ID
	Serial      int32  // 1, 2, 3, ... within the organization
	Entitlement string
	Customer    string
	Buyer       string
	Partner     string
	Product     string
	Status      string
	Usage       time.Time // when the usage happened
	Created     time.Time
	Updated     time.Time
	Source      string
	Origin      map[string]meter.Decimal // by key, as reported
	Records     map[string]meter.Decimal // by dimension, after mapping
	Billable    []BillableRecord         // of billable metrics, as reported
	Message     string                   // why it is INVALID or REPORT_FAILED
	Posted      Posted
	Settled     []string  // dimensions that a marketplace has accepted; a retry leaves them out
	Report      string    // the report that claimed it; "" = none
	Reported    time.Time // zero until it is REPORTED
}

// BillableRecord is usage of a billable metric.
type BillableRecord struct {
	Metric     string          `json:"metric"`
	Properties json.RawMessage `json:"properties,omitempty"` // a JSON object
	Quantity   *meter.Decimal  `json:"quantity,omitempty"`   // nil where the metric counts records or values
}

// OwnedGroup is a group and its organization.
type OwnedGroup struct {
	Organization string
	RecordGroup
}

// RecordGroupFilter chooses groups; a text that is "" does not.
type RecordGroupFilter struct {
	From, To    time.Time // creation, half-open
	Partner     string
	Buyer       string
	Entitlement string
	Status      string
	Source      string
	Customer    string
	Product     string
	Match       func(*RecordGroup) bool // nil = all; asked of each group in turn
}

// RecordGroupPage is a part of a list of groups, the newest first.
type RecordGroupPage struct {
	Items []RecordGroup
	More  bool // whether there are groups after these
	Next  int  // the offset of what is after these
}

// GroupID is the id of the group that a reporter calls name: the name itself,
// or, where the reporter's key is bound to a customer, one that no other
// customer's reporter can take.
func GroupID(customer, name string) string {
	if customer == "" {
		return name
	}
	sum := sha256.Sum256([]byte(customer + "\x00" + name))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])[:boundIDBytes]
}

// boundIDBytes are those of GroupID after its mark: 186 bits of a hash.
const boundIDBytes = 31

const (
	// MaxGroupIDBytes bounds the id of a usage record group.
	MaxGroupIDBytes = 36
	// MaxGroups bounds the usage record groups that are created in one step.
	MaxGroups = 1000
)
