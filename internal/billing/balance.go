package billing

import (
	"odometer/internal/meter"
	"time"
)

// Balance is the whole account of what an entitlement's dimension was used,
// summed over everything ever accepted:
// Settled + Carry + Pending + Failed + Parked + Absorbed = Mapped.
type Balance struct {
	Settled  meter.Decimal `json:"settled"`  // accepted, before list-price adjustment
	Carry    meter.Decimal `json:"carry"`    // of all terms
	Pending  meter.Decimal `json:"pending"`  // frozen, or claimed by nothing yet
	Failed   meter.Decimal `json:"failed"`   // refused
	Parked   meter.Decimal `json:"parked"`   // waits for a person
	Absorbed meter.Decimal `json:"absorbed"` // by credit, commit and included, settled
	Mapped   meter.Decimal `json:"mapped"`   // usage after mapping, from groups and meters
	Sent     meter.Decimal `json:"sent"`     // what marketplaces hold
}

// Holds says whether the parts make the whole, to the last digit.
func (b Balance) Holds() bool {
	return b.Settled.Add(b.Carry).Add(b.Pending).Add(b.Failed).Add(b.Parked).Add(b.Absorbed).Cmp(b.Mapped) == 0
}

// DimensionKey names a dimension of an entitlement.
type DimensionKey struct{ Entitlement, Dimension string }

// Carried is what a dimension of an entitlement carries, of one term.
type Carried struct {
	Entitlement, Dimension, Term string
	Amount                       meter.Decimal
}

// Waiting is unreported usage of one entitlement.
type Waiting struct {
	Entitlement string
	Groups      int
	Oldest      time.Time // usage
	Reason      string    // what keeps it from being reported; "" = nothing, or nothing that is known
}

// ReporterStanding is what a gauge tells of an organization's reporter.
type ReporterStanding struct {
	Organization string
	Paused       bool
	Groups       int       // usage record groups that no report has claimed
	Oldest       time.Time // usage of theirs; zero if there are none
}

// ReporterState says whether an organization's reporter may work.
type ReporterState struct {
	Paused   bool
	Restored time.Time // reports before it may be missing here: the catalog was restored from a backup
	Reason   string
}
