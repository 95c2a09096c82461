// Package fixedtest has what tests of every package share. It fixes what would
// differ between two runs of a test, random choices and the time, and has a
// buffer for what a server writes meanwhile.
package fixedtest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// seedVariable names the environment variable that replays a run.
const seedVariable = "ODOMETER_SEED"

// Seed is that of ODOMETER_SEED, or a new one. A failed test shows it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("replay with %s=%d and -run '^%s$'", seedVariable, seed, t.Name())
	return seed
}

// Rand is a source of random choices with a seed by Seed.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return From(Seed(t))
}

// From is the source of random choices that a seed gives.
func From(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// Clock stands still until a test moves it. It may be used by many at a time.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock returns a clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set moves the clock to a time.
func (c *Clock) Set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = to
}

// Advance moves the clock on.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

// Buffer is written by a server while a test reads it.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to what was written.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
