package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"odometer/internal/intake"
)

// saveInterval is how often the state file is replaced during a long file.
const saveInterval = time.Second

// path sends what one argument names.
func (r *Run) path(ctx context.Context, path string) {
	if path == "-" {
		out := r.Totals.start("-")
		r.finish(ctx, out, r.stdin(ctx, out))
		return
	}
	out := r.Totals.start(path)
	f, err := intake.Open(path)
	if err == nil {
		err = r.file(ctx, f, out)
		_ = f.Close()
	}
	r.finish(ctx, out, err)
}

// finish books an error about a file as a whole.
func (r *Run) finish(ctx context.Context, out *FileTotals, err error) {
	r.Observer.Done(out)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the compressed file ends early: it is damaged, or still being written")
	}
	var misuse SettingsError
	out.wrongFlags = errors.Is(err, intake.ErrMap) || errors.As(err, &misuse)
	out.Error = err.Error()
	r.Observer.Note(out.File, "failed: "+out.Error)
}

// file sends what is new in an open file.
func (r *Run) file(ctx context.Context, f *intake.File, out *FileTotals) error {
	out.Unclear, out.Waiting, out.Error = false, 0, ""
	d, policy, err := r.Decoder(f.Path, func(func([][]byte) bool) ([][]byte, error) { return intake.FirstLines(f) })
	if errors.Is(err, io.EOF) {
		return nil // empty
	}
	if err != nil {
		return err
	}
	r.noteNoCustomer(d)
	first, waiting, err := intake.First(f, d, r.Final)
	if errors.Is(err, io.EOF) {
		r.wait(out, waiting)
		return nil
	}
	if err != nil {
		return err
	}
	start := intake.LineageKey(first)
	key := intake.StateKey(r.Target, r.Source, start)
	lineage, err := r.Store.Load(key)
	if err != nil {
		r.Observer.Note(out.File, err.Error())
	}
	opt := intake.Options{Derived: d.Derived(), Policy: policy, Mapping: d.Fingerprint(), FromStart: r.FromStart}
	plan, err := intake.Resolve(ctx, f, lineage, opt)
	if err != nil {
		return err
	}
	if plan.Stream == nil {
		r.unclear(out, plan.Note)
		return nil
	}
	// Only a stream that is new is looked for elsewhere: it takes a reading of the file.
	if other, known := r.otherSource(ctx, f, start, opt, plan.Kind); known {
		r.unclear(out, fmt.Sprintf("its lines were counted as %s: under another source they would count twice; nothing is sent (--rewritten count does it all the same)", other))
		return nil
	}
	skip, err := r.probe(ctx, &plan, out)
	if err != nil {
		return err
	}
	if out.Note = plan.Note; plan.Note != "" {
		r.Observer.Note(out.File, plan.Note)
	}
	if !out.read {
		out.Known, out.read = plan.Start.Line, true
	}
	if out.NotCounted = 0; plan.Start.Line > 0 {
		out.NotCounted = plan.Stream.NotCounted
	}
	if err := r.Store.AddSource(r.Target, start, r.Source); err != nil {
		r.Observer.Note(out.File, err.Error())
	}
	if err := r.announce(&plan, f, key, lineage); err != nil {
		return err
	}
	reader, err := plan.Read(f, d, intake.ReadOptions{Source: cmp.Or(r.Source, intake.SourceOf(first)), Final: r.Final, Skip: skip})
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	r.Observer.Reading(f)
	s := &streamRun{run: r, f: f, decoder: d, plan: plan, lineage: lineage, key: key, mapping: opt.Mapping, saved: r.Clock()}
	s.at.Pos, s.at.Probes, s.at.NotCounted = plan.Start, plan.Stream.Probes, out.NotCounted
	return s.send(ctx, reader, out)
}

// checkOf checks the customers of a format that the command gives them to; in
// CloudEvents they are the sender's.
func (r *Run) checkOf(ctx context.Context, d intake.Decoder) func(event []byte) (string, error) {
	if _, theirs := d.(intake.NDJSONDecoder); theirs {
		return nil
	}
	return func(event []byte) (string, error) { return r.customers.line(ctx, event) }
}

// noteNoCustomer says once that lines of access logs name no customer.
func (r *Run) noteNoCustomer(d intake.Decoder) {
	c, log := d.(*intake.CombinedDecoder)
	if !log || c.Subject != "" || c.SubjectField != "" || c.AllowEmptySubject || r.warned {
		return
	}
	r.warned = true
	r.Observer.Note("", "neither --subject nor --subject-field is given: lines count for no customer, unless the organization's customer_attribute names one of their fields")
}

// otherSource tells under which other name the file's lines were counted.
func (r *Run) otherSource(ctx context.Context, f *intake.File, start string, opt intake.Options, kind intake.Kind) (name string, known bool) {
	if !opt.Derived || kind != intake.Fresh || opt.Policy.Edit {
		return "", false
	}
	for _, source := range r.Store.Sources(r.Target, start) {
		if source == r.Source {
			continue
		}
		lineage, err := r.Store.Load(intake.StateKey(r.Target, source, start))
		if err != nil {
			continue
		}
		opt.FromStart = false
		plan, err := intake.Resolve(ctx, f, lineage, opt)
		if err == nil && plan.Stream != nil && (plan.Kind == intake.Resumed || plan.Kind == intake.Again) {
			if source == "" {
				return "the source that is made from the file", true
			}
			return fmt.Sprintf("source %q", source), true
		}
	}
	return "", false
}

// announce saves that a new stream is about to be sent.
func (r *Run) announce(plan *intake.Plan, f *intake.File, key string, lineage *intake.Lineage) error {
	added, err := plan.Announce(f, r.Clock())
	if err != nil || !added {
		return err
	}
	return r.Store.Save(key, lineage)
}

// wait books a last line that waits for its newline. One that has newlines, but
// an open quote, may hide lines after it, so that is told apart.
func (r *Run) wait(out *FileTotals, w *intake.Waiting) {
	if w == nil {
		return
	}
	out.Waiting = w.Line
	if w.Open {
		r.unclear(out, fmt.Sprintf("line %d opens a quote that is not closed yet: it and what follows wait (--final takes the rest)", w.Line))
	}
}

func (r *Run) unclear(out *FileTotals, note string) {
	if out.Note != note { // followed files are looked at again and again
		r.Observer.Note(out.File, note)
	}
	out.Unclear, out.Note = true, note
}

// probe asks the server whether it still has the newest events of a stream that
// would be read from the middle. If not, for example because it started from an
// older backup or an empty folder, the stream is read from the start. The
// offsets of the events it took by being asked are returned.
func (r *Run) probe(ctx context.Context, plan *intake.Plan, out *FileTotals) (skip map[int64]bool, err error) {
	if !plan.Probe || r.probed[plan.Stream] {
		return nil, nil
	}
	var b batch
	skip = map[int64]bool{}
	for _, p := range plan.Stream.Probes {
		b.events = append(b.events, p.Event)
		b.lines = append(b.lines, 0)
		skip[p.Offset] = true
	}
	if b.result, err = r.Send(ctx, b.events); err != nil {
		return nil, err
	}
	r.probed[plan.Stream] = true
	if b.result.Accepted == 0 {
		return nil, nil
	}
	plan.Forget()
	r.answered(out, &b)
	return skip, nil
}

// answered books the verdicts of one batch.
func (r *Run) answered(out *FileTotals, b *batch) {
	out.add(b)
	for _, p := range b.rejected {
		r.Observer.Problem(out, p)
	}
	for _, p := range b.result.Problems {
		if p.Index >= 0 && p.Index < len(b.lines) {
			r.Observer.Problem(out, Problem{b.lines[p.Index], p.Reason})
		}
	}
	for _, w := range b.result.Warnings {
		if w.Index >= 0 && w.Index < len(b.lines) {
			r.Observer.Warning(out, Problem{b.lines[w.Index], w.Reason})
		}
	}
	out.Warnings += b.result.WarningsLeftOut
	r.Observer.LeftOut(b.result.WarningsLeftOut)
	r.Observer.Update()
}
