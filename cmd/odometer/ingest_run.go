package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"odometer/internal/intake"
)

// ingestRun is one run of the command.
type ingestRun struct {
	cmd       *IngestCmd
	env       *Env
	send      sendFunc
	told      bool   // that lines name no customer
	target    string // the server and whom it is asked as, in the state's keys
	customers *customerCheck
	store     *intake.Store
	progress  *ingestProgress
	totals    ingestTotals
	probed    map[*intake.Stream]bool // streams that the server was asked about in this run
}

// saveInterval is how often the state file is replaced during a long file.
const saveInterval = time.Second

// path sends what one argument names.
func (r *ingestRun) path(ctx context.Context, path string) {
	if path == "-" {
		out := r.totals.start("-")
		r.finish(ctx, out, r.stdin(ctx, out))
		return
	}
	out := r.totals.start(path)
	f, err := intake.Open(path)
	if err == nil {
		err = r.file(ctx, f, out)
		_ = f.Close()
	}
	r.finish(ctx, out, err)
}

// finish books an error about a file as a whole.
func (r *ingestRun) finish(ctx context.Context, out *fileTotals, err error) {
	r.progress.done(out)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the compressed file ends early: it is damaged, or still being written")
	}
	var misuse *exitError
	out.wrongFlags = errors.Is(err, intake.ErrMap) || errors.As(err, &misuse) && misuse.code == exitUsage
	out.Error = err.Error()
	r.progress.note(out.File, "failed: "+out.Error)
}

// file sends what is new in an open file.
func (r *ingestRun) file(ctx context.Context, f *intake.File, out *fileTotals) error {
	out.Unclear, out.Waiting, out.Error = false, 0, ""
	d, policy, err := r.cmd.decoder(f.Path, func(func([][]byte) bool) ([][]byte, error) { return intake.FirstLines(f) })
	if errors.Is(err, io.EOF) {
		return nil // empty
	}
	if err != nil {
		return err
	}
	r.noteNoCustomer(d)
	first, err := intake.First(f, d, r.cmd.Final)
	if errors.Is(err, io.EOF) {
		r.wait(out, &intake.Waiting{Line: 1})
		return nil
	}
	if err != nil {
		return err
	}
	start := intake.LineageKey(first)
	key := intake.StateKey(r.target, r.cmd.Source, start)
	lineage, err := r.store.Load(key)
	if err != nil {
		r.progress.note(out.File, err.Error())
	}
	opt := intake.Options{Derived: d.Derived(), Policy: policy, Mapping: d.Fingerprint(), FromStart: r.cmd.FromStart}
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
		r.progress.note(out.File, plan.Note)
	}
	if !out.read {
		out.Known, out.read = plan.Start.Line, true
	}
	if out.NotCounted = 0; plan.Start.Line > 0 {
		out.NotCounted = plan.Stream.NotCounted
	}
	if err := r.store.AddSource(r.target, start, r.cmd.Source); err != nil {
		r.progress.note(out.File, err.Error())
	}
	if err := r.announce(&plan, f, key, lineage); err != nil {
		return err
	}
	reader, err := plan.Read(f, d, intake.ReadOptions{Source: cmp.Or(r.cmd.Source, intake.SourceOf(first)), Final: r.cmd.Final, Skip: skip})
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	r.progress.reading(f)
	s := &streamRun{run: r, f: f, decoder: d, plan: plan, lineage: lineage, key: key, mapping: opt.Mapping, saved: r.env.Clock()}
	s.at.Pos, s.at.Probes, s.at.NotCounted = plan.Start, plan.Stream.Probes, out.NotCounted
	return s.send(ctx, reader, out)
}

// checkOf checks the customers of a format that the command gives them to; in
// CloudEvents they are the sender's.
func (r *ingestRun) checkOf(ctx context.Context, d intake.Decoder) func(event []byte) (string, error) {
	if _, theirs := d.(intake.NDJSONDecoder); theirs {
		return nil
	}
	return func(event []byte) (string, error) { return r.customers.line(ctx, event) }
}

// noteNoCustomer says once that lines of access logs name no customer.
func (r *ingestRun) noteNoCustomer(d intake.Decoder) {
	c, log := d.(*intake.CombinedDecoder)
	if !log || c.Subject != "" || c.SubjectField != "" || c.AllowEmptySubject || r.told {
		return
	}
	r.told = true
	r.progress.note("", "neither --subject nor --subject-field is given: lines count for no customer, unless the organization's customer_attribute names one of their fields")
}

// otherSource tells under which other name the file's lines were counted.
func (r *ingestRun) otherSource(ctx context.Context, f *intake.File, start string, opt intake.Options, kind intake.Kind) (name string, known bool) {
	if !opt.Derived || kind != intake.Fresh || opt.Policy.Edit {
		return "", false
	}
	for _, source := range r.store.Sources(r.target, start) {
		if source == r.cmd.Source {
			continue
		}
		lineage, err := r.store.Load(intake.StateKey(r.target, source, start))
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
func (r *ingestRun) announce(plan *intake.Plan, f *intake.File, key string, lineage *intake.Lineage) error {
	added, err := plan.Announce(f, r.env.Clock())
	if err != nil || !added {
		return err
	}
	return r.store.Save(key, lineage)
}

// wait books a last line that waits for its newline. One that has newlines, but
// an open quote, may hide lines after it, so that is told apart.
func (r *ingestRun) wait(out *fileTotals, w *intake.Waiting) {
	if w == nil {
		return
	}
	out.Waiting = w.Line
	if w.Open {
		r.unclear(out, fmt.Sprintf("line %d opens a quote that is not closed yet: it and what follows wait (--final takes the rest)", w.Line))
	}
}

func (r *ingestRun) unclear(out *fileTotals, note string) {
	if out.Note != note { // followed files are looked at again and again
		r.progress.note(out.File, note)
	}
	out.Unclear, out.Note = true, note
}

// probe asks the server whether it still has the newest events of a stream that
// would be read from the middle. If not, for example because it started from an
// older backup or an empty folder, the stream is read from the start. The
// offsets of the events it took by being asked are returned.
func (r *ingestRun) probe(ctx context.Context, plan *intake.Plan, out *fileTotals) (skip map[int64]bool, err error) {
	if !plan.Probe || r.probed[plan.Stream] {
		return nil, nil
	}
	var b ingestBatch
	skip = map[int64]bool{}
	for _, p := range plan.Stream.Probes {
		b.events = append(b.events, p.Event)
		b.lines = append(b.lines, 0)
		skip[p.Offset] = true
	}
	if b.result, err = r.send(ctx, b.events); err != nil {
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
func (r *ingestRun) answered(out *fileTotals, b *ingestBatch) {
	out.add(b)
	for _, p := range b.rejected {
		r.progress.problem(out, p)
	}
	for _, p := range b.result.Problems {
		if p.Index >= 0 && p.Index < len(b.lines) {
			r.progress.problem(out, ingestProblem{b.lines[p.Index], p.Reason})
		}
	}
	for _, w := range b.result.Warnings {
		if w.Index >= 0 && w.Index < len(b.lines) {
			r.progress.warning(out, ingestProblem{b.lines[w.Index], w.Reason})
		}
	}
	out.Warnings += b.result.WarningsLeftOut
	r.progress.unsaid += b.result.WarningsLeftOut
	r.progress.update()
}

// stdin sends standard input, which is read to its end and never remembered.
func (r *ingestRun) stdin(ctx context.Context, out *fileTotals) error {
	plain, err := intake.NewReader(interruptible(ctx, r.env.Stdin))
	if err != nil {
		return err
	}
	defer plain.Close()
	buffered := bufio.NewReaderSize(plain, 64<<10)
	d, _, err := r.cmd.decoder("-", func(enough func([][]byte) bool) ([][]byte, error) { return peekLines(buffered, enough) })
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	r.noteNoCustomer(d)
	reader, err := intake.ReadStream(buffered, d, intake.ReadOptions{Source: r.cmd.Source, Final: r.cmd.Final})
	if err != nil {
		return err
	}
	if d.Derived() && r.cmd.Source == "" {
		return errors.New("standard input has no identity of its own: name it with --source")
	}
	next := func(b *ingestBatch) error { return b.fill(reader, r.cmd.Batch, true, r.checkOf(ctx, d)) }
	pipe := &ingestPipe{r.send, r.cmd.Connections}
	err = pipe.run(ctx, next, func(b *ingestBatch) { r.answered(out, b) }, func(*ingestBatch) error { return nil })
	if err == nil && reader.Waiting != nil {
		// Nothing can follow the end of standard input, so this is no waiting line.
		lost := &ingestBatch{rejected: []ingestProblem{{reader.Waiting.Line, "the input ends within this record; --final takes it as it is"}}}
		r.answered(out, lost)
	}
	return err
}

// peekLines returns the first lines that are not blank, without reading them:
// no more than are needed, as those after may be long in coming.
func peekLines(b *bufio.Reader, enough func([][]byte) bool) ([][]byte, error) {
	for {
		_, err := b.Peek(b.Buffered() + 1) // waits for more
		text, _ := b.Peek(b.Buffered())
		whole := text
		if err == nil {
			whole = text[:bytes.LastIndexByte(text, '\n')+1]
		}
		var lines [][]byte
		for line := range bytes.Lines(whole) {
			if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 && len(lines) < intake.DetectLines {
				lines = append(lines, line)
			}
		}
		switch {
		case err != nil && len(lines) == 0:
			return nil, io.EOF
		case err != nil || len(lines) == intake.DetectLines || len(lines) > 0 && enough(lines):
			return lines, nil
		}
	}
}

// streamRun sends one stream and keeps its state.
type streamRun struct {
	run     *ingestRun
	f       *intake.File
	plan    intake.Plan
	lineage *intake.Lineage
	key     string
	decoder intake.Decoder
	mapping string
	at      intake.Progress
	saved   time.Time
}

func (s *streamRun) send(ctx context.Context, reader *intake.Reader, out *fileTotals) error {
	r := s.run
	next := func(b *ingestBatch) error { return b.fill(reader, r.cmd.Batch, false, r.checkOf(ctx, s.decoder)) }
	pipe := &ingestPipe{r.send, r.cmd.Connections}
	err := pipe.run(ctx, next, func(b *ingestBatch) { r.answered(out, b) }, s.advance)
	if err == nil {
		r.wait(out, reader.Waiting)
		s.at.Whole = reader.Waiting == nil && !r.cmd.Final
	}
	return cmp.Or(err, s.save())
}

// advance moves the place to go on from behind the batch.
func (s *streamRun) advance(b *ingestBatch) error {
	s.at.NotCounted += int64(len(b.rejected) + b.result.Rejected + b.result.Conflicts)
	s.at.Head = b.head
	if b.end.Line > 0 {
		s.at.Pos = b.end
	}
	if p, ok := b.probe(); ok {
		keep := max(0, len(s.at.Probes)+1-s.run.cmd.Connections)
		s.at.Probes = append(append([]intake.Probe(nil), s.at.Probes[keep:]...), p)
	}
	if s.run.env.Clock().Sub(s.saved) < saveInterval {
		return nil
	}
	return s.save()
}

func (s *streamRun) save() error {
	if s.at.Pos.Line == 0 {
		return nil // nothing was acknowledged
	}
	s.at.Now = s.run.env.Clock()
	s.saved = s.at.Now
	if err := s.plan.Commit(s.f, s.at, s.mapping); err != nil {
		return err
	}
	s.run.probed[s.plan.Stream] = true
	return s.run.store.Save(s.key, s.lineage)
}
