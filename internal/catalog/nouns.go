package catalog

import (
	"time"

	"odometer/internal/meter"
)

// Document is a catalog as one text: what `apply` takes and an export gives.
// A part that is nil is absent.
type Document struct {
	Organization *OrganizationSettings `json:"organization,omitempty" yaml:"organization,omitempty"`
	Meters       []meter.Meter         `json:"meters,omitempty" yaml:"meters,omitempty"`
	Products     []Product             `json:"products,omitempty" yaml:"products,omitempty"`
	Units        *Units                `json:"units,omitempty" yaml:"units,omitempty"`
	Customers    []Customer            `json:"customers,omitempty" yaml:"customers,omitempty"`
	Entitlements []Entitlement         `json:"entitlements,omitempty" yaml:"entitlements,omitempty"`

	lines *lineTree       // where the text that was parsed has each field
	kept  map[string]bool // entitlements that an edit leaves as they were
}

// OrganizationSettings is what a document says of its organization; "" leaves it as it is.
type OrganizationSettings struct {
	ID                string `json:"id,omitempty" yaml:"id,omitempty" strict:"filled"` // "" = the key's own
	Name              string `json:"name,omitempty" yaml:"name,omitempty"`
	CustomerAttribute string `json:"customer_attribute,omitempty" yaml:"customer_attribute,omitempty"`
	AssignTime        *bool  `json:"assign_time,omitempty" yaml:"assign_time,omitempty"` // whether events without a time are taken
}

// Product is what is sold.
type Product struct {
	ID         string      `json:"id" yaml:"id"`
	Name       string      `json:"name" yaml:"name"`
	UsageTypes []UsageType `json:"usage_types,omitempty" yaml:"usage_types,omitempty"`
}

// The surfaces that UsageType.Surfaces names.
const (
	surfaceFastly = "fastly"
	surfaceAkamai = "akamai"
)

// UsageType is one line of a product: a meter's usage where attributes have
// fixed values, times a scale.
type UsageType struct {
	Name     string            `json:"name" yaml:"name"`
	Meter    string            `json:"meter" yaml:"meter"`
	Where    map[string]string `json:"where,omitempty" yaml:"where,omitempty" strict:"filled"`
	Unit     string            `json:"unit,omitempty" yaml:"unit,omitempty"`
	Scale    string            `json:"scale,omitempty" yaml:"scale,omitempty"` // decimal; "" = 1
	Billable bool              `json:"billable,omitempty" yaml:"billable,omitempty"`
	Surfaces []string          `json:"surfaces,omitempty" yaml:"surfaces,omitempty" strict:"filled"` // none = all that can
}

// ScaleDecimal is the scale as a number, 1 if there is none.
func (u UsageType) ScaleDecimal() meter.Decimal { return decimalOr(u.Scale, 1) }

// ShownOn says whether a surface shows the usage type.
func (u UsageType) ShownOn(surface string) bool {
	for _, s := range u.Surfaces {
		if s == surface {
			return true
		}
	}
	return len(u.Surfaces) == 0
}

// decimalOr is the decimal of a checked text, or def for an empty one.
func decimalOr(text string, def int64) meter.Decimal {
	if text == "" {
		return meter.NewDecimal(def)
	}
	if d, err := meter.ParseDecimal(text); err == nil {
		return d
	}
	return meter.NewDecimal(def)
}

// Units are what the ThousandEyes surface reads.
type Units struct {
	Cloud      *UnitMeter      `json:"cloud,omitempty" yaml:"cloud,omitempty"`
	Enterprise *UnitMeter      `json:"enterprise,omitempty" yaml:"enterprise,omitempty"`
	Rates      map[string]Rate `json:"rates,omitempty" yaml:"rates,omitempty"` // by type of test
}

// UnitMeter names the meter that counts one kind of unit.
type UnitMeter struct {
	Meter string `json:"meter" yaml:"meter"`
}

// RatePerTimeout is the Rate.Per of a rate for each second of a test's timeout.
const RatePerTimeout = "timeout_s"

// Rate is what one run of a test costs an agent.
type Rate struct {
	Cloud      string `json:"cloud,omitempty" yaml:"cloud,omitempty"`           // decimal units; "" = 0
	Enterprise string `json:"enterprise,omitempty" yaml:"enterprise,omitempty"` // decimal units; "" = 0
	Per        string `json:"per,omitempty" yaml:"per,omitempty"`               // RatePerTimeout, or "" = a run
}

// CloudDecimal is the rate of a cloud agent.
func (r Rate) CloudDecimal() meter.Decimal { return decimalOr(r.Cloud, 0) }

// EnterpriseDecimal is the rate of an enterprise agent.
func (r Rate) EnterpriseDecimal() meter.Decimal { return decimalOr(r.Enterprise, 0) }

// The values of Customer.Pricing.
const (
	PricingUsage  = "usage"
	PricingLegacy = "legacy" // no units operations
)

// Customer is who used something and gets billed, with what is the customer's own.
type Customer struct {
	ID              string           `json:"id" yaml:"id"`
	Name            string           `json:"name" yaml:"name"`
	AccountID       string           `json:"account_id,omitempty" yaml:"account_id,omitempty"`
	CycleDay        int              `json:"cycle_day" yaml:"cycle_day"` // 1 to 31, clipped to short months
	Pricing         string           `json:"pricing" yaml:"pricing"`
	Services        []Service        `json:"services,omitempty" yaml:"services,omitempty"`
	Contracts       []Contract       `json:"contracts,omitempty" yaml:"contracts,omitempty"`
	CPCodes         []CPCode         `json:"cp_codes,omitempty" yaml:"cp_codes,omitempty"`
	ReportingGroups []ReportingGroup `json:"reporting_groups,omitempty" yaml:"reporting_groups,omitempty"`
	AccountGroups   []AccountGroup   `json:"account_groups,omitempty" yaml:"account_groups,omitempty"`
	Agents          []Agent          `json:"agents,omitempty" yaml:"agents,omitempty"`
	Tests           []Test           `json:"tests,omitempty" yaml:"tests,omitempty"`
	Quota           *Quota           `json:"quota,omitempty" yaml:"quota,omitempty"`
}

func (c *Customer) setDefaults() { c.CycleDay, c.Pricing = 1, PricingUsage }

// Service is a named thing that usage is attributed to.
type Service struct {
	ID   string `json:"id" yaml:"id"`
	Name string `json:"name" yaml:"name"`
}

// Contract is a customer's agreement.
type Contract struct {
	ID        string   `json:"id" yaml:"id"`
	Starts    Date     `json:"starts,omitzero" yaml:"starts,omitempty"`        // zero = always
	Ends      Date     `json:"ends,omitzero" yaml:"ends,omitempty"`            // not valid at this instant or after; zero = open
	Customers []string `json:"customers,omitempty" yaml:"customers,omitempty"` // further customers billed under it
	Terms     []Term   `json:"terms,omitempty" yaml:"terms,omitempty"`         // by from, each until the next
}

// Valid says whether the contract holds at an instant.
func (c *Contract) Valid(at time.Time) bool {
	return (c.Starts.IsZero() || !at.Before(c.Starts.Time)) && (c.Ends.IsZero() || at.Before(c.Ends.Time))
}

// Term is what a contract says from one day on.
type Term struct {
	From     Date     `json:"from,omitzero" yaml:"from,omitempty"` // zero = the contract's start
	Products []string `json:"products,omitempty" yaml:"products,omitempty"`
	Regions  Regions  `json:"regions" yaml:"regions"`
}

// CPCode is a content provider code: usage of one product under one contract.
type CPCode struct {
	ID       int64  `json:"id" yaml:"id"`
	Name     string `json:"name" yaml:"name"`
	Contract string `json:"contract" yaml:"contract"`
	Product  string `json:"product,omitempty" yaml:"product,omitempty"`
}

// ReportingGroup is a set of CP codes.
type ReportingGroup struct {
	ID      int64   `json:"id" yaml:"id"`
	Name    string  `json:"name" yaml:"name"`
	CPCodes []int64 `json:"cp_codes,omitempty" yaml:"cp_codes,omitempty"`
}

// AccountGroup owns tests and agents.
type AccountGroup struct {
	AID  string `json:"aid" yaml:"aid"`
	Name string `json:"name" yaml:"name"`
}

// The kinds of agents.
const (
	AgentEnterprise         = "enterprise"
	AgentEndpoint           = "endpoint"
	AgentEndpointEssentials = "endpoint_essentials"
	AgentEndpointEmbedded   = "endpoint_embedded"
)

// Agent runs tests. It is counted from Effective on. A change that names
// another Effective holds from that instant.
type Agent struct {
	ID           string `json:"id" yaml:"id"`
	Name         string `json:"name" yaml:"name"`
	Kind         string `json:"kind" yaml:"kind"`
	AccountGroup string `json:"account_group" yaml:"account_group"`
	Enabled      bool   `json:"enabled" yaml:"enabled"`
	Effective    Date   `json:"effective,omitzero" yaml:"effective,omitempty"` // zero = when it was applied
}

func (a *Agent) setDefaults() { a.Enabled = true }

// Test is run by agents at an interval.
type Test struct {
	ID           string   `json:"id" yaml:"id"`
	Name         string   `json:"name" yaml:"name"`
	Type         string   `json:"type" yaml:"type"`
	AccountGroup string   `json:"account_group" yaml:"account_group"`
	IntervalS    int      `json:"interval_s,omitempty" yaml:"interval_s,omitempty"`
	TimeoutS     int      `json:"timeout_s,omitempty" yaml:"timeout_s,omitempty"`
	Agents       []string `json:"agents,omitempty" yaml:"agents,omitempty"`
	CloudAgents  int      `json:"cloud_agents,omitempty" yaml:"cloud_agents,omitempty"` // how many
	Enabled      bool     `json:"enabled" yaml:"enabled"`
	Instant      bool     `json:"instant,omitempty" yaml:"instant,omitempty"`
}

func (t *Test) setDefaults() { t.Enabled = true }

// Quota is what a customer may use.
type Quota struct {
	CloudUnits               int64 `json:"cloud_units" yaml:"cloud_units"`
	EnterpriseAgents         int64 `json:"enterprise_agents" yaml:"enterprise_agents"`
	EndpointAgents           int64 `json:"endpoint_agents" yaml:"endpoint_agents"`
	EndpointAgentsEssentials int64 `json:"endpoint_agents_essentials" yaml:"endpoint_agents_essentials"`
	EndpointAgentsEmbedded   int64 `json:"endpoint_agents_embedded" yaml:"endpoint_agents_embedded"`
}
