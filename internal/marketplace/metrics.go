package marketplace

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"odometer/internal/billing"
)

// collector reads what is stuck when metrics are asked for.
type collector struct {
	r *Reporter

	lines, oldest, late, groups, waiting, paused, outcomes, passes, failures *prometheus.Desc
}

// Collector tells of everything that the reporter promises: what is stuck, for
// how long, and what became of attempts.
func (r *Reporter) Collector() prometheus.Collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("odometer_reporter_"+name, help, labels, nil)
	}
	return &collector{r: r,
		lines:    d("lines", "Dimensions of reports that are frozen, parked or refused, with a line to the marketplace or without.", "organization", "partner", "state"),
		oldest:   d("oldest_hour_seconds", "Age of the oldest of these lines, from the start of its hour.", "organization", "partner", "state"),
		late:     d("late", "1 where the oldest frozen line is older than it should be.", "organization", "partner"),
		groups:   d("unreported_groups", "Usage record groups of hours that have closed which no report has claimed.", "organization"),
		waiting:  d("unreported_oldest_seconds", "Age of the oldest usage among them; 0 if there is none.", "organization"),
		paused:   d("paused", "1 while the reporter waits for report reconcile.", "organization"),
		outcomes: d("outcomes_total", "What became of attempts since the start.", "partner", "state"),
		passes:   d("passes_total", "Passes since the start."),
		failures: d("failures_total", "Passes that failed since the start."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lines, c.oldest, c.late, c.groups, c.waiting, c.paused, c.outcomes, c.passes, c.failures} {
		to <- d
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out and logged.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx := context.Background()
	now := c.r.o.Clock()
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counts, err := c.r.lines.LineCounts(ctx)
	if err != nil {
		c.r.logger.Error("metrics of reports cannot be read", "error", err)
	}
	for _, n := range counts {
		age := now.Sub(n.Oldest)
		gauge(c.lines, n.Count, n.Organization, n.Partner, n.State)
		gauge(c.oldest, int64(age/1e9), n.Organization, n.Partner, n.State)
		if n.State == billing.LineFrozen {
			late := int64(0)
			if age > alertAfter(n.Partner) {
				late = 1
			}
			gauge(c.late, late, n.Organization, n.Partner)
		}
	}
	standings, err := c.r.reports.ReporterStandings(ctx, c.r.timing.through(now))
	if err != nil {
		c.r.logger.Error("metrics of reports cannot be read", "error", err)
	}
	for _, one := range standings {
		paused, age := int64(0), int64(0)
		if one.Paused {
			paused = 1
		}
		if !one.Oldest.IsZero() {
			age = max(0, int64(now.Sub(one.Oldest)/1e9))
		}
		gauge(c.paused, paused, one.Organization)
		gauge(c.groups, int64(one.Groups), one.Organization)
		gauge(c.waiting, age, one.Organization)
	}
	for key, n := range c.r.counts.snapshot() {
		to <- prometheus.MustNewConstMetric(c.outcomes, prometheus.CounterValue, float64(n), key[0], key[1])
	}
	to <- prometheus.MustNewConstMetric(c.passes, prometheus.CounterValue, float64(c.r.counts.passes.Load()))
	to <- prometheus.MustNewConstMetric(c.failures, prometheus.CounterValue, float64(c.r.counts.failures.Load()))
}
