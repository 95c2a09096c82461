package edgegrid

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(Limits{})
	first := Sign(known, get, at.Add(30*time.Second), "n")
	if _, err := w.verify(get, Sign(Identity{known.ClientToken, known.AccessToken, "x"}, get, at, "n")); err != wrongSignature {
		t.Fatal(err)
	}
	if _, err := w.verify(get, first); err != nil { // the forged one has not used the nonce up
		t.Fatal(err)
	}
	w.now = at.Add(60 * time.Second) // the last instant at which its timestamp is good
	if _, err := w.verify(get, first); err != nonceUsed {
		t.Errorf("replayed at the end of the window: %v", err)
	}
	if _, err := w.verify(get, Sign(known, get, w.now, "n")); err != nonceUsed {
		t.Errorf("the nonce signed anew: %v", err)
	}
	w.now = w.now.Add(1)
	if _, err := w.verify(get, first); err != BadTimestamp {
		t.Errorf("replayed after the window: %v", err)
	}
	if _, err := w.verify(get, Sign(known, get, w.now, "n")); err != nil {
		t.Errorf("the nonce after the window: %v", err)
	}
}

func TestNonceWindow(t *testing.T) {
	t.Parallel()
	n := newNonces(time.Minute, 3, 2, nil)
	for i, c := range []struct {
		client, nonce string
		after         time.Duration
		want          error
	}{
		{"a", "1", 0, nil},
		{"a", "1", 1, nonceUsed},
		{"a", "2", 1, nil}, // at the client's limit
		{"a", "3", 1, TooManyNonces},
		{"a", "2", 1, nonceUsed},
		{"b", "1", 1, nil}, // at the limit of all
		{"c", "1", 1, TooManyNonces},
		{"c", "1", time.Minute, TooManyNonces},
		{"c", "1", time.Minute + 1, nil},
		{"a", "3", time.Minute + 2, nil},
	} {
		if err := n.use(c.client, c.nonce, at.Add(c.after)); err != c.want {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
	if n.forget(at.Add(time.Hour)); len(n.seen)+len(n.clients)+len(n.queue) != 0 {
		t.Errorf("something is left: %d %d %d", len(n.seen), len(n.clients), len(n.queue))
	}
}

// TestNonceMemory uses many more nonces than are remembered.
func TestNonceMemory(t *testing.T) {
	t.Parallel()
	n := newNonces(time.Minute, 1000, 1000, nil)
	for i := range 100_000 {
		if err := n.use("a", fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute/500)); err != nil {
			t.Fatal(i, err)
		}
		if len(n.seen) > 502 || cap(n.queue) > 4096 {
			t.Fatalf("after %d: %d are remembered in room for %d", i, len(n.seen), cap(n.queue))
		}
	}
}

// TestOneOfManyReplays sends one request from many goroutines at once.
func TestOneOfManyReplays(t *testing.T) {
	t.Parallel()
	lookup := func(context.Context, string) (Credential[int], bool, error) {
		return Credential[int]{AccessToken: known.AccessToken, Secret: known.Secret}, true, nil
	}
	v := NewVerifier(lookup, func() time.Time { return at }, Limits{}, nil)
	header := Sign(known, get, at, "n")
	var wg sync.WaitGroup
	results := make(chan error, 32)
	for range cap(results) {
		wg.Go(func() {
			_, err := v.Verify(context.Background(), []string{header}, get)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	in := 0
	for err := range results {
		if err == nil {
			in++
		} else if err != nonceUsed {
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d got in", in)
	}
}

// TestReplaysAfterARestart replays requests to verifiers that were made after
// the one that let them in, also after a torn write.
func TestReplaysAfterARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nonces")
	now := at
	restart := func() *Verifier[int] {
		t.Helper()
		journal, err := OpenJournal(path, now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = journal.Close() })
		return NewVerifier(func(context.Context, string) (Credential[int], bool, error) {
			return Credential[int]{AccessToken: known.AccessToken, Secret: known.Secret}, true, nil
		}, func() time.Time { return now }, Limits{}, journal)
	}
	verify := func(v *Verifier[int], header string) error {
		_, err := v.Verify(context.Background(), []string{header}, get)
		return err
	}
	early, ahead := Sign(known, get, at, "n"), Sign(known, get, at.Add(30*time.Second), "n2") // by a clock that is ahead
	before := restart()
	for _, header := range []string{early, ahead} {
		if err := verify(before, header); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, append(must(os.ReadFile(path)), "torn"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, wait := range []time.Duration{0, time.Second, 29 * time.Second} {
		now = at.Add(wait)
		after := restart()
		if err := verify(after, early); err != nonceUsed {
			t.Errorf("replayed %s later: %v", wait, err)
		}
		if err := verify(after, Sign(known, get, now, fmt.Sprint("new", i))); err != nil {
			t.Errorf("a new one %s later: %v", wait, err)
		}
	}
	now = at.Add(60 * time.Second)
	if err := verify(restart(), ahead); err != nonceUsed {
		t.Errorf("replayed at the end of the window: %v", err)
	}
	now = at.Add(3 * time.Minute)
	restart()
	if left := must(os.ReadFile(path)); len(left) != 0 {
		t.Errorf("%d bytes are left of what counts no more", len(left))
	}
}
