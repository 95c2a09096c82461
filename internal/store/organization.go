package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// CreateOrganization adds an organization; an id that is taken is KindConflict.
func (s *Store) CreateOrganization(ctx context.Context, n catalog.NewOrganization, actor string) (catalog.Organization, error) {
	o := catalog.Organization{ID: n.ID, Name: n.Name, CustomerAttribute: n.CustomerAttribute, Created: s.Now()}
	if o.Name == "" {
		o.Name = o.ID
	}
	if o.CustomerAttribute == "" {
		o.CustomerAttribute = catalog.DefaultCustomerAttribute
	}
	if err := errors.Join(o.Validate(), catalog.CheckActor(actor)); err != nil {
		return catalog.Organization{}, err
	}
	err := s.Write(ctx, "create the organization", func(tx *sql.Tx) error {
		return s.insertOrganization(ctx, tx, o, actor)
	})
	if err != nil {
		return catalog.Organization{}, err
	}
	return o, nil
}

func (s *Store) insertOrganization(ctx context.Context, tx *sql.Tx, o catalog.Organization, actor string) error {
	have, err := CountOrganizations(ctx, tx)
	if err != nil {
		return err
	}
	_, err = GetOrganization(ctx, tx, o.ID)
	switch {
	case err == nil:
		return meter.Errorf(meter.KindConflict, "organization %q exists", o.ID)
	case meter.KindOf(err) != meter.KindNotFound:
		return err
	case have >= s.limits.Organizations:
		return meter.Errorf(meter.KindTooLarge, "there are %d organizations, the limit", s.limits.Organizations)
	}
	if _, err := tx.ExecContext(ctx, stmt.OrganizationCreate, o.ID, o.Name, o.CustomerAttribute, Micros(o.Created)); err != nil {
		return err
	}
	return s.Audit(ctx, tx, Entry{Organization: o.ID, Actor: actor, Action: catalog.AuditCreate, Noun: "organization", ID: o.ID, After: o})
}

// CountOrganizations returns how many organizations there are.
func CountOrganizations(ctx context.Context, q Queryer) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, stmt.OrganizationCount).Scan(&n)
	return n, err
}

// InsertDefault adds the first organization, which may report every listing.
func (s *Store) InsertDefault(ctx context.Context, tx *sql.Tx, o catalog.Organization, actor string) error {
	if err := s.insertOrganization(ctx, tx, o, actor); err != nil {
		return err
	}
	return putListings(ctx, tx, o.ID, catalog.AllListings(o.Created))
}

// AllOrganizations returns all organizations by id.
func AllOrganizations(ctx context.Context, q Queryer) ([]catalog.Organization, error) {
	return List(ctx, q, scanOrganization, stmt.OrganizationList, "", math.MaxInt)
}

// UpdateOrganization changes an organization and returns it as it is then. A
// patch that changes nothing leaves no audit entry.
func (s *Store) UpdateOrganization(ctx context.Context, id string, p catalog.OrganizationPatch, actor string) (catalog.Organization, error) {
	var after catalog.Organization
	if err := catalog.CheckActor(actor); err != nil {
		return after, err
	}
	err := s.Write(ctx, "change the organization", func(tx *sql.Tx) error {
		before, err := GetOrganization(ctx, tx, id)
		if err != nil {
			return err
		}
		after = before
		if p.Name != nil {
			after.Name = *p.Name
		}
		if p.CustomerAttribute != nil {
			after.CustomerAttribute = *p.CustomerAttribute
		}
		if after == before {
			return nil
		}
		if err := after.Validate(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.OrganizationUpdate, id, after.Name, after.CustomerAttribute); err != nil {
			return err
		}
		return s.Audit(ctx, tx, Entry{Organization: id, Actor: actor, Action: catalog.AuditUpdate, Noun: "organization", ID: id, Before: before, After: after})
	})
	if err != nil {
		return catalog.Organization{}, err
	}
	return after, nil
}

// AuditTimeAssigned notes a change of an organization's AssignTime, which the log decides on.
func (s *Store) AuditTimeAssigned(ctx context.Context, id string, assigned bool, actor string) error {
	if err := catalog.CheckActor(actor); err != nil {
		return err
	}
	return s.Write(ctx, "note the change of the organization", func(tx *sql.Tx) error {
		before, err := GetOrganization(ctx, tx, id)
		if err != nil {
			return err
		}
		after, was := before, !assigned
		before.AssignTime, after.AssignTime = &was, &assigned
		return s.Audit(ctx, tx, Entry{Organization: id, Actor: actor, Action: catalog.AuditUpdate, Noun: "organization", ID: id, Before: before, After: after})
	})
}

// Organization returns one organization, or KindNotFound.
func (s *Store) Organization(ctx context.Context, id string) (catalog.Organization, error) {
	o, err := GetOrganization(ctx, s.reader, id)
	if err != nil {
		return catalog.Organization{}, s.Fail(err, "cannot read the organization")
	}
	return o, nil
}

// Organizations lists organizations by id.
func (s *Store) Organizations(ctx context.Context, p catalog.Page) (catalog.OrganizationPage, error) {
	limit, err := p.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.OrganizationPage{}, err
	}
	if p.Cursor != "" && !catalog.ValidOrganizationID(p.Cursor) {
		return catalog.OrganizationPage{}, catalog.ErrCursor()
	}
	items, err := List(ctx, s.reader, scanOrganization, stmt.OrganizationList, p.Cursor, limit+1)
	if err != nil {
		return catalog.OrganizationPage{}, s.Fail(err, "cannot list organizations")
	}
	var page catalog.OrganizationPage
	page.Items, page.Next = catalog.Cut(items, limit, func(o catalog.Organization) string { return o.ID })
	return page, nil
}

// GetOrganization returns one organization, or KindNotFound.
func GetOrganization(ctx context.Context, q Queryer, id string) (catalog.Organization, error) {
	o, err := scanOrganization(q.QueryRowContext(ctx, stmt.OrganizationGet, id))
	if errors.Is(err, sql.ErrNoRows) {
		return o, meter.Errorf(meter.KindNotFound, "no organization %q", id)
	}
	return o, err
}

func scanOrganization(r Row) (catalog.Organization, error) {
	var o catalog.Organization
	var created sql.NullInt64
	err := r.Scan(&o.ID, &o.Name, &o.CustomerAttribute, &created)
	o.Created = FromMicros(created)
	return o, err
}
