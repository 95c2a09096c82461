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

// drawnQuestion is asked of a plan whose events are drawn. Where every time is
// to be the first, it is another customer's each time.
type drawnQuestion struct {
	name  string
	times int
	query func(i int) client.UsageQuery
}

// customersAsked is of how many customers, one after another, a month is asked for the first time.
const customersAsked = 20

// drawnQuestions are asked of the plan's first organization.
func (r *Run) drawnQuestions(plan Plan) []drawnQuestion {
	page, days, month := wholeDays(plan), wholeDays(plan), wholeDays(plan)
	page.GroupBy, page.Limit = []string{"customer"}, 100
	days.Window, days.Filters = "day", map[string][]string{"customer": {"customer-" + customerPlaceholder}}
	month.From, month.GroupBy = month.To.AddDate(0, 0, -31), []string{"service"}
	same := func(q client.UsageQuery) func(int) client.UsageQuery {
		return func(int) client.UsageQuery { return q }
	}
	organizations := plan.Profile.organizations()
	all := plan.Profile.Customers / organizations
	asked := min(customersAsked, all)
	return []drawnQuestion{
		{"first page of 100 customers", r.Queries, same(page)},
		{"days of one customer", r.Queries, same(days)},
		{"month of a customer by service, each another one", asked, func(i int) client.UsageQuery {
			q := month // customer c is of organization c modulo their number
			q.Filters = map[string][]string{"customer": {fmt.Sprintf("customer-%07d", (all-1-i*(all/asked))*organizations)}}
			return q
		}},
	}
}

// timeDrawn asks one organization of a plan whose events are drawn for its first
// page of customers, for one customer's days, and for the services of some. A
// question that is refused or not answered in time has its error in the report.
func (r *Run) timeDrawn(ctx context.Context, plan Plan, report *Report) error {
	return r.eachOrganization(ctx, plan, 1, func(ctx context.Context, api *client.Client, _ int) error {
		for _, q := range r.drawnQuestions(plan) {
			line := QueryTimes{Name: q.name}
			var times []time.Duration
			for i := 0; i < q.times && line.Error == ""; i++ {
				start := time.Now()
				limited, cancel := context.WithTimeout(ctx, checkLongest)
				usage, err := api.Usage(limited, plan.drawnMeters()[0].key, q.query(i))
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
