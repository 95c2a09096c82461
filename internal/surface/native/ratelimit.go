package native

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"odometer/internal/meter"
)

// rateLimit counts the requests of each key in a minute of the clock. It knows
// the keys of this minute only, all of which exist.
type rateLimit struct {
	most int // 0 = no limit
	now  func() time.Time

	mu     sync.Mutex
	minute time.Time
	used   map[string]int
}

// take counts one request of a key, says in the headers what is left, and
// refuses one past the limit.
func (l *rateLimit) take(h http.Header, key string) error {
	if l.most <= 0 {
		return nil
	}
	now := l.now()
	minute := now.Truncate(time.Minute)
	l.mu.Lock()
	if !minute.Equal(l.minute) {
		l.minute, l.used = minute, map[string]int{}
	}
	used := l.used[key]
	if used < l.most {
		l.used[key] = used + 1
	}
	l.mu.Unlock()
	left := minute.Add(time.Minute).Sub(now)
	h.Set("RateLimit-Limit", strconv.Itoa(l.most))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(0, l.most-used-1)))
	h.Set("RateLimit-Reset", strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10))
	if used >= l.most {
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: left,
			Message: "this key has sent its " + strconv.Itoa(l.most) + " requests of this minute"}
	}
	return nil
}
