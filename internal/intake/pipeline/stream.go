package pipeline

import (
	"cmp"
	"context"
	"time"

	"odometer/internal/intake"
)

// streamRun sends one stream and keeps its state.
type streamRun struct {
	run     *Run
	f       *intake.File
	plan    intake.Plan
	lineage *intake.Lineage
	key     string
	decoder intake.Decoder
	mapping string
	at      intake.Progress
	saved   time.Time
}

func (s *streamRun) send(ctx context.Context, reader *intake.Reader, out *FileTotals) error {
	r := s.run
	next := func(b *batch) error { return b.fill(reader, r.Batch, false, r.checkOf(ctx, s.decoder)) }
	p := &pipe{r.Send, r.Connections}
	err := p.run(ctx, next, func(b *batch) { r.answered(out, b) }, s.advance)
	if err == nil {
		r.wait(out, reader.Waiting)
		s.at.Whole = reader.Waiting == nil && !r.Final
	}
	return cmp.Or(err, s.save())
}

// advance moves the place to go on from behind the batch.
func (s *streamRun) advance(b *batch) error {
	s.at.NotCounted += int64(len(b.rejected) + b.result.Rejected + b.result.Conflicts)
	s.at.Head = b.head
	if b.end.Line > 0 {
		s.at.Pos = b.end
	}
	if p, ok := b.probe(); ok {
		keep := max(0, len(s.at.Probes)+1-s.run.Connections)
		s.at.Probes = append(append([]intake.Probe(nil), s.at.Probes[keep:]...), p)
	}
	if s.run.Clock().Sub(s.saved) < saveInterval {
		return nil
	}
	return s.save()
}

func (s *streamRun) save() error {
	if s.at.Pos.Line == 0 {
		return nil // nothing was acknowledged
	}
	s.at.Now = s.run.Clock()
	s.saved = s.at.Now
	if err := s.plan.Commit(s.f, s.at, s.mapping); err != nil {
		return err
	}
	s.run.probed[s.plan.Stream] = true
	return s.run.Store.Save(s.key, s.lineage)
}
