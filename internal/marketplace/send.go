package marketplace

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/marketplace/sender"
	"odometer/internal/meter"
)

// target is a frozen line in the form in which it is stored and sent.
type target = sender.Line

// send leases lines that are due and sends them, until none is due.
func (r *Reporter) send(ctx context.Context, now time.Time, want func(*catalog.Line) bool) error {
	able := func(l *catalog.Line) bool { return want(l) && r.o.Senders[l.Partner] != nil }
	for {
		lines, err := r.o.Catalog.LeaseLines(ctx, r.o.Owner, now, now.Add(r.timing.Lease), leaseBatch, able)
		if err != nil || len(lines) == 0 {
			return err
		}
		r.o.Fault(FaultBeforeSend)
		if err := r.sendAll(ctx, now, lines); err != nil {
			return err
		}
	}
}

// sendAll sends leased lines in batches, several at once.
func (r *Reporter) sendAll(ctx context.Context, now time.Time, lines []catalog.Line) error {
	batches := r.batches(now, lines)
	work := make(chan batch)
	var workers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(sendWorkers, len(batches)) {
		workers.Go(func() {
			for b := range work {
				if err := r.sendBatch(ctx, now, b); err != nil {
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
	ended   bool // past their deadline
	lines   []catalog.Line
	targets []sender.Line
}

// batches sorts lines by marketplace and by what one call takes together.
func (r *Reporter) batches(now time.Time, lines []catalog.Line) []batch {
	type item struct {
		line   catalog.Line
		target sender.Line
		place  string
		ended  bool
	}
	items := make([]item, len(lines))
	for i, l := range lines {
		items[i] = item{line: l, ended: !now.Before(l.Deadline)}
		if err := json.Unmarshal(l.Target, &items[i].target); err != nil {
			r.logger.Error("a frozen line cannot be read", "operation", l.Operation, "error", err)
		}
		items[i].place = placeOf(items[i].target)
	}
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.line.Partner, b.line.Partner), boolCompare(a.ended, b.ended), cmp.Compare(a.place, b.place))
	})
	var out []batch
	for i, it := range items {
		if i == 0 || it.line.Partner != items[i-1].line.Partner || it.ended != items[i-1].ended || it.place != items[i-1].place || len(out[len(out)-1].lines) == sendBatch {
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

func (r *Reporter) sendBatch(ctx context.Context, now time.Time, b batch) error {
	decisions := make([]catalog.Decision, 0, len(b.lines))
	if b.ended {
		for i := range b.lines {
			d, err := r.end(ctx, now, b.lines[i], b.targets[i])
			if err != nil {
				return err
			}
			decisions = append(decisions, d)
		}
	} else {
		results := r.o.Senders[b.partner].Send(ctx, b.targets)
		for i, result := range results {
			d, err := r.decide(ctx, now, b.lines[i], b.targets[i], result)
			if err != nil {
				return err
			}
			decisions = append(decisions, d)
		}
	}
	r.o.Fault(FaultAfterSend)
	_, err := r.o.Catalog.DecideLines(ctx, decisions)
	if err == nil {
		for _, d := range decisions {
			r.counts.add(d.Partner, d.To)
		}
	}
	r.o.Fault(FaultAfterBook)
	return err
}

// decision starts from the line as it was before this attempt.
func decision(l catalog.Line, result sender.Result) catalog.Decision {
	return catalog.Decision{Line: l, To: catalog.LineFrozen, Maybe: l.Maybe, Grace: l.Grace, Next: l.Next, Deadline: l.Deadline,
		Message: result.Reason, Request: keep(result.Request, l.Request), Response: keep(result.Response, l.Response)}
}

func keep(fresh, had json.RawMessage) json.RawMessage {
	if fresh == nil {
		return had
	}
	return fresh
}

// decide says what an attempt within the deadline leads to.
func (r *Reporter) decide(ctx context.Context, now time.Time, l catalog.Line, t sender.Line, result sender.Result) (catalog.Decision, error) {
	d := decision(l, result)
	switch {
	case result.Outcome == sender.Settled:
		d.To, d.Accepted = catalog.LineSettled, result.Accepted
	case result.Outcome == sender.Refused && result.Permanent && result.Suspended && l.Maybe:
		return r.end(ctx, now, l, t)
	case result.Outcome == sender.Refused && result.Permanent:
		d.To = catalog.LineRefused
	case result.Outcome == sender.Refused && !l.Maybe:
		d.To = catalog.LineMoved
	case result.Outcome == sender.Refused: // the hour is closed, and an earlier attempt may have been in time
		return r.end(ctx, now, l, t)
	default:
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
	return d, nil
}

// end says what becomes of a line whose deadline has passed.
func (r *Reporter) end(ctx context.Context, now time.Time, l catalog.Line, t sender.Line) (catalog.Decision, error) {
	d := decision(l, sender.Result{Reason: l.Message})
	switch {
	case !l.Maybe && l.Grace:
		d.To = catalog.LineRefused
		return d, nil
	case !l.Maybe && l.Partner == catalog.PartnerGCP:
		d.To, d.Message = catalog.LineParked, "not reported within three hours: "+l.Message
		return d, nil
	case !l.Maybe:
		d.To, d.Message = catalog.LineMoved, "its window has closed: "+l.Message
		return d, nil
	}
	if err := r.known(ctx, l, &t); err != nil {
		return d, err
	}
	to := r.o.Senders[l.Partner]
	result := to.Send(ctx, []sender.Line{t})[0] // the vendor's window is a little longer than ours
	if result.Outcome != sender.Settled && l.Partner == catalog.PartnerAzure {
		result = to.Reconcile(ctx, []sender.Line{t})[0]
	}
	reason := l.Message
	d = decision(l, result)
	switch {
	case result.Outcome == sender.Settled:
		d.To, d.Accepted = catalog.LineSettled, result.Accepted
	case result.Outcome == sender.Refused && l.Partner == catalog.PartnerAzure: // read back: it is not there
		d.To = catalog.LineMoved
		if l.Grace || result.Permanent {
			d.To = catalog.LineRefused
		}
	case result.Outcome == sender.Refused || !now.Before(l.Deadline.Add(reconcileFor)):
		d.To, d.Message = catalog.LineParked, "may have been accepted: "+reason+"; "+result.Reason
	default:
		d.Next = now.Add(setupRetry)
	}
	return d, nil
}

// known tells a line what is known of the others of its day.
func (r *Reporter) known(ctx context.Context, l catalog.Line, t *sender.Line) error {
	if l.Partner != catalog.PartnerAzure {
		return nil
	}
	day, err := r.o.Catalog.LinesOfDay(ctx, l)
	if err != nil {
		return err
	}
	t.Settled, t.Undecided = meter.Decimal{}, meter.Decimal{}
	for _, other := range day {
		switch other.State {
		case catalog.LineSettled:
			t.Settled = t.Settled.Add(other.Accepted)
		case catalog.LineFrozen, catalog.LineParked:
			t.Undecided = t.Undecided.Add(other.Quantity)
		}
	}
	return nil
}
