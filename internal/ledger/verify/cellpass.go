package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// cellPass adds up the cells of one portion; it shrinks when the cells outgrow
// the memory, and what it gives up is left to other passes.
type cellPass struct {
	portion
	v      *verifier
	meters []*storedMeter
	cells  map[naiveKey]*naiveCell
	groups map[string]uint32 // texts joined with a byte that no text holds
	names  []string          // of the groups
	texts  int64             // bytes of the groups
	values int64             // bytes in sets and latest events
	kept   map[string]bool
	left   []portion
	peak   int64
	bound  int64 // of held: the memory allowed, or more where one group alone takes more
}

func (p *cellPass) held() int64 { return int64(len(p.cells))*naiveCellBytes + p.values + p.texts }

// group numbers a group.
func (p *cellPass) number(group string) uint32 {
	n, ok := p.groups[group]
	if !ok {
		n = uint32(len(p.names))
		p.groups[group] = n
		p.names = append(p.names, group)
		p.texts += int64(len(group)) + naiveGroupBytes
	}
	return n
}

const dayNanos = int64(24 * time.Hour)

func (p *cellPass) block(h *block.Header, rows *block.Rows) error {
	if h.Rows == 0 || h.MaxTime < p.from || h.MinTime >= p.to {
		return nil
	}
	stored, err := p.v.stored.verdicts(h.Sequence, rows.N)
	if err != nil {
		return err
	}
	voided, err := p.v.stored.voids(h.Sequence)
	if err != nil {
		return err
	}
	for i := range rows.N {
		if _, out := voided[uint32(i)]; out || stored[i] != meter.Accepted || rows.Times[i] < p.from || rows.Times[i] >= p.to {
			continue
		}
		e := rows.Event(i)
		for m := range p.meters {
			if p.meters[m].Org == h.Org {
				p.event(m, &e)
			}
		}
		if p.peak = max(p.peak, p.held()); p.held() > p.bound {
			p.shrink()
			p.bound = max(p.v.o.MemoryBytes, p.held()+p.held()/4)
		}
	}
	return nil
}

// shrink gives up the later days, or half of the groups of one day; other passes take them.
func (p *cellPass) shrink() {
	var days []int64
	seen := map[int64]bool{}
	for k := range p.cells {
		if d := floor(p.start(k), dayNanos); !seen[d] {
			seen[d] = true
			days = append(days, d)
		}
	}
	given := p.portion
	if slices.Sort(days); len(days) > 1 {
		p.to = days[len(days)/2] * dayNanos
		given.from = p.to
	} else {
		p.parts *= 2
		given.part, given.parts = given.part+given.parts, p.parts
	}
	p.left = append(p.left, given)
	p.values = 0
	groups, names := map[string]uint32{}, p.names
	cells := map[naiveKey]*naiveCell{}
	p.groups, p.names, p.texts = groups, nil, 0
	for k, c := range p.cells {
		group := names[k.group]
		if p.start(k) >= p.to || !p.holds(int(k.meter), k.projection, group) {
			continue
		}
		k.group = p.number(group)
		cells[k] = c
		p.values += c.bytes()
	}
	p.cells = cells
}

func (c *naiveCell) bytes() int64 {
	n := int64(len(c.set)) * naiveValueBytes
	if c.last != nil {
		n += naiveLastBytes
	}
	return n
}

func (p *cellPass) start(k naiveKey) int64 { return int64(k.slot) * int64(p.meters[k.meter].Width) }

// event counts one event for one meter, the way the documentation says it.
func (p *cellPass) event(m int, e *meter.Event) {
	def := &p.meters[m].Record.Meter
	if e.Type != def.EventType || !meter.MatchAny(def.Filters, e.Get) {
		return
	}
	var q meter.Quantity
	var text string
	ok := true
	switch def.Aggregation {
	case meter.AggCount:
	case meter.AggUniqueCount:
		text, ok = e.Get(def.Value).Text()
	default:
		q, ok = def.Take(e.Get(def.Value))
	}
	if !ok || len(text) > meter.MaxGroupBytes {
		return
	}
	for _, name := range def.GroupBy {
		if len(e.Get(name).Group()) > meter.MaxGroupBytes {
			return
		}
	}
	slot := int32(floor(e.Time.UnixNano(), int64(p.meters[m].Width)))
	for _, projection := range p.meters[m].Projections() {
		group := p.group(m, projection, e)
		if p.meters[m].Record.Crowded && projection.ID == cell.ProjectionAll {
			group = p.crowdedGroup(m, group)
		}
		if !p.holds(m, projection.ID, group) {
			continue
		}
		k := naiveKey{int32(m), slot, p.number(group), projection.ID}
		c := p.cells[k]
		if c == nil {
			c = &naiveCell{}
			p.cells[k] = c
		}
		p.values += c.add(def.Aggregation, e, q.Decimal(), text)
	}
}

func (p *cellPass) group(m int, projection cell.Projection, e *meter.Event) string {
	var texts []string
	names := p.meters[m].Order
	if projection.ID != cell.ProjectionAll {
		names = nil
		for _, at := range projection.Take {
			names = append(names, p.meters[m].Order[at])
		}
	}
	for _, n := range names {
		texts = append(texts, e.Get(n).Group())
	}
	return strings.Join(texts, "\xff")
}

// overflowText stands, in a group of texts, for what an overflowing group does not keep.
const overflowText = "\xfe"

// crowdedGroup returns the group under which a crowded meter keeps a full
// group: itself if the state lists it, else the one for all others.
func (p *cellPass) crowdedGroup(m int, group string) string {
	texts := strings.Split(group, "\xff")
	key := fmt.Sprint(m, "\xff", group)
	kept, ok := p.kept[key]
	if !ok {
		var err error
		if kept, err = p.v.stored.listsGroup(p.meters[m], texts); err != nil {
			p.v.problem("meter %s of %s: %v", p.meters[m].Record.Meter.Key, p.meters[m].Org, err)
		}
		if p.kept == nil || len(p.kept) >= maxKept {
			p.kept = map[string]bool{}
		}
		p.kept[key] = kept
	}
	if kept {
		return group
	}
	for i := range texts {
		if !slices.ContainsFunc(p.meters[m].Projections(), func(q cell.Projection) bool { return slices.Contains(q.Take, i) }) {
			texts[i] = overflowText
		}
	}
	return strings.Join(texts, "\xff")
}

// maxKept bounds what is remembered of the groups that crowded meters keep.
const maxKept = 1 << 16
