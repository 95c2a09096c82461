package intake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"odometer/internal/intake/intaketest"
)

// ledger counts events as the server does: an identity once, the same content
// again is a duplicate, other content is a conflict.
type ledger struct {
	content map[string]string
}

func newLedger() *ledger { return &ledger{content: map[string]string{}} }

// counts is what became of one file, or of several.
type counts struct {
	Accepted, Duplicates, Conflicts, Rejected int
	Kind                                      Kind
	Waiting                                   bool
}

func (l *ledger) take(event []byte, c *counts) {
	var e struct{ Source, ID string }
	if err := json.Unmarshal(event, &e); err != nil {
		panic(err)
	}
	key := e.Source + " " + e.ID
	switch old, known := l.content[key]; {
	case !known:
		l.content[key] = string(event)
		c.Accepted++
	case old == string(event):
		c.Duplicates++
	default:
		c.Conflicts++
	}
}

// feed is one way of running the command.
type feed struct {
	ledger   *ledger
	store    *Store
	decoder  func() Decoder
	policy   Policy
	final    bool
	stop     int // the process dies after sending that many events; 0 = never
	commitAt int // events between two commits; 0 = at the end
}

func logFeed(t *testing.T) *feed {
	t.Helper()
	return &feed{ledger: newLedger(), store: stateIn(t, t.TempDir()), decoder: func() Decoder { return &CombinedDecoder{} }, policy: Policy{Fork: true}}
}

func stateIn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forget loses the state.
func (f *feed) forget(t *testing.T) *feed {
	f.store = stateIn(t, t.TempDir())
	return f
}

// reopen reads the state from its folder, as another process does.
func (f *feed) reopen(t *testing.T) *feed {
	f.store = stateIn(t, f.store.dir)
	return f
}

// file sends one file.
func (f *feed) file(t *testing.T, path string) (out counts) {
	t.Helper()
	in, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	d := f.decoder()
	first, _, err := First(in, d, f.final)
	if errors.Is(err, io.EOF) {
		out.Waiting = true
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	key := StateKey("server", "", LineageKey(first))
	lineage, err := f.store.Load(key)
	if err != nil {
		t.Log(err)
	}
	plan, err := Resolve(t.Context(), in, lineage, Options{Derived: d.Derived(), Policy: f.policy, Mapping: d.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	out.Kind = plan.Kind
	if plan.Stream == nil {
		if plan.Note == "" {
			t.Error("nothing is sent and nothing is said")
		}
		return out
	}
	if _, err := plan.Announce(in, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Save(key, lineage); err != nil {
		t.Fatal(err)
	}
	r, err := plan.Read(in, d, ReadOptions{Source: SourceOf(first), Final: f.final})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	at := Progress{Pos: plan.Start, Now: time.Unix(1, 0)}
	commit := func() {
		at.Head = r.Head()
		f.commit(t, &plan, in, at, d, key, lineage)
	}
	for n := 1; ; n++ {
		item, err := r.Next(nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Err != nil {
			out.Rejected++
		} else {
			f.ledger.take(item.Event, &out)
		}
		if n == f.stop {
			return out
		}
		if !item.Partial {
			at.Pos = item.End
		}
		if f.commitAt > 0 && n%f.commitAt == 0 {
			commit()
		}
	}
	out.Waiting = r.Waiting != nil
	at.Whole = !out.Waiting
	commit()
	return out
}

func (f *feed) commit(t *testing.T, plan *Plan, in *File, at Progress, d Decoder, key string, lineage *Lineage) {
	t.Helper()
	if at.Pos.Line == 0 {
		return
	}
	if err := plan.Commit(in, at, d.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Save(key, lineage); err != nil {
		t.Fatal(err)
	}
}

// twoLogs writes two logs that have so many first lines in common, and then 100
// and 50 of their own.
func twoLogs(t *testing.T, shared int) (a, b string) {
	t.Helper()
	dir := t.TempDir()
	a, b = filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	intaketest.Write(t, a, intaketest.AccessLines(0, shared)+intaketest.AccessLines(100, 200))
	intaketest.Write(t, b, intaketest.AccessLines(0, shared)+intaketest.AccessLines(200, 250))
	return a, b
}

// readLog returns a feed that has read a new log of so many lines.
func readLog(t *testing.T, lines int) (f *feed, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLines(0, lines))
	f = logFeed(t)
	f.check(t, path, counts{Accepted: lines, Kind: Fresh})
	return f, path
}

// check sends a file and compares.
func (f *feed) check(t *testing.T, path string, want counts) {
	t.Helper()
	if got := f.file(t, path); got != want {
		t.Errorf("%s:\ngot  %+v\nwant %+v", filepath.Base(path), got, want)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// compress replaces a file by its compressed form, as logrotate does.
func compress(t *testing.T, from, to string) {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if strings.HasSuffix(to, ".zst") {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	_, err := io.WriteString(w, read(t, from))
	if err = errors.Join(err, w.Close(), os.WriteFile(to, b.Bytes(), 0o600), os.Remove(from)); err != nil {
		t.Fatal(err)
	}
}

// withAndWithoutState runs a test twice: with the state kept, read back from
// its folder, and with the state lost before each run. kept turns what the
// first run of the two should give into what the second should.
func withAndWithoutState(t *testing.T, test func(t *testing.T, next func() *feed, kept bool)) {
	t.Run("state kept", func(t *testing.T) {
		t.Parallel()
		f := logFeed(t)
		test(t, func() *feed { return f.reopen(t) }, true)
	})
	t.Run("state lost", func(t *testing.T) {
		t.Parallel()
		f := logFeed(t)
		test(t, func() *feed { return f.forget(t) }, false)
	})
}

// again is what sending n known lines once more gives.
func again(kept bool, known, more int) counts {
	if kept {
		return counts{Accepted: more, Kind: Resumed}
	}
	return counts{Accepted: more, Duplicates: known, Kind: Fresh}
}
