// Package verify checks that what the ledger keeps is a fold of its log. It
// shares with the fold how things are stored, see package state, and nothing of
// how they are made.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// Options bounds a verification.
type Options struct {
	MemoryBytes int64 // 0 = 512 MiB
	Progress    func(Progress)
}

// Progress is told now and then.
type Progress struct {
	Pass   string // "chain", "verdicts", "cells"
	Round  int    // reading of the log within the pass, from 1
	Rounds int    // as far as is known
	Cells  uint64 // that are stored, once known
	Block  uint64
	Blocks uint64
}

// Report is what a verification found.
type Report struct {
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
	defaultMemory = 512 << 20
	maxProblems   = 100
)

// Err returns what was found as an error, nil if nothing was.
func (r *Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n  %s", p)
	}
	return meter.WrapError(meter.KindCorrupt, errors.New(b.String()), "verification found %d problems", len(r.Problems)+r.MoreFound)
}

// Source is a ledger that can be verified.
type Source interface {
	Snapshot() (*state.View, error)
}

// Run reads the whole log again with code of its own: the chain and
// checksums of all blocks, the verdict of every event by sorting, and every
// cell by adding up one event at a time. Only then does it look at the index
// and the cells, and compares. Ingest goes on meanwhile.
func Run(ctx context.Context, s Source, o Options) (Report, error) {
	report, err := run(ctx, s, o)
	if err != nil && ctx.Err() == nil && disk.Damaged(err) {
		report.Problems = append(report.Problems, fmt.Sprintf("what is stored is damaged, so that verification ended early: %v", err))
		err = nil
	}
	return report, err
}

func run(ctx context.Context, s Source, o Options) (Report, error) {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	view, err := s.Snapshot()
	if err != nil {
		return Report{}, err
	}
	defer view.Release()
	start := view.Now()
	v := &verifier{o: o, view: view, stored: &stateReader{db: view.State, texts: map[uint64]string{}}}
	rec, err := v.stored.checkpoint()
	if err != nil {
		return v.report, err
	}
	v.last = rec.Applied
	if v.tallies, err = v.newTallies(); err != nil {
		return v.report, err
	}
	for _, step := range []func(context.Context) error{v.chain, v.verdicts, v.cells} {
		if err := step(ctx); err != nil {
			return v.report, err
		}
	}
	v.report.Elapsed = view.Now().Sub(start)
	return v.report, nil
}

type verifier struct {
	o       Options
	view    *state.View
	stored  *stateReader
	last    uint64
	report  Report
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
		v.o.Progress(Progress{Pass: pass, Round: v.round, Rounds: v.rounds, Cells: v.planned, Block: seq, Blocks: v.last})
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
		h, err := log.ReadHeader(v.view.Log, seq)
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
		body, err := log.ReadBody(v.view.Log, &h)
		if err == nil && h.Kind == block.KindEvents {
			err = v.times(&h, body)
		}
		if err != nil {
			v.damaged[seq] = true
			v.problem("%s", v.view.Damage(&h, err))
		}
	}
	return nil
}

// times checks that scans find a block of events by the times that it has.
func (v *verifier) times(h *block.Header, body []byte) error {
	rows, err := block.Decode(body, v.view.Key, false, h.Accepted.UnixNano())
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
		h, err := log.ReadHeader(v.view.Log, seq)
		if err != nil {
			return err
		}
		if h.Kind != block.KindEvents {
			continue
		}
		rows, err := v.rows(&h, pass == passVerdicts)
		if err != nil {
			return err
		}
		if err := fn(&h, rows); err != nil {
			return err
		}
	}
	return nil
}

// rows reads the rows of a block of events.
func (v *verifier) rows(h *block.Header, hashes bool) (*block.Rows, error) {
	body, err := log.ReadBody(v.view.Log, h)
	if err != nil && !disk.Damaged(err) {
		return nil, err
	}
	if err == nil {
		var rows *block.Rows
		if rows, err = block.Decode(body, v.view.Key, hashes, h.Accepted.UnixNano()); err == nil {
			return rows, nil
		}
	}
	return nil, meter.WrapError(meter.KindCorrupt, err, "%s", v.view.Damage(h, err))
}

const (
	passVerdicts = "verdicts"
	passCells    = "cells"
)
