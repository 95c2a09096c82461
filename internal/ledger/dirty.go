package ledger

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
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

// dirtyJob recomputes some dirty slots of one organization.
type dirtyJob struct {
	org    string
	cursor uint64 // blocks up to here are in the states
	slots  map[state.DirtySlot]*slotWork
	spans  [][2]int64 // unix ns, half-open, disjoint and ascending: the times of the slots
	eval   evaluator
	texts  *cachedTexts
	take   []bool
	chosen []bool
}

// slotWork is one slot of a job.
type slotWork struct {
	m      *meterState
	keys   [][]byte // the 'y' keys that the installed slot makes void
	states map[string]*projected
}

// projected is the state of one projected group that a dirty group is part of.
type projected struct {
	projection uint8
	group      []uint64
	state      cell.State
}

// install is what one chunk is to get.
type install struct {
	layout cell.Layout
	slots  []cell.Recomputed
}

// dirtyMark is a slot of a full group that the delta's voids made dirty.
type dirtyMark struct {
	state.DirtySlot
	group    []uint64
	sequence uint64
}

// recomputeDirty stores the delta's dirty marks and goes on recomputing dirty
// slots. It returns what is to be installed, by chunk key. Flush goroutine.
func (l *Ledger) recomputeDirty(b *pebble.Batch, d *delta) (map[string]*install, error) {
	marks := dirtyMarks(d)
	var seq [8]byte
	for _, m := range marks {
		binary.BigEndian.PutUint64(seq[:], m.sequence)
		if err := b.Set(state.DirtyKey(m.DirtySlot, m.group), seq[:], nil); err != nil {
			return nil, err
		}
	}
	r := &l.ckpt.dirty
	r.forget(marks, d.deleted)
	installs := map[string]*install{}
	if d.partial {
		return installs, nil // its cells are not of one sequence
	}
	pick, err := l.newPicker(marks)
	if err != nil {
		return nil, err
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
				return installs, err
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
			return nil, err
		}
		if !done {
			break
		}
		if err := r.job.finish(b, installs, l.limits.SetValues); err != nil {
			return nil, err
		}
		r.job = nil
	}
	return installs, nil
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

// newSlotWork prepares the states of all projected groups that a dirty group is part of.
func (l *Ledger) newSlotWork(s state.DirtySlot, m *meterState, marks []dirtyMark) (*slotWork, error) {
	w := &slotWork{m: m, states: map[string]*projected{}}
	from, _ := slices.BinarySearchFunc(marks, s, func(m dirtyMark, s state.DirtySlot) int { return m.Compare(s) })
	for _, mark := range marks[from:] {
		if mark.DirtySlot != s {
			break
		}
		w.want(mark.group)
		w.keys = append(w.keys, state.DirtyKey(s, mark.group))
	}
	err := state.Scan(l.base.snap, s.Key(), func(key, _ []byte) error {
		_, group, err := state.ParseDirtyKey(key)
		if err != nil || len(group) != len(m.Order) {
			return meter.WrapError(meter.KindCorrupt, err, "dirty slot key %x is damaged", key)
		}
		w.want(group)
		w.keys = append(w.keys, slices.Clone(key))
		return nil
	})
	return w, err
}

// want makes the states of a full group and of its projections be computed.
func (w *slotWork) want(group []uint64) {
	for _, p := range w.m.Projections() {
		g := projectGroup(nil, p, group)
		key := stateName(nil, p.ID, g)
		if w.states[string(key)] == nil {
			w.states[string(key)] = &projected{projection: p.ID, group: g, state: cell.State{Kind: w.m.Kind}}
		}
	}
}

// projectGroup appends the ids that a projection keeps of a full group.
func projectGroup(dst []uint64, p cell.Projection, group []uint64) []uint64 {
	if p.ID == cell.ProjectionAll {
		return append(dst, group...)
	}
	for _, at := range p.Take {
		dst = append(dst, group[at])
	}
	return dst
}

func stateName(dst []byte, projection uint8, group []uint64) []byte {
	dst = append(dst, projection)
	for _, id := range group {
		dst = binary.BigEndian.AppendUint64(dst, id)
	}
	return dst
}

// layOut finds the times of the slots.
func (j *dirtyJob) layOut() {
	for s, w := range j.slots {
		from := int64(s.Slot) * int64(w.m.Width)
		j.spans = append(j.spans, [2]int64{from, from + int64(w.m.Width)})
	}
	slices.SortFunc(j.spans, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	merged := j.spans[:1]
	for _, s := range j.spans[1:] {
		if last := &merged[len(merged)-1]; s[0] <= last[1] {
			last[1] = max(last[1], s[1])
		} else {
			merged = append(merged, s)
		}
	}
	j.spans = merged
}

// meets says whether a slot of the job holds an instant of [from, to].
func (j *dirtyJob) meets(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(j.spans, from, func(s [2]int64, t int64) int {
		if s[1] <= t {
			return -1
		}
		return 1
	})
	return i < len(j.spans) && j.spans[i][0] <= to
}

// runDirty reads the blocks up to the delta's sequence that the job lacks, as
// far as the budget goes. It sees what the delta and the checkpoint before hold
// and nothing later.
func (l *Ledger) runDirty(j *dirtyJob, d *delta, budget *int64) (done bool, err error) {
	v := &view{l: l, base: l.base, applied: d.applied, recent: [2][]headerNote{d.headers}}
	done = true
	err = v.headers(j.org, j.cursor+1, d.applied, func(h *block.Header) (bool, error) {
		if h.Kind == block.KindEvents && h.Rows > 0 && j.meets(h.MinTime, h.MaxTime) {
			if *budget <= 0 {
				done = false
				return false, nil
			}
			*budget -= int64(h.BodyLen)
			if err := j.block(l, h, d); err != nil {
				return false, err
			}
		}
		j.cursor = h.Sequence
		return true, nil
	})
	return done && err == nil, err
}

// block adds the rows of one block.
func (j *dirtyJob) block(l *Ledger, h *block.Header, d *delta) error {
	rows, err := l.loadRows(h, false)
	if err != nil {
		return err
	}
	if j.take, err = l.counting(rows, h.Sequence, d.applied, moment{}, j.take); err != nil {
		return err
	}
	some := false
	for i, t := range rows.Times {
		j.take[i] = j.take[i] && j.meets(t, t)
		some = some || j.take[i]
	}
	if !some {
		return nil
	}
	j.eval.reset(rows, j.texts)
	done := map[uint32]bool{}
	for s, w := range j.slots {
		if !done[s.Version] {
			done[s.Version] = true
			if err := j.rows(l, w.m, rows, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows adds the taken rows of the evaluator's block to the slots of one meter.
func (j *dirtyJob) rows(l *Ledger, m *meterState, rows *block.Rows, d *delta) error {
	def := &m.frozen.Meter
	j.eval.trim()
	j.chosen = append(j.chosen[:0], j.take...)
	if !j.eval.match(def, j.chosen) {
		return nil
	}
	columns := make([][]uint64, len(m.Order))
	for i, attr := range m.Order {
		var err error
		if columns[i], err = j.eval.group(attr); err != nil {
			return err
		}
	}
	ms, err := j.eval.measure(def)
	if err != nil {
		return err
	}
	projections := m.Projections()
	group := make([]uint64, len(columns))
	var part []uint64
	var name []byte
	for i := range j.chosen {
		if !j.chosen[i] || !ms.has(i) {
			continue
		}
		w := j.slots[state.DirtySlot{Version: m.frozen.Version, Slot: int32(floorDiv(rows.Times[i], int64(m.Width)))}]
		if w == nil {
			continue
		}
		for c := range columns {
			group[c] = columns[c][i]
		}
		if m.frozen.Crowded {
			if kept, err := l.keptGroup(d, m, group); err != nil {
				return err
			} else if !kept {
				m.overflow(group)
			}
		}
		st := ms.state(rows, i)
		for _, p := range projections {
			part = projectGroup(part[:0], p, group)
			name = stateName(name[:0], p.ID, part)
			if s := w.states[string(name)]; s != nil {
				s.state.Merge(st)
			}
		}
	}
	return nil
}

// keptGroup says whether a crowded meter keeps the group apart, as of the delta.
func (l *Ledger) keptGroup(d *delta, m *meterState, group []uint64) (bool, error) {
	key := state.GroupKey(m.frozen.Version, group)
	if _, ok := d.groups[string(key)]; ok {
		return true, nil
	}
	return l.stateHas(key)
}

// finish hands the computed states over and removes the marks.
func (j *dirtyJob) finish(b *pebble.Batch, installs map[string]*install, setValues int) error {
	for s, w := range j.slots {
		layout := w.m.Layout()
		layout.SetValues = setValues
		day, inDay := layout.Day(s.Slot)
		for _, p := range w.states {
			key := string(layout.AppendKey(nil, p.projection, p.group, day))
			in := installs[key]
			if in == nil {
				in = &install{layout: layout}
				installs[key] = in
			}
			in.slots = append(in.slots, cell.Recomputed{Slot: inDay, State: p.state})
		}
		for _, key := range w.keys {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// installChunk replaces a chunk by the stored one, with the delta's own cells
// (nil = none) and the recomputed slots.
func (l *Ledger) installChunk(b *pebble.Batch, key, own []byte, in *install, upTo uint64) error {
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
	chunk, err := cell.Install(&in.layout, base, in.slots, upTo)
	if err != nil {
		return err
	}
	return b.Set(key, chunk, nil)
}

// cachedTexts interns with the fold's numbers and remembers them.
type cachedTexts struct {
	in    storedTexts
	ids   map[string]uint64
	bytes int64
}

// What cachedTexts and its like hold.
const (
	maxCachedTexts     = 1 << 16
	maxCachedTextBytes = 8 << 20
)

func (c *cachedTexts) intern(text []byte) (uint64, error) {
	if id, ok := c.ids[string(text)]; ok {
		return id, nil
	}
	id, err := c.in.intern(text)
	if err == nil && id != state.UnknownText {
		if len(c.ids) >= maxCachedTexts || c.bytes >= maxCachedTextBytes {
			clear(c.ids)
			c.bytes = 0
		}
		c.ids[string(text)] = id
		c.bytes += int64(len(text)) + cachedTextBytes
	}
	return id, err
}
