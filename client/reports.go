package client

import (
	"context"
	"net/http"
	"time"
)

// Report is what was frozen of an entitlement for one hour, or would be.
type Report struct {
	ID          string            `json:"id"`
	Entitlement string            `json:"entitlement"`
	Term        string            `json:"term"`
	Partner     string            `json:"partner"`
	Hour        time.Time         `json:"hour"`
	Status      string            `json:"status"` // PENDING SUCCESS FAILED PARKED MOVED
	Message     string            `json:"message"`
	Stored      bool              `json:"stored"` // false in a dry run
	Dimensions  []ReportDimension `json:"dimensions"`
}

// ReportDimension says where the usage of one dimension went. Quantities are decimals.
type ReportDimension struct {
	Dimension string `json:"dimension"`
	State     string `json:"state"` // frozen settled refused parked moved
	Usage     string `json:"usage"`
	Credit    string `json:"credit"`
	Commit    string `json:"commit"`
	Included  string `json:"included"`
	CarryIn   string `json:"carry_in"`
	Sent      string `json:"sent"`
	CarryOut  string `json:"carry_out"`
	Late      bool   `json:"late"`
	Operation string `json:"operation"`
	Reason    string `json:"reason"`
}

// StuckReports is what is not reported, with its reason and its deadline.
type StuckReports struct {
	Paused bool   `json:"paused"`
	Reason string `json:"reason"`
	Lines  []struct {
		Report      string `json:"report"`
		Entitlement string `json:"entitlement"`
		Usage       string `json:"usage"` // that waits

		Operation string    `json:"operation"` // "" = nothing of it was sent
		Partner   string    `json:"partner"`
		Account   string    `json:"account"`
		Dimension string    `json:"dimension"`
		Hour      time.Time `json:"hour"`
		Quantity  string    `json:"quantity"`
		State     string    `json:"state"`
		Reason    string    `json:"reason"`
		Attempts  int       `json:"attempts"`
		Next      time.Time `json:"next"`
		Deadline  time.Time `json:"deadline"`
	} `json:"lines"`
	Waiting []struct {
		Entitlement string    `json:"entitlement"`
		Groups      int       `json:"groups"`
		Oldest      time.Time `json:"oldest"`
		Reason      string    `json:"reason"` // what keeps it from being reported, if that is known
	} `json:"waiting"`
}

// RunReport reports one hour of an entitlement now; a dry run returns what
// would be frozen and changes nothing.
func (c *Client) RunReport(ctx context.Context, entitlement string, hour time.Time, dry bool) ([]Report, error) {
	var out struct {
		Reports []Report `json:"reports"`
	}
	in := map[string]any{"entitlement": entitlement, "hour": hour, "dry_run": dry}
	err := c.json(ctx, call{method: http.MethodPost, path: "/api/v1/reports/run"}, in, &out)
	return out.Reports, err
}

// ReconcileReports lets the marketplace reporter work again after a restore.
func (c *Client) ReconcileReports(ctx context.Context) (StuckReports, error) {
	var out StuckReports
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/v1/reports/reconcile"}, &out)
	return out, err
}

// StuckReports returns what is not reported.
func (c *Client) StuckReports(ctx context.Context) (StuckReports, error) {
	var out StuckReports
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/v1/reports/stuck"}, &out)
	return out, err
}

// ResolveReport says what became of a parked or refused dimension: settled,
// refused, moved or elsewhere.
func (c *Client) ResolveReport(ctx context.Context, report, dimension, as string) error {
	in := map[string]string{"report": report, "dimension": dimension, "as": as}
	return c.json(ctx, call{method: http.MethodPost, path: "/api/v1/reports/resolve"}, in, nil)
}
