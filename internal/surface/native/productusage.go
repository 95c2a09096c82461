package native

import (
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

var productOperations = []operation{
	{http.MethodGet, "/api/v1/usage",
		[]string{"customer", "product", "usage_type", "contract", "service", "from", "to", "window", "group_by"}, api.productUsage},
}

// productRow is one window of one group of a usage type.
type productRow struct {
	Product   string            `json:"product"`
	UsageType string            `json:"usage_type"`
	Unit      string            `json:"unit"`
	Billable  bool              `json:"billable"`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end"`
	Group     map[string]string `json:"group"`
	Value     string            `json:"value"` // in the usage type's unit
	Clipped   bool              `json:"clipped,omitempty"`
}

// productUsage answers GET /api/v1/usage.
func (a api) productUsage(x *httpserver.Exchange, q query) error {
	ask := metering.ReportQuery{Customer: q.text("customer"), Product: q.text("product"), UsageType: q.text("usage_type"),
		Contract: q.text("contract"), Service: q.text("service")}
	var err error
	if ask.From, ask.To, err = q.span(); err != nil {
		return err
	}
	if err = q.require("from", "to"); err != nil {
		return err
	}
	if w := q.optional("window"); w != nil {
		if ask.Window, err = meter.ParseWindow(*w); err != nil {
			return err
		}
	}
	if ask.By, err = q.groupBy(); err != nil {
		return err
	}
	lines, err := a.service.ProductReport(x.Request.Context(), x.Principal, ask)
	if err != nil {
		return err
	}
	rows := []productRow{}
	for _, l := range lines {
		for _, r := range l.Rows {
			rows = append(rows, productRowOf(l, ask.By, r))
		}
	}
	return writeJSON(x, http.StatusOK, map[string]any{"rows": rows})
}

func productRowOf(l metering.ReportLine, by []string, r metering.ProductRow) productRow {
	out := productRow{Product: l.Product, UsageType: l.UsageType.Name, Unit: l.UsageType.Unit, Billable: l.UsageType.Billable,
		Start: r.Start.UTC(), End: r.End.UTC(), Group: map[string]string{}, Value: r.Value.String(), Clipped: r.Clipped}
	for i, name := range by {
		out.Group[name] = r.Group[i]
	}
	return out
}
