package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/disk"
	"odometer/internal/meter"
)

// stateReader reads a snapshot of the stored state for verification: with
// code of its own, so that a mistake in the reading path is not repeated.
type stateReader struct{ snap *pebble.Snapshot }

func (s *stateReader) get(key []byte) ([]byte, error) {
	v, closer, err := s.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, disk.Unreadable(err, "the state cannot be read")
	}
	out := append([]byte{}, v...)
	return out, closer.Close()
}

func (s *stateReader) verdicts(seq uint64, n int) ([]Verdict, error) {
	packed, err := s.get(seqKey(keyVerdicts, seq))
	if err != nil {
		return nil, err
	}
	out := make([]Verdict, n)
	if packed == nil {
		return out, nil
	}
	if len(packed)*4 < n {
		return nil, meter.Errorf(meter.KindCorrupt, "the verdicts of block %d are damaged", seq)
	}
	for i := range out {
		out[i] = Verdict(packed[i>>2] >> (i & 3 * 2) & 3)
	}
	return out, nil
}

func (s *stateReader) voids(seq uint64) (map[uint32]voidNote, error) {
	out := map[uint32]voidNote{}
	err := scanDB(s.snap, seqKey(keyVoided, seq), func(key, value []byte) error {
		var n voidNote
		if err := json.Unmarshal(value, &n); err != nil || len(key) != 13 {
			return meter.WrapError(meter.KindCorrupt, err, "a void record of block %d is damaged", seq)
		}
		out[binary.BigEndian.Uint32(key[9:])] = n
		return nil
	})
	return out, err
}

func readCheckpointFrom(snap *pebble.Snapshot) (checkpointRecord, error) {
	var rec checkpointRecord
	v, err := (&stateReader{snap}).get([]byte{keyCheckpoint})
	if err != nil {
		return rec, err
	}
	if v != nil {
		err = json.Unmarshal(v, &rec)
	}
	if err != nil {
		return rec, meter.WrapError(meter.KindCorrupt, err, "the checkpoint record is damaged")
	}
	return rec, nil
}

// naiveKey names a cell; the group is a number of the pass.
type naiveKey struct {
	meter      int32
	slot       int32
	group      uint32
	projection uint8
}

// naiveCell is a cell added up the slow way, in arbitrary precision.
type naiveCell struct {
	count   int64
	sum     meter.Decimal
	extreme meter.Decimal // of MIN and MAX
	last    *naiveLast
	set     map[string]bool
	seen    bool // by the comparison
}

// naiveLast is the latest event of a LAST cell.
type naiveLast struct {
	identity meter.Identity
	time     time.Time
	value    meter.Decimal
}

// What verification holds in memory for a cell (key, place in the map, two
// numbers), for a group beside its text, for a value of a set, and for a latest event.
const (
	naiveCellBytes  = 288
	naiveGroupBytes = 96
	naiveValueBytes = 80
	naiveLastBytes  = 320
)

// meters returns the meters as the snapshot has them: those whose backfill was
// complete in it.
func (v *verifier) meters() ([]*meterState, error) {
	orgs, err := readOrgs(v.base.snap)
	if err != nil {
		return nil, err
	}
	var out []*meterState
	for _, o := range orgs {
		if o.record.Stopped != nil {
			v.report.Skipped = append(v.report.Skipped, fmt.Sprintf("organization %s is stopped: %s", o.name, o.record.Stopped.Reason))
			continue
		}
		for _, m := range o.meters {
			if !m.backfilled() {
				v.report.Skipped = append(v.report.Skipped, fmt.Sprintf("meter %s of %s is being backfilled", m.record.Meter.Key, o.name))
				continue
			}
			out = append(out, m)
		}
	}
	sortMeters(out)
	return out, nil
}

// portion is a part of the cells that one reading of the log adds up: those of
// times in [from, to), unix ns, whose group's hash leaves part when divided by parts.
type portion struct {
	from, to    int64
	part, parts uint64
}

func (p portion) holds(m int, projection uint8, group string) bool {
	return p.parts == 1 || (xxhash.Sum64String(group)^uint64(m)<<8^uint64(projection))%p.parts == p.part
}

// cells adds up every event and compares with the stored cells, in as many
// readings of the log as the memory asks for.
func (v *verifier) cells(ctx context.Context) error {
	meters, err := v.meters()
	if err != nil || len(meters) == 0 {
		return err
	}
	work, err := v.plan(ctx, meters)
	if err != nil {
		return err
	}
	v.round, v.rounds = 0, len(work)
	for len(work) > 0 {
		v.round++
		pass := &cellPass{v: v, meters: meters, portion: work[0], bound: v.o.MemoryBytes, cells: map[naiveKey]*naiveCell{}, groups: map[string]uint32{}}
		if err := v.blocks(ctx, passCells, pass.block); err != nil {
			return err
		}
		if err := pass.compare(); err != nil {
			return err
		}
		work = append(pass.left, work[1:]...)
		v.rounds = v.round + len(work)
		v.report.Peak = max(v.report.Peak, pass.peak)
	}
	return nil
}

// plan counts the stored cells by day and lays out what is read when, so that
// each reading fits the memory. It is only a plan: a pass whose cells outgrow the
// memory leaves a part of them to a further one.
func (v *verifier) plan(ctx context.Context, meters []*meterState) ([]portion, error) {
	days := map[int64]int64{} // bytes, about
	for _, m := range meters {
		for _, projection := range m.projections() {
			s := cell.Scope{Layout: m.layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
			err := s.Chunks(v.base.snap, func(_ []uint64, slot int32, st *cell.State) error {
				v.planned++
				size := int64(naiveCellBytes)
				if st.Set != nil {
					size += int64(st.Set.Len()) * naiveValueBytes
				}
				if st.Kind == cell.Last {
					size += naiveLastBytes
				}
				days[floorDiv(int64(slot)*int64(m.width), dayNanos)] += size
				if v.planned%4096 == 0 {
					return ctx.Err()
				}
				return nil
			})
			if err != nil && meter.KindOf(err) != meter.KindCorrupt { // damage is found when it is compared
				return nil, err
			}
		}
	}
	var work []portion
	open := portion{from: math.MinInt64, to: math.MaxInt64, parts: 1}
	most := v.o.MemoryBytes - v.o.MemoryBytes/4 // groups' texts, and what a plan does not know
	var size int64
	for _, day := range slices.Sorted(maps.Keys(days)) {
		if size > 0 && size+days[day] > most {
			open.to = day * dayNanos
			work = append(work, open.split(size, most)...)
			open.from, open.to, size = open.to, math.MaxInt64, 0
		}
		size += days[day]
	}
	return append(work, open.split(size, most)...), nil
}

// split cuts a portion of a size into such as fit.
func (p portion) split(size, most int64) []portion {
	p.parts = uint64(max(1, (size+most-1)/most))
	out := make([]portion, p.parts)
	for i := range out {
		out[i] = p
		out[i].part = uint64(i)
	}
	return out
}

// cellPass adds up the cells of one portion; it shrinks when the cells outgrow
// the memory, and what it gives up is left to other passes.
type cellPass struct {
	portion
	v      *verifier
	meters []*meterState
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
	stored, err := p.v.state.verdicts(h.Sequence, rows.N)
	if err != nil {
		return err
	}
	voided, err := p.v.state.voids(h.Sequence)
	if err != nil {
		return err
	}
	for i := range rows.N {
		if _, out := voided[uint32(i)]; out || stored[i] != Accepted || rows.Times[i] < p.from || rows.Times[i] >= p.to {
			continue
		}
		e := rows.Event(i)
		for m := range p.meters {
			if p.meters[m].org == h.Org {
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
		if d := floorDiv(p.start(k), dayNanos); !seen[d] {
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

func (p *cellPass) start(k naiveKey) int64 { return int64(k.slot) * int64(p.meters[k.meter].width) }

// event counts one event for one meter, the way the documentation says it.
func (p *cellPass) event(m int, e *meter.Event) {
	def := &p.meters[m].record.Meter
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
	slot := int32(floorDiv(e.Time.UnixNano(), int64(p.meters[m].width)))
	for _, projection := range p.meters[m].projections() {
		group := p.group(m, projection, e)
		if p.meters[m].record.Crowded && projection.ID == cell.ProjectionAll {
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
	names := p.meters[m].order
	if projection.ID != cell.ProjectionAll {
		names = nil
		for _, at := range projection.Take {
			names = append(names, p.meters[m].order[at])
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
		if kept, err = p.v.state.listsGroup(p.meters[m], texts); err != nil {
			p.v.problem("meter %s of %s: %v", p.meters[m].record.Meter.Key, p.meters[m].org, err)
		}
		if p.kept == nil || len(p.kept) >= maxCachedTexts {
			p.kept = map[string]bool{}
		}
		p.kept[key] = kept
	}
	if kept {
		return group
	}
	for i := range texts {
		if !slices.ContainsFunc(p.meters[m].projections(), func(q cell.Projection) bool { return slices.Contains(q.Take, i) }) {
			texts[i] = overflowText
		}
	}
	return strings.Join(texts, "\xff")
}

// listsGroup says whether the meter keeps a group apart.
func (s *stateReader) listsGroup(m *meterState, texts []string) (bool, error) {
	ids := make([]uint64, len(texts))
	for i, t := range texts {
		if t == "" {
			continue
		}
		v, err := s.get(orgKey(keyText, m.org, t))
		if err != nil || len(v) != 8 {
			return false, err
		}
		ids[i] = binary.BigEndian.Uint64(v)
	}
	v, err := s.get(groupKey(m.record.Version, ids))
	return v != nil, err
}

// add counts an event; it returns how much more memory the cell takes.
func (c *naiveCell) add(a meter.Aggregation, e *meter.Event, q meter.Decimal, text string) (more int64) {
	c.count++
	switch a {
	case meter.AggUniqueCount:
		if c.set == nil {
			c.set = map[string]bool{}
		}
		if !c.set[text] {
			c.set[text] = true
			return naiveValueBytes
		}
	case meter.AggLast:
		if c.last == nil {
			c.last = &naiveLast{e.Identity, e.Time, q}
			return naiveLastBytes
		}
		newer := e.Time.Compare(c.last.time)
		if newer == 0 {
			newer = e.Identity.Compare(c.last.identity)
		}
		if newer > 0 {
			*c.last = naiveLast{e.Identity, e.Time, q}
		}
	case meter.AggMin, meter.AggMax:
		if sign := q.Cmp(c.extreme); c.count == 1 || a == meter.AggMin && sign < 0 || a == meter.AggMax && sign > 0 {
			c.extreme = q
		}
	default:
		c.sum = c.sum.Add(q)
	}
	return 0
}

// compare reads the stored cells of the pass's days and holds them against its own.
func (p *cellPass) compare() error {
	for m, state := range p.meters {
		width := int64(state.width)
		for _, projection := range state.projections() {
			s := cell.Scope{Layout: state.layout(), Projection: projection, From: math.MinInt32, To: math.MaxInt32}
			if p.from != math.MinInt64 {
				s.From = int32(p.from / width)
			}
			if p.to != math.MaxInt64 {
				s.To = int32(p.to / width)
			}
			err := s.Chunks(p.v.base.snap, func(group []uint64, slot int32, st *cell.State) error {
				return p.compareCell(m, projection, group, slot, st)
			})
			if meter.KindOf(err) == meter.KindCorrupt {
				p.v.problem("meter %s of %s: %v", state.record.Meter.Key, state.org, err)
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
				m.record.Meter.Key, m.org, strings.Split(p.names[k.group], "\xff"), slotStart(k.slot, m.width).Format(time.RFC3339), c.count)
		}
	}
	return nil
}

func (p *cellPass) compareCell(m int, projection cell.Projection, group []uint64, slot int32, st *cell.State) error {
	texts := make([]string, len(group))
	for i, id := range group {
		if id == emptyText {
			continue
		}
		if id == unknownText {
			texts[i] = overflowText
			continue
		}
		t, err := p.v.state.get(seqKey(keyTextByNumber, id))
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
	state := p.meters[m]
	if st.Dirty != 0 {
		return p.compareDirty(state, projection, group, slot, st)
	}
	want, have := "nothing", "nothing"
	if c != nil {
		want = c.text(state.record.Meter.Aggregation)
	}
	if st.Count != 0 || !st.Sum.IsZero() {
		have = p.text(state, st)
	}
	if want != have {
		p.v.problem("meter %s of %s: the cell of group %q at %s holds %s, the log says %s", state.record.Meter.Key, state.org,
			texts, slotStart(slot, state.width).Format(time.RFC3339), have, want)
	}
	return nil
}

// compareDirty checks a slot that is answered by scanning: until it is
// recomputed, so its mark must be on the list of that.
func (p *cellPass) compareDirty(m *meterState, projection cell.Projection, group []uint64, slot int32, st *cell.State) error {
	if st.Dirty == cell.Permanent || projection.ID != cell.ProjectionAll {
		return nil
	}
	mark, err := p.v.state.get(dirtyKey(dirtySlot{m.record.Version, slot}, group))
	if err == nil && (len(mark) != 8 || binary.BigEndian.Uint64(mark) < st.Dirty) {
		p.v.problem("meter %s of %s: a slot at %s is marked by the void at block %d but not on the list to be recomputed",
			m.record.Meter.Key, m.org, slotStart(slot, m.width).Format(time.RFC3339), st.Dirty)
	}
	return err
}

func (c *naiveCell) text(a meter.Aggregation) string {
	switch cell.KindFor(a) {
	case cell.Numeric:
		return fmt.Sprintf("%d events, sum %s", c.count, c.sum)
	case cell.Min:
		return fmt.Sprintf("%d events, least %s", c.count, c.extreme)
	case cell.Max:
		return fmt.Sprintf("%d events, largest %s", c.count, c.extreme)
	case cell.Last:
		return fmt.Sprintf("%d events, last %s of %q %q", c.count, c.last.value, c.last.identity.Source, c.last.identity.ID)
	default:
		names := make([]string, 0, len(c.set))
		for s := range c.set {
			names = append(names, s)
		}
		slices.Sort(names)
		return fmt.Sprintf("%d events, values %q", c.count, names)
	}
}

func (p *cellPass) text(m *meterState, st *cell.State) string {
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
			s, err := p.v.l.texts.text(id)
			if err != nil {
				s = err.Error()
			}
			names = append(names, s)
		}
		slices.Sort(names)
		return fmt.Sprintf("%d events, values %q", st.Count, names)
	}
}
