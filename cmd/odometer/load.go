package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/client"
	"odometer/cmd/odometer/loadgen"
	"odometer/internal/meter"
)

// LoadCmd measures a running server.
type LoadCmd struct {
	ClientSettings `embed:""`
	Organization   string        `placeholder:"ID" help:"Send as this organization; the key needs the operator right."`
	Profile        string        `default:"batch-1000" help:"One of ${profiles}, surfaces."`
	Connections    int           `help:"Keep-alive connections; 0 is the profile's own number."`
	Events         uint64        `help:"Send this many events (rounded up to whole requests) ..."`
	Duration       time.Duration `help:"... or for this long; 10s if neither is given."`
	Rate           uint64        `help:"Events per second to send; 0 is as fast as possible."`
	Seed           uint64        `help:"Seed of all random choices; 0 takes one from the clock and prints it."`
	Ceiling        time.Duration `placeholder:"TIME" help:"First measure for this long how fast the same bytes can be parsed on all cores."`
	Queries        int           `help:"Afterwards time this many of each of three queries over the run's range."`
	Data           string        `placeholder:"DIR" help:"The server's data directory on this machine, to measure disk per event."`
	Save           string        `placeholder:"FILE" help:"Write what was sent, for --resend."`
	Resend         string        `placeholder:"FILE" help:"Send --events of a saved run again and expect duplicates only and unchanged totals."`
	JSON           bool          `name:"json" help:"Print the figures as JSON."`
}

// Help says what the figures mean.
func (c *LoadCmd) Help() string {
	var b strings.Builder
	b.WriteString("Creates three meters of its own (COUNT, SUM, PERCENTILE of 5-minute rates; by customer, service and region), sends events to them over " +
		"plain HTTP and checks the server's totals against what it sent: exactly, per meter; exit code 3 if they differ. Profiles:\n\n")
	for _, p := range loadgen.Profiles() {
		fmt.Fprintf(&b, "    %-20s %s (%d connections)\n", p.Name, p.About, p.Connections)
	}
	fmt.Fprintf(&b, "\nAnother profile, %s, applies a catalogue of 200 customers and 10,000 services, sends 5,000,000 events (--events) of one month, and "+
		"times 1,000 requests (--queries) of each of the vendors' APIs over 8 connections; set thousandeyes.rate-limit to 0 for it.\n", surfacesProfile)
	return b.String()
}

// savedRun is what --save writes.
type savedRun struct {
	Plan    loadgen.Plan   `json:"plan"`
	Batches []uint64       `json:"batches"`
	Totals  loadgen.Totals `json:"totals"`
}

// Run sends the load and prints one table.
func (c *LoadCmd) Run(ctx context.Context, env *Env) error {
	run, err := c.newRun(env)
	if err != nil {
		return err
	}
	if c.Profile == surfacesProfile {
		return run.surfaces(ctx)
	}
	if c.Resend != "" {
		return run.resend(ctx)
	}
	return run.send(ctx)
}

// loadRun is one execution of the command.
type loadRun struct {
	*LoadCmd
	env    *Env
	target loadgen.Target
	client *client.Client
	report loadReport
}

func (c *LoadCmd) newRun(env *Env) (*loadRun, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, usageErrorf("url %q: load speaks plain http only, like http://127.0.0.1:8080", c.URL)
	}
	if c.Events == 0 && c.Duration == 0 && c.Profile != surfacesProfile {
		c.Duration = 10 * time.Second
	}
	if c.Seed == 0 {
		c.Seed = uint64(env.Clock().UnixNano()) & 0xffffffff
	}
	address := u.Host
	if u.Port() == "" {
		address += ":80"
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return nil, err
	}
	return &loadRun{LoadCmd: c, env: env, client: api,
		target: loadgen.Target{Address: address, Key: c.Key, Organization: c.Organization}}, nil
}

// send runs the profile.
func (r *loadRun) send(ctx context.Context) error {
	profile, err := loadgen.FindProfile(r.Profile)
	if err != nil {
		return usageErrorf("%v", err)
	}
	plan := loadgen.NewPlan(profile, r.Seed, r.env.Clock(), r.Connections)
	if err := r.createMeters(ctx, plan); err != nil {
		return err
	}
	if r.Ceiling > 0 {
		ceiling, err := loadgen.MeasureCeiling(plan, r.Ceiling)
		if err != nil {
			return fmt.Errorf("parse ceiling: %w", err)
		}
		r.report.Ceiling = &ceiling
	}
	before := r.sample(ctx)
	diskBefore, err := diskBytes(r.Data)
	if err != nil {
		return err
	}
	series := &rateSeries{run: r, ctx: ctx}
	result, err := loadgen.Send(ctx, loadgen.Options{Target: r.target, Plan: plan, Events: r.Events, Duration: r.Duration, Rate: r.Rate,
		OnProgress: series.second})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	r.report.take(plan, result)
	r.report.takeProcess(before, r.sample(ctx), series, result)
	diskAfter, err := diskBytes(r.Data)
	if err != nil {
		return err
	}
	if r.Data != "" {
		r.report.DiskBytesPerEvent = (diskAfter - diskBefore) / max(1, int64(result.Totals.Events))
	}
	if r.Save != "" {
		if err := saveRun(r.Save, savedRun{plan, result.Batches, result.Totals}); err != nil {
			return err
		}
	}
	mismatch := errors.Join(checkVerdicts(result), r.checkTotals(ctx, plan, result.Totals))
	if mismatch == nil && r.Queries > 0 {
		if err := r.timeQueries(ctx, plan); err != nil {
			return err
		}
	}
	return r.finish(mismatch)
}

// resend sends part of a saved run again.
func (r *loadRun) resend(ctx context.Context) error {
	text, err := os.ReadFile(r.LoadCmd.Resend)
	if err != nil {
		return usageErrorf("%v", err)
	}
	var saved savedRun
	if err := json.Unmarshal(text, &saved); err != nil {
		return usageErrorf("%s is not a saved run: %v", r.LoadCmd.Resend, err)
	}
	if r.Events == 0 {
		r.Events = 10_000
	}
	result, err := loadgen.Resend(ctx, r.target, saved.Plan, saved.Batches, r.Events)
	if err != nil {
		return fmt.Errorf("resend: %w", err)
	}
	r.report.take(saved.Plan, result)
	var mismatch error
	if result.Verdicts.Duplicates != result.Verdicts.Sum() {
		mismatch = fmt.Errorf("events sent again were judged %+v, want duplicates only", result.Verdicts)
	}
	return r.finish(errors.Join(mismatch, r.checkTotals(ctx, saved.Plan, saved.Totals)))
}

func (r *loadRun) finish(mismatch error) error {
	r.report.Agrees = mismatch == nil
	if err := r.report.print(r.env.Stdout, r.JSON); err != nil {
		return err
	}
	if mismatch != nil {
		return exitWith(exitDisagrees, mismatch)
	}
	return nil
}

func saveRun(path string, run savedRun) error {
	text, err := json.Marshal(run)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// The meters of one plan, by what follows the run's name in their keys.
const (
	countMeter = "_count"
	bytesMeter = "_bytes"
	p95Meter   = "_p95"
)

func meterKey(plan loadgen.Plan, suffix string) string { return "load_" + plan.Run() + suffix }

func (r *loadRun) createMeters(ctx context.Context, plan loadgen.Plan) error {
	groups := []string{"customer", "service", "region"}
	for _, m := range []client.Meter{
		{Key: meterKey(plan, countMeter), Aggregation: "COUNT"},
		{Key: meterKey(plan, bytesMeter), Aggregation: "SUM", Value: "bytes"},
		{Key: meterKey(plan, p95Meter), Aggregation: "PERCENTILE", Value: "bytes", Percentile: "95", Sample: "5m", Rate: true},
	} {
		m.EventType, m.GroupBy = plan.EventType(), groups
		if _, err := r.client.CreateMeter(ctx, m); err != nil {
			return fmt.Errorf("create meter %s: %w", m.Key, err)
		}
	}
	return nil
}

// checkVerdicts compares the verdicts with what a server must answer.
func checkVerdicts(result *loadgen.Result) error {
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
func (r *loadRun) checkTotals(ctx context.Context, plan loadgen.Plan, sent loadgen.Totals) error {
	second := time.Second
	sampleEnd := plan.Base.Truncate(loadgen.SampleSeconds * second) // the sample that holds Base may not have ended
	sampleStart := plan.Start().Truncate(loadgen.SampleSeconds * second)
	return errors.Join(
		r.checkTotal(ctx, meterKey(plan, countMeter), plan.Start(), plan.Base, strconv.FormatUint(sent.Events, 10)),
		r.checkTotal(ctx, meterKey(plan, bytesMeter), plan.Start(), plan.Base, strconv.FormatInt(sent.Bytes, 10)),
		r.checkTotal(ctx, meterKey(plan, p95Meter), sampleStart, sampleEnd, percentile95(sent.SampleBytes, int(sampleEnd.Sub(sampleStart)/second)/loadgen.SampleSeconds)),
	)
}

// percentile95 is the rate, in bytes per second, of element ceil(0.95*n) of the first n samples.
func percentile95(samples []int64, n int) string {
	sorted := slices.Clone(samples[:n])
	slices.Sort(sorted)
	element := sorted[(95*n+99)/100-1]
	return meter.NewDecimal(element).Quo(meter.NewDecimal(loadgen.SampleSeconds)).String()
}

func (r *loadRun) checkTotal(ctx context.Context, key string, from, to time.Time, want string) error {
	usage, err := r.client.Usage(ctx, key, client.UsageQuery{From: from, To: to})
	if err != nil {
		return fmt.Errorf("total of %s: %w", key, err)
	}
	if usage.Total != want {
		return fmt.Errorf("meter %s: the server's total is %q, the events sent make %q", key, usage.Total, want)
	}
	return nil
}
