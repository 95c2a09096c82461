package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/log"
	"odometer/internal/meter"
)

// pending is one caller waiting for its answer: a staged request, or a
// control entry (a meter's definition, a void, a setting).
type pending struct {
	org   string
	rows  *block.Rows
	body  []byte // encoded already when the request is large enough for a block of its own
	size  int64
	found []idset.Found
	since uint64

	kind    block.Kind // block.KindEvents or block.KindControl
	control []byte

	done chan answer
}

// answer is what the fold says of one pending.
type answer struct {
	seq      uint64
	verdicts []meter.Verdict // of the request's rows
	first    []idset.Entry   // per conflicting row, in order: where the identity was first seen
	atomic   bool            // refused as a whole
	skips    requestSkips
	control  any
	err      error
}

// queue holds the pendings of each organization; organizations take turns.
type queue struct {
	mu      sync.Mutex
	orgs    map[string][]*pending
	held    map[string]int // requests of an organization that are not answered
	turns   []string
	bytes   int64
	count   int
	closed  bool
	failed  error
	waiting map[*pending]struct{} // pushed and not yet answered
	ready   chan struct{}         // capacity 1: something was added
	maxB    int64
	maxN    int
}

func newQueue(maxBytes int64, maxBlocks int) *queue {
	return &queue{orgs: map[string][]*pending{}, held: map[string]int{}, waiting: map[*pending]struct{}{}, ready: make(chan struct{}, 1), maxB: maxBytes, maxN: maxBlocks}
}

// push adds p, or says why it cannot.
func (q *queue) push(p *pending) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != nil {
		return q.failed
	}
	if q.closed {
		return meter.Errorf(meter.KindUnavailable, "the server is shutting down")
	}
	// One request larger than the whole budget must still get its turn, and so
	// must one of an organization that others leave no room.
	if q.held[p.org] > 0 && (q.bytes+p.size > q.maxB || q.count >= q.maxN) {
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second,
			Message: fmt.Sprintf("too much usage is waiting to be stored (limit %d bytes or %d requests); try again", q.maxB, q.maxN)}
	}
	if len(q.orgs[p.org]) == 0 {
		q.turns = append(q.turns, p.org)
	}
	q.orgs[p.org] = append(q.orgs[p.org], p)
	q.waiting[p] = struct{}{}
	q.bytes += p.size
	q.count++
	q.held[p.org]++
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return nil
}

// release gives back what an answered pending held.
func (q *queue) release(p *pending) {
	q.mu.Lock()
	delete(q.waiting, p)
	q.bytes -= p.size
	q.count--
	if q.held[p.org]--; q.held[p.org] == 0 {
		delete(q.held, p.org)
	}
	q.mu.Unlock()
}

// take removes up to n pendings or maxBytes of them, one organization at a
// time in turn, each organization's together and in order.
func (q *queue) take(n int, maxBytes int64) [][]*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out [][]*pending
	var bytes int64
	for len(q.turns) > 0 && n > 0 && bytes < maxBytes {
		org := q.turns[0]
		q.turns = q.turns[1:]
		list := q.orgs[org]
		// A fair share of the group for each organization that waits.
		share := max(1, n/(len(q.turns)+1))
		k := 0
		for k < len(list) && k < share && (k == 0 || bytes < maxBytes) {
			bytes += list[k].size
			k++
		}
		out = append(out, list[:k:k])
		n -= k
		if k < len(list) {
			q.orgs[org] = list[k:]
			q.turns = append(q.turns, org)
		} else {
			delete(q.orgs, org)
		}
	}
	return out
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// load returns the bytes and requests that wait or are being folded.
func (q *queue) load() (bytes int64, count int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.count
}

// Builder returns an empty builder for the organization's next request. Hand
// it to Append, or to Discard.
func (l *Ledger) Builder(org string) *block.Builder {
	return l.builders.Get(org, l.CustomerAttribute(org))
}

// SubjectBuilder is Builder for events whose customer is their subject,
// whatever attribute names the customer of the organization's other events.
func (l *Ledger) SubjectBuilder(org string) *block.Builder { return l.builders.Get(org, "") }

// Accepting returns nil while Append would take the organization's events, or
// the error it would return. Append may still say KindOverloaded.
func (l *Ledger) Accepting(org string) error { return l.accepting(org) }

// Discard gives back a builder that will not be appended.
func (l *Ledger) Discard(b *block.Builder) { l.builders.Put(b) }

// Append stores the staged request, judges its events and answers once they
// are durable, counted and visible. It consumes b. Errors, before anything
// was stored: KindOverloaded, KindStorageFull, KindUnavailable.
func (l *Ledger) Append(ctx context.Context, b *block.Builder) (meter.Result, error) {
	return l.append(ctx, b, false)
}

// AppendSealed is Append for a sender who may not see all of the
// organization's events: its answer is made of what was sent and of verdicts,
// and nothing that is stored is read for it.
func (l *Ledger) AppendSealed(ctx context.Context, b *block.Builder) (meter.Result, error) {
	return l.append(ctx, b, true)
}

func (l *Ledger) append(ctx context.Context, b *block.Builder, sealed bool) (meter.Result, error) {
	defer func() {
		if l.stopped() == nil { // else the appender may be at work on its rows
			l.builders.Put(b)
		}
	}()
	if err := ctx.Err(); err != nil {
		return meter.Result{}, meter.WrapError(meter.KindUnavailable, err, "the request was given up")
	}
	rows := b.Rows()
	if err := l.accepting(rows.Org); err != nil {
		return meter.Result{}, err
	}
	p := &pending{org: rows.Org, rows: rows, kind: block.KindEvents, done: make(chan answer, 1)}
	rejections := l.limitRejections(rows)
	if err := l.probe(p); err != nil {
		return meter.Result{}, err
	}
	if rows.N >= l.limits.MergeRows {
		p.body = block.Encode(nil, rows)
		p.size = int64(len(p.body))
	} else {
		p.size = int64(rows.N)*128 + 256
	}
	if err := l.queue.push(p); err != nil {
		return meter.Result{}, err
	}
	// From here on the outcome is the log's: waiting is not given up, the
	// answer comes within one sync and one fold.
	a := <-p.done
	l.queue.release(p)
	if a.err != nil {
		return meter.Result{}, a.err
	}
	return l.result(rows, rejections, a, sealed), nil
}

// probe looks the identities up in the sealed runs, in parallel with other
// requests; the fold then only looks at what came after.
func (l *Ledger) probe(p *pending) error {
	view := l.ids.Sealed()
	defer view.Release()
	p.since = view.Version()
	p.found = make([]idset.Found, p.rows.N)
	if err := view.Probe(p.rows.Hashes, p.found); err != nil {
		return l.tellDamage(p.org, disk.Unreadable(err, "identities cannot be looked up"))
	}
	return nil
}

// submitControl stores a control entry and returns what the fold made of it.
func (l *Ledger) submitControl(ctx context.Context, org string, c control) (any, uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, meter.WrapError(meter.KindUnavailable, err, "the request was given up")
	}
	if err := l.accepting(org); err != nil {
		return nil, 0, err
	}
	body, err := c.encode()
	if err != nil {
		return nil, 0, err
	}
	p := &pending{org: org, kind: block.KindControl, control: body, size: int64(len(body)), done: make(chan answer, 1)}
	if err := l.queue.push(p); err != nil {
		return nil, 0, err
	}
	a := <-p.done
	l.queue.release(p)
	return a.control, a.seq, a.err
}

// foldItem is one appended block on its way to the fold.
type foldItem struct {
	header  block.Header
	rows    *block.Rows
	found   []idset.Found
	since   []uint64 // per request: version of the sealed view it was probed against
	control []byte
	waiting []*pending
	bytes   int
	merged  *block.Builder // holds rows; released after the fold
}

// appender is the one goroutine that numbers blocks and syncs them.
func (l *Ledger) appender() {
	defer close(l.folds)
	for l.stopped() == nil {
		groups := l.queue.take(l.limits.GroupBlocks, int64(l.limits.GroupBytes))
		if len(groups) == 0 {
			if l.queue.isClosed() {
				return
			}
			<-l.queue.ready
			continue
		}
		items := l.number(groups)
		if err := l.appendItems(items); err != nil {
			// The outcome is unknown: answering either way could lie.
			l.fatal(fmt.Sprintf("append to the log: %v", err), err)
			return
		}
		for _, it := range items {
			l.folds <- it
		}
	}
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.turns) == 0
}

// number turns pendings into blocks: requests of one organization that are
// too small for a block of their own share one.
func (l *Ledger) number(groups [][]*pending) []*foldItem {
	var items []*foldItem
	for _, list := range groups {
		var open *foldItem
		for _, p := range list {
			alone := p.kind == block.KindControl || p.body != nil
			if !alone && open != nil && l.share(open, p) {
				continue
			}
			it := &foldItem{rows: p.rows, found: p.found, since: []uint64{p.since}, control: p.control, waiting: []*pending{p},
				header: block.Header{Kind: p.kind, Org: p.org}}
			items = append(items, it)
			open = it
			if alone {
				open = nil
			}
		}
	}
	for _, it := range items {
		if it.merged != nil {
			it.rows = it.merged.Rows()
		}
	}
	return items
}

// maxBlockRows bounds a block made of many small requests.
const maxBlockRows = 20_000

// share puts p into the block that open already has, if there is room.
func (l *Ledger) share(open *foldItem, p *pending) bool {
	if len(open.found)+p.rows.N > maxBlockRows {
		return false
	}
	if open.merged == nil {
		open.merged = l.builders.Get(p.org, "")
		open.merged.Merge(open.rows)
	}
	if !open.merged.Fits(p.rows) {
		return false
	}
	open.merged.Merge(p.rows)
	open.found = append(open.found, p.found...)
	open.since = append(open.since, p.since)
	open.waiting = append(open.waiting, p)
	return true
}

// appendItems completes the headers and makes the group durable in one sync.
func (l *Ledger) appendItems(items []*foldItem) error {
	entries := make([]log.Entry, len(items))
	now := l.now().UnixNano()
	if now < l.tail.acceptedAt {
		now = l.tail.acceptedAt // the clock went back: acceptance times never do
	}
	for i, it := range items {
		body := it.control
		if it.rows != nil {
			it.rows.SetAccepted(now)
			if body = it.waiting[0].body; body == nil { // not encoded by its request
				body = block.Encode(nil, it.rows)
			}
		}
		it.bytes = len(body)
		l.tail.seq++
		l.tail.acceptedAt = now
		it.header.Sequence = l.tail.seq
		it.header.Accepted = time.Unix(0, now).UTC()
		it.header.Prev = l.tail.sum
		describe(&it.header, it.rows, body)
		l.tail.sum = it.header.Sum()
		entries[i] = log.Entry{Sequence: l.tail.seq, Header: it.header.Append(nil), Body: body}
	}
	// After the rows were read for the last time: from a failure on they are their requests' again.
	if err := l.stopped(); err != nil {
		return err
	}
	start := l.now()
	err := l.log.Append(entries)
	if err == nil {
		err = l.stopped() // the engine tells a failed commit by ending the process
	}
	l.timing.appended(len(entries), l.now().Sub(start))
	if err == nil {
		l.noteTail(l.tail.seq, 0, false)
	}
	return err
}

// describe fills what a header says of its body.
func describe(h *block.Header, rows *block.Rows, body []byte) {
	h.BodyLen, h.BodySum = uint32(len(body)), block.BodySum(body)
	if rows != nil {
		h.Rows, h.Rejected = uint32(rows.N), uint32(rows.Rejected())
		h.MinTime, h.MaxTime = rows.TimeRange()
	}
}

// logTail is the appender's place in the log.
type logTail struct {
	seq        uint64
	acceptedAt int64
	sum        [16]byte
}
