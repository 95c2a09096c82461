package ledger

import (
	"context"
	"fmt"

	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// voidEntry asks that events count no longer. The entry stays in the log with
// its actor and reason; the events stay stored and their identities remembered.
type voidEntry struct {
	IDs    []voidIdentity `json:"ids"`
	Reason string         `json:"reason,omitempty"`
}

type voidIdentity struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// MaxVoids bounds the identities of one Void.
const MaxVoids = 10_000

// voidWork is what a void entry amounts to, judged before Ledger.mu is taken.
type voidWork struct {
	result meter.VoidResult
	blocks map[uint64]*voidBlock
	order  []uint64
	// The block of one of the events is damaged: the entry cannot be applied.
	unreadable error
}

// voidBlock names rows of one block. The rows themselves are read again when
// they are taken back: an entry may name events of thousands of blocks.
type voidBlock struct{ ords []uint32 }

// Void takes events out of every figure from here on. Identities that were
// voided before are duplicates; unknown ones are rejected. as_of reads before
// the void still count the events.
func (l *Ledger) Void(ctx context.Context, org string, ids []meter.Identity, actor, reason string) (meter.VoidResult, error) {
	if len(ids) == 0 || len(ids) > MaxVoids {
		return meter.VoidResult{}, meter.Errorf(meter.KindInvalid, "%d identities to void: want 1 to %d", len(ids), MaxVoids)
	}
	if n := len(l.Meters(org)); len(ids)*n > l.limits.VoidCounts {
		return meter.VoidResult{}, meter.Errorf(meter.KindInvalid, "%d identities to void: with %d meters, one void takes at most %d", len(ids), n, l.limits.VoidCounts/n)
	}
	e := &voidEntry{Reason: reason}
	for _, id := range ids {
		e.IDs = append(e.IDs, voidIdentity(id))
	}
	if err := l.voidable(ctx, org, ids); err != nil {
		return meter.VoidResult{}, err
	}
	v, seq, err := l.submitControl(ctx, org, control{Actor: actor, Void: e})
	if err != nil {
		return meter.VoidResult{}, err
	}
	r := v.(meter.VoidResult)
	r.Sequence = seq
	return r, nil
}

// voidable makes sure that the blocks of the events can be read: an entry that
// the fold cannot apply would stop the organization.
func (l *Ledger) voidable(ctx context.Context, org string, ids []meter.Identity) error {
	blocks := map[uint64]bool{}
	err := l.onFold(func() error {
		for _, id := range ids {
			first, ok, err := l.ids.Lookup(l.key.Identity(org, id.Source, id.ID), 0)
			if err != nil {
				return err
			}
			if ok {
				blocks[first.Seq] = true
			}
		}
		return nil
	})
	for seq := range blocks {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			_, _, err = l.rowsAt(seq)
		}
	}
	return err
}

// judgeVoid finds the events of a void entry.
func (l *Ledger) judgeVoid(org *orgState, it *foldItem, e *voidEntry) (*voidWork, error) {
	w := &voidWork{blocks: map[uint64]*voidBlock{}}
	type place struct {
		seq uint64
		ord uint32
	}
	inEntry := map[place]bool{}
	for i, id := range e.IDs {
		first, ok, err := l.ids.Lookup(l.key.Identity(org.name, id.Source, id.ID), 0)
		if err != nil {
			return nil, err
		}
		if !ok {
			w.result.Rejected = append(w.result.Rejected, meter.EventError{Index: i, ID: id.ID, Source: id.Source, Verdict: meter.Rejected,
				Reason: "no event with this source and id was ever counted"})
			continue
		}
		at := place{first.Seq, first.Ord}
		voided, err := l.isVoided(at.seq, at.ord)
		if err != nil {
			return nil, err
		}
		if voided || inEntry[at] {
			w.result.Duplicates++
			continue
		}
		inEntry[at] = true
		b := w.blocks[at.seq]
		if b == nil {
			if _, _, err := l.rowsAt(at.seq); err != nil {
				w.unreadable = fmt.Errorf("the block of a voided event: %w", err)
				return w, nil
			}
			b = &voidBlock{}
			w.blocks[at.seq] = b
			w.order = append(w.order, at.seq)
		}
		b.ords = append(b.ords, at.ord)
		w.result.Voided++
	}
	return w, nil
}

func (l *Ledger) isVoided(seq uint64, ord uint32) (bool, error) {
	for _, d := range []*delta{l.active, l.frozenDelta()} {
		if d != nil {
			if _, ok := d.voids[seq][ord]; ok {
				return true, nil
			}
		}
	}
	return l.stateHas(state.VoidedKey(seq, ord))
}

func (l *Ledger) frozenDelta() *delta {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.frozen
}

// foldVoid takes the events back from every meter. l.mu is held.
//
// Also from a meter whose backfill has not reached them: the backfill counts
// everything that was not voided before the meter's definition, so both
// together are exact whichever comes first.
func (l *Ledger) foldVoid(org *orgState, it *foldItem, c control, w *voidWork) error {
	note := state.VoidNote{Sequence: it.header.Sequence, At: it.header.Accepted.UnixNano(), Actor: c.Actor, Reason: c.Void.Reason}
	for _, seq := range w.order {
		b := w.blocks[seq]
		_, rows, err := l.rowsAt(seq)
		if err != nil {
			return err
		}
		verdicts := make([]meter.Verdict, rows.N)
		for i := range verdicts {
			verdicts[i] = meter.Rejected // not taken
		}
		if l.active.voids[seq] == nil {
			l.active.voids[seq] = map[uint32]state.VoidNote{}
		}
		for _, ord := range b.ords {
			verdicts[ord] = meter.Accepted
			l.active.voids[seq][ord] = note
			l.active.side += voidBytes
			org.record.Reached.Note(rows.Times[ord], rows.Times[ord], note.Sequence)
		}
		l.fold.eval.reset(rows, l.texts.forOrg(org.name))
		for _, fam := range l.families(org) {
			if err := l.countFamily(fam, rows, verdicts, change{sign: -1, seq: note.Sequence}); err != nil {
				return err
			}
		}
		org.record.Voided += uint64(len(b.ords))
	}
	return nil
}
