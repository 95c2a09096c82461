package ledger

import (
	"container/heap"

	"odometer/internal/meter"
)

// rowPage keeps the first rows of many: those of one page.
type rowPage struct {
	order func(a, b meter.UsageRow) int
	most  int
	room  *reading
	rows  []meter.UsageRow
	heap  bool // rows are one with the last one first: there were more than most
}

func (p *rowPage) add(r meter.UsageRow) error {
	if len(p.rows) < p.most {
		if err := p.room.grow(rowBytes(&r)); err != nil {
			return err
		}
		p.rows = append(p.rows, r)
		return nil
	}
	if p.most == 0 || p.order(r, *p.last()) >= 0 {
		return nil
	}
	more := rowBytes(&r) - rowBytes(&p.rows[0])
	if err := p.room.grow(more); err != nil {
		return err
	}
	p.room.shrink(max(0, -more))
	p.rows[0] = r
	heap.Fix((*lastFirst)(p), 0)
	return nil
}

// last returns the last of the rows, of which there are most.
func (p *rowPage) last() *meter.UsageRow {
	if !p.heap {
		heap.Init((*lastFirst)(p))
		p.heap = true
	}
	return &p.rows[0]
}

// leavesOut says whether a page by value has no room for a row of so much, whatever its group.
func (p *rowPage) leavesOut(v meter.Decimal) bool {
	return p.most > 0 && len(p.rows) == p.most && v.Cmp(p.last().Value) < 0
}

// compareValues is the order of rows by value: the largest first, then by group.
func compareValues(a, b meter.UsageRow) int {
	if c := b.Value.Cmp(a.Value); c != 0 {
		return c
	}
	return compareRows(a, b)
}

func (qu *question) compare() func(a, b meter.UsageRow) int {
	if qu.q.ByValue {
		return compareValues
	}
	return compareRows
}

// lastFirst is the page as a heap.
type lastFirst rowPage

func (p *lastFirst) Len() int           { return len(p.rows) }
func (p *lastFirst) Less(i, j int) bool { return p.order(p.rows[i], p.rows[j]) > 0 }
func (p *lastFirst) Swap(i, j int)      { p.rows[i], p.rows[j] = p.rows[j], p.rows[i] }
func (p *lastFirst) Push(x any)         { p.rows = append(p.rows, x.(meter.UsageRow)) }
func (p *lastFirst) Pop() any {
	last := p.rows[len(p.rows)-1]
	p.rows = p.rows[:len(p.rows)-1]
	return last
}

// rowBytes is what a row takes in a page.
func rowBytes(r *meter.UsageRow) int64 {
	n := int64(rowOverhead)
	for _, text := range r.Group {
		n += int64(len(text)) + textOverhead
	}
	return n
}

// rowsWithin returns how many of the rows fit a page of so many bytes, one at least.
func rowsWithin(rows []meter.UsageRow, most int64) int {
	var sum int64
	for i := range rows {
		if sum += rowBytes(&rows[i]); sum > most && i > 0 {
			return i
		}
	}
	return len(rows)
}
