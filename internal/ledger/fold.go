package ledger

import (
	"fmt"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// The fold: one goroutine that takes blocks in sequence order, judges every
// event, adds the accepted ones to the cells of the organization's meters and
// answers the callers. It reads no clock and nothing but the log, so that
// folding the log again gives the same state.

// folder is what the fold goroutine alone uses.
type folder struct {
	eval     evaluator
	verdicts []meter.Verdict
	take     []bool
	group    []uint64
	columns  [][]uint64

	skips     []requestSkips // by request, while a block is counted whose callers wait
	skipped   *meterState    // of the last skip, its request, and how many of both
	skippedIn int
	skippedBy int
}

// foldLoop runs until the appender has closed the channel and everything is folded.
func (l *Ledger) foldLoop() {
	defer close(l.folded)
	for {
		select {
		case it, ok := <-l.folds:
			if !ok {
				return
			}
			if l.stopped() == nil { // no block may be folded after one that was not
				l.foldOne(it)
			}
		case batch := <-l.backfill.ready:
			if err := l.stopped(); err != nil {
				batch.folded <- err
				continue
			}
			l.foldBackfill(batch)
		case job := <-l.foldJobs:
			job()
		}
	}
}

// foldOne folds one block and answers those who wait for it.
func (l *Ledger) foldOne(it *foldItem) {
	if err := l.makeRoom(it); err != nil {
		l.fatal(fmt.Sprintf("checkpoint before block %d: %v", it.header.Sequence, err), err)
		return
	}
	answers, err := l.foldBlock(it)
	if err != nil {
		// The log holds the block but the state cannot take it in: serving on
		// would answer from a state that is not a fold of the log.
		l.fatal(fmt.Sprintf("fold block %d: %v", it.header.Sequence, err), err)
		return
	}
	for i, p := range it.waiting {
		answers[i].seq = it.header.Sequence
		p.answer(answers[i])
	}
	if it.merged != nil {
		l.builders.Put(it.merged)
	}
}

// foldBlock applies one block to the active state and returns an answer per waiting caller.
func (l *Ledger) foldBlock(it *foldItem) ([]answer, error) {
	org := l.org(it.header.Org)
	if org.record.Stopped != nil {
		return refuseAll(it, org.stoppedError()), nil
	}
	if it.header.Kind == block.KindControl {
		return l.foldControl(org, it)
	}
	answers, err := l.judge(it)
	if err != nil {
		return nil, err
	}
	if len(it.waiting) > 0 {
		l.fold.skips, l.fold.skipped = make([]requestSkips, len(it.rows.Requests)), nil
	}
	err = l.count(org, it)
	for r, s := range l.fold.skips {
		answers[r].skips = s
	}
	l.fold.skips = nil
	return answers, err
}

func refuseAll(it *foldItem, err error) []answer {
	answers := make([]answer, max(1, len(it.waiting)))
	for i := range answers {
		answers[i].err = err
	}
	return answers
}

// warmRows is the size from which a block's identities are brought into the
// processor's caches together: 107-128 ns an identity without, 68-98 with.
const warmRows = 64

// judge fills l.fold.verdicts for every row of the block.
func (l *Ledger) judge(it *foldItem) ([]answer, error) {
	rows := it.rows
	f := &l.fold
	if cap(f.verdicts) < rows.N {
		f.verdicts = make([]meter.Verdict, rows.N)
	}
	f.verdicts = f.verdicts[:rows.N]
	if rows.N >= warmRows {
		since := uint64(0)
		if len(it.since) > 0 {
			since = slices.Min(it.since)
		}
		l.ids.Warm(rows.Hashes, since)
	}
	answers := make([]answer, len(rows.Requests))
	for r := range rows.Requests {
		req := &rows.Requests[r]
		var since uint64
		if r < len(it.since) {
			since = it.since[r]
		}
		lo, hi := int(req.First), int(req.First+req.Rows)
		var first []idset.Entry
		var err error
		if req.Atomic {
			first, err = l.judgeAtomic(it, req, since, &answers[r])
		} else {
			first, err = l.judgeRows(it, lo, hi, since, true)
		}
		if err != nil {
			return nil, err
		}
		answers[r].first = first
		if !answers[r].atomic {
			answers[r].verdicts = append([]meter.Verdict(nil), f.verdicts[lo:hi]...)
		}
	}
	return answers, nil
}

// judgeRows decides rows [lo,hi) one after the other. With remember, accepted
// identities are inserted; it returns the first sighting of each conflict.
func (l *Ledger) judgeRows(it *foldItem, lo, hi int, since uint64, remember bool) ([]idset.Entry, error) {
	rows, verdicts := it.rows, l.fold.verdicts
	var conflicts []idset.Entry
	for i := lo; i < hi; i++ {
		e, ok, err := l.seen(it, i, since)
		if err != nil {
			return nil, err
		}
		if !ok {
			verdicts[i] = meter.Accepted
			if remember && !l.ids.Insert(idset.Entry{Hash: rows.Hashes[i], Check: rows.Checks[i], Seq: it.header.Sequence, Ord: uint32(i)}) {
				return nil, fmt.Errorf("the recent identity table is full at row %d", i)
			}
			continue
		}
		if e.Check == rows.Checks[i] {
			verdicts[i] = meter.Duplicate
			continue
		}
		verdicts[i] = meter.Conflict
		conflicts = append(conflicts, e)
	}
	return conflicts, nil
}

// seen returns the first sighting of row i's identity.
func (l *Ledger) seen(it *foldItem, i int, since uint64) (idset.Entry, bool, error) {
	if it.found != nil && it.found[i].OK {
		return it.found[i].Entry, true, nil
	}
	return l.ids.Lookup(it.rows.Hashes[i], since)
}

// judgeAtomic decides a whole request before any of its identities is
// inserted: one rejection or conflict refuses all, and no identity is remembered.
func (l *Ledger) judgeAtomic(it *foldItem, req *block.Request, since uint64, a *answer) ([]idset.Entry, error) {
	rows, verdicts := it.rows, l.fold.verdicts
	lo, hi := int(req.First), int(req.First+req.Rows)
	first, err := l.judgeRows(it, lo, hi, since, false)
	if err != nil {
		return nil, err
	}
	refuse := len(first) > 0 || len(req.Rejections) > 0 || req.Events > req.Rows
	inRequest := make(map[block.Hash]int, hi-lo)
	before := first // what conflicts with folded events; first becomes all, in order of rows
	first = nil
	for i := lo; i < hi; i++ {
		if verdicts[i] == meter.Conflict {
			first, before = append(first, before[0]), before[1:]
		}
		if verdicts[i] != meter.Accepted {
			continue
		}
		j, again := inRequest[rows.Hashes[i]]
		switch {
		case !again:
			inRequest[rows.Hashes[i]] = i
		case rows.Checks[i] == rows.Checks[j]:
			verdicts[i] = meter.Duplicate
		default:
			verdicts[i] = meter.Conflict
			first = append(first, idset.Entry{Hash: rows.Hashes[j], Check: rows.Checks[j], Seq: it.header.Sequence, Ord: uint32(j)})
			refuse = true
		}
	}
	if refuse {
		// What was wrong stays visible in the answer; the stored verdict of
		// every row is rejected.
		a.atomic = true
		a.verdicts = append([]meter.Verdict(nil), verdicts[lo:hi]...)
		for i := lo; i < hi; i++ {
			verdicts[i] = meter.Rejected
		}
		return first, nil
	}
	for i := lo; i < hi; i++ {
		if verdicts[i] == meter.Accepted && !l.ids.Insert(idset.Entry{Hash: rows.Hashes[i], Check: rows.Checks[i], Seq: it.header.Sequence, Ord: uint32(i)}) {
			return nil, fmt.Errorf("the recent identity table is full at row %d", i)
		}
	}
	return nil, nil
}

// count adds the accepted rows to every meter of the organization and records
// that the block has been folded.
func (l *Ledger) count(org *orgState, it *foldItem) error {
	f := &l.fold
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.rows.N > 0 {
		if err := l.countMeters(org, it); err != nil {
			return err
		}
	}
	before := org.record.Accepted
	for r := range it.rows.Requests {
		req := &it.rows.Requests[r]
		countVerdicts(&org.record, f.verdicts[req.First:req.First+req.Rows], req)
	}
	org.noteTimes(it.rows, f.verdicts, before)
	l.noteBlock(org, it)
	return nil
}

// countMeter adds the accepted rows of the evaluator's block to one meter's
// cells, or takes them back.
func (l *Ledger) countMeter(m *meterState, rows *block.Rows, verdicts []meter.Verdict, by change) error {
	f := &l.fold
	f.eval.trim()
	if cap(f.take) < rows.N {
		f.take = make([]bool, rows.N)
	}
	take := f.take[:rows.N]
	for i, v := range verdicts {
		take[i] = v == meter.Accepted
	}
	if !f.eval.match(&m.record.Meter, take) {
		return nil
	}
	f.columns = f.columns[:0]
	for _, attr := range m.Order {
		ids, err := f.eval.group(attr)
		if err != nil {
			return err
		}
		f.columns = append(f.columns, ids)
	}
	if err := l.addRows(m, rows, take, by); err != nil {
		return err
	}
	l.active.meters[m] = struct{}{}
	return nil
}

// addRows walks the taken rows and updates the meter's cells in the active table.
func (l *Ledger) addRows(m *meterState, rows *block.Rows, take []bool, by change) error {
	f := &l.fold
	ms, err := f.eval.measure(&m.record.Meter)
	if err != nil {
		return err
	}
	table := l.active.table
	width := int64(m.Width)
	f.group = append(f.group[:0], make([]uint64, len(f.columns))...)
	totals := totalRun{table: table}
	if len(f.columns) > 0 {
		totals.series = table.Series(m.record.Version, m.Kind, nil)
	}
	for i := range take {
		if !take[i] {
			continue
		}
		if !ms.has(i) {
			if by.sign > 0 {
				m.record.Skipped++
				l.noteSkip(rows, i, m)
			}
			continue
		}
		for c, ids := range f.columns {
			f.group[c] = ids[i]
		}
		series, err := l.series(m, f.group)
		if err != nil {
			return err
		}
		slot := int32(floorDiv(rows.Times[i], width))
		if ms.kind == cell.Numeric {
			q := ms.quantity(i)
			if by.sign < 0 {
				q = q.Neg()
			}
			table.AddNumeric(series, slot, by.sign, q)
			if len(f.columns) > 0 {
				totals.add(slot, by.sign, q)
			}
			continue
		}
		l.addOther(&ms, rows, i, series, slot, by)
		if len(f.columns) > 0 {
			l.addOther(&ms, rows, i, totals.series, slot, by)
		}
	}
	totals.flush()
	return nil
}

// change says how rows are taken into the cells: counted, or taken back by
// the void at a sequence.
type change struct {
	sign int64 // +1 or -1
	seq  uint64
}

// addOther updates a cell that is not a sum. A void cannot be subtracted from
// it: the slot is marked and answered by scanning until it is recomputed.
func (l *Ledger) addOther(ms *measure, rows *block.Rows, i int, series uint32, slot int32, by change) {
	t := l.active.table
	switch {
	case by.sign < 0:
		t.Dirty(series, slot, by.seq)
	case ms.kind == cell.Min:
		t.AddMin(series, slot, ms.quantity(i))
	case ms.kind == cell.Max:
		t.AddMax(series, slot, ms.quantity(i))
	case ms.kind == cell.Distinct:
		if t.AddSet(series, slot, ms.texts.ids[i]) > l.limits.SetValues {
			t.Forget(series, slot)
		}
	default:
		source, _ := rows.Sources.At(i)
		t.AddLast(series, slot, rows.Times[i], source, rows.IDs.At(i), ms.quantity(i))
	}
}

// series returns the series of a group. Of one that a crowded meter does not
// keep apart it changes group to the one that stands for such groups.
func (l *Ledger) series(m *meterState, group []uint64) (uint32, error) {
	t := l.active.table
	if n, ok := t.FindSeries(m.record.Version, group); ok {
		return n, nil
	}
	apart := len(group) > 0
	if apart && m.record.Crowded {
		var err error
		if apart, err = l.listed(m, group); err != nil {
			return 0, err
		}
		if !apart {
			m.overflow(group)
		}
	}
	if apart {
		m.groups.add(group)
	}
	return t.Series(m.record.Version, m.Kind, group), nil
}

// listed says whether a crowded meter keeps the group apart.
func (l *Ledger) listed(m *meterState, group []uint64) (bool, error) {
	return l.stateHas(state.GroupKey(m.record.Version, group))
}

// totalRun adds up consecutive rows of one slot before it touches the
// meter's total cell: rows of one block mostly share a slot.
type totalRun struct {
	table  *cell.Table
	series uint32
	slot   int32
	count  int64
	sum    meter.Sum
	any    bool
}

func (t *totalRun) add(slot int32, n int64, q meter.Quantity) {
	if t.any && slot != t.slot {
		t.flush()
	}
	t.slot, t.any = slot, true
	t.count += n
	t.sum.Add(q)
}

func (t *totalRun) flush() {
	if t.any {
		t.table.AddSum(t.series, t.slot, t.count, t.sum)
	}
	t.count, t.sum, t.any = 0, meter.Sum{}, false
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// noteTimes widens the organization's range of accepted event times.
// before is how many there were before the block.
func (o *orgState) noteTimes(rows *block.Rows, verdicts []meter.Verdict, before uint64) {
	r := &o.record
	seen := before > 0
	for i, v := range verdicts {
		if v != meter.Accepted {
			continue
		}
		t := rows.Times[i]
		if !seen {
			r.MinTime, r.MaxTime, seen = t, t, true
		}
		r.MinTime, r.MaxTime = min(r.MinTime, t), max(r.MaxTime, t)
	}
}
