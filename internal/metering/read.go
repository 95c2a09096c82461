package metering

import (
	"context"
	"odometer/internal/access"
	"slices"

	"odometer/internal/meter"
)

// Usage answers one meter's usage. Organization and Customer of q are the
// principal's, whatever q says. Its sequence is the organization's number of
// the last entry that reached the asked months, so that it changes by nothing
// but the organization's own usage.
func (s *Service) Usage(ctx context.Context, p access.Principal, q meter.UsageQuery) (*meter.Usage, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	if len(q.GroupBy) > s.limits.GroupBy {
		return nil, meter.Errorf(meter.KindInvalid, "group_by names %d attributes (limit %d)", len(q.GroupBy), s.limits.GroupBy)
	}
	texts := 0
	for _, f := range q.Filters {
		texts += len(f.Values)
	}
	if texts > s.limits.FilterTexts {
		return nil, meter.Errorf(meter.KindInvalid, "filters name %d values (limit %d)", texts, s.limits.FilterTexts)
	}
	if p.Customer != "" {
		if _, err := s.Meter(ctx, p, q.Meter); err != nil {
			return nil, err
		}
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return nil, err
	}
	defer turn.Done()
	q.Organization, q.Customer = p.Organization, p.Bound()
	u, err := s.ledger.Usage(ctx, q)
	if err != nil {
		return nil, turn.Because(ctx, err)
	}
	placed := *u // the ledger may keep its answer
	placed.Sequence = s.placed(p, min(u.Sequence, s.ledger.Reached(q.Organization, q.From, q.To)))
	return &placed, nil
}

// Events lists stored events in order of their sequence. Organization and
// Customer of q are the principal's, whatever q says.
func (s *Service) Events(ctx context.Context, p access.Principal, q meter.EventsQuery) (meter.EventsPage, error) {
	if err := p.May(access.ActionRead); err != nil {
		return meter.EventsPage{}, err
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return meter.EventsPage{}, err
	}
	defer turn.Done()
	q.Organization, q.Customer = p.Organization, p.Bound()
	places := s.placesOf(p.Organization)
	if q.Cursor, err = places.open(q.Cursor); err != nil {
		return meter.EventsPage{}, err
	}
	page, err := s.ledger.Events(ctx, q)
	if err != nil {
		return meter.EventsPage{}, turn.Because(ctx, err)
	}
	for i := range page.Events {
		s.seenEvent(p, &page.Events[i])
	}
	page.NextCursor, err = places.seal(page.NextCursor)
	return page, err
}

// Lookup returns what is known of one identity, KindNotFound if that is
// nothing, or nothing that the principal may see.
func (s *Service) Lookup(ctx context.Context, p access.Principal, source, id string) (meter.LookupResult, error) {
	if err := p.May(access.ActionRead); err != nil {
		return meter.LookupResult{}, err
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return meter.LookupResult{}, err
	}
	defer turn.Done()
	r, err := s.ledger.Lookup(ctx, p.Organization, source, id)
	if err == nil && p.Customer != "" {
		if r.Event.Customer != p.Customer {
			err = meter.Errorf(meter.KindNotFound, "")
		}
		r.Conflicts = slices.DeleteFunc(r.Conflicts, func(c meter.EventRecord) bool { return c.Customer != p.Customer })
	}
	if meter.KindOf(err) == meter.KindNotFound && err != nil { // one wording for unknown and unseen
		return meter.LookupResult{}, meter.Errorf(meter.KindNotFound, "no event with this source and id")
	}
	if err != nil {
		return meter.LookupResult{}, turn.Because(ctx, err)
	}
	s.seenEvent(p, &r.Event)
	for i := range r.Conflicts {
		s.seenEvent(p, &r.Conflicts[i])
	}
	return r, nil
}
