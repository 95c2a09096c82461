// Package sender tells AWS, Azure and GCP Marketplace what was used, and says
// of each line what became of it. It holds nothing back and remembers nothing:
// what is sent, when, and what an outcome means is the reporter's.
//
//	frozen lines ──Sender.Send──► batches within the marketplace's limits ──► one Result a line
//	                                └─ a call refused whole is halved until the guilty line stands alone
package sender

import (
	"context"
	"encoding/json"
	"time"

	"odometer/internal/meter"
)

// Line is one frozen quantity for one hour. It never changes: a line is sent
// again exactly as it was sent first.
type Line struct {
	OperationID string        `json:"operation_id"` // the same for each attempt
	Dimension   string        `json:"dimension"`    // destination dimension
	Hour        time.Time     `json:"hour"`         // its start, UTC
	Quantity    meter.Decimal `json:"quantity"`
	AWS         *AWSAccount   `json:"aws,omitempty"`
	Azure       *AzureAccount `json:"azure,omitempty"`
	GCP         *GCPAccount   `json:"gcp,omitempty"`

	// What is known of the other lines of this dimension on the same UTC day;
	// Reconcile of Azure compares it with what the service reads back.
	Settled   meter.Decimal `json:"-"` // accepted for certain
	Undecided meter.Decimal `json:"-"` // this line and the others that may have been accepted
}

// AWSAccount is who is billed through AWS: by customer identifier, or by
// account and, for concurrent agreements, licence.
type AWSAccount struct {
	ProductCode        string `json:"product_code"`
	CustomerIdentifier string `json:"customer_identifier,omitempty"`
	AccountID          string `json:"account_id,omitempty"`
	LicenseARN         string `json:"license_arn,omitempty"`
	Region             string `json:"region"`
}

// AzureAccount is who is billed through Azure.
type AzureAccount struct {
	ResourceID string `json:"resource_id"`
	PlanID     string `json:"plan_id"`
}

// GCPAccount is who is billed through GCP, and for which metric.
type GCPAccount struct {
	Service    string `json:"service"`
	ConsumerID string `json:"consumer_id"`
	Metric     string `json:"metric"`
	Type       string `json:"type"` // INT64 or DOUBLE
}

// Outcome is what became of a line.
type Outcome uint8

// The outcomes. There are no others: what is not certain is Unknown.
const (
	Unknown Outcome = iota // send it again, exactly as it is
	Settled                // the marketplace has it
	Refused                // the marketplace does not have it and said why
)

// String returns the outcome's lower-case name, used in metrics.
func (o Outcome) String() string {
	return [...]string{"unknown", "settled", "refused"}[min(o, Refused)]
}

// Result is the outcome of one line.
type Result struct {
	Outcome  Outcome
	Reason   string        // the marketplace's code or our words; "" if settled as sent
	Accepted meter.Decimal // Settled: what the marketplace holds, the line's quantity or what stood there before

	// Refused: no other hour would help either. Else only this hour is closed.
	Permanent bool

	// Unknown: this attempt stored nothing for certain; RetryAfter is what the
	// marketplace asked for, 0 = nothing.
	NotStored  bool
	RetryAfter time.Duration
	Setup      bool // credentials or the product's setup are at fault: an operator has to act

	// The customer's state forbids it. Unknown: it may end within the vendor's
	// grace. Refused: says nothing of what was accepted before.
	Suspended bool

	// Unknown, and no attempt will tell: the marketplace holds under the line's
	// key what the line cannot have left there. A person has to decide.
	Contested bool

	Request, Response json.RawMessage // the exchange about this line; nil if there was no answer
}

// Sender sends lines to one marketplace. Both methods return one Result for
// each line, in order, and answer whatever happens; lines of the same key
// (account, dimension, hour) must not be sent together.
type Sender interface {
	// Send sends lines, or sends them again.
	Send(ctx context.Context, lines []Line) []Result
	// Reconcile finds out about lines that may have been accepted and can wait
	// no longer. A marketplace that cannot be asked is sent them again.
	Reconcile(ctx context.Context, lines []Line) []Result
}

// MaxBatch is how many lines AWS and Azure take in one call.
const MaxBatch = 25

// notVendors is added to the reason of a refusal that is not in the
// marketplace's own form: somebody on the way has answered, and what became of
// the call is unknown.
const notVendors = ", and not in the marketplace's own form"

// call sends some of the lines, all to one place, and fills in their results,
// which are what a single line deserves.
type call func(ctx context.Context, lines []Line, results []Result) fault

// fault says of a call whether what one of its lines holds may be at fault for all.
type fault uint8

const (
	faultNone    fault = iota // each line has its own answer, or the marketplace cannot be reached at all
	faultSuspect              // the call failed whole: the service is at fault, or a line that it cannot take
	faultLine                 // the call was refused whole, and the answer does not say for which line
)

// suspectLevels is how often calls that fail without a refusal are halved while
// no part of them gets through: after that the service is at fault.
const suspectLevels = 2

// bisect halves a batch that failed whole until the guilty lines stand alone,
// level by level: whatever ails one line, its neighbours do not wait for it.
func bisect(ctx context.Context, lines []Line, results []Result, send call) {
	type part struct{ from, to int }
	maybe := make([]bool, len(lines)) // a call before may have been recorded
	for level, parts := 0, []part{{0, len(lines)}}; len(parts) > 0; level++ {
		var next []part
		through := false // something was answered that does not look like the service's fault
		for _, p := range parts {
			found := send(ctx, lines[p.from:p.to], results[p.from:p.to])
			for i := p.from; i < p.to; i++ {
				maybe[i] = doubt(&results[i], maybe[i])
			}
			through = through || found != faultSuspect
			if found != faultNone && p.to-p.from > 1 {
				half := p.from + (p.to-p.from)/2
				next = append(next, part{p.from, half}, part{half, p.to})
			}
		}
		if !through && level >= suspectLevels || ctx.Err() != nil {
			return
		}
		parts = next
	}
}

// doubt keeps a result from saying more than it can: where a call before may
// have been recorded, one that stored nothing, or was refused, says nothing of
// that one. It returns whether the line may have been recorded by now.
func doubt(r *Result, maybe bool) bool {
	if maybe && r.Outcome == Refused {
		r.Outcome, r.Permanent, r.Suspended = Unknown, false, false
		r.Reason += ", but a call before may have been recorded"
	}
	if maybe {
		r.NotStored = false
	}
	return r.Outcome == Unknown && !r.NotStored
}

// grouped sends lines that belong to the same call, at most MaxBatch together,
// in order of first appearance.
func grouped(ctx context.Context, lines []Line, key func(Line) string, send func(key string) call) []Result {
	results := make([]Result, len(lines))
	places := map[string][]int{}
	var order []string
	for i, line := range lines {
		k := key(line)
		if places[k] == nil {
			order = append(order, k)
		}
		places[k] = append(places[k], i)
	}
	for _, k := range order {
		for at := places[k]; len(at) > 0; at = at[min(len(at), MaxBatch):] {
			chunk := at[:min(len(at), MaxBatch)]
			some, got := make([]Line, len(chunk)), make([]Result, len(chunk))
			for i, place := range chunk {
				some[i] = lines[place]
			}
			bisect(ctx, some, got, send(k))
			for i, place := range chunk {
				results[place] = got[i]
			}
		}
	}
	return results
}

// fill gives every line the same result.
func fill(results []Result, r Result) {
	for i := range results {
		request := results[i].Request
		results[i] = r
		if results[i].Request == nil {
			results[i].Request = request
		}
	}
}

// raw renders a part of an exchange; what cannot be rendered is left out.
func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
