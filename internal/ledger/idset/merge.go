package idset

import (
	"cmp"
	"context"
	"math"
	"slices"

	"odometer/internal/meter"
)

// Merge replaces several runs by one that holds the same identities.
type Merge struct {
	set    *Set
	inputs []*run // each referenced by the merge
	out    *run   // once run; guarded by Set.mu
}

// PlanMerge chooses runs to merge, or returns nil when there is nothing to
// do. It keeps to MaxRuns runs: while a merge is under way more may gather,
// and may be planned in turn, as runs of a merge under way are left out. A
// plan must be run, and then installed or aborted.
func (s *Set) PlanMerge() *Merge {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return nil
	}
	var idle []*run
	for _, r := range s.sealed.runs {
		if !r.merging {
			idle = append(idle, r)
		}
	}
	slices.SortStableFunc(idle, func(a, b *run) int { return cmp.Compare(a.info.Entries, b.info.Entries) })
	sizes := make([]uint64, len(idle))
	for i, r := range idle {
		sizes[i] = r.info.Entries
	}
	n := pickMerge(sizes, len(s.merges), s.opt.TierFanout, s.opt.MaxRuns)
	if n == 0 {
		return nil
	}
	m := &Merge{set: s, inputs: idle[:n:n]}
	for _, r := range m.inputs {
		r.merging = true
		r.refs++
	}
	s.merges = append(s.merges, m)
	return m
}

// pickMerge returns how many of the smallest runs to merge; sizes ascend, and
// busy runs are being made by other merges. Runs are merged when fanout of
// them are of like size, or when there are too many; and then along with
// every next one that is not much larger than what has gathered, which would
// be rewritten soon anyway. A simulation of many mixes of sizes gave the
// factor of 1.5: fewer bytes rewritten than with smaller and larger ones.
func pickMerge(sizes []uint64, busy, fanout, maxRuns int) int {
	n := 0
	for n < len(sizes) && level(sizes[n], fanout) == level(sizes[0], fanout) {
		n++
	}
	if n < fanout {
		if len(sizes) < 2 || len(sizes)+busy < maxRuns {
			return 0
		}
		n = 2
	}
	var sum uint64
	for _, size := range sizes[:n] {
		sum += size
	}
	for n < len(sizes) && sizes[n] <= sum+sum/2 {
		sum += sizes[n]
		n++
	}
	return n
}

// level returns the logarithm of n to the base fanout, rounded down.
func level(n uint64, fanout int) int {
	l := 0
	for ; n >= uint64(fanout); n /= uint64(fanout) {
		l++
	}
	return l
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
		return mergeRuns(ctx, m.inputs, 0, math.MaxUint64, w.add)
	})
	m.set.mu.Lock()
	defer m.set.unlock()
	if err != nil {
		m.finish()
		return RunInfo{}, err
	}
	for _, r := range m.inputs {
		out.born = max(out.born, r.born)
	}
	m.out = out
	out.refs++ // the merge's, until it is installed or aborted
	if m.set.closed {
		m.finish()
		return RunInfo{}, errClosed
	}
	return out.info, nil
}

// abort gives up a plan that is not running. Once it has been installed or
// aborted, it does nothing.
func (m *Merge) abort() {
	m.set.mu.Lock()
	defer m.set.unlock()
	m.finish()
}

// finish lets go of the runs. Set.mu is held.
func (m *Merge) finish() {
	at := slices.Index(m.set.merges, m)
	if at < 0 {
		return
	}
	m.set.merges = slices.Delete(m.set.merges, at, at+1)
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
	defer s.unlock()
	if s.closed {
		return
	}
	if m.out == nil || m.out.info != info || !slices.Contains(s.merges, m) {
		panic("idset: InstallMerge of a merge that has not run, or is over")
	}
	runs := []*run{m.out}
	for _, r := range s.sealed.runs {
		if m.replaces(r) {
			s.obsolete[r.info.ID] = r
		} else {
			runs = append(runs, r)
		}
	}
	s.publish(runs, s.sealed.version)
	s.generation.Add(1)
	m.finish()
}

// mergeRuns calls fn, in order of hash, with the entries of every page that
// may hold a hash whose high half is in [lo,hi]. Of entries under one hash,
// which no sound history has, the earliest counts.
func mergeRuns(ctx context.Context, runs []*run, lo, hi uint64, fn func(*Entry) error) error {
	// next[i] is the next entry of reads[i]; highs repeats its high half for
	// the search of the least, which is most of the work.
	var highs []uint64
	var next []*Entry
	var reads []*pageReader
	for _, r := range runs {
		from, to := r.pagesOf(lo, hi)
		p := newPageReader(r, from, to)
		if !p.next() {
			if p.err != nil {
				return p.err
			}
			continue
		}
		reads, next, highs = append(reads, p), append(next, p.take()), append(highs, p.entries[0].Hash.Hi)
	}
	var pending Entry // the least so far, held back until a greater one is seen
	held := false
	for len(highs) > 0 {
		i := least(highs, next)
		e := next[i]
		switch {
		case !held:
			pending, held = *e, true
		case pending.Hash != e.Hash:
			if err := fn(&pending); err != nil {
				return err
			}
			pending = *e
		case e.Seq < pending.Seq || e.Seq == pending.Seq && e.Ord < pending.Ord:
			pending = *e
		}
		p := reads[i]
		if p.at == len(p.entries) {
			if ctx.Err() != nil {
				return meter.WrapError(meter.KindUnavailable, ctx.Err(), "merging identities was given up")
			}
			if !p.next() {
				if p.err != nil {
					return p.err
				}
				highs, next, reads = slices.Delete(highs, i, i+1), slices.Delete(next, i, i+1), slices.Delete(reads, i, i+1)
				continue
			}
		}
		next[i] = p.take()
		highs[i] = next[i].Hash.Hi
	}
	if !held {
		return nil
	}
	return fn(&pending)
}

// least returns the position of the least entry.
func least(highs []uint64, next []*Entry) int {
	at, low, tie := 0, highs[0], false
	for i := 1; i < len(highs); i++ {
		hi := highs[i]
		if hi == low {
			tie = true
		}
		if hi < low {
			at, low = i, hi
		}
	}
	if tie {
		for i := range next {
			if lessHash(next[i].Hash, next[at].Hash) {
				at = i
			}
		}
	}
	return at
}
