package native

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

// Each key has its requests of a minute: at the limit it is answered, one past
// it it is told when to come back, and other keys and organizations are served.
func TestRequestsOfAKey(t *testing.T) {
	t.Parallel()
	const most = 3
	var ahead atomic.Int64                                                                                                                                                       // of the start
	w := newWorldWith(t, httpserver.Options{}, ledger.Limits{}, Options{RequestsPerMinute: most + 2, Clock: func() time.Time { return start.Add(time.Duration(ahead.Load())) }}) // the admin makes what the test needs
	w.want(w.call("POST", "/api/v1/organizations", `{"id":"other","name":"Other"}`), http.StatusCreated)
	flooding, calm := w.key("read", ""), w.key("read", "")
	theirs := w.key("read", "", "Odometer-Organization", "other")
	rest := start.Truncate(time.Minute).Add(time.Minute).Sub(start)
	seconds := fmt.Sprint(int64((rest + time.Second - 1) / time.Second))
	headers := func(a answer, remaining int) {
		t.Helper()
		for name, want := range map[string]string{"RateLimit-Limit": fmt.Sprint(most + 2), "RateLimit-Remaining": fmt.Sprint(remaining), "RateLimit-Reset": seconds} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	for i := range most + 2 {
		headers(w.want(w.call("GET", "/api/v1/meters", "", as(flooding)...), http.StatusOK), most+1-i)
	}
	for range 2 {
		a := w.want(w.call("GET", "/api/v1/meters", "", as(flooding)...), http.StatusTooManyRequests, "its 5 requests of this minute")
		headers(a, 0)
		if got := a.Header.Get("Retry-After"); got != seconds {
			t.Errorf("Retry-After: %q, want %q", got, seconds)
		}
	}
	headers(w.want(w.call("GET", "/api/v1/meters", "", as(calm)...), http.StatusOK), most+1)
	headers(w.want(w.call("GET", "/api/v1/meters", "", as(theirs)...), http.StatusOK), most+1)
	ahead.Store(int64(rest))
	w.want(w.call("GET", "/api/v1/meters", "", as(flooding)...), http.StatusOK)
}

// Without a limit nothing is said of one.
func TestNoLimitOfRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(w.call("GET", "/api/v1/meters", ""), http.StatusOK)
	if got := a.Header.Get("RateLimit-Limit"); got != "" {
		t.Errorf("RateLimit-Limit: %q", got)
	}
}
