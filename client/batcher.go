package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// BatcherOptions configures a Batcher. The zero value of a field means its default.
type BatcherOptions struct {
	Events  int           // per request; default 1000
	Bytes   int           // per request; default 1 MiB
	Wait    time.Duration // an event waits at most so long for others; default 200 ms
	Senders int           // requests under way at once; default 2
	// Done is told of every request: which events it held and what became of
	// them. With an error their outcome is unknown or they were refused; they
	// may be added again. It is called from the senders' goroutines.
	Done func(events []Event, r Result, err error)
}

// ErrClosed is returned by Add after Close.
var ErrClosed = errors.New("odometer: the batcher is closed")

// Batcher collects events into requests. Add blocks while all senders are
// busy and a batch is full, so memory is bounded. Its methods may be called
// from many goroutines.
type Batcher struct {
	client *Client
	o      BatcherOptions
	stop   context.CancelFunc // of the senders' requests

	mu      sync.Mutex
	open    *batch
	closed  bool
	sealed  chan *batch // handed to the senders
	senders sync.WaitGroup
	pending sync.WaitGroup // batches that are open or under way
}

// batch is the events of one request, encoded as a JSON array but for its end.
type batch struct {
	events []Event
	body   []byte
	timer  *time.Timer
}

// NewBatcher starts the senders; Close stops them. Requests end with ctx.
func (c *Client) NewBatcher(ctx context.Context, o BatcherOptions) *Batcher {
	fill(&o.Events, 1000)
	fill(&o.Bytes, 1<<20)
	fill(&o.Wait, 200*time.Millisecond)
	fill(&o.Senders, 2)
	b := &Batcher{client: c, o: o, sealed: make(chan *batch)}
	ctx, b.stop = context.WithCancel(ctx)
	for range o.Senders {
		b.senders.Go(func() { b.send(ctx) })
	}
	return b
}

func (b *Batcher) send(ctx context.Context) {
	for w := range b.sealed {
		r, err := b.client.IngestBody(ctx, ContentBatch, append(w.body, ']'), false)
		if b.o.Done != nil {
			b.o.Done(w.events, r, err)
		}
		b.pending.Done()
	}
}

// Add takes one event. What becomes of it is told to BatcherOptions.Done.
func (b *Batcher) Add(e Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("odometer: cannot encode event %q: %w", e.ID, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.open != nil && len(b.open.body)+len(text)+2 > b.o.Bytes {
		b.seal()
	}
	if b.open == nil {
		w := &batch{body: []byte{'['}}
		w.timer = time.AfterFunc(b.o.Wait, func() { b.due(w) })
		b.open = w
		b.pending.Add(1)
	} else {
		b.open.body = append(b.open.body, ',')
	}
	b.open.body = append(b.open.body, text...)
	b.open.events = append(b.open.events, e)
	if len(b.open.events) >= b.o.Events {
		b.seal()
	}
	return nil
}

// due seals a batch whose oldest event has waited long enough.
func (b *Batcher) due(w *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == w {
		b.seal()
	}
}

// seal hands the open batch to a sender, waiting for one. Caller holds mu.
func (b *Batcher) seal() {
	if b.open == nil {
		return
	}
	b.open.timer.Stop()
	b.sealed <- b.open
	b.open = nil
}

// Flush sends what was added and returns when all of it is answered.
func (b *Batcher) Flush() {
	b.mu.Lock()
	b.seal()
	b.mu.Unlock()
	b.pending.Wait()
}

// Close flushes and stops the senders. Add fails from then on.
func (b *Batcher) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.seal()
		close(b.sealed)
	}
	b.mu.Unlock()
	b.senders.Wait()
	b.stop()
}
