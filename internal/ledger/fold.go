package ledger

import (
	"fmt"
	"slices"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
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
	measures []columnMeasure
	places   map[string]int // of families and columns, while they are found

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
