package metering

import (
	"odometer/internal/access"
	"odometer/internal/meter"
)

// Principal is who a request acts for: the one organization it may touch and
// with which right. The zero Principal may do nothing.
type Principal struct {
	Organization string
	KeyID        string
	Role         access.Role
	Customer     string         // the one customer a bound key sees; "" = all of the organization
	Operator     bool           // may create organizations and act on any of them
	Sources      access.Sources // how the sources of its events begin; none = any
	Strict       bool           // any event that is refused makes its whole answer an error
	DefaultAID   string         // account group of a ThousandEyes request that names none; of the key's own organization

	system string // the job that acts, where no key does
}

// actor names the principal in audit entries and log records.
func (p Principal) actor() string {
	if p.system != "" {
		return "system:" + p.system
	}
	return "key:" + p.KeyID
}

// bound returns the customer filter of the principal, nil when it sees all customers.
func (p Principal) bound() *string {
	if p.Customer == "" {
		return nil
	}
	return &p.Customer
}

// may checks one right. A bound key never manages its organization, whatever its role.
func (p Principal) may(a access.Action) error {
	if p.Organization == "" {
		return meter.Errorf(meter.KindUnauthenticated, "no key given")
	}
	if !p.Role.Allows(a) || a == access.ActionManage && p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: its role is %s", p.Role)
	}
	return nil
}

// mayReportAll checks the right to change what all of the organization's
// reported usage depends on. A bound key has it not, whatever its role.
func (p Principal) mayReportAll() error {
	if err := p.may(access.ActionReport); err != nil {
		return err
	}
	if p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it is bound to a customer")
	}
	return nil
}

// mayOperate checks the operator right.
func (p Principal) mayOperate() error {
	if err := p.may(access.ActionManage); err != nil {
		return err
	}
	if !p.Operator {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it has not the operator right")
	}
	return nil
}
