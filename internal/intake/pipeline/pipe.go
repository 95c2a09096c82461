package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"odometer/internal/intake"
)

// batch is the records of one request.
type batch struct {
	events   [][]byte
	buf      []byte // what events point into
	lines    []int64
	offsets  []int64
	rejected []Problem  // records that could not be decoded
	end      intake.Pos // after the last record
	head     []intake.Mark

	result Result
	err    error
	done   chan struct{}
}

// Problem is one line that was not counted.
type Problem struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
}

// interruptGrace is how long requests under way may still be answered after
// the command was interrupted.
const interruptGrace = 5 * time.Second

// pipe reads batches, sends several at a time, and hands them back in the
// order they were read. A batch is only sent when the one `connections` before
// it was answered and handed back, so at most the last ones are uncertain when
// the process dies.
type pipe struct {
	send        SendFunc
	connections int
}

// run calls next until it returns an error; io.EOF is the end. answered is
// called for each batch that the server answered, advance only while all before
// it were answered too. run returns when no request is under way.
func (p *pipe) run(ctx context.Context, next func(*batch) error, answered func(*batch), advance func(*batch) error) error {
	sending, cancel := outlast(ctx, interruptGrace)
	defer cancel()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	slots := make(chan struct{}, p.connections)
	queue := make(chan *batch, p.connections)
	var readErr error // read after queue is closed
	go func() {
		defer close(queue)
		for readErr == nil {
			select {
			case slots <- struct{}{}:
			case <-reading.Done():
			}
			if readErr = reading.Err(); readErr != nil {
				return
			}
			b := &batch{done: make(chan struct{})}
			readErr = next(b)
			queue <- b
			go p.sendOne(sending, b)
		}
	}()
	var failed error
	for b := range queue {
		<-b.done
		if b.err == nil {
			answered(b)
		}
		if failed == nil {
			failed = b.err
		}
		if failed == nil {
			failed = advance(b)
		}
		if failed != nil {
			stop()
		}
		<-slots
	}
	if failed == nil && !errors.Is(readErr, io.EOF) {
		failed = readErr
	}
	return failed
}

func (p *pipe) sendOne(ctx context.Context, b *batch) {
	defer close(b.done)
	if len(b.events) > 0 {
		b.result, b.err = p.send(ctx, b.events)
	}
}

// outlast returns a context that ends some time after ctx does.
func outlast(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}

// fill reads records into the batch until it is full, or until the input would
// make it wait. check, if there is one, says why an event is not sent.
func (b *batch) fill(r *intake.Reader, limit int, slow bool, check func(event []byte) (string, error)) error {
	for len(b.events)+len(b.rejected) < limit && len(b.buf) < MaxBatchBytes {
		if slow && len(b.events)+len(b.rejected) > 0 && !r.Ready() {
			return nil
		}
		item, err := r.Next(b.buf)
		b.head = r.Head()
		if err != nil {
			return err
		}
		// A line without its newline is read again next time, when it may have one.
		if !item.Partial {
			b.end = item.End
		}
		if item.Err != nil {
			b.rejected = append(b.rejected, Problem{item.Line, item.Err.Error()})
			continue
		}
		if check != nil {
			refused, err := check(item.Event[len(b.buf):])
			if err != nil {
				return err
			}
			if refused != "" {
				b.rejected = append(b.rejected, Problem{item.Line, refused})
				continue
			}
		}
		b.events = append(b.events, item.Event[len(b.buf):])
		b.lines = append(b.lines, item.Line)
		b.offsets = append(b.offsets, item.Start.Offset)
		b.buf = item.Event
	}
	return nil
}

// probe returns an acknowledged event of the batch that the server keeps: one
// that is neither rejected nor in conflict, nor too large to remember.
func (b *batch) probe() (intake.Probe, bool) {
	bad := make(map[int]bool, len(b.result.Problems))
	for _, p := range b.result.Problems {
		bad[p.Index] = true
	}
	if b.result.Accepted+b.result.Duplicates == 0 {
		return intake.Probe{}, false
	}
	for i := len(b.events) - 1; i >= 0; i-- {
		if !bad[i] && len(b.events[i]) <= MaxProbeBytes {
			return intake.Probe{Offset: b.offsets[i], Event: append([]byte(nil), b.events[i]...)}, true
		}
	}
	return intake.Probe{}, false
}
