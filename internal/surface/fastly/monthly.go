package fastly

import (
	"context"
	"net/http"
	"slices"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/fastly/wire"
)

// usageTypes answers the lines that the customer's services ever used.
func (a api) usageTypes(x *httpserver.Exchange) error {
	account, err := a.account(x, x.Param("customer_id"))
	if err != nil {
		return err
	}
	now := a.Clock()
	ever := wire.Window{First: time.Unix(0, 0).UTC(), Last: now}.Usage(now)
	var types []wire.UsageType
	for _, line := range account.Lines {
		used, err := a.usage(x.Request.Context(), x.Principal, account, line, ever, serviceAttribute)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(used, func(r metering.ProductRow) bool { return account.has(r.Group[0]) }) {
			types = append(types, wire.UsageType{ProductID: line.Product, Name: line.UsageType.Name})
		}
	}
	body, err := wire.EncodeUsageTypes(types)
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// has says whether a service is the customer's.
func (c Account) has(service string) bool {
	_, ok := c.Services[service]
	return ok
}

// monthly answers every line's usage of the whole account by month.
func (a api) monthly(x *httpserver.Exchange) error {
	account, err := a.account(x, x.Principal.Customer)
	if err != nil {
		return err
	}
	window, err := wire.ParseMonthly(x.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	var rows []wire.UsageMetric
	for _, month := range window.Months() {
		for _, line := range account.Lines {
			row, used, err := a.lineInMonth(x.Request.Context(), x.Principal, account, line, month)
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
func (a api) lineInMonth(ctx context.Context, p metering.Principal, account Account, l Line, m wire.Month) (row wire.UsageMetric, used bool, err error) {
	now := a.Clock()
	in := m.Window.Usage(now)
	unscaled := l
	unscaled.UsageType.Scale = ""
	raw, err := a.amount(ctx, p, account, unscaled, in)
	if err != nil || raw.IsZero() {
		return row, false, err
	}
	units := raw
	if l.UsageType.Scale != "" {
		if units, err = a.amount(ctx, p, account, l, in); err != nil {
			return row, false, err
		}
	}
	updated := now
	if in.To.Before(now) { // the month is over
		updated = in.To
	}
	return wire.UsageMetric{Month: m.Name, UsageType: l.UsageType.Name, Name: l.UsageType.Name, Region: l.UsageType.Where[regionAttribute],
		Unit: l.unit(), Quantity: wire.Number{Decimal: units}, RawQuantity: wire.Number{Decimal: raw},
		ProductID: l.Product, LastUpdatedAt: wire.Instant(updated)}, true, nil
}

// amount is the account's usage of a line in a range, of all services together.
func (a api) amount(ctx context.Context, p metering.Principal, account Account, l Line, in meter.Period) (meter.Decimal, error) {
	rows, err := a.usage(ctx, p, account, l, in)
	if err != nil || len(rows) == 0 {
		return meter.Decimal{}, err
	}
	return rows[0].Value, nil // without groups and windows there is one row at most
}
