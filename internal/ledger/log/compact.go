package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/meter"
)

// A request of few events makes a small entry: a header, a key and strings of
// its own for each event. Once no replay needs them any more, small entries
// are rewritten into merged blocks, in the background, one run a step:
//
//	collect small entries ─► verify each ─► encode ─► decode, compare ─► one batch {put run, delete entries}
//
// A run ends when one organization has so many events in it as the compactor was made for. What
// the log returns for a sequence stays the same byte for byte.

// Compactor rewrites cold entries of a local log. One goroutine.
type Compactor struct {
	log    *local
	rows   int    // events of an organization that end a run
	next   uint64 // first sequence that has not been looked at
	open   *openRun
	damage func(h *block.Header, err error)
}

// openRun is a run being collected.
type openRun struct {
	run
	sum    [16]byte
	index  map[string]int
	rows   []int // small entries' events by organization
	most   int   // the largest of them
	joined [][]byte
	small  int
	bytes  int
}

const (
	metaCompacted = "compacted" // sequence up to which entries have been merged or left alone for good
	minRunParts   = 16          // a run with fewer small entries is not worth it
	smallRows     = 1000        // a block of this many events is large enough
)

// Compactor implements Log.
func (l *local) Compactor(rows int, damage func(h *block.Header, err error)) (*Compactor, error) {
	c := &Compactor{log: l, rows: rows, damage: damage, next: 1}
	v, err := l.Meta(metaCompacted)
	if err != nil {
		return nil, err
	}
	if len(v) == 8 {
		c.next = binary.BigEndian.Uint64(v) + 1
	}
	return c, nil
}

// Step looks at entries up to and including upTo, which must lie before the
// log's last one, until a run is complete; it writes that run. more is false when all have been looked at.
func (c *Compactor) Step(upTo uint64) (more bool, err error) {
	for looked := 0; c.next <= upTo; looked++ {
		if looked == maxRunEntries {
			return true, nil
		}
		raw, h, body, err := c.read(c.next)
		if err != nil {
			return false, err
		}
		if c.open == nil {
			if body == nil {
				c.next++ // large ones before the first small one stay as they are
				continue
			}
			c.open = newOpenRun(h)
		}
		if h.Prev != c.open.sum {
			return false, meter.Errorf(meter.KindCorrupt, "block %d does not follow the block before it", h.Sequence)
		}
		c.open.add(raw, h, body)
		c.next++
		if c.open.full(c.rows) {
			err := c.close()
			return true, err
		}
	}
	return false, nil
}

// read returns an entry; body is nil if it is large, or damaged: then it stays
// where it is.
func (c *Compactor) read(seq uint64) (raw []byte, h *block.Header, body []byte, err error) {
	if raw, err = c.log.Header(seq); err != nil {
		return nil, nil, nil, err
	}
	header, err := block.DecodeHeader(raw)
	if err != nil {
		return nil, nil, nil, err
	}
	if header.Rows >= smallRows || header.BodyLen > maxSmallBytes {
		return raw, &header, nil, nil
	}
	body, err = ReadBody(c.log, &header)
	if meter.KindOf(err) == meter.KindCorrupt {
		c.damage(&header, err)
		return raw, &header, nil, nil
	}
	return raw, &header, body, err
}

func newOpenRun(h *block.Header) *openRun {
	return &openRun{run: run{first: h.Sequence}, sum: h.Prev, index: map[string]int{}}
}

func (o *openRun) add(raw []byte, h *block.Header, body []byte) {
	org, ok := o.index[h.Org]
	if !ok {
		org = len(o.orgs)
		o.index[h.Org] = org
		o.orgs, o.rows, o.joined = append(o.orgs, h.Org), append(o.rows, 0), append(o.joined, nil)
	}
	e := runEntry{org: org, apart: body == nil, header: raw, bodySize: h.BodyLen}
	if body != nil {
		e.summed = endsWithSum(body)
		e.offset = uint32(len(o.joined[org]))
		o.joined[org] = append(o.joined[org], body[:e.stored()]...)
		o.rows[org] += int(h.Rows)
		o.most = max(o.most, o.rows[org])
		o.small++
		o.bytes += len(body)
	}
	o.entries = append(o.entries, e)
	o.sum = h.Sum()
}

func (o *openRun) full(rows int) bool {
	return o.most >= rows || len(o.entries) == maxRunEntries || o.bytes > maxRunBytes-maxSmallBytes
}

// close writes the open run, or passes over it if it would not save anything.
func (c *Compactor) close() error {
	o := c.open
	c.open = nil
	b := c.log.db.NewBatch()
	defer b.Close()
	if o.small >= minRunParts {
		if err := o.put(b); err != nil {
			return err
		}
		if err := o.deleteEntries(b); err != nil {
			return err
		}
	}
	if err := b.Set(append([]byte{logMetaPrefix}, metaCompacted...), binary.BigEndian.AppendUint64(nil, o.last()), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("merge blocks %d to %d: %w", o.first, o.last(), err)
	}
	return nil
}

// put adds the run's records to the batch, after reading them back and
// comparing every byte with what they replace.
func (o *openRun) put(b *pebble.Batch) error {
	headers, err := o.encodeHeaders()
	if err != nil {
		return err
	}
	back, err := decodeHeaders(headers)
	if err != nil {
		return err
	}
	differs := meter.Errorf(meter.KindInternal, "blocks %d to %d cannot be merged: what is read back differs", o.first, o.last())
	same := back.first == o.first && slices.Equal(back.orgs, o.orgs)
	if !same || !slices.EqualFunc(back.entries, o.entries, func(x, y runEntry) bool {
		return string(x.header) == string(y.header) && x.org == y.org && x.apart == y.apart && x.summed == y.summed && (x.apart || x.offset == y.offset)
	}) {
		return differs
	}
	if err := b.Set(mergedHeadersKey(o.last()), headers, nil); err != nil {
		return err
	}
	for org, joined := range o.joined {
		if joined == nil {
			continue
		}
		record := encodeBodies(o.last(), org, joined)
		if read, err := back.decodeBodies(record, org); err != nil || string(read) != string(joined) {
			return errors.Join(differs, err)
		}
		if err := b.Set(mergedBodiesKey(o.last(), org), record, nil); err != nil {
			return err
		}
	}
	return nil
}

// deleteEntries removes what the run replaces: everything in its range but
// the bodies that stay.
func (o *openRun) deleteEntries(b *pebble.Batch) error {
	from := logKey(o.first, logBody)
	for i := range o.entries {
		if !o.entries[i].apart {
			continue
		}
		seq := o.first + uint64(i)
		if err := b.DeleteRange(from, logKey(seq, logBody), nil); err != nil {
			return err
		}
		from = logKey(seq, logHeader)
	}
	return b.DeleteRange(from, logKey(o.last()+1, logBody), nil)
}

// runCache keeps the runs read last, decoded.
type runCache struct {
	mu   sync.Mutex
	runs []*run // the one used last comes first
}

// maxRunsCached runs are held, each of at most maxRunBytes and its headers.
const maxRunsCached = 4

func (c *runCache) find(seq uint64) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range c.runs {
		if r.holds(seq) {
			copy(c.runs[1:i+1], c.runs[:i])
			c.runs[0] = r
			return r
		}
	}
	return nil
}

func (c *runCache) put(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.runs) == maxRunsCached {
		c.runs = c.runs[:maxRunsCached-1]
	}
	c.runs = append([]*run{r}, c.runs...)
}

// runOf returns the run that holds a sequence, nil if none does.
func (l *local) runOf(seq uint64) (*run, error) {
	if r := l.runs.find(seq); r != nil {
		return r, nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: binary.BigEndian.AppendUint64([]byte{logMergedPrefix}, seq), UpperBound: []byte{logMergedPrefix + 1}})
	if err != nil {
		return nil, fmt.Errorf("look for block %d: %w", seq, err)
	}
	var last uint64
	if it.First() {
		last = binary.BigEndian.Uint64(it.Key()[1:9])
	}
	if err := it.Close(); err != nil {
		return nil, disk.Unreadable(err, "block %d of the log cannot be read", seq)
	}
	if last == 0 {
		return nil, nil
	}
	raw, err := l.get(mergedHeadersKey(last), "merged block", last)
	if err != nil {
		return nil, err
	}
	r, err := decodeHeaders(raw)
	if err != nil {
		return nil, meter.WrapError(meter.KindCorrupt, err, "block %d of the log cannot be read", seq)
	}
	if r.last() != last {
		return nil, meter.Errorf(meter.KindCorrupt, "the run of blocks %d to %d is stored as the one up to %d", r.first, r.last(), last)
	}
	if !r.holds(seq) {
		return nil, nil
	}
	l.runs.put(r)
	return r, nil
}

// mergedHeader returns the header of a merged entry, nil if it is not in a run.
func (l *local) mergedHeader(seq uint64) ([]byte, error) {
	r, err := l.runOf(seq)
	if r == nil || err != nil {
		return nil, err
	}
	return slices.Clone(r.entries[seq-r.first].header), nil
}

// mergedBody returns the body of a merged entry, nil if it is not in a merged block.
func (l *local) mergedBody(seq uint64) ([]byte, error) {
	r, err := l.runOf(seq)
	if r == nil || err != nil {
		return nil, err
	}
	e := &r.entries[seq-r.first]
	if e.apart {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bodies[e.org] == nil {
		raw, err := l.get(mergedBodiesKey(r.last(), e.org), "merged block", r.last())
		if err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "blocks %s of organization %s cannot be read", r.partsOf(e.org), r.orgs[e.org])
		}
		if r.bodies[e.org], err = r.decodeBodies(raw, e.org); err != nil {
			return nil, err
		}
	}
	return r.body(e, r.bodies[e.org]), nil
}
