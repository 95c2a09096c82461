package cell

import (
	"sort"

	"odometer/internal/meter"
)

// Windows adds up slot states into consecutive windows of slots. After its
// making, adding allocates nothing unless a Last or Distinct window has to grow.
type Windows struct {
	kind   Kind
	bounds []int32 // window i holds the slots from bounds[i] to before bounds[i+1]; nil = one slot each
	from   int32
	n      int
	at     int // window added to last

	sums   []tally // Numeric
	states []State // the other kinds
	view   State
}

// tally is the state of a Numeric window.
type tally struct {
	count int64
	sum   meter.Sum
}

// NewWindows makes windows between ascending bounds: slots, one more than windows.
func NewWindows(kind Kind, bounds []int32) *Windows {
	w := &Windows{kind: kind, bounds: bounds, n: max(len(bounds)-1, 0)}
	w.allocate()
	return w
}

// EachSlot makes one window for each slot of [from, to).
func EachSlot(kind Kind, from, to int32) *Windows {
	w := &Windows{kind: kind, from: from, n: max(int(int64(to)-int64(from)), 0)}
	w.allocate()
	return w
}

func (w *Windows) allocate() {
	w.view.Kind = w.kind
	if w.kind == Numeric {
		w.sums = make([]tally, w.n)
		return
	}
	w.states = make([]State, w.n)
	for i := range w.states {
		w.states[i].Kind = w.kind
	}
}

// Reset empties all windows.
func (w *Windows) Reset() {
	clear(w.sums)
	for i := range w.states {
		w.states[i].Reset(w.kind)
	}
}

// Len returns the number of windows.
func (w *Windows) Len() int { return w.n }

// Add merges a state into the window that holds the slot, if any does. It is
// quickest when slots come in order.
func (w *Windows) Add(slot int32, s *State) {
	i := w.find(slot)
	if i < 0 {
		return
	}
	if w.kind == Numeric {
		w.sums[i].count += s.Count
		w.sums[i].sum.AddSum(s.Sum)
		return
	}
	w.states[i].Merge(s)
}

// find returns the window of a slot, or -1.
func (w *Windows) find(slot int32) int {
	if w.bounds == nil {
		if i := int64(slot) - int64(w.from); i >= 0 && i < int64(w.n) {
			return int(i)
		}
		return -1
	}
	if w.n == 0 || slot < w.bounds[0] || slot >= w.bounds[w.n] {
		return -1
	}
	if w.bounds[w.at] <= slot {
		if slot < w.bounds[w.at+1] {
			return w.at
		}
		if slot < w.bounds[w.at+2] {
			w.at++
			return w.at
		}
	}
	// The last window that begins at or before the slot.
	w.at = sort.Search(w.n, func(i int) bool { return w.bounds[i] > slot }) - 1
	return w.at
}

// State returns what window i adds up to. It holds until the next call.
func (w *Windows) State(i int) *State {
	if w.kind == Numeric {
		w.view.Count, w.view.Sum = w.sums[i].count, w.sums[i].sum
		return &w.view
	}
	return &w.states[i]
}
