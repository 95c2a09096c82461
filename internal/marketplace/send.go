package marketplace

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/sender"
	"odometer/internal/meter"
)

// send leases lines that are due and sends them, until none is due. The clock
// is read for each lease: a pass may take longer than a lease lasts.
func (r *Reporter) send(ctx context.Context, want func(*billing.Line) bool) error {
	for {
		now, allowed := r.o.Clock(), r.allowed(ctx)
		able := func(l *billing.Line) bool { return want(l) && r.o.Senders[l.Partner] != nil && allowed(l) }
		lines, err := r.lines.LeaseLines(ctx, r.o.Owner, now, now.Add(r.timing.Lease), leaseBatch, able)
		if err != nil || len(lines) == 0 {
			return err
		}
		r.o.Fault(faultBeforeSend)
		if err := r.sendAll(ctx, now, lines); err != nil {
			return err
		}
	}
}

// sendAll sends leased lines in batches, several at once.
func (r *Reporter) sendAll(ctx context.Context, now time.Time, lines []billing.Line) error {
	items, unread := readTargets(now, lines)
	if len(unread) > 0 {
		if err := r.book(ctx, unread); err != nil {
			return err
		}
	}
	batches := batchesOf(items)
	work := make(chan batch)
	var workers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(sendWorkers, len(batches)) {
		workers.Go(func() {
			for b := range work {
				if err := r.sendBatch(ctx, b); err != nil {
					mu.Lock()
					failed = cmp.Or(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, b := range batches {
		work <- b
	}
	close(work)
	workers.Wait()
	return failed
}

// batch is lines that are sent together, or that have come to their end.
type batch struct {
	partner string
	ended   bool // past its deadline: one line
	lines   []billing.Line
	targets []sender.Line
}

// item is a line with what its target says.
type item struct {
	line   billing.Line
	target sender.Line
	place  string
	ended  bool
}

// readTargets decodes the targets of lines. A line whose target cannot be
// read, or is not the line's, cannot be sent by anyone: it waits for a person.
func readTargets(now time.Time, lines []billing.Line) (items []item, unread []billing.Decision) {
	for _, l := range lines {
		t, err := targetFor(&l)
		if err != nil {
			d := decision(l, sender.Result{Reason: err.Error()})
			d.To = billing.LineParked
			unread = append(unread, d)
			continue
		}
		items = append(items, item{line: l, target: t, place: placeOf(t), ended: !now.Before(l.Deadline)})
	}
	return items, unread
}

// targetFor is what is sent of a line.
func targetFor(l *billing.Line) (sender.Line, error) {
	var t sender.Line
	if err := json.Unmarshal(l.Target, &t); err != nil {
		return t, meter.WrapError(meter.KindCorrupt, err, "the frozen line cannot be read")
	}
	known := l.Partner == catalog.PartnerAWS && t.AWS != nil || l.Partner == catalog.PartnerAzure && t.Azure != nil || l.Partner == catalog.PartnerGCP && t.GCP != nil
	switch {
	case !known:
		return t, meter.Errorf(meter.KindCorrupt, "the frozen line does not say who is billed through %s", l.Partner)
	case t.OperationID != l.Operation || t.Dimension != l.Dimension || !t.Hour.Equal(l.Hour) || t.Quantity.Cmp(l.Quantity) != 0:
		return t, meter.Errorf(meter.KindCorrupt, "the frozen line holds another line's target: %s of %s for %s", t.Quantity, t.Dimension, t.Hour.Format(time.RFC3339))
	}
	return t, nil
}

// batchesOf sorts lines by marketplace and by what one call takes together.
// Lines that have come to their end are asked for one by one.
func batchesOf(items []item) []batch {
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.line.Partner, b.line.Partner), boolCompare(a.ended, b.ended), cmp.Compare(a.place, b.place))
	})
	var out []batch
	for i, it := range items {
		if i == 0 || it.ended || it.line.Partner != items[i-1].line.Partner || it.ended != items[i-1].ended || it.place != items[i-1].place || len(out[len(out)-1].lines) == sendBatch {
			out = append(out, batch{partner: it.line.Partner, ended: it.ended})
		}
		b := &out[len(out)-1]
		b.lines, b.targets = append(b.lines, it.line), append(b.targets, it.target)
	}
	return out
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// placeOf is what lines of one call have in common.
func placeOf(l sender.Line) string {
	switch {
	case l.AWS != nil:
		return l.AWS.Region + "/" + l.AWS.ProductCode
	case l.GCP != nil:
		return l.GCP.Service
	}
	return ""
}

// sendBatch sends a batch and books what became of it. Its calls have half of
// the lease's time, and it begins only while that is left: what cannot be
// sent under this lease is given back as it was.
func (r *Reporter) sendBatch(ctx context.Context, b batch) error {
	decisions := make([]billing.Decision, 0, len(b.lines))
	half := r.timing.Lease / 2
	if !r.o.Clock().Before(b.lines[0].LeaseUntil.Add(-half)) {
		for _, l := range b.lines {
			decisions = append(decisions, decision(l, sender.Result{Reason: l.Message}))
		}
		_, err := r.lines.DecideLines(ctx, decisions)
		return err
	}
	within, cancel := context.WithTimeout(ctx, half)
	defer cancel()
	if b.ended {
		d, err := r.end(within, b.lines[0], b.targets[0])
		if err != nil {
			return err
		}
		decisions = append(decisions, d)
	} else {
		results := r.o.Senders[b.partner].Send(within, b.targets)
		for i, result := range results {
			d, err := r.decide(within, b.lines[i], b.targets[i], result)
			if err != nil {
				return err
			}
			decisions = append(decisions, d)
		}
	}
	r.o.Fault(faultAfterSend)
	return r.book(ctx, decisions)
}

// book stores what became of lines.
func (r *Reporter) book(ctx context.Context, decisions []billing.Decision) error {
	_, err := r.lines.DecideLines(ctx, decisions)
	if err == nil {
		for _, d := range decisions {
			r.counts.add(d.Partner, d.To)
			if d.To == billing.LineSettled {
				r.settled.add(d.Organization)
			}
		}
	}
	r.o.Fault(faultAfterBook)
	return err
}

// decision starts from the line as it was before this attempt.
func decision(l billing.Line, result sender.Result) billing.Decision {
	return billing.Decision{Line: l, To: billing.LineFrozen, Maybe: l.Maybe, Grace: l.Grace, Next: l.Next, Deadline: l.Deadline,
		Message: result.Reason, Request: keep(result.Request, l.Request), Response: keep(result.Response, l.Response)}
}

func keep(fresh, had json.RawMessage) json.RawMessage {
	if fresh == nil {
		return had
	}
	return fresh
}

// decide says what an attempt within the deadline leads to.
func (r *Reporter) decide(ctx context.Context, l billing.Line, t sender.Line, result sender.Result) (billing.Decision, error) {
	d := decision(l, result)
	switch {
	case contested(&result, &l):
		d.To, d.Maybe = billing.LineParked, true
		return d, nil
	case result.Outcome == sender.Settled:
		d.To, d.Accepted = billing.LineSettled, result.Accepted
		return d, nil
	case result.Outcome == sender.Refused && result.Permanent && l.Maybe:
		return r.doubt(ctx, l, t, result)
	case result.Outcome == sender.Refused && result.Permanent:
		d.To = billing.LineRefused
		return d, nil
	case result.Outcome == sender.Refused && !l.Maybe:
		d.To = billing.LineMoved
		return d, nil
	case result.Outcome == sender.Refused: // the hour is closed, and an earlier attempt may have been in time
		return r.end(ctx, l, t)
	}
	r.again(&d, result)
	return d, nil
}

// contested says whether a marketplace holds under a line's key what this line
// cannot have left there: nothing, less than nothing, or more than was sent.
func contested(result *sender.Result, l *billing.Line) bool {
	if result.Outcome == sender.Settled && (result.Accepted.Sign() <= 0 || result.Accepted.Cmp(l.Quantity) > 0) {
		result.Contested, result.Reason = true, "the marketplace holds "+result.Accepted.String()+", "+l.Quantity.String()+" was sent"
	}
	return result.Contested
}

// again has a line sent again later.
func (r *Reporter) again(d *billing.Decision, result sender.Result) {
	l, now := &d.Line, r.o.Clock()
	d.Maybe = l.Maybe || !result.NotStored
	d.Next = now.Add(max(r.timing.backoff(l.Attempts), result.RetryAfter))
	if result.Setup {
		d.Next = now.Add(setupRetry)
	}
	if result.Suspended {
		d.Grace, d.Next = true, now.Add(graceRetry)
		if l.Partner == catalog.PartnerGCP {
			d.Deadline = l.Hour.Add(gcpGrace)
		}
	}
	if d.Next.After(d.Deadline) {
		d.Next = d.Deadline
	}
}

// doubt is what a refusal for good leads to after an attempt that may have
// been recorded: it says nothing of that one. Where the marketplace can be
// asked it is, and may have the line; else the line is sent again until its
// window closes, and then waits for a person.
func (r *Reporter) doubt(ctx context.Context, l billing.Line, t sender.Line, refusal sender.Result) (billing.Decision, error) {
	if l.Partner == catalog.PartnerAzure {
		if err := r.known(ctx, l, &t); err != nil {
			return billing.Decision{}, err
		}
		back := r.o.Senders[l.Partner].Reconcile(ctx, []sender.Line{t})[0]
		d := decision(l, back)
		switch {
		case back.Outcome == sender.Settled && !contested(&back, &l):
			d.To, d.Accepted = billing.LineSettled, back.Accepted
			return d, nil
		case back.Outcome == sender.Refused && l.Attempts > 2: // not right after the attempt that may have been recorded: it may not be seen yet
			d.To, d.Message = billing.LineRefused, refusal.Reason+"; "+back.Reason
			return d, nil
		}
	}
	refusal.Reason += ", but an attempt before may have been recorded"
	refusal.Suspended = false
	d := decision(l, refusal)
	r.again(&d, refusal)
	return d, nil
}

// end says what becomes of a line whose deadline has passed.
func (r *Reporter) end(ctx context.Context, l billing.Line, t sender.Line) (billing.Decision, error) {
	d := decision(l, sender.Result{Reason: l.Message})
	switch {
	case !l.Maybe && l.Grace:
		d.To = billing.LineRefused
		return d, nil
	case !l.Maybe && l.Partner == catalog.PartnerGCP:
		d.To, d.Message = billing.LineParked, "not reported within three hours: "+l.Message
		return d, nil
	case !l.Maybe:
		d.To, d.Message = billing.LineMoved, "its window has closed: "+l.Message
		return d, nil
	}
	if err := r.known(ctx, l, &t); err != nil {
		return d, err
	}
	to := r.o.Senders[l.Partner]
	result := to.Send(ctx, []sender.Line{t})[0] // the vendor's window is a little longer than ours
	permanent := result.Outcome == sender.Refused && result.Permanent
	if result.Outcome != sender.Settled && !result.Contested && l.Partner == catalog.PartnerAzure {
		result = to.Reconcile(ctx, []sender.Line{t})[0]
	}
	reason, now := l.Message, r.o.Clock()
	isContested := contested(&result, &l)
	d = decision(l, result)
	switch {
	case isContested:
		d.To = billing.LineParked
	case result.Outcome == sender.Settled:
		d.To, d.Accepted = billing.LineSettled, result.Accepted
	case result.Outcome == sender.Refused && l.Partner == catalog.PartnerAzure: // read back: it is not there
		d.To = billing.LineMoved
		if l.Grace || permanent {
			d.To = billing.LineRefused
		}
	case result.Outcome == sender.Refused || !now.Before(l.Deadline.Add(reconcileFor)):
		d.To, d.Message = billing.LineParked, "may have been accepted: "+reason+"; "+result.Reason
	default:
		d.Next = now.Add(setupRetry)
	}
	return d, nil
}

// known tells a line what is known of the others of its day.
func (r *Reporter) known(ctx context.Context, l billing.Line, t *sender.Line) error {
	if l.Partner != catalog.PartnerAzure {
		return nil
	}
	day, err := r.lines.LinesOfDay(ctx, l)
	if err != nil {
		return err
	}
	t.Settled, t.Undecided = meter.Decimal{}, meter.Decimal{}
	for _, other := range day {
		switch other.State {
		case billing.LineSettled:
			t.Settled = t.Settled.Add(other.Accepted)
		case billing.LineFrozen, billing.LineParked:
			t.Undecided = t.Undecided.Add(other.Quantity)
		}
	}
	return nil
}
