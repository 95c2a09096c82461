package store

import (
	"context"
	"database/sql"
	"errors"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// NounPage is a page of the nouns of a kind, customers without what is their
// own. Where the view of all nouns is not in memory, only those of the page are read.
func (s *Store) NounPage(ctx context.Context, organization string, r catalog.NounRef, p catalog.Page) (catalog.NounPage, error) {
	limit, _ := p.Bound(s.limits.PageSize) // PageOf tells what is wrong with it
	view, err := s.viewFor(ctx, organization, r, func() ([]catalog.Version, error) {
		return List(ctx, s.reader, scanVersion, stmt.NounPage, organization, r.Kind, p.Cursor, limit+1)
	})
	if err != nil {
		return catalog.NounPage{}, err
	}
	return s.PageOf(view, r, p)
}

// Noun is one noun, a customer with what is its own; KindNotFound if there is
// none. Where the view of all nouns is not in memory, only that is read.
func (s *Store) Noun(ctx context.Context, organization string, r catalog.NounRef) (catalog.Noun, error) {
	view, err := s.viewFor(ctx, organization, r, func() ([]catalog.Version, error) {
		return loadPart(ctx, s.reader, organization, r)
	})
	if err != nil {
		return catalog.Noun{}, err
	}
	return view.Noun(r)
}

// viewFor is the view of all nouns if it is in memory, and else one that has
// what a question about nouns of a kind asks for: a customer with all that is its
// own, or of the organization's nouns those that load reads.
func (s *Store) viewFor(ctx context.Context, organization string, r catalog.NounRef, load func() ([]catalog.Version, error)) (*catalog.View, error) {
	number, err := s.nounsVersion(ctx, organization)
	if err != nil {
		return nil, err
	}
	if have, _ := s.held(organization); have != nil && have.number >= number {
		return have.view, nil
	}
	var versions []catalog.Version
	switch of, ok := catalog.PartOf(catalog.NounRef{Kind: r.Kind, Customer: r.Customer, ID: "*"}); {
	case !ok:
		return s.ViewOf(ctx, organization, catalog.OfCustomers(r.Customer)) // which says what is wrong with the question
	case of.Kind != r.Kind:
		versions, err = loadPart(ctx, s.reader, organization, of)
	default:
		versions, err = load()
	}
	if err != nil {
		return nil, s.Fail(err, "cannot read the catalog")
	}
	catalog.SortVersions(versions)
	return catalog.NewView(versions)
}

func (s *Store) nounsVersion(ctx context.Context, organization string) (number int64, err error) {
	err = s.reader.QueryRowContext(ctx, stmt.NounsVersion, organization).Scan(&number)
	return number, s.noOrganization(err, organization)
}

// noOrganization is the error of a question that needs an organization.
func (s *Store) noOrganization(err error, organization string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return meter.Errorf(meter.KindNotFound, "no organization %q", organization)
	}
	if err != nil {
		return s.Fail(err, "cannot read the catalog")
	}
	return nil
}
