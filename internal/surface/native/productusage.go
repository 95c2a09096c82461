package native

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"odometer/internal/csvtext"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

var productOperations = []operation{
	{http.MethodGet, "/api/v1/usage",
		[]string{"customer" + several, "product", "usage_type", "contract", "service", "from", "to", "window", "tz", "group_by", "as_of"}, api.productUsage},
}

// productRow is one window of one group of a usage type.
type productRow struct {
	Customer  string            `json:"customer"`
	Product   string            `json:"product"`
	UsageType string            `json:"usage_type"`
	Unit      string            `json:"unit"`
	Billable  bool              `json:"billable"`
	Start     time.Time         `json:"start"`
	End       time.Time         `json:"end"`
	Group     map[string]string `json:"group"`
	Value     string            `json:"value"` // in the unit
	Clipped   bool              `json:"clipped,omitempty"`
	Month     string            `json:"month,omitempty"` // of the usage; absent if the row is of several
	Late      bool              `json:"late,omitempty"`  // it came after Month was closed
	Closed    bool              `json:"closed"`
}

// productUnit says in which unit a usage type is answered.
type productUnit struct {
	Product   string `json:"product"`
	UsageType string `json:"usage_type"`
	Unit      string `json:"unit"`
	Billable  bool   `json:"billable"`
}

// productUsage answers GET /api/v1/usage.
func (a api) productUsage(x *httpserver.Exchange, q query) error {
	ask := metering.ReportQuery{Customers: q.values["customer"], Product: q.text("product"), UsageType: q.text("usage_type"),
		Contract: q.text("contract"), Service: q.text("service")}
	err := q.given("customer", "product", "usage_type", "contract", "service")
	if err != nil {
		return err
	}
	if ask.Location, err = q.location(); err != nil {
		return err
	}
	if ask.From, ask.To, err = q.spanIn(ask.Location); err != nil {
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
	if ask.AsOf, err = q.timeIn("as_of", ask.Location); err != nil {
		return err
	}
	lines, err := a.service.ProductReport(x.Request.Context(), x.Principal, ask)
	if err != nil {
		return err
	}
	if wantsCSV(x.Request.Header) {
		return writeProductCSV(x, ask, lines)
	}
	rows := []productRow{}
	units := []productUnit{}
	seen := map[productUnit]bool{}
	for _, l := range lines {
		if u := (productUnit{l.Product, l.UsageType.Name, l.UsageType.Unit, l.UsageType.Billable}); !seen[u] {
			seen[u] = true
			units = append(units, u)
		}
		for _, r := range l.Rows {
			rows = append(rows, productRowOf(l, ask, r))
		}
	}
	hints := a.service.ReportHints(x.Request.Context(), x.Principal, ask, lines)
	if hints == nil {
		hints = []string{}
	}
	return writeJSON(x, http.StatusOK, map[string]any{"rows": rows, "units": units, "hints": hints})
}

func productRowOf(l metering.ReportLine, q metering.ReportQuery, r metering.ReportRow) productRow {
	out := productRow{Customer: l.Customer, Product: l.Product, UsageType: l.UsageType.Name, Unit: r.Unit, Billable: r.Billable,
		Start: r.Start.In(q.Location), End: r.End.In(q.Location), Group: map[string]string{}, Value: r.Value.String(), Clipped: r.Clipped,
		Month: r.Month, Late: r.Late, Closed: r.Closed}
	for i, name := range q.By {
		out.Group[name] = r.Group[i]
	}
	return out
}

// writeProductCSV answers a header line and one line per row.
func writeProductCSV(x *httpserver.Exchange, q metering.ReportQuery, lines []metering.ReportLine) error {
	h := x.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Cache-Control", "no-store")
	w := csv.NewWriter(x)
	record := append([]string{"customer", "product", "usage_type", "unit", "billable", "start", "end"}, csvtext.Cells(q.By)...)
	err := w.Write(append(record, "value", "clipped", "month", "late", "closed"))
	for _, l := range lines {
		for _, r := range l.Rows {
			record = append(record[:0], csvtext.Cell(l.Customer), csvtext.Cell(l.Product), csvtext.Cell(l.UsageType.Name), csvtext.Cell(r.Unit), strconv.FormatBool(r.Billable),
				r.Start.In(q.Location).Format(time.RFC3339Nano), r.End.In(q.Location).Format(time.RFC3339Nano))
			record = append(record, csvtext.Cells(r.Group)...)
			record = append(record, r.Value.String(), strconv.FormatBool(r.Clipped), r.Month, strconv.FormatBool(r.Late), strconv.FormatBool(r.Closed))
			if err == nil {
				err = w.Write(record)
			}
		}
	}
	if w.Flush(); err == nil {
		err = w.Error()
	}
	return err
}
