package idset

import (
	"context"
	"math/bits"
	"slices"

	"odometer/internal/meter"
)

// Merge replaces several runs by one that holds the same identities.
type Merge struct {
	set    *Set
	inputs []*run // each referenced by the merge
	out    *run   // once run; guarded by Set.mu
	over   bool   // installed or aborted; guarded by Set.mu
}

// PlanMerge chooses runs to merge, or returns nil when there is nothing to
// do. Runs of a merge under way are left out, so that a small merge need not
// wait for a large one. A plan must be installed or aborted.
func (s *Set) PlanMerge() *Merge {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	var idle []*run
	for _, r := range s.sealed.runs {
		if !r.merging {
			idle = append(idle, r)
		}
	}
	slices.SortStableFunc(idle, func(a, b *run) int {
		if a.info.Entries < b.info.Entries {
			return -1
		}
		if a.info.Entries > b.info.Entries {
			return 1
		}
		return 0
	})
	sizes := make([]uint64, len(idle))
	for i, r := range idle {
		sizes[i] = r.info.Entries
	}
	n := pickMerge(sizes, s.merges, s.opt.TierFanout, s.opt.MaxRuns)
	if n == 0 {
		return nil
	}
	m := &Merge{set: s, inputs: idle[:n:n]}
	for _, r := range m.inputs {
		r.merging = true
		r.refs++
	}
	s.merges++
	return m
}

// pickMerge returns how many of the smallest runs to merge: sizes ascend, and
// busy runs are being made by other merges.
func pickMerge(sizes []uint64, busy, fanout, maxRuns int) int {
	level := func(n uint64) int { return bits.Len64(n) / bits.Len(uint(fanout-1)) }
	same := 0
	for i := range sizes {
		if level(sizes[i]) == level(sizes[0]) {
			same = i + 1
		}
	}
	if same >= fanout {
		return same
	}
	if len(sizes)+busy >= maxRuns && len(sizes) > 1 {
		return min(len(sizes), max(2, fanout))
	}
	return 0
}

func (m *Merge) replaces(r *run) bool { return slices.Contains(m.inputs, r) }

// Len returns the number of identities that the merge rewrites.
func (m *Merge) Len() uint64 {
	var n uint64
	for _, r := range m.inputs {
		n += r.info.Entries
	}
	return n
}

// Run writes the merged run: one pass over the inputs, in bounded memory but
// for the new run's filter; complete, synced and under its name when it
// returns. A damaged input page is KindCorrupt. On an error, also the
// context's, the plan is aborted. Once; any goroutine.
func (m *Merge) Run(ctx context.Context) (RunInfo, error) {
	tier := 0
	for _, r := range m.inputs {
		tier = max(tier, r.info.Tier+1)
	}
	out, err := m.set.createRun(m.Len(), tier, func(w *runWriter) error {
		return mergeRuns(ctx, m.inputs, w.add)
	})
	if err != nil {
		m.Abort()
		return RunInfo{}, err
	}
	m.set.mu.Lock()
	defer m.set.mu.Unlock()
	for _, r := range m.inputs {
		out.born = max(out.born, r.born)
	}
	out.refs++ // the merge's, until it is installed or aborted
	m.out = out
	return out.info, nil
}

// Abort gives the plan up. After Abort, or InstallMerge, it does nothing.
func (m *Merge) Abort() {
	m.set.mu.Lock()
	defer m.set.mu.Unlock()
	m.finish()
}

// finish lets go of the runs. Set.mu is held.
func (m *Merge) finish() {
	if m.over {
		return
	}
	m.over = true
	m.set.merges--
	for _, r := range m.inputs {
		r.merging = false
		r.release()
	}
	if m.out != nil {
		m.out.release()
	}
}

// InstallMerge puts the run that Run returned in the place of its inputs.
// Call it once a checkpoint that names the new run, and not the old ones, has
// committed; then RemoveObsolete may delete the old files.
func (s *Set) InstallMerge(m *Merge, info RunInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if m.over || m.out == nil || m.out.info != info {
		panic("idset: InstallMerge of a merge that has not run, or is over")
	}
	// The new run takes the place of the oldest input.
	var runs []*run
	placed := false
	for _, r := range s.sealed.runs {
		switch {
		case !m.replaces(r):
			runs = append(runs, r)
		case !placed:
			runs, placed = append(runs, m.out), true
		}
	}
	for _, r := range m.inputs {
		s.obsolete[r.info.ID] = r
	}
	s.publish(runs, s.sealed.version)
	m.finish()
}

// mergeRuns calls fn with every entry in order of hash. Of
// entries under one hash, which no sound history has, the earliest counts.
func mergeRuns(ctx context.Context, runs []*run, fn func(*Entry) error) error {
	heads := make([]*mergeHead, 0, len(runs))
	for _, r := range runs {
		h := &mergeHead{reader: newPageReader(r)}
		if h.advance() {
			heads = append(heads, h)
		} else if h.reader.err != nil {
			return h.reader.err
		}
	}
	pages := 0
	for len(heads) > 0 {
		least := 0
		for i := 1; i < len(heads); i++ {
			if lessHash(heads[i].entry.Hash, heads[least].entry.Hash) {
				least = i
			}
		}
		e := heads[least].entry
		for i := 0; i < len(heads); i++ {
			h := heads[i]
			if h.entry.Hash != e.Hash {
				continue
			}
			if h.entry.Seq < e.Seq || h.entry.Seq == e.Seq && h.entry.Ord < e.Ord {
				e = h.entry
			}
			if h.advance() {
				continue
			}
			if h.reader.err != nil {
				return h.reader.err
			}
			heads = append(heads[:i], heads[i+1:]...)
			i--
		}
		if err := fn(&e); err != nil {
			return err
		}
		if pages++; pages%4096 == 0 && ctx.Err() != nil {
			return meter.WrapError(meter.KindUnavailable, ctx.Err(), "merging identities was given up")
		}
	}
	return nil
}

type mergeHead struct {
	reader *pageReader
	at     int
	entry  Entry
}

// advance moves to the next entry; false at the end or on an error.
func (h *mergeHead) advance() bool {
	if h.at == len(h.reader.entries) {
		if !h.reader.next() {
			return false
		}
		h.at = 0
	}
	h.entry = h.reader.entries[h.at]
	h.at++
	return true
}
