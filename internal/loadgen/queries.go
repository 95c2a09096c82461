package loadgen

import (
	"context"
	"fmt"
	"slices"
	"time"

	"odometer/client"
)

// timeQueries asks three questions n times each: an organization's hours, one
// customer's hours, one customer's percentile, over 31 days.
func (r *Run) timeQueries(ctx context.Context, plan Plan, report *Report) error {
	hour := plan.Base.Truncate(time.Hour).Add(time.Hour)
	span := client.UsageQuery{From: hour.AddDate(0, 0, -31), To: hour}
	hourly := span
	hourly.Window = "hour"
	customer := hourly
	customer.Filters = map[string][]string{"customer": {"customer-0001"}}
	percentile := customer
	percentile.Window = ""
	for _, q := range []struct {
		name, meter string
		query       client.UsageQuery
	}{
		{"hours of the organization, 31 days", bytesMeter, hourly},
		{"hours of one customer, 31 days", bytesMeter, customer},
		{"95/5 of one customer, 31 days", p95Meter, percentile},
	} {
		times := make([]time.Duration, 0, r.Queries)
		line := QueryTimes{Name: q.name}
		for range r.Queries {
			start := time.Now()
			usage, err := r.Client.Usage(ctx, meterKey(plan, q.meter), q.query)
			if err != nil {
				return fmt.Errorf("query %s: %w", q.name, err)
			}
			times = append(times, time.Since(start))
			line.Rows, line.Source = len(usage.Rows), usage.Source
		}
		slices.Sort(times)
		line.P50, line.Max = times[len(times)/2], times[len(times)-1]
		report.Queries = append(report.Queries, line)
	}
	return nil
}
