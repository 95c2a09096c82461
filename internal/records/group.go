package records

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"odometer/internal/access"
	"odometer/internal/billing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

const (
	// maxUsageAhead is how far ahead the time of reported usage may lie.
	maxUsageAhead = 5 * time.Minute
	// groupSource is RecordGroup.Source of what is reported through an API.
	groupSource = "API"
)

// NewRecordGroup is usage to be reported against an entitlement: records by
// dimension or by a source that is mapped to one, or records of billable metrics.
type NewRecordGroup struct {
	ID          string // "" = one that is made here
	Entitlement string
	Buyer       string // this and the next two: "" = the entitlement's, which is all that they may be
	Partner     string
	Product     string
	Records     map[string]meter.Decimal
	Billable    []billing.BillableRecord
	Time        time.Time // of the usage; zero = now
}

// ReportGroup accepts one usage record group. An id that was ever used is
// KindConflict, whatever it was used for; ids are those of the principal's
// binding, so that one customer's reporter takes none of another's, and of the entitlement. When it returns without an error the
// group is durable, and its events are in the ledger or are posted as soon as
// the ledger takes them.
//
// With an idempotency key that was used before for the same request it returns
// the group accepted then, as it is now.
func (s *Service) ReportGroup(ctx context.Context, p access.Principal, n NewRecordGroup, once Idempotency) (billing.RecordGroup, error) {
	if err := s.unusedGroupIDs(ctx, p, []NewRecordGroup{n}, once); err != nil {
		return billing.RecordGroup{}, err
	}
	checked, _, err := s.checkGroups(ctx, p, []NewRecordGroup{n})
	if err != nil {
		return billing.RecordGroup{}, err
	}
	made, err := s.acceptGroups(ctx, p, checked, once.of(p, "record_group"))
	if err != nil {
		return billing.RecordGroup{}, sealConflict(p, err)
	}
	return made[0], nil
}

// unusedGroupIDs refuses ids that were used, and one that is given twice. What
// an idempotency key stands for is the store's to say: its request may have
// used the ids itself.
func (s *Service) unusedGroupIDs(ctx context.Context, p access.Principal, groups []NewRecordGroup, once Idempotency) error {
	seen := make(map[string]int, len(groups))
	for i, n := range groups {
		if first, twice := seen[n.ID]; twice && n.ID != "" {
			return meter.Errorf(meter.KindConflict, "usage record group %d: its id %q is also that of usage record group %d", i, meter.Clip(n.ID), first)
		}
		seen[n.ID] = i
		if once.Key != "" {
			continue
		}
		if err := s.unusedGroupID(ctx, p, n.ID); err != nil && len(groups) > 1 {
			return inGroup(i, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// unusedGroupID refuses an id that was used, before anything else is looked at:
// who sends a group again is told so, also where it would be refused today. Of
// concurrent requests the store decides.
func (s *Service) unusedGroupID(ctx context.Context, p access.Principal, id string) error {
	if err := p.May(access.ActionReport); err != nil || id == "" {
		return err
	}
	g, err := s.groups.NamedGroup(ctx, p.Organization, p.Customer, id)
	switch {
	case err == nil && p.Customer == "" && g.ID != id: // a customer's own: the store decides by the entitlement
		return nil
	case err == nil:
		return sealConflict(p, meter.Errorf(meter.KindConflict, "usage record group %q exists already, its status is %s", meter.Clip(g.Name), g.Status))
	case meter.KindOf(err) == meter.KindNotFound, meter.KindOf(err) == meter.KindConflict: // other customers' own
		return nil
	}
	return err
}

// sealConflict keeps from a bound key what became of a group that may be
// another customer's.
func sealConflict(p access.Principal, err error) error {
	if p.Customer != "" && meter.KindOf(err) == meter.KindConflict && !errors.Is(err, billing.ErrKeyReused) {
		return meter.Errorf(meter.KindConflict, "there is a usage record group of this id already")
	}
	return err
}

// ReportGroups accepts usage record groups in one step, in order; if one is
// refused none is stored. An id that was ever used, or is given twice, is
// KindConflict. With an idempotency key that was used before for the
// same request it returns the groups accepted then, as they are now.
func (s *Service) ReportGroups(ctx context.Context, p access.Principal, groups []NewRecordGroup, once Idempotency) ([]billing.RecordGroup, error) {
	if err := s.unusedGroupIDs(ctx, p, groups, once); err != nil {
		return nil, err
	}
	checked, at, err := s.checkGroups(ctx, p, groups)
	if err != nil {
		return nil, inGroup(at, err)
	}
	made, err := s.acceptGroups(ctx, p, checked, once.of(p, "record_groups"))
	return made, sealConflict(p, err)
}

// ValidateGroups checks groups as ReportGroups does, one by one, and stores
// nothing. It reports the first that would be refused, or accepted as INVALID.
func (s *Service) ValidateGroups(ctx context.Context, p access.Principal, groups []NewRecordGroup) error {
	if err := s.unusedGroupIDs(ctx, p, groups, Idempotency{}); err != nil {
		return err
	}
	checked, at, err := s.checkGroups(ctx, p, groups)
	if err != nil {
		return inGroup(at, err)
	}
	s.ledger.Discard(checked.events)
	for i, g := range checked.groups {
		if g.Status == billing.GroupInvalid {
			return inGroup(i, meter.Errorf(meter.KindInvalid, "%s", g.Message))
		}
	}
	return nil
}

// Idempotency is a caller's key that makes a request safe to send again.
type Idempotency struct {
	Key     string // "" = none
	Request string // a hash of the request; another one under the same key is KindConflict
}

// of is the key as one of an operation and of the principal's binding: what
// one customer's key was used for has nothing to do with another's.
func (i Idempotency) of(p access.Principal, operation string) billing.Idempotency {
	if i.Key == "" {
		return billing.Idempotency{}
	}
	return billing.Idempotency{Scope: operation, Customer: p.Customer, Key: i.Key, Request: i.Request}
}

// checkedGroups are groups that may be stored, with their events staged.
type checkedGroups struct {
	groups []billing.RecordGroup
	events *block.Builder
}

// acceptGroups stores groups, and then posts their events.
func (s *Service) acceptGroups(ctx context.Context, p access.Principal, c checkedGroups, once billing.Idempotency) ([]billing.RecordGroup, error) {
	made, repeated, err := s.groups.CreateRecordGroups(ctx, p.Organization, c.groups, once)
	if err != nil {
		s.ledger.Discard(c.events)
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // accepted is accepted
	if repeated {
		s.ledger.Discard(c.events)
		for i := range made {
			s.postOrLater(ctx, billing.OwnedGroup{Organization: p.Organization, RecordGroup: made[i]})
		}
		return made, nil
	}
	if err := s.appendEvents(ctx, c.events); err != nil {
		s.later(p.Organization, err)
		return made, nil
	}
	if err := s.notePosted(ctx, postedRange{p.Organization, made[0].Serial, made[len(made)-1].Serial}); err != nil {
		s.later(p.Organization, err)
	}
	return made, nil
}

// RecordGroups lists groups, the newest first, from offset on.
func (s *Service) RecordGroups(ctx context.Context, p access.Principal, f billing.RecordGroupFilter, offset, limit int) (billing.RecordGroupPage, error) {
	if err := p.May(access.ActionReport); err != nil {
		return billing.RecordGroupPage{}, err
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return billing.RecordGroupPage{}, err
	}
	defer turn.Done()
	f.Customer = p.Customer
	page, err := s.groups.RecordGroups(ctx, p.Organization, f, offset, limit)
	return page, turn.Because(ctx, err)
}

// DeleteGroup deletes a group that no report has claimed and takes its events
// out of every figure. One that is deleted already is answered as it is. If
// created is not zero, a group that was not created on that day in UTC is KindNotFound.
func (s *Service) DeleteGroup(ctx context.Context, p access.Principal, id string, created time.Time) (billing.RecordGroup, error) {
	g, err := s.seenGroup(ctx, p, id, created)
	if err != nil {
		return billing.RecordGroup{}, err
	}
	// Its void must go to the ledger: what cannot be taken out of the figures is not called deleted.
	if err := s.ledger.Accepting(p.Organization); err != nil {
		return billing.RecordGroup{}, err
	}
	g, err = s.groups.DeleteRecordGroup(ctx, p.Organization, g.ID, p.Actor())
	if err != nil {
		return billing.RecordGroup{}, err
	}
	s.postOrLater(context.WithoutCancel(ctx), billing.OwnedGroup{Organization: p.Organization, RecordGroup: g})
	return g, nil
}

// RetryGroup lets the next report claim a group that a marketplace refused;
// what it accepted of the group is not sent again. created is as in DeleteGroup.
func (s *Service) RetryGroup(ctx context.Context, p access.Principal, id string, created time.Time) (billing.RecordGroup, error) {
	g, err := s.seenGroup(ctx, p, id, created)
	if err != nil {
		return billing.RecordGroup{}, err
	}
	return s.groups.RetryRecordGroup(ctx, p.Organization, g.ID, p.Actor())
}

// seenGroup returns the group that the principal calls id; KindNotFound for
// one that it does not see.
func (s *Service) seenGroup(ctx context.Context, p access.Principal, id string, created time.Time) (billing.RecordGroup, error) {
	if err := p.May(access.ActionReport); err != nil {
		return billing.RecordGroup{}, err
	}
	g, err := s.groups.NamedGroup(ctx, p.Organization, p.Customer, id)
	if err != nil {
		return billing.RecordGroup{}, err
	}
	if p.Customer != "" && g.Customer != p.Customer {
		return billing.RecordGroup{}, meter.Errorf(meter.KindNotFound, "no usage record group %q", meter.Clip(id))
	}
	if !created.IsZero() && !g.Created.Truncate(24*time.Hour).Equal(created) {
		return billing.RecordGroup{}, meter.Errorf(meter.KindNotFound, "no usage record group %q was created on %s", meter.Clip(id), created.Format(time.DateOnly))
	}
	return g, nil
}

// inGroup says which group of a request an error is about; at is -1 for all.
func inGroup(at int, err error) error {
	if at < 0 {
		return err
	}
	return meter.Errorf(meter.KindOf(err), "usage record group %d: %s", at, meter.MessageOf(err))
}

// newUUID is a random UUID, version 4.
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	text := hex.EncodeToString(u[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
