package billing

import (
	"encoding/json"
	"odometer/internal/meter"
	"time"
)

// The states of a report.
const (
	ReportPending = "PENDING" // a marketplace's answer is open
	ReportSuccess = "SUCCESS" // accepted, or nothing had to be sent
	ReportFailed  = "FAILED"  // a dimension was refused
	ReportParked  = "PARKED"  // a dimension waits for a person
	ReportMoved   = "MOVED"   // not accepted in its hour: its usage goes to a later one
)

// The states of a line and of a report's portion.
const (
	LineFrozen  = "frozen"  // to be sent, or sent and not known to be accepted
	LineSettled = "settled" // accepted
	LineRefused = "refused" // not accepted, and no other hour helps
	LineParked  = "parked"  // may have been accepted; nobody can tell any more
	LineMoved   = "moved"   // not accepted in its hour; its usage is free again
)

// Report is what was frozen of one entitlement for one hour.
type Report struct {
	ID          string
	Serial      int64 // 1, 2, 3, ... within the organization; given when it is stored
	Entitlement string
	Term        string
	Buyer       string
	Product     string
	Partner     string
	Account     string    // who is billed, as the marketplace knows it
	Hour        time.Time // its start
	Created     time.Time
	Updated     time.Time
	Status      string
	Message     string
	Info        json.RawMessage // a ReportInfo
}

// ReportInfo is what a report was made of, as it was then.
type ReportInfo struct {
	Groups       []string        `json:"groups,omitempty"`
	Billable     json.RawMessage `json:"billable,omitempty"` // aggregated records of billable metrics
	CommitAmount meter.Decimal   `json:"commit_amount"`
	UsedCommit   meter.Decimal   `json:"used_commit"` // before this report
	CreditAmount meter.Decimal   `json:"credit_amount"`
	UsedCredit   meter.Decimal   `json:"used_credit"` // before this report
	Sequence     uint64          `json:"sequence,omitempty"`
	Late         bool            `json:"late,omitempty"` // holds usage of an hour that was closed
}

// Portion is one dimension of a report: where its usage went.
//
//	Usage = Credit + Commit + Included + Left
//	Adjusted + CarryIn = Sent + CarryOut + Elsewhere, Adjusted being Left at the list price
type Portion struct {
	Report, Dimension, Entitlement, Term, Account string    `json:"-"`
	Hour                                          time.Time `json:"-"`
	State                                         string    `json:"-"`

	Usage        meter.Decimal `json:"usage"`
	Metered      meter.Decimal `json:"metered"`  // of Usage, read from a meter
	Billable     meter.Decimal `json:"billable"` // of Usage, of billable metrics
	Late         bool          `json:"late,omitempty"`
	Credit       meter.Decimal `json:"credit"`
	Commit       meter.Decimal `json:"commit"`
	Included     meter.Decimal `json:"included"`
	CreditAmount meter.Decimal `json:"credit_amount"`
	CommitSpent  meter.Decimal `json:"commit_spent"`
	Period       string        `json:"period,omitempty"` // of the included quantity
	Left         meter.Decimal `json:"left"`
	Adjusted     meter.Decimal `json:"adjusted"`
	CarryIn      meter.Decimal `json:"carry_in"`

	// Carried is what of CarryIn was carried by other terms.
	Carried map[string]meter.Decimal `json:"carried,omitempty"`
	// Taken is usage that was taken out of what was carried, by term, because
	// no other usage came to take it along: all of it is of Usage.
	Taken map[string]meter.Decimal `json:"taken,omitempty"`

	Sent      meter.Decimal `json:"sent"`
	CarryOut  meter.Decimal `json:"carry_out"`
	UnitPrice meter.Decimal `json:"unit_price"`
	ListPrice meter.Decimal `json:"list_price"`
	Metrics   []string      `json:"metrics,omitempty"` // billable metrics in it
	Whole     []string      `json:"whole,omitempty"`   // of those: whose figure is not the sum of its groups' figures, such as MAX
	Reads     []MeterRead   `json:"reads,omitempty"`
	Seen      []SeenItem    `json:"seen,omitempty"`

	Reason    string        `json:"reason,omitempty"` // why it is refused, parked or moved
	Groups    int           `json:"groups,omitempty"` // usage record groups in it
	Freed     int           `json:"freed,omitempty"`  // of a refused portion: groups that were retried since
	Retried   meter.Decimal `json:"retried"`          // and their usage
	Elsewhere meter.Decimal `json:"elsewhere"`        // settled by a person, not through the marketplace
}

// MeterRead is usage that was read of a dimension's meter.
type MeterRead struct {
	Period  string        `json:"period"`  // month
	Through time.Time     `json:"through"` // read up to here
	Value   meter.Decimal `json:"value"`   // in a portion: what was new; in a state: of the whole period so far
}

// SeenItem is one value that UNIQUE_COUNT has counted.
type SeenItem struct {
	Metric string `json:"metric"`
	Split  string `json:"split"`
	Day    string `json:"day"`
	Value  string `json:"value"`
}

// The kinds of balance.
const (
	BalanceCarry    = "carry"    // by term and dimension
	BalanceCredit   = "credit"   // used, of the entitlement
	BalanceCommit   = "commit"   // used, by term
	BalanceIncluded = "included" // used, by term, dimension and period
)

// BalanceKey names a balance of an entitlement.
type BalanceKey struct{ Kind, Term, Dimension, Period string }

// Each calls move with every balance that a settled portion moves, and by how much.
func (p *Portion) Each(move func(k BalanceKey, by meter.Decimal)) {
	carry := p.CarryOut.Sub(p.CarryIn)
	for term, amount := range p.Carried {
		carry = carry.Add(amount)
		move(BalanceKey{BalanceCarry, term, p.Dimension, ""}, amount.Neg())
	}
	for k, by := range map[BalanceKey]meter.Decimal{
		{BalanceCarry, p.Term, p.Dimension, ""}:          carry,
		{BalanceCredit, "", "", ""}:                      p.CreditAmount,
		{BalanceCommit, p.Term, "", ""}:                  p.CommitSpent,
		{BalanceIncluded, p.Term, p.Dimension, p.Period}: p.Included,
	} {
		if !by.IsZero() {
			move(k, by)
		}
	}
}

// TakenAmount is the sum of Taken.
func (p *Portion) TakenAmount() meter.Decimal {
	total := meter.Decimal{}
	for _, amount := range p.Taken {
		total = total.Add(amount)
	}
	return total
}

// ReportFilter chooses reports; a text that is "" does not.
type ReportFilter struct {
	From, To    time.Time // creation, half-open
	Partner     string
	Buyer       string
	Entitlement string
}

// ReportPage is a part of a list of reports, the newest first.
type ReportPage struct {
	Items []Report
	More  bool // whether there are reports after these
}

// ReportDetail is a report with all that it holds.
type ReportDetail struct {
	Report
	Portions []Portion // by dimension
	Lines    []Line    // that bill them, by dimension; shared by the reports of one account and hour
}

// LineElsewhere is how a portion is resolved that a person has settled with
// the customer, not through the marketplace.
const LineElsewhere = "elsewhere"
