package wire

import (
	"net/http"
	"time"

	"odometer/internal/meter"
)

// Granularity is how a v2 request expresses its window.
type Granularity string

// The granularities; v3 knows months only.
const (
	daily   Granularity = "day"
	Monthly Granularity = "month"
)

// Metrics is a request for usage by service, of v2 or v3.
type Metrics struct {
	// Product and UsageType are "" where all are meant: in CSV each by itself,
	// in v3's JSON only both.
	Product, UsageType string
	Service            string // v3: this service only; "" = all
	Granularity        Granularity
	Window             Window
	Limit              int    // records a page; no meaning for CSV
	Cursor             string // as sent; "" = first page, always for CSV
	CSV                bool

	version string    // of the API
	asked   [2]string // ends of the window as sent
}

// ParseMetricsV2 reads a request for
// /billing/v2/account_customers/{customer_id}/service-usage-metrics. now
// decides the ends of the window that were not sent. Errors: KindInvalid.
func ParseMetricsV2(rawQuery string, h http.Header, now time.Time) (Metrics, error) {
	p, err := parseQuery(rawQuery, "product_id", "usage_type_name", "time_granularity",
		"start_date", "end_date", "start_month", "end_month", "limit", "cursor")
	if err != nil {
		return Metrics{}, err
	}
	m := Metrics{Product: p["product_id"], UsageType: p["usage_type_name"], Granularity: Granularity(p["time_granularity"]),
		CSV: wantsCSV(h), version: "v2"}
	switch m.Granularity {
	case Monthly:
		if err = p.refuse("start_date", "end_date"); err == nil {
			m.Window, err = p.months(now)
		}
		m.asked = [2]string{p["start_month"], p["end_month"]}
	case daily:
		if err = p.refuse("start_month", "end_month"); err == nil {
			m.Window, err = p.days(now)
		}
		m.asked = [2]string{p["start_date"], p["end_date"]}
	default:
		err = meter.Errorf(meter.KindInvalid, "time_granularity must be day or month")
	}
	if err != nil {
		return Metrics{}, err
	}
	if !m.CSV && (m.Product == "" || m.UsageType == "") {
		return Metrics{}, meter.Errorf(meter.KindInvalid, "product_id and usage_type_name are required, except for CSV")
	}
	return m.page(p, defaultLimitV2, maxLimitV2)
}

// refuse fails for parameters that another granularity takes.
func (p parameters) refuse(names ...string) error {
	for _, name := range names {
		if _, given := p[name]; given {
			return meter.Errorf(meter.KindInvalid, "%s cannot be used with time_granularity %s", name, p["time_granularity"])
		}
	}
	return nil
}

// ParseMetricsV3 reads a request for /billing/v3/service-usage-metrics. now
// decides the ends of the window that were not sent. Errors: KindInvalid.
func ParseMetricsV3(rawQuery string, h http.Header, now time.Time) (Metrics, error) {
	p, err := parseQuery(rawQuery, "product_id", "usage_type_name", "service", "start_month", "end_month", "limit", "cursor")
	if err != nil {
		return Metrics{}, err
	}
	m := Metrics{Product: p["product_id"], UsageType: p["usage_type_name"], Service: p["service"], Granularity: Monthly,
		CSV: wantsCSV(h), version: "v3", asked: [2]string{p["start_month"], p["end_month"]}}
	if !m.CSV && (m.Product == "") != (m.UsageType == "") {
		return Metrics{}, meter.Errorf(meter.KindInvalid, "product_id and usage_type_name must be used together, except for CSV")
	}
	if m.Window, err = p.months(now); err != nil {
		return Metrics{}, err
	}
	return m.page(p, defaultLimitV3, maxLimitV3)
}

// page reads what says which page is meant; CSV has only one.
func (m Metrics) page(p parameters, absent, most int) (Metrics, error) {
	if m.CSV {
		return m, nil
	}
	var err error
	if m.Limit, err = p.limit(absent, most); err != nil {
		return Metrics{}, err
	}
	m.Cursor = p["cursor"]
	return m, nil
}

// Scope is what a cursor of this request is bound to.
func (m Metrics) Scope(organization, customer string) Scope {
	return Scope{m.version, organization, customer, m.Product, m.UsageType, m.Service, string(m.Granularity), m.asked[0], m.asked[1]}
}

// ParseMonthly reads a request for /billing/v3/usage-metrics: both months are
// required, at most maxMonths of them. Errors: KindInvalid.
func ParseMonthly(rawQuery string) (Window, error) {
	p, err := parseQuery(rawQuery, "start_month", "end_month")
	if err != nil {
		return Window{}, err
	}
	for _, name := range []string{"start_month", "end_month"} {
		if _, given := p[name]; !given {
			return Window{}, meter.Errorf(meter.KindInvalid, "%s is required", name)
		}
	}
	w, err := p.months(time.Time{})
	if err != nil {
		return Window{}, err
	}
	if last := w.First.AddDate(0, maxMonths-1, 0); monthOf(w.Last).After(last) {
		return Window{}, meter.Errorf(meter.KindInvalid, "start_month to end_month must be at most %d months", maxMonths)
	}
	return w, nil
}
