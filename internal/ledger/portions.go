package ledger

import (
	"fmt"

	"odometer/internal/ledger/idset"
	"odometer/internal/meter"
)

// A block is counted family by family. Twenty thousand events of as many groups
// and a thousand meters are more cells than memory should hold, so a checkpoint
// may come between two families:
//
//	judge S │ meters 1..k │ checkpoint: applied S-1, meters 1..k ahead at S │ meters k+1..n │ S is folded
//
// That checkpoint is the fold of the log up to S-1, and of S for the meters that
// say so. A crash after it folds S again, and leaves those meters out. Readers
// pass over the cells of a meter that is ahead and scan, until S is folded.

// countMeters adds the accepted rows of the block to the organization's
// meters. l.mu is held, and given up while a checkpoint is awaited.
func (l *Ledger) countMeters(org *orgState, it *foldItem) error {
	l.fold.eval.reset(it.rows, l.texts.forOrg(org.name))
	for more := true; more; {
		var err error
		if more, err = l.countPortion(org, it); err != nil {
			return err
		}
	}
	return nil
}

// countPortion counts families until a checkpoint came within the block: then
// there may be more to count, in families of the next delta.
func (l *Ledger) countPortion(org *orgState, it *foldItem) (more bool, err error) {
	seq := it.header.Sequence
	families := l.families(org)
	for i, fam := range families {
		if fam.lead.record.Ahead >= seq {
			continue // counted in the checkpoint before, or before a crash
		}
		if err := l.countFamily(fam, it.rows, l.fold.verdicts, change{sign: +1}); err != nil {
			return false, fmt.Errorf("meter %s: %w", fam.lead.record.Meter.Key, err)
		}
		if l.held() >= l.heldFull() && i+1 < len(families) {
			for _, counted := range families[:i+1] {
				for m := range counted.meters {
					m.record.Ahead = seq
				}
			}
			return true, l.writePortion(it)
		}
	}
	return false, nil
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
