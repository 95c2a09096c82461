package ledger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the questions, wherever the tests run

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// long says that the heavy form of the tests was asked for.
func long() bool { return os.Getenv("ODOMETER_SIM_LONG") != "" }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

func mustQuantity(tb testing.TB, s string) meter.Quantity {
	tb.Helper()
	q, err := meter.ParseQuantity(s)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

var (
	simTypes   = []string{"edge.request", "edge.log", "cpu"}
	simOrgs    = []string{"default", "acme", "a", "ac"}
	simAttrs   = []string{"service", "region", "contract", "net.kind", "tier", "customer", "tenantid"}
	simValues  = []string{"bytes", "net.bytes", "size"}
	simFrom    = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	simTo      = time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC)
	simNumbers = []string{"0", "1", "-1", "2.5", "0.000000000001", "-0.1", "1000", "99999999999999999999999999.999999999999",
		"-99999999999999999999999999.999999999999", "12345678901234567890.123456789012"}
	simZones = loadZones("UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin", "America/New_York", "America/St_Johns", "Pacific/Apia")
)

func loadZones(names ...string) []*time.Location {
	var out []*time.Location
	for _, n := range names {
		loc, err := time.LoadLocation(n)
		if err != nil {
			panic(err)
		}
		out = append(out, loc)
	}
	return out
}

// randomTime is mostly in the simulated weeks, often near a boundary.
func randomTime(r *rand.Rand) time.Time {
	switch r.IntN(40) {
	case 0:
		return time.Unix(0, 0).UTC()
	case 1:
		return time.Date(1999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	case 2:
		return time.Date(2031, 2, 1, 0, 0, 0, 0, time.UTC)
	}
	t := simFrom.Add(time.Duration(r.Int64N(int64(simTo.Sub(simFrom)))))
	switch r.IntN(6) {
	case 0:
		t = t.Truncate(15 * time.Minute)
	case 1:
		t = t.Truncate(time.Hour).Add(-1)
	case 2: // around a change of the clock
		t = pick(r, time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC)).
			Add(time.Duration(r.IntN(240)-120) * time.Minute)
	}
	return t
}

func randomNumber(r *rand.Rand) meter.Quantity {
	if chance(r, 25) {
		q, _ := meter.ParseQuantity(pick(r, simNumbers...))
		return q
	}
	q, _ := meter.ParseQuantity(fmt.Sprintf("%d.%03d", r.IntN(2000)-200, r.IntN(1000)))
	return q
}

func randomScalar(r *rand.Rand) meter.Value {
	switch r.IntN(10) {
	case 0:
		return pick(r, meter.Value{Kind: meter.Null}, meter.Value{Kind: meter.Excess, Str: "1e999999999"}, meter.Value{Kind: meter.Excess, Str: "10000000000001e-13"})
	case 1:
		return meter.BoolValue(chance(r, 50))
	case 2:
		return meter.Value{Kind: meter.JSON, Str: pick(r, "[]", "[1,2]", "{}")}
	case 3:
		return meter.StringValue("")
	case 4:
		return meter.NumberValue(meter.QuantityFromInt64(int64(r.IntN(4))))
	default:
		return meter.StringValue(pick(r, "1", "2", "x", "y", "z", "ü", "1.0"))
	}
}

// randomExcess is a number beyond the limits of a quantity, as a number or as a text.
func randomExcess(r *rand.Rand) meter.Value {
	text := pick(r, "0.30000000000000004", "1e26", "-1e-13", "1e-20", "25e-13", "15e-13", "-3.0000000000025", "99999999999999999999999999.9999999999995", "-1e40",
		"12.3456789012345678901234567890", "0.0000000000005")
	if chance(r, 20) {
		return meter.StringValue(text)
	}
	v, err := meter.ParseNumber(text)
	if err != nil {
		panic(err)
	}
	return v
}

// randomAmount is a value to aggregate: mostly a number.
func randomAmount(r *rand.Rand) meter.Value {
	switch r.IntN(12) {
	case 0:
		return meter.StringValue(randomNumber(r).String())
	case 3:
		return randomExcess(r)
	case 1:
		return meter.StringValue(pick(r, "12 ", "abc", "", "100000000000000000000000000", "1e2"))
	case 2:
		return randomScalar(r)
	default:
		return meter.NumberValue(randomNumber(r))
	}
}

// randomEvent is the content that an identity has in this history.
func randomEvent(r *rand.Rand, id meter.Identity) meter.Event {
	e := meter.Event{Identity: id, Type: pick(r, simTypes...), Time: randomTime(r)}
	if chance(r, 15) {
		e.Time, e.Untimed = time.Time{}, true
	}
	if chance(r, 90) {
		e.HasSubject, e.Subject = true, pick(r, "c1", "c2", "c3", "c4", "")
	}
	put := func(path string, v meter.Value) { e.Data = append(e.Data, meter.Attribute{Path: path, Value: v}) }
	for _, name := range []string{"service", "region", "contract", "tier", "account"} {
		if chance(r, 80) {
			put(name, randomScalar(r))
		}
	}
	for _, name := range []string{"bytes", "size"} {
		if chance(r, 90) {
			put(name, randomAmount(r))
		}
	}
	if chance(r, 60) {
		put(meter.JoinPath("net", "kind"), randomScalar(r))
	}
	if chance(r, 70) {
		put(meter.JoinPath("net", "bytes"), randomAmount(r))
	}
	if chance(r, 5) {
		put("net.bytes", randomAmount(r)) // the literal name comes first
	}
	if chance(r, 5) {
		put(meter.JoinPath("net.kind", "deep"), randomScalar(r)) // net.kind is an object here
	}
	for _, name := range []string{"tenantid", "service", "tier", "net.kind", "bytes", "account"} {
		if chance(r, 10) {
			v := randomScalar(r)
			if name == "bytes" {
				v = randomAmount(r)
			}
			if v.Kind != meter.Null {
				put(meter.ExtensionPrefix+name, v)
			}
		}
	}
	if chance(r, 3) {
		put(meter.JoinPath("tenantid", "inner"), randomScalar(r)) // an object, which comes before the extension
	}
	return e
}

// altered is, mostly, another content for the same identity.
func altered(r *rand.Rand, e meter.Event) meter.Event {
	e.Data = slices.Clone(e.Data)
	switch r.IntN(5) {
	case 4: // the same content: extension attributes are not compared
		e.Data = append(e.Data, meter.Attribute{Path: meter.ExtensionPrefix + "trace", Value: meter.NumberValue(randomNumber(r))})
	case 0:
		if e.Untimed {
			e.Time, e.Untimed = randomTime(r), false
		} else if chance(r, 30) {
			e.Time, e.Untimed = time.Time{}, true
		} else {
			e.Time = e.Time.Add(1)
		}
	case 1:
		e.Type += "2"
	case 2:
		e.HasSubject, e.Subject = true, e.Subject+"'"
	default:
		e.Data = append(e.Data, meter.Attribute{Path: "other", Value: meter.NumberValue(meter.QuantityFromInt64(int64(r.IntN(1000))))})
	}
	return e
}

func randomMeter(r *rand.Rand, key string) meter.Meter {
	m := meter.Meter{Key: key, EventType: pick(r, simTypes...),
		Aggregation: pick(r, meter.AggCount, meter.AggSum, meter.AggMin, meter.AggMax, meter.AggAvg, meter.AggUniqueCount, meter.AggLast, meter.AggPercentile, meter.AggPeak)}
	if m.Aggregation != meter.AggCount {
		m.Value = pick(r, simValues...)
	}
	if m.Aggregation == meter.AggUniqueCount && chance(r, 70) {
		m.Value = pick(r, simAttrs...)
	}
	for _, at := range r.Perm(len(simAttrs)) {
		if len(m.GroupBy) < 4 && chance(r, 45) {
			m.GroupBy = append(m.GroupBy, simAttrs[at])
		}
	}
	for chance(r, 30) {
		var alternatives []meter.Filter
		for range 1 + r.IntN(2) {
			alternatives = append(alternatives, randomFilter(r))
		}
		m.Filters = append(m.Filters, alternatives)
	}
	if m.Aggregation != meter.AggCount && m.Aggregation != meter.AggUniqueCount {
		m.Excess = pick(r, "", meter.ExcessSkip, meter.ExcessRound)
	}
	if m.Sampled() {
		m.Rate = chance(r, 50)
		m.Sample = pick(r, 0, meter.Duration(time.Minute), meter.Duration(10*time.Minute), meter.Duration(time.Hour), meter.Duration(24*time.Hour))
	}
	if m.Aggregation == meter.AggPercentile {
		m.Percentile = pick(r, "", meter.Percentage("50"), "99.9", "100", "0.1", "90")
	}
	return m
}

// kindred makes a meter one of the family of another.
func kindred(r *rand.Rand, m meter.Meter, of *meter.Meter) meter.Meter {
	m.EventType, m.GroupBy, m.Filters = of.EventType, of.GroupBy, of.Filters
	if chance(r, 40) {
		key := m.Key
		m = *of
		m.Key = key
	}
	return m
}

func randomFilter(r *rand.Rand) meter.Filter {
	f := meter.Filter{Attribute: pick(r, "service", "region", "net.kind", "tier", "customer", "bytes", "size", "tenantid"),
		Op: pick(r, meter.OpIs, meter.OpNotIs, meter.OpContains, meter.OpNotContains, meter.OpExists, meter.OpNotExists,
			meter.OpGT, meter.OpGTE, meter.OpLT, meter.OpLTE, meter.OpEq, meter.OpNotEq)}
	switch f.Op {
	case meter.OpExists, meter.OpNotExists:
	case meter.OpGT, meter.OpGTE, meter.OpLT, meter.OpLTE:
		f.Value = pick(r, meter.NumberValue(meter.QuantityFromInt64(int64(r.IntN(500)))), randomExcess(r))
	case meter.OpContains, meter.OpNotContains:
		f.Value = meter.StringValue(pick(r, "1", "x", "c"))
	default:
		f.Value = pick(r, meter.StringValue("1"), meter.StringValue("x"), meter.StringValue("c1"), meter.NumberValue(meter.QuantityFromInt64(1)), meter.BoolValue(true), randomExcess(r))
	}
	return f
}

// randomQuestion asks a meter anything that the model can answer in time.
func randomQuestion(r *rand.Rand, org string, def *meter.Meter, moments []time.Time, sequence uint64) meter.UsageQuery {
	q := meter.UsageQuery{Organization: org, Meter: def.Key, From: randomTime(r), To: randomTime(r), Location: pick(r, simZones...)}
	if chance(r, 40) {
		q.From, q.To = simFrom, simTo
	}
	if !q.From.Before(q.To) {
		q.From, q.To = q.To, q.From.Add(1)
	}
	q.Window = pick(r, "", "", meter.Window5m, meter.Window15m, meter.WindowHour, meter.WindowHour, meter.WindowDay, meter.WindowDay, meter.WindowWeek, meter.WindowMonth, meter.WindowYear)
	if month := 40 * 24 * time.Hour; q.To.Sub(q.From) > month && (def.Sampled() || q.Window != "" && q.Window != meter.WindowYear) {
		q.To = q.From.Add(month) // what the limits of an answer allow
	}
	q.FillZero = chance(r, 15)
	names := def.GroupBy
	if chance(r, 20) || len(names) == 0 {
		names = simAttrs
	}
	for _, at := range r.Perm(len(names)) {
		switch r.IntN(4) {
		case 0:
			q.GroupBy = append(q.GroupBy, names[at])
		case 1:
			if len(q.Filters) < 2 {
				q.Filters = append(q.Filters, meter.AttrFilter{Attribute: names[at], Values: []string{pick(r, "1", "2", "x", "c1", ""), pick(r, "y", "z", "c2", "nobody", "true")}})
			}
		}
	}
	if q.FillZero && q.Window == meter.Window5m {
		q.GroupBy = nil
	}
	if chance(r, 10) {
		q.Customer = pick(r, new(string), ptr("c1"), ptr("nobody"))
	}
	switch {
	case len(moments) > 0 && chance(r, 25):
		q.AsOf = moments[r.IntN(len(moments))].Add(time.Duration(r.IntN(3) - 1))
	case chance(r, 25): // often a late one: cells may still answer
		q.AsOfSequence = sequence - min(sequence-1, uint64(r.IntN(pick(r, 3, int(sequence)))))
	}
	return q
}

func ptr[T any](v T) *T { return &v }

// stageRequest stages a request as a client would have sent it.
func stageRequest(tb testing.TB, l *Ledger, req *simRequest) *block.Builder {
	tb.Helper()
	b := l.Builder(req.org)
	for _, it := range req.items {
		if it.event == nil {
			b.Reject(it.reject, "src", "not an event: "+it.reject, []byte(`{"id":"`+it.reject+`"}`))
			continue
		}
		b.Begin()
		for _, a := range it.event.Data {
			at := b.Attr([]byte(a.Path))
			switch a.Value.Kind {
			case meter.String:
				b.PutString(at, []byte(a.Value.Str))
			case meter.Number:
				b.PutNumber(at, a.Value.Num)
			case meter.Excess:
				b.PutExcess(at, []byte(a.Value.Str))
			case meter.JSON:
				b.PutJSON(at, []byte(a.Value.Str))
			default:
				b.PutLiteral(at, a.Value.Kind)
			}
		}
		e := it.event
		env := block.Envelope{Source: []byte(e.Source), ID: []byte(e.ID), Type: []byte(e.Type), Subject: []byte(e.Subject), HasSubject: e.HasSubject, Untimed: e.Untimed}
		if !e.Untimed {
			env.Time = e.Time.UnixNano()
		}
		if err := b.Commit(&env); err != nil {
			tb.Fatal(err)
		}
	}
	b.SetAtomic(req.atomic)
	return b
}

// describeQuestion prints a question so that a failure can be asked again.
func describeQuestion(q *meter.UsageQuery) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s [%s, %s) window %q in %s by %q filters %q fill %v", q.Organization, q.Meter, q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano),
		q.Window, q.Location, q.GroupBy, q.Filters, q.FillZero)
	if q.Customer != nil {
		fmt.Fprintf(&b, " customer %q", *q.Customer)
	}
	if !q.AsOf.IsZero() {
		fmt.Fprintf(&b, " as of %s", q.AsOf.Format(time.RFC3339Nano))
	}
	if q.AsOfSequence != 0 {
		fmt.Fprintf(&b, " as of sequence %d", q.AsOfSequence)
	}
	return b.String()
}
