package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/verify"
	"odometer/internal/meter"
)

// spoil changes bytes of a file and says which: a bit, some bytes, or a sector that is gone.
func spoil(t *testing.T, fs *vfs.MemFS, r *rand.Rand, name string) string {
	t.Helper()
	b, err := fs.UnsafeGetFileDataBuffer(name)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(b)
	at, what := r.IntN(len(b)), "a bit"
	switch r.IntN(3) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		what = "some bytes"
		for i := range b[at:min(at+1+r.IntN(32), len(b))] {
			b[at+i] = byte(r.Uint32())
		}
	default:
		at, what = at/512*512, "a sector"
		clear(b[at:min(at+512, len(b))])
	}
	if slices.Equal(before, b) {
		b[at] ^= 0xff
	}
	return fmt.Sprintf("%s of %s at byte %d of %d", what, name, at, len(b))
}

// liveTables are the files of the state's tables, without those that were merged and wait to be removed.
func liveTables(t *testing.T, l *Ledger) (names []string) {
	t.Helper()
	levels, err := l.state.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range levels {
		for _, table := range level {
			names = append(names, fmt.Sprintf("data/%s/%06d.sst", stateFolder, table.BackingSSTNum))
		}
	}
	return names
}

// told are the ways in which damage is told; "" as long as nobody has.
type told string

// note takes an error: nil, of damage, or one that fails the test.
func (n *told) note(t *testing.T, where, doing string, err error) (ok bool) {
	t.Helper()
	if err != nil && meter.KindOf(err) != meter.KindCorrupt {
		t.Fatalf("%s: %s: %v", where, doing, err)
	}
	if err != nil {
		*n = told(doing + ": " + err.Error())
	}
	return err == nil
}

// TestFlippedBytesInACheckpointsTables damages the tables that checkpoints of
// nothing but new groups have written. It is told by the start, an answer, the
// fold, a checkpoint or by verify, unless nothing reads what is damaged. It is
// never counted over: also what comes later gives the right figures or an error.
func TestFlippedBytesInACheckpointsTables(t *testing.T) {
	t.Parallel()
	h := &throng{requests: 13, rows: 40, every: 3, step: 23 * time.Minute, tableBytes: 16 << 10, limits: Limits{TableBytes: 1, MergeRows: 10, DirtyPerFlush: 4, CompactRows: -1}}
	n := 16
	switch {
	case long():
		n = 1500
	case testing.Short():
		n = 6
	}
	s, l := h.open(t)
	if err := h.run(t.Context(), t, s, l); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, l)
	tables := liveTables(t, l)
	noticed := 0
	for range n {
		fs := s.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: h.r})
		where := spoil(t, fs, h.r, pick(h.r, tables...))
		if said := h.honest(t, fs, where); said != "" {
			noticed++
		}
	}
	t.Logf("%d of %d were noticed", noticed, n)
	if noticed < n*3/4 {
		t.Errorf("only %d of %d were noticed", noticed, n)
	}
}

// honest opens what damage has left. Nothing wrong is said, before and after
// more usage is counted, and after the engine has merged its tables.
func (h *throng) honest(t *testing.T, fs vfs.FS, where string) (said told) {
	t.Helper()
	ctx := context.Background()
	fatal := make(chan string, 16)
	l, err := Open(ctx, Options{Dir: "data", FS: fs, Limits: h.limits, Fatal: func(m string) { fatal <- m }})
	if err != nil {
		said.note(t, where, "open", corruptIfDamaged(err))
		return said
	}
	defer func() { _ = l.Close() }()
	want := h.states[l.Stats().Last]
	if want != h.now {
		t.Fatalf("%s: opened silently with %+v of %+v", where, want, h.now)
	}
	h.figures(t, l, where, &said, want)
	r, err := verify.Run(ctx, l, verify.Options{Folder: t.TempDir()})
	if err == nil {
		err = r.Err()
	}
	said.note(t, where, "verify", err)
	if said == "" {
		if err := readAll(l); err != nil {
			t.Fatalf("%s: nobody told, but %v", where, err)
		}
	}
	for range 2 { // a ledger that fails answers whoever waits
		var events []testEvent
		for i := range h.rows + 20 {
			events = append(events, h.event(want.sent-20+i))
		}
		res, err := l.Append(ctx, stage(t, l, "default", events))
		if err == nil && (res.Accepted != h.rows || res.Duplicates != 20) {
			t.Fatalf("%s: more usage gave %+v", where, res)
		}
		if err == nil {
			want.sent += h.rows
			err = l.Checkpoint()
		}
		if len(fatal) > 0 {
			return told("fatal: " + <-fatal)
		}
		if !said.note(t, where, "append", err) {
			return said
		}
		h.figures(t, l, where, &said, want)
		if err := l.state.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
			said = told("merge: " + err.Error())
		}
		h.figures(t, l, where, &said, want)
	}
	return said
}

// figures compares every total, and that of one customer.
func (h *throng) figures(t *testing.T, l *Ledger, where string, said *told, want throngState) {
	t.Helper()
	ask := func(key string, filter map[string][]string, right string) {
		t.Helper()
		q := meter.UsageQuery{Organization: "default", Meter: key, From: testStart, To: h.end()}
		for name, values := range filter {
			q.Filters = append(q.Filters, meter.AttrFilter{Attribute: name, Values: values})
		}
		u, err := l.Usage(context.Background(), q)
		if said.note(t, where, key, err) && u.Total.String() != right {
			t.Fatalf("%s: %s is %s from %s, want %s", where, key, u.Total, u.Source, right)
		}
	}
	for key, right := range want.totals() {
		ask(key, nil, right)
	}
	at := want.voided + 3 + h.r.IntN(want.sent-want.voided-6)
	ask("bytes", map[string][]string{"customer": {fmt.Sprint("cust-", at/3)}}, fmt.Sprint(at/3*9+3))
	ask("again", map[string][]string{"service": {fmt.Sprint("svc-", at)}}, fmt.Sprint(at))
}

// readAll reads every key of the state.
func readAll(l *Ledger) error {
	it, err := l.state.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}
