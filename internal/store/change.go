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

// PageOf is a page of the nouns of a kind that a view has.
func (s *Store) PageOf(view *catalog.View, r catalog.NounRef, p catalog.Page) (catalog.NounPage, error) {
	if _, err := view.SomeNouns(r, "", 0); err != nil {
		return catalog.NounPage{}, err
	}
	limit, err := p.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.NounPage{}, err
	}
	some, err := view.SomeNouns(r, p.Cursor, limit+1)
	if err != nil {
		return catalog.NounPage{}, err
	}
	var page catalog.NounPage
	page.Items, page.Next = catalog.Cut(some, limit, func(n catalog.Noun) string { return n.ID })
	return page, nil
}

// CreateNoun adds a noun that fields describe and returns its id. One
// that exists is KindConflict; what is wrong with them is KindInvalid.
func (s *Store) CreateNoun(ctx context.Context, organization string, r catalog.NounRef, given catalog.NounFields, opt catalog.ApplyOptions) (string, error) {
	one := &nounChange{ref: r, fields: given, do: func(doc *catalog.Document, fields *catalog.NounFields) error {
		made, err := doc.AddNoun(r, fields)
		r.ID = made.ID
		return err
	}}
	_, err := s.changeOne(ctx, organization, opt, one)
	return r.ID, err
}

// PatchNoun changes the fields of a noun that are given, each as a
// whole; one that is null gets its default.
func (s *Store) PatchNoun(ctx context.Context, organization string, r catalog.NounRef, given catalog.NounFields, opt catalog.ApplyOptions) error {
	_, err := s.changeOne(ctx, organization, opt, &nounChange{ref: r, fields: given, do: func(doc *catalog.Document, fields *catalog.NounFields) error {
		return doc.PatchNoun(r, fields)
	}})
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
	_, err := s.changeOne(ctx, organization, opt, &nounChange{ref: r})
	return err
}
