package ledger

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

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
	verdict meter.Verdict
}

type simJudged struct {
	accepted, duplicates, conflicts, rejected int
	errors                                    []simError
}

// simLogged is one event as Events lists it.
type simLogged struct {
	seq        uint64
	source, id string
	verdict    meter.Verdict
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
		verdict meter.Verdict
	}
	var rows []row
	inRequest := map[meter.Identity]*simEvent{}
	refused := false
	for i, it := range r.items {
		if it.event == nil {
			out.rejected++
			out.errors = append(out.errors, simError{i, meter.Rejected})
			o.log = append(o.log, simLogged{seq: seq, source: "src", id: it.reject, verdict: meter.Rejected})
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
		v := meter.Accepted
		switch {
		case known == nil:
			inRequest[e.Identity] = e
		case known.content == e.content:
			v = meter.Duplicate
		default:
			v, refused = meter.Conflict, true
		}
		rows = append(rows, row{i, e, v})
	}
	for _, w := range rows {
		v := w.verdict
		if r.atomic && refused {
			v = meter.Rejected
		}
		switch v {
		case meter.Accepted:
			o.first[w.e.Identity] = w.e
			o.accepted = append(o.accepted, w.e)
			out.accepted++
		case meter.Duplicate:
			out.duplicates++
		case meter.Conflict:
			out.conflicts++
			out.errors = append(out.errors, simError{w.index, meter.Conflict})
		default:
			out.rejected++
			out.errors = append(out.errors, simError{w.index, meter.Rejected})
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
