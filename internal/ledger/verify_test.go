package ledger

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/state"
	"odometer/internal/ledger/verify"
)

func verifyClean(t *testing.T, l *Ledger) verify.Report {
	t.Helper()
	r, err := verify.Run(context.Background(), l, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%v", err)
	}
	return r
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

// Verification keeps to its memory, whatever it has to add up: it reads the log
// more often, also where one day alone is too much, and finds the same.
func TestVerifyMemory(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	l := openTest(t, Options{FS: vfs.NewMem(), Dir: "/data"})
	createMeters(t, l, "default", crowdOfMeters(7))
	for range 4 {
		appendAll(t, l, "default", wideEvents(r, 400, fmt.Sprint(r.IntN(9))))
	}
	check := func(memory int64) (verify.Report, int, string) {
		rounds, told := 0, ""
		report, err := verify.Run(context.Background(), l, verify.Options{MemoryBytes: memory, Progress: func(p verify.Progress) {
			if p.Pass == "cells" {
				rounds = max(rounds, p.Round)
				told = fmt.Sprint(p.Cells)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return report, rounds, told
	}
	all, rounds, told := check(0)
	if all.Err() != nil || rounds != 1 || told != fmt.Sprint(all.Cells) {
		t.Fatalf("with memory for everything: %v, %d readings, %s cells planned of %d", all.Err(), rounds, told, all.Cells)
	}
	const memory = 256 << 10
	small, rounds, _ := check(memory)
	if small.Err() != nil || small.Cells != all.Cells || small.Identities != all.Identities {
		t.Fatalf("in %d bytes: %v, %d cells and %d identities, want %d and %d", memory, small.Err(), small.Cells, small.Identities, all.Cells, all.Identities)
	}
	if rounds < 3 || small.Peak > memory*11/10 {
		t.Errorf("%d readings of the log, %d bytes held at most, %d allowed", rounds, small.Peak, memory)
	}
	// A cell that is gone is missed, in whichever reading it is.
	var keys []string
	if err := l.scanState([]byte{state.KeyCell}, func(key, _ []byte) error { keys = append(keys, string(key)); return nil }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.state.Delete([]byte(keys[r.IntN(len(keys))]), nil); err != nil {
			t.Fatal(err)
		}
	}
	have, _, _ := check(0)
	want, _, _ := check(memory)
	if len(have.Problems) == 0 || len(have.Problems) != len(want.Problems) || !strings.Contains(have.Problems[0], "is missing") {
		t.Errorf("damage: %q in much memory, %q in little", have.Problems, want.Problems)
	}
}
