package verify

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// comparison holds stored cells against those of a table. Several may share a
// table that is complete, each for projections of its own.
type comparison struct {
	meters []*storedMeter
	db     pebble.Reader
	stored *stateReader
	table  *table
	found  problems
	cells  uint64
	ids    []uint64 // of the last group
	texts  []string
}

// visit takes one stored cell; fresh says that its group is another than the one before.
type visit func(ids []uint64, texts []string, fresh bool, slot int32, st *cell.State) error

// chunks calls fn for each stored cell of a projection. Damage is noted and ends it.
func (k *comparison) chunks(ctx context.Context, m int32, projection cell.Projection, fn visit) error {
	known := k.meters[m]
	s := cell.Scope{Layout: known.Layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
	n := 0
	k.texts = nil
	err := s.Chunks(k.db, func(ids []uint64, slot int32, st *cell.State) error {
		fresh := k.texts == nil || !slices.Equal(ids, k.ids)
		if fresh {
			var err error
			if k.texts, err = k.group(ids); err != nil {
				return err
			}
			k.ids = append(k.ids[:0], ids...)
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return fn(ids, k.texts, fresh, slot, st)
	})
	if meter.KindOf(err) == meter.KindCorrupt {
		k.found.add("meter %s of %s: %v", known.Record.Meter.Key, known.Org, err)
		return nil
	}
	return err
}

// group returns the texts of a stored group.
func (k *comparison) group(ids []uint64) ([]string, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		switch id {
		case state.EmptyText:
		case state.UnknownText:
			texts[i] = overflowText
		default:
			t, err := k.stored.groupText(id)
			if err != nil {
				return nil, err
			}
			texts[i] = t
		}
	}
	return texts, nil
}

// projection compares the stored cells of one projection.
func (k *comparison) projection(ctx context.Context, m int32, projection cell.Projection) error {
	var c storedCell
	var g storedGroup
	return k.chunks(ctx, m, projection, func(ids []uint64, texts []string, fresh bool, slot int32, st *cell.State) error {
		if fresh {
			g = k.find(m, projection.ID, ids, texts)
		}
		c.set(slot, st)
		return k.cell(&g, &c)
	})
}

// storedGroup is a group of the state, and which series of the table it is.
type storedGroup struct {
	*storedMeter
	projection uint8
	ids        []uint64
	texts      []string
	series     uint32
	known      bool // by the table
}

func (k *comparison) find(m int32, projection uint8, ids []uint64, texts []string) storedGroup {
	g := storedGroup{storedMeter: k.meters[m], projection: projection, ids: slices.Clone(ids), texts: texts}
	g.series, g.known = k.table.find(m, projection, texts)
	return g
}

// records compares the stored cells in a temporary file.
func (k *comparison) records(ctx context.Context, p *part) error {
	var c storedCell
	return p.frames(func(payload []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := recordReader{b: payload}
		for len(r.b) > 0 {
			_, _, g, rest := r.record(len(k.meters))
			if r.bad {
				return p.unreadable(errDamaged)
			}
			ids := make([]uint64, len(g.texts))
			for i := range ids {
				ids[i] = rest.u64()
			}
			at := k.find(g.meter, g.projection, ids, g.texts)
			for len(rest.b) > 0 {
				rest.storedCell(at.Kind, &c)
				if rest.bad {
					return p.unreadable(errDamaged)
				}
				if err := k.cell(&at, &c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// cell compares one stored cell.
func (k *comparison) cell(g *storedGroup, c *storedCell) error {
	k.cells++
	var n uint32
	var at *counted
	if g.known {
		n, at = k.table.get(g.series, c.slot)
	}
	if at != nil {
		at.seen = true
	}
	if c.dirty != 0 {
		return k.dirty(g, c)
	}
	nothing := c.count == 0 && (g.Kind != cell.Numeric || c.number == number{})
	if at == nil && nothing || at != nil && !nothing && k.same(g.Kind, n, at, c) {
		return nil
	}
	want, have := "nothing", "nothing"
	if at != nil {
		want = k.table.say(g.Kind, at)
	}
	if !nothing {
		have = k.say(g.Kind, c)
	}
	if want != have {
		k.found.add("meter %s of %s: the cell of group %q at %s holds %s, the log says %s", g.Record.Meter.Key, g.Org,
			g.texts, slotTime(g.storedMeter, c.slot), have, want)
	}
	return nil
}

// same says whether a stored cell is the table's, without making texts of them.
func (k *comparison) same(kind cell.Kind, n uint32, at *counted, c *storedCell) bool {
	if at.count != c.count || at.number != c.number {
		return false
	}
	switch kind {
	case cell.Last:
		l := &k.table.latest[at.side-1]
		return l.Source == string(c.source) && l.ID == string(c.id)
	case cell.Distinct:
		var texts []uint32
		for _, id := range c.texts {
			s, err := k.stored.text(id)
			text, ok := k.table.numbers[s]
			if err != nil || !ok || !k.table.has(n, text) {
				return false
			}
			texts = append(texts, text)
		}
		slices.Sort(texts)
		return len(slices.Compact(texts)) == len(c.texts) && len(c.texts) == len(k.table.valuesOf(at))
	}
	return true
}

// say is a stored cell as problems name it.
func (k *comparison) say(kind cell.Kind, c *storedCell) string {
	var texts []string
	for _, id := range c.texts {
		s, err := k.stored.text(id)
		if err != nil {
			s = err.Error()
		}
		texts = append(texts, s)
	}
	return sayCell(kind, c.count, c.number, string(c.source), string(c.id), texts)
}

// dirty checks a slot that is answered by scanning: until it is recomputed, so
// its mark must be on the list of that.
func (k *comparison) dirty(g *storedGroup, c *storedCell) error {
	if c.dirty == cell.Permanent || g.projection != cell.ProjectionAll {
		return nil
	}
	mark, err := k.stored.get(state.DirtyKey(state.DirtySlot{Version: g.Record.Version, Slot: c.slot}, g.ids))
	if err == nil && (len(mark) != 8 || binary.BigEndian.Uint64(mark) < c.dirty) {
		k.found.add("meter %s of %s: a slot at %s is marked by the void at block %d but not on the list to be recomputed",
			g.Record.Meter.Key, g.Org, slotTime(g.storedMeter, c.slot), c.dirty)
	}
	return err
}

// missing notes the cells of a table that were not compared.
func (t *table) missing(found *problems) {
	for _, p := range t.sorted(true) {
		at := t.at(p.cell - 1)
		s := &t.series[p.key>>32]
		m := t.meters[s.meter]
		found.add("meter %s of %s: the cell of group %q at %s is missing; the log has %d events for it",
			m.Record.Meter.Key, m.Org, strings.Split(strings.Join(t.group(s), "\xff"), "\xff"), slotTime(m, slotOf(p.key)), at.count)
	}
}

// slotTime is the first instant of a slot.
func slotTime(m *storedMeter, slot int32) string {
	return time.Unix(0, int64(slot)*int64(m.Width)).UTC().Format(time.RFC3339)
}
