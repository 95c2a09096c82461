// Package cloudevents reads CloudEvents 1.0 in JSON straight into the columns
// of a block.Builder: one event, a batch, or one event a line.
//
//	body ─► decoder ─► block.Builder
//	          │  shape: the keys of the event before, which the next event
//	          │         most likely repeats byte by byte
//	          └─ an event that cannot be counted: Builder.Reject with its reason
//
// The decoder checks everything in one pass: JSON's grammar, UTF-8, duplicate
// keys, nesting, numbers and the limits. Only an event that fails is read a
// second time, to find its end and its id.
package cloudevents

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Limits bounds what is accepted. The zero value of a field means its default.
type Limits struct {
	EventsPerRequest int // more make the whole request KindTooLarge; at most block.MaxRows
	IDBytes          int
	SourceBytes      int
	TypeBytes        int
	SubjectBytes     int
	Attributes       int           // leaves of an event's data, and likewise its extension attributes
	NameBytes        int           // an attribute's name, one key
	StringBytes      int           // an attribute's text
	JSONBytes        int           // an array's canonical text
	Depth            int           // objects and arrays around a value, data itself included
	PastAge          time.Duration // how far an event's time may lie back
	FutureAge        time.Duration // how far an event's time may lie ahead
	RequireTime      bool          // events without a time are rejected
	RefuseExcess     bool          // and so are those with a number beyond the limits of a quantity
	ReservedSource   string        // sources that begin so are refused; "" = none
}

// DefaultLimits returns the limits of semantics 3 and those of this package.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		EventsPerRequest: 20_000,
		IDBytes:          256, SourceBytes: 512, TypeBytes: 512, SubjectBytes: 512,
		Attributes: 128, NameBytes: 256, StringBytes: 32 << 10, JSONBytes: 32 << 10, Depth: 16,
		PastAge: 3653 * day, FutureAge: day,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ field, def *int }{
		{&l.EventsPerRequest, &d.EventsPerRequest}, {&l.IDBytes, &d.IDBytes}, {&l.SourceBytes, &d.SourceBytes},
		{&l.TypeBytes, &d.TypeBytes}, {&l.SubjectBytes, &d.SubjectBytes}, {&l.Attributes, &d.Attributes},
		{&l.NameBytes, &d.NameBytes}, {&l.StringBytes, &d.StringBytes}, {&l.JSONBytes, &d.JSONBytes}, {&l.Depth, &d.Depth},
	} {
		if *f.field == 0 {
			*f.field = *f.def
		}
	}
	l.EventsPerRequest = min(l.EventsPerRequest, block.MaxRows)
	if l.PastAge == 0 {
		l.PastAge = d.PastAge
	}
	if l.FutureAge == 0 {
		l.FutureAge = d.FutureAge
	}
	return l
}

// Mode says how a body holds its events.
type Mode uint8

// The modes and their content types.
const (
	Auto   Mode = iota // application/json: an array or one event
	Single             // application/cloudevents+json
	Batch              // application/cloudevents-batch+json
	NDJSON             // application/x-ndjson: one event a line
)

// byteOrderMark may precede a body: some programs write it before any UTF-8.
var byteOrderMark = []byte("\ufeff")

// keptScratch bounds the scratch a decoder keeps; nothing else of it grows
// with the size of an event.
const keptScratch = 1 << 20

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Decode stages the events of a body in b. Events that are sound JSON but
// cannot be counted, and in NDJSON any bad line, are given to b.Reject in
// their place. An error means that b must be dropped and nothing counts:
// KindInvalid when the body cannot be read as events at all, KindTooLarge when
// it holds more than one request may. The body is not kept.
func Decode(body []byte, mode Mode, now time.Time, lim Limits, b *block.Builder) error {
	d := decoders.Get().(*decoder)
	defer func() {
		d.buf, d.b, d.env = nil, nil, block.Envelope{}
		if cap(d.scratch) <= keptScratch && cap(d.decoded) <= keptScratch {
			decoders.Put(d)
		}
	}()
	d.reset(body, now, lim.withDefaults(), b)
	return d.body(mode)
}

// body reads the whole body.
func (d *decoder) body(mode Mode) error {
	if bytes.HasPrefix(d.buf, byteOrderMark) {
		d.pos = len(byteOrderMark)
	}
	if mode == NDJSON {
		return d.lines()
	}
	d.space()
	if d.pos == len(d.buf) {
		return meter.Errorf(meter.KindInvalid, "the body is empty")
	}
	array := d.buf[d.pos] == '['
	switch {
	case mode == Batch && !array:
		return meter.Errorf(meter.KindInvalid, "the body is not a JSON array of events")
	case mode == Single && array:
		return meter.Errorf(meter.KindInvalid, "the body is a JSON array: send a batch as application/cloudevents-batch+json")
	case array:
		return d.batch()
	}
	return d.single()
}

func (d *decoder) reset(body []byte, now time.Time, lim Limits, b *block.Builder) {
	d.buf, d.pos, d.lim, d.b = body, 0, lim, b
	nanos := now.UnixNano()
	d.minTime, d.maxTime = nanos-int64(lim.PastAge), nanos+int64(lim.FutureAge)
	if d.minTime > nanos {
		d.minTime = math.MinInt64
	}
	if d.maxTime < nanos {
		d.maxTime = math.MaxInt64
	}
}

// single reads a body that is one event.
func (d *decoder) single() error {
	if c := d.buf[d.pos]; c != '{' {
		return meter.Errorf(meter.KindInvalid, "the body is not a JSON object")
	}
	if err := d.element(); err != nil {
		return err
	}
	d.space()
	if d.pos != len(d.buf) {
		return d.malformed(d.pos, "more text after the event; several events are a JSON array, or application/x-ndjson")
	}
	return nil
}

// batch reads a body that is an array of events.
func (d *decoder) batch() error {
	d.pos++ // '['
	d.space()
	if d.pos < len(d.buf) && d.buf[d.pos] == ']' {
		d.pos++
		return d.end()
	}
	for {
		if err := d.element(); err != nil {
			return err
		}
		d.space()
		if d.pos == len(d.buf) {
			return d.malformed(d.pos, "the array has no end")
		}
		switch d.buf[d.pos] {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			return d.end()
		default:
			return d.malformed(d.pos, "want ',' or ']' after an event")
		}
	}
}

// end checks that only space is left.
func (d *decoder) end() error {
	d.space()
	if d.pos != len(d.buf) {
		return d.malformed(d.pos, "more text after the array")
	}
	return nil
}

// element stages or rejects the JSON value at pos and goes behind it.
func (d *decoder) element() error {
	if d.b.Events() >= d.lim.EventsPerRequest {
		return d.tooMany()
	}
	start := d.pos
	d.b.Progress(start, len(d.buf)-start)
	if d.event() {
		return d.b.Commit(&d.env)
	}
	d.b.Abort()
	reason := d.reason
	v := validator{buf: d.buf, pos: start}
	if !v.value() {
		return d.malformed(v.pos, v.reason)
	}
	d.reject(d.buf[start:v.pos], reason)
	d.pos = v.pos
	return nil
}

// lines reads a body of one event a line.
func (d *decoder) lines() error {
	body := d.buf
	for start := d.pos; start < len(body); {
		end := len(body)
		if i := bytes.IndexByte(body[start:], '\n'); i >= 0 {
			end = start + i
		}
		d.buf, d.pos = body[:end], start
		d.space()
		if d.pos < end {
			d.b.Progress(start, len(body)-start)
			if err := d.line(); err != nil {
				return err
			}
		}
		start = end + 1
	}
	return nil
}

// line stages or rejects the event that starts at pos and ends with buf.
func (d *decoder) line() error {
	if d.b.Events() >= d.lim.EventsPerRequest {
		return d.tooMany()
	}
	start := d.pos
	ok := d.event()
	if ok {
		if d.space(); d.pos == len(d.buf) {
			return d.b.Commit(&d.env)
		}
		d.fail("malformed JSON: more text after the event on its line")
	}
	d.b.Abort()
	d.reject(d.buf[start:], d.reason)
	return nil
}

func (d *decoder) reject(raw []byte, reason string) {
	id, source := identify(raw, d.lim)
	d.b.Reject(id, source, reason, raw)
}

func (d *decoder) tooMany() error {
	return meter.Errorf(meter.KindTooLarge, "more than %d events in one request", d.lim.EventsPerRequest)
}

func (d *decoder) malformed(at int, reason string) error {
	return meter.Errorf(meter.KindInvalid, "malformed JSON at byte %d of the body: %s", at, reason)
}

// fail notes why the current event is rejected. It returns false.
func (d *decoder) fail(format string, args ...any) bool {
	d.reason = fmt.Sprintf(format, args...)
	return false
}
