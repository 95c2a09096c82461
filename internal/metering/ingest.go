package metering

import (
	"context"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Mode says how a body holds its events; see cloudevents.Mode.
type Mode = cloudevents.Mode

// The modes.
const (
	Auto   = cloudevents.Auto   // an array or one event
	Single = cloudevents.Single // one event
	Batch  = cloudevents.Batch  // an array of events
	NDJSON = cloudevents.NDJSON // one event a line
)

// IsJSON reports whether a media type means JSON.
func IsJSON(mediaType string) bool { return cloudevents.IsJSON(mediaType) }

// Result answers one request with events; see ledger.Result.
type Result = ledger.Result

// EventError says why one event was not counted; see ledger.EventError.
type EventError = ledger.EventError

// Ingest stores, judges and counts the events of one request. When it
// returns without an error they are durable and visible. An error means that
// nothing of the request was stored; per-event problems are in the Result.
// body is not kept.
func (s *Service) Ingest(ctx context.Context, p Principal, body []byte, mode Mode, atomic bool) (Result, error) {
	return s.ingest(ctx, p, body, mode, atomic, !s.ledger.TimeAssigned(p.Organization))
}

// IngestTimed is Ingest that rejects events without a time, whatever the
// organization says of them: those of a file did not happen when it is read.
func (s *Service) IngestTimed(ctx context.Context, p Principal, body []byte, mode Mode, atomic bool) (Result, error) {
	return s.ingest(ctx, p, body, mode, atomic, true)
}

func (s *Service) ingest(ctx context.Context, p Principal, body []byte, mode Mode, atomic, requireTime bool) (Result, error) {
	if err := p.may(catalog.ActionIngest); err != nil {
		return Result{}, err
	}
	staged, err := s.ledger.Stage(ctx, len(body))
	if err != nil {
		return Result{}, err
	}
	defer staged()
	b := s.ledger.Builder(p.Organization)
	b.SetAtomic(atomic)
	limits := s.limits.Events
	limits.RequireTime = requireTime
	if err := cloudevents.Decode(body, mode, s.now(), limits, b); err != nil {
		s.ledger.Discard(b)
		return Result{}, err
	}
	if p.Customer != "" {
		if err := onlyCustomer(b.Rows(), p.Customer); err != nil {
			s.ledger.Discard(b)
			return Result{}, err
		}
	}
	r, err := s.ledger.Append(ctx, b)
	if err == nil && p.Customer != "" {
		sealConflicts(r.Errors)
		for i := range r.Warnings {
			r.Warnings[i].Meter = "" // a bound key is told of its events, not of what the organization has
		}
	}
	return r, err
}

// onlyCustomer refuses a request that holds another customer's event, whole:
// a bound key writes for its customer as it reads for it.
func onlyCustomer(rows *block.Rows, customer string) error {
	for i := range rows.N {
		if c, _ := rows.Customers.At(i); string(c) != customer {
			return meter.Errorf(meter.KindForbidden,
				"event %d is of another customer than the key's; nothing of the request was counted", rows.Index[i])
		}
	}
	return nil
}

// sealConflicts keeps from a bound key what its event conflicts with: the
// first one may be another customer's.
func sealConflicts(errs []EventError) {
	for i := range errs {
		if errs[i].Verdict == ledger.Conflict {
			errs[i].Reason = "conflict: an event of this source and id was counted before with other content"
		}
	}
}
