package ledger

import (
	"cmp"
	"encoding/binary"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

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

// install is what one column of a stored value is to get.
type install struct {
	layout cell.Layout
	slots  []cell.Recomputed
}

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
			if kept, err := l.listed(m, group); err != nil {
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

// finish hands the computed states over and removes the marks.
func (j *dirtyJob) finish(marks *changes, installs map[string][]*install, setValues int) {
	for s, w := range j.slots {
		layout := w.m.Layout()
		layout.SetValues = setValues
		day, inDay := layout.Day(s.Slot)
		for _, p := range w.states {
			key := string(layout.AppendKey(nil, p.projection, p.group, day))
			at := slices.IndexFunc(installs[key], func(in *install) bool { return in.layout.Column == layout.Column })
			if at < 0 {
				at = len(installs[key])
				installs[key] = append(installs[key], &install{layout: layout})
			}
			in := installs[key][at]
			in.slots = append(in.slots, cell.Recomputed{Slot: inDay, State: p.state})
		}
		for _, key := range w.keys {
			marks.remove(key)
		}
	}
}
