package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"odometer/client"
)

// Run measures a running server once.
type Run struct {
	Target Target
	URL    string // of the same server, for Client and its metrics
	Client *client.Client
	Clock  func() time.Time // when the run begins; what is measured is measured by the machine's

	Connections int           // 0 is the profile's own number
	Events      uint64        // to send, rounded up to whole requests
	Duration    time.Duration // or for so long
	Rate        uint64        // events per second; 0 is as fast as possible
	Seed        uint64        // of all random choices
	Ceiling     time.Duration // to measure how fast the same bytes can be parsed; 0 is not at all
	Queries     int           // of each kind, afterwards
	Data        string        // the server's data directory, to measure disk; "" is not at all

	EachSecond func(Progress) // may be nil
}

// Progress is how far a run is.
type Progress struct {
	Events       uint64
	Elapsed      time.Duration
	ResidentPeak int64
	Done         bool // nothing is sent any more
}

// Sent is what a run sent, to send it again.
type Sent struct {
	Plan    Plan     `json:"plan"`
	Batches []uint64 `json:"batches"`
	Totals  Totals   `json:"totals"`
}

// Profile sends the load of a profile and compares the server's figures with it.
// What was sent is returned as soon as something was, also with an error.
func (r *Run) Profile(ctx context.Context, profile Profile) (*Report, *Sent, error) {
	plan := newPlan(profile, r.Seed, r.Clock(), r.Connections)
	if err := r.createMeters(ctx, plan); err != nil {
		return nil, nil, err
	}
	target, err := r.target(ctx, plan)
	if err != nil {
		return nil, nil, err
	}
	report := &Report{}
	if r.Ceiling > 0 {
		ceiling, err := measureCeiling(plan, r.Ceiling)
		if err != nil {
			return nil, nil, fmt.Errorf("parse ceiling: %w", err)
		}
		report.Ceiling = &ceiling
	}
	before := r.sample(ctx)
	diskBefore, err := diskBytes(r.Data)
	if err != nil {
		return nil, nil, err
	}
	var told bool
	var peak int64 // of the server's memory
	result, err := send(ctx, options{Target: target, Plan: plan, Events: r.Events, Duration: r.Duration, Rate: r.Rate,
		OnProgress: func(events uint64, elapsed time.Duration) {
			told, peak = true, max(peak, r.sample(ctx).resident)
			r.tell(Progress{Events: events, Elapsed: elapsed, ResidentPeak: peak})
		}})
	if err != nil {
		return nil, nil, fmt.Errorf("load: %w", err)
	}
	if told {
		r.tell(Progress{Done: true})
	}
	report.take(plan, result)
	report.takeProcess(before, r.sample(ctx), peak, result)
	diskAfter, err := diskBytes(r.Data)
	if err != nil {
		return nil, nil, err
	}
	if r.Data != "" {
		report.DiskBytesPerEvent = (diskAfter - diskBefore) / max(1, int64(result.Totals.Events))
	}
	sent := &Sent{plan, result.Batches, result.Totals}
	report.Mismatch = errors.Join(checkVerdicts(result), r.checkTotals(ctx, plan, result.Totals))
	report.Agrees = report.Mismatch == nil
	if (report.Agrees || profile.Drawn) && r.Queries > 0 {
		if err := r.timeQueries(ctx, plan, report); err != nil {
			return nil, sent, err
		}
	}
	return report, sent, nil
}

// Again sends part of what a run sent once more, and expects duplicates only and
// unchanged totals.
func (r *Run) Again(ctx context.Context, sent *Sent) (*Report, error) {
	events := r.Events
	if events == 0 {
		events = 10_000
	}
	target, err := r.target(ctx, sent.Plan)
	if err != nil {
		return nil, err
	}
	result, err := Resend(ctx, target, sent.Plan, sent.Batches, events)
	if err != nil {
		return nil, fmt.Errorf("resend: %w", err)
	}
	report := &Report{}
	report.take(sent.Plan, result)
	var mismatch error
	if result.Verdicts.Duplicates != result.Verdicts.Sum() {
		mismatch = fmt.Errorf("events sent again were judged %+v, want duplicates only", result.Verdicts)
	}
	report.Mismatch = errors.Join(mismatch, r.checkTotals(ctx, sent.Plan, sent.Totals))
	report.Agrees = report.Mismatch == nil
	return report, nil
}

func (r *Run) tell(p Progress) {
	if r.EachSecond != nil {
		r.EachSecond(p)
	}
}
