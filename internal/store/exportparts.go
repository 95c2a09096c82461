package store

import (
	"cmp"
	"context"
	"slices"

	"odometer/internal/catalog"
)

// exportPage is how many nouns that are no customer's own are read at once.
const exportPage = mostAtOnce

// ExportParts calls do with what walks through all that there is of an
// organization as of one instant, see catalog.Walk. The memory that it takes does
// not grow with the catalog. begun is called when that instant is fixed.
func (s *Store) ExportParts(ctx context.Context, organization string, begun func(), do func(catalog.Walk) error) error {
	var failed error // of do, whose errors may be none of the store
	err := s.snapshot(ctx, "read the catalog", func(q executor) error {
		o, meters, err := readHead(ctx, q, organization) // fixes the instant
		if err != nil {
			return err
		}
		have, err := catalog.NewState(o, meters, nil)
		if err != nil {
			return err
		}
		begun()
		head := have.Export()
		failed = do(func(visit func(*catalog.Document) error) error {
			first := *head
			if err := visit(&first); err != nil {
				return err
			}
			w := exportWalk{s, q, organization, visit}
			for _, kind := range []string{catalog.NounProduct, catalog.NounUnits, catalog.NounCustomer, catalog.NounEntitlement} {
				if err := w.kind(ctx, kind); err != nil {
					return err
				}
			}
			return nil
		})
		return nil
	})
	return cmp.Or(err, failed)
}

// exportWalk visits the nouns of an organization that hold now.
type exportWalk struct {
	s            *Store
	q            Queryer
	organization string
	visit        func(*catalog.Document) error
}

// kind visits those of a kind that is no customer's own, customers with what is theirs.
func (w exportWalk) kind(ctx context.Context, kind string) error {
	for after := ""; ; {
		versions, err := List(ctx, w.q, scanVersion, stmt.NounPage, w.organization, kind, after, exportPage)
		if err != nil {
			return w.s.Fail(err, "cannot read the catalog")
		}
		if len(versions) == 0 {
			return nil
		}
		last := len(versions) < exportPage
		after = versions[len(versions)-1].ID
		if kind == catalog.NounCustomer {
			ids := make([]string, len(versions))
			for i := range versions {
				ids[i] = versions[i].ID
			}
			text, args := InList(stmt.NounsOwnNow, 2, []any{w.organization}, ids)
			own, err := List(ctx, w.q, scanVersion, text, args...)
			if err != nil {
				return w.s.Fail(err, "cannot read the catalog")
			}
			versions = slices.Concat(versions, own)
		}
		part, err := catalog.PartOfDocument(versions)
		if err != nil {
			return err
		}
		if err := w.visit(part); err != nil || last {
			return err
		}
	}
}
