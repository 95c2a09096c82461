package fastly

import (
	"context"
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/surface/fastly/wire"
)

// usageTypes answers the lines that the customer's services ever used.
func (a api) usageTypes(x *httpserver.Exchange) error {
	c, err := a.account(x, x.Param("customer_id"))
	if err != nil {
		return err
	}
	now := a.Clock()
	ever := wire.Window{First: time.Unix(0, 0).UTC(), Last: now}.Usage(now)
	var types []wire.UsageType
	for _, line := range c.lines {
		used, err := c.byService(x.Request.Context(), line, ever)
		if err != nil {
			return err
		}
		if len(used) > 0 {
			types = append(types, wire.UsageType{ProductID: line.product, Name: line.usageType.Name})
		}
	}
	body, err := wire.EncodeUsageTypes(types)
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// monthly answers every line's usage of the whole account by month.
func (a api) monthly(x *httpserver.Exchange) error {
	c, err := a.account(x, x.Principal.Customer)
	if err != nil {
		return err
	}
	window, err := wire.ParseMonthly(x.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	now := a.Clock()
	var rows []wire.UsageMetric
	for _, month := range window.Months() {
		for _, line := range c.lines {
			row, used, err := c.lineInMonth(x.Request.Context(), line, month, now)
			if err != nil {
				return err
			}
			if used {
				rows = append(rows, row)
			}
		}
	}
	body, err := wire.EncodeUsageMetrics(rows)
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// lineInMonth is one line's usage in one month; used is false where it is zero.
func (c *account) lineInMonth(ctx context.Context, l line, m wire.Month, now time.Time) (row wire.UsageMetric, used bool, err error) {
	in := m.Window.Usage(now)
	unscaled := l
	unscaled.usageType.Scale = ""
	raw, err := c.amount(ctx, unscaled, in)
	if err != nil || raw.IsZero() {
		return row, false, err
	}
	units := raw
	if l.usageType.Scale != "" {
		if units, err = c.amount(ctx, l, in); err != nil {
			return row, false, err
		}
	}
	updated := now
	if in.To.Before(now) { // the month is over
		updated = in.To
	}
	return wire.UsageMetric{Month: m.Name, UsageType: l.usageType.Name, Name: l.usageType.Name, Region: l.usageType.Where[regionAttribute],
		Unit: l.unit(), Quantity: wire.Number{Decimal: units}, RawQuantity: wire.Number{Decimal: raw},
		ProductID: l.product, LastUpdatedAt: wire.Instant(updated)}, true, nil
}
