package metering

import (
	"context"
	"encoding/json"
	"errors"
	"odometer/internal/access"
	"reflect"
	"slices"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// ApplyOptions say how a document is applied.
type ApplyOptions struct {
	DryRun    bool      // only tell the difference
	Prune     bool      // remove what the document does not have
	Effective time.Time // from when changes of nouns hold; zero = now, and not later than now
}

// Apply makes the organization what a document says and returns what changed;
// applying it again changes nothing. text is YAML or JSON, see
// catalog.ParseDocument; nouns are as store.Store.Apply says. Where the
// document has meters, pruning removes the others.
//
// The log decides on meters and on the customer attribute, so the ledger takes
// them first; then the catalog takes all nouns in one step; meters that are
// pruned go last, when nothing refers to them any more. Whatever can be
// refused is refused before the first change. If the process ends in between,
// or a store fails, what was done so far stays, and nothing of it is wrong by
// itself: there are meters that no product uses yet, or meters that are still to
// go. The error says so, and applying the document again does the rest.
//
// Errors of the document are KindInvalid and name its lines. The documents of
// an organization are read one at a time, before any change waits for them.
func (s *Service) Apply(ctx context.Context, p access.Principal, text []byte, o ApplyOptions) (catalog.Diff, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.Diff{}, err
	}
	read, err := s.readsDocument(ctx, p.Organization)
	if err != nil {
		return catalog.Diff{}, err
	}
	defer read()
	doc, err := catalog.ReadDocument(ctx, text)
	if err != nil {
		return catalog.Diff{}, err
	}
	done, err := s.changes.Take(ctx, p.Organization)
	if err != nil {
		return catalog.Diff{}, err
	}
	defer done()
	if err := s.agree(ctx, p.Organization); err != nil {
		return catalog.Diff{}, err
	}
	planned, err := s.plan(ctx, p, doc, o)
	if err != nil || o.DryRun || planned.Empty() {
		return planned, err
	}
	if err := ctx.Err(); err != nil {
		return catalog.Diff{}, meter.WrapError(meter.KindUnavailable, err, "the document was not applied")
	}
	planned.Changes = nil                                            // the store tells them again: a large document's are not held twice
	return s.perform(context.WithoutCancel(ctx), p, doc, o, planned) // who has begun does not stop half way
}

// documentsAtOnce bounds the documents in memory: reading one takes several
// times the text's size, and so does comparing it.
const documentsAtOnce = 2

// readsDocument waits until the organization has no other document in memory,
// and few others have.
func (s *Service) readsDocument(ctx context.Context, organization string) (done func(), err error) {
	mine, err := s.documents.Take(ctx, organization)
	if err != nil {
		return nil, err
	}
	select {
	case s.documentRoom <- struct{}{}:
		return func() { <-s.documentRoom; mine() }, nil
	case <-ctx.Done():
		mine()
		return nil, meter.WrapError(meter.KindUnavailable, ctx.Err(), "other catalog documents were being read")
	}
}

// agree mends what the catalog copies of the log, if it is behind: the
// difference is told by the copies. Caller has the organization's turn.
func (s *Service) agree(ctx context.Context, organization string) error {
	if err := s.copyAttribute(ctx, organization); err != nil {
		return err
	}
	have := map[string]meter.Meter{}
	for page := (catalog.Page{}); ; {
		copies, err := s.catalog.Meters(ctx, organization, page)
		if err != nil {
			return err
		}
		for _, c := range copies.Items {
			var m meter.Meter
			if err := json.Unmarshal(c.Definition, &m); err == nil { // else it is made anew
				have[c.Key] = m
			}
		}
		if page.Cursor = copies.Next; page.Cursor == "" {
			break
		}
	}
	meters := s.ledger.Meters(organization)
	same := len(meters) == len(have)
	for _, m := range meters {
		same = same && reflect.DeepEqual(have[m.Key].Normalize(), m.Meter.Normalize())
	}
	if same {
		return nil
	}
	return s.copyOrganization(ctx, organization)
}

// plan returns what applying a document changes, or why it cannot be applied.
func (s *Service) plan(ctx context.Context, p access.Principal, doc *catalog.Document, o ApplyOptions) (catalog.Diff, error) {
	d, err := s.catalog.Apply(ctx, p.Organization, doc,
		catalog.ApplyOptions{DryRun: true, Prune: o.Prune, Actor: p.Actor(), Effective: o.Effective})
	if err != nil {
		return catalog.Diff{}, err
	}
	if want := doc.Organization; want != nil && want.AssignTime != nil && *want.AssignTime != s.ledger.TimeAssigned(p.Organization) {
		if d.Organization == nil {
			o, err := s.catalog.Organization(ctx, p.Organization)
			if err != nil {
				return catalog.Diff{}, err
			}
			d.Organization = &catalog.OrganizationSettings{Name: o.Name, CustomerAttribute: s.customerAttribute(o.ID)}
		}
		d.Organization.AssignTime = want.AssignTime
	}
	if d.Organization != nil {
		if err := checkAttribute(d.Organization.CustomerAttribute); err != nil {
			return catalog.Diff{}, err
		}
	}
	if err := s.keepOwned(ctx, p.Organization, &d); err != nil {
		return catalog.Diff{}, err
	}
	return d, s.ledger.MeterRoom(p.Organization, len(d.Meters.Create))
}

// keepOwned takes meters that another room owns out of what pruning removes: they
// come by another way than documents. It refuses changes that their readers would not take.
func (s *Service) keepOwned(ctx context.Context, organization string, d *catalog.Diff) error {
	for _, m := range d.Meters.Update {
		if _, err := s.owner.CheckMeterPatch(ctx, organization, m.Key, meter.MeterPatch{Name: &m.Name, Description: &m.Description}); err != nil {
			return meter.Errorf(meter.KindOf(err), "meter %q: %s", m.Key, meter.MessageOf(err))
		}
	}
	if len(d.Meters.Remove) == 0 {
		return nil
	}
	owned, err := s.owner.OwnedMeters(ctx, organization)
	if err != nil {
		return err
	}
	d.Meters.Remove = slices.DeleteFunc(d.Meters.Remove, func(key string) bool {
		return slices.Contains(owned, key)
	})
	return nil
}

// perform makes the changes of a plan. Caller has the organization's turn.
func (s *Service) perform(ctx context.Context, p access.Principal, doc *catalog.Document, o ApplyOptions, planned catalog.Diff) (catalog.Diff, error) {
	begun, err := s.performLedger(ctx, p, planned)
	var done catalog.Diff
	if err == nil {
		done, err = s.catalog.Apply(ctx, p.Organization, doc, catalog.ApplyOptions{Prune: o.Prune, Actor: p.Actor(), Effective: o.Effective})
		begun = begun || err == nil
	}
	for _, key := range planned.Meters.Remove {
		if err == nil {
			err = s.deleteMeter(ctx, p, key)
		}
	}
	if err != nil && begun {
		err = inPart(err)
	}
	if err != nil {
		return catalog.Diff{}, err
	}
	done.Meters = planned.Meters
	if want := planned.Organization; want != nil && want.AssignTime != nil {
		done.Organization = want
	}
	return done, nil
}

// performLedger makes the changes that the log decides on; begun says whether
// it has made any.
func (s *Service) performLedger(ctx context.Context, p access.Principal, planned catalog.Diff) (begun bool, err error) {
	if want := planned.Organization; want != nil && want.CustomerAttribute != s.customerAttribute(p.Organization) {
		if err := s.ledger.SetCustomerAttribute(ctx, p.Organization, want.CustomerAttribute, p.Actor()); err != nil {
			return false, err
		}
		begun = true
	}
	if want := planned.Organization; want != nil && want.AssignTime != nil {
		if err := s.assignTime(ctx, p, p.Organization, *want.AssignTime); err != nil {
			return begun, err
		}
		begun = true
	}
	for _, m := range planned.Meters.Create {
		state, err := s.ledger.CreateMeter(ctx, p.Organization, m, p.Actor())
		if err != nil {
			return begun, err
		}
		begun = true
		s.copyMeter(ctx, p, state)
	}
	for _, m := range planned.Meters.Update {
		patch := meter.MeterPatch{Name: &m.Name, Description: &m.Description, Unit: &m.Unit, Status: &m.Status}
		state, err := s.ledger.UpdateMeter(ctx, p.Organization, m.Key, patch, p.Actor())
		if err != nil {
			return begun, err
		}
		begun = true
		s.copyMeter(ctx, p, state)
	}
	return begun, nil
}

// inPart tells the caller that an error came between two steps.
func inPart(err error) error {
	var known *meter.Error
	if !errors.As(err, &known) {
		known = meter.WrapError(meter.KindInternal, err, "a store failed")
	}
	partial := *known
	partial.Message = "the document was applied in part, apply it again: " + known.Message
	return &partial
}
