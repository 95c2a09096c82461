package loadgen

import (
	"fmt"
	"strconv"

	"odometer/internal/meter"
)

// What an event that is drawn has beside the fields of every event. The
// placeholders have the width of what replaces them.
const (
	customerPlaceholder = "0000000"
	servicePlaceholder  = "00000000"
	drawnSources        = 16
)

// drawn is what a stream needs to draw customer and service of each event.
//
// Service number s belongs to customer s modulo Customers, and customer c to
// organization c modulo Organizations.
type drawn struct {
	conn          int
	keys          []string // of the organizations; nil = one, whose key is in the bodies
	keyAt         int      // where the key starts in each body's header
	customers     uint32
	services      uint32 // of one organization
	organizations uint32
}

// drawnFields is what a body of drawn events knows beside its ids and times.
type drawnFields struct {
	customers []int // where each event's customer number starts in raw
	services  []int
	values    [][len(valueNames)]int64 // of each event
	all       OrganizationTotals       // of the whole body
}

// OrganizationTotals is what was sent to one organization of a plan whose
// events are drawn, counting each identity once, by value in the order of valueNames.
type OrganizationTotals struct {
	Events uint64                 `json:"events"`
	Sum    [len(valueNames)]int64 `json:"sum"`
	Max    [len(valueNames)]int64 `json:"max"`
	Min    [len(valueNames)]int64 `json:"min"`
	Last   [len(valueNames)]int64 `json:"last"` // of the event with the greatest time, source and id
	latest latest
}

// latest orders events as LAST does.
type latest struct {
	millis uint64 // since Plan.Start
	source int
	hi, lo uint64 // of the id
}

func (l latest) before(o latest) bool {
	if l.millis != o.millis {
		return l.millis < o.millis
	}
	if l.source != o.source {
		return l.source < o.source
	}
	if l.hi != o.hi {
		return l.hi < o.hi
	}
	return l.lo < o.lo
}

func (t *OrganizationTotals) add(o *OrganizationTotals) {
	if o.Events == 0 {
		return
	}
	if t.Events == 0 {
		*t = *o
		return
	}
	t.Events += o.Events
	for v := range valueNames {
		t.Sum[v] += o.Sum[v]
		t.Max[v] = max(t.Max[v], o.Max[v])
		t.Min[v] = min(t.Min[v], o.Min[v])
	}
	if t.latest.before(o.latest) {
		t.Last, t.latest = o.Last, o.latest
	}
}

// oneEvent is an event's totals.
func oneEvent(values [len(valueNames)]int64) OrganizationTotals {
	return OrganizationTotals{Events: 1, Sum: values, Max: values, Min: values, Last: values}
}

// want is the total that a meter must have, "" where there is nothing to aggregate.
func (t *OrganizationTotals) want(m drawnMeter) string {
	if m.aggregation == "COUNT" {
		return strconv.FormatUint(t.Events, 10)
	}
	if m.aggregation != "SUM" && t.Events == 0 {
		return ""
	}
	of := map[string]int64{"SUM": t.Sum[m.value], "MAX": t.Max[m.value], "MIN": t.Min[m.value], "LAST": t.Last[m.value]}
	if m.aggregation == "AVG" {
		return meter.NewDecimal(t.Sum[m.value]).Quo(meter.NewDecimal(int64(t.Events))).String()
	}
	return strconv.FormatInt(of[m.aggregation], 10)
}

func newDrawn(plan Plan, conn int, target Target) *drawn {
	p := plan.Profile
	return &drawn{conn: conn, keys: target.keys, keyAt: len(target.beforeKey()), customers: uint32(p.Customers),
		services: uint32(p.Services / p.organizations()), organizations: uint32(p.organizations())}
}

// fillDrawn is fill for a plan whose events are drawn. What is counted of a
// request is known before: only what it repeats is looked at by the event.
func (s *stream) fillDrawn(n uint64, count bool) *body {
	variants := uint64(len(s.bodies))
	b, d := &s.bodies[n%variants], s.drawn
	organization := s.plan.organizationOf(d.conn, n)
	if d.keys != nil {
		copy(b.raw[d.keyAt:], d.keys[organization])
	}
	batch := uint64(len(b.ids))
	mayRepeat := s.plan.Profile.Duplicates > 0 && n >= variants
	sent := b.drawn.all // less what is repeated
	var last latest
	lastAt := -1
	for i := range b.ids {
		of := n
		for mayRepeat && of >= variants && s.repeats(of*batch+uint64(i)) {
			of -= variants // the event at this position of the request before with this body
		}
		hi, lo, millis := s.draw(b, i, of*batch+uint64(i), uint32(organization))
		if of != n {
			sent.Events--
			for v, value := range b.drawn.values[i] {
				sent.Sum[v] -= value
			}
			continue
		}
		if millis >= last.millis {
			hi, lo = uuidWords(hi, lo)
			if l := (latest{millis, i % drawnSources, hi, lo}); lastAt < 0 || last.before(l) {
				last, lastAt = l, i
			}
		}
	}
	if count {
		s.totals.Duplicates += batch - sent.Events
		s.totals.Events += sent.Events
		s.totals.Bytes += sent.Sum[0]
		if lastAt >= 0 {
			sent.Last, sent.latest = b.drawn.values[lastAt], last
			s.totals.Organizations[organization].add(&sent)
		}
	}
	return b
}

// draw writes the event of that number over position i of the body, and
// returns its id and time.
func (s *stream) draw(b *body, i int, event uint64, organization uint32) (hi, lo, millis uint64) {
	hi = mix(s.key + event)
	lo = mix(hi ^ s.key)
	at := mix(lo)
	putUUID(b.raw[b.ids[i]:], hi, lo)
	second, milli := at>>32*s.span>>32, at&0xffff*1000>>16
	s.putTime(b.raw[b.times[i]:], second, milli)
	d := s.drawn
	service := organization + d.organizations*uint32(mix(at)>>32*uint64(d.services)>>32)
	putDigits7(b.raw[b.drawn.customers[i]:], service%d.customers)
	putDigits8(b.raw[b.drawn.services[i]:], service)
	return hi, lo, second*1000 + milli
}

// appendDrawn appends event i of a body.
func (s *stream) appendDrawn(events []byte, b *body, i int, draw func(int) int) []byte {
	d := &b.drawn
	values := [len(valueNames)]int64{int64(draw(1_000_000)), int64(draw(1000)), int64(draw(60_000))}
	place := func(at *[]int, placeholder string) {
		*at = append(*at, len(events))
		events = append(events, placeholder...)
	}
	events = append(events, `{"specversion":"1.0","id":"`...)
	place(&b.ids, idPlaceholder)
	events = fmt.Appendf(events, `","source":"edge/fra-%02d","type":"%s","subject":"customer-`, i%drawnSources, s.plan.EventType())
	place(&d.customers, customerPlaceholder)
	events = append(events, `","time":"`...)
	place(&b.times, timePlaceholder)
	events = append(events, `","data":{"service":"service-`...)
	place(&d.services, servicePlaceholder)
	events = fmt.Appendf(events, `","region":"%s","bytes":%d,"requests":%d,"millis":%d,"status":200}}`,
		regionNames[draw(s.plan.Profile.Regions)], values[0], values[1], values[2])
	d.values = append(d.values, values)
	one := oneEvent(values)
	d.all.add(&one)
	return events
}

// putDigits7 and putDigits8 write a number with leading zeros.
func putDigits7(dst []byte, v uint32) {
	_ = dst[6]
	dst[0] = '0' + byte(v/1_000_000)
	putDigits6(dst[1:], v%1_000_000)
}

func putDigits8(dst []byte, v uint32) {
	_ = dst[7]
	*(*[2]byte)(dst) = decimalPairs[v/1_000_000]
	putDigits6(dst[2:], v%1_000_000)
}

func putDigits6(dst []byte, v uint32) {
	_ = dst[5]
	*(*[2]byte)(dst) = decimalPairs[v/10_000]
	*(*[2]byte)(dst[2:]) = decimalPairs[v/100%100]
	*(*[2]byte)(dst[4:]) = decimalPairs[v%100]
}
