package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

// simAnswer is a Usage without its position.
type simAnswer struct {
	rows  []meter.UsageRow
	total meter.Decimal
	has   bool
}

// simBucket collects the events of one window and group.
type simBucket struct {
	start, end time.Time
	clipped    bool
	group      []string
	events     []*simEvent
}

// usage answers a question from the list of events.
func (o *simOrg) usage(def *meter.Meter, q meter.UsageQuery, now time.Time) simAnswer {
	if !q.AsOf.IsZero() && q.AsOf.Before(now) {
		now = q.AsOf
	}
	loc := q.Location
	if loc == nil {
		loc = time.UTC
	}
	buckets := map[string]*simBucket{}
	var all []*simEvent
	bucket := func(at time.Time, group []string) *simBucket {
		b := simBucket{start: q.From, end: q.To, group: group}
		if q.Window != "" {
			b.start, b.end = q.Window.Start(at, loc), q.Window.Next(at, loc)
			b.clipped = b.start.Before(q.From) || b.end.After(q.To)
			b.start, b.end = later(b.start, q.From).UTC(), earlier(b.end, q.To).UTC()
		}
		key := fmt.Sprint(b.start.UnixNano(), "\xff", strings.Join(group, "\xff"))
		if buckets[key] == nil {
			buckets[key] = &b
		}
		return buckets[key]
	}
	for _, e := range o.accepted {
		if !simTakes(def, &q, e) {
			continue
		}
		all = append(all, e)
		b := bucket(e.Time, simGroup(e, q.GroupBy))
		b.events = append(b.events, e)
	}
	shown := map[string][]string{} // groups in which anything counts
	if len(q.GroupBy) == 0 {
		shown[""] = nil
	}
	for _, b := range buckets {
		if simHappened(def, b, now) {
			shown[strings.Join(b.group, "\xff")] = b.group
		}
	}
	for _, g := range shown {
		for at := q.From; q.FillZero && at.Before(q.To); {
			at = bucket(at, g).end
		}
	}
	var out simAnswer
	for _, b := range buckets {
		row := meter.UsageRow{Start: b.start.UTC(), End: b.end.UTC(), Group: b.group, Clipped: b.clipped}
		if simHappened(def, b, now) {
			row.Value, _ = simFigure(def, b.events, b.start, b.end, now)
		} else if _, ok := shown[strings.Join(b.group, "\xff")]; !q.FillZero || !ok {
			continue
		}
		out.rows = append(out.rows, row)
	}
	slices.SortFunc(out.rows, func(a, b meter.UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Group, b.Group))
	})
	out.total, out.has = simFigure(def, all, q.From, q.To, now)
	return out
}

// simTakes says whether the question takes the event.
func simTakes(def *meter.Meter, q *meter.UsageQuery, e *simEvent) bool {
	if !q.AsOf.IsZero() && e.accepted > q.AsOf.UnixNano() {
		return false
	}
	if q.AsOfSequence != 0 && e.seq > q.AsOfSequence {
		return false
	}
	if e.voided != 0 && (q.AsOf.IsZero() || e.voided <= q.AsOf.UnixNano()) && (q.AsOfSequence == 0 || e.voidSeq <= q.AsOfSequence) {
		return false
	}
	if e.Type != def.EventType || !meter.MatchAny(def.Filters, e.Get) || e.Time.Before(q.From) || !e.Time.Before(q.To) {
		return false
	}
	if _, _, ok := simValue(def, e); !ok {
		return false
	}
	for _, f := range q.Filters {
		if !slices.Contains(f.Values, e.Get(f.Attribute).Group()) {
			return false
		}
	}
	return q.Customer == nil || e.Customer == *q.Customer
}

// simHappened says whether anything of the bucket counts: for sampled meters
// an event in a whole sample that has ended.
func simHappened(def *meter.Meter, b *simBucket, now time.Time) bool {
	if !def.Sampled() {
		return len(b.events) > 0
	}
	return slices.ContainsFunc(b.events, func(e *simEvent) bool {
		s := e.Time.Truncate(def.SlotWidth())
		return !s.Before(b.start) && !s.Add(def.SlotWidth()).After(earlier(b.end, now))
	})
}

// simFigure aggregates events over a range.
func simFigure(def *meter.Meter, events []*simEvent, from, to, now time.Time) (meter.Decimal, bool) {
	if def.Sampled() {
		return simElement(def, events, from, to, now)
	}
	var sum, lo, hi meter.Decimal
	var last *simEvent
	set := map[string]bool{}
	for i, e := range events {
		q, text, _ := simValue(def, e)
		set[text] = true
		sum = sum.Add(q)
		if i == 0 || q.Cmp(lo) < 0 {
			lo = q
		}
		if i == 0 || q.Cmp(hi) > 0 {
			hi = q
		}
		if last == nil || cmp.Or(e.Time.Compare(last.Time), e.Identity.Compare(last.Identity)) > 0 {
			last = e
		}
	}
	some := len(events) > 0
	switch def.Aggregation {
	case meter.AggCount, meter.AggSum:
		return sum, true
	case meter.AggUniqueCount:
		return meter.NewDecimal(int64(len(set))), true
	case meter.AggMin:
		return lo, some
	case meter.AggMax:
		return hi, some
	case meter.AggAvg:
		if some {
			sum = sum.Quo(meter.NewDecimal(int64(len(events))))
		}
		return sum, some
	default:
		if !some {
			return meter.Decimal{}, false
		}
		q, _, _ := simValue(def, last)
		return q, true
	}
}

// simElement takes the percentile or peak of the whole samples that have ended.
func simElement(def *meter.Meter, events []*simEvent, from, to, now time.Time) (meter.Decimal, bool) {
	width := int64(def.SlotWidth())
	at := floorDiv(from.UnixNano(), width)
	if at*width < from.UnixNano() {
		at++
	}
	last := floorDiv(earlier(to, now).UnixNano(), width) // first sample that has not ended
	n := last - at
	if n <= 0 {
		return meter.Decimal{}, false
	}
	sums := map[int64]meter.Decimal{}
	for _, e := range events {
		s := floorDiv(e.Time.UnixNano(), width)
		if s >= at && s < last {
			q, _, _ := simValue(def, e)
			sums[s] = sums[s].Add(q)
		}
	}
	var sorted []meter.Decimal
	zeros := n - int64(len(sums))
	for _, v := range sums {
		sorted = append(sorted, v)
	}
	slices.SortFunc(sorted, meter.Decimal.Cmp)
	rank := n
	if def.Aggregation == meter.AggPercentile {
		p := meter.NewDecimal(0)
		if d, err := meter.ParseDecimal(string(def.Percentile)); err == nil {
			p = d
		}
		tenths, exact := p.Mul(meter.NewDecimal(10)).Int64()
		if !exact {
			panic("the model knows percentiles with one decimal")
		}
		rank = (tenths*n + 999) / 1000
	}
	// The zeros lie after the negative sums.
	below := int64(0)
	for _, v := range sorted {
		if v.Sign() < 0 {
			below++
		}
	}
	var v meter.Decimal
	switch {
	case rank <= below:
		v = sorted[rank-1]
	case rank <= below+zeros:
	default:
		v = sorted[rank-1-zeros]
	}
	if def.Rate {
		v = v.Quo(meter.NewDecimal(width / int64(time.Second)))
	}
	return v, true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
