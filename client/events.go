package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression of event bodies.
type Compression string

// The compressions.
const (
	NoCompression Compression = ""
	Gzip          Compression = "gzip"
	Zstd          Compression = "zstd"
)

func (c Compression) valid() bool { return c == NoCompression || c == Gzip || c == Zstd }

// Event is one usage fact. Source and ID identify it for ever: an event sent
// again under them counts once.
type Event struct {
	ID      string
	Source  string
	Type    string
	Subject string    // the customer, unless the organization names another attribute; "" = none
	Time    time.Time // zero = when the server accepts the event, where the organization takes such events
	// Data is encoded as a JSON object. Give quantities that a float cannot
	// hold, such as 0.1, as json.Number or as strings.
	Data any
	// Extensions are further attributes of the envelope: texts, numbers and
	// booleans. Meters find them by name where Data has no such member.
	Extensions map[string]any
}

// MarshalJSON encodes the event as a CloudEvent.
func (e Event) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(struct {
		SpecVersion string    `json:"specversion"`
		ID          string    `json:"id"`
		Source      string    `json:"source"`
		Type        string    `json:"type"`
		Subject     string    `json:"subject,omitempty"`
		Time        time.Time `json:"time,omitzero"`
		Data        any       `json:"data,omitempty"`
	}{"1.0", e.ID, e.Source, e.Type, e.Subject, e.Time, e.Data})
	if err != nil || len(e.Extensions) == 0 {
		return b, err
	}
	more, err := json.Marshal(e.Extensions)
	if err != nil {
		return nil, err
	}
	return append(append(b[:len(b)-1], ','), more[1:]...), nil
}

// Result says what became of the events of one request. Accepted +
// Duplicates + Conflicts + Rejected is the number of events sent.
type Result struct {
	Accepted      int          `json:"accepted"`        // counted
	Duplicates    int          `json:"duplicates"`      // counted before
	Conflicts     int          `json:"conflicts"`       // not counted: same identity as an event with other content
	Rejected      int          `json:"rejected"`        // not counted: not an event that can be
	Errors        []EventError `json:"errors"`          // rejections and conflicts in order of index
	ErrorsLeftOut int          `json:"errors_left_out"` // further ones that did not fit into the answer
	Sequence      uint64       `json:"sequence"`        // place in the log, as the organization numbers it; 0 for a bound key

	TimeAssigned    int       `json:"time_assigned"`     // accepted events without a time: theirs is when they were accepted
	Warnings        []Warning `json:"warnings"`          // accepted events that a meter skipped
	WarningsLeftOut int       `json:"warnings_left_out"` // further ones that did not fit into the answer
}

// Warning says why a meter skipped an event that was accepted.
type Warning struct {
	Index  int    `json:"index"` // position in the request, from 0
	ID     string `json:"id"`
	Meter  string `json:"meter"`
	Reason string `json:"reason"`
}

// EventError says why one event was not counted.
type EventError struct {
	Index  int    `json:"index"` // position in the request, from 0
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Ingest sends events in one request (the server takes at most 20,000). When
// it returns without an error they are durable and visible to queries, but
// for those that Result names. It is repeated after 429, 503, 507 and lost
// connections; events that were counted by an attempt whose answer was lost
// come back as duplicates.
func (c *Client) Ingest(ctx context.Context, events ...Event) (Result, error) {
	return c.ingest(ctx, events, false)
}

// IngestAtomic is Ingest that counts all of the events or none: one that is
// rejected or in conflict rejects them all.
func (c *Client) IngestAtomic(ctx context.Context, events ...Event) (Result, error) {
	return c.ingest(ctx, events, true)
}

func (c *Client) ingest(ctx context.Context, events []Event, atomic bool) (Result, error) {
	if len(events) == 0 {
		return Result{}, nil
	}
	body, err := json.Marshal(events)
	if err != nil {
		return Result{}, fmt.Errorf("odometer: cannot encode the events: %w", err)
	}
	return c.IngestBody(ctx, ContentBatch, body, atomic)
}

// Content types of events that are encoded already.
const (
	ContentEvent  = "application/cloudevents+json"
	ContentBatch  = "application/cloudevents-batch+json"
	ContentNDJSON = "application/x-ndjson"
)

// IngestBody is Ingest of a body that is encoded already, in one of the
// content types above. It is compressed here, if the client is set to.
func (c *Client) IngestBody(ctx context.Context, contentType string, body []byte, atomic bool) (Result, error) {
	return c.ingestBody(ctx, contentType, body, atomic, false)
}

// IngestTimed is IngestBody, one by one, of events that must have a time: one
// without is rejected, whatever the organization's setting says. It is meant for
// events that happened before they are sent, such as those of a file.
func (c *Client) IngestTimed(ctx context.Context, contentType string, body []byte) (Result, error) {
	return c.ingestBody(ctx, contentType, body, false, true)
}

func (c *Client) ingestBody(ctx context.Context, contentType string, body []byte, atomic, timed bool) (Result, error) {
	k := call{method: http.MethodPost, path: "/api/v1/events", header: map[string]string{"Content-Type": contentType}, query: url.Values{}}
	if atomic {
		k.query.Set("atomic", "true")
	}
	if timed {
		k.query.Set("require_time", "true")
	}
	var err error
	if k.body, err = c.o.Compression.compress(body); err != nil {
		return Result{}, fmt.Errorf("odometer: cannot compress the events: %w", err)
	}
	if c.o.Compression != NoCompression {
		k.header["Content-Encoding"] = string(c.o.Compression)
	}
	var r Result
	err = c.do(ctx, k, &r)
	var said *Error
	if errors.As(err, &said) && said.Kind == Refused { // nothing counts, or the key is strict: the answer tells what became of each
		if err := json.Unmarshal(said.answer, &r); err != nil {
			return Result{}, fmt.Errorf("odometer: cannot read the answer to %s %s: %w", k.method, k.path, err)
		}
		return r, nil
	}
	return r, err
}

// zstdEncoder is used by EncodeAll only, which is safe for concurrent use.
var zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
})

func (c Compression) compress(body []byte) ([]byte, error) {
	switch c {
	case Gzip:
		var buf bytes.Buffer
		w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		_, err = w.Write(body)
		err = errors.Join(err, w.Close())
		return buf.Bytes(), err
	case Zstd:
		z, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		return z.EncodeAll(body, nil), nil
	}
	return body, nil
}

// StoredEvent is an event as the server keeps it.
type StoredEvent struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Type       string          `json:"type"`
	Subject    *string         `json:"subject"`
	Customer   string          `json:"customer"`
	Time       time.Time       `json:"time"`
	Assigned   bool            `json:"time_assigned"` // the event was sent without a time: it is AcceptedAt
	Extensions json.RawMessage `json:"extensions"`    // the extension attributes, as an object; nil if there are none
	Data       json.RawMessage `json:"data"`          // of a rejected event: the beginning of what was sent, as a string
	Verdict    Verdict         `json:"verdict"`
	Reason     string          `json:"reason"`
	Sequence   uint64          `json:"sequence"` // 0 for a bound key
	Ordinal    uint32          `json:"ordinal"`
	AcceptedAt time.Time       `json:"accepted_at"`
	Voided     *Voided         `json:"voided"`
}

// Verdict is what the server decided about an event.
type Verdict string

// The verdicts.
const (
	Accepted  Verdict = "accepted"
	Duplicate Verdict = "duplicate"
	Conflicts Verdict = "conflict"
	Rejected  Verdict = "rejected"
)

// Voided says that an event no longer counts, since when, by whom and why.
type Voided struct {
	Sequence uint64    `json:"sequence"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"` // "" for a bound key
	Reason   string    `json:"reason"`
}

// EventsQuery selects stored events; zero fields select all.
type EventsQuery struct {
	From, To time.Time // event time, half-open
	Type     string
	Subject  *string // pointing at "": events with an empty subject
	Source   string
	Verdict  Verdict
	Limit    int // events in one page; 0 = the server's
}

func (q EventsQuery) values() url.Values {
	v := url.Values{}
	setTime(v, "from", q.From)
	setTime(v, "to", q.To)
	setText(v, "type", q.Type)
	setText(v, "source", q.Source)
	setText(v, "verdict", string(q.Verdict))
	setNumber(v, "limit", q.Limit)
	if q.Subject != nil {
		v.Set("subject", *q.Subject)
	}
	return v
}

// Events yields stored events in the order of their sequence, fetching page
// after page. It ends after the first error.
func (c *Client) Events(ctx context.Context, q EventsQuery) iter.Seq2[StoredEvent, error] {
	return pages(ctx, c, "/api/v1/events", q.values(), func(p struct {
		Events []StoredEvent `json:"events"`
		next
	}) ([]StoredEvent, string) {
		return p.Events, p.NextCursor
	})
}

// Lookup is everything known of one event.
type Lookup struct {
	Event     StoredEvent    `json:"event"` // the first of its identity
	Counted   []Counted      `json:"counted"`
	Skipped   []SkippedMeter `json:"skipped"`
	Conflicts []StoredEvent  `json:"conflicts"` // later ones with other content
}

// Counted says what an event added to one meter.
type Counted struct {
	Meter string            `json:"meter"`
	Slot  time.Time         `json:"slot"`
	Group map[string]string `json:"group"`
	Value string            `json:"value"`
}

// SkippedMeter says why a meter did not count an event.
type SkippedMeter struct {
	Meter  string `json:"meter"`
	Reason string `json:"reason"`
}

// Lookup returns what is known of one event; an Error of kind NotFound if that is nothing.
func (c *Client) Lookup(ctx context.Context, source, id string) (Lookup, error) {
	var l Lookup
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/v1/events/lookup", query: url.Values{"source": {source}, "id": {id}}}, &l)
	return l, err
}
