package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"
	"unicode/utf8"

	"odometer/internal/meter"
)

// Limits of an organization's texts, in bytes.
const (
	MaxOrganizationIDBytes    = 64
	MaxNameBytes              = 256
	MaxCustomerAttributeBytes = 256
)

// DefaultOrganization is the id of the organization that a fresh catalogue has.
const DefaultOrganization = "default"

// DefaultCustomerAttribute names the event's subject, which is its customer
// unless the organization says otherwise.
const DefaultCustomerAttribute = "subject"

// Organization is a tenant: the seller to whom everything else belongs.
type Organization struct {
	ID                string `json:"id"`
	Name              string `json:"name"`
	CustomerAttribute string `json:"customer_attribute"` // a copy; the log decides
	// AssignTime says whether events without a time are taken. Only the log has
	// it: the catalogue leaves it nil, and audits its changes.
	AssignTime *bool     `json:"assign_time,omitempty"`
	Created    time.Time `json:"created"`
}

// NewOrganization is what a caller says of an organization to create.
type NewOrganization struct {
	ID                string // 1 to MaxOrganizationIDBytes letters, digits, '.', '_' or '-', the first a letter or digit
	Name              string // "" = the id
	CustomerAttribute string // "" = DefaultCustomerAttribute
	AssignTime        *bool  // nil = true
}

// OrganizationPatch names what to change; nil leaves a field as it is.
type OrganizationPatch struct {
	Name              *string
	CustomerAttribute *string
	AssignTime        *bool
}

// OrganizationPage is a part of the list of organizations, by id.
type OrganizationPage struct {
	Items []Organization
	Next  string // Page.Cursor of what follows; "" at the end
}

// CreateOrganization adds an organization; an id that is taken is KindConflict.
func (s *Store) CreateOrganization(ctx context.Context, n NewOrganization, actor string) (Organization, error) {
	o := Organization{ID: n.ID, Name: n.Name, CustomerAttribute: n.CustomerAttribute, Created: s.now()}
	if o.Name == "" {
		o.Name = o.ID
	}
	if o.CustomerAttribute == "" {
		o.CustomerAttribute = DefaultCustomerAttribute
	}
	if err := errors.Join(o.validate(), checkActor(actor)); err != nil {
		return Organization{}, err
	}
	err := s.write(ctx, "create the organization", func(tx *sql.Tx) error {
		return s.insertOrganization(ctx, tx, o, actor)
	})
	if err != nil {
		return Organization{}, err
	}
	return o, nil
}

func (s *Store) insertOrganization(ctx context.Context, tx *sql.Tx, o Organization, actor string) error {
	var have int
	if err := tx.QueryRowContext(ctx, stmt.OrganizationCount).Scan(&have); err != nil {
		return err
	}
	_, err := getOrganization(ctx, tx, o.ID)
	switch {
	case err == nil:
		return meter.Errorf(meter.KindConflict, "organization %q exists", o.ID)
	case meter.KindOf(err) != meter.KindNotFound:
		return err
	case have >= s.limits.Organizations:
		return meter.Errorf(meter.KindTooLarge, "there are %d organizations, the limit", s.limits.Organizations)
	}
	if _, err := tx.ExecContext(ctx, stmt.OrganizationCreate, o.ID, o.Name, o.CustomerAttribute, micros(o.Created)); err != nil {
		return err
	}
	return s.audit(ctx, tx, change{organization: o.ID, actor: actor, action: AuditCreate, noun: "organization", id: o.ID, after: o})
}

// UpdateOrganization changes an organization and returns it as it is then. A
// patch that changes nothing leaves no audit entry.
func (s *Store) UpdateOrganization(ctx context.Context, id string, p OrganizationPatch, actor string) (Organization, error) {
	var after Organization
	if err := checkActor(actor); err != nil {
		return after, err
	}
	err := s.write(ctx, "change the organization", func(tx *sql.Tx) error {
		before, err := getOrganization(ctx, tx, id)
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
		if err := after.validate(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.OrganizationUpdate, id, after.Name, after.CustomerAttribute); err != nil {
			return err
		}
		return s.audit(ctx, tx, change{organization: id, actor: actor, action: AuditUpdate, noun: "organization", id: id, before: before, after: after})
	})
	if err != nil {
		return Organization{}, err
	}
	return after, nil
}

// AuditTimeAssigned notes a change of an organization's AssignTime, which the log decides on.
func (s *Store) AuditTimeAssigned(ctx context.Context, id string, assigned bool, actor string) error {
	if err := checkActor(actor); err != nil {
		return err
	}
	return s.write(ctx, "note the change of the organization", func(tx *sql.Tx) error {
		before, err := getOrganization(ctx, tx, id)
		if err != nil {
			return err
		}
		after, was := before, !assigned
		before.AssignTime, after.AssignTime = &was, &assigned
		return s.audit(ctx, tx, change{organization: id, actor: actor, action: AuditUpdate, noun: "organization", id: id, before: before, after: after})
	})
}

// Organization returns one organization, or KindNotFound.
func (s *Store) Organization(ctx context.Context, id string) (Organization, error) {
	o, err := getOrganization(ctx, s.reader, id)
	if err != nil {
		return Organization{}, s.fail(err, "cannot read the organization")
	}
	return o, nil
}

// Organizations lists organizations by id.
func (s *Store) Organizations(ctx context.Context, p Page) (OrganizationPage, error) {
	limit, err := p.limit(s.limits.PageSize)
	if err != nil {
		return OrganizationPage{}, err
	}
	if p.Cursor != "" && !validOrganizationID(p.Cursor) {
		return OrganizationPage{}, errCursor()
	}
	items, err := list(ctx, s.reader, scanOrganization, stmt.OrganizationList, p.Cursor, limit+1)
	if err != nil {
		return OrganizationPage{}, s.fail(err, "cannot list organizations")
	}
	var page OrganizationPage
	page.Items, page.Next = cut(items, limit, func(o Organization) string { return o.ID })
	return page, nil
}

func (o Organization) validate() error {
	switch {
	case !validOrganizationID(o.ID):
		return meter.Errorf(meter.KindInvalid,
			"an organization's id is 1 to %d letters, digits, '.', '_' or '-', the first a letter or digit", MaxOrganizationIDBytes)
	case !validText(o.Name, MaxNameBytes):
		return meter.Errorf(meter.KindInvalid, "an organization's name is 1 to %d bytes of UTF-8 without control characters", MaxNameBytes)
	case !validText(o.CustomerAttribute, MaxCustomerAttributeBytes):
		return meter.Errorf(meter.KindInvalid, "customer_attribute is 1 to %d bytes of UTF-8 without control characters", MaxCustomerAttributeBytes)
	}
	return nil
}

func validOrganizationID(id string) bool {
	for i := range len(id) {
		c := id[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return id != "" && len(id) <= MaxOrganizationIDBytes
}

// validText says whether a text is printable and 1 to most bytes long.
func validText(s string, most int) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= most && utf8.ValidString(s)
}

func getOrganization(ctx context.Context, q queryer, id string) (Organization, error) {
	o, err := scanOrganization(q.QueryRowContext(ctx, stmt.OrganizationGet, id))
	if errors.Is(err, sql.ErrNoRows) {
		return o, meter.Errorf(meter.KindNotFound, "no organization %q", id)
	}
	return o, err
}

func scanOrganization(r row) (Organization, error) {
	var o Organization
	var created sql.NullInt64
	err := r.Scan(&o.ID, &o.Name, &o.CustomerAttribute, &created)
	o.Created = fromMicros(created)
	return o, err
}
