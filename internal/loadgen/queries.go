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
	if plan.Profile.Drawn {
		return r.timeDrawn(ctx, plan, report)
	}
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

// timeDrawn asks one organization of a plan whose events are drawn for its first
// page of customers and for one customer's days. A question that is refused or
// not answered in time has its error in the report.
func (r *Run) timeDrawn(ctx context.Context, plan Plan, report *Report) error {
	page := wholeDays(plan)
	page.GroupBy, page.Limit = []string{"customer"}, 100
	days := wholeDays(plan)
	days.Window, days.Filters = "day", map[string][]string{"customer": {"customer-" + customerPlaceholder}}
	return r.eachOrganization(ctx, plan, 1, func(ctx context.Context, api *client.Client, _ int) error {
		for _, q := range []struct {
			name  string
			query client.UsageQuery
		}{{"first page of 100 customers", page}, {"days of one customer", days}} {
			line := QueryTimes{Name: q.name}
			var times []time.Duration
			for len(times) < r.Queries && line.Error == "" {
				start := time.Now()
				limited, cancel := context.WithTimeout(ctx, checkLongest)
				usage, err := api.Usage(limited, plan.drawnMeters()[0].key, q.query)
				cancel()
				times = append(times, time.Since(start))
				if err != nil {
					line.Error = err.Error()
					continue
				}
				line.Rows, line.Source = len(usage.Rows), usage.Source
			}
			slices.Sort(times)
			line.P50, line.Max = times[len(times)/2], times[len(times)-1]
			report.Queries = append(report.Queries, line)
		}
		return ctx.Err()
	})
}
