package records

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"maps"
	"math"
	"odometer/internal/access"
	"odometer/internal/billing"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// What is reported against entitlements is posted to the ledger as events, so
// that it counts wherever usage counts. Their ids follow from the group, so
// posting them again does nothing:
//
//	type     suger.record, with dimension and quantity; or suger.metric.ID, with properties and quantity
//	source   suger/ENTITLEMENT
//	id       GROUP/0, GROUP/1, ... by dimension in ascending order, or in the order of the records
//	subject  the entitlement's customer, which is also the customer that the event counts for
//	time     of the usage
//
// The catalog accepts a group first and the ledger is told after. What a
// crash leaves in between PostPending posts: events first, their void after.
const (
	recordEventType = "suger.record"
	metricEventType = "suger.metric."
	eventSource     = access.InternalSource
)

const (
	maxPostedRanges = 10_000                 // that notePosted remembers
	postingPage     = 200                    // groups that PostPending reads at once
	voidActor       = "system:record-groups" // of the void of a group that was deleted
	voidReason      = "the usage record group was deleted"
)

// eventsOf renders groups as a batch of CloudEvents, and says which group each
// event is of. Groups that have nothing to post have none.
func eventsOf(groups []billing.RecordGroup) (body []byte, owners []int) {
	body = append(body, '[')
	for i := range groups {
		g := &groups[i]
		if g.Posted == billing.NothingToPost {
			continue
		}
		n := 0
		for _, key := range slices.Sorted(maps.Keys(g.Records)) {
			body = append(eventHead(body, g, n, recordEventType), `"dimension":`...)
			body = appendText(body, key)
			body = append(body, `,"quantity":`...)
			body = append(body, g.Records[key].String()...)
			body = eventTail(body, g)
			n++
		}
		for _, r := range g.Billable {
			body = append(eventHead(body, g, n, metricEventType+r.Metric), `"properties":`...)
			if len(r.Properties) > 0 {
				body = append(body, r.Properties...)
			} else {
				body = append(body, "{}"...)
			}
			if r.Quantity != nil {
				body = append(body, `,"quantity":`...)
				body = append(body, r.Quantity.String()...)
			}
			body = eventTail(body, g)
			n++
		}
		for range n {
			owners = append(owners, i)
		}
	}
	return append(body, ']'), owners
}

func eventHead(body []byte, g *billing.RecordGroup, index int, eventType string) []byte {
	if body[len(body)-1] == '}' {
		body = append(body, ',')
	}
	body = append(body, `{"specversion":"1.0","id":`...)
	body = appendText(body, g.Name+"/"+strconv.Itoa(index))
	body = append(body, `,"source":`...)
	body = appendText(body, eventSource+g.Entitlement)
	body = append(body, `,"type":`...)
	body = appendText(body, eventType)
	body = append(body, `,"subject":`...)
	body = appendText(body, g.Customer)
	body = append(body, `,"time":"`...)
	body = g.Usage.UTC().AppendFormat(body, time.RFC3339Nano)
	return append(body, `","data":{`...)
}

func eventTail(body []byte, g *billing.RecordGroup) []byte {
	body = append(body, `,"entitlement":`...)
	body = appendText(body, g.Entitlement)
	body = append(body, `,"product":`...)
	body = appendText(body, g.Product)
	return append(body, "}}"...)
}

// appendText appends a JSON string. Plain ASCII, which is nearly everything,
// is copied as it is.
func appendText(body []byte, text string) []byte {
	special := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }
	if !strings.ContainsFunc(text, special) {
		return append(append(append(body, '"'), text...), '"')
	}
	quoted, _ := json.Marshal(text) // a string always encodes
	return append(body, quoted...)
}

// appendEvents puts staged events into the ledger and consumes the builder.
func (s *Service) appendEvents(ctx context.Context, b *block.Builder) error {
	if b.Rows().N == 0 {
		s.ledger.Discard(b)
		return nil
	}
	r, err := s.ledger.Append(ctx, b)
	if err != nil {
		return err
	}
	for _, e := range r.Errors { // events of this source are ours; somebody else has sent some
		s.logger.Error("an event of a usage record group was not counted: its identity was taken by an event sent by other means",
			slog.String("source", e.Source), slog.String("id", e.ID), slog.String("reason", e.Text()))
	}
	return nil
}

// postingLimits are those of events that were accepted once: their age and the
// settings of today refuse none of them.
func postingLimits() cloudevents.Limits {
	return cloudevents.Limits{EventsPerRequest: math.MaxInt, IDBytes: math.MaxInt, SourceBytes: math.MaxInt, TypeBytes: math.MaxInt,
		SubjectBytes: math.MaxInt, Attributes: math.MaxInt, NameBytes: math.MaxInt, StringBytes: math.MaxInt, JSONBytes: math.MaxInt,
		Depth: math.MaxInt, PastAge: math.MaxInt64, FutureAge: math.MaxInt64}
}

// post posts what is still to be posted of groups of one organization.
func (s *Service) post(ctx context.Context, organization string, groups []billing.OwnedGroup) error {
	plain := make([]billing.RecordGroup, len(groups))
	for i := range groups {
		plain[i] = groups[i].RecordGroup
	}
	body, owners := eventsOf(plain)
	b := s.ledger.SubjectBuilder(organization)
	if err := cloudevents.Decode(body, cloudevents.Batch, s.now(), postingLimits(), b); err != nil {
		s.ledger.Discard(b)
		if meter.KindOf(err) != meter.KindTooLarge || len(groups) == 1 {
			return err
		}
		half := len(groups) / 2 // each of them was accepted, so each fits into a block
		if err := s.post(ctx, organization, groups[:half]); err != nil {
			return err
		}
		return s.post(ctx, organization, groups[half:])
	}
	if err := s.appendEvents(ctx, b); err != nil {
		return err
	}
	if err := s.voidDeleted(ctx, organization, plain, owners); err != nil {
		return err
	}
	for _, g := range plain {
		to := billing.EventsPosted
		if g.Posted == billing.VoidToPost {
			to = billing.NothingToPost
		}
		if err := s.groups.MarkPosted(ctx, organization, g.Serial, g.Serial, g.Posted, to); err != nil {
			return err
		}
	}
	return nil
}

// voidDeleted takes the events of deleted groups out of every figure. A void
// names its events, so that a second one changes nothing.
func (s *Service) voidDeleted(ctx context.Context, organization string, groups []billing.RecordGroup, owners []int) error {
	var ids []meter.Identity
	next := map[int]int{}
	for _, i := range owners {
		if g := &groups[i]; g.Posted == billing.VoidToPost {
			ids = append(ids, meter.Identity{Source: eventSource + g.Entitlement, ID: g.Name + "/" + strconv.Itoa(next[i])})
			next[i]++
		}
	}
	for part := range slices.Chunk(ids, ledger.MaxVoids) {
		if _, err := s.ledger.Void(ctx, organization, part, voidActor, voidReason); err != nil {
			return err
		}
	}
	return nil
}

// postOrLater posts one group now, or leaves it to PostPending.
func (s *Service) postOrLater(ctx context.Context, g billing.OwnedGroup) {
	if g.Posted != billing.EventsToPost && g.Posted != billing.VoidToPost {
		return
	}
	if err := s.post(ctx, g.Organization, []billing.OwnedGroup{g}); err != nil {
		s.later(g.Organization, err)
	}
}

// postedRange is groups of one organization, by serial, whose events are in
// the ledger while the catalog does not say so yet.
type postedRange struct {
	organization string
	first, last  int32
}

// notePosted remembers that groups were posted, for PostPending to tell the
// catalog: a request need not wait for that. What a crash forgets is posted
// again, which counts nothing twice.
func (s *Service) notePosted(ctx context.Context, r postedRange) error {
	s.postedMu.Lock()
	defer s.postedMu.Unlock()
	if n := len(s.posted); n > 0 && s.posted[n-1].organization == r.organization && s.posted[n-1].last+1 == r.first {
		s.posted[n-1].last = r.last
		return nil
	}
	if len(s.posted) < maxPostedRanges {
		s.posted = append(s.posted, r)
		return nil
	}
	return s.markPosted(ctx, r)
}

func (s *Service) markPosted(ctx context.Context, r postedRange) error {
	return s.groups.MarkPosted(ctx, r.organization, r.first, r.last, billing.EventsToPost, billing.EventsPosted)
}

// markNoted tells the catalog what notePosted remembers.
func (s *Service) markNoted(ctx context.Context) error {
	s.postedMu.Lock()
	noted := s.posted
	s.posted = nil
	s.postedMu.Unlock()
	for i, r := range noted {
		if err := s.markPosted(ctx, r); err != nil {
			s.postedMu.Lock()
			s.posted = append(noted[i:], s.posted...)
			s.postedMu.Unlock()
			return err
		}
	}
	return nil
}

// later leaves what could not be posted to PostPending.
func (s *Service) later(organization string, err error) {
	s.logger.Warn("usage record groups were accepted and are posted to the ledger later",
		slog.String("organization", organization), slog.Any("error", err))
}

// PostPending posts to the ledger what was accepted and is not there yet: after
// a crash, or after the ledger was full. It is to be called every few seconds. It returns how many groups it posted.
// What fails does not keep the rest from being posted; the first error is returned.
func (s *Service) PostPending(ctx context.Context) (posted int, first error) {
	if err := s.defineMetrics(ctx); err != nil {
		first = err
	}
	if err := s.markNoted(ctx); err != nil {
		return 0, err
	}
	waiting := 0
	defer func() { s.unposted.Store(int64(waiting - posted)) }()
	for organization, serial := "", int32(0); ; {
		groups, err := s.groups.UnpostedGroups(ctx, organization, serial, postingPage)
		if err != nil {
			return posted, err
		}
		waiting += len(groups)
		for part := range ofOneOrganization(groups) {
			n, err := s.postEach(ctx, part)
			posted += n
			if first == nil {
				first = err
			}
		}
		if len(groups) < postingPage || ctx.Err() != nil {
			return posted, first
		}
		organization, serial = groups[len(groups)-1].Organization, groups[len(groups)-1].Serial
	}
}

// postEach posts groups of one organization, together or else one by one.
func (s *Service) postEach(ctx context.Context, groups []billing.OwnedGroup) (posted int, first error) {
	organization := groups[0].Organization
	if s.post(ctx, organization, groups) == nil {
		return len(groups), nil
	}
	for i := range groups {
		err := s.post(ctx, organization, groups[i:i+1])
		switch {
		case err == nil:
			posted++
		case first == nil:
			first = err
		}
	}
	return posted, first
}

// ofOneOrganization cuts groups, which are in order of organization, into those of one.
func ofOneOrganization(groups []billing.OwnedGroup) iter.Seq[[]billing.OwnedGroup] {
	return func(yield func([]billing.OwnedGroup) bool) {
		for len(groups) > 0 {
			n := slices.IndexFunc(groups, func(g billing.OwnedGroup) bool { return g.Organization != groups[0].Organization })
			if n < 0 {
				n = len(groups)
			}
			if !yield(groups[:n]) {
				return
			}
			groups = groups[n:]
		}
	}
}
