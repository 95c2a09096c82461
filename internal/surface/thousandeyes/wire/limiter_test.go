package wire

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

func TestLimiterMinute(t *testing.T) {
	t.Parallel()
	l := NewLimiter(RequestsPerMinute, MaxLimited)
	start := time.Unix(1000, 1) // the minute ends inside a second, which counts whole
	for i := range RequestsPerMinute {
		a := l.Take("c", start.Add(time.Duration(i)*time.Second/5))
		if !a.OK || a.Limit != 240 || a.Remaining != 239-i || a.Reset.Unix() != 1061 {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	for _, at := range []time.Time{start.Add(48 * time.Second), time.Unix(1061, -1), start.Add(-time.Second)} {
		if a := l.Take("c", at); a.OK || a.Remaining != 0 || a.Reset.Unix() != 1061 || !a.Reset.After(at) {
			t.Errorf("%v, past the limit: %+v", at, a)
		}
	}
	if a := l.Take("d", start.Add(time.Second)); !a.OK || a.Remaining != 239 {
		t.Errorf("another customer: %+v", a)
	}
	if a := l.Take("c", time.Unix(1061, 0)); !a.OK || a.Remaining != 239 || a.Reset.Unix() != 1121 {
		t.Errorf("the next minute: %+v", a)
	}
	if a := l.Take("c", time.Unix(0, 0)); !a.OK || a.Remaining != 239 || a.Reset.Unix() != 60 {
		t.Errorf("the clock was set back: %+v", a)
	}
}

func TestLimiterHeaders(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	NewLimiter(240, 10).Take("c", time.Unix(1000, 0)).SetHeaders(h)
	want := "map[X-Organization-Rate-Limit-Limit:[240] X-Organization-Rate-Limit-Remaining:[239] X-Organization-Rate-Limit-Reset:[1060]]"
	if got := fmt.Sprint(h); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	off := NewLimiter(0, 10)
	h = http.Header{}
	for range 1000 {
		a := off.Take("c", time.Unix(1000, 0))
		if a.SetHeaders(h); !a.OK || len(h) != 0 {
			t.Fatalf("%+v %v", a, h)
		}
	}
}

func TestLimiterMemory(t *testing.T) {
	t.Parallel()
	const most = 100
	l := NewLimiter(1, most)
	at := time.Unix(1000, 0)
	for i := range most {
		l.Take(fmt.Sprint(i), at)
	}
	if a := l.Take("0", at); a.OK {
		t.Errorf("at the limit of customers the first was forgotten: %+v", a)
	}
	l.Take("one more", at)
	if a := l.Take("1", at); a.OK {
		t.Errorf("a customer that is not the oldest was forgotten: %+v", a)
	}
	if a := l.Take("0", at); !a.OK {
		t.Errorf("the oldest was kept: %+v", a)
	}
	for i := range 50 * most {
		at = at.Add(time.Duration(i%7) * time.Second)
		l.Take(fmt.Sprint("x", i%(3*most)), at)
		if len(l.minutes) > most || len(l.started) > 4*most {
			t.Fatalf("%d minutes, a queue of %d", len(l.minutes), len(l.started))
		}
	}
	l.Take("last", at.Add(time.Hour))
	if len(l.minutes) != 1 {
		t.Errorf("%d minutes that are over were kept", len(l.minutes)-1)
	}
}

func TestLimiterAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLimiter(100, 10)
	var ok, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 50 {
				a := l.Take("c", time.Unix(1000, int64(i)))
				mu.Lock()
				if a.OK {
					ok++
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	if all.Wait(); ok != 100 || refused != 300 {
		t.Errorf("%d allowed, %d refused", ok, refused)
	}
}
