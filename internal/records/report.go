package records

import (
	"context"
	"encoding/json"
	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"

	"odometer/internal/meter"
)

// UsageReport is what was frozen of one entitlement for one hour, where its
// usage went, and the exchange with the marketplace about it.
type UsageReport struct {
	billing.Report
	Info     billing.ReportInfo
	Portions []billing.Portion // by dimension
	Lines    []billing.Line    // by dimension; of an account that several reports bill, they are of all of them
}

// UsageReportPage is a part of a list of reports, the newest first.
type UsageReportPage struct {
	Items []UsageReport
	More  bool // whether there are reports after these
}

// reportScan bounds the reports that a list for a bound key looks at.
const reportScan = 100_000

// UsageReports lists the organization's reports, the newest first, from offset
// on. A bound key sees those of its customer's entitlements.
func (s *Service) UsageReports(ctx context.Context, p access.Principal, f billing.ReportFilter, offset, limit int) (UsageReportPage, error) {
	if err := p.May(access.ActionReport); err != nil {
		return UsageReportPage{}, err
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return UsageReportPage{}, err
	}
	defer turn.Done()
	var found billing.ReportPage
	if p.Customer == "" {
		found, err = s.reports.Reports(ctx, p.Organization, f, offset, limit)
	} else {
		found, err = s.reportsOfCustomer(ctx, p, f, offset, limit)
	}
	if err != nil {
		return UsageReportPage{}, turn.Because(ctx, err)
	}
	page := UsageReportPage{Items: []UsageReport{}, More: found.More}
	details, err := s.reports.ReportDetails(ctx, p.Organization, found.Items)
	if err != nil {
		return UsageReportPage{}, err
	}
	for _, d := range details {
		one := UsageReport{Report: d.Report, Portions: d.Portions, Lines: d.Lines}
		if err := json.Unmarshal(d.Info, &one.Info); err != nil {
			return UsageReportPage{}, meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: report %s cannot be read", d.ID)
		}
		page.Items = append(page.Items, one)
	}
	return page, nil
}

// reportsOfCustomer lists the reports of a bound key's customer.
func (s *Service) reportsOfCustomer(ctx context.Context, p access.Principal, f billing.ReportFilter, offset, limit int) (billing.ReportPage, error) {
	view, err := s.catalog.ViewOf(ctx, p.Organization, catalog.Want{})
	if err != nil {
		return billing.ReportPage{}, err
	}
	var out billing.ReportPage
	const chunk = 1000
	for from := 0; ; from += chunk {
		if from >= reportScan {
			return out, meter.Errorf(meter.KindTooLarge, "more than %d reports would be looked at: choose fewer days or an entitlement", reportScan)
		}
		page, err := s.reports.Reports(ctx, p.Organization, f, from, chunk)
		if err != nil {
			return out, err
		}
		for _, r := range page.Items {
			e, ok := view.EntitlementAt(r.Entitlement, r.Hour)
			switch {
			case !ok || e.Customer != p.Customer:
			case offset > 0:
				offset--
			case len(out.Items) == limit:
				out.More = true
				return out, nil
			default:
				out.Items = append(out.Items, r)
			}
		}
		if !page.More {
			return out, nil
		}
	}
}
