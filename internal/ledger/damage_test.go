package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// problems verifies and returns what was found as one text.
func problems(t *testing.T, l *Ledger) string {
	t.Helper()
	r := verified(t, l)
	if err := r.Err(); (err == nil) != (len(r.Problems) == 0) || err != nil && meter.KindOf(err) != meter.KindCorrupt {
		t.Fatalf("%d problems are the error %v", len(r.Problems), err)
	}
	return strings.Join(r.Problems, "\n")
}

// dataset is a ledger of two organizations with 3 blocks each, checkpointed.
func dataset(t *testing.T, fs vfs.FS) *Ledger {
	t.Helper()
	l := openTest(t, Options{Dir: "data", FS: fs, Limits: Limits{CompactRows: -1}})
	for _, org := range []string{"default", "other"} {
		createMeters(t, l, org, testMeters())
		for i := range 3 {
			appendAll(t, l, org, sampleEvents(600, fmt.Sprint(org, i)))
		}
		appendAll(t, l, org, sampleEvents(600, org+"0")[:50]) // duplicates
	}
	if err := l.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestVerifyFindsAWrongCell(t *testing.T) {
	t.Parallel()
	l := dataset(t, vfs.NewMem())
	verifyClean(t, l)
	m := l.peekOrg("default").meter("bytes")
	table := cell.NewTable(0)
	slot := int32(floorDiv(testStart.UnixNano(), int64(m.Width)))
	family := table.Family([]cell.Column{{Kind: m.Kind, Versions: []uint32{m.record.Version}}})
	table.AddNumeric(table.Cell(table.Series(family, nil), slot), 0, mustQuantity(t, "0.000000000001"))
	emit := func(key, value []byte) error { return l.state.Merge(key, value, pebble.Sync) }
	err := cell.Flush(table, nil, emit, func(uint32) (cell.Plan, bool) {
		return cell.Plan{Layout: m.Layout(), Projections: []cell.Projection{{ID: cell.ProjectionTotal}}}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	got := problems(t, l)
	if !strings.Contains(got, "meter bytes of default") || !strings.Contains(got, "0.000000000001") || strings.Count(got, "\n") != 0 {
		t.Fatalf("found %q", got)
	}
}

func TestVerifyFindsAMissingCell(t *testing.T) {
	t.Parallel()
	l := dataset(t, vfs.NewMem())
	m := l.peekOrg("other").meter("largest")
	prefix := cellPrefix(m)
	var keys [][]byte
	if err := l.scanState(prefix, func(key, _ []byte) error { keys = append(keys, slices.Clone(key)); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.state.Delete(keys[len(keys)-1], pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, l); !strings.Contains(got, "meter largest of other") || !strings.Contains(got, "missing") {
		t.Fatalf("found %q", got)
	}
}

func TestVerifyFindsAFlippedVerdict(t *testing.T) {
	t.Parallel()
	for name, to := range map[string]meter.Verdict{"an accepted event as duplicate": meter.Duplicate, "as conflict": meter.Conflict, "as rejected": meter.Rejected} {
		l := dataset(t, vfs.NewMem())
		seq := firstBlock(t, l, "default")
		verdicts := make([]meter.Verdict, 600)
		verdicts[7] = to
		if err := l.state.Set(state.SeqKey(state.KeyVerdicts, seq), state.PackVerdicts(verdicts), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if got := problems(t, l); !strings.Contains(got, fmt.Sprintf("event 7 of block %d is stored as %s", seq, to)) {
			t.Fatalf("%s: found %q", name, got)
		}
	}
	l := dataset(t, vfs.NewMem())
	seq := l.Stats().Last // the block of duplicates: stored as accepted
	if err := l.state.Delete(state.SeqKey(state.KeyVerdicts, seq), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, l); !strings.Contains(got, fmt.Sprintf("event 0 of block %d is stored as accepted, the log says duplicate", seq)) {
		t.Fatalf("found %q", got)
	}
}

// firstBlock returns the first block of events of an organization.
func firstBlock(t *testing.T, l *Ledger, org string) uint64 {
	t.Helper()
	v := l.view()
	defer v.release()
	var seq uint64
	err := v.headers(org, 0, 1<<62, func(h *block.Header) (bool, error) {
		if h.Kind == block.KindEvents {
			seq = h.Sequence
		}
		return seq == 0, nil
	})
	if err != nil || seq == 0 {
		t.Fatalf("no block of %s: %v", org, err)
	}
	return seq
}

func TestVerifyFindsAMissingIdentity(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := dataset(t, fs)
	rec, err := l.readCheckpoint()
	if err != nil || len(rec.Runs) == 0 {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rec.Runs = nil
	editState(t, fs, func(db *pebble.DB) error {
		v, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		return db.Set([]byte{state.KeyCheckpoint}, v, pebble.Sync)
	})
	l = openTest(t, Options{Dir: "data", FS: fs})
	if got := problems(t, l); !strings.Contains(got, "is missing from the index") {
		t.Fatalf("found %q", got)
	}
}

// A header copy that the state lost makes scans miss a block.
func TestVerifyFindsAMissingHeader(t *testing.T) {
	t.Parallel()
	l := dataset(t, vfs.NewMem())
	seq := firstBlock(t, l, "other")
	if err := l.state.Delete(state.HeaderKey("other", seq), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, l); !strings.Contains(got, fmt.Sprintf("block %d", seq)) {
		t.Fatalf("found %q", got)
	}
}

// The counts that answer invariant 4 are compared with the log's.
func TestVerifyFindsAWrongCount(t *testing.T) {
	t.Parallel()
	l := dataset(t, vfs.NewMem())
	for _, change := range []func(*state.OrgRecord){
		func(r *state.OrgRecord) { r.Accepted-- }, func(r *state.OrgRecord) { r.Duplicates++ }, func(r *state.OrgRecord) { r.MaxTime-- }, func(r *state.OrgRecord) { r.MinTime++ }} {
		r := l.peekOrg("default").record
		good, _ := json.Marshal(r)
		change(&r)
		bad, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		key := state.OrgKey(state.KeyOrg, "default", "")
		if err := l.state.Set(key, bad, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if got := problems(t, l); !strings.Contains(got, "organization default") {
			t.Fatalf("found %q", got)
		}
		if err := l.state.Set(key, good, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	verifyClean(t, l)
}

func editState(t *testing.T, fs vfs.FS, edit func(db *pebble.DB) error) {
	t.Helper()
	editStore(t, fs, stateFolder, &pebble.Options{FS: fs, Logger: quiet{}, Merger: cell.Merger, FormatMajorVersion: disk.Format}, edit)
}

func editLog(t *testing.T, fs vfs.FS, edit func(db *pebble.DB) error) {
	t.Helper()
	editStore(t, fs, logFolder, &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: disk.Format}, edit)
}

func editStore(t *testing.T, _ vfs.FS, folder string, o *pebble.Options, edit func(db *pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open(filepath.Join("data", folder), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := edit(db); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Keys of the log, see docs/format-log.md.
const (
	logBody   = 'b'
	logHeader = 'h'
)

func logKey(seq uint64, kind byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{'e'}, seq), kind)
}

// storeOf is the engine below a ledger's log.
func storeOf(l *Ledger) *pebble.DB { return engineOf(l.log) }

func engineOf(kept log.Log) *pebble.DB { return kept.(interface{ DB() *pebble.DB }).DB() }

// flipBody flips one bit of a stored body.
func flipBody(t *testing.T, db *pebble.DB, r *rand.Rand, seq uint64) {
	t.Helper()
	v, closer, err := db.Get(logKey(seq, logBody))
	if err != nil {
		t.Fatal(err)
	}
	body := slices.Clone(v)
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	body[r.IntN(len(body))] ^= 1 << r.IntN(8)
	if err := db.Set(logKey(seq, logBody), body, pebble.Sync); err != nil {
		t.Fatal(err)
	}
}

// A flipped bit in a block is reported with what it affects; questions that
// need the block fail, others and other organizations are answered.
func TestFlippedBitInABlock(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	l := dataset(t, vfs.NewMem())
	seq := firstBlock(t, l, "default")
	flipBody(t, storeOf(l), r, seq)
	from, to := testStart, testStart.Add(time.Hour)
	ctx := context.Background()
	scan := meter.UsageQuery{Organization: "default", Meter: "bytes", From: from, To: to, GroupBy: []string{"subject"}}
	if _, err := l.Usage(ctx, scan); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a scan over a damaged block: %v", err)
	}
	if _, err := l.Events(ctx, meter.EventsQuery{Organization: "default"}); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a list over a damaged block: %v", err)
	}
	if _, err := l.Lookup(ctx, "default", "test", "default0-3"); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a lookup in a damaged block: %v", err)
	}
	if total, source := usageTotal(t, l, "default", "requests", from, to); total != "1800" || source != "cells" {
		t.Errorf("%s from %s", total, source)
	}
	scan.Organization = "other"
	if u, err := l.Usage(ctx, scan); err != nil || u.Total.String() != "539100" {
		t.Errorf("the other organization: %+v %v", u, err)
	}
	if got := l.Damaged(); len(got) != 1 || got[0].Sequence != seq || got[0].Organization != "default" || got[0].Events != 600 || !got[0].From.Equal(testStart) {
		t.Errorf("damaged: %+v", got)
	}
	got := problems(t, l)
	for _, want := range []string{fmt.Sprintf("block %d is damaged", seq), "600 events", "organization default", testStart.Format(time.RFC3339), testStart.Add(599 * time.Second).Format(time.RFC3339)} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	// A void in the damaged block must not stop the others, now or after a restart.
	if _, err := l.Void(ctx, "default", []meter.Identity{{Source: "test", ID: "default0-3"}}, "test", ""); meter.KindOf(err) != meter.KindCorrupt {
		t.Errorf("a void in a damaged block: %v", err)
	}
	if res := appendAll(t, l, "other", sampleEvents(10, "after")); res.Accepted != 10 {
		t.Errorf("the other organization: %+v", res)
	}
}

// A damaged block in the tail of the log stops its organization when the
// ledger is opened; the other goes on, and the damage survives restarts.
func TestDamagedBlockInTheTail(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	mem := vfs.NewCrashableMem()
	l := dataset(t, mem)
	appendAll(t, l, "other", sampleEvents(10, "tail"))
	seq := appendAll(t, l, "default", sampleEvents(10, "tail")).Sequence
	appendAll(t, l, "other", sampleEvents(10, "tail2"))
	appendAll(t, l, "default", sampleEvents(10, "tail2"))
	fs := mem.CrashClone(vfs.CrashCloneCfg{})
	editLog(t, fs, func(db *pebble.DB) error { flipBody(t, db, r, seq); return nil })
	ctx := context.Background()
	for range 3 {
		l := openTest(t, Options{Dir: "data", FS: fs})
		q := meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)}
		if _, err := l.Usage(ctx, q); meter.KindOf(err) != meter.KindCorrupt || !strings.Contains(err.Error(), fmt.Sprintf("block %d", seq)) {
			t.Fatalf("usage of the stopped organization: %v", err)
		}
		if _, err := l.Append(ctx, stage(t, l, "default", sampleEvents(1, "more"))); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("append to the stopped organization: %v", err)
		}
		if _, err := l.Events(ctx, meter.EventsQuery{Organization: "default"}); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("events of the stopped organization: %v", err)
		}
		if _, err := l.Lookup(ctx, "default", "test", "default0-3"); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("lookup of the stopped organization: %v", err)
		}
		if _, err := l.Void(ctx, "default", []meter.Identity{{ID: "x"}}, "a", ""); meter.KindOf(err) != meter.KindCorrupt {
			t.Fatalf("void in the stopped organization: %v", err)
		}
		if total, _ := usageTotal(t, l, "other", "requests", testStart, testStart.Add(time.Hour)); total != "1820" {
			t.Fatalf("the other organization has %s", total)
		}
		if r := appendAll(t, l, "other", sampleEvents(10, "tail2")); r.Duplicates != 10 {
			t.Fatalf("%+v", r)
		}
		stopped := 0
		for _, o := range l.Stats().Organizations {
			if o.Stopped != "" {
				stopped++
			}
		}
		if stopped != 1 {
			t.Fatalf("%d organizations are stopped", stopped)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// quiet is a logger for stores that tests edit.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// A void in the tail whose event lies in a damaged block stops that
// organization when the log is folded again, not the server.
func TestVoidInADamagedBlock(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	mem := vfs.NewCrashableMem()
	l := dataset(t, mem)
	seq := firstBlock(t, l, "default")
	if res, err := l.Void(context.Background(), "default", []meter.Identity{{Source: "test", ID: "default0-3"}}, "test", ""); err != nil || res.Voided != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	appendAll(t, l, "other", sampleEvents(10, "tail"))
	fs := mem.CrashClone(vfs.CrashCloneCfg{})
	editLog(t, fs, func(db *pebble.DB) error { flipBody(t, db, r, seq); return nil })
	for range 2 {
		l := openTest(t, Options{Dir: "data", FS: fs})
		_, err := l.Usage(context.Background(), meter.UsageQuery{Organization: "default", Meter: "requests", From: testStart, To: testStart.Add(time.Hour)})
		if meter.KindOf(err) != meter.KindCorrupt || !strings.Contains(err.Error(), fmt.Sprintf("block %d is damaged", seq)) {
			t.Fatal(err)
		}
		if total, _ := usageTotal(t, l, "other", "requests", testStart, testStart.Add(time.Hour)); total != "1810" {
			t.Fatalf("the other organization has %s", total)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A directory of a newer format is refused by its number.
func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := dataset(t, fs)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	editLog(t, fs, func(db *pebble.DB) error {
		return db.Set([]byte("m"+metaFormat), []byte{storedFormat + 1}, pebble.Sync)
	})
	if _, err := Open(context.Background(), Options{Dir: "data", FS: fs}); meter.KindOf(err) != meter.KindUnsupported || !strings.Contains(err.Error(), fmt.Sprint(storedFormat+1)) {
		t.Fatal(err)
	}
}
