package ledger

import (
	"fmt"
	"sync"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/log"
	"odometer/internal/meter"
)

// damage names a block whose stored bytes fail their checksum, and what it affects.
type damage struct {
	Sequence     uint64
	Organization string
	From, To     time.Time // event times of the block
	Events       uint32
	Reason       string
}

// String says what is damaged and what is affected.
func (d damage) String() string {
	return fmt.Sprintf("block %d is damaged (%s): %d events of organization %s with times from %s to %s are affected",
		d.Sequence, d.Reason, d.Events, d.Organization, d.From.Format(time.RFC3339), d.To.Format(time.RFC3339))
}

// damageList holds the damaged blocks found since the start.
type damageList struct {
	mu     sync.Mutex
	list   []damage
	places map[string]bool // tables, pages and other parts of the stores
}

const maxDamageListed = 1000

func (l *Ledger) noteDamage(h *block.Header, err error) string {
	d := damage{Sequence: h.Sequence, Organization: h.Org, From: time.Unix(0, h.MinTime).UTC(), To: time.Unix(0, h.MaxTime).UTC(), Events: h.Rows, Reason: err.Error()}
	l.damaged.mu.Lock()
	defer l.damaged.mu.Unlock()
	for _, known := range l.damaged.list {
		if known.Sequence == d.Sequence {
			return d.String()
		}
	}
	if len(l.damaged.list) < maxDamageListed {
		l.damaged.list = append(l.damaged.list, d)
	}
	l.logger.Error("damaged block", "sequence", d.Sequence, "organization", d.Organization, "events", d.Events, "from", d.From, "to", d.To, "error", err)
	return d.String()
}

// Damaged returns the damaged blocks found since the ledger was opened.
func (l *Ledger) Damaged() []damage {
	l.damaged.mu.Lock()
	defer l.damaged.mu.Unlock()
	return append([]damage(nil), l.damaged.list...)
}

// notePlace remembers a damaged part of the stores that is no block of the log.
func (l *Ledger) notePlace(place string) {
	l.damaged.mu.Lock()
	defer l.damaged.mu.Unlock()
	if l.damaged.places == nil {
		l.damaged.places = map[string]bool{}
	}
	if len(l.damaged.places) < maxDamageListed {
		l.damaged.places[place] = true
	}
}

// tellDamage gives an error of the engine its kind, and makes sure that damage
// for which a request is refused is counted: the engine tells of most places
// itself, blocks and stopped organizations are counted already.
func (l *Ledger) tellDamage(org string, err error) error {
	err = corruptIfDamaged(err)
	if meter.KindOf(err) != meter.KindCorrupt || l.stopped() != nil {
		return err
	}
	if o := l.peekOrg(org); o != nil && o.stoppedError() != nil {
		return err
	}
	if l.damagedCount() == 0 {
		l.logger.Error("stored data is damaged", "organization", org, "error", err)
		l.notePlace(clip(err.Error()))
	}
	return err
}

// damagedCount counts the damaged blocks and places found since the start.
func (l *Ledger) damagedCount() int {
	l.damaged.mu.Lock()
	defer l.damaged.mu.Unlock()
	return len(l.damaged.list) + len(l.damaged.places)
}

// loadRows reads the rows of one stored block of events, verified against its
// header; damage is noted and KindCorrupt.
func (l *Ledger) loadRows(h *block.Header, hashes bool) (*block.Rows, error) {
	body, err := log.ReadBody(l.log, h)
	if err != nil && !disk.Damaged(err) {
		return nil, err
	}
	if err == nil {
		var rows *block.Rows
		if rows, err = block.Decode(body, l.key, hashes, h.Accepted.UnixNano()); err == nil {
			return rows, nil
		}
	}
	return nil, meter.WrapError(meter.KindCorrupt, err, "%s", l.noteDamage(h, err))
}

// blockCache keeps the rows of blocks read last, for lookups and voids.
type blockCache struct {
	mu    sync.Mutex
	rows  map[uint64]*block.Rows
	order []uint64
	bytes int64
}

// rowsBytes estimates the memory of decoded rows.
func rowsBytes(rows *block.Rows) int64 {
	n := int64(rows.N) * 80 // times, codes, hashes
	texts := func(s *block.Strings) {
		if k := s.Len(); k > 0 {
			n += int64(s.Bytes()) + 4*int64(k)
		}
	}
	texts(&rows.IDs)
	for _, d := range []*block.Dict{&rows.Types, &rows.Sources, &rows.Subjects, &rows.Customers} {
		texts(&d.Values)
	}
	for i := range rows.Columns {
		c := &rows.Columns[i]
		n += int64(c.Len())*9 + int64(len(c.Nums))*16
		texts(&c.Strs)
	}
	return n
}

// cachedRows is loadRows through the cache.
func (l *Ledger) cachedRows(h *block.Header) (*block.Rows, error) {
	c := &l.blocks
	c.mu.Lock()
	r := c.rows[h.Sequence]
	c.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := l.loadRows(h, false)
	if err != nil {
		return nil, err
	}
	size := rowsBytes(r)
	if size > l.limits.CacheBytes/2 {
		return r, nil // it would push out all others
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows = map[uint64]*block.Rows{}
	}
	if _, ok := c.rows[h.Sequence]; !ok {
		c.rows[h.Sequence] = r
		c.order = append(c.order, h.Sequence)
		c.bytes += size
		for len(c.order) > l.limits.BlockCacheEntries || c.bytes > l.limits.CacheBytes && len(c.order) > 1 {
			c.bytes -= rowsBytes(c.rows[c.order[0]])
			delete(c.rows, c.order[0])
			c.order = c.order[1:]
		}
	}
	return r, nil
}

// header reads and decodes one header of the log.
func (l *Ledger) header(seq uint64) (block.Header, error) {
	return log.ReadHeader(l.log, seq)
}
