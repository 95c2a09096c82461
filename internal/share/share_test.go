package share

import (
	"context"
	"testing"

	"odometer/internal/fixedtest"
)

// One holder takes what it can; then what is left to others.
func TestShares(t *testing.T) {
	t.Parallel()
	for _, most := range []int64{1, 2, 3, 4, 16, 100} {
		b := NewBudget(most)
		take := func(org, key string) (n int64) {
			for b.Take(Who{org, key}, 0, 1) {
				n++
			}
			return n
		}
		first := take("a", "1")
		second := take("a", "2")
		third := take("b", "1")
		if first == 0 {
			t.Errorf("of %d: nothing for the only one", most)
		}
		if most > 2 && second == 0 {
			t.Errorf("of %d: one key took all %d of its organization", most, first)
		}
		if most > 1 && third == 0 {
			t.Errorf("of %d: one organization took %d", most, first+second)
		}
		if most == 16 && (first != 9 || first+second > 12 || third < 2) {
			t.Errorf("of 16: %d and %d, then %d", first, second, third)
		}
		if got := b.Used(); got != first+second+third {
			t.Errorf("of %d: %d used, %d taken", most, got, first+second+third)
		}
	}
}

// A request that its organization sends alone grows into all that is there; one
// more byte than there is does not fit.
func TestOneRequestTakesAll(t *testing.T) {
	t.Parallel()
	b := NewBudget(100)
	who := Who{"a", "1"}
	if !b.Take(who, 0, 60) || !b.Take(who, 60, 40) {
		t.Fatal("all of it was refused to the only request")
	}
	if b.Take(who, 100, 1) {
		t.Error("more than there is")
	}
	b.Give(who, 100)
	if b.Used() != 0 || len(b.ledger.orgs) != 0 || len(b.ledger.keys) != 0 {
		t.Errorf("after all was given back: %+v", b.ledger)
	}
}

// While one key waits with many, others get the places that become free, and those left to them at once.
func TestPlacesOfOthers(t *testing.T) {
	t.Parallel()
	p := NewPlaces(4)
	flood := Who{"flood", "1"}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan bool)
	const requests = 20
	for range requests {
		go func() { done <- p.Take(ctx, flood) }()
	}
	held := 0
	for p.Waiting()+held < requests {
		select {
		case <-done:
			held++
		default:
		}
	}
	if held == 0 || held > 3 {
		t.Fatalf("one key holds %d of 4 places", held)
	}
	calm := Who{"calm", "1"}
	if !p.Take(ctx, calm) {
		t.Fatal("nothing was left to another organization")
	}
	for range 3 {
		next := make(chan bool)
		go func() { next <- p.Take(ctx, calm) }()
		for p.Taken() < 4 && p.Waiting() <= requests-held {
			select {
			case ok := <-next:
				next = nil
				if !ok {
					t.Fatal("refused")
				}
			default:
				continue
			}
			break
		}
		p.Give(calm)
		if next != nil {
			select {
			case ok := <-next: // it has the place of the one before, not the flood
				if !ok {
					t.Fatal("refused")
				}
			case <-done:
				t.Fatal("the flood took the place of another organization")
			}
		}
	}
	p.Give(calm)
	cancel()
	for range requests - held {
		if <-done {
			t.Fatal("the flood got a place that was left to others")
		}
	}
	for range held {
		p.Give(flood)
	}
	if p.Taken() != 0 || p.Waiting() != 0 {
		t.Errorf("%d places taken, %d wait", p.Taken(), p.Waiting())
	}
}

// No place is lost or given twice, whatever comes and goes.
func TestPlacesAddUp(t *testing.T) {
	t.Parallel()
	p := NewPlaces(3)
	random := fixedtest.Rand(t)
	done := make(chan struct{})
	const workers = 12
	for i := range workers {
		who := Who{string(rune('a' + i%3)), string(rune('0' + i%4))}
		leave := random.IntN(3) == 0
		go func() {
			defer func() { done <- struct{}{} }()
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if leave {
					go cancel()
				}
				if p.Take(ctx, who) {
					if n := p.Taken(); n > 3 {
						t.Errorf("%d of 3 places taken", n)
					}
					p.Give(who)
				}
				cancel()
			}
		}()
	}
	for range workers {
		<-done
	}
	if p.Taken() != 0 || p.Waiting() != 0 {
		t.Errorf("%d places taken, %d wait", p.Taken(), p.Waiting())
	}
}
