package ledger

import (
	"fmt"

	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// A block is counted meter by meter. Twenty thousand events of as many groups
// and a thousand meters are more cells than memory should hold, so a checkpoint
// may come between two meters:
//
//	judge S │ meters 1..k │ checkpoint: applied S-1, meters 1..k ahead at S │ meters k+1..n │ S is folded
//
// That checkpoint is the fold of the log up to S-1, and of S for the meters that
// say so. A crash after it folds S again, and leaves those meters out. Readers
// pass over the cells of a meter that is ahead and scan, until S is folded.

// countMeters adds the accepted rows of the block to the organization's
// meters. l.mu is held, and given up while a checkpoint is awaited.
func (l *Ledger) countMeters(org *orgState, it *foldItem) error {
	f := &l.fold
	f.eval.reset(it.rows, l.texts.forOrg(org.name))
	for i, m := range org.meters {
		if m.record.Ahead >= it.header.Sequence {
			continue // counted before a crash
		}
		if err := l.countMeter(m, it.rows, f.verdicts, change{sign: +1}); err != nil {
			return fmt.Errorf("meter %s: %w", m.record.Meter.Key, err)
		}
		if l.held() >= l.heldFull() && i+1 < len(org.meters) {
			for _, counted := range org.meters[:i+1] {
				counted.record.Ahead = it.header.Sequence
			}
			if err := l.writePortion(it); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePortion starts a checkpoint within a block. l.mu is held; it is given up meanwhile.
func (l *Ledger) writePortion(it *foldItem) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	if err := l.flushed(); err != nil {
		return err
	}
	l.freeze(it)
	// The block's identities are no part of a checkpoint that ends before it:
	// they go on being remembered as recent ones.
	for i, v := range l.fold.verdicts {
		e := idset.Entry{Hash: it.rows.Hashes[i], Check: it.rows.Checks[i], Seq: it.header.Sequence, Ord: uint32(i)}
		if v == meter.Accepted && !l.ids.Insert(e) {
			return fmt.Errorf("the recent identity table is full at row %d", i)
		}
	}
	return nil
}
