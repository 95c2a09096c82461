package metering

import (
	"context"
	"odometer/internal/access"

	"odometer/internal/catalog"
)

// Catalog returns what is wanted of the nouns of the principal's organization,
// and mostly more, as they are now. A bound key gets that of others too: who asks must look at
// Principal.Customer.
func (s *Service) Catalog(ctx context.Context, p access.Principal, want catalog.Want) (*catalog.View, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	return s.catalog.ViewOf(ctx, p.Organization, want)
}
