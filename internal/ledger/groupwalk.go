package ledger

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// groupWalk finds the first rows in an order, by value or by group, in one walk
// through the stored cells, which lie group by group. What no checkpoint holds
// is gathered by group beforehand, under the lock; of the rest only the rows of
// the answer are in memory.
type groupWalk struct {
	*cellRead // with the deltas' groups in its collector
	page      rowPage
	texts     storedTextSteps
	total     cell.State
	at        []uint64 // group being put together
	merged    cell.State
	open      bool
	walk      []int // positions in a group, in the order of the cells' keys
	recent    []int // groups of the collector, in the order of the walk, that are still to come
	floor     meter.Sum
	floored   bool // a page by value has no room for sums up to floor, and never will
}

// walkGroups answers a question that shows few of many groups; false if it has
// to be answered from all groups in memory, or from the events.
func (l *Ledger) walkGroups(ctx context.Context, qu *question, u *meter.Usage) (bool, error) {
	if qu.q.All || len(qu.q.GroupBy) == 0 || qu.def.Sampled() || len(qu.bounds) != 2 {
		return false, nil
	}
	l.mu.RLock()
	r, view, ok, err := l.beginWalk(ctx, qu)
	l.mu.RUnlock()
	if err != nil || !ok {
		return false, err
	}
	defer view.release()
	it, err := view.base.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{state.KeyTextByNumber}, UpperBound: []byte{state.KeyTextByNumber + 1}})
	if err != nil {
		return false, disk.Unreadable(err, "the texts cannot be read")
	}
	r.texts = storedTextSteps{it: it, other: l.texts.text}
	err = r.each(func() error { return r.scope.Chunks(view.base.snap, r.addStored) })
	if err == nil {
		err = r.end()
	}
	if err == nil {
		err = r.recentBefore(nil)
	}
	if closed := it.Close(); err == nil && closed != nil {
		err = disk.Unreadable(closed, "the texts cannot be read")
	}
	if err == nil && !r.dirty {
		r.dirty, err = l.changedSince(qu, view)
	}
	if err != nil || r.dirty {
		return false, err
	}
	qu.cells = r.cells
	u.Sequence = view.applied
	u.Total, u.HasTotal = totalOf(r.c.m, &r.total)
	return true, qu.cut(u, &r.page, l.limits)
}

// beginWalk gathers what no checkpoint holds. l.mu is held.
func (l *Ledger) beginWalk(ctx context.Context, qu *question) (*groupWalk, *view, bool, error) {
	if !qu.current(l.peekOrg(qu.m.Org)) {
		return nil, nil, false, errMoved
	}
	r := &groupWalk{cellRead: &cellRead{qu: qu, width: int64(qu.m.Width), stop: ctx.Err, c: newCollector(qu, l.now(), l.limits)}}
	known, err := r.plan(l)
	few := !qu.q.ByValue && qu.m.groups.estimate() <= uint64(qu.limit(l.limits))
	if err != nil || !known || few || !r.complete(l) || len(r.edgeParts()) > 0 || slices.Max(r.take) != len(r.take)-1 {
		return nil, nil, false, err // a group's cells are neighbours only if the key begins with it
	}
	if err := r.tables(l); err != nil {
		return nil, nil, false, err
	}
	r.page = qu.page(l.limits)
	r.total.Kind, r.merged.Kind = r.c.kind, r.c.kind
	for at := range r.take {
		r.walk = append(r.walk, slices.Index(r.take, at))
	}
	for range r.c.keys {
		r.recent = append(r.recent, len(r.recent))
	}
	slices.SortFunc(r.recent, func(a, b int) int { return r.compare(r.c.keys[a], r.c.keys[b]) })
	r.last = r.last[:0] // the walk begins anew
	return r, l.viewLocked(), true, nil
}

// addStored takes one stored slot of one group.
func (r *groupWalk) addStored(group []uint64, slot int32, s *cell.State) error {
	if r.cells++; r.cells%1024 == 0 {
		if err := r.stop(); err != nil {
			return err
		}
	}
	if !slices.Equal(group, r.last) {
		if r.choose(group); r.wants && !(r.open && slices.Equal(r.group, r.at)) {
			if err := r.end(); err != nil {
				return err
			}
			r.at = append(r.at[:0], r.group...)
			r.open = true
		}
	}
	if r.wants {
		r.dirty = r.dirty || s.Dirty != 0
		r.merged.Merge(s)
	}
	return nil
}

// end takes the group that is complete, with what no checkpoint holds of it.
func (r *groupWalk) end() error {
	if !r.open {
		return nil
	}
	r.open = false
	if err := r.recentBefore(r.at); err != nil {
		return err
	}
	if len(r.recent) > 0 && slices.Equal(r.c.keys[r.recent[0]], r.at) {
		if s := r.c.states[stateKey{r.recent[0], 0}]; s != nil {
			r.merged.Merge(s)
		}
		r.recent = r.recent[1:]
	}
	err := r.takeGroup(r.at, &r.merged)
	r.merged.Reset(r.c.kind)
	return err
}

// compare is the order of the walk.
func (r *groupWalk) compare(a, b []uint64) int {
	for _, at := range r.walk {
		if c := cmp.Compare(a[at], b[at]); c != 0 {
			return c
		}
	}
	return 0
}

// recentBefore takes the groups before one, or all, of which nothing is stored.
func (r *groupWalk) recentBefore(group []uint64) error {
	for len(r.recent) > 0 && (group == nil || r.compare(r.c.keys[r.recent[0]], group) < 0) {
		g := r.recent[0]
		r.recent = r.recent[1:]
		if s := r.c.states[stateKey{g, 0}]; s != nil {
			if err := r.takeGroup(r.c.keys[g], s); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeGroup makes a group a row if it is among the first so far.
func (r *groupWalk) takeGroup(group []uint64, s *cell.State) error {
	if s.Count <= 0 {
		return nil // everything was voided
	}
	r.total.Merge(s)
	if r.floored && s.Sum.Cmp(r.floor) <= 0 {
		return nil
	}
	v := value(r.c.m, s)
	if r.qu.q.ByValue && r.page.leavesOut(v) {
		if r.c.m.Aggregation == meter.AggSum {
			r.floor, r.floored = s.Sum, true
		}
		return nil
	}
	row := meter.UsageRow{Start: time.Unix(0, r.qu.bounds[0]).UTC(), End: time.Unix(0, r.qu.bounds[1]).UTC(), Value: v, Clipped: r.qu.clipLo || r.qu.clipHi}
	for _, id := range group {
		text, err := r.texts.text(id)
		if err != nil {
			return err
		}
		row.Group = append(row.Group, text)
	}
	if r.qu.after != nil && !r.qu.isAfter(&row) {
		return nil
	}
	return r.page.add(row)
}

// storedTextSteps reads texts by their numbers, which mostly ascend: then the
// next is a step or a few away.
type storedTextSteps struct {
	it    *pebble.Iterator
	at    uint64 // number that the iterator stands on
	valid bool
	other func(uint64) (string, error)
}

// maxTextSteps is how many texts are stepped over before a seek is cheaper.
const maxTextSteps = 8

func (s *storedTextSteps) text(id uint64) (string, error) {
	if id == state.EmptyText {
		return "", nil
	}
	for n := 0; n < maxTextSteps && s.valid && s.at < id; n++ {
		s.moved(s.it.Next())
	}
	if !s.valid || s.at != id {
		s.moved(s.it.SeekGE(state.SeqKey(state.KeyTextByNumber, id)))
	}
	if s.valid && s.at == id {
		return string(s.it.Value()), nil
	}
	if err := s.it.Error(); err != nil {
		return "", disk.Unreadable(err, "the texts cannot be read")
	}
	return s.other(id)
}

func (s *storedTextSteps) moved(ok bool) {
	if s.valid = ok && len(s.it.Key()) == 9; s.valid {
		s.at = binary.BigEndian.Uint64(s.it.Key()[1:])
	}
}
