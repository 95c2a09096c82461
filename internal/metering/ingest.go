package metering

import (
	"context"
	"odometer/internal/access"

	"odometer/internal/cloudevents"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Ingest stores, judges and counts the events of one request. When it
// returns without an error they are durable and visible. An error means that
// nothing of the request was stored; per-event problems are in the Result.
// body is not kept.
func (s *Service) Ingest(ctx context.Context, p access.Principal, body []byte, mode cloudevents.Mode, atomic bool) (meter.Result, error) {
	return s.ingest(ctx, p, body, mode, atomic, !s.ledger.TimeAssigned(p.Organization))
}

// IngestTimed is Ingest that rejects events without a time, whatever the
// organization says of them: those of a file did not happen when it is read.
func (s *Service) IngestTimed(ctx context.Context, p access.Principal, body []byte, mode cloudevents.Mode, atomic bool) (meter.Result, error) {
	return s.ingest(ctx, p, body, mode, atomic, true)
}

func (s *Service) ingest(ctx context.Context, p access.Principal, body []byte, mode cloudevents.Mode, atomic, requireTime bool) (meter.Result, error) {
	if err := p.May(access.ActionIngest); err != nil {
		return meter.Result{}, err
	}
	staged, err := s.ledger.Stage(ctx, len(body))
	if err != nil {
		return meter.Result{}, err
	}
	defer staged()
	b := s.ledger.Builder(p.Organization)
	b.SetAtomic(atomic)
	limits := s.limits.Events
	limits.RequireTime = requireTime
	limits.ReservedSource = access.InternalSource
	if err := cloudevents.Decode(body, mode, s.now(), limits, b); err != nil {
		s.ledger.Discard(b)
		return meter.Result{}, err
	}
	if p.Customer != "" {
		if err := s.onlyOwn(b.Rows(), p); err != nil {
			s.ledger.Discard(b)
			return meter.Result{}, err
		}
	}
	if p.Customer != "" {
		r, err := s.ledger.AppendSealed(ctx, b)
		r.Sequence = 0
		for i := range r.Warnings {
			r.Warnings[i].Meter = "" // a bound key is told of its events, not of what the organization has
		}
		return r, err
	}
	r, err := s.ledger.Append(ctx, b)
	places := s.placesOf(p.Organization)
	r.Sequence = places.number(r.Sequence)
	for i := range r.Errors {
		r.Errors[i].First.Sequence = places.number(r.Errors[i].First.Sequence)
	}
	return r, err
}

// onlyOwn refuses a request that holds another customer's event, whole: a
// bound key writes for its customer as it reads for it. An event of a source
// that is not the customer's would take ids away from whose it is.
func (s *Service) onlyOwn(rows *block.Rows, p access.Principal) error {
	var last string
	for i := range rows.N {
		if c, _ := rows.Customers.At(i); string(c) != p.Customer {
			return meter.Errorf(meter.KindForbidden,
				"event %d is of another customer than the key's; nothing of the request was counted", rows.Index[i])
		}
		source, _ := rows.Sources.At(i)
		if i > 0 && string(source) == last {
			continue
		}
		last = string(source)
		if p.Sources != "" && !p.Sources.Holds(last) || p.Sources == "" && s.keys.ClaimedByOther(p.Organization, p.Customer, last) {
			return meter.Errorf(meter.KindForbidden,
				"event %d is of a source that this key may not send; nothing of the request was counted", rows.Index[i])
		}
	}
	return nil
}
