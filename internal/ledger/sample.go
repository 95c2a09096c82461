package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// SampleQuery asks what a definition makes of the latest events. It may be
// that of a meter that there is not.
type SampleQuery struct {
	Organization string
	Meter        meter.Meter
	Customer     *string            // set for a key bound to one customer
	Attributes   []string           // whose presence is looked for, besides those of the meter
	Filters      []meter.AttrFilter // of a query
	MostEvents   int                // so many of the latest events are looked at, in whole blocks
	MostBytes    int64              // of their blocks, as stored
}

// What a sample names at most of each kind.
const (
	sampleTypes  = 10
	sampleNames  = 50
	sampleValues = 10
	sampleText   = 64 // longer values are not named
)

// Sample looks at the latest events. Its cost is bounded by the query, and does
// not depend on how many there are.
func (l *Ledger) Sample(ctx context.Context, q SampleQuery) (*meter.Sample, error) {
	v := l.view()
	defer v.release()
	headers, complete, err := v.latest(q.Organization, q.MostEvents, q.MostBytes)
	if err != nil {
		return nil, err
	}
	room := l.newReading(q.Organization)
	defer room.release()
	s := &sampler{l: l, q: q, room: room, out: &meter.Sample{Complete: complete, Skipped: map[string]int{}, Types: map[string]int{}, Present: map[string]int{}, Known: map[string][]string{}},
		names: map[string]bool{}, met: map[string]map[string]bool{}}
	for _, f := range q.Filters {
		s.met[f.Attribute] = map[string]bool{}
	}
	for _, h := range headers {
		if err := ctx.Err(); err != nil {
			return nil, meter.WrapError(meter.KindUnavailable, err, "the query was given up")
		}
		rows, done, err := room.rows(h, func(h *block.Header) (*block.Rows, error) { return l.loadRows(h, false) })
		if err != nil {
			return nil, err
		}
		err = s.block(h, rows)
		done()
		if err != nil {
			return nil, err
		}
	}
	return s.end(), nil
}

// latest returns the headers of the organization's latest blocks with events,
// the newest first: as many as fit the bounds, at least one.
func (v *view) latest(org string, events int, bytes int64) (out []*block.Header, complete bool, err error) {
	take := func(h *block.Header) (more bool) {
		if h.Kind != block.KindEvents || h.Rows == 0 {
			return true
		}
		if len(out) > 0 && (int(h.Rows) > events || int64(h.BodyLen) > bytes) {
			return false
		}
		events, bytes = events-int(h.Rows), bytes-int64(h.BodyLen)
		out = append(out, h)
		return true
	}
	for _, list := range [][]headerNote{v.recent[1], v.recent[0]} {
		for _, n := range slices.Backward(list) {
			if n.org == org && !take(n.header) {
				return out, false, nil
			}
		}
	}
	prefix := state.OrgKey(state.KeyHeader, org, "")
	it, err := v.base.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: state.UpperBound(prefix)})
	if err != nil {
		return nil, false, fmt.Errorf("read block headers: %w", err)
	}
	for it.Last(); it.Valid(); it.Prev() {
		h, err := block.DecodeHeader(it.Value())
		if err != nil {
			return nil, false, errors.Join(err, it.Close())
		}
		if !take(&h) {
			return out, false, it.Close()
		}
	}
	return out, true, it.Close()
}

// sampler collects a Sample.
type sampler struct {
	l     *Ledger
	q     SampleQuery
	room  *reading
	out   *meter.Sample
	eval  evaluator
	names map[string]bool
	met   map[string]map[string]bool // values by attribute of a filter
}

func (s *sampler) block(h *block.Header, rows *block.Rows) error {
	verdicts, err := s.l.storedVerdicts(h.Sequence, rows.N)
	if err != nil {
		return err
	}
	take := make([]bool, rows.N)
	for i, v := range verdicts {
		if take[i] = v == meter.Accepted && (s.q.Customer == nil || string(rows.Customers.Values.At(int(rows.Customers.Codes[i]))) == *s.q.Customer); !take[i] {
			continue
		}
		s.out.Events++
		at := time.Unix(0, rows.Times[i]).UTC()
		if s.out.From.IsZero() || at.Before(s.out.From) {
			s.out.From = at
		}
		if at.After(s.out.To) {
			s.out.To = at
		}
		name, _ := rows.Types.At(i)
		if _, known := s.out.Types[string(name)]; known || len(s.out.Types) < sampleTypes {
			s.out.Types[string(name)]++
		}
	}
	s.eval.reset(rows, newScanTexts(s.room))
	ofType := s.q.Meter
	ofType.Filters = nil
	if !s.eval.match(&ofType, take) {
		return nil
	}
	s.attributes(rows, take)
	before := count(take)
	s.out.OfType += before
	matched := slices.Clone(take)
	s.eval.match(&s.q.Meter, matched)
	s.out.LeftOut += before - count(matched)
	ms, err := s.eval.measure(&s.q.Meter)
	if err != nil {
		return err
	}
	for i := range matched {
		switch {
		case !matched[i]:
		case ms.tooLong(i):
			s.out.Skipped[fmt.Sprintf("a text that it groups by or takes is longer than %d bytes", meter.MaxGroupBytes)]++
		case !ms.has(i):
			s.out.Skipped["attribute "+s.q.Meter.Value+" is absent, not a number or beyond the limits"]++
		default:
			s.out.Counted++
			s.out.Sum = s.out.Sum.Add(ms.quantity(i).Decimal())
		}
	}
	return nil
}

// attributes notes which attributes and values the events of the type have.
func (s *sampler) attributes(rows *block.Rows, take []bool) {
	for i := range rows.Columns {
		if len(s.names) < sampleNames && s.has(&rows.Columns[i], take) {
			s.names[meter.PathName(rows.Columns[i].Path)] = true
		}
	}
	look := append(slices.Clone(s.q.Attributes), s.q.Meter.GroupBy...)
	for _, f := range s.q.Filters {
		look = append(look, f.Attribute)
	}
	slices.Sort(look)
	for _, name := range slices.Compact(look) {
		values := s.met[name]
		for row := range take {
			if !take[row] {
				continue
			}
			text := s.eval.value(name, row).Group()
			if text != "" {
				s.out.Present[name]++
			}
			if values != nil {
				s.note(name, text, values)
			}
		}
	}
}

// note remembers a value of an attribute that the query filters by.
func (s *sampler) note(name, text string, values map[string]bool) {
	asked := slices.ContainsFunc(s.q.Filters, func(f meter.AttrFilter) bool { return f.Attribute == name && slices.Contains(f.Values, text) })
	if asked || len(values) < sampleValues && len(text) <= sampleText && text != "" {
		values[text] = true
	}
}

func (s *sampler) has(c *block.Column, take []bool) bool {
	for e := range c.Len() {
		if row, _, _ := c.Entry(e); take[row] {
			return true
		}
	}
	return false
}

func (s *sampler) end() *meter.Sample {
	s.out.Names = slices.Sorted(maps.Keys(s.names))
	for _, f := range s.q.Filters {
		values := s.met[f.Attribute]
		unmet := meter.AttrFilter{Attribute: f.Attribute}
		for _, v := range f.Values {
			if !values[v] {
				unmet.Values = append(unmet.Values, v)
			}
			delete(values, v)
		}
		if len(unmet.Values) > 0 {
			s.out.Unmet = append(s.out.Unmet, unmet)
			s.out.Known[f.Attribute] = slices.Sorted(maps.Keys(values))
		}
	}
	return s.out
}

func count(take []bool) (n int) {
	for _, t := range take {
		if t {
			n++
		}
	}
	return n
}
