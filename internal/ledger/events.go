package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// Events lists stored events in order of sequence, with their verdicts;
// rejections of a block come after its events.
func (l *Ledger) Events(ctx context.Context, q meter.EventsQuery) (meter.EventsPage, error) {
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	if limit < 0 || limit > l.limits.EventsPage {
		return meter.EventsPage{}, meter.Errorf(meter.KindInvalid, "limit %d: want 1 to %d", q.Limit, l.limits.EventsPage)
	}
	seq, ord, err := parseEventsCursor(q.Cursor)
	if err != nil {
		return meter.EventsPage{}, err
	}
	if o := l.peekOrg(q.Organization); o != nil {
		if err := o.stoppedError(); err != nil {
			return meter.EventsPage{}, err
		}
	}
	done, err := l.read()
	if err != nil {
		return meter.EventsPage{}, err
	}
	defer done()
	v := l.view()
	defer v.release()
	room := l.newReading(q.Organization)
	defer room.release()
	e := &eventLister{l: l, room: room, q: q, limit: limit, from: math.MinInt64, to: math.MaxInt64}
	if !q.From.IsZero() {
		e.from = clampNanos(q.From)
	}
	if !q.To.IsZero() {
		e.to = clampNanos(q.To)
	}
	err = v.headers(q.Organization, seq, math.MaxUint64, func(h *block.Header) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !e.may(h) {
			return true, nil
		}
		start := uint32(0)
		if h.Sequence == seq {
			start = ord
		}
		return e.block(h, start)
	})
	return e.page, l.tellDamage(q.Organization, err)
}

func clampNanos(t time.Time) int64 {
	switch {
	case t.Before(minTime):
		return math.MinInt64
	case t.After(maxTime):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// A cursor is the place of the next event: sequence and ordinal. Rejections
// have the ordinals after the rows'.
func parseEventsCursor(s string) (uint64, uint32, error) {
	if s == "" {
		return 0, 0, nil
	}
	b, ok := meter.ReadCursor(s)
	if !ok || len(b) != 12 {
		return 0, 0, meter.Errorf(meter.KindInvalid, "the cursor is not one of this list")
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), nil
}

func eventsCursor(seq uint64, ord uint32) string {
	return meter.WriteCursor(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, seq), ord))
}

type eventLister struct {
	l        *Ledger
	room     *reading
	bytes    int64 // of the page
	q        meter.EventsQuery
	limit    int
	from, to int64
	page     meter.EventsPage
}

// may says whether the block can hold anything that is asked for.
func (e *eventLister) may(h *block.Header) bool {
	if h.Kind != block.KindEvents {
		return false
	}
	wantRejected := e.q.Verdict == nil || *e.q.Verdict == meter.Rejected
	if h.Rejected > 0 && wantRejected {
		return true
	}
	return h.Rows > 0 && h.MaxTime >= e.from && h.MinTime < e.to
}

// block lists one block from an ordinal on; more is false when the page is full.
func (e *eventLister) block(h *block.Header, start uint32) (more bool, err error) {
	rows, done, err := e.room.rows(h, e.l.cachedRows)
	if err != nil {
		return false, err
	}
	defer done()
	verdicts, err := e.l.storedVerdicts(h.Sequence, rows.N)
	if err != nil {
		return false, err
	}
	voids, err := e.l.voidsOf(h.Sequence)
	if err != nil {
		return false, err
	}
	for i := start; i < uint32(rows.N); i++ {
		if !e.matches(rows, int(i), verdicts[i]) {
			continue
		}
		r := e.l.record(h, rows, int(i), verdicts[i])
		if n, ok := voids[i]; ok {
			r.Voided = voidRecord(&n)
		}
		if !e.add(r) {
			return false, nil
		}
	}
	return e.rejections(h, rows, start)
}

// recordBytes is what an event takes in a page.
func recordBytes(r *meter.EventRecord) int64 {
	return int64(len(r.ID)+len(r.Source)+len(r.Type)+len(r.Customer)+len(r.Data)+len(r.Reason)) + 256
}

// add puts an event into the page; false when the page is full in number or bytes.
func (e *eventLister) add(r meter.EventRecord) bool {
	e.bytes += recordBytes(&r)
	if len(e.page.Events) == e.limit || len(e.page.Events) > 0 && e.bytes > e.l.limits.PageBytes {
		e.page.NextCursor = eventsCursor(r.Sequence, r.Ordinal)
		return false
	}
	e.page.Events = append(e.page.Events, r)
	return true
}

func (e *eventLister) matches(rows *block.Rows, i int, v meter.Verdict) bool {
	if e.q.Verdict != nil && *e.q.Verdict != v {
		return false
	}
	if t := rows.Times[i]; t < e.from || t >= e.to {
		return false
	}
	text := func(d *block.Dict) string { s, _ := d.At(i); return string(s) }
	return (e.q.Type == "" || text(&rows.Types) == e.q.Type) &&
		(e.q.Source == "" || text(&rows.Sources) == e.q.Source) &&
		(e.q.Subject == nil || text(&rows.Subjects) == *e.q.Subject) &&
		(e.q.Customer == nil || text(&rows.Customers) == *e.q.Customer)
}

// rejections lists what could not be read. It has no time, type or customer,
// so a list filtered by those leaves it out.
func (e *eventLister) rejections(h *block.Header, rows *block.Rows, start uint32) (bool, error) {
	if e.q.Verdict != nil && *e.q.Verdict != meter.Rejected || e.q.Type != "" || e.q.Subject != nil || e.q.Customer != nil || !e.q.From.IsZero() || !e.q.To.IsZero() {
		return true, nil
	}
	ord := uint32(rows.N)
	for i := range rows.Requests {
		for _, rej := range rows.Requests[i].Rejections {
			at := ord
			ord++
			if at < start || e.q.Source != "" && rej.Source != e.q.Source {
				continue
			}
			raw, err := json.Marshal(strings.ToValidUTF8(string(rej.Raw), "\uFFFD"))
			if err != nil {
				return false, err
			}
			if !e.add(meter.EventRecord{ID: rej.ID, Source: rej.Source, Data: raw, Verdict: meter.Rejected, Reason: rej.Reason, Sequence: h.Sequence, Ordinal: at, AcceptedAt: h.Accepted}) {
				return false, nil
			}
		}
	}
	return true, nil
}

// record describes one row of a block.
func (l *Ledger) record(h *block.Header, rows *block.Rows, i int, v meter.Verdict) meter.EventRecord {
	text := func(d *block.Dict) string { s, _ := d.At(i); return string(s) }
	r := meter.EventRecord{ID: string(rows.IDs.At(i)), Source: text(&rows.Sources), Type: text(&rows.Types), Customer: text(&rows.Customers),
		Time: time.Unix(0, rows.Times[i]).UTC(), TimeAssigned: rows.Untimed(i), Extensions: rows.ExtensionsJSON(i, nil), Data: rows.DataJSON(i, nil), Verdict: v, Sequence: h.Sequence, Ordinal: uint32(i), AcceptedAt: h.Accepted}
	if s, ok := rows.Subjects.At(i); ok {
		subject := string(s)
		r.Subject = &subject
	}
	switch v {
	case meter.Duplicate:
		r.Reason = "the same source and id were accepted before with the same content"
	case meter.Conflict:
		r.Reason = "the same source and id were accepted before with other content"
	case meter.Rejected:
		r.Reason = "atomic: another event of the request was refused"
	}
	return r
}

// Lookup returns what is known of one identity: its event, what it counted
// towards, and later events of the same identity with other content.
// KindNotFound if no event of it was ever accepted.
func (l *Ledger) Lookup(_ context.Context, org, source, id string) (meter.LookupResult, error) {
	done, err := l.read()
	if err != nil {
		return meter.LookupResult{}, err
	}
	defer done()
	out, err := l.lookup(org, source, id)
	return out, l.tellDamage(org, err)
}

func (l *Ledger) lookup(org, source, id string) (meter.LookupResult, error) {
	var out meter.LookupResult
	notFound := meter.Errorf(meter.KindNotFound, "there is no event with this source and id")
	o := l.peekOrg(org)
	if o == nil {
		return out, notFound
	}
	if err := o.stoppedError(); err != nil {
		return out, err
	}
	hash := l.key.Identity(org, source, id)
	var seq uint64
	var ord uint32
	var ok bool
	err := l.onFold(func() error {
		e, found, err := l.ids.Lookup(hash, 0)
		seq, ord, ok = e.Seq, e.Ord, found
		return err
	})
	if err != nil {
		return out, err
	}
	if !ok {
		return out, notFound
	}
	h, rows, err := l.rowsAt(seq)
	if err != nil {
		return out, err
	}
	if out.Event, err = l.recordAt(h, rows, ord); err != nil {
		return out, err
	}
	if out.Event.Voided == nil {
		if err := l.countedTowards(&out, o, rows, int(ord)); err != nil {
			return out, err
		}
	}
	out.Conflicts, err = l.conflictsOf(org, hash)
	return out, err
}

func (l *Ledger) rowsAt(seq uint64) (*block.Header, *block.Rows, error) {
	h, err := l.header(seq)
	if err != nil {
		return nil, nil, err
	}
	rows, err := l.cachedRows(&h)
	return &h, rows, err
}

func (l *Ledger) recordAt(h *block.Header, rows *block.Rows, ord uint32) (meter.EventRecord, error) {
	if int(ord) >= rows.N {
		return meter.EventRecord{}, meter.Errorf(meter.KindCorrupt, "block %d has %d events, the identity index names event %d", h.Sequence, rows.N, ord)
	}
	verdicts, err := l.storedVerdicts(h.Sequence, rows.N)
	if err != nil {
		return meter.EventRecord{}, err
	}
	r := l.record(h, rows, int(ord), verdicts[ord])
	voids, err := l.voidsOf(h.Sequence)
	if n, ok := voids[ord]; ok {
		r.Voided = voidRecord(&n)
	}
	return r, err
}

// countedTowards says, meter by meter, what the event added and where.
func (l *Ledger) countedTowards(out *meter.LookupResult, o *orgState, rows *block.Rows, ord int) error {
	l.mu.RLock()
	defs := make([]meter.Meter, len(o.meters))
	for i, m := range o.meters {
		defs[i] = m.record.Meter
	}
	l.mu.RUnlock()
	e := rows.Event(ord)
	var eval evaluator
	eval.reset(rows, newScanTexts(nil))
	for _, def := range defs {
		if def.EventType != e.Type {
			continue
		}
		eval.trim()
		take := make([]bool, rows.N)
		take[ord] = true
		if !eval.match(&def, take) {
			out.Skipped = append(out.Skipped, meter.SkippedMeter{Meter: def.Key, Reason: "its filters leave the event out"})
			continue
		}
		ms, err := eval.measure(&def)
		if err != nil {
			return err
		}
		if !ms.has(ord) {
			out.Skipped = append(out.Skipped, meter.SkippedMeter{Meter: def.Key, Reason: skipReason(&def, &e)})
			continue
		}
		c := meter.Counted{Meter: def.Key, Slot: time.Unix(0, floorDiv(rows.Times[ord], int64(def.SlotWidth()))*int64(def.SlotWidth())).UTC(), Group: map[string]string{}, Value: "1"}
		for _, g := range def.GroupBy {
			c.Group[g] = e.Get(g).Group()
		}
		switch {
		case ms.values != nil:
			c.Value = ms.quantity(ord).String()
		case ms.texts != nil:
			c.Value = e.Get(def.Value).Group()
		}
		out.Counted = append(out.Counted, c)
	}
	return nil
}

// maxConflictsListed bounds the conflicts that one Lookup lists, as Limits.PageBytes does.
const maxConflictsListed = 100

// errEnough ends a scan early.
var errEnough = errors.New("enough")

func (l *Ledger) conflictsOf(org string, hash block.Hash) ([]meter.EventRecord, error) {
	prefix := state.AppendHash(state.OrgKey(state.KeyConflict, org, ""), hash)
	var keys []string
	l.mu.RLock()
	for _, d := range []*delta{l.frozen, l.active} {
		if d != nil {
			for _, n := range d.notes {
				if len(keys) < maxConflictsListed && bytes.HasPrefix(n.key, prefix) {
					keys = append(keys, string(n.key))
				}
			}
		}
	}
	l.mu.RUnlock()
	most := len(keys) + maxConflictsListed
	err := l.scanState(prefix, func(key, _ []byte) error {
		if len(keys) == most {
			return errEnough
		}
		keys = append(keys, string(key))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	var out []meter.EventRecord
	var size int64
	for _, k := range keys[:min(len(keys), maxConflictsListed)] {
		tail := []byte(k[len(prefix):])
		if len(tail) != 12 {
			return nil, meter.Errorf(meter.KindCorrupt, "a conflict record is damaged")
		}
		h, rows, err := l.rowsAt(binary.BigEndian.Uint64(tail))
		if err != nil {
			return nil, err
		}
		r, err := l.recordAt(h, rows, binary.BigEndian.Uint32(tail[8:]))
		if err != nil {
			return nil, err
		}
		if size += recordBytes(&r); size > l.limits.PageBytes && len(out) > 0 {
			break
		}
		out = append(out, r)
	}
	return out, nil
}
