package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// unmetered are n events whose value no number meter can take.
func unmetered(n int, salt string) []testEvent {
	events := sampleEvents(n, salt)
	for i := range events {
		events[i].data["bytes"] = "many"
	}
	return events
}

// Warnings are bounded for each answer and for each meter in it; the rest is counted.
func TestWarningsPerAnswer(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{Limits: Limits{WarningsPerAnswer: 50}})
	sum := func(key string) meter.Meter {
		return meter.Meter{Key: key, EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes"}
	}
	createMeters(t, l, "default", []meter.Meter{sum("a"), sum("b"), sum("c"), {Key: "n", EventType: "edge.request", Aggregation: meter.AggCount}})
	count := func(r meter.Result) string {
		by := map[string]int{}
		for _, w := range r.Warnings {
			by[w.Meter]++
			if w.ID == "" || w.Source == "" || w.Reason != `attribute bytes is the text "many", not a number` {
				t.Errorf("%+v", w)
			}
		}
		return fmt.Sprint(by, r.WarningsLeftOut, r.Accepted)
	}
	for n, want := range map[int]string{
		1:  "map[a:1 b:1 c:1] 0 1",
		16: "map[a:16 b:16 c:16] 0 16",
		20: "map[a:20 b:20 c:10] 10 20", // at the limit of a meter, past that of the answer
		21: "map[a:20 b:20 c:10] 13 21",
	} {
		if got := count(appendAll(t, l, "default", unmetered(n, fmt.Sprint(n)))); got != want {
			t.Errorf("%d events: %s, want %s", n, got, want)
		}
	}
	if got := count(appendAll(t, l, "default", unmetered(16, "16"))); got != "map[] 0 0" {
		t.Errorf("resent: %s", got)
	}
	if m, _ := l.Meter("default", "a"); m.Skipped != 1+16+20+21 {
		t.Errorf("%d skipped", m.Skipped)
	}
}

// Requests that share a block are warned of their own events only.
func TestWarningsOfSharedBlocks(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{})
	createMeters(t, l, "default", []meter.Meter{{Key: "a", EventType: "edge.request", Aggregation: meter.AggSum, Value: "bytes"}})
	const requests = 40
	results := make(chan error, requests)
	for i := range requests {
		b := stage(t, l, "default", append(sampleEvents(1, fmt.Sprint("sound", i)), unmetered(1+i%3, fmt.Sprint("r", i))...))
		go func() {
			r, err := l.Append(context.Background(), b)
			for _, w := range r.Warnings {
				if want := fmt.Sprintf("r%d-%d", i, w.Index-1); w.ID != want {
					err = fmt.Errorf("request %d is warned of %+v", i, w)
				}
			}
			if err == nil && len(r.Warnings) != 1+i%3 {
				err = fmt.Errorf("request %d: %+v", i, r)
			}
			results <- err
		}()
	}
	for range requests {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	verifyClean(t, l)
}

// Events without a time have the acceptance time of the block that they share,
// and so has its header.
func TestUntimedEventsOfSharedBlocks(t *testing.T) {
	t.Parallel()
	clock := fixedtest.NewClock(testStart)
	l := openTest(t, Options{Clock: clock.Now})
	createMeters(t, l, "default", []meter.Meter{{Key: "n", EventType: "edge.request", Aggregation: meter.AggCount}})
	send := func(id string) meter.Result {
		b := l.Builder("default")
		b.Begin()
		if err := b.Commit(&block.Envelope{Source: []byte("s"), ID: []byte(id), Type: []byte("edge.request"), Untimed: true}); err != nil {
			t.Fatal(err)
		}
		r, err := l.Append(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	done := make(chan meter.Result)
	for i := range 30 {
		go func() { done <- send(fmt.Sprint(i)) }()
	}
	for range 30 {
		if r := <-done; r.Accepted != 1 || r.TimeAssigned != 1 {
			t.Errorf("%+v", r)
		}
	}
	clock.Advance(time.Hour)
	if r := send("0"); r.Duplicates != 1 || r.TimeAssigned != 0 {
		t.Errorf("%+v", r)
	}
	for seq := uint64(2); seq <= l.Stats().Last; seq++ {
		h, err := l.header(seq)
		if err != nil {
			t.Fatal(err)
		}
		if at := h.Accepted.UnixNano(); h.MinTime != at || h.MaxTime != at {
			t.Errorf("block %d, accepted at %d, has times from %d to %d", seq, at, h.MinTime, h.MaxTime)
		}
	}
	if got, _ := usageTotal(t, l, "default", "n", testStart, testStart.Add(time.Minute)); got != "30" {
		t.Errorf("%s counted", got)
	}
	verifyClean(t, l)
}

// A directory of format 1 is read as it was meant, and is one of format 2 from then on.
func TestFormat1IsRaised(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("block/testdata/body-v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	body, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	l, err := Open(context.Background(), Options{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	key := l.key
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := block.Decode(body, key, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := block.Header{Sequence: 1, Kind: block.KindEvents, Org: rows.Org, Accepted: testStart}
	describe(&h, rows, body)
	editLog(t, fs, func(db *pebble.DB) error {
		for _, kv := range [][2][]byte{{logKey(1, logHeader), h.Append(nil)}, {logKey(1, logBody), body}, {[]byte("m" + metaFormat), {1}}} {
			if err := db.Set(kv[0], kv[1], pebble.Sync); err != nil {
				return err
			}
		}
		return nil
	})
	l = openTest(t, Options{Dir: "data", FS: fs})
	if v, err := l.log.Meta(metaFormat); err != nil || len(v) != 1 || v[0] != storedFormat {
		t.Errorf("format %v, %v", v, err)
	}
	createMeters(t, l, rows.Org, []meter.Meter{{Key: "n", EventType: "type", Aggregation: meter.AggCount}})
	waitBackfilled(t, l)
	if got, _ := usageTotal(t, l, rows.Org, "n", time.Unix(0, h.MinTime), time.Unix(0, h.MaxTime+1)); got != fmt.Sprint(rows.N) {
		t.Errorf("%s counted, want %d", got, rows.N)
	}
	e := rows.Event(3)
	if r, err := l.Lookup(context.Background(), rows.Org, e.Source, e.ID); err != nil || !r.Event.Time.Equal(e.Time) || r.Event.TimeAssigned || r.Event.Extensions != nil {
		t.Errorf("%+v, %v", r.Event, err)
	}
	verifyClean(t, l)
}
