package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/state"
	"odometer/internal/ledger/verify"
)

func verifyClean(t *testing.T, l *Ledger) verify.Report {
	t.Helper()
	r := verified(t, l)
	if err := r.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

// verified verifies twice, in much memory and in so little that cells are in
// temporary files meanwhile if there are more than a few. What is found must be the same.
func verified(t *testing.T, l *Ledger) verify.Report {
	t.Helper()
	view, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	var reports [2]verify.Report
	for i := range reports {
		memory := int64(0)
		if i > 0 {
			memory = max(64<<10, reports[0].Peak)
		}
		if reports[i], err = verify.Run(context.Background(), standing{view}, verify.Options{MemoryBytes: memory, Folder: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
	}
	much, little := reports[0], reports[1]
	for _, r := range []*verify.Report{&much, &little} {
		r.Elapsed, r.Peak = 0, 0
		r.Problems, r.Skipped = slices.Sorted(slices.Values(r.Problems)), slices.Sorted(slices.Values(r.Skipped))
		if r.MoreFound > 0 { // which of them are listed may differ
			r.MoreFound += len(r.Problems)
			r.Problems = nil
		}
	}
	if !reflect.DeepEqual(much, little) {
		t.Fatalf("in much memory: %+v\nin little: %+v", much, little)
	}
	return reports[0]
}

// standing is a ledger as it was once.
type standing struct{ view *state.View }

// Snapshot returns the same each time.
func (s standing) Snapshot() (*state.View, error) {
	view := *s.view
	view.Release = func() {}
	return &view, nil
}

func TestVerifyAgreesWithTheFold(t *testing.T) {
	t.Parallel()
	l := openTest(t, Options{})
	createMeters(t, l, "default", testMeters()[:3])
	events := sampleEvents(3000, "a")
	appendAll(t, l, "default", events)
	createMeters(t, l, "default", testMeters()[3:])
	appendAll(t, l, "default", events[:500])
	events[7].data["bytes"] = -1
	appendAll(t, l, "default", events[5:10])
	r := verifyClean(t, l)
	if r.Events != 3505 || r.Identities != 3000 || r.Cells == 0 {
		t.Fatalf("%+v", r)
	}
}

// Verification keeps to its memory, whatever it has to add up: what does not
// fit is in files meanwhile, and it finds the same.
func TestVerifyMemory(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	createMeters(t, l, "default", crowdOfMeters(7))
	for range 4 {
		appendAll(t, l, "default", wideEvents(r, 400, fmt.Sprint(r.IntN(9))))
	}
	folder := t.TempDir()
	check := func(memory int64) (report verify.Report, spilled bool, last verify.Progress) {
		passes := ""
		report, err := verify.Run(context.Background(), l, verify.Options{MemoryBytes: memory, Folder: folder, Progress: func(p verify.Progress) {
			if !strings.HasSuffix(passes, p.Pass) {
				passes += " " + p.Pass
			}
			last = p
			files, err := os.ReadDir(folder)
			spilled = spilled || err == nil && len(files) > 0
		}})
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 || passes != " log verdicts cells" || last.Done != last.All {
			t.Fatalf("%v are left, error %v; passes%s, at last %+v", left, err, passes, last)
		}
		return report, spilled, last
	}
	all, spilled, told := check(0)
	if all.Err() != nil || spilled || told.Cells != all.Cells || told.Disk != 0 {
		t.Fatalf("with memory for everything: %v, %d cells, told %+v", all.Err(), all.Cells, told)
	}
	// The table has three eighths of the memory: all fits exactly, or misses it by a byte.
	fits := (all.Peak*8 + 2) / 3
	for _, memory := range []int64{256 << 10, fits - 3, fits} {
		small, spilled, told := check(memory)
		if small.Err() != nil || small.Cells != all.Cells || small.Identities != all.Identities || small.Events != all.Events {
			t.Fatalf("in %d bytes: %v, %+v, want %+v", memory, small.Err(), small, all)
		}
		if spilled != (memory < fits) || told.Disk == 0 && memory == 256<<10 {
			t.Errorf("%d bytes of %d at most: files are made: %v, told %+v", memory, fits, spilled, told)
		}
		if small.Peak > memory*11/10 {
			t.Errorf("%d bytes held at most, %d allowed", small.Peak, memory)
		}
	}
}

// What is wrong is found in every part of what is spilled: each cell counted
// twice, then each cell gone.
func TestVerifyFindsDamageInEachPart(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	createMeters(t, l, "default", crowdOfMeters(7))
	appendAll(t, l, "default", wideEvents(r, 300, "a"))
	all := verifyClean(t, l)
	chunks := map[string][]byte{}
	if err := l.scanState([]byte{state.KeyCell}, func(key, value []byte) error { chunks[string(key)] = slices.Clone(value); return nil }); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(key string) error{
		" holds ":     func(key string) error { return l.state.Merge([]byte(key), chunks[key], nil) },
		" is missing": func(key string) error { return l.state.Delete([]byte(key), nil) },
	} {
		for key := range chunks {
			if err := change(key); err != nil {
				t.Fatal(err)
			}
		}
		found := verified(t, l)
		if n := len(found.Problems) + found.MoreFound; uint64(n) != all.Cells || !strings.Contains(found.Problems[0], name) {
			t.Errorf("%d problems of %d cells: %q", n, all.Cells, found.Problems)
		}
		for key, value := range chunks {
			if err := l.state.Set([]byte(key), value, nil); err != nil {
				t.Fatal(err)
			}
		}
		// One alone is named, whichever it is.
		key := slices.Sorted(maps.Keys(chunks))[r.IntN(len(chunks))]
		if err := change(key); err != nil {
			t.Fatal(err)
		}
		if got := problems(t, l); !strings.Contains(got, name) || strings.Count(got, name) != strings.Count(got, "\n")+1 {
			t.Errorf("one chunk: %q", got)
		}
		if err := l.state.Set([]byte(key), chunks[key], nil); err != nil {
			t.Fatal(err)
		}
	}
}

// The numbers of texts are held against the texts of numbers: what comes next
// would be counted for another group, although nothing has been yet.
func TestVerifyFindsAWrongText(t *testing.T) {
	t.Parallel()
	l := dataset(t, vfs.NewMem())
	verifyClean(t, l)
	one, other := state.OrgKey(state.KeyText, "default", "svc-1"), state.OrgKey(state.KeyText, "default", "svc-2")
	numbers := map[string][]byte{}
	if err := l.scanState([]byte{state.KeyText}, func(key, value []byte) error { numbers[string(key)] = slices.Clone(value); return nil }); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"swapped": func() error {
			return errors.Join(l.state.Set(one, numbers[string(other)], nil), l.state.Set(other, numbers[string(one)], nil))
		},
		"gone":  func() error { return l.state.Delete(one, nil) },
		"short": func() error { return l.state.Set(one, []byte{1}, nil) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if got := problems(t, l); !strings.Contains(got, "usage to come") && !strings.Contains(got, "is damaged") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q", name, got)
		}
		for _, key := range [][]byte{one, other} {
			if err := l.state.Set(key, numbers[string(key)], nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	verifyClean(t, l)
}

// An identity that the log does not have, or that is of another event in it, would keep usage to come from being counted.
func TestVerifyFindsAnUnknownIdentity(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	l := dataset(t, vfs.NewMem())
	seq := firstBlock(t, l, "default")
	insert := func(e idset.Entry) {
		t.Helper()
		if err := l.onFold(func() error { l.ids.Insert(e); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	insert(idset.Entry{Hash: block.Hash{Hi: r.Uint64(), Lo: r.Uint32()}, Seq: seq, Ord: 7})
	if got := problems(t, l); !strings.Contains(got, fmt.Sprintf("the index has an identity of event 7 of block %d", seq)) || strings.Contains(got, "\n") {
		t.Fatalf("found %q", got)
	}
	l = dataset(t, vfs.NewMem())
	var known idset.Entry
	view := l.ids.Sealed()
	err := view.Walk(t.Context(), 0, ^uint64(0), func(_ int, entries []idset.Entry) error { known = entries[r.IntN(len(entries))]; return nil })
	view.Release()
	if err != nil {
		t.Fatal(err)
	}
	ord, of := known.Ord, known.Seq
	known.Ord++
	insert(known)
	if got := problems(t, l); !strings.Contains(got, fmt.Sprintf("the identity of event %d of block %d is missing from the index or differs there", ord, of)) || strings.Contains(got, "\n") {
		t.Fatalf("found %q", got)
	}
}
