package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/log"
	"odometer/internal/meter"
)

// pass is the one reading of the log. Three goroutines hand blocks on: one reads
// them, one checks and judges, one counts.
type pass struct {
	v        *verifier
	ids      *identities
	cells    *cells
	sum      [16]byte // of the header before
	accepted time.Time

	// What is stored about an event cannot be read: of its verdict, so that
	// only the chain is checked from there on; of its void, so that nothing is
	// counted any more.
	ended, endedLater error
}

// entry is one block as it was read.
type entry struct {
	h       block.Header
	failed  error // the header cannot be read
	body    []byte
	bodyErr error
}

// ahead is how many blocks wait between two of the goroutines.
const ahead = 2

// run reads the log.
func (p *pass) run(ctx context.Context) error {
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	entries, counts := make(chan entry, ahead), make(chan counting, ahead)
	var counting error
	var all sync.WaitGroup
	all.Go(func() {
		defer close(entries)
		p.v.entries(ctx, entries)
	})
	all.Go(func() {
		for c := range counts {
			if counting != nil {
				continue
			}
			if counting = p.cells.adder.block(&c); counting != nil {
				stop()
			}
		}
	})
	err := p.blocks(ctx, entries, counts)
	close(counts)
	stop()
	all.Wait()
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case counting != nil:
		return counting
	}
	return err
}

// entries reads all blocks in order.
func (v *verifier) entries(ctx context.Context, out chan<- entry) {
	for seq := uint64(1); seq <= v.last; seq++ {
		var e entry
		e.h, e.failed = log.ReadHeader(v.view.Log, seq)
		if e.failed == nil {
			e.body, e.bodyErr = log.ReadBody(v.view.Log, &e.h)
		}
		select {
		case out <- e:
		case <-ctx.Done():
			return
		}
		if e.failed != nil {
			return
		}
	}
}

// blocks checks what was read and hands on what is to be counted.
func (p *pass) blocks(ctx context.Context, in <-chan entry, out chan<- counting) error {
	v := p.v
	for seq := uint64(1); seq <= v.last; seq++ {
		var e entry
		select {
		case e = <-in:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ctx.Err(); err != nil { // also where both are ready
			return err
		}
		if seq%256 == 0 || seq == v.last {
			v.progress(Progress{Pass: passLog, Done: seq, All: v.last})
		}
		if e.failed != nil {
			return fmt.Errorf("block %d has no readable header, nothing after it can be verified: %w", seq, e.failed)
		}
		if err := p.link(seq, &e.h); err != nil {
			return err
		}
		rows := p.rows(&e)
		if rows == nil || p.ended != nil {
			continue
		}
		c, err := p.judge(&e.h, rows)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		select {
		case out <- *c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// link checks a header, and that it follows the one before.
func (p *pass) link(seq uint64, h *block.Header) error {
	found := p.v.stage(stageChain)
	if h.Sequence != seq || h.Prev != p.sum {
		found.add("block %d does not follow block %d: the chain of headers is broken", seq, seq-1)
	}
	if h.Accepted.Before(p.accepted) {
		found.add("block %d was accepted at %s, before block %d", seq, h.Accepted.Format(time.RFC3339Nano), seq-1)
	}
	if err := p.v.headerCopy(h); err != nil {
		return err
	}
	p.sum, p.accepted = h.Sum(), h.Accepted
	p.v.report.Blocks++
	p.v.report.Events += uint64(h.Rows)
	return nil
}

// rows checks the body of a block and decodes its events; nil if it is damaged
// or has none.
func (p *pass) rows(e *entry) *block.Rows {
	var rows *block.Rows
	err := e.bodyErr
	if err == nil && e.h.Kind == block.KindEvents {
		rows, err = block.Decode(e.body, p.v.view.Key, true, e.h.Accepted.UnixNano())
	}
	if err != nil {
		p.v.damaged[e.h.Sequence] = true
		p.v.stage(stageChain).add("%s", p.v.view.Damage(&e.h, err))
		return nil
	}
	if rows == nil {
		return nil
	}
	if first, last := rows.TimeRange(); first != e.h.MinTime || last != e.h.MaxTime { // scans find blocks by them
		p.v.stage(stageChain).add("the header of block %d says that its events have times from %d to %d, they are from %d to %d (unix ns): scans would miss some",
			e.h.Sequence, e.h.MinTime, e.h.MaxTime, first, last)
	}
	return rows
}

// judge notes the identities and the numbers of a block, and returns what of it
// is to be counted.
func (p *pass) judge(h *block.Header, rows *block.Rows) (*counting, error) {
	v := p.v
	stored, err := v.stored.verdicts(h.Sequence, rows.N)
	if err != nil {
		return nil, ends(&p.ended, err)
	}
	for i := range rows.N {
		s := sighting{hash: rows.Hashes[i], check: rows.Checks[i], seq: h.Sequence, ord: uint32(i), stored: stored[i], refused: stored[i] == meter.Rejected}
		if s.refused && !rows.Request(i).Atomic {
			v.stage(stageVerdicts).add("event %d of block %d is stored as rejected but its request was not atomic", i, h.Sequence)
		}
		if err := p.ids.add(&s); err != nil {
			return nil, err
		}
	}
	if p.endedLater != nil {
		return nil, nil
	}
	voids, err := v.stored.voids(h.Sequence)
	if err != nil {
		return nil, ends(&p.endedLater, err)
	}
	v.tally(h, rows, stored, voids)
	v.refused.note(h, rows, stored, v.stage(stageRefused))
	c := &counting{org: h.Org, rows: rows}
	for i, verdict := range stored {
		if _, out := voids[uint32(i)]; out || verdict != meter.Accepted {
			if c.out == nil {
				c.out = make([]bool, rows.N)
			}
			c.out[i] = true
		}
	}
	return c, nil
}

// ends keeps damage for the end, for what can still be checked without; any
// other error is returned.
func ends(kept *error, err error) error {
	if !disk.Damaged(err) {
		return err
	}
	*kept = err
	return nil
}
