package access

import "odometer/internal/meter"

// Role is what a key may do in its organization.
type Role string

// The roles. RoleAdmin implies all others.
const (
	RoleAdmin  Role = "admin"
	RoleReport Role = "report" // the operations that report usage against entitlements
	RoleIngest Role = "ingest"
	RoleRead   Role = "read"
)

// Action is what a request wants to do.
type Action uint8

// The actions. There is none for acting on other organizations: that is Key.Operator.
const (
	ActionManage Action = iota // change or list keys, meters, and other nouns
	ActionReport               // report usage against entitlements
	ActionIngest               // send events
	ActionRead                 // read usage, events and meters
)

// ParseRole reads a role's name; another text is KindInvalid.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case RoleAdmin, RoleReport, RoleIngest, RoleRead:
		return r, nil
	}
	return "", meter.Errorf(meter.KindInvalid, "role must be admin, report, ingest or read")
}

// Allows says whether the role may do the action; an unknown role may nothing.
func (r Role) Allows(a Action) bool {
	switch r {
	case RoleAdmin:
		return true
	case RoleReport:
		return a == ActionReport
	case RoleIngest:
		return a == ActionIngest
	case RoleRead:
		return a == ActionRead
	}
	return false
}
