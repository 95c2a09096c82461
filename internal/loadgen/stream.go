package loadgen

import (
	"fmt"
	"strconv"
	"time"
)

// sampleSeconds is the sample of the percentile meter.
const sampleSeconds = 300

// stream makes the requests of one connection, in order.
type stream struct {
	plan     Plan
	key      uint64 // of this connection's ids
	bodies   []body
	days     []string // "2006-01-02" of each day of the span, from the day of Start
	startSec uint64   // second of the first day at which the span starts
	span     uint64   // seconds
	slotSec  uint64   // seconds of the first sample that lie before Start

	drawn  *drawn // nil if customers and services are those of the bodies
	totals Totals
}

// body is one prepared request; only the ids and times in it ever change, and
// what is drawn anew.
type body struct {
	raw    []byte // header and body
	header int    // length of the header
	ids    []int  // where each event's id starts in raw
	times  []int  // where each event's time starts in raw
	bytes  []int64
	drawn  drawnFields // of a plan whose events are drawn
}

// Totals is what was sent, counting each identity once.
type Totals struct {
	Events uint64 `json:"events"`
	Bytes  int64  `json:"bytes"`
	// SampleBytes sums bytes per 5-minute sample; the first sample holds Plan.Start.
	SampleBytes []int64 `json:"sample_bytes"`
	Duplicates  uint64  `json:"duplicates"` // events that repeated an earlier one
	// Organizations has the totals by organization, of a plan whose events are drawn.
	Organizations []OrganizationTotals `json:"organizations,omitempty"`
}

func (t *Totals) add(o *Totals) {
	t.Events += o.Events
	t.Bytes += o.Bytes
	t.Duplicates += o.Duplicates
	if t.SampleBytes == nil {
		t.SampleBytes = make([]int64, len(o.SampleBytes))
	}
	for i, v := range o.SampleBytes {
		t.SampleBytes[i] += v
	}
	if t.Organizations == nil {
		t.Organizations = make([]OrganizationTotals, len(o.Organizations))
	}
	for i := range o.Organizations {
		t.Organizations[i].add(&o.Organizations[i])
	}
}

// newStream builds the bodies of one connection.
func newStream(plan Plan, conn int, target Target) *stream {
	start := plan.Start()
	firstDay := start.Truncate(24 * time.Hour)
	s := &stream{
		plan:     plan,
		key:      mix(mix(plan.Seed) ^ uint64(plan.Base.Unix())<<16 ^ uint64(conn)),
		startSec: uint64(start.Sub(firstDay) / time.Second),
		span:     uint64(plan.Profile.Span / time.Second),
		slotSec:  uint64(start.Unix()) % sampleSeconds,
	}
	for day := firstDay; day.Before(plan.Base); day = day.AddDate(0, 0, 1) {
		s.days = append(s.days, day.Format(time.DateOnly))
	}
	if plan.Profile.Drawn {
		s.drawn = newDrawn(plan, conn, target)
		s.totals.Organizations = make([]OrganizationTotals, plan.Profile.organizations())
	} else {
		s.totals.SampleBytes = make([]int64, (s.slotSec+s.span)/sampleSeconds+1)
	}
	random := mix(s.key ^ 0xb0d1)
	for range plan.Profile.Variants {
		s.bodies = append(s.bodies, s.build(target.head(), &random))
	}
	return s
}

// The placeholders have the width of what replaces them.
const (
	idPlaceholder   = "00000000-0000-4000-8000-000000000000"
	timePlaceholder = "2006-01-02T15:04:05.000Z"
)

// build makes a body. head is the request up to its content headers.
func (s *stream) build(head string, random *uint64) body {
	p := s.plan.Profile
	draw := func(n int) int {
		*random = mix(*random)
		return int(*random >> 32 * uint64(n) >> 32)
	}
	var events []byte
	var b body
	for i := range p.Batch {
		if i > 0 {
			events = append(events, ',')
		}
		if p.Drawn {
			events = s.appendDrawn(events, &b, i, draw)
			continue
		}
		service, region, bytes := draw(p.Services), draw(p.Regions), int64(draw(1_000_000))
		events = append(events, `{"specversion":"1.0","id":"`...)
		b.ids = append(b.ids, len(events))
		events = append(events, idPlaceholder...)
		events = fmt.Appendf(events, `","source":"edge/fra-%02d","type":"%s","subject":"customer-%04d","time":"`,
			service%16, s.plan.EventType(), service%p.Customers)
		b.times = append(b.times, len(events))
		events = append(events, timePlaceholder...)
		events = fmt.Appendf(events, `","data":{"service":"service-%05d","region":"%s","bytes":%d,"status":200}}`,
			service, regionNames[region], bytes)
		b.bytes = append(b.bytes, bytes)
	}
	contentType, before, after := "application/cloudevents-batch+json", "[", "]"
	if p.Batch == 1 {
		contentType, before, after = "application/cloudevents+json", "", ""
	}
	b.raw = append(b.raw, head...)
	b.raw = append(b.raw, "Content-Type: "+contentType+"\r\nContent-Length: "...)
	b.raw = strconv.AppendInt(b.raw, int64(len(before)+len(events)+len(after)), 10)
	b.raw = append(b.raw, "\r\n\r\n"...)
	b.header = len(b.raw)
	b.raw = append(b.raw, before...)
	for i := range b.ids {
		b.ids[i] += len(b.raw)
		b.times[i] += len(b.raw)
	}
	for i := range b.drawn.values {
		b.drawn.customers[i] += len(b.raw)
		b.drawn.services[i] += len(b.raw)
	}
	b.raw = append(b.raw, events...)
	b.raw = append(b.raw, after...)
	return b
}

// fill makes request number n of this stream and returns it; it is valid
// until the next request of the same variant. If count, its new events go
// into the totals.
func (s *stream) fill(n uint64, count bool) *body {
	if s.drawn != nil {
		return s.fillDrawn(n, count)
	}
	variants := uint64(len(s.bodies))
	b := &s.bodies[n%variants]
	batch := uint64(len(b.ids))
	for i := range b.ids {
		of := n
		for s.plan.Profile.Duplicates > 0 && of >= variants && s.repeats(of*batch+uint64(i)) {
			of -= variants // the event at this position of the request before with this body
		}
		hi := mix(s.key + of*batch + uint64(i))
		lo := mix(hi ^ s.key)
		putUUID(b.raw[b.ids[i]:], hi, lo)
		at := mix(lo)
		second := at >> 32 * s.span >> 32
		s.putTime(b.raw[b.times[i]:], second, at&0xffff*1000>>16)
		if !count {
			continue
		}
		if of != n {
			s.totals.Duplicates++
			continue
		}
		s.totals.Events++
		s.totals.Bytes += b.bytes[i]
		s.totals.SampleBytes[(s.slotSec+second)/sampleSeconds] += b.bytes[i]
	}
	return b
}

// repeats tells whether the event of that number is a duplicate.
func (s *stream) repeats(event uint64) bool {
	return mix(event^s.key>>1)&0xffff*1000>>16 < uint64(s.plan.Profile.Duplicates)
}

const hexDigits = "0123456789abcdef"

var hexPairs = func() (pairs [256][2]byte) {
	for i := range pairs {
		pairs[i] = [2]byte{hexDigits[i>>4], hexDigits[i&15]}
	}
	return pairs
}()

// uuidWords makes two words those of a version 4 UUID.
func uuidWords(hi, lo uint64) (uint64, uint64) { return hi&^0xf000 | 0x4000, lo&^(3<<62) | 2<<62 }

// putUUID writes a version 4 UUID of the two words over dst[:36].
func putUUID(dst []byte, hi, lo uint64) {
	_ = dst[35]
	hi, lo = uuidWords(hi, lo)
	put := func(at int, v byte) { *(*[2]byte)(dst[at:]) = hexPairs[v] }
	put(0, byte(hi>>56))
	put(2, byte(hi>>48))
	put(4, byte(hi>>40))
	put(6, byte(hi>>32))
	put(9, byte(hi>>24))
	put(11, byte(hi>>16))
	put(14, byte(hi>>8))
	put(16, byte(hi))
	put(19, byte(lo>>56))
	put(21, byte(lo>>48))
	put(24, byte(lo>>40))
	put(26, byte(lo>>32))
	put(28, byte(lo>>24))
	put(30, byte(lo>>16))
	put(32, byte(lo>>8))
	put(34, byte(lo))
}

var decimalPairs = func() (pairs [100][2]byte) {
	for i := range pairs {
		pairs[i] = [2]byte{'0' + byte(i/10), '0' + byte(i%10)}
	}
	return pairs
}()

// putTime writes the time `second` seconds and `millis` milliseconds after
// Plan.Start over dst[:24].
func (s *stream) putTime(dst []byte, second, millis uint64) {
	_ = dst[23]
	second += s.startSec
	day, rest := uint32(second)/86400, uint32(second)%86400
	copy(dst, s.days[day])
	*(*[2]byte)(dst[11:]) = decimalPairs[rest/3600]
	*(*[2]byte)(dst[14:]) = decimalPairs[rest/60%60]
	*(*[2]byte)(dst[17:]) = decimalPairs[rest%60]
	dst[20] = '0' + byte(millis/100)
	*(*[2]byte)(dst[21:]) = decimalPairs[millis%100]
}
