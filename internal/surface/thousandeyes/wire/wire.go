// Package wire is the ThousandEyes usage API v7 as bytes: how requests are
// read, how answers, links, cursors and errors are written, and how requests
// are counted against the rate limit. It knows no catalog and no ledger.
//
//	query string ─► UsageRequest | UnitsRequest (range and now frozen by the cursor)
//	rows         ─► UsageAnswer  | Page (HAL links)
//
// The contract is what the vendor's Go, Python and Java clients send and
// accept: integers without point or exponent, ids as strings, every link with
// an href, arrays only where they were asked for.
package wire

import (
	"time"

	"odometer/internal/meter"
)

// The paths of the three operations.
const (
	PathUsage      = "/v7/usage"
	PathTestUnits  = "/v7/usage/units/tests"
	PathAgentUnits = "/v7/usage/units/enterprise-agents"
)

// The media types of answers.
const (
	ContentType        = "application/hal+json"
	ProblemContentType = "application/problem+json"
	TokenErrorType     = "application/json" // of the 401 body
)

// Units is a reported number of units: an integer of any size. Clients hold
// 64 bits, those of single tests 32; a larger number is sent as it is, for a
// visible failure is better than a wrong bill.
type Units struct{ value meter.Decimal }

// RoundUnits rounds half up, away from zero. It is applied once to each
// reported number, never to a part of one.
func RoundUnits(d meter.Decimal) Units { return Units{d.Round(0, meter.HalfUp)} }

// Optional returns u where a member may be absent.
func (u Units) Optional() *Units { return &u }

// String returns the digits.
func (u Units) String() string { return u.value.String() }

// MarshalJSON writes the digits, without quotes.
func (u Units) MarshalJSON() ([]byte, error) { return []byte(u.value.String()), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (u *Units) UnmarshalJSON(b []byte) error { return u.value.UnmarshalText(b) }

// Time is an instant in UTC to the second, the one form that all clients read.
type Time time.Time

// MarshalJSON writes YYYY-MM-DDTHH:MM:SSZ.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05Z"`)), nil
}

// UsageAnswer answers GET /v7/usage.
type UsageAnswer struct {
	Usage Usage `json:"usage"`
	Links Links `json:"_links"`
}

// Usage is the current billing cycle of one customer. A nil array was not
// expanded and is left out; an empty one is written.
type Usage struct {
	Quota Quota `json:"quota"`

	CloudUnitsUsed                   Units `json:"cloudUnitsUsed"`
	CloudUnitsProjected              Units `json:"cloudUnitsProjected"`         // of the whole current cycle
	CloudUnitsNextBillingPeriod      Units `json:"cloudUnitsNextBillingPeriod"` // from the configuration alone
	EnterpriseUnitsUsed              Units `json:"enterpriseUnitsUsed"`
	EnterpriseUnitsProjected         Units `json:"enterpriseUnitsProjected"`
	EnterpriseUnitsNextBillingPeriod Units `json:"enterpriseUnitsNextBillingPeriod"`

	// The most agents that were enabled in any one hour of the cycle.
	EndpointAgentsUsed           int64 `json:"endpointAgentsUsed"`
	EndpointAgentsEssentialsUsed int64 `json:"endpointAgentsEssentialsUsed"`
	EndpointAgentsEmbeddedUsed   int64 `json:"endpointAgentsEmbeddedUsed"`
	EnterpriseAgentsUsed         int64 `json:"enterpriseAgentsUsed"`

	Tests                    []TestUsage           `json:"tests,omitzero"`
	EnterpriseAgents         []EnterpriseAgents    `json:"enterpriseAgents,omitzero"`
	EnterpriseAgentUnits     []EnterpriseAgentUnit `json:"enterpriseAgentUnits,omitzero"`
	EndpointAgents           []EndpointAgents      `json:"endpointAgents,omitzero"`
	EndpointAgentsEssentials []EndpointEssentials  `json:"endpointAgentsEssentials,omitzero"`
	EndpointAgentsEmbedded   []EndpointEmbedded    `json:"endpointAgentsEmbedded,omitzero"`
}

// Quota is what the contract includes, and the cycle it includes it in.
type Quota struct {
	MonthStart                       Time  `json:"monthStart"`
	MonthEnd                         Time  `json:"monthEnd"`
	CloudUnitsIncluded               int64 `json:"cloudUnitsIncluded"`
	EndpointAgentsIncluded           int64 `json:"endpointAgentsIncluded"`
	EndpointAgentsEssentialsIncluded int64 `json:"endpointAgentsEssentialsIncluded"`
	EndpointAgentsEmbeddedIncluded   int64 `json:"endpointAgentsEmbeddedIncluded"`
	EnterpriseAgentsIncluded         int64 `json:"enterpriseAgentsIncluded"` // 0 unless agents are billed by number
}

// AccountGroup begins every element of every array.
type AccountGroup struct {
	AID  string `json:"aid"`
	Name string `json:"accountGroupName"`
}

// TestUsage is one test of the cycle, under the account group that owns it.
type TestUsage struct {
	AccountGroup
	TestID              string `json:"testId"`
	TestName            string `json:"testName"`
	TestType            string `json:"testType"`
	CloudUnitsUsed      Units  `json:"cloudUnitsUsed"`
	CloudUnitsProjected *Units `json:"cloudUnitsProjected,omitempty"` // absent where nothing can be projected
}

// EnterpriseAgents counts the enterprise agents of one account group.
type EnterpriseAgents struct {
	AccountGroup
	Used int64 `json:"enterpriseAgentsUsed"`
}

// EndpointAgents counts the endpoint agents of one account group.
type EndpointAgents struct {
	AccountGroup
	Used int64 `json:"endpointAgentsUsed"`
}

// EndpointEssentials counts the endpoint agents of the essentials kind of one account group.
type EndpointEssentials struct {
	AccountGroup
	Used int64 `json:"endpointAgentsEssentialsUsed"`
}

// EndpointEmbedded counts the endpoint agents of the embedded kind of one account group.
type EndpointEmbedded struct {
	AccountGroup
	Used int64 `json:"endpointAgentsEmbeddedUsed"`
}

// EnterpriseAgentUnit is one enterprise agent. In /v7/usage it stands under
// the account group that owns the agent, in the units operation under each
// one whose tests ran on it.
type EnterpriseAgentUnit struct {
	AccountGroup
	AgentID                  string `json:"agentId,omitempty"`
	AgentName                string `json:"agentName"`
	EnterpriseUnitsUsed      Units  `json:"enterpriseUnitsUsed"`
	EnterpriseUnitsProjected *Units `json:"enterpriseUnitsProjected,omitempty"`
}

// TestUnits is one test of a range, under the account group that owns it.
// The projections are of the current cycle, whatever the range.
type TestUnits struct {
	AccountGroup
	TestID                   string `json:"testId"`
	TestName                 string `json:"testName"`
	TestType                 string `json:"testType"`
	CloudUnitsUsed           Units  `json:"cloudUnitsUsed"`
	CloudUnitsProjected      *Units `json:"cloudUnitsProjected,omitempty"`
	EnterpriseUnitsUsed      Units  `json:"enterpriseUnitsUsed"`
	EnterpriseUnitsProjected *Units `json:"enterpriseUnitsProjected,omitempty"`
	IsInstantTest            bool   `json:"isInstantTest"`
}

// Page is a part of the rows of a units operation. Breakdowns must not be
// nil: clients count on an array.
type Page[Row any] struct {
	Breakdowns []Row `json:"breakdowns"`
	Links      Links `json:"_links"`
}
