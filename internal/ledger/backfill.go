package ledger

import (
	"context"
	"fmt"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Backfill folds the blocks before a meter's definition into the meter's
// cells. A worker reads and decodes ahead; the fold goroutine adds the rows
// between two live blocks, so deltas and cursor commit with a checkpoint like
// everything else, and one organization's backfill slows the others by at
// most one block at a time.
type backfiller struct {
	ready chan *backfillBatch
	woken chan struct{}   // capacity 1: a meter was defined
	held  map[string]bool // loop only: organizations whose next block cannot be read
}

// backfillBatch is one stored block for one or more meters that lack it.
type backfillBatch struct {
	org      string
	seq      uint64 // the batch takes the cursor to here
	header   *block.Header
	rows     *block.Rows // nil: no events of the organization up to seq
	verdicts []meter.Verdict
	meters   []*meterState
	folded   chan error
}

func (b *backfiller) wake() {
	select {
	case b.woken <- struct{}{}:
	default:
	}
}

// backfillLoop feeds stored blocks to the fold whenever a meter lacks any.
func (l *Ledger) backfillLoop(ctx context.Context) {
	for ctx.Err() == nil {
		worked, err := l.backfillStep(ctx)
		if err != nil {
			l.logger.Error("backfill is held up; its meters are answered by scanning", "error", err)
		}
		if worked {
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.backfill.woken:
			clear(l.backfill.held) // try again
		}
	}
}

// backfillStep takes the meters of one organization that are furthest behind
// through one stored block; false when there is nothing to do. An organization
// whose block cannot be read is left out from then on.
func (l *Ledger) backfillStep(ctx context.Context) (bool, error) {
	org, meters, cursor := l.lagging()
	if len(meters) == 0 {
		return false, nil
	}
	b, err := l.nextBatch(org, meters, cursor)
	if err != nil {
		l.backfill.held[org] = true
		return true, err
	}
	select {
	case l.backfill.ready <- b:
		err = <-b.folded
		return err == nil, err
	case <-ctx.Done():
		return false, nil
	case <-l.folded:
		return false, nil
	}
}

// nextBatch reads the organization's first block after the cursor.
func (l *Ledger) nextBatch(org string, meters []*meterState, cursor uint64) (*backfillBatch, error) {
	target := meters[0].record.Created
	h, err := l.nextHeader(org, cursor+1, target)
	if err != nil {
		return nil, err
	}
	b := &backfillBatch{org: org, seq: target, meters: meters, folded: make(chan error, 1)}
	if h != nil {
		b.header, b.seq = h, h.Sequence
		if h.Kind == block.KindEvents {
			if b.rows, err = l.loadRows(h, false); err != nil {
				return nil, err
			}
			if b.verdicts, err = l.storedVerdicts(h.Sequence, b.rows.N); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// lagging returns meters of one organization that share the lowest cursor and
// the same target.
func (l *Ledger) lagging() (org string, meters []*meterState, cursor uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.orgsMu.RLock()
	defer l.orgsMu.RUnlock()
	for _, o := range l.orgs {
		if o.record.Stopped != nil || l.backfill.held[o.name] {
			continue
		}
		for _, m := range o.meters {
			switch {
			case m.record.Backfilled():
			case len(meters) == 0 || m.record.Cursor < cursor:
				org, meters, cursor = o.name, []*meterState{m}, m.record.Cursor
			case m.Org == org && m.record.Cursor == cursor && m.record.Created == meters[0].record.Created:
				meters = append(meters, m)
			}
		}
	}
	return org, meters, cursor
}

// nextHeader returns the organization's first block in [from, to], nil if there is none.
func (l *Ledger) nextHeader(org string, from, to uint64) (*block.Header, error) {
	view := l.view()
	defer view.release()
	var found *block.Header
	err := view.headers(org, from, to, func(h *block.Header) (bool, error) {
		found = h
		return false, nil
	})
	return found, err
}

// foldBackfill adds one stored block to the meters that lack it. Fold goroutine.
func (l *Ledger) foldBackfill(b *backfillBatch) {
	err := l.makeRoom(&foldItem{})
	if err == nil {
		err = l.addBackfill(b)
	}
	if err != nil {
		err = fmt.Errorf("backfill block %d: %w", b.seq, err)
		l.fatal(err.Error(), err)
	}
	b.folded <- err
}

func (l *Ledger) addBackfill(b *backfillBatch) error {
	// Voids from before the definition were never counted for this meter;
	// those after it are taken back by the live fold.
	if err := l.hideVoided(b); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	org := l.org(b.org)
	b.meters = slices.DeleteFunc(b.meters, func(m *meterState) bool { return org.meter(m.record.Meter.Key) != m }) // deleted meanwhile
	if b.rows != nil {
		l.fold.eval.reset(b.rows, l.texts.forOrg(b.org))
		for _, m := range b.meters {
			fam, err := l.ownFamily(org, m)
			if err != nil {
				return err
			}
			if err := l.countFamily(fam, b.rows, b.verdicts, change{sign: +1}); err != nil {
				return err
			}
			l.backfilledTo(m, b.seq)
			if l.held() >= l.heldFull() {
				// Each meter has its cursor, so a checkpoint may come between two of them.
				l.mu.Unlock()
				err := l.makeRoom(&foldItem{})
				l.mu.Lock()
				if err != nil {
					return err
				}
			}
		}
	}
	for _, m := range b.meters {
		l.backfilledTo(m, b.seq)
	}
	return nil
}

// backfilledTo records how far a meter has been backfilled. l.mu is held.
func (l *Ledger) backfilledTo(m *meterState, seq uint64) {
	m.record.Cursor = seq
	l.active.meters[m] = struct{}{}
	if l.active.started == 0 {
		l.active.started = l.now().UnixNano()
	}
}

// hideVoided makes rows voided before the meters' definition uncounted.
func (l *Ledger) hideVoided(b *backfillBatch) error {
	if b.rows == nil {
		return nil
	}
	voids, err := l.voidsOf(b.seq)
	if err != nil {
		return err
	}
	for ord, n := range voids {
		if n.Sequence < b.meters[0].record.Created {
			b.verdicts[ord] = meter.Rejected
		}
	}
	return nil
}
