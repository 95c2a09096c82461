package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
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
		return nil, meter.WrapError(meter.KindCorrupt, err, "the state cannot be read")
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

// naiveKey names a cell by texts.
type naiveKey struct {
	meter      int
	projection uint8
	group      string // texts joined with a byte that no text holds
	slot       int32
}

// naiveCell is a cell added up the slow way, in arbitrary precision.
type naiveCell struct {
	count  int64
	sum    meter.Decimal
	lo, hi meter.Decimal
	last   meter.Event
	value  meter.Decimal
	set    map[string]bool
	seen   bool // by the comparison
}

const naiveCellBytes = 320

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

// cells adds up every event and compares with the stored cells, as many days
// at a time as fit the memory.
func (v *verifier) cells(ctx context.Context) error {
	meters, err := v.meters()
	if err != nil {
		return err
	}
	from := int64(math.MinInt64)
	for len(meters) > 0 {
		pass := &cellPass{v: v, meters: meters, from: from, to: math.MaxInt64, cells: map[naiveKey]*naiveCell{}}
		if err := v.blocks(ctx, passCells, pass.block); err != nil {
			return err
		}
		if err := pass.compare(); err != nil {
			return err
		}
		if pass.to == math.MaxInt64 {
			return nil
		}
		from = pass.to
	}
	return nil
}

// cellPass handles the event times in [from, to), unix ns; to shrinks when
// the cells outgrow the memory.
type cellPass struct {
	v        *verifier
	meters   []*meterState
	from, to int64
	cells    map[naiveKey]*naiveCell
	values   int64 // held in sets
	kept     map[naiveKey]bool
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
	}
	if int64(len(p.cells))*naiveCellBytes+p.values*64 > p.v.o.MemoryBytes {
		p.shrink()
	}
	return nil
}

// shrink gives up the later days; another pass takes them.
func (p *cellPass) shrink() {
	var days []int64
	seen := map[int64]bool{}
	for k := range p.cells {
		if d := floorDiv(p.start(k), dayNanos); !seen[d] {
			seen[d] = true
			days = append(days, d)
		}
	}
	slices.Sort(days)
	if len(days) < 2 {
		return // one day is the least
	}
	p.to = days[len(days)/2] * dayNanos
	for k, c := range p.cells {
		if p.start(k) >= p.to {
			p.values -= int64(len(c.set))
			delete(p.cells, k)
		}
	}
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
		k := naiveKey{m, projection.ID, p.group(m, projection, e), slot}
		if p.meters[m].record.Crowded && projection.ID == cell.ProjectionAll {
			k.group = p.crowdedGroup(m, k.group)
		}
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
	key := naiveKey{meter: m, group: group}
	kept, ok := p.kept[key]
	if !ok {
		var err error
		if kept, err = p.v.state.listsGroup(p.meters[m], texts); err != nil {
			p.v.problem("meter %s of %s: %v", p.meters[m].record.Meter.Key, p.meters[m].org, err)
		}
		if p.kept == nil || len(p.kept) >= maxCachedTexts {
			p.kept = map[naiveKey]bool{}
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

func (c *naiveCell) add(a meter.Aggregation, e *meter.Event, q meter.Decimal, text string) (values int64) {
	c.count++
	switch a {
	case meter.AggUniqueCount:
		if c.set == nil {
			c.set = map[string]bool{}
		}
		if !c.set[text] {
			c.set[text] = true
			return 1
		}
	case meter.AggLast:
		newer := e.Time.Compare(c.last.Time)
		if newer == 0 {
			newer = e.Identity.Compare(c.last.Identity)
		}
		if c.count == 1 || newer > 0 {
			c.last, c.value = meter.Event{Identity: e.Identity, Time: e.Time}, q
		}
	default:
		c.sum = c.sum.Add(q)
		if c.count == 1 || q.Cmp(c.lo) < 0 {
			c.lo = q
		}
		if c.count == 1 || q.Cmp(c.hi) > 0 {
			c.hi = q
		}
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
				m.record.Meter.Key, m.org, strings.Split(k.group, "\xff"), slotStart(k.slot, m.width).Format(time.RFC3339), c.count)
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
	p.v.report.Cells++
	c := p.cells[naiveKey{m, projection.ID, strings.Join(texts, "\xff"), slot}]
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
		return fmt.Sprintf("%d events, least %s", c.count, c.lo)
	case cell.Max:
		return fmt.Sprintf("%d events, largest %s", c.count, c.hi)
	case cell.Last:
		return fmt.Sprintf("%d events, last %s of %q %q", c.count, c.value, c.last.Source, c.last.ID)
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
