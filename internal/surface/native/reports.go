package native

import (
	"net/http"
	"odometer/internal/billing"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/records"
)

var reportOperations = []operation{
	{http.MethodPost, "/api/v1/reports/run", nil, api.runReport},
	{http.MethodPost, "/api/v1/reports/reconcile", nil, api.reconcileReports},
	{http.MethodPost, "/api/v1/reports/resolve", nil, api.resolveReport},
	{http.MethodGet, "/api/v1/reports/stuck", nil, api.stuckReports},
}

// reportBody is a report as it is answered.
type reportBody struct {
	ID          string        `json:"id"`
	Entitlement string        `json:"entitlement"`
	Term        string        `json:"term"`
	Partner     string        `json:"partner"`
	Hour        time.Time     `json:"hour"`
	Status      string        `json:"status"`
	Message     string        `json:"message,omitempty"`
	Stored      bool          `json:"stored"` // false in a dry run
	Dimensions  []portionBody `json:"dimensions"`
}

// portionBody is one dimension of a report.
type portionBody struct {
	Dimension string        `json:"dimension"`
	State     string        `json:"state"`
	Usage     meter.Decimal `json:"usage"`
	Credit    meter.Decimal `json:"credit"`
	Commit    meter.Decimal `json:"commit"`
	Included  meter.Decimal `json:"included"`
	CarryIn   meter.Decimal `json:"carry_in"`
	Sent      meter.Decimal `json:"sent"`
	CarryOut  meter.Decimal `json:"carry_out"`
	Late      bool          `json:"late,omitempty"`
	Operation string        `json:"operation,omitempty"` // the line's; "" = nothing has to be sent
	Reason    string        `json:"reason,omitempty"`
}

func reportOf(d billing.ReportDetail) reportBody {
	b := reportBody{ID: d.ID, Entitlement: d.Entitlement, Term: d.Term, Partner: d.Partner, Hour: d.Hour, Status: d.Status, Message: d.Message,
		Stored: d.Serial > 0, Dimensions: []portionBody{}}
	for _, p := range d.Portions {
		one := portionBody{Dimension: p.Dimension, State: p.State, Usage: p.Usage, Credit: p.Credit, Commit: p.Commit, Included: p.Included,
			CarryIn: p.CarryIn, Sent: p.Sent, CarryOut: p.CarryOut, Late: p.Late}
		for _, l := range d.Lines {
			if l.Dimension == p.Dimension && p.Sent.Sign() > 0 {
				one.Operation, one.Reason = l.Operation, l.Message
			}
		}
		b.Dimensions = append(b.Dimensions, one)
	}
	return b
}

// runReport answers POST /api/v1/reports/run: one hour of one entitlement, now.
func (a api) runReport(x *httpserver.Exchange, _ query) error {
	var in struct {
		Entitlement string    `json:"entitlement" strict:"filled"`
		Hour        time.Time `json:"hour" strict:"filled"`
		DryRun      bool      `json:"dry_run"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	reports, err := a.records.RunReport(x.Request.Context(), x.Principal, in.Entitlement, in.Hour, in.DryRun)
	if err != nil {
		return err
	}
	out := []reportBody{}
	for _, d := range reports {
		out = append(out, reportOf(d))
	}
	return writeJSON(x, http.StatusOK, map[string]any{"reports": out})
}

// stuckBody is what is not reported.
type stuckBody struct {
	Paused  bool          `json:"paused"`
	Reason  string        `json:"reason,omitempty"`
	Lines   []lineBody    `json:"lines"`
	Waiting []waitingBody `json:"waiting"`
}

// lineBody is a dimension of a report that is not settled.
type lineBody struct {
	Report      string        `json:"report"`
	Entitlement string        `json:"entitlement"`
	Usage       meter.Decimal `json:"usage"` // that waits

	Operation string        `json:"operation"` // "" = nothing of it was sent
	Partner   string        `json:"partner"`
	Account   string        `json:"account"`
	Dimension string        `json:"dimension"`
	Hour      time.Time     `json:"hour"`
	Quantity  meter.Decimal `json:"quantity"`
	State     string        `json:"state"`
	Reason    string        `json:"reason,omitempty"`
	Attempts  int           `json:"attempts"`
	Next      time.Time     `json:"next,omitzero"`
	Deadline  time.Time     `json:"deadline,omitzero"`
}

// waitingBody is usage that no report has claimed.
type waitingBody struct {
	Entitlement string    `json:"entitlement"`
	Groups      int       `json:"groups"`
	Oldest      time.Time `json:"oldest"`
	Reason      string    `json:"reason,omitempty"` // what keeps it from being reported, if that is known
}

func stuckOf(s records.Stuck) stuckBody {
	out := stuckBody{Paused: s.Paused, Reason: s.Reason, Lines: []lineBody{}, Waiting: []waitingBody{}}
	for _, l := range s.Lines {
		out.Lines = append(out.Lines, lineBody{l.Report, l.Entitlement, l.Usage,
			l.Operation, l.Partner, l.Account, l.Dimension, l.Hour, l.Quantity, l.State, l.Message, l.Attempts, l.Next, l.Deadline})
	}
	for _, w := range s.Waiting {
		out.Waiting = append(out.Waiting, waitingBody{w.Entitlement, w.Groups, w.Oldest, w.Reason})
	}
	return out
}

// reconcileReports answers POST /api/v1/reports/reconcile.
func (a api) reconcileReports(x *httpserver.Exchange, _ query) error {
	if err := noMembers(x); err != nil {
		return err
	}
	stuck, err := a.records.ReconcileReports(x.Request.Context(), x.Principal)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, stuckOf(stuck))
}

// stuckReports answers GET /api/v1/reports/stuck.
func (a api) stuckReports(x *httpserver.Exchange, _ query) error {
	stuck, err := a.records.StuckReports(x.Request.Context(), x.Principal)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, stuckOf(stuck))
}

// resolveReport answers POST /api/v1/reports/resolve: a parked or refused dimension, by hand.
func (a api) resolveReport(x *httpserver.Exchange, _ query) error {
	var in struct {
		Report    string `json:"report" strict:"filled"`
		Dimension string `json:"dimension" strict:"filled"`
		As        string `json:"as" strict:"filled"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	if err := a.records.ResolveReport(x.Request.Context(), x.Principal, in.Report, in.Dimension, in.As); err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, map[string]string{"report": in.Report, "dimension": in.Dimension, "state": in.As})
}
