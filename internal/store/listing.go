package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"odometer/internal/catalog"
)

// Listings returns what an organization may report, by partner and listing.
func (s *Store) Listings(ctx context.Context, organization string) ([]catalog.Listing, error) {
	if _, err := GetOrganization(ctx, s.reader, organization); err != nil {
		return nil, s.Fail(err, "cannot read the listings")
	}
	all, err := List(ctx, s.reader, scanListing, stmt.ListingList, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot read the listings")
	}
	return all, nil
}

func scanListing(r Row) (catalog.Listing, error) {
	var l catalog.Listing
	var created sql.NullInt64
	err := r.Scan(&l.Partner, &l.Listing, &created)
	l.Created = FromMicros(created)
	return l, err
}

// SetListings makes listings all that an organization may report, and returns
// them. Those that it had keep their time.
func (s *Store) SetListings(ctx context.Context, organization string, listings []catalog.Listing, actor string) ([]catalog.Listing, error) {
	listings, err := catalog.CheckListings(listings)
	if err := errors.Join(err, catalog.CheckActor(actor)); err != nil {
		return nil, err
	}
	err = s.Write(ctx, "change the listings", func(tx *sql.Tx) error {
		if _, err := GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		had, err := List(ctx, tx, scanListing, stmt.ListingList, organization)
		if err != nil {
			return err
		}
		created := map[[2]string]time.Time{}
		for _, l := range had {
			created[[2]string{l.Partner, l.Listing}] = l.Created
		}
		for i := range listings {
			l := &listings[i]
			if l.Created = created[[2]string{l.Partner, l.Listing}]; l.Created.IsZero() {
				l.Created = s.Now()
			}
		}
		if slices.Equal(had, listings) {
			return nil
		}
		if err := putListings(ctx, tx, organization, listings); err != nil {
			return err
		}
		return s.Audit(ctx, tx, Entry{Organization: organization, Actor: actor, Action: catalog.AuditUpdate, Noun: "listings", ID: organization, Before: had, After: listings})
	})
	return listings, err
}

func putListings(ctx context.Context, tx *sql.Tx, organization string, listings []catalog.Listing) error {
	if _, err := tx.ExecContext(ctx, stmt.ListingClear, organization); err != nil {
		return err
	}
	for _, l := range listings {
		if _, err := tx.ExecContext(ctx, stmt.ListingCreate, organization, l.Partner, l.Listing, Micros(l.Created)); err != nil {
			return err
		}
	}
	return nil
}

// MayReport says whether an operator lets an organization report a listing: it
// was given by name, or everything was and no other organization was given this
// one by name.
func (s *Store) MayReport(ctx context.Context, organization, partner, listing string) (bool, error) {
	may, err := mayReport(ctx, s.reader, organization, partner, listing)
	if err != nil {
		return false, s.Fail(err, "cannot read the listings")
	}
	return may, nil
}

func mayReport(ctx context.Context, q Queryer, organization, partner, listing string) (bool, error) {
	type holder struct{ organization, listing string }
	holders, err := List(ctx, q, func(r Row) (holder, error) {
		var h holder
		return h, r.Scan(&h.organization, &h.listing)
	}, stmt.ListingHolders, partner, listing, organization)
	if err != nil {
		return false, err
	}
	named := slices.ContainsFunc(holders, func(h holder) bool { return h.listing != catalog.AnyListing })
	return slices.ContainsFunc(holders, func(h holder) bool {
		return h.organization == organization && (h.listing != catalog.AnyListing || !named)
	}), nil
}
