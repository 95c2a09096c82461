package ledger

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// A void cannot be subtracted from a smallest, largest or last value or a set:
// the slot becomes dirty and is answered by scanning. Checkpoints recompute
// dirty slots from the blocks and install the result in their own batch, so
// that the marks go exactly when the figures arrive:
//
//	void ─► Table.Dirty ─► 'y' keys ─► dirtyJob reads blocks <= S ─► cell.Install at S
//
// A checkpoint reads at most Limits.DirtyBytes of blocks for this; a job that
// needs more goes on at the next one. A job is in memory only: after a restart
// it begins again from the 'y' keys.

// recomputer is the state of the job between two checkpoints. Used by one flush at a time.
type recomputer struct {
	job    *dirtyJob
	after  state.DirtySlot // last slot picked: the next job starts behind it
	broken map[string]bool // organizations whose blocks cannot be read
}

// dirtyMark is a slot of a full group that the delta's voids made dirty.
type dirtyMark struct {
	state.DirtySlot
	group    []uint64
	sequence uint64
}

// recomputeDirty lists the delta's dirty marks and goes on recomputing dirty
// slots. It returns the marks that come and go, and what is to be installed by chunk key. Flush goroutine.
func (l *Ledger) recomputeDirty(d *delta) (*changes, map[string][]*install, error) {
	marks := dirtyMarks(d)
	changed := &changes{}
	for _, m := range marks {
		changed.set(state.DirtyKey(m.DirtySlot, m.group), binary.BigEndian.AppendUint64(nil, m.sequence))
	}
	r := &l.ckpt.dirty
	r.forget(marks, d.deleted)
	installs := map[string][]*install{}
	if d.partial {
		return changed, installs, nil // its cells are not of one sequence
	}
	pick, err := l.newPicker(marks)
	if err != nil {
		return nil, nil, err
	}
	if r.job != nil {
		for s := range r.job.slots {
			pick.picked[s] = true
		}
	}
	budget := l.limits.DirtyBytes
	for budget > 0 {
		if r.job == nil {
			if r.job, err = pick.next(); err != nil || r.job == nil {
				return changed, installs, err
			}
		}
		done, err := l.runDirty(r.job, d, &budget)
		if meter.KindOf(err) == meter.KindCorrupt {
			// Reads of these slots fail for the same reason; the others go on.
			l.logger.Error("dirty slots cannot be recomputed", "organization", r.job.org, "error", err)
			if r.broken == nil {
				r.broken = map[string]bool{}
			}
			r.broken[r.job.org], r.job = true, nil
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if !done {
			break
		}
		r.job.finish(changed, installs, l.limits.SetValues)
		r.job = nil
	}
	return changed, installs, nil
}

// dirtyMarks lists the marks of the delta in order of key. A total kept beside
// the groups is left out: it is a projection of them.
func dirtyMarks(d *delta) []dirtyMark {
	var out []dirtyMark
	groups := map[uint32]int{}
	for m := range d.meters {
		groups[m.record.Version] = len(m.Order)
	}
	d.table.DirtySlots(func(version uint32, group []uint64, slot int32, sequence uint64) {
		if n, ok := groups[version]; ok && n == len(group) && sequence != cell.Permanent {
			out = append(out, dirtyMark{state.DirtySlot{Version: version, Slot: slot}, slices.Clone(group), sequence})
		}
	})
	slices.SortFunc(out, func(a, b dirtyMark) int {
		return cmp.Or(a.Compare(b.DirtySlot), slices.Compare(a.group, b.group))
	})
	return out
}

// forget takes out of the job what was voided again since it began, and
// deleted meters: what was read for them is not valid any more.
func (r *recomputer) forget(marks []dirtyMark, deleted []*meterState) {
	if r.job == nil {
		return
	}
	for _, m := range marks {
		delete(r.job.slots, m.DirtySlot)
	}
	for _, m := range deleted {
		maps.DeleteFunc(r.job.slots, func(s state.DirtySlot, _ *slotWork) bool { return s.Version == m.record.Version })
	}
	if len(r.job.slots) == 0 {
		r.job = nil
	}
}

// settled returns the meters whose cells can be recomputed, by version: their
// backfill had ended when the delta was frozen. Before that the cells lack
// events, and the backfill would add them to a recomputed slot again.
func (l *Ledger) settled() map[uint32]*meterState {
	out := map[uint32]*meterState{}
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.orgsMu.RLock()
	defer l.orgsMu.RUnlock()
	for _, o := range l.orgs {
		if o.record.Stopped != nil {
			continue
		}
		for _, m := range o.meters {
			if m.frozen.Cursor >= m.frozen.Created {
				out[m.frozen.Version] = m
			}
		}
	}
	return out
}

// picker makes the jobs of one checkpoint.
type picker struct {
	l      *Ledger
	marks  []dirtyMark
	slots  []state.DirtySlot // all that are dirty, in order
	picked map[state.DirtySlot]bool
	meters map[uint32]*meterState
}

func (l *Ledger) newPicker(marks []dirtyMark) (*picker, error) {
	slots, err := l.dirtySlots(marks)
	p := &picker{l: l, marks: marks, slots: slots, picked: map[state.DirtySlot]bool{}}
	if len(slots) > 0 {
		p.meters = l.settled()
	}
	return p, err
}

// next makes the next job, nil when nothing is left for this checkpoint: slots
// of one organization, in order of key from where the last job ended.
func (p *picker) next() (*dirtyJob, error) {
	r := &p.l.ckpt.dirty
	from, _ := slices.BinarySearchFunc(p.slots, r.after, state.DirtySlot.Compare)
	job := &dirtyJob{slots: map[state.DirtySlot]*slotWork{}}
	for i := range p.slots {
		if len(p.picked) >= p.l.limits.DirtyPerFlush {
			break
		}
		s := p.slots[(from+i)%len(p.slots)]
		m := p.meters[s.Version]
		if m == nil || p.picked[s] || r.broken[m.Org] || job.org != "" && job.org != m.Org {
			continue
		}
		w, err := p.l.newSlotWork(s, m, p.marks)
		if err != nil {
			return nil, err
		}
		p.picked[s], job.slots[s], job.org = true, w, m.Org
		r.after = state.DirtySlot{Version: s.Version, Slot: s.Slot + 1}
	}
	if len(job.slots) == 0 {
		return nil, nil
	}
	job.texts = &cachedTexts{in: storedTexts{p.l, job.org}, ids: map[string]uint64{}}
	job.layOut()
	return job, nil
}

// dirtySlots lists the dirty slots, stored and new, in order. Of very many, the
// first ones will do.
func (l *Ledger) dirtySlots(marks []dirtyMark) ([]state.DirtySlot, error) {
	var out []state.DirtySlot
	for _, m := range marks {
		out = append(out, m.DirtySlot)
	}
	it, err := l.base.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{state.KeyDirty}, UpperBound: []byte{state.KeyDirty + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && len(out) < maxDirtyListed; {
		s, _, err := state.ParseDirtyKey(it.Key())
		if err != nil {
			_ = it.Close()
			return nil, err
		}
		out = append(out, s)
		ok = it.SeekGE(state.UpperBound(s.Key()))
	}
	if err := it.Close(); err != nil {
		return nil, disk.Unreadable(err, "the state cannot be read")
	}
	slices.SortFunc(out, state.DirtySlot.Compare)
	return slices.Compact(out), nil
}

// maxDirtyListed bounds the dirty slots that one job is picked from (8 bytes each).
const maxDirtyListed = 1 << 20

// installChunk replaces a stored value by itself with the delta's own cells
// (nil = none) and the recomputed slots of some columns.
func (l *Ledger) installChunk(w *stateWriter, key, own []byte, columns []*install, upTo uint64) error {
	base, err := l.stateValue(key)
	if err != nil {
		return err
	}
	switch {
	case base == nil:
		base = own
	case own != nil:
		if base, err = cell.Merge(base, own); err != nil {
			return err
		}
	}
	for _, in := range columns {
		if base, err = cell.Install(&in.layout, base, in.slots, upTo); err != nil {
			return err
		}
	}
	return w.set(key, base)
}
