package access

import "odometer/internal/meter"

// Principal is who a request acts for: the one organization it may touch and
// with which right. The zero Principal may do nothing.
type Principal struct {
	Organization string
	KeyID        string
	Role         Role
	Customer     string  // the one customer a bound key sees; "" = all of the organization
	Operator     bool    // may create organizations and act on any of them
	Sources      Sources // how the sources of its events begin; none = any
	Strict       bool    // any event that is refused makes its whole answer an error
	DefaultAID   string  // account group of a ThousandEyes request that names none; of the key's own organization

	system string // the job that acts, where no key does
}

// Job is the principal of a job of the server itself, which may read and
// manage one organization. Audit entries name it.
func Job(organization, name string) Principal {
	return Principal{Organization: organization, Role: RoleAdmin, system: name}
}

// Unbound is who acts in the principal's name, and sees all of its organization.
func (p Principal) Unbound() Principal {
	return Principal{Organization: p.Organization, KeyID: p.KeyID, Role: RoleAdmin, system: p.system}
}

// Actor names the principal in audit entries and log records.
func (p Principal) Actor() string {
	if p.system != "" {
		return "system:" + p.system
	}
	return "key:" + p.KeyID
}

// Bound returns the customer filter of the principal, nil when it sees all customers.
func (p Principal) Bound() *string {
	if p.Customer == "" {
		return nil
	}
	return &p.Customer
}

// May checks one right. A bound key never manages its organization, whatever its role.
func (p Principal) May(a Action) error {
	if p.Organization == "" {
		return meter.Errorf(meter.KindUnauthenticated, "no key given")
	}
	if !p.Role.Allows(a) || a == ActionManage && p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: its role is %s", p.Role)
	}
	return nil
}

// MayReportAll checks the right to change what all of the organization's
// reported usage depends on. A bound key has it not, whatever its role.
func (p Principal) MayReportAll() error {
	if err := p.May(ActionReport); err != nil {
		return err
	}
	if p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it is bound to a customer")
	}
	return nil
}

// MayOperate checks the operator right.
func (p Principal) MayOperate() error {
	if err := p.May(ActionManage); err != nil {
		return err
	}
	if !p.Operator {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it has not the operator right")
	}
	return nil
}
