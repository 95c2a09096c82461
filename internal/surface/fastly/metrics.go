package fastly

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/surface/fastly/wire"
)

func (a api) metricsV2(x *httpserver.Exchange) error {
	return a.metrics(x, x.Param("customer_id"), wire.ParseMetricsV2)
}

func (a api) metricsV3(x *httpserver.Exchange) error {
	return a.metrics(x, x.Principal.Customer, wire.ParseMetricsV3)
}

// metrics answers usage by service. Whose usage is asked comes before how.
func (a api) metrics(x *httpserver.Exchange, customer string, parse func(string, http.Header, time.Time) (wire.Metrics, error)) error {
	c, err := a.account(x, customer)
	if err != nil {
		return err
	}
	now := a.Clock()
	request, err := parse(x.Request.URL.RawQuery, x.Request.Header, now)
	if err != nil {
		return err
	}
	if err := c.addFormer(x.Request.Context(), request.Window.Usage(now)); err != nil {
		return err
	}
	lines, err := c.named(request)
	if err != nil {
		return err
	}
	scope := request.Scope(x.Principal.Organization, customer)
	var after wire.Row
	if request.Cursor != "" {
		position, err := a.cursors.Open(scope, request.Cursor)
		if err != nil {
			return c.unlessHidden(lines, err)
		}
		request.Window, after = position.Window, position.After
	}
	rows, err := c.rows(x.Request.Context(), request, lines, now)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if err := c.unlessHidden(lines, nil); err != nil {
			return err
		}
	}
	if request.CSV {
		return c.writeCSV(x, request, rows)
	}
	body, err := a.page(c, request, scope, lines, rows, after).Encode()
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// named returns the lines that a request names, KindInvalid if there is none.
func (c *account) named(m wire.Metrics) ([]line, error) {
	var found []line
	for _, l := range c.lines {
		if (m.Product == "" || l.product == m.Product) && (m.UsageType == "" || l.usageType.Name == m.UsageType) {
			found = append(found, l)
		}
	}
	if found == nil && (m.Product != "" || m.UsageType != "") {
		return nil, errNoUsageType
	}
	return found, nil
}

var errNoUsageType = meter.Errorf(meter.KindInvalid, "product_id and usage_type_name do not name a usage type")

// unlessHidden is err, or for a bound key that names only products which are
// other customers', the error of products that there are not: no event of the
// key's customer has named one of them.
func (c *account) unlessHidden(lines []line, err error) error {
	seen := func(l line) bool { return c.asks.Customer == "" || c.view.ProductSeenBy(c.asks.Customer, l.product) }
	if len(lines) == 0 || slices.ContainsFunc(lines, seen) {
		return err
	}
	return errNoUsageType
}

// row is the usage of one service in one line.
type row struct {
	key   wire.Row // with product and usage type only where the request does not name both
	line  line
	units meter.Decimal
}

func compareRows(a, b wire.Row) int {
	return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Product, b.Product), strings.Compare(a.UsageType, b.UsageType),
		strings.Compare(a.Late, b.Late))
}

// rows returns all rows of an answer in order: the customer's services whose
// usage is not zero.
func (c *account) rows(ctx context.Context, m wire.Metrics, lines []line, now time.Time) ([]row, error) {
	var rows []row
	for _, line := range lines {
		usage, err := c.byService(ctx, line, m.Window.Usage(now), m.Granularity == wire.Monthly)
		if err != nil {
			return nil, err
		}
		for _, u := range usage {
			if u.units.IsZero() || m.Service != "" && m.Service != u.service {
				continue
			}
			key := wire.Row{Service: u.service, Late: u.late}
			if m.Product == "" || m.UsageType == "" {
				key.Product, key.UsageType = line.product, line.usageType.Name
			}
			rows = append(rows, row{key, line, u.units})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return compareRows(a.key, b.key) })
	return rows, nil
}

// name is what a row's service is called.
func (c *account) name(r row) string {
	return wire.LateName(c.view.ServiceName(c.customer, r.key.Service), r.key.Late)
}

// page is the JSON answer: the rows after a cursor's.
func (a api) page(c *account, m wire.Metrics, scope wire.Scope, lines []line, rows []row, after wire.Row) wire.ServiceUsage {
	answer := wire.ServiceUsage{CustomerID: c.customer, StartTime: m.Window.Start(), EndTime: m.Window.End(),
		UsageType: m.UsageType, Meta: wire.Meta{Limit: m.Limit, Total: len(rows)}}
	if m.UsageType != "" {
		answer.Unit = lines[0].unit()
	}
	if m.Cursor != "" {
		first, _ := slices.BinarySearchFunc(rows, after, func(r row, k wire.Row) int {
			if compareRows(r.key, k) <= 0 {
				return -1
			}
			return 1
		})
		rows = rows[first:]
	}
	if len(rows) > m.Limit {
		rows = rows[:m.Limit]
		answer.Meta.NextCursor = a.cursors.Sign(scope, wire.Position{Window: m.Window, After: rows[m.Limit-1].key})
	}
	for _, r := range rows {
		d := wire.Detail{CustomerID: c.customer, ServiceID: r.key.Service, ServiceName: c.name(r),
			UsageUnits: wire.Number{Decimal: r.units}, LateMonth: r.key.Late}
		if m.UsageType == "" {
			d.ProductID, d.UsageType, d.Unit = r.line.product, r.line.usageType.Name, r.line.unit()
		}
		answer.Details = append(answer.Details, d)
	}
	return answer
}

// writeCSV answers every row.
func (c *account) writeCSV(x *httpserver.Exchange, m wire.Metrics, rows []row) error {
	const chunk = 32 << 10 // bytes
	h := x.Header()
	h.Set("Content-Type", wire.CSVType)
	h.Set("Cache-Control", "no-store")
	b := wire.AppendCSVHeader(make([]byte, 0, chunk+4096))
	for _, r := range rows {
		b = wire.CSVRow{CustomerID: c.customer, ProductID: r.line.product, UsageType: r.line.usageType.Name, Unit: r.line.unit(),
			ServiceID: r.key.Service, ServiceName: c.name(r), Window: m.Window,
			UsageUnits: wire.Number{Decimal: r.units}}.Append(b)
		if len(b) >= chunk {
			if _, err := x.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := x.Write(b)
	return err
}
