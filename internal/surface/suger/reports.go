package suger

import (
	"encoding/json"
	"odometer/internal/billing"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/records"
	"odometer/internal/surface/suger/wire"
)

// reports is operation listUsageRecordReports.
func (a api) reports(x *httpserver.Exchange) error {
	values, err := x.Query()
	if err != nil {
		return err
	}
	q, err := wire.ParseListQuery(values, a.Clock())
	if err != nil {
		return err
	}
	f := billing.ReportFilter{From: q.From, To: q.To, Partner: q.Partner, Buyer: q.Buyer, Entitlement: q.Entitlement}
	page, err := a.Records.UsageReports(x.Request.Context(), x.Principal, f, int(q.Offset), q.Limit)
	if err != nil {
		return err
	}
	out := make([]wire.Report, len(page.Items))
	for i := range page.Items {
		out[i] = reportOf(x.Principal.Organization, &page.Items[i])
	}
	encoded, err := wire.EncodeReportList(out, nextOffset(q.Offset, len(out), page.More))
	return answer(x, encoded, err)
}

// reportOf is a report as it is answered.
func reportOf(organization string, r *records.UsageReport) wire.Report {
	info := wire.ReportInfo{Status: statusOf(r.Status), Message: r.Message, Partner: r.Partner, Start: wire.TimeOf(r.Hour), End: wire.TimeOf(r.Hour.Add(time.Hour)),
		Groups: r.Info.Groups}
	// Records that cannot be read are not shown; the quantities below hold them too.
	_ = json.Unmarshal(r.Info.Billable, &info.Aggregated)
	addPortions(&info, r)
	sent := map[string]bool{}
	for i := range r.Portions {
		sent[r.Portions[i].Dimension] = r.Portions[i].Sent.Sign() > 0
	}
	for i := range r.Lines {
		if sent[r.Lines[i].Dimension] {
			info.Exchange(r.Lines[i].Request, r.Lines[i].Response)
		}
	}
	return wire.Report{ID: r.ID, Organization: organization, Entitlement: r.Entitlement, Term: r.Term, Buyer: r.Buyer, Product: r.Product, Partner: r.Partner,
		Created: wire.TimeOf(r.Created), Info: info}
}

// statusOf is a report's status as the vendor's clients know it: one that is
// not decided, or waits for a person, is CREATED, and one whose usage goes to
// another hour CANCELED.
func statusOf(status string) string {
	switch status {
	case billing.ReportSuccess:
		return wire.ReportSuccess
	case billing.ReportFailed:
		return wire.ReportFailed
	case billing.ReportMoved:
		return wire.ReportCanceled
	}
	return wire.ReportCreated
}

// addPortions tells where the usage of each dimension went.
func addPortions(info *wire.ReportInfo, r *records.UsageReport) {
	var spentCommit, spentCredit meter.Decimal
	put := func(to *wire.Numbers, dimension string, q meter.Decimal, always bool) {
		if q.IsZero() && !always {
			return
		}
		if *to == nil {
			*to = wire.Numbers{}
		}
		(*to)[dimension] = wire.Number(q)
	}
	for i := range r.Portions {
		p := &r.Portions[i]
		put(&info.Reported, p.Dimension, p.Sent, true)
		put(&info.Included, p.Dimension, p.Included, false)
		put(&info.Credited, p.Dimension, p.Credit, false)
		put(&info.CarryIn, p.Dimension, p.CarryIn, true)
		put(&info.CarryOut, p.Dimension, p.CarryOut, true)
		put(&info.UnitPrice, p.Dimension, p.UnitPrice, false)
		put(&info.ListPrice, p.Dimension, p.ListPrice, false)
		if p.Adjusted.Cmp(p.Left) != 0 {
			put(&info.BeforeAdjusted, p.Dimension, p.Left, true)
		}
		spentCommit, spentCredit = spentCommit.Add(p.CommitSpent), spentCredit.Add(p.CreditAmount)
	}
	if !r.Info.CommitAmount.IsZero() {
		info.Commit, info.UsedCommit, info.CommitSpent = number(r.Info.CommitAmount), number(r.Info.UsedCommit), number(spentCommit)
	}
	if !r.Info.CreditAmount.IsZero() {
		info.Credit, info.UsedCredit, info.CreditSpent = number(r.Info.CreditAmount), number(r.Info.UsedCredit), number(spentCredit)
	}
}

func number(d meter.Decimal) *wire.Number {
	n := wire.Number(d)
	return &n
}
