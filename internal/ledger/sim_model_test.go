package ledger

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// The naive model that the ledger is held against: every accepted event in a
// list, every answer worked out from the list, one event at a time.

type simEvent struct {
	meter.Event
	seq      uint64
	accepted int64  // unix ns
	voided   int64  // acceptance time of the void, 0 = none
	voidSeq  uint64 // its sequence
	content  string
}

// simItem is one event of a request, or, without one, a rejection.
type simItem struct {
	event  *meter.Event // Customer is not resolved yet
	reject string       // id of a rejected one
}

type simRequest struct {
	org    string
	atomic bool
	items  []simItem
}

// simError is one entry of a Result's Errors.
type simError struct {
	index   int
	verdict state.Verdict
}

type simJudged struct {
	accepted, duplicates, conflicts, rejected int
	errors                                    []simError
}

// simLogged is one event as Events lists it.
type simLogged struct {
	seq        uint64
	source, id string
	verdict    state.Verdict
	voided     bool
}

type simMeter struct {
	def     meter.Meter
	created uint64
}

type simOrg struct {
	name     string
	customer string // attribute
	first    map[meter.Identity]*simEvent
	accepted []*simEvent
	log      []simLogged
	counts   [4]int
	voids    int
	meters   []simMeter
}

type simModel struct{ orgs map[string]*simOrg }

func (m *simModel) org(name string) *simOrg {
	o := m.orgs[name]
	if o == nil {
		o = &simOrg{name: name, first: map[meter.Identity]*simEvent{}}
		m.orgs[name] = o
	}
	return o
}

// content is what two events of one identity are compared by.
func content(e *meter.Event) string {
	var parts []string
	for _, a := range e.Data {
		if meter.IsExtension(a.Path) {
			continue // not compared
		}
		parts = append(parts, fmt.Sprintf("%q=%d:%s:%q", a.Path, a.Value.Kind, a.Value.Num, a.Value.Str))
	}
	slices.Sort(parts)
	at := "none"
	if !e.Untimed {
		at = fmt.Sprint(e.Time.UnixNano())
	}
	return fmt.Sprintf("%q %v %q %s %s", e.Type, e.HasSubject, e.Subject, at, strings.Join(parts, ","))
}

// resolve returns the event's customer.
func (o *simOrg) resolve(e *meter.Event) string {
	if o.customer == "" {
		return e.Subject
	}
	return e.Get(o.customer).Group()
}

// judge applies a request and says what the answer must be.
func (o *simOrg) judge(r *simRequest, seq uint64, accepted int64, customers []string) simJudged {
	var out simJudged
	type row struct {
		index   int
		e       *simEvent
		verdict state.Verdict
	}
	var rows []row
	inRequest := map[meter.Identity]*simEvent{}
	refused := false
	for i, it := range r.items {
		if it.event == nil {
			out.rejected++
			out.errors = append(out.errors, simError{i, state.Rejected})
			o.log = append(o.log, simLogged{seq: seq, source: "src", id: it.reject, verdict: state.Rejected})
			refused = true
			continue
		}
		e := &simEvent{Event: *it.event, seq: seq, accepted: accepted, content: content(it.event)}
		e.Customer = customers[i]
		if e.Untimed {
			e.Time = time.Unix(0, accepted).UTC()
		}
		known := o.first[e.Identity]
		if known == nil {
			known = inRequest[e.Identity]
		}
		v := state.Accepted
		switch {
		case known == nil:
			inRequest[e.Identity] = e
		case known.content == e.content:
			v = state.Duplicate
		default:
			v, refused = state.Conflict, true
		}
		rows = append(rows, row{i, e, v})
	}
	for _, w := range rows {
		v := w.verdict
		if r.atomic && refused {
			v = state.Rejected
		}
		switch v {
		case state.Accepted:
			o.first[w.e.Identity] = w.e
			o.accepted = append(o.accepted, w.e)
			out.accepted++
		case state.Duplicate:
			out.duplicates++
		case state.Conflict:
			out.conflicts++
			out.errors = append(out.errors, simError{w.index, state.Conflict})
		default:
			out.rejected++
			out.errors = append(out.errors, simError{w.index, state.Rejected})
		}
		o.log = append(o.log, simLogged{seq: seq, source: w.e.Source, id: w.e.ID, verdict: v})
	}
	slices.SortFunc(out.errors, func(a, b simError) int { return a.index - b.index })
	for v, n := range []int{out.accepted, out.duplicates, out.conflicts, out.rejected} {
		o.counts[v] += n
	}
	return out
}

// told says of accepted events how many were given a time, and how often a meter skips one.
func (o *simOrg) told(events []*simEvent) (untimed, skipped int) {
	for _, e := range events {
		if e.Untimed {
			untimed++
		}
		for i := range o.meters {
			def := &o.meters[i].def
			if _, _, ok := simValue(def, e); !ok && e.Type == def.EventType && meter.MatchAny(def.Filters, e.Get) {
				skipped++
			}
		}
	}
	return untimed, skipped
}

// void applies a void entry.
func (o *simOrg) void(ids []meter.Identity, seq uint64, at int64) (voided, duplicates, rejected int) {
	for _, id := range ids {
		e := o.first[id]
		switch {
		case e == nil:
			rejected++
		case e.voided != 0:
			duplicates++
		default:
			e.voided, e.voidSeq = at, seq
			voided++
		}
	}
	o.voids += voided
	return voided, duplicates, rejected
}

func (o *simOrg) meter(key string) int {
	return slices.IndexFunc(o.meters, func(m simMeter) bool { return m.def.Key == key })
}

// standing returns what a meter that folded everything reports.
func (o *simOrg) standing(m *simMeter) (skipped, groups uint64) {
	seen := map[string]bool{}
	for _, e := range o.accepted {
		if e.Type != m.def.EventType || !meter.MatchAny(m.def.Filters, e.Get) || e.voidSeq != 0 && e.voidSeq < m.created {
			continue
		}
		if _, _, ok := simValue(&m.def, e); !ok {
			skipped++
			continue
		}
		if len(m.def.GroupBy) > 0 {
			seen[strings.Join(simGroup(e, m.def.GroupBy), "\xff")] = true
		}
	}
	return skipped, uint64(len(seen))
}

func simGroup(e *simEvent, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, e.Get(n).Group())
	}
	return out
}

func simValue(def *meter.Meter, e *simEvent) (q meter.Decimal, text string, ok bool) {
	switch def.Aggregation {
	case meter.AggCount:
		return meter.NewDecimal(1), "", true
	case meter.AggUniqueCount:
		text, ok = e.Get(def.Value).Text()
		return q, text, ok
	default:
		v := e.Get(def.Value)
		if v.Kind == meter.Excess || v.Kind == meter.String {
			return simExcess(def, v)
		}
		n, ok := v.Numeric()
		return n.Decimal(), "", ok
	}
}

// simExcess takes a text or a number with too many digits, with the arithmetic of math/big.
func simExcess(def *meter.Meter, v meter.Value) (q meter.Decimal, text string, ok bool) {
	if n, ok := v.Numeric(); ok {
		return n.Decimal(), "", true
	}
	r, isNumber := new(big.Rat).SetString(v.Group())
	if _, err := meter.ParseNumber(v.Group()); err != nil || !isNumber || def.Excess != meter.ExcessRound {
		return q, "", false
	}
	rounded := r.FloatString(meter.MaxFractionDigits) // half away from zero
	if exact, _ := new(big.Rat).SetString(rounded); exact != nil {
		rest := new(big.Rat).Sub(exact, r)
		half := big.NewRat(1, 2_000_000_000_000)
		if rest.Abs(rest).Cmp(half) == 0 && strings.ContainsAny(rounded[len(rounded)-1:], "13579") {
			toZero := new(big.Rat).SetFrac64(int64(-exact.Sign()), 1_000_000_000_000)
			rounded = exact.Add(exact, toZero).FloatString(meter.MaxFractionDigits)
		}
	}
	n, err := meter.ParseQuantity(rounded)
	return n.Decimal(), "", err == nil
}

// simAnswer is a Usage without its position.
type simAnswer struct {
	rows  []UsageRow
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
func (o *simOrg) usage(def *meter.Meter, q UsageQuery, now time.Time) simAnswer {
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
		row := UsageRow{Start: b.start.UTC(), End: b.end.UTC(), Group: b.group, Clipped: b.clipped}
		if simHappened(def, b, now) {
			row.Value, _ = simFigure(def, b.events, b.start, b.end, now)
		} else if _, ok := shown[strings.Join(b.group, "\xff")]; !q.FillZero || !ok {
			continue
		}
		out.rows = append(out.rows, row)
	}
	slices.SortFunc(out.rows, func(a, b UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Group, b.Group))
	})
	out.total, out.has = simFigure(def, all, q.From, q.To, now)
	return out
}

// simTakes says whether the question takes the event.
func simTakes(def *meter.Meter, q *UsageQuery, e *simEvent) bool {
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
