package metering

import (
	"cmp"
	"context"
	"slices"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// exportsAtOnce bounds the exports under way: each reads from one state of the
// catalog until its last byte is taken, and so holds one of few connections.
const exportsAtOnce = 2

// Export calls do with what walks through all that an organization has, as of
// one instant and a part at a time: catalog.WriteYAML renders it as what Apply
// reproduces exactly, here or in another organization. Keys are no part of it. A
// bound key, which sees one customer only, has no right to it. An organization
// has one export at a time.
func (s *Service) Export(ctx context.Context, p access.Principal, do func(catalog.Walk) error) error {
	if err := p.May(access.ActionRead); err != nil {
		return err
	}
	if p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it is bound to a customer")
	}
	mine, err := s.exports.Take(ctx, p.Organization)
	if err != nil {
		return err
	}
	defer mine()
	select {
	case s.exportRoom <- struct{}{}:
		defer func() { <-s.exportRoom }()
	case <-ctx.Done():
		return meter.WrapError(meter.KindUnavailable, ctx.Err(), "other catalogs were being exported")
	}
	// In turn with changes, of which the ledger's part and the catalog's are two
	// steps, until both states are fixed.
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return err
	}
	defer func() { done() }()
	head := &catalog.Document{Organization: &catalog.OrganizationSettings{}}
	return s.catalog.ExportParts(ctx, p.Organization, func() {
		assigned := s.ledger.TimeAssigned(p.Organization)
		head.Organization.CustomerAttribute, head.Organization.AssignTime = s.customerAttribute(p.Organization), &assigned
		for _, m := range s.ledger.Meters(p.Organization) {
			head.Meters = append(head.Meters, m.Meter)
		}
		slices.SortFunc(head.Meters, func(a, b meter.Meter) int { return cmp.Compare(a.Key, b.Key) })
		done()
		done = func() {}
	}, func(walk catalog.Walk) error {
		return do(func(visit func(*catalog.Document) error) error {
			return walk(func(part *catalog.Document) error {
				if part.Organization != nil { // its copies may be behind
					head.Organization.Name = part.Organization.Name
					first := *head
					part = &first
				}
				return visit(part)
			})
		})
	})
}
