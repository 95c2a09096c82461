package store

import (
	"context"

	"odometer/internal/catalog"
)

// PageNouns cuts a list that Nouns returned.
func (s *Store) PageNouns(r catalog.NounRef, all []catalog.Noun, p catalog.Page) (catalog.NounPage, error) {
	limit, err := p.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.NounPage{}, err
	}
	if p.Cursor != "" {
		all = catalog.NounsAfter(r, all, p.Cursor)
	}
	var page catalog.NounPage
	page.Items, page.Next = catalog.Cut(all, limit, func(n catalog.Noun) string { return n.ID })
	return page, nil
}

// CreateNoun adds a noun that fields describe and returns its id. One
// that exists is KindConflict; what is wrong with them is KindInvalid.
func (s *Store) CreateNoun(ctx context.Context, organization string, r catalog.NounRef, given catalog.NounFields, opt catalog.ApplyOptions) (string, error) {
	_, err := s.Edit(ctx, organization, opt, func(doc *catalog.Document) (err error) {
		r, err = doc.AddNoun(r, &given)
		return err
	})
	return r.ID, err
}

// PatchNoun changes the fields of a noun that are given, each as a
// whole; one that is null gets its default.
func (s *Store) PatchNoun(ctx context.Context, organization string, r catalog.NounRef, given catalog.NounFields, opt catalog.ApplyOptions) error {
	_, err := s.Edit(ctx, organization, opt, func(doc *catalog.Document) error { return doc.PatchNoun(r, &given) })
	return err
}

// PutUnits makes the organization's units what fields say.
func (s *Store) PutUnits(ctx context.Context, organization string, given catalog.NounFields, opt catalog.ApplyOptions) error {
	u, err := given.Units()
	if err != nil {
		return err
	}
	_, err = s.Edit(ctx, organization, opt, func(doc *catalog.Document) error {
		doc.Units = u
		return nil
	})
	return err
}

// DeleteNoun removes a noun, a customer with all that is its own; history
// keeps it. One that others refer to is KindConflict, which names them.
func (s *Store) DeleteNoun(ctx context.Context, organization string, r catalog.NounRef, opt catalog.ApplyOptions) error {
	_, err := s.change(ctx, organization, opt, func(have *catalog.State) (*catalog.Document, error) { return have.Without(r) })
	return err
}
