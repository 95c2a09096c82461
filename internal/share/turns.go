package share

import (
	"context"
	"sync"

	"odometer/internal/meter"
)

// Turns lets one caller of each organization do something at a time; those of
// other organizations do not wait, and who stops waiting is not served. Its
// zero value is ready, and its methods may be called from many goroutines.
type Turns struct {
	mu sync.Mutex
	of map[string]*turn // of organizations that somebody has or waits for
}

type turn struct {
	free  chan struct{} // holds one token while nobody has the turn
	users int
}

// Take waits for the organization's turn; done gives it back.
func (t *Turns) Take(ctx context.Context, organization string) (done func(), err error) {
	t.mu.Lock()
	one := t.of[organization]
	if one == nil {
		if t.of == nil {
			t.of = map[string]*turn{}
		}
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.of[organization] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case <-one.free:
		return func() {
			one.free <- struct{}{}
			t.leave(organization, one)
		}, nil
	case <-ctx.Done():
		t.leave(organization, one)
		return nil, meter.WrapError(meter.KindUnavailable, ctx.Err(), "other changes of the organization were under way")
	}
}

func (t *Turns) leave(organization string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.of, organization)
	}
}

// Held is how many organizations have somebody who has the turn or waits for it.
func (t *Turns) Held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.of)
}
