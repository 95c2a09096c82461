package catalog

// The partners that entitlements are bought through.
const (
	PartnerAWS   = "AWS"
	PartnerAzure = "AZURE"
	PartnerGCP   = "GCP"
)

// The states of an entitlement.
const (
	EntitlementActive    = "active"
	entitlementSuspended = "suspended"
	EntitlementCancelled = "cancelled"
)

// Entitlement is a customer's purchase through a marketplace partner.
type Entitlement struct {
	ID         string            `json:"id" yaml:"id"`
	Customer   string            `json:"customer" yaml:"customer"`
	Buyer      *Buyer            `json:"buyer,omitempty" yaml:"buyer,omitempty"` // nil = the customer's id
	Partner    string            `json:"partner" yaml:"partner"`
	Product    string            `json:"product" yaml:"product"`
	Status     string            `json:"status" yaml:"status"`
	Starts     Date              `json:"starts" yaml:"starts"`
	Ends       Date              `json:"ends,omitzero" yaml:"ends,omitempty"`
	Terms      []EntitlementTerm `json:"terms,omitempty" yaml:"terms,omitempty"` // none = one from Starts
	Dimensions []Dimension       `json:"dimensions,omitempty" yaml:"dimensions,omitempty"`
	AWS        *AWSListing       `json:"aws,omitempty" yaml:"aws,omitempty"`
	Azure      *AzureListing     `json:"azure,omitempty" yaml:"azure,omitempty"`
	GCP        *GCPListing       `json:"gcp,omitempty" yaml:"gcp,omitempty"`
}

func (e *Entitlement) setDefaults() { e.Status = EntitlementActive }

// Buyer is the customer as the marketplace knows it.
type Buyer struct {
	ID string `json:"id" yaml:"id"`
}

// EntitlementTerm is what was agreed for a time.
type EntitlementTerm struct {
	ID          string `json:"id" yaml:"id"`
	Starts      Date   `json:"starts,omitzero" yaml:"starts,omitempty"`
	Ends        Date   `json:"ends,omitzero" yaml:"ends,omitempty"`
	Commit      string `json:"commit,omitempty" yaml:"commit,omitempty"`             // decimal
	IncludedPer string `json:"included_per,omitempty" yaml:"included_per,omitempty"` // month, term
}

// Dimension is one thing that an entitlement bills.
type Dimension struct {
	Key       string            `json:"key" yaml:"key"`
	Name      string            `json:"name" yaml:"name"`
	UnitPrice string            `json:"unit_price,omitempty" yaml:"unit_price,omitempty"` // decimal
	ListPrice string            `json:"list_price,omitempty" yaml:"list_price,omitempty"` // decimal
	Included  string            `json:"included,omitempty" yaml:"included,omitempty"`     // decimal
	Meter     string            `json:"meter,omitempty" yaml:"meter,omitempty"`           // "" = what is posted
	Where     map[string]string `json:"where,omitempty" yaml:"where,omitempty" strict:"filled"`
	Scale     string            `json:"scale,omitempty" yaml:"scale,omitempty"` // decimal
}

// defaultAWSRegion is AWSListing.Region where it is left out.
const defaultAWSRegion = "us-east-1"

// AWSListing names an entitlement in AWS Marketplace: by customer identifier,
// or by account and licence.
type AWSListing struct {
	ProductCode        string `json:"product_code" yaml:"product_code"`
	CustomerIdentifier string `json:"customer_identifier,omitempty" yaml:"customer_identifier,omitempty"`
	AccountID          string `json:"account_id,omitempty" yaml:"account_id,omitempty"`
	LicenseARN         string `json:"license_arn,omitempty" yaml:"license_arn,omitempty"`
	Region             string `json:"region" yaml:"region"`
}

func (l *AWSListing) setDefaults() { l.Region = defaultAWSRegion }

// AzureListing names an entitlement in Azure Marketplace.
type AzureListing struct {
	ResourceID string `json:"resource_id" yaml:"resource_id"`
	PlanID     string `json:"plan_id" yaml:"plan_id"`
}

// GCPListing names an entitlement in Google Cloud Marketplace.
type GCPListing struct {
	Service          string               `json:"service" yaml:"service"`
	UsageReportingID string               `json:"usage_reporting_id" yaml:"usage_reporting_id"`
	Metrics          map[string]GCPMetric `json:"metrics,omitempty" yaml:"metrics,omitempty"` // by dimension
}

// GCPMetric is what a dimension is called there.
type GCPMetric struct {
	Name string `json:"name" yaml:"name"`
	Type string `json:"type" yaml:"type"` // INT64 or DOUBLE
}
