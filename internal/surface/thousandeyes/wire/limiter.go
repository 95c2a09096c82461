package wire

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The documented rate limit, and how many customers' counts are kept.
const (
	RequestsPerMinute = 240
	MaxLimited        = 100_000
)

// Limiter counts the requests of each customer. A minute starts at the first
// request after the one before has ended. Its methods may be called from many
// goroutines.
type Limiter struct {
	limit int
	max   int

	mu      sync.Mutex
	minutes map[string]*minute
	// In the order in which they started. What was replaced stays until its
	// turn comes, so a customer is here at most twice.
	started []*minute
	head    int // of started
}

// minute is one minute of one customer.
type minute struct {
	customer string
	start    time.Time
	used     int
}

// NewLimiter allows each customer limit requests a minute; 0 is no limit. It
// keeps the counts of at most max customers: past that the oldest is forgotten,
// which forgives that customer the rest of a minute.
func NewLimiter(limit, max int) *Limiter {
	return &Limiter{limit: limit, max: max, minutes: map[string]*minute{}}
}

// Allowance is what a customer has left.
type Allowance struct {
	OK        bool // this request is within the limit
	Limit     int  // 0: there is none
	Remaining int
	Reset     time.Time // end of the minute, in whole seconds, after now
}

// Take counts one request of a customer at the time now.
func (l *Limiter) Take(customer string, now time.Time) Allowance {
	if l.limit <= 0 {
		return Allowance{OK: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.minutes[customer]
	if m == nil || m.over(now) {
		m = &minute{customer: customer, start: now}
		l.minutes[customer] = m
		l.started = append(l.started, m)
		l.forget(now)
	}
	a := Allowance{OK: m.used < l.limit, Limit: l.limit, Reset: m.reset()}
	if a.OK {
		m.used++
	}
	a.Remaining = l.limit - m.used
	return a
}

// over says whether a new minute may start: also where the clock was set far
// back. Requests that overlap come a little out of order.
func (m *minute) over(now time.Time) bool {
	return now.Before(m.start.Add(-time.Minute)) || !now.Before(m.reset())
}

// reset is the first whole second at which the minute is over.
func (m *minute) reset() time.Time {
	end := m.start.Add(time.Minute)
	if whole := end.Truncate(time.Second); whole.Before(end) {
		return whole.Add(time.Second)
	}
	return end
}

// forget drops minutes that are over, and the oldest where there are too many.
func (l *Limiter) forget(now time.Time) {
	for l.head < len(l.started)-1 {
		m := l.started[l.head]
		if current := l.minutes[m.customer] == m; current {
			if !m.over(now) && len(l.minutes) <= l.max {
				break
			}
			delete(l.minutes, m.customer)
		}
		l.started[l.head] = nil
		l.head++
	}
	if l.head > len(l.started)/2 {
		l.started = append([]*minute(nil), l.started[l.head:]...)
		l.head = 0
	}
}

// The headers of an Allowance.
const (
	headerLimit     = "X-Organization-Rate-Limit-Limit"
	headerRemaining = "X-Organization-Rate-Limit-Remaining"
	headerReset     = "X-Organization-Rate-Limit-Reset" // seconds since 1970
)

// SetHeaders writes the allowance for the client.
func (a Allowance) SetHeaders(h http.Header) {
	if a.Limit == 0 {
		return
	}
	h.Set(headerLimit, strconv.Itoa(a.Limit))
	h.Set(headerRemaining, strconv.Itoa(a.Remaining))
	h.Set(headerReset, strconv.FormatInt(a.Reset.Unix(), 10))
}

// RemoveHeaders takes the allowance out of a failure's answer: Go's client
// would wait until Reset before it tries again.
func RemoveHeaders(h http.Header) {
	for _, name := range []string{headerLimit, headerRemaining, headerReset} {
		h.Del(name)
	}
}
