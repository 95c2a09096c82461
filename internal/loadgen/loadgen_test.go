package loadgen

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 22, 10, 2, 3, 0, time.UTC)

type testEvent struct {
	ID, Source, Type, Subject string
	Time                      time.Time
	Data                      struct {
		Service, Region         string
		Bytes, Requests, Millis int64
	}
	Key string `json:"-"` // it came with
}

// sink is a naive server of the ingest call: it remembers every event.
type sink struct {
	mu       sync.Mutex
	events   map[string]testEvent
	verdicts Verdicts
	refuse   int // answer 429 this many times first
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 {
		s.refuse--
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	text, _ := io.ReadAll(r.Body)
	if text[0] != '[' {
		text = []byte("[" + string(text) + "]")
	}
	var batch []testEvent
	if err := json.Unmarshal(text, &batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var v Verdicts
	for _, e := range batch {
		e.Key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		first, seen := s.events[e.ID]
		switch {
		case !seen:
			s.events[e.ID] = e
			v.Accepted++
		case first == e:
			v.Duplicates++
		default:
			v.Conflicts++
		}
	}
	s.verdicts.add(v)
	fmt.Fprintf(w, `{"accepted":%d,"duplicates":%d,"conflicts":%d,"rejected":0,"errors":[],"sequence":1}`,
		v.Accepted, v.Duplicates, v.Conflicts)
}

func newSink(t *testing.T) (*sink, Target) {
	t.Helper()
	s := &sink{events: map[string]testEvent{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, Target{Address: strings.TrimPrefix(server.URL, "http://"), Key: "k"}
}

// checkTotals recomputes a result's totals from the events the sink holds.
func checkTotals(t *testing.T, s *sink, plan Plan, got Totals) {
	t.Helper()
	firstSample := plan.Start().Truncate(sampleSeconds * time.Second)
	var want Totals
	want.SampleBytes = make([]int64, len(got.SampleBytes))
	for _, e := range s.events {
		if e.Time.Before(plan.Start()) || !e.Time.Before(plan.Base) {
			t.Fatalf("event at %s, want within [%s, %s)", e.Time, plan.Start(), plan.Base)
		}
		want.Events++
		want.Bytes += e.Data.Bytes
		want.SampleBytes[int(e.Time.Sub(firstSample)/(sampleSeconds*time.Second))] += e.Data.Bytes
	}
	if fmt.Sprint(want.Events, want.Bytes, want.SampleBytes) != fmt.Sprint(got.Events, got.Bytes, got.SampleBytes) {
		t.Errorf("totals: got %d events, %d bytes; the server saw %d, %d", got.Events, got.Bytes, want.Events, want.Bytes)
	}
}

func TestSendKnowsWhatItSent(t *testing.T) {
	t.Parallel()
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s, target := newSink(t)
			p.Batch, p.Variants = min(p.Batch, 50), 2
			if p.Duplicates > 0 {
				p.Duplicates = 200
			}
			plan := newPlan(p, 7, testNow, 3)
			result, err := send(t.Context(), options{Target: target, Plan: plan, Events: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if result.Verdicts != s.verdicts || result.Verdicts.Conflicts != 0 {
				t.Errorf("verdicts %+v, the server gave %+v", result.Verdicts, s.verdicts)
			}
			if result.Verdicts.Accepted != result.Totals.Events || result.Verdicts.Duplicates != result.Totals.Duplicates {
				t.Errorf("verdicts %+v, sent %+v", result.Verdicts, result.Totals)
			}
			if p.Duplicates > 0 && result.Totals.Duplicates < 50 {
				t.Errorf("%d duplicates, want about 20 %%", result.Totals.Duplicates)
			}
			checkTotals(t, s, plan, result.Totals)

			again, err := Resend(t.Context(), target, plan, result.Batches, 200)
			if err != nil {
				t.Fatal(err)
			}
			if again.Verdicts.Duplicates < 200 || again.Verdicts.Duplicates != again.Verdicts.Sum() {
				t.Errorf("resent: %+v, want at least 200 duplicates and nothing else", again.Verdicts)
			}
		})
	}
}

func TestSendComesBackWhenOverloaded(t *testing.T) {
	t.Parallel()
	s, target := newSink(t)
	s.refuse = 2
	p, _ := FindProfile("batch-100")
	result, err := send(t.Context(), options{Target: target, Plan: newPlan(p, 1, testNow, 1), Events: 300})
	if err != nil {
		t.Fatal(err)
	}
	if result.Overloaded != 2 || result.Verdicts.Accepted != 300 {
		t.Errorf("%d overloaded, %+v", result.Overloaded, result.Verdicts)
	}
}

func TestSendKeepsToItsRate(t *testing.T) {
	t.Parallel()
	_, target := newSink(t)
	p, _ := FindProfile("batch-1")
	result, err := send(t.Context(), options{Target: target, Plan: newPlan(p, 1, testNow, 2), Events: 20, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	// The last of 10 requests a connection is due 90 ms after the first.
	if result.Elapsed < 90*time.Millisecond {
		t.Errorf("20 events at 200/s took %s", result.Elapsed)
	}
}

func TestSendReportsRefusal(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "who are you", http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	p, _ := FindProfile("batch-100")
	_, err := send(t.Context(), options{Target: Target{Address: strings.TrimPrefix(server.URL, "http://")},
		Plan: newPlan(p, 1, testNow, 2), Events: 300})
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "who are you") {
		t.Errorf("error %v, want the server's own words", err)
	}
}

// TestSendReportsALostServer loses the server for good while the run's time
// has passed: what was sent cannot be accounted for, so it is an error.
func TestSendReportsALostServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := listener.Accept()
		listener.Close()
		if err == nil {
			c.Close()
		}
	}()
	p, _ := FindProfile("batch-1")
	_, err = send(t.Context(), options{Target: Target{Address: listener.Addr().String()}, Plan: newPlan(p, 1, testNow, 1),
		Duration: 500 * time.Millisecond, RetryFor: 600 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("error %v, want that it gave up", err)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for perMille, want := range map[uint64]time.Duration{500: 500 * time.Microsecond, 990: 990 * time.Microsecond, 1000: time.Millisecond} {
		got := h.quantile(perMille)
		if got < want || got > want+want/16 {
			t.Errorf("quantile %d = %s, want %s to 1/16 more", perMille, got, want)
		}
	}
	for v := uint64(1); v < 1<<40; v = v*3 + 1 {
		if b := bucket(v); bucketTop(b) < v || (b > 0 && bucketTop(b-1) >= v) {
			t.Errorf("bucket of %d", v)
		}
	}
}

func TestCeilingParsesEveryProfile(t *testing.T) {
	t.Parallel()
	for _, p := range Profiles() {
		p.Batch = min(p.Batch, 10)
		p.Variants = 2
		c, err := measureCeiling(newPlan(p, 1, testNow, 1), 0)
		if err != nil || c.Parse == 0 || c.Read == 0 {
			t.Errorf("%s: %+v, %v", p.Name, c, err)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	p, _ := FindProfile("batch-1000")
	s := newStream(newPlan(p, 1, testNow, 1), 0, Target{})
	for n := range uint64(b.N) {
		s.fill(n, true)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Batch), "ns/event")
}

// BenchmarkExchange measures one request over loopback against a server that only reads and answers.
func BenchmarkExchange(b *testing.B) {
	for _, name := range []string{"batch-1", "batch-1000"} {
		b.Run(name, func(b *testing.B) {
			p, _ := FindProfile(name)
			plan := newPlan(p, 1, testNow, 1)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer listener.Close()
			go answerAll(listener, p.Batch)
			result, err := send(b.Context(), options{Target: Target{Address: listener.Addr().String()}, Plan: plan,
				Events: uint64(b.N * p.Batch)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(result.Elapsed.Nanoseconds())/float64(result.Verdicts.Sum()), "ns/event")
		})
	}
}

func answerAll(listener net.Listener, batch int) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReaderSize(c, 1<<16)
			body := fmt.Sprintf(`{"accepted":%d,"duplicates":0,"conflicts":0,"rejected":0}`, batch)
			reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			for {
				length := 0
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						break
					}
					_, _ = fmt.Sscanf(string(line), "Content-Length: %d", &length)
				}
				_, _ = r.Discard(length)
				_, _ = c.Write(reply)
			}
		}()
	}
}
