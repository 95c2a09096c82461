package verify

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// compare reads the stored cells of the pass's days and holds them against its own.
func (p *cellPass) compare() error {
	for m, known := range p.meters {
		width := int64(known.Width)
		for _, projection := range known.Projections() {
			s := cell.Scope{Layout: known.Layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
			if p.from != math.MinInt64 {
				s.From = int32(p.from / width)
			}
			if p.to != math.MaxInt64 {
				s.To = int32(p.to / width)
			}
			err := s.Chunks(p.v.view.State, func(group []uint64, slot int32, st *cell.State) error {
				return p.compareCell(m, projection, group, slot, st)
			})
			if meter.KindOf(err) == meter.KindCorrupt {
				p.v.problem("meter %s of %s: %v", known.Record.Meter.Key, known.Org, err)
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	for k, c := range p.cells {
		if !c.seen {
			m := p.meters[k.meter]
			p.v.problem("meter %s of %s: the cell of group %q at %s is missing; the log has %d events for it",
				m.Record.Meter.Key, m.Org, strings.Split(p.names[k.group], "\xff"), slotTime(m, k.slot), c.count)
		}
	}
	return nil
}

func (p *cellPass) compareCell(m int, projection cell.Projection, group []uint64, slot int32, st *cell.State) error {
	texts := make([]string, len(group))
	for i, id := range group {
		if id == state.EmptyText {
			continue
		}
		if id == state.UnknownText {
			texts[i] = overflowText
			continue
		}
		t, err := p.v.stored.get(state.SeqKey(state.KeyTextByNumber, id))
		if err != nil {
			return err
		}
		texts[i] = string(t)
	}
	name := strings.Join(texts, "\xff")
	if !p.holds(m, projection.ID, name) {
		return nil
	}
	p.v.report.Cells++
	var c *naiveCell
	if n, ok := p.groups[name]; ok {
		c = p.cells[naiveKey{int32(m), slot, n, projection.ID}]
	}
	if c != nil {
		c.seen = true
	}
	known := p.meters[m]
	if st.Dirty != 0 {
		return p.compareDirty(known, projection, group, slot, st)
	}
	want, have := "nothing", "nothing"
	if c != nil {
		want = c.text(known.Record.Meter.Aggregation)
	}
	if st.Count != 0 || !st.Sum.IsZero() {
		have = p.text(known, st)
	}
	if want != have {
		p.v.problem("meter %s of %s: the cell of group %q at %s holds %s, the log says %s", known.Record.Meter.Key, known.Org,
			texts, slotTime(known, slot), have, want)
	}
	return nil
}

// compareDirty checks a slot that is answered by scanning: until it is
// recomputed, so its mark must be on the list of that.
func (p *cellPass) compareDirty(m *storedMeter, projection cell.Projection, group []uint64, slot int32, st *cell.State) error {
	if st.Dirty == cell.Permanent || projection.ID != cell.ProjectionAll {
		return nil
	}
	mark, err := p.v.stored.get(state.DirtyKey(state.DirtySlot{Version: m.Record.Version, Slot: slot}, group))
	if err == nil && (len(mark) != 8 || binary.BigEndian.Uint64(mark) < st.Dirty) {
		p.v.problem("meter %s of %s: a slot at %s is marked by the void at block %d but not on the list to be recomputed",
			m.Record.Meter.Key, m.Org, slotTime(m, slot), st.Dirty)
	}
	return err
}

func (p *cellPass) text(m *storedMeter, st *cell.State) string {
	switch st.Kind {
	case cell.Numeric:
		return fmt.Sprintf("%d events, sum %s", st.Count, st.Sum)
	case cell.Min:
		return fmt.Sprintf("%d events, least %s", st.Count, st.Value)
	case cell.Max:
		return fmt.Sprintf("%d events, largest %s", st.Count, st.Value)
	case cell.Last:
		return fmt.Sprintf("%d events, last %s of %q %q", st.Count, st.Value, st.Source, st.ID)
	default:
		var names []string
		for id := range st.Set.All {
			s, err := p.v.stored.text(id)
			if err != nil {
				s = err.Error()
			}
			names = append(names, s)
		}
		slices.Sort(names)
		return fmt.Sprintf("%d events, values %q", st.Count, names)
	}
}

// slotTime is the first instant of a slot.
func slotTime(m *storedMeter, slot int32) string {
	return time.Unix(0, int64(slot)*int64(m.Width)).UTC().Format(time.RFC3339)
}
