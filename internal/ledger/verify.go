package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/log"
	"odometer/internal/meter"
)

// VerifyOptions bounds a verification.
type VerifyOptions struct {
	MemoryBytes int64 // 0 = 512 MiB
	Progress    func(VerifyProgress)
}

// VerifyProgress is told now and then.
type VerifyProgress struct {
	Pass   string // "chain", "verdicts", "cells"
	Round  int    // reading of the log within the pass, from 1
	Rounds int    // as far as is known
	Cells  uint64 // that are stored, once known
	Block  uint64
	Blocks uint64
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Blocks     uint64
	Events     uint64
	Identities uint64
	Cells      uint64 // compared
	Skipped    []string
	Problems   []string // at most maxProblems; empty = the state is a fold of the log
	MoreFound  int      // problems beyond those listed
	Peak       int64    // bytes held for cells at most
	Elapsed    time.Duration
}

const (
	defaultVerifyMemory = 512 << 20
	maxProblems         = 100
)

// Verify reads the whole log again with code of its own: the chain and
// checksums of all blocks, the verdict of every event by sorting, and every
// cell by adding up one event at a time. Only then does it look at the index
// and the cells, and compares. Ingest goes on meanwhile.
func (l *Ledger) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	report, err := l.verify(ctx, o)
	if err != nil && ctx.Err() == nil && disk.Damaged(err) {
		report.Problems = append(report.Problems, fmt.Sprintf("what is stored is damaged, so that verification ended early: %v", err))
		err = nil
	}
	return report, err
}

func (l *Ledger) verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultVerifyMemory
	}
	if err := l.Checkpoint(); err != nil {
		return VerifyReport{}, err
	}
	start := l.now()
	v := &verifier{l: l, o: o, base: l.pinBase()}
	defer func() { _ = v.base.release() }()
	rec, err := readCheckpointFrom(v.base.snap)
	if err != nil {
		return v.report, err
	}
	v.last = rec.Applied
	v.state = &stateReader{v.base.snap}
	if v.tallies, err = v.newTallies(); err != nil {
		return v.report, err
	}
	view := l.ids.Sealed()
	defer view.Release()
	for _, step := range []func(context.Context) error{v.chain, func(ctx context.Context) error { return v.verdicts(ctx, view) }, v.cells} {
		if err := step(ctx); err != nil {
			return v.report, err
		}
	}
	v.report.Elapsed = l.now().Sub(start)
	return v.report, nil
}

func (l *Ledger) pinBase() *base {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.base.acquire()
}

type verifier struct {
	l       *Ledger
	o       VerifyOptions
	base    *base
	state   *stateReader
	last    uint64
	report  VerifyReport
	damaged map[uint64]bool
	tallies *tallies
	round   int
	rounds  int
	planned uint64
	noIndex bool // the identity index cannot be read
}

func (v *verifier) problem(format string, args ...any) {
	if len(v.report.Problems) >= maxProblems {
		v.report.MoreFound++
		return
	}
	v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
}

func (v *verifier) progress(pass string, seq uint64) {
	if v.o.Progress != nil && (seq%256 == 0 || seq == v.last) {
		v.o.Progress(VerifyProgress{Pass: pass, Round: v.round, Rounds: v.rounds, Cells: v.planned, Block: seq, Blocks: v.last})
	}
}

// chain checks every header, its link to the one before, and every body.
func (v *verifier) chain(ctx context.Context) error {
	var sum [16]byte
	var accepted time.Time
	v.damaged = map[uint64]bool{}
	for seq := uint64(1); seq <= v.last; seq++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.progress("chain", seq)
		h, err := v.l.header(seq)
		if err != nil {
			return fmt.Errorf("block %d has no readable header, nothing after it can be verified: %w", seq, err)
		}
		if h.Sequence != seq || h.Prev != sum {
			v.problem("block %d does not follow block %d: the chain of headers is broken", seq, seq-1)
		}
		if h.Accepted.Before(accepted) {
			v.problem("block %d was accepted at %s, before block %d", seq, h.Accepted.Format(time.RFC3339Nano), seq-1)
		}
		if err := v.headerCopy(&h); err != nil {
			return err
		}
		sum, accepted = h.Sum(), h.Accepted
		v.report.Blocks++
		v.report.Events += uint64(h.Rows)
		body, err := log.ReadBody(v.l.log, &h)
		if err == nil && h.Kind == block.KindEvents {
			err = v.times(&h, body)
		}
		if err != nil {
			v.damaged[seq] = true
			v.problem("%s", v.l.noteDamage(&h, err))
		}
	}
	return nil
}

// times checks that scans find a block of events by the times that it has.
func (v *verifier) times(h *block.Header, body []byte) error {
	rows, err := block.Decode(body, v.l.key, false, h.Accepted.UnixNano())
	if err != nil {
		return err
	}
	if first, last := rows.TimeRange(); first != h.MinTime || last != h.MaxTime {
		v.problem("the header of block %d says that its events have times from %d to %d, they are from %d to %d (unix ns): scans would miss some", h.Sequence,
			h.MinTime, h.MaxTime, first, last)
	}
	return nil
}

// blocks calls fn for every undamaged block of events.
func (v *verifier) blocks(ctx context.Context, pass string, fn func(h *block.Header, rows *block.Rows) error) error {
	for seq := uint64(1); seq <= v.last; seq++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.progress(pass, seq)
		if v.damaged[seq] {
			continue
		}
		h, err := v.l.header(seq)
		if err != nil {
			return err
		}
		if h.Kind != block.KindEvents {
			continue
		}
		rows, err := v.l.loadRows(&h, pass == passVerdicts)
		if err != nil {
			return err
		}
		if err := fn(&h, rows); err != nil {
			return err
		}
	}
	return nil
}

const (
	passVerdicts = "verdicts"
	passCells    = "cells"
)

// sighting is one event's identity as the verdict pass sorts it.
type sighting struct {
	hash    block.Hash
	check   uint64
	seq     uint64
	ord     uint32
	stored  Verdict
	refused bool // row of an atomic request whose stored verdict is rejected
	atomic  bool
}

const sightingBytes = 48

func (s *sighting) compare(o *sighting) int {
	if c := cmp.Compare(s.hash.Hi, o.hash.Hi); c != 0 {
		return c
	}
	if c := cmp.Compare(s.hash.Lo, o.hash.Lo); c != 0 {
		return c
	}
	if c := cmp.Compare(s.seq, o.seq); c != 0 {
		return c
	}
	return cmp.Compare(s.ord, o.ord)
}

// verdicts judges every event again, a partition of the identities at a time.
func (v *verifier) verdicts(ctx context.Context, ids *idset.Sealed) error {
	// Half the memory for a partition, the rest for blocks.
	parts := uint64(int64(v.report.Events)*sightingBytes/(v.o.MemoryBytes/2) + 1)
	v.rounds = int(parts) + 1
	refused := &atomicCheck{conflicts: map[[2]uint64]bool{}}
	list := make([]sighting, 0, v.report.Events/parts+v.report.Events/parts/16+16) // growing it would take as much again
	for part := range parts {
		v.round = int(part) + 1
		list = list[:0]
		err := v.blocks(ctx, passVerdicts, func(h *block.Header, rows *block.Rows) error {
			stored, err := v.state.verdicts(h.Sequence, rows.N)
			if err != nil {
				return err
			}
			for i := range rows.N {
				hash := rows.Hashes[i]
				if hash.Hi%parts != part {
					continue
				}
				req := rows.Request(i)
				s := sighting{hash: hash, check: rows.Checks[i], seq: h.Sequence, ord: uint32(i), stored: stored[i], atomic: req.Atomic}
				s.refused = stored[i] == Rejected
				if s.refused && !req.Atomic {
					v.problem("event %d of block %d is stored as rejected but its request was not atomic", i, h.Sequence)
				}
				list = append(list, s)
			}
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b sighting) int { return a.compare(&b) })
		if err := v.judgeSorted(list, refused, ids); err != nil {
			return err
		}
	}
	v.round++
	if err := v.checkRefused(ctx, refused); err != nil {
		return err
	}
	v.compareRecords()
	return nil
}

// atomicCheck remembers which refused atomic requests had a reason.
type atomicCheck struct {
	conflicts map[[2]uint64]bool // block, first row of the request: a conflict was found
}

// judgeSorted compares stored verdicts with those that follow from the order.
func (v *verifier) judgeSorted(list []sighting, refused *atomicCheck, ids *idset.Sealed) error {
	firsts := make([]sighting, 0, compareBatch)
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].hash == list[i].hash {
			j++
		}
		var first *sighting
		for k := i; k < j; k++ {
			s := &list[k]
			want := Accepted
			if first != nil {
				want = Conflict
				if s.check == first.check {
					want = Duplicate
				}
			}
			if s.refused {
				if want == Conflict {
					refused.conflicts[[2]uint64{s.seq, uint64(s.ord)}] = true
				}
				continue
			}
			if s.stored != want {
				v.problem("event %d of block %d is stored as %s, the log says %s", s.ord, s.seq, s.stored, want)
			}
			if first == nil {
				first = s
				firsts = append(firsts, *s)
				v.report.Identities++
			}
		}
		i = j
		if len(firsts) == compareBatch {
			if err := v.compareIndex(firsts, ids); err != nil {
				return err
			}
			firsts = firsts[:0]
		}
	}
	return v.compareIndex(firsts, ids)
}

// compareBatch is how many identities are looked up together.
const compareBatch = 4096

// compareIndex checks that the identity index knows each first sighting.
func (v *verifier) compareIndex(firsts []sighting, ids *idset.Sealed) error {
	hashes := make([]block.Hash, len(firsts))
	for i := range firsts {
		hashes[i] = firsts[i].hash
	}
	found := make([]idset.Found, len(firsts))
	if err := ids.Probe(hashes, found); err != nil {
		if meter.KindOf(err) != meter.KindCorrupt {
			return err
		}
		if !v.noIndex { // once
			v.problem("the identity index is damaged: %v", err)
		}
		v.noIndex = true
		return nil
	}
	for i, s := range firsts {
		f := found[i]
		if !f.OK || f.Entry.Seq != s.seq || f.Entry.Ord != s.ord || f.Entry.Check != s.check {
			v.problem("the identity of event %d of block %d is missing from the index or differs there", s.ord, s.seq)
		}
	}
	return nil
}

// checkRefused makes sure that every refused atomic request had a reason, and
// counts the blocks.
func (v *verifier) checkRefused(ctx context.Context, refused *atomicCheck) error {
	return v.blocks(ctx, passVerdicts, func(h *block.Header, rows *block.Rows) error {
		stored, err := v.state.verdicts(h.Sequence, rows.N)
		if err != nil {
			return err
		}
		if err := v.tally(h, rows, stored); err != nil {
			return err
		}
		for r := range rows.Requests {
			q := &rows.Requests[r]
			if !q.Atomic || q.Rows == 0 || stored[q.First] != Rejected {
				continue
			}
			reason := q.Events > q.Rows
			checks := map[block.Hash]uint64{}
			for i := q.First; i < q.First+q.Rows; i++ {
				if stored[i] != Rejected {
					v.problem("event %d of block %d is stored as %s in a refused atomic request", i, h.Sequence, stored[i])
				}
				reason = reason || refused.conflicts[[2]uint64{h.Sequence, uint64(i)}]
				if c, ok := checks[rows.Hashes[i]]; ok && c != rows.Checks[i] {
					reason = true
				}
				checks[rows.Hashes[i]] = rows.Checks[i]
			}
			if !reason {
				v.problem("the atomic request at event %d of block %d is stored as refused without a reason", q.First, h.Sequence)
			}
		}
		return nil
	})
}

// Err returns what was found as an error, nil if nothing was.
func (r *VerifyReport) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n  %s", p)
	}
	return meter.WrapError(meter.KindCorrupt, errors.New(b.String()), "verification found %d problems", len(r.Problems)+r.MoreFound)
}
