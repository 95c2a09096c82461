package cell

import (
	"bytes"

	"odometer/internal/meter"
)

// Kind says what a cell keeps. A meter version has exactly one kind.
type Kind uint8

// The kinds of cell. Their values are stored.
const (
	Numeric  Kind = 1 // count and sum: COUNT, SUM, AVG, PERCENTILE, PEAK
	Min      Kind = 2 // smallest value
	Max      Kind = 3 // largest value
	Last     Kind = 4 // value of the last event by time, then source, then id
	Distinct Kind = 5 // set of interned values
)

// KindFor returns the kind of cell an aggregation needs, 0 if it is not an aggregation.
func KindFor(a meter.Aggregation) Kind {
	switch a {
	case meter.AggCount, meter.AggSum, meter.AggAvg, meter.AggPercentile, meter.AggPeak:
		return Numeric
	case meter.AggMin:
		return Min
	case meter.AggMax:
		return Max
	case meter.AggLast:
		return Last
	case meter.AggUniqueCount:
		return Distinct
	default:
		return 0
	}
}

// State is what is known about one slot, or, merged, about several. The zero
// State with its Kind set says nothing happened and is the identity of Merge.
//
// A State handed to a callback or returned by a chunkReader is a view: Source,
// ID and Set belong to the giver and change at its next step. A State that was
// only ever changed by Merge owns what it holds.
type State struct {
	Kind  Kind
	Count int64  // events counted; in a Numeric delta it may be negative
	Dirty uint64 // sequence of the last void that Merge could not subtract; 0 = exact

	Sum   meter.Sum      // Numeric: sum of the values
	Value meter.Quantity // Min, Max, Last: set if Count > 0
	Time  int64          // Last: event time, unix nanoseconds
	// Source and ID break ties between events of the same time (Last).
	Source, ID []byte
	Set        *Set // Distinct: nil or the values seen
}

// empty tells whether the state says nothing: not counted, nothing summed, not dirty.
func (s *State) empty() bool {
	return s.Count == 0 && s.Dirty == 0 && s.Sum.IsZero()
}

// Reset makes the state the identity of its kind again, keeping its buffers.
func (s *State) Reset(kind Kind) {
	set := s.Set
	if set != nil {
		set.Reset()
	}
	*s = State{Kind: kind, Source: s.Source[:0], ID: s.ID[:0], Set: set}
}

// Merge adds o to s and copies what it keeps. It is associative and
// commutative in every field, so parts may be added in any order. The kinds must be equal.
func (s *State) Merge(o *State) {
	s.Dirty = max(s.Dirty, o.Dirty)
	switch s.Kind {
	case Numeric:
		s.Count += o.Count
		s.Sum.AddSum(o.Sum)
		return
	case Min:
		if o.Count > 0 && (s.Count == 0 || o.Value.Cmp(s.Value) < 0) {
			s.Value = o.Value
		}
	case Max:
		if o.Count > 0 && (s.Count == 0 || o.Value.Cmp(s.Value) > 0) {
			s.Value = o.Value
		}
	case Last:
		if o.Count > 0 && (s.Count == 0 || o.after(s)) {
			s.Time, s.Value = o.Time, o.Value
			s.Source = append(s.Source[:0], o.Source...)
			s.ID = append(s.ID[:0], o.ID...)
		}
	case Distinct:
		if o.Set != nil && o.Count > 0 {
			if s.Set == nil {
				s.Set = new(Set)
			}
			s.Set.union(o.Set)
		}
	}
	s.Count = addCount(s.Count, o.Count)
}

// after orders the events of Last cells: by time, then source, then id, and
// for a total order by value.
func (s *State) after(o *State) bool {
	if s.Time != o.Time {
		return s.Time > o.Time
	}
	if c := bytes.Compare(s.Source, o.Source); c != 0 {
		return c > 0
	}
	if c := bytes.Compare(s.ID, o.ID); c != 0 {
		return c > 0
	}
	return s.Value.Cmp(o.Value) > 0
}

// addCount adds two counts that are never negative, stopping at the largest
// int64: unlike wrapping, that keeps "counted" and "not counted" apart.
func addCount(a, b int64) int64 {
	if c := a + b; c >= 0 {
		return c
	}
	return 1<<63 - 1
}
