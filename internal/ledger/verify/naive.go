package verify

import (
	"fmt"
	"slices"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

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

// floor is the whole part of a/b, downwards.
func floor(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}
