package records

import (
	"context"
	"odometer/internal/access"
	"odometer/internal/billing"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// AddCredit gives an entitlement money, which its usage takes before anything
// else. Credit only grows. With an idempotency key that was used before for the
// same request it returns the credit given then.
func (s *Service) AddCredit(ctx context.Context, p access.Principal, entitlement string, amount meter.Decimal, once Idempotency) (billing.Credit, error) {
	if err := p.May(access.ActionManage); err != nil {
		return billing.Credit{}, err
	}
	return s.accounts.AddCredit(ctx, p.Organization, entitlement, amount,
		once.of(p, "credit"), p.Actor())
}

// Credits lists an entitlement's credits, the oldest first. One that is not
// there, or is not a bound key's customer's, is KindNotFound.
func (s *Service) Credits(ctx context.Context, p access.Principal, entitlement string, page catalog.Page) (billing.CreditPage, error) {
	if err := p.May(access.ActionRead); err != nil {
		return billing.CreditPage{}, err
	}
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.Want{})
	if err != nil {
		return billing.CreditPage{}, err
	}
	e, ok := view.Entitlement(entitlement)
	if !ok || p.Customer != "" && e.Customer != p.Customer {
		return billing.CreditPage{}, meter.Errorf(meter.KindNotFound, "no entitlement %q", meter.Clip(entitlement))
	}
	found, err := s.accounts.Credits(ctx, p.Organization, entitlement, page)
	if p.Customer != "" {
		for i := range found.Items {
			found.Items[i].Actor = "" // whose keys there are is the organization's
		}
	}
	return found, err
}
