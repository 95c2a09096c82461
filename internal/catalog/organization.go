package catalog

import (
	"time"

	"odometer/internal/meter"
)

// Limits of an organization's texts, in bytes.
const (
	MaxOrganizationIDBytes    = 64
	MaxNameBytes              = 256
	MaxCustomerAttributeBytes = 256
)

// DefaultOrganization is the id of the organization that a fresh catalog has.
const DefaultOrganization = "default"

// DefaultCustomerAttribute names the event's subject, which is its customer
// unless the organization says otherwise.
const DefaultCustomerAttribute = "subject"

// Organization is a tenant: the seller to whom everything else belongs.
type Organization struct {
	ID                string `json:"id"`
	Name              string `json:"name"`
	CustomerAttribute string `json:"customer_attribute"` // a copy; the log decides
	// AssignTime says whether events without a time are taken. Only the log has
	// it: the catalog leaves it nil, and audits its changes.
	AssignTime *bool     `json:"assign_time,omitempty"`
	Created    time.Time `json:"created"`
}

// NewOrganization is what a caller says of an organization to create.
type NewOrganization struct {
	ID                string // 1 to MaxOrganizationIDBytes letters, digits, '.', '_' or '-', the first a letter or digit
	Name              string // "" = the id
	CustomerAttribute string // "" = DefaultCustomerAttribute
	AssignTime        *bool  // nil = true
}

// OrganizationPatch names what to change; nil leaves a field as it is.
type OrganizationPatch struct {
	Name              *string
	CustomerAttribute *string
	AssignTime        *bool
}

// OrganizationPage is a part of the list of organizations, by id.
type OrganizationPage struct {
	Items []Organization
	Next  string // Page.Cursor of what follows; "" at the end
}

// Validate says what is wrong with the organization.
func (o Organization) Validate() error {
	switch {
	case !ValidOrganizationID(o.ID):
		return meter.Errorf(meter.KindInvalid,
			"an organization's id is 1 to %d letters, digits, '.', '_' or '-', the first a letter or digit", MaxOrganizationIDBytes)
	case !meter.PlainText(o.Name, MaxNameBytes):
		return meter.Errorf(meter.KindInvalid, "an organization's name is 1 to %d bytes of UTF-8 without control characters", MaxNameBytes)
	case !meter.PlainText(o.CustomerAttribute, MaxCustomerAttributeBytes):
		return meter.Errorf(meter.KindInvalid, "customer_attribute is 1 to %d bytes of UTF-8 without control characters", MaxCustomerAttributeBytes)
	}
	return nil
}

// ValidOrganizationID says whether a text has the form of an organization's id.
func ValidOrganizationID(id string) bool {
	for i := range len(id) {
		c := id[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return id != "" && len(id) <= MaxOrganizationIDBytes
}
