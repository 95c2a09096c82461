package ledger

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// collector gathers slot states or single events into the windows and groups
// of one question. Parts may come in any order and from several places: all
// merging is associative and commutative.
type collector struct {
	m       *meter.Meter
	kind    cell.Kind
	bounds  []int64 // window i is [bounds[i], bounds[i+1]), unix ns
	limits  Limits
	room    *reading
	now     time.Time
	groups  map[string]int
	keys    [][]uint64
	width   int // ids of a group
	states  map[stateKey]*cell.State
	series  []*sampleSeries // by group, sampled meters only
	total   *sampleSeries
	first   int64 // number of the first sample that can hold anything
	samples int   // of them from first on; others of the range are empty
	whole   int   // whole samples in the range that have ended
	keyBuf  []byte
	single  bool // every window is one sample that has ended
	win     int  // window used last
	lastKey stateKey
	last    *cell.State
}

type stateKey struct{ group, window int }

// sampleSeries is the summed series of one group: empty samples are zero.
type sampleSeries struct {
	sums []meter.Sum
	any  []int64 // events per sample
}

func newCollector(qu *question, now time.Time, limits Limits) *collector {
	m := &qu.def
	if qu.q.Undivided {
		whole := qu.def
		whole.Rate = false
		m = &whole
	}
	if at := qu.asOf.at; at != 0 && at < now.UnixNano() {
		now = time.Unix(0, at) // samples that had ended by then
	}
	c := &collector{m: m, kind: cell.KindFor(m.Aggregation), bounds: qu.bounds, width: len(qu.q.GroupBy), now: now, limits: limits, room: qu.room,
		groups: map[string]int{}, states: map[stateKey]*cell.State{}}
	if m.Sampled() {
		width := int64(m.SlotWidth())
		var first time.Time
		first, c.whole = meter.Samples(time.Unix(0, qu.from), time.Unix(0, qu.to), now, m.SlotWidth())
		c.first = floorDiv(first.UnixNano(), width)
		last := min(c.first+int64(c.whole), -floorDiv(-qu.hi, width))
		c.first = max(c.first, floorDiv(qu.lo, width))
		c.samples = int(max(0, last-c.first))
		c.single = qu.oneSample(now)
	}
	return c
}

// oneSample says whether each of the question's windows is one whole sample.
func (qu *question) oneSample(now time.Time) bool {
	width := int64(qu.def.SlotWidth())
	for i, at := range qu.bounds {
		if at%width != 0 || i > 0 && at-qu.bounds[i-1] != width {
			return false
		}
	}
	return len(qu.bounds) > 1 && qu.bounds[len(qu.bounds)-1] <= now.UnixNano()
}

// expect makes room for so many groups.
func (c *collector) expect(groups int) {
	c.groups = make(map[string]int, groups)
	c.states = make(map[stateKey]*cell.State, groups)
	c.keys = make([][]uint64, 0, groups)
}

// group returns the number of a group's ids.
func (c *collector) group(ids []uint64) (int, error) {
	c.keyBuf = c.keyBuf[:0]
	for _, id := range ids {
		c.keyBuf = binary.BigEndian.AppendUint64(c.keyBuf, id)
	}
	if g, ok := c.groups[string(c.keyBuf)]; ok {
		return g, nil
	}
	g := len(c.keys)
	if g >= c.limits.UsageGroups {
		return 0, meter.Errorf(meter.KindInvalid, "the answer has more than %d groups; filter, or group by less", c.limits.UsageGroups)
	}
	if err := c.room.grow(groupStateBytes + 16*int64(len(ids))); err != nil {
		return 0, err
	}
	c.groups[string(c.keyBuf)] = g
	c.keys = append(c.keys, slices.Clone(ids))
	return g, nil
}

// window returns the window that holds t, false if none does.
func (c *collector) window(t int64) (int, bool) {
	if t >= c.bounds[c.win] && t < c.bounds[c.win+1] {
		return c.win, true
	}
	if t < c.bounds[0] || t >= c.bounds[len(c.bounds)-1] {
		return 0, false
	}
	c.win = sort.Search(len(c.bounds), func(i int) bool { return c.bounds[i] > t }) - 1
	return c.win, true
}

// add merges what happened at t (an event's time or the start of a slot) in a group.
func (c *collector) add(group int, t int64, s *cell.State) error {
	if c.m.Sampled() {
		return c.addSample(group, t, s)
	}
	return c.addState(group, t, s)
}

func (c *collector) addState(group int, t int64, s *cell.State) error {
	w, ok := c.window(t)
	if !ok {
		return nil
	}
	k := stateKey{group, w}
	if c.last == nil || c.lastKey != k {
		st := c.states[k]
		if st == nil {
			if len(c.states) >= c.limits.UsageWindows {
				return tooManyRows(c.limits)
			}
			if err := c.room.grow(windowStateBytes); err != nil {
				return err
			}
			st = &cell.State{Kind: c.kind}
			c.states[k] = st
		}
		c.lastKey, c.last = k, st
	}
	c.last.Merge(s)
	return nil
}

func (c *collector) addSample(group int, t int64, s *cell.State) error {
	i := int(floorDiv(t, int64(c.m.SlotWidth())) - c.first)
	if i < 0 || i >= c.samples {
		return nil
	}
	if c.total == nil {
		if c.samples > maxSamplesHeld {
			return c.tooManySamples()
		}
		if err := c.room.grow(sampleBytes * int64(c.samples)); err != nil {
			return err
		}
		c.total = c.newSeries()
	}
	c.total.add(i, s)
	if c.width == 0 {
		return nil
	}
	if c.single { // most are empty
		return c.addState(group, t, s)
	}
	for len(c.series) <= group {
		if (len(c.series)+1)*c.samples > maxSamplesHeld {
			return c.tooManySamples()
		}
		if err := c.room.grow(sampleBytes * int64(c.samples)); err != nil {
			return err
		}
		c.series = append(c.series, c.newSeries())
	}
	c.series[group].add(i, s)
	return nil
}

// What parts of an answer take in memory, about.
const (
	groupStateBytes  = 128
	windowStateBytes = 256 // state, map entry, figure and row
	sampleBytes      = 32
)

// maxSamplesHeld bounds the samples of all groups of one question (32 bytes each).
const maxSamplesHeld = 7 << 20

func (c *collector) tooManySamples() error {
	return meter.Errorf(meter.KindInvalid, "the answer needs more than %d samples in memory; filter, group by less or ask for a shorter range", maxSamplesHeld)
}

func (c *collector) newSeries() *sampleSeries {
	return &sampleSeries{sums: make([]meter.Sum, c.samples), any: make([]int64, c.samples)}
}

func (s *sampleSeries) add(i int, st *cell.State) {
	s.sums[i].AddSum(st.Sum)
	s.any[i] += st.Count
}

// figure is one row before its texts are known.
type figure struct {
	window int
	group  []uint64
	value  meter.Decimal
	filled bool // nothing happened; present because of FillZero
}

// figures returns the rows: every window of every group in which something happened.
func (c *collector) figures() []figure {
	if c.m.Sampled() && (!c.single || c.width == 0) {
		return c.sampledFigures()
	}
	out := make([]figure, 0, len(c.states))
	for k, s := range c.states {
		if s.Count <= 0 {
			continue // everything was voided
		}
		v := value(c.m, s)
		if c.m.Rate {
			v = meter.Rate(v, int(c.m.SlotWidth()/time.Second))
		}
		out = append(out, figure{window: k.window, group: c.keys[k.group], value: v})
	}
	return out
}

// value is the figure of a merged state that counted something.
func value(m *meter.Meter, s *cell.State) meter.Decimal {
	switch m.Aggregation {
	case meter.AggCount:
		return meter.NewDecimal(s.Count)
	case meter.AggAvg:
		return meter.Average(s.Sum, s.Count)
	case meter.AggMin, meter.AggMax, meter.AggLast:
		return s.Value.Decimal()
	case meter.AggUniqueCount:
		return meter.NewDecimal(int64(s.Set.Len()))
	default:
		return s.Sum.Decimal()
	}
}

// totalFigure aggregates the whole range ungrouped.
func (c *collector) totalFigure() (meter.Decimal, bool) {
	if c.m.Sampled() {
		if c.total == nil {
			return meter.Decimal{}, c.whole > 0
		}
		return c.element(c.total, 0, c.samples, c.whole)
	}
	total := cell.State{Kind: c.kind}
	for _, s := range c.states {
		if s.Count > 0 {
			total.Merge(s)
		}
	}
	return totalOf(c.m, &total)
}

// totalOf is the figure of all groups together.
func totalOf(m *meter.Meter, total *cell.State) (meter.Decimal, bool) {
	if total.Count <= 0 {
		// Nothing counts as nothing; nothing has no smallest, largest, last or mean.
		zero := m.Aggregation == meter.AggCount || m.Aggregation == meter.AggSum || m.Aggregation == meter.AggUniqueCount
		return meter.Decimal{}, zero
	}
	return value(m, total), true
}

func (c *collector) sampledFigures() []figure {
	var out []figure
	series := c.series
	keys := c.keys
	if c.width == 0 && c.total != nil {
		series, keys = []*sampleSeries{c.total}, [][]uint64{nil}
	}
	width := int64(c.m.SlotWidth())
	for w := range len(c.bounds) - 1 {
		first, n := meter.Samples(time.Unix(0, c.bounds[w]), time.Unix(0, c.bounds[w+1]), c.now, c.m.SlotWidth())
		at := int(floorDiv(first.UnixNano(), width) - c.first)
		lo, hi := max(at, 0), min(at+n, c.samples)
		if lo >= hi {
			continue // many windows may lie before or after all events
		}
		for g, s := range series {
			if !slices.ContainsFunc(s.any[lo:hi], func(k int64) bool { return k > 0 }) {
				continue
			}
			if v, ok := c.element(s, lo, hi, n); ok {
				out = append(out, figure{window: w, group: keys[g], value: v})
			}
		}
	}
	return out
}

// element takes the percentile or the peak of n samples: those in [lo, hi)
// of the series, and empty ones, which are zero.
func (c *collector) element(s *sampleSeries, lo, hi, n int) (meter.Decimal, bool) {
	if n <= 0 {
		return meter.Decimal{}, false
	}
	sums := make([]meter.Sum, 0, hi-lo) // those that are not zero
	for _, sum := range s.sums[lo:hi] {
		if sum != (meter.Sum{}) {
			sums = append(sums, sum)
		}
	}
	v := c.pick(sums, n-len(sums)).Decimal()
	if c.m.Rate {
		v = meter.Rate(v, int(c.m.SlotWidth()/time.Second))
	}
	return v, true
}

// pick returns the element of sums that are not zero and some that are.
func (c *collector) pick(sums []meter.Sum, zeros int) meter.Sum {
	if c.m.Aggregation != meter.AggPercentile {
		if zeros > 0 {
			sums = append(sums, meter.Sum{})
		}
		return slices.MaxFunc(sums, meter.Sum.Cmp)
	}
	slices.SortFunc(sums, meter.Sum.Cmp)
	at := meter.PercentileRank(c.m.Percentile.Decimal(), len(sums)+zeros) - 1
	// The zeros lie between the negative and the other sums.
	below := sort.Search(len(sums), func(i int) bool { return sums[i].Cmp(meter.Sum{}) >= 0 })
	switch {
	case at < below:
		return sums[at]
	case at >= below+zeros:
		return sums[at-zeros]
	}
	return meter.Sum{}
}
