package metering

import (
	"context"
	"odometer/internal/access"
	"odometer/internal/store/keys"
	"strings"
	"time"
	"unicode/utf8"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// NewKey is what a caller says of a key to create.
type NewKey struct {
	Role       string
	Kind       string    // "" = token
	Customer   string    // binds it to one customer; "" = all
	Accounts   []string  // account ids that it may switch to
	DefaultAID string    // account group of a request that names none
	Sources    []string  // how the sources of its events begin; none = any. Only of an ingest key that is bound
	Strict     bool      // any event that is refused makes its answer an error
	Expires    time.Time // zero = never
	Operator   bool      // with the operator right, which only an operator gives
}

// KeyKindEdgeGrid is the NewKey.Kind of what CreateEdgeGridKey creates.
const KeyKindEdgeGrid = string(access.KindEdgeGrid)

// in is the key as one of the principal's organization.
func (n NewKey) in(p access.Principal) (access.NewKey, error) {
	role, err := access.ParseRole(n.Role)
	switch {
	case n.Operator && !p.Operator:
		return access.NewKey{}, meter.Errorf(meter.KindForbidden, "only a key with the operator right may create one that has it")
	case n.Operator && p.Organization != catalog.DefaultOrganization:
		return access.NewKey{}, meter.Errorf(meter.KindInvalid, "keys with the operator right are those of organization %s", catalog.DefaultOrganization)
	}
	return access.NewKey{Operator: n.Operator, Organization: p.Organization, Role: role, Kind: access.KeyKind(n.Kind), Customer: n.Customer,
		Accounts: n.Accounts, DefaultAID: n.DefaultAID, Sources: n.Sources, Strict: n.Strict, Expires: n.Expires}, err
}

// Keys lists the organization's keys, the oldest first.
func (s *Service) Keys(ctx context.Context, p access.Principal, page catalog.Page) (keys.KeyPage, error) {
	if err := p.May(access.ActionManage); err != nil {
		return keys.KeyPage{}, err
	}
	return s.keys.Keys(ctx, p.Organization, page)
}

// CreateKey adds a bearer token's key to the organization and returns it with
// its token, which cannot be had again.
func (s *Service) CreateKey(ctx context.Context, p access.Principal, n NewKey) (access.Key, string, error) {
	if err := p.May(access.ActionManage); err != nil {
		return access.Key{}, "", err
	}
	key, err := n.in(p)
	if err != nil {
		return access.Key{}, "", err
	}
	return s.keys.CreateKey(ctx, key, p.Actor())
}

// RevokeKey ends a key of the organization at once; force also one without
// which nobody could make another. One with the operator right is an operator's to revoke.
func (s *Service) RevokeKey(ctx context.Context, p access.Principal, id string, force bool) error {
	if err := p.May(access.ActionManage); err != nil {
		return err
	}
	_, err := s.keys.RevokeKey(ctx, p.Organization, id, keys.Revocation{Actor: p.Actor(), Operator: p.Operator, Force: force})
	return err
}

// Organizations lists all organizations to an operator, to others their own.
func (s *Service) Organizations(ctx context.Context, p access.Principal, page catalog.Page) (catalog.OrganizationPage, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.OrganizationPage{}, err
	}
	if p.Operator {
		found, err := s.catalog.Organizations(ctx, page)
		for i := range found.Items {
			found.Items[i] = s.asCounted(found.Items[i])
		}
		return found, err
	}
	o, err := s.catalog.Organization(ctx, p.Organization)
	return catalog.OrganizationPage{Items: []catalog.Organization{s.asCounted(o)}}, err
}

// asCounted puts the ledger's customer attribute in the place of the
// catalog's copy, which a crash between the two leaves behind.
func (s *Service) asCounted(o catalog.Organization) catalog.Organization {
	o.CustomerAttribute = s.customerAttribute(o.ID)
	assigned := s.ledger.TimeAssigned(o.ID)
	o.AssignTime = &assigned
	return o
}

// customerAttribute is the attribute that holds the customer of an organization's events.
func (s *Service) customerAttribute(organization string) string {
	if attr := s.ledger.CustomerAttribute(organization); attr != "" {
		return attr
	}
	return catalog.DefaultCustomerAttribute
}

// Organization returns one organization. One that the principal may not see
// is KindNotFound, like one that does not exist.
func (s *Service) Organization(ctx context.Context, p access.Principal, id string) (catalog.Organization, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.Organization{}, err
	}
	if !p.Operator && id != p.Organization {
		return catalog.Organization{}, meter.Errorf(meter.KindNotFound, "no organization %q", id)
	}
	o, err := s.catalog.Organization(ctx, id)
	return s.asCounted(o), err
}

// CreateOrganization adds an organization; only an operator may.
func (s *Service) CreateOrganization(ctx context.Context, p access.Principal, n catalog.NewOrganization) (catalog.Organization, error) {
	if err := p.MayOperate(); err != nil {
		return catalog.Organization{}, err
	}
	attr := n.CustomerAttribute
	if attr == "" {
		attr = catalog.DefaultCustomerAttribute
	}
	if err := checkAttribute(attr); err != nil {
		return catalog.Organization{}, err
	}
	// The log takes the setting only once the id is known to be new.
	n.CustomerAttribute = ""
	o, err := s.catalog.CreateOrganization(ctx, n, p.Actor())
	if err != nil {
		return o, err
	}
	patch := catalog.OrganizationPatch{AssignTime: n.AssignTime}
	if attr != o.CustomerAttribute {
		patch.CustomerAttribute = &attr
	}
	p.Organization = o.ID
	return s.UpdateOrganization(ctx, p, o.ID, patch)
}

// UpdateOrganization changes an organization's name, which attribute holds the
// customer of events that are sent from then on, or whether they need a time.
func (s *Service) UpdateOrganization(ctx context.Context, p access.Principal, id string, patch catalog.OrganizationPatch) (catalog.Organization, error) {
	o, err := s.Organization(ctx, p, id)
	if err != nil {
		return catalog.Organization{}, err
	}
	attr := patch.CustomerAttribute
	if attr != nil {
		if err := checkAttribute(*attr); err != nil {
			return catalog.Organization{}, err
		}
	}
	done, err := s.changes.Take(ctx, id)
	if err != nil {
		return catalog.Organization{}, err
	}
	defer done()
	if patch.Name != nil { // the catalog's alone, and may be refused
		if o, err = s.catalog.UpdateOrganization(ctx, id, catalog.OrganizationPatch{Name: patch.Name}, p.Actor()); err != nil {
			return catalog.Organization{}, err
		}
	}
	if patch.AssignTime != nil {
		if err := s.assignTime(ctx, p, id, *patch.AssignTime); err != nil {
			return catalog.Organization{}, err
		}
	}
	if attr == nil {
		return s.asCounted(o), nil
	}
	if err := s.ledger.SetCustomerAttribute(ctx, id, *attr, p.Actor()); err != nil {
		return catalog.Organization{}, err
	}
	o, err = s.catalog.UpdateOrganization(context.WithoutCancel(ctx), id, catalog.OrganizationPatch{CustomerAttribute: attr}, p.Actor())
	return s.asCounted(o), err
}

// assignTime sets whether an organization's events without a time are taken.
func (s *Service) assignTime(ctx context.Context, p access.Principal, id string, assigned bool) error {
	if assigned == s.ledger.TimeAssigned(id) {
		return nil
	}
	if err := s.ledger.SetTimeAssigned(ctx, id, assigned, p.Actor()); err != nil {
		return err
	}
	return s.catalog.AuditTimeAssigned(context.WithoutCancel(ctx), id, assigned, p.Actor())
}

// Listings returns what an organization may report to marketplaces. One that
// the principal may not see is KindNotFound.
func (s *Service) Listings(ctx context.Context, p access.Principal, organization string) ([]catalog.Listing, error) {
	if _, err := s.Organization(ctx, p, organization); err != nil {
		return nil, err
	}
	return s.catalog.Listings(ctx, organization)
}

// SetListings makes listings all that an organization may report; only an operator may.
func (s *Service) SetListings(ctx context.Context, p access.Principal, organization string, listings []catalog.Listing) ([]catalog.Listing, error) {
	if err := p.MayOperate(); err != nil {
		return nil, err
	}
	return s.catalog.SetListings(ctx, organization, listings, p.Actor())
}

// checkAttribute judges what the log would take as it is.
func checkAttribute(attr string) error {
	unprintable := func(r rune) bool { return r < ' ' || r == 0x7f }
	if attr == "" || len(attr) > catalog.MaxCustomerAttributeBytes || !utf8.ValidString(attr) || strings.ContainsFunc(attr, unprintable) {
		return meter.Errorf(meter.KindInvalid, "customer_attribute is 1 to %d bytes of UTF-8 without control characters; %q is the event's subject",
			catalog.MaxCustomerAttributeBytes, catalog.DefaultCustomerAttribute)
	}
	return nil
}

// AuditEntries lists the changes in the organization, the newest first.
func (s *Service) AuditEntries(ctx context.Context, p access.Principal, page catalog.Page) (catalog.AuditPage, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.AuditPage{}, err
	}
	return s.catalog.AuditEntries(ctx, p.Organization, page)
}
