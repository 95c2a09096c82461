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
		used, err := c.heldUsage(x.Request.Context(), line, ever, 0)
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
	if err := c.addFormer(x.Request.Context(), window.Usage(now)); err != nil {
		return err
	}
	var rows []wire.UsageMetric
	for _, month := range window.Months() {
		for _, line := range c.lines {
			of, err := c.lineInMonth(x.Request.Context(), line, month, now)
			if err != nil {
				return err
			}
			rows = append(rows, of...)
		}
	}
	body, err := wire.EncodeUsageMetrics(rows)
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// lineInMonth is one line's usage in one month, and what is booked to it of
// closed months before; without what is zero.
func (c *account) lineInMonth(ctx context.Context, l line, m wire.Month, now time.Time) ([]wire.UsageMetric, error) {
	in := m.Window.Usage(now)
	totals, l, err := c.totals(ctx, l, in)
	if err != nil {
		return nil, err
	}
	updated := now
	if in.To.Before(now) { // the month is over
		updated = in.To
	}
	var rows []wire.UsageMetric
	for _, t := range totals {
		if !t.Raw.IsZero() {
			rows = append(rows, wire.UsageMetric{Month: m.Name, UsageType: l.usageType.Name, Name: wire.LateName(l.usageType.Name, t.Late),
				Region: l.usageType.Where[regionAttribute], Unit: l.unit(), Quantity: wire.Number{Decimal: t.Units}, RawQuantity: wire.Number{Decimal: t.Raw},
				ProductID: l.product, LastUpdatedAt: wire.Instant(updated), LateMonth: t.Late})
		}
	}
	return rows, nil
}
