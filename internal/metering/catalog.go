package metering

import (
	"context"
	"odometer/internal/access"

	"odometer/internal/catalog"
)

// Catalog returns the nouns of the principal's organization as they are now.
// A bound key gets all of them: who asks must look at Principal.Customer.
func (s *Service) Catalog(ctx context.Context, p access.Principal) (*catalog.View, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	return s.catalog.View(ctx, p.Organization)
}
