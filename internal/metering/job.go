package metering

import (
	"odometer/internal/access"
	"odometer/internal/meter"
)

// Job is the principal of a job of the server itself, which may read and
// manage one organization. Audit entries name it.
func Job(organization, name string) Principal {
	return Principal{Organization: organization, Role: access.RoleAdmin, system: name}
}

// MeterOf returns a meter's definition; false if there is none.
func (s *Service) MeterOf(organization, key string) (meter.Meter, bool) {
	state, ok := s.ledger.Meter(organization, key)
	return state.Meter, ok
}
