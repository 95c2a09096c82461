package loadgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Target is where the load goes. Only plain HTTP is spoken.
type Target struct {
	Address      string // host:port
	Key          string
	Organization string // "" = the key's own

	keys []string // of a plan's organizations, all as long as Key; nil = Key only
}

// head returns a request up to its content headers.
func (t Target) head() string {
	head := t.beforeKey() + t.Key + "\r\n"
	if t.Organization != "" {
		head += "Odometer-Organization: " + t.Organization + "\r\n"
	}
	return head
}

func (t Target) beforeKey() string {
	return "POST /api/v1/events HTTP/1.1\r\nHost: " + t.Address + "\r\nAuthorization: Bearer "
}

// options bound a run. It ends at Events or after Duration, whichever is set.
type options struct {
	Target   Target
	Plan     Plan
	Events   uint64        // rounded up to whole requests
	Duration time.Duration // from the first request
	Rate     uint64        // events per second over all connections; 0 = as fast as possible
	RetryFor time.Duration // a server that restarts or is overloaded is waited for this long; 0 = defaultRetryFor

	// OnProgress, if set, is called once a second with the events answered so far.
	OnProgress func(events uint64, elapsed time.Duration)
}

// Result is what a run sent and was answered.
type Result struct {
	Elapsed    time.Duration
	Requests   uint64
	Verdicts   Verdicts
	Overloaded uint64 // answers that asked to come back later; the request was sent again
	Uncertain  uint64 // requests sent again after a lost connection: their events may answer duplicate
	P50        time.Duration
	P99        time.Duration
	P999       time.Duration
	Max        time.Duration
	Pace       pace
	Totals     Totals
	Batches    []uint64 // requests sent per connection, for Resend
}

// send runs the load until it is done or ctx ends.
func send(ctx context.Context, o options) (*Result, error) {
	workers := make([]*worker, o.Plan.Connections)
	batch := uint64(o.Plan.Profile.Batch)
	var quota uint64
	if o.Events > 0 {
		quota = (o.Events + batch - 1) / batch
	}
	for i := range workers {
		w := &worker{stream: newStream(o.Plan, i, o.Target), target: o.Target, count: true,
			retryFor: cmp.Or(o.RetryFor, defaultRetryFor)}
		if quota > 0 {
			w.quota = quota / uint64(len(workers))
			if uint64(i) < quota%uint64(len(workers)) {
				w.quota++
			}
			if w.quota == 0 {
				w.quota = none
			}
		}
		if o.Rate > 0 {
			w.interval = time.Duration(batch * uint64(len(workers)) * uint64(time.Second) / o.Rate)
			w.offset = w.interval * time.Duration(i) / time.Duration(len(workers))
		}
		workers[i] = w
	}
	return runWorkers(ctx, workers, o.Duration, o.OnProgress)
}

// Resend sends events again that an earlier run of the same plan sent:
// batches says how many requests each of its connections had sent. Whole
// requests, spread evenly over that run, are sent until at least events were.
func Resend(ctx context.Context, target Target, plan Plan, batches []uint64, events uint64) (*Result, error) {
	var sent uint64
	for _, n := range batches {
		sent += n
	}
	want := (events + uint64(plan.Profile.Batch) - 1) / uint64(plan.Profile.Batch)
	if want > sent {
		return nil, fmt.Errorf("the run sent %d requests, %d cannot be sent again", sent, want)
	}
	workers := make([]*worker, len(batches))
	for i := range workers {
		workers[i] = &worker{stream: newStream(plan, i, target), target: target, quota: none, retryFor: defaultRetryFor}
	}
	for k := range want {
		// The k-th of want is request number k*sent/want of all, connection by connection.
		at := k * sent / want
		for i, n := range batches {
			if at < n {
				workers[i].again = append(workers[i].again, at)
				workers[i].quota = uint64(len(workers[i].again))
				break
			}
			at -= n
		}
	}
	return runWorkers(ctx, workers, 0, nil)
}

const none = ^uint64(0) // a quota of nothing; 0 is no quota

func runWorkers(ctx context.Context, workers []*worker, duration time.Duration, onProgress func(uint64, time.Duration)) (*Result, error) {
	if duration > 0 {
		timed, cancel := context.WithTimeout(ctx, duration)
		defer cancel()
		ctx = timed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first firstError // a worker that fails stops the others
	var answered atomic.Uint64
	var group sync.WaitGroup
	start := time.Now()
	for _, w := range workers {
		group.Go(func() {
			if err := w.run(ctx, start, &answered); err != nil {
				first.set(err)
				cancel()
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	watch(done, start, &answered, onProgress)
	result := &Result{Elapsed: time.Since(start)}
	if err := cmp.Or(first.get(), interrupted(ctx)); err != nil {
		return nil, err
	}
	var latencies histogram
	for _, w := range workers {
		latencies.merge(&w.latencies)
		result.Pace.merge(&w.pace)
		result.Requests += w.requests
		result.Verdicts.add(w.verdicts)
		result.Overloaded += w.overloaded
		result.Uncertain += w.uncertain
		result.Totals.add(&w.stream.totals)
		result.Batches = append(result.Batches, w.next)
	}
	result.P50, result.P99 = latencies.quantile(500), latencies.quantile(990)
	result.P999, result.Max = latencies.quantile(999), latencies.max
	return result, nil
}

// firstError keeps the first of several errors.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = cmp.Or(f.err, err)
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// interrupted is why ctx ended, unless it was the end of the run's time.
func interrupted(ctx context.Context) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// watch reports progress every second until done.
func watch(done <-chan struct{}, start time.Time, answered *atomic.Uint64, onProgress func(uint64, time.Duration)) {
	if onProgress == nil {
		<-done
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			onProgress(answered.Load(), time.Since(start))
		}
	}
}

// worker sends the requests of one connection, one at a time.
type worker struct {
	stream   *stream
	target   Target
	count    bool          // into the stream's totals
	again    []uint64      // the requests to send; nil = 0, 1, 2, ...
	quota    uint64        // requests to send; 0 = until ctx ends
	interval time.Duration // between intended sends; 0 = at once
	offset   time.Duration
	retryFor time.Duration

	conn       conn
	next       uint64
	requests   uint64
	verdicts   Verdicts
	overloaded uint64
	uncertain  uint64
	latencies  histogram
	pace       pace
}

func (w *worker) run(ctx context.Context, start time.Time, answered *atomic.Uint64) error {
	if w.quota == none {
		return nil
	}
	if err := w.dial(context.WithoutCancel(ctx)); err != nil { // the run's time may be short
		return err
	}
	defer func() { w.conn.net.Close() }()
	intended := start.Add(w.offset)
	for n := uint64(0); (w.quota == 0 || n < w.quota) && ctx.Err() == nil; n++ {
		number := n
		if w.again != nil {
			number = w.again[n]
		}
		sent := time.Now()
		if w.interval > 0 {
			// A request that had to wait for the one before it is timed from when it was due.
			if sent.After(intended) {
				sent = intended
			} else if sleepUntil(ctx, intended) {
				sent = time.Now()
			} else {
				return nil
			}
			intended = intended.Add(w.interval)
		}
		request := w.stream.fill(number, w.count)
		verdicts, err := w.deliver(ctx, request.raw)
		if err != nil {
			return err
		}
		acknowledged := time.Now()
		w.latencies.add(acknowledged.Sub(sent))
		w.pace.add(acknowledged.Sub(start), verdicts.Sum())
		w.next++
		w.requests++
		w.verdicts.add(verdicts)
		answered.Add(verdicts.Sum())
	}
	return nil
}

// defaultRetryFor is how long one request is sent again and again.
const defaultRetryFor = 30 * time.Second

const retryPause = 100 * time.Millisecond // between two sends of one request

// deliver sends one request until the server has judged it. A request in
// flight is finished even if ctx ends: what was sent must be counted.
func (w *worker) deliver(ctx context.Context, raw []byte) (Verdicts, error) {
	var deadline time.Time
	for {
		a, err := w.conn.exchange(raw)
		if err == nil && (a.status == http.StatusOK || a.refused()) {
			return parseVerdicts(a.body)
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(w.retryFor)
		}
		if time.Now().After(deadline) {
			return Verdicts{}, fmt.Errorf("gave up after %s: %w", w.retryFor, orStatus(err, a))
		}
		switch {
		case err != nil:
			w.uncertain++
			w.conn.net.Close()
			time.Sleep(retryPause)
			if err := w.dial(context.WithoutCancel(ctx)); err != nil {
				w.conn.net = brokenConn{}
			}
		case a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable:
			w.overloaded++
			time.Sleep(min(max(a.retryAfter, retryPause), time.Second))
		default:
			return Verdicts{}, orStatus(nil, a)
		}
	}
}

func orStatus(err error, a answer) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("the server answered %d: %.300s", a.status, a.body)
}

func (w *worker) dial(ctx context.Context) error {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	c, err := dialer.DialContext(ctx, "tcp", w.target.Address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", w.target.Address, err)
	}
	w.conn.net = c
	if w.conn.buf == nil {
		w.conn.buf = make([]byte, 4096)
	}
	return nil
}

// brokenConn stands for a connection that could not be made again yet.
type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { return 0, net.ErrClosed }
func (brokenConn) Close() error              { return nil }

func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
