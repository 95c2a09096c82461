package thousandeyes

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/compat/harness"
)

const reset = "X-Organization-Rate-Limit-Reset"

// seen is one answer that went past: its status, when, and what it said of the limit.
type seen struct {
	status int
	at     time.Time
	header http.Header
}

// watch puts a proxy before a server that notes what is answered, and may change it.
func watch(t *testing.T, s *server, change func(http.Header)) (front string, answers func() []seen) {
	t.Helper()
	target, err := url.Parse(s.URL)
	harness.Check(t, err)
	var mu sync.Mutex
	var list []seen
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, seen{r.StatusCode, time.Now(), r.Header.Clone()})
		change(r.Header)
		return nil
	}
	listener := httptest.NewServer(proxy)
	t.Cleanup(listener.Close)
	return listener.URL, func() []seen {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

// TestRateLimit has one request a minute. It takes that minute: no more clients
// wait than there are processors on a small machine, or it would take two.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, "1")
	for customer, release := range map[string]string{"shop": "go", "hundred": "newest"} {
		t.Run("patient "+release, func(t *testing.T) {
			t.Parallel()
			if v, ok := install(t, release); ok {
				patient(t, s, v, s.token(t, map[string]any{"customer": customer}))
			}
		})
	}
	t.Run("hasty", func(t *testing.T) {
		t.Parallel()
		if v, ok := install(t, "go"); ok {
			hasty(t, s, v, s.token(t, map[string]any{"customer": "hundredone"}))
		}
	})
}

// patient makes two calls. On 429 the clients wait until the minute that Reset
// names is over, and are answered then.
func patient(t *testing.T, s *server, v vendor, token string) {
	t.Helper()
	past := *s
	var answers func() []seen
	past.host, answers = watch(t, s, func(http.Header) {})
	for _, r := range v.calls(t, &past, call{Operation: "get_usage", Token: token}, call{Operation: "get_usage", Token: token}) {
		if r.Error != "" {
			t.Errorf("%+v", r)
		}
	}
	list := answers()
	if len(list) != 3 || list[2].status != http.StatusOK {
		t.Fatalf("%+v, want 200, 429, 200", list)
	}
	limited(t, list[1:2])
	if over := resetOf(t, list[1]); list[2].at.Before(over) {
		t.Errorf("answered at %s, before %s", list[2].at, over)
	}
}

// hasty is told by a proxy that the minute is over when it is not: Go's client
// tries five times in all and then hands on neither status nor body.
func hasty(t *testing.T, s *server, v vendor, token string) {
	t.Helper()
	past := *s
	var answers func() []seen
	past.host, answers = watch(t, s, func(h http.Header) { h.Set(reset, "1") })
	results := v.calls(t, &past, call{Operation: "get_usage", Token: token}, call{Operation: testUnits, Token: token})
	if results[0].Error != "" || !strings.Contains(results[1].Error, "giving up after 5 attempt(s)") || results[1].Status != 0 || results[1].Body != "" {
		t.Errorf("%+v", results)
	}
	if list := answers(); len(list) != 6 {
		t.Errorf("%d requests, want one and five", len(list))
	}
	limited(t, answers()[1:])
}

// limited checks answers past the limit.
func limited(t *testing.T, answers []seen) {
	t.Helper()
	for _, a := range answers {
		h := a.header
		if a.status != http.StatusTooManyRequests || h.Get("X-Organization-Rate-Limit-Limit") != "1" || h.Get("X-Organization-Rate-Limit-Remaining") != "0" ||
			h.Get("Retry-After") != "" || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%+v", a)
		}
		if left := resetOf(t, a).Sub(a.at); left <= 0 || left > 61*time.Second {
			t.Errorf("the minute is over in %s", left)
		}
	}
}

func resetOf(t *testing.T, a seen) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(a.header.Get(reset), 10, 64)
	harness.Check(t, err)
	return time.Unix(seconds, 0)
}
