package metering

import (
	"context"
	"odometer/internal/access"
	"slices"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Nouns lists the nouns of a kind by id, customers without what is their own.
// A bound key sees its customer and what is its own, its entitlements, and the
// products of the contracts that it is billed under.
func (s *Service) Nouns(ctx context.Context, p access.Principal, r catalog.NounRef, page catalog.Page) (catalog.NounPage, error) {
	if err := p.May(access.ActionRead); err != nil {
		return catalog.NounPage{}, err
	}
	if p.Customer == "" {
		return s.catalog.NounPage(ctx, p.Organization, r, page)
	}
	view, err := s.Catalog(ctx, p, catalog.OfCustomers(p.Customer))
	if err != nil {
		return catalog.NounPage{}, err
	}
	if err := seesCustomer(p, r); err != nil {
		return catalog.NounPage{}, err
	}
	all, err := view.Nouns(r)
	if err != nil {
		return catalog.NounPage{}, err
	}
	all = slices.DeleteFunc(all, func(n catalog.Noun) bool { return !sees(p, view, r.Kind, n) })
	return s.catalog.PageNouns(r, all, page)
}

// Noun returns one noun, a customer with what is its own. One that a bound key
// may not see is KindNotFound, like one that does not exist.
func (s *Service) Noun(ctx context.Context, p access.Principal, r catalog.NounRef) (catalog.Noun, error) {
	if err := p.May(access.ActionRead); err != nil {
		return catalog.Noun{}, err
	}
	if p.Customer == "" {
		return s.catalog.Noun(ctx, p.Organization, r)
	}
	view, err := s.Catalog(ctx, p, catalog.OfCustomers(p.Customer))
	if err != nil {
		return catalog.Noun{}, err
	}
	if err := seesCustomer(p, r); err != nil {
		return catalog.Noun{}, err
	}
	n, err := view.Noun(r)
	if err == nil && !sees(p, view, r.Kind, n) {
		return catalog.Noun{}, catalog.NoNoun(r)
	}
	return n, err
}

// seesCustomer checks that what is a customer's own is the bound key's.
func seesCustomer(p access.Principal, r catalog.NounRef) error {
	if p.Customer != "" && r.Customer != "" && r.Customer != p.Customer {
		return catalog.NoNoun(catalog.NounRef{Kind: catalog.NounCustomer, ID: r.Customer})
	}
	return nil
}

// sees says whether a key may see a noun of a customer that it may see.
func sees(p access.Principal, view *catalog.View, kind string, n catalog.Noun) bool {
	if p.Customer == "" {
		return true
	}
	switch kind {
	case catalog.NounCustomer:
		return n.ID == p.Customer
	case catalog.NounEntitlement:
		e, ok := n.Value.(catalog.Entitlement)
		return ok && e.Customer == p.Customer
	case catalog.NounProduct:
		return slices.ContainsFunc(view.ContractsOf(p.Customer), func(c *catalog.Contract) bool {
			return slices.ContainsFunc(c.Terms, func(t catalog.Term) bool { return slices.Contains(t.Products, n.ID) })
		})
	case catalog.NounUnits:
		return false
	}
	return true
}

// CreateNoun adds a noun that a JSON object describes, and returns it. A noun
// that exists is KindConflict. effective is from when it holds if there was one
// of its id before; zero = now.
func (s *Service) CreateNoun(ctx context.Context, p access.Principal, r catalog.NounRef, text []byte, effective time.Time) (catalog.Noun, error) {
	return s.changeNoun(ctx, p, text, func(ctx context.Context, fields catalog.NounFields, o catalog.ApplyOptions) (catalog.NounRef, error) {
		id, err := s.catalog.CreateNoun(ctx, p.Organization, r, fields, o)
		return catalog.NounRef{Kind: r.Kind, Customer: r.Customer, ID: id}, err
	}, effective)
}

// PatchNoun changes the fields of a noun that a JSON object gives, from an
// instant on, and returns it.
func (s *Service) PatchNoun(ctx context.Context, p access.Principal, r catalog.NounRef, text []byte, effective time.Time) (catalog.Noun, error) {
	return s.changeNoun(ctx, p, text, func(ctx context.Context, fields catalog.NounFields, o catalog.ApplyOptions) (catalog.NounRef, error) {
		return r, s.catalog.PatchNoun(ctx, p.Organization, r, fields, o)
	}, effective)
}

// PutUnits makes the organization's units what a JSON object says, and returns them.
func (s *Service) PutUnits(ctx context.Context, p access.Principal, text []byte, effective time.Time) (catalog.Noun, error) {
	return s.changeNoun(ctx, p, text, func(ctx context.Context, fields catalog.NounFields, o catalog.ApplyOptions) (catalog.NounRef, error) {
		return catalog.NounRef{Kind: catalog.NounUnits, ID: catalog.NounUnits}, s.catalog.PutUnits(ctx, p.Organization, fields, o)
	}, effective)
}

// changeNoun reads the fields of a change, makes it in turn with those of
// meters, and returns the noun after it.
func (s *Service) changeNoun(ctx context.Context, p access.Principal, text []byte,
	do func(context.Context, catalog.NounFields, catalog.ApplyOptions) (catalog.NounRef, error), effective time.Time) (catalog.Noun, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.Noun{}, err
	}
	fields, err := catalog.ReadNoun(ctx, text)
	if err != nil {
		return catalog.Noun{}, err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return catalog.Noun{}, err
	}
	defer done()
	r, err := do(ctx, fields, catalog.ApplyOptions{Actor: p.Actor(), Effective: effective})
	if err != nil {
		return catalog.Noun{}, err
	}
	return s.catalog.Noun(context.WithoutCancel(ctx), p.Organization, r)
}

// DeleteNoun removes a noun from an instant on, a customer with all that is its
// own; history keeps it. One that others refer to is KindConflict.
func (s *Service) DeleteNoun(ctx context.Context, p access.Principal, r catalog.NounRef, effective time.Time) error {
	if err := p.May(access.ActionManage); err != nil {
		return err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return err
	}
	defer done()
	return s.catalog.DeleteNoun(ctx, p.Organization, r, catalog.ApplyOptions{Actor: p.Actor(), Effective: effective})
}

// checkUnused refuses to remove a meter that the catalog refers to.
func (s *Service) checkUnused(ctx context.Context, organization, key string) error {
	view, err := s.catalog.ViewOf(ctx, organization, catalog.Want{})
	if err != nil {
		return err
	}
	if users := view.UsersOf(key); len(users) > 0 {
		return meter.Errorf(meter.KindConflict, "meter %s is in use by %s", key, users[0])
	}
	return nil
}
