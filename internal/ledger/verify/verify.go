// Package verify checks that what the ledger keeps is a fold of its log. It
// shares with the fold how things are stored, see package state, and nothing of
// how they are made.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// Options bounds a verification.
type Options struct {
	MemoryBytes int64 // 0 = 512 MiB
	// Folder is where what does not fit the memory is kept meanwhile, in a folder
	// below it that is removed at the end, or by the next verification. Two must
	// not share it. "" = the system's folder of temporary files.
	Folder   string
	Progress func(Progress)
}

// Progress is told now and then, by one goroutine at a time.
type Progress struct {
	Pass  string // "log", "verdicts", "cells"
	Done  uint64 // blocks of the log; of the others, parts
	All   uint64
	Cells uint64 // that are stored
	Disk  int64  // bytes of temporary files at most, as far as is known; 0 = none
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

// problems is what was found, at most maxProblems in words.
type problems struct {
	list []string
	more int
}

func (p *problems) add(format string, args ...any) {
	if len(p.list) >= maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

// take adds what others found.
func (p *problems) take(o *problems) {
	n := min(len(o.list), maxProblems-len(p.list))
	p.list = append(p.list, o.list[:n]...)
	p.more += len(o.list) - n + o.more
}

// Problems are listed in this order, whenever they were found.
const (
	stageChain = iota
	stageVerdicts
	stageRefused
	stageRecords
	stageCells
	stages
)

// Source is a ledger that can be verified.
type Source interface {
	Snapshot() (*state.View, error)
}

// Run reads the whole log again, once, with code of its own: the chain and
// checksums of all blocks, the verdict of every event by sorting, and every
// cell by adding up one event at a time. Only then does it look at the index
// and the cells, and compares. What does not fit the memory is in temporary
// files meanwhile. Ingest goes on.
func Run(ctx context.Context, s Source, o Options) (Report, error) {
	report, err := run(ctx, s, o)
	if err != nil && ctx.Err() == nil && disk.Damaged(err) {
		report.Problems = append(report.Problems, fmt.Sprintf("what is stored is damaged, so that verification ended early: %v", err))
		err = nil
	}
	return report, err
}

func run(ctx context.Context, s Source, o Options) (report Report, err error) {
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	view, err := s.Snapshot()
	if err != nil {
		return Report{}, err
	}
	defer view.Release()
	start := view.Now()
	v := &verifier{o: o, view: view, damaged: map[uint64]bool{}}
	v.stored = v.reader()
	rec, err := v.stored.checkpoint()
	if err != nil {
		return v.report, err
	}
	v.last = rec.Applied
	if v.tallies, err = v.newTallies(); err != nil {
		return v.report, err
	}
	if v.spill, err = newSpill(o.Folder); err != nil {
		return v.report, err
	}
	defer func() { err = errors.Join(err, v.spill.close()) }()
	err = v.steps(ctx)
	for i := range v.found {
		v.all.take(&v.found[i])
	}
	v.report.Problems, v.report.MoreFound = v.all.list, v.all.more
	if err == nil {
		v.report.Elapsed = view.Now().Sub(start)
	}
	return v.report, err
}

// verifier is one verification. One goroutine works on it; others have parts of their own.
type verifier struct {
	o       Options
	view    *state.View
	stored  *stateReader
	last    uint64
	report  Report
	found   [stages]problems
	all     problems
	damaged map[uint64]bool
	tallies *tallies
	refused refusals
	spill   *spill

	mu   sync.Mutex // over a report of progress
	told Progress
}

func (v *verifier) stage(n int) *problems { return &v.found[n] }

const (
	passLog      = "log"
	passVerdicts = "verdicts"
	passCells    = "cells"
)

// progress tells how far a pass is.
func (v *verifier) progress(p Progress) {
	if v.o.Progress == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tell(p)
}

// part tells that one more of a pass's parts is done. It is counted under the
// lock: of two goroutines that end together the later tells the higher number.
func (v *verifier) part(pass string, all int) {
	if v.o.Progress == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	done := uint64(1)
	if v.told.Pass == pass {
		done += v.told.Done
	}
	v.tell(Progress{Pass: pass, Done: done, All: uint64(all)})
}

func (v *verifier) tell(p Progress) {
	p.Cells, p.Disk = v.told.Cells, v.told.Disk
	v.told = p
	v.o.Progress(p)
}

// steps reads the log, judges and compares.
func (v *verifier) steps(ctx context.Context) error {
	meters := v.meters()
	known, err := v.planCells(ctx, meters)
	if err != nil {
		return err
	}
	events := v.tallies.events()
	v.told.Cells, v.told.Disk = known.cells, known.spills(v.o.MemoryBytes)+identitySpill(events, v.o.MemoryBytes)
	if err := v.spill.check(v.told.Disk); err != nil {
		return err
	}
	v.progress(Progress{Pass: passLog, All: v.last})
	p := &pass{v: v, ids: newIdentities(v.spill, events, v.o.MemoryBytes), cells: v.newCells(meters, known)}
	if err := p.run(ctx); err != nil {
		return err
	}
	if p.ended != nil {
		return p.ended
	}
	if err := p.cells.settle(); err != nil {
		return err
	}
	if err := v.verdicts(ctx, p.ids); err != nil {
		return err
	}
	if p.endedLater != nil {
		return p.endedLater
	}
	v.refused.check(v.stage(stageRefused))
	v.compareRecords()
	p.ids = nil
	if err := v.compareTexts(ctx); err != nil {
		return err
	}
	return p.cells.compare(ctx)
}
