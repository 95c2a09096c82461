package metering

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"math/bits"
	"odometer/internal/access"
	"odometer/internal/store"
	"slices"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Meters lists the organization's meters in order of their definition; to a
// bound key those that its customer may know of.
func (s *Service) Meters(ctx context.Context, p access.Principal) ([]meter.MeterState, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	list := s.ledger.Meters(p.Organization)
	seen, err := s.SeenMeters(ctx, p)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(m meter.MeterState) bool { return !seen(m.Meter) })
	for i := range list {
		list[i] = s.seenMeter(p, list[i])
	}
	return list, nil
}

// Definitions are all meters of the principal's organization, for a surface to
// make figures of.
func (s *Service) Definitions(p access.Principal) ([]meter.Meter, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	var out []meter.Meter
	for _, m := range s.ledger.Meters(p.Organization) {
		out = append(out, m.Meter)
	}
	return out, nil
}

// MeterOf returns a meter's definition; false if there is none.
func (s *Service) MeterOf(organization, key string) (meter.Meter, bool) {
	state, ok := s.ledger.Meter(organization, key)
	return state.Meter, ok
}

// Meter returns one meter. One that a bound key may not see is KindNotFound,
// like one that does not exist.
func (s *Service) Meter(ctx context.Context, p access.Principal, key string) (meter.MeterState, error) {
	if err := p.May(access.ActionRead); err != nil {
		return meter.MeterState{}, err
	}
	m, ok := s.ledger.Meter(p.Organization, key)
	if ok {
		seen, err := s.SeenMeters(ctx, p)
		if err != nil {
			return meter.MeterState{}, err
		}
		ok = seen(m.Meter)
	}
	if !ok {
		return meter.MeterState{}, errNoMeter(key)
	}
	return s.seenMeter(p, m), nil
}

// SeenMeters says which meters the principal may know of. A bound key knows of
// none that counts only other customers, and of none that the catalog names
// for other customers only.
func (s *Service) SeenMeters(ctx context.Context, p access.Principal) (func(meter.Meter) bool, error) {
	if p.Customer == "" {
		return func(meter.Meter) bool { return true }, nil
	}
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.OfCustomers(p.Customer))
	if err != nil {
		return nil, err
	}
	return func(m meter.Meter) bool { return mayCount(m, p.Customer) && view.MeterSeenBy(p.Customer, m.Key) }, nil
}

// mayCount says whether a meter's filters leave anything of a customer.
func mayCount(m meter.Meter, customer string) bool {
	for _, alternatives := range m.Filters {
		none := true
		for _, f := range alternatives {
			if f.Attribute != meter.CustomerAttribute || f.Match(meter.StringValue(customer)) {
				none = false
			}
		}
		if none && len(alternatives) > 0 {
			return false
		}
	}
	return true
}

// backfillParts is how finely an answer tells a backfill's progress.
const backfillParts = 10_000

// seenMeter is a meter as it is answered: without places in the log, and to a
// bound key without what it tells of all customers together.
func (s *Service) seenMeter(p access.Principal, m meter.MeterState) meter.MeterState {
	m.CreatedSequence = s.placed(p, m.CreatedSequence)
	b := &m.Backfill
	switch cursor, target := min(b.Cursor, b.Target), b.Target; {
	case b.Done || target == 0:
		b.Cursor = backfillParts
	default:
		hi, lo := bits.Mul64(cursor, backfillParts)
		b.Cursor, _ = bits.Div64(hi, lo, target)
		b.Cursor = min(b.Cursor, backfillParts-1)
	}
	b.Target = backfillParts
	if p.Customer != "" {
		m.Skipped, m.Groups = 0, 0
	}
	return m
}

func errNoMeter(key string) error {
	return meter.Errorf(meter.KindNotFound, "there is no meter %q", key)
}

// CreateMeter defines a meter; created is false when it was there already
// with the same definition. Another definition is KindConflict.
func (s *Service) CreateMeter(ctx context.Context, p access.Principal, m meter.Meter) (state meter.MeterState, created bool, err error) {
	if err := p.May(access.ActionManage); err != nil {
		return meter.MeterState{}, false, err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return meter.MeterState{}, false, err
	}
	defer done()
	if state, created, err = s.DefineMeter(ctx, p, m); err != nil {
		return meter.MeterState{}, false, err
	}
	return s.seenMeter(p, state), created, nil
}

// ChangeMeters waits for the organization's turn to change meters, for another
// room whose own things meters stand for; done gives it back.
func (s *Service) ChangeMeters(ctx context.Context, organization string) (done func(), err error) {
	return s.changes.Take(ctx, organization)
}

// DefineMeter creates a meter, as CreateMeter does, for whoever may. Caller has
// checked the principal's rights and has the organization's turn.
func (s *Service) DefineMeter(ctx context.Context, p access.Principal, m meter.Meter) (state meter.MeterState, created bool, err error) {
	_, had := s.ledger.Meter(p.Organization, m.Key)
	state, err = s.ledger.CreateMeter(ctx, p.Organization, m, p.Actor())
	if err != nil {
		return meter.MeterState{}, false, err
	}
	if !had {
		s.copyMeter(ctx, p, state)
	}
	return state, !had, nil
}

// UpdateMeter changes name, description, unit or status.
func (s *Service) UpdateMeter(ctx context.Context, p access.Principal, key string, patch meter.MeterPatch) (meter.MeterState, error) {
	if err := p.May(access.ActionManage); err != nil {
		return meter.MeterState{}, err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return meter.MeterState{}, err
	}
	defer done()
	state, err := s.AmendMeter(ctx, p, key, patch)
	return s.seenMeter(p, state), err
}

// AmendMeter changes a meter, also one that another room owns. Caller has
// checked the principal's rights and has the organization's turn.
func (s *Service) AmendMeter(ctx context.Context, p access.Principal, key string, patch meter.MeterPatch) (meter.MeterState, error) {
	owned, err := s.owner.CheckMeterPatch(ctx, p.Organization, key, patch)
	if err != nil {
		return meter.MeterState{}, err
	}
	state, err := s.ledger.UpdateMeter(ctx, p.Organization, key, patch, p.Actor())
	if err != nil {
		return meter.MeterState{}, err
	}
	s.copyMeter(ctx, p, state)
	if owned {
		s.owner.MeterChanged(ctx, p.Organization, key)
	}
	return state, nil
}

// DeleteMeter removes a meter; its events stay. One that the catalog refers
// to is KindConflict, and so is that of a billable metric, which is deleted by
// its status only.
func (s *Service) DeleteMeter(ctx context.Context, p access.Principal, key string) error {
	if err := p.May(access.ActionManage); err != nil {
		return err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return err
	}
	defer done()
	if err := s.checkUnused(ctx, p.Organization, key); err != nil {
		return err
	}
	owned, err := s.owner.CheckMeterPatch(ctx, p.Organization, key, meter.MeterPatch{})
	if err != nil {
		return err
	}
	if owned {
		if err := s.owner.ReleaseMeter(ctx, p.Organization, key); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
	}
	return s.deleteMeter(ctx, p, key)
}

// deleteMeter removes a meter, whatever refers to it. Caller has the organization's turn.
func (s *Service) deleteMeter(ctx context.Context, p access.Principal, key string) error {
	if err := s.ledger.DeleteMeter(ctx, p.Organization, key, p.Actor()); err != nil {
		return err
	}
	err := s.catalog.DeleteMeter(context.WithoutCancel(ctx), p.Organization, key, s.ledger.Stats().Last, p.Actor())
	s.resyncMeters(ctx, p.Organization, err)
	return nil
}

// copyMeter tells the catalog of a meter that the log has taken. The log
// decides: a copy that fails is rebuilt, the change itself has succeeded.
func (s *Service) copyMeter(ctx context.Context, p access.Principal, m meter.MeterState) {
	c, err := meterCopy(p.Organization, m, s.ledger.Stats().Last)
	if err == nil {
		err = s.catalog.PutMeter(context.WithoutCancel(ctx), c, p.Actor())
	}
	s.resyncMeters(ctx, p.Organization, err)
}

// meterCopy is what the catalog keeps of a meter. sequence is the log's
// position after the change: no other change of the organization's meters lies between.
func meterCopy(organization string, m meter.MeterState, sequence uint64) (store.MeterCopy, error) {
	definition, err := json.Marshal(m.Meter)
	if err != nil {
		return store.MeterCopy{}, err
	}
	return store.MeterCopy{Organization: organization, Key: m.Key, Version: m.Version, Definition: definition, Sequence: sequence}, nil
}

// resyncMeters rebuilds an organization's copy after a change of it failed. Caller has the organization's turn.
func (s *Service) resyncMeters(ctx context.Context, organization string, err error) {
	if err == nil {
		return
	}
	s.logger.Warn("the catalog's copy of the meters is behind and is rebuilt", slog.String("organization", organization), slog.Any("error", err))
	if err := s.copyOrganization(context.WithoutCancel(ctx), organization); err != nil {
		s.logger.Error("the catalog's copy of the meters stays behind until the next start", slog.String("organization", organization), slog.Any("error", err))
	}
}

// copyAll rebuilds the copies of all organizations.
func (s *Service) copyAll(ctx context.Context) error {
	for page := (catalog.Page{}); ; {
		list, err := s.catalog.Organizations(ctx, page)
		if err != nil {
			return err
		}
		for _, o := range list.Items {
			if err := s.copyAllOf(ctx, o); err != nil {
				return err
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			return nil
		}
	}
}

// copyAllOf rebuilds what of an organization is not as the log says, and writes
// nothing where all is: a start with a thousand organizations is no thousand
// transactions.
func (s *Service) copyAllOf(ctx context.Context, o catalog.Organization) error {
	done, err := s.changes.Take(ctx, o.ID)
	if err != nil {
		return err
	}
	defer done()
	sequence := s.ledger.Stats().Last
	if err := s.checkCopied(ctx, o.ID, sequence); err != nil {
		return err
	}
	if !s.metersCopied(ctx, o.ID) {
		if err := s.replaceCopies(ctx, o.ID, sequence); err != nil {
			return err
		}
	}
	if o.CustomerAttribute == s.customerAttribute(o.ID) {
		return nil
	}
	return s.copyAttribute(ctx, o.ID)
}

// metersCopied says whether the catalog's copy of an organization's meters is
// what the log says. One that cannot be read is not.
func (s *Service) metersCopied(ctx context.Context, organization string) bool {
	meters := s.ledger.Meters(organization)
	slices.SortFunc(meters, func(a, b meter.MeterState) int { return cmp.Compare(a.Key, b.Key) })
	for page := (catalog.Page{}); ; {
		list, err := s.catalog.Meters(ctx, organization, page)
		if err != nil || len(list.Items) > len(meters) {
			return false
		}
		for i, have := range list.Items {
			want, err := meterCopy(organization, meters[i], have.Sequence)
			if err != nil || have.Key != want.Key || have.Version != want.Version || !bytes.Equal(have.Definition, want.Definition) {
				return false
			}
		}
		meters = meters[len(list.Items):]
		if page.Cursor = list.Next; page.Cursor == "" {
			return len(meters) == 0
		}
	}
}

// copyOrganization makes the catalog's copy of one organization's meters what the log says.
func (s *Service) copyOrganization(ctx context.Context, organization string) error {
	sequence := s.ledger.Stats().Last
	if err := s.checkCopied(ctx, organization, sequence); err != nil {
		return err
	}
	return s.replaceCopies(ctx, organization, sequence)
}

// replaceCopies writes all of an organization's copies anew, as of a sequence of the log.
func (s *Service) replaceCopies(ctx context.Context, organization string, sequence uint64) error {
	var copies []store.MeterCopy
	for _, m := range s.ledger.Meters(organization) {
		c, err := meterCopy(organization, m, max(sequence, 1))
		if err != nil {
			return err
		}
		copies = append(copies, c)
	}
	return s.catalog.ReplaceMeters(ctx, organization, copies, sequence)
}

// checkCopied tells of a log that ends before the place to which the
// catalog has followed it. A backup may be so, whose ledger is copied first; a log that is empty is none.
func (s *Service) checkCopied(ctx context.Context, organization string, last uint64) error {
	copied, err := s.catalog.MetersSequence(ctx, organization)
	if err != nil || copied <= last {
		return err
	}
	if last == 0 {
		return meter.Errorf(meter.KindCorrupt, "the catalog knows meters of organization %q as of block %d of a log that is empty: files of the ledger are missing; put them back or restore a backup",
			organization, copied)
	}
	s.logger.Error("the log ends before what the catalog knows of it: unless this is a restored backup, files of the ledger are missing",
		"organization", organization, "log_ends_at", last, "catalog_is_as_of", copied)
	return nil
}

// systemActor names the server itself in audit entries.
const systemActor = "system:recovery"

// copyAttribute makes the catalog's copy of an organization's customer
// attribute what the log says, which a crash between the two leaves behind.
func (s *Service) copyAttribute(ctx context.Context, organization string) error {
	attr := s.customerAttribute(organization)
	_, err := s.catalog.UpdateOrganization(ctx, organization, catalog.OrganizationPatch{CustomerAttribute: &attr}, systemActor)
	return err
}
