package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"odometer/client"
	"odometer/internal/meter"
)

// The meters of one plan, by what follows the run's name in their keys.
const (
	countMeter = "_count"
	bytesMeter = "_bytes"
	p95Meter   = "_p95"
)

func meterKey(plan Plan, suffix string) string { return "load_" + plan.Run() + suffix }

func (r *Run) createMeters(ctx context.Context, plan Plan) error {
	if plan.Profile.Drawn {
		return r.createDrawn(ctx, plan)
	}
	groups := []string{"customer", "service", "region"}
	for _, m := range []client.Meter{
		{Key: meterKey(plan, countMeter), Aggregation: "COUNT"},
		{Key: meterKey(plan, bytesMeter), Aggregation: "SUM", Value: "bytes"},
		{Key: meterKey(plan, p95Meter), Aggregation: "PERCENTILE", Value: "bytes", Percentile: "95", Sample: "5m", Rate: true},
	} {
		m.EventType, m.GroupBy = plan.EventType(), groups
		if _, err := r.Client.CreateMeter(ctx, m); err != nil {
			return fmt.Errorf("create meter %s: %w", m.Key, err)
		}
	}
	return nil
}

// checkVerdicts compares the verdicts with what a server must answer.
func checkVerdicts(result *Result) error {
	v, sent := result.Verdicts, result.Totals
	if v.Sum() != sent.Events+sent.Duplicates {
		return fmt.Errorf("%d events were sent, verdicts add up to %d", sent.Events+sent.Duplicates, v.Sum())
	}
	if v.Conflicts != 0 || v.Rejected != 0 {
		return fmt.Errorf("%d conflicts and %d rejected, none was sent", v.Conflicts, v.Rejected)
	}
	if result.Uncertain == 0 && v.Accepted != sent.Events {
		return fmt.Errorf("%d accepted of %d new events", v.Accepted, sent.Events)
	}
	return nil
}

// checkTotals compares each meter's total with what was sent.
func (r *Run) checkTotals(ctx context.Context, plan Plan, sent Totals) error {
	if plan.Profile.Drawn {
		return r.checkDrawn(ctx, plan, sent)
	}
	second := time.Second
	sampleEnd := plan.Base.Truncate(sampleSeconds * second) // the sample that holds Base may not have ended
	sampleStart := plan.Start().Truncate(sampleSeconds * second)
	return errors.Join(
		checkTotal(ctx, r.Client, meterKey(plan, countMeter), plan.Start(), plan.Base, strconv.FormatUint(sent.Events, 10)),
		checkTotal(ctx, r.Client, meterKey(plan, bytesMeter), plan.Start(), plan.Base, strconv.FormatInt(sent.Bytes, 10)),
		checkTotal(ctx, r.Client, meterKey(plan, p95Meter), sampleStart, sampleEnd, percentile95(sent.SampleBytes, int(sampleEnd.Sub(sampleStart)/second)/sampleSeconds)),
	)
}

// percentile95 is the rate, in bytes per second, of element ceil(0.95*n) of the first n samples.
func percentile95(samples []int64, n int) string {
	sorted := slices.Clone(samples[:n])
	slices.Sort(sorted)
	element := sorted[(95*n+99)/100-1]
	return meter.NewDecimal(element).Quo(meter.NewDecimal(sampleSeconds)).String()
}

func checkTotal(ctx context.Context, api *client.Client, key string, from, to time.Time, want string) error {
	usage, err := api.Usage(ctx, key, client.UsageQuery{From: from, To: to})
	if err != nil {
		return fmt.Errorf("total of %s: %w", key, err)
	}
	if usage.Total != want {
		return fmt.Errorf("meter %s: the server's total is %q, the events sent make %q", key, usage.Total, want)
	}
	return nil
}
