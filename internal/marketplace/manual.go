package marketplace

import (
	"context"
	"errors"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// errDry undoes a freeze that was only asked for.
var errDry = errors.New("a dry run")

// Report implements records.Reporter: it freezes one hour of the account of
// an entitlement, or takes what is frozen of it, and sends its lines now.
//
// Errors: KindNotFound for an unknown entitlement, KindInvalid for an hour
// that is none or is not closed, KindForbidden for a listing that no operator
// lets the organization report, KindConflict while the reporter is paused, where
// another organization bills the account, and where a meter has usage of an
// hour before it that was not read.
func (r *Reporter) Report(ctx context.Context, organization, entitlement string, hour time.Time, dry bool) ([]billing.ReportDetail, error) {
	done, err := r.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	now := r.o.Clock()
	state, err := r.reports.Reporter(ctx, organization)
	if err != nil {
		return nil, err
	}
	p, err := r.newPass(ctx, organization, state, now)
	if err != nil {
		return nil, err
	}
	e, ok := p.latest(entitlement)
	switch {
	case !ok:
		return nil, meter.Errorf(meter.KindNotFound, "no entitlement %.64q", entitlement)
	case accountOf(e) == "":
		return nil, meter.Errorf(meter.KindInvalid, "entitlement %.64q does not say who is billed", entitlement)
	case !hour.Equal(hour.UTC().Truncate(time.Hour)):
		return nil, meter.Errorf(meter.KindInvalid, "%s is not the start of an hour", hour.UTC().Format(time.RFC3339))
	case !hour.Before(p.through):
		return nil, meter.Errorf(meter.KindInvalid, "the hour %s is not closed: that is %s after its end", hour.UTC().Format(time.RFC3339), r.timing.CloseAfter)
	case state.Paused && !dry:
		return nil, meter.Errorf(meter.KindConflict, "the reporter is paused: %s", state.Reason)
	}
	refused, err := r.o.Accounts.TakeAccounts(ctx, organization, []*catalog.Entitlement{e})
	if err := errors.Join(err, refused[e.ID]); err != nil {
		return nil, err
	}
	p.only = hour.UTC()
	account := accountOf(e)
	if err := p.readMeters(ctx); err != nil {
		return nil, err
	}
	if err := p.findCarried(ctx); err != nil {
		return nil, err
	}
	accounts, err := p.accounts(ctx)
	if err != nil {
		return nil, err
	}
	var planned []billing.ReportDetail
	if dry {
		p.plan = func(reports []billing.FrozenReport, lines []billing.Line) error {
			planned = details(reports, lines)
			return errDry
		}
	}
	if len(accounts[account]) > 0 {
		if err := p.freezeAccounts(ctx, []string{account}, accounts); err != nil && !errors.Is(err, errDry) {
			return nil, err
		}
	}
	if !dry {
		if err := r.sendHour(ctx, organization, account, p.only, now); err != nil {
			return nil, err
		}
	}
	reports, err := r.reports.ReportsOf(ctx, organization, account, p.only)
	if err != nil {
		return nil, err
	}
	stored, err := r.reports.ReportDetails(ctx, organization, reports)
	return append(planned, stored...), err
}

// sendHour sends the lines of an account's hour that are not decided.
func (r *Reporter) sendHour(ctx context.Context, organization, account string, hour, now time.Time) error {
	if err := r.lines.HastenLines(ctx, organization, account, hour, now); err != nil {
		return err
	}
	return r.send(ctx, func(l *billing.Line) bool {
		return l.Organization == organization && l.Account == account && l.Hour.Equal(hour)
	})
}

// details are reports that are not stored.
func details(reports []billing.FrozenReport, lines []billing.Line) []billing.ReportDetail {
	out := make([]billing.ReportDetail, len(reports))
	for i, r := range reports {
		out[i] = billing.ReportDetail{Report: r.Report, Portions: r.Portions, Lines: lines}
	}
	return out
}
