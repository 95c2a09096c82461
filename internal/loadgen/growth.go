package loadgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"odometer/client"
)

// Growth makes a profile larger. The zero value changes nothing. With any of
// the numbers, customer and service of every event are drawn anew, and the
// meters are by customer and service.
type Growth struct {
	Customers     int           // 0 = the profile's
	Services      int           // of all customers; 0 = one each if Customers is set, else the profile's
	Meters        int           // 0 = drawnMeters
	Organizations int           // 0 = the one that the key acts on
	Span          time.Duration // 0 = the profile's
}

// What fits the fixed width of the fields.
const (
	maxCustomers = 10_000_000
	maxServices  = 100_000_000
)

const (
	drawnMeters      = 3
	maxMeters        = 1000
	maxOrganizations = 100_000
	shortestSpan     = recently
	longestSpan      = 3600 * 24 * time.Hour // a server takes ten years
)

// Of returns the profile as large as that.
func (g Growth) Of(p Profile) (Profile, error) {
	if g.Span != 0 {
		p.Span = g.Span
	}
	if p.Span < shortestSpan || p.Span > longestSpan || p.Span%time.Second != 0 {
		return p, fmt.Errorf("a span of %s: want whole seconds, from %s to %d days", p.Span, shortestSpan, longestSpan/(24*time.Hour))
	}
	if min(g.Customers, g.Services, g.Meters, g.Organizations) < 0 {
		return p, errors.New("a number of customers, services, meters or organizations is below 0")
	}
	if g.Customers+g.Services+g.Meters+g.Organizations == 0 {
		return p, nil
	}
	p.Drawn = true
	if g.Customers > 0 {
		p.Customers, p.Services = g.Customers, g.Customers
	}
	p.Services = cmp.Or(g.Services, p.Services)
	p.Meters = cmp.Or(g.Meters, drawnMeters)
	p.Organizations = g.Organizations
	for _, limit := range []struct {
		name      string
		have, max int
	}{
		{"customers", p.Customers, maxCustomers}, {"services", p.Services, maxServices},
		{"meters", p.Meters, maxMeters}, {"organizations", p.Organizations, maxOrganizations},
	} {
		if limit.have > limit.max {
			return p, fmt.Errorf("%d %s: at most %d", limit.have, limit.name, limit.max)
		}
	}
	if p.Services%p.Customers != 0 {
		return p, fmt.Errorf("%d services cannot be spread evenly over %d customers", p.Services, p.Customers)
	}
	if p.Customers%p.organizations() != 0 {
		return p, fmt.Errorf("%d customers cannot be spread evenly over %d organizations", p.Customers, p.Organizations)
	}
	if p.Organizations > 0 && p.Duplicates > 0 {
		return p, fmt.Errorf("profile %s repeats events and sends to one organization only", p.Name)
	}
	return p, nil
}

// organizations is how many the events are spread over, 1 at least.
func (p Profile) organizations() int { return max(1, p.Organizations) }

// organizationOf says to which organization a connection's request of that number goes.
func (p Plan) organizationOf(conn int, n uint64) int {
	return int((uint64(conn) + n*uint64(p.Connections)) % uint64(p.Profile.organizations()))
}

// organizationID names an organization of the plan.
func (p Plan) organizationID(i int) string { return fmt.Sprintf("load-%s-%06d", p.Run(), i) }

// valueNames are the values of an event whose customer is drawn.
var valueNames = [...]string{"bytes", "requests", "millis"}

var drawnAggregations = [...]string{"COUNT", "SUM", "MAX", "MIN", "AVG", "LAST"}

// drawnMeter is a meter of a plan, and the place of its value in valueNames.
type drawnMeter struct {
	key, aggregation string
	value            int
}

// drawnMeters returns the meters of the plan: the aggregations in turn, of one value after another.
func (p Plan) drawnMeters() []drawnMeter {
	meters := make([]drawnMeter, p.Profile.Meters)
	for i := range meters {
		m := drawnMeter{aggregation: drawnAggregations[i%len(drawnAggregations)], value: i / len(drawnAggregations) % len(valueNames)}
		m.key = meterKey(p, fmt.Sprintf("_%03d_%s", i, strings.ToLower(m.aggregation)))
		meters[i] = m
	}
	return meters
}

// createDrawn makes the meters of a plan, in each of its organizations.
func (r *Run) createDrawn(ctx context.Context, plan Plan) error {
	return r.eachOrganization(ctx, plan, plan.Profile.organizations(), func(ctx context.Context, api *client.Client, i int) error {
		if plan.Profile.Organizations > 0 {
			id := plan.organizationID(i)
			if _, err := r.Client.CreateOrganization(ctx, client.NewOrganization{ID: id}); err != nil {
				return fmt.Errorf("create organization %s: %w", id, err)
			}
		}
		for _, m := range plan.drawnMeters() {
			meter := client.Meter{Key: m.key, EventType: plan.EventType(), Aggregation: m.aggregation, GroupBy: []string{"customer", "service"}}
			if m.aggregation != "COUNT" {
				meter.Value = valueNames[m.value]
			}
			if _, err := api.CreateMeter(ctx, meter); err != nil {
				return fmt.Errorf("create meter %s: %w", m.key, err)
			}
		}
		return nil
	})
}

// target is where the plan's events go: with a new key of each organization, if it has some.
func (r *Run) target(ctx context.Context, plan Plan) (Target, error) {
	target := r.Target
	if plan.Profile.Organizations == 0 {
		return target, nil
	}
	target.keys = make([]string, plan.Profile.Organizations)
	err := r.eachOrganization(ctx, plan, plan.Profile.Organizations, func(ctx context.Context, api *client.Client, i int) error {
		k, err := api.CreateKey(ctx, client.NewKey{Role: "ingest"})
		if err != nil {
			return fmt.Errorf("create a key of organization %s: %w", plan.organizationID(i), err)
		}
		target.keys[i] = k.Token
		return nil
	})
	for _, key := range target.keys {
		if err == nil && len(key) != len(target.keys[0]) { // they take turns in one place
			err = errors.New("the server's keys differ in length")
		}
	}
	target.Key, target.Organization = target.keys[0], ""
	return target, err
}

// organizationsAtOnce are prepared or asked at the same time.
const organizationsAtOnce = 8

// eachOrganization calls do for n of the plan's organizations, evenly spread,
// with a client that acts on the organization.
func (r *Run) eachOrganization(ctx context.Context, plan Plan, n int, do func(context.Context, *client.Client, int) error) error {
	if plan.Profile.Organizations == 0 {
		return do(ctx, r.Client, 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: organizationsAtOnce}
	defer transport.CloseIdleConnections()
	var first firstError
	var next atomic.Int64
	var group sync.WaitGroup
	for range organizationsAtOnce {
		group.Go(func() {
			for k := int(next.Add(1) - 1); k < n && ctx.Err() == nil; k = int(next.Add(1) - 1) {
				i := k * plan.Profile.Organizations / n
				api, err := client.New(client.Options{URL: r.URL, Key: r.Target.Key, Organization: plan.organizationID(i),
					HTTPClient: &http.Client{Transport: transport}})
				if err == nil {
					err = do(ctx, api, i)
				}
				if err != nil {
					first.set(err)
					cancel()
				}
			}
		})
	}
	group.Wait()
	return cmp.Or(first.get(), ctx.Err())
}

// Of so many organizations the totals are compared, in so long.
const (
	organizationsChecked = 32
	checkLongest         = time.Minute
)

// wholeDays is the plan's range, widened to whole days.
func wholeDays(plan Plan) client.UsageQuery {
	const day = 24 * time.Hour
	return client.UsageQuery{From: plan.Start().Truncate(day), To: plan.Base.Truncate(day).Add(day)}
}

// checkDrawn compares each meter's total with what was sent, for some of the organizations if there are many.
func (r *Run) checkDrawn(ctx context.Context, plan Plan, sent Totals) error {
	ctx, cancel := context.WithTimeout(ctx, checkLongest)
	defer cancel()
	days := wholeDays(plan)
	return r.eachOrganization(ctx, plan, min(plan.Profile.organizations(), organizationsChecked), func(ctx context.Context, api *client.Client, i int) error {
		var wrong []error
		for _, m := range plan.drawnMeters() {
			wrong = append(wrong, checkTotal(ctx, api, m.key, days.From, days.To, sent.Organizations[i].want(m)))
		}
		return errors.Join(wrong...)
	})
}
