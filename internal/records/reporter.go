package records

import (
	"context"
	"odometer/internal/access"
	"odometer/internal/billing"
	"slices"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Reporter is what a request may ask of the marketplace reporter.
type Reporter interface {
	// Report freezes what is unreported of an entitlement for one hour that has
	// closed, or takes what is frozen, sends it now and returns the reports. A
	// dry run returns what would be frozen, and changes nothing.
	Report(ctx context.Context, organization, entitlement string, hour time.Time, dry bool) ([]billing.ReportDetail, error)
	// Reconcile lets the reporter work again after a restore.
	Reconcile(ctx context.Context, organization, actor string) error
}

// UseReporter names the reporter. It must be called before requests are served.
func (s *Service) UseReporter(r Reporter) { s.reporter = r }

// RunReport reports one hour of one entitlement by hand; see Reporter.Report.
func (s *Service) RunReport(ctx context.Context, p access.Principal, entitlement string, hour time.Time, dry bool) ([]billing.ReportDetail, error) {
	if err := p.May(access.ActionManage); err != nil {
		return nil, err
	}
	if s.reporter == nil {
		return nil, meter.Errorf(meter.KindUnavailable, "this server has no marketplace reporter")
	}
	return s.reporter.Report(ctx, p.Organization, entitlement, hour, dry)
}

// ReconcileReports lets the reporter of the organization work again after a
// restore, and returns what is stuck.
func (s *Service) ReconcileReports(ctx context.Context, p access.Principal) (Stuck, error) {
	if err := p.May(access.ActionManage); err != nil {
		return Stuck{}, err
	}
	if s.reporter == nil {
		return Stuck{}, meter.Errorf(meter.KindUnavailable, "this server has no marketplace reporter")
	}
	if err := s.reporter.Reconcile(ctx, p.Organization, p.Actor()); err != nil {
		return Stuck{}, err
	}
	return s.StuckReports(ctx, p)
}

// ResolveReport ends a parked or refused dimension of a report by hand; see store.Store.ResolvePortion.
func (s *Service) ResolveReport(ctx context.Context, p access.Principal, report, dimension, as string) error {
	if err := p.May(access.ActionManage); err != nil {
		return err
	}
	return s.reports.ResolvePortion(ctx, p.Organization, report, dimension, as, p.Actor())
}

// maxStuckLines bounds the portions of reports that Stuck tells.
const maxStuckLines = 1000

// Stuck is what is not reported, with its reason and its deadline.
type Stuck struct {
	Paused  bool
	Reason  string              // why it is paused, or why it goes on
	Lines   []billing.StuckLine // frozen, parked or refused, with a line to the marketplace or without, the oldest hours first
	Waiting []billing.Waiting   // usage of hours that have ended which no report has claimed
}

// StuckReports tells what is not reported.
func (s *Service) StuckReports(ctx context.Context, p access.Principal) (Stuck, error) {
	if err := p.May(access.ActionManage); err != nil {
		return Stuck{}, err
	}
	state, err := s.reports.Reporter(ctx, p.Organization)
	if err != nil {
		return Stuck{}, err
	}
	out := Stuck{Paused: state.Paused, Reason: state.Reason}
	if out.Lines, err = s.reports.StuckLines(ctx, p.Organization, maxStuckLines); err != nil {
		return Stuck{}, err
	}
	if out.Waiting, err = s.reports.WaitingGroups(ctx, p.Organization, s.now().Truncate(time.Hour)); err != nil {
		return Stuck{}, err
	}
	out.Waiting, err = s.whyWaiting(ctx, p.Organization, out.Waiting)
	return out, err
}

// whyWaiting says of unreported usage what keeps it from being reported, where
// the entitlement itself does, and adds the entitlements whose meters are not
// reported for that reason.
func (s *Service) whyWaiting(ctx context.Context, organization string, waiting []billing.Waiting) ([]billing.Waiting, error) {
	view, err := s.catalog.ViewOf(ctx, organization, catalog.Want{})
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for i := range waiting {
		w := &waiting[i]
		listed[w.Entitlement] = true
		e, ok := view.Entitlement(w.Entitlement)
		if !ok {
			e, ok = view.LastEntitlement(w.Entitlement)
		}
		if !ok {
			continue
		}
		if w.Reason, err = s.whyNot(ctx, organization, e); err != nil {
			return nil, err
		}
	}
	all := view.Entitlements()
	for i := range all {
		e := &all[i]
		if listed[e.ID] || len(waiting) >= maxStuckLines || !slices.ContainsFunc(e.Dimensions, func(d catalog.Dimension) bool { return d.Meter != "" }) {
			continue
		}
		why, err := s.whyNot(ctx, organization, e)
		if err != nil {
			return nil, err
		}
		if why != "" {
			waiting = append(waiting, billing.Waiting{Entitlement: e.ID, Oldest: e.Starts.Time, Reason: why})
		}
	}
	return waiting, nil
}

// whyNot says what keeps an entitlement from being reported; "" if nothing does.
func (s *Service) whyNot(ctx context.Context, organization string, e *catalog.Entitlement) (string, error) {
	if e.Account() == "" {
		return "the entitlement does not say who is billed", nil
	}
	refused, err := s.catalog.Refused(ctx, organization, e)
	if err != nil || refused == nil {
		return "", err
	}
	return meter.MessageOf(refused), nil
}
