package intake

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/intake/intaketest"
)

func TestTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	withAndWithoutState(t, func(t *testing.T, next func() *feed, kept bool) {
		path := filepath.Join(t.TempDir(), "access.log")
		intaketest.Write(t, path, intaketest.AccessLines(0, 100))
		next().check(t, path, counts{Accepted: 100, Kind: Fresh})
		next().check(t, path, again(kept, 100, 0))
		appendTo(t, path, intaketest.AccessLines(100, 130))
		next().check(t, path, again(kept, 100, 30))
	})
}

func TestRotationCountsOnce(t *testing.T) {
	t.Parallel()
	for _, compressed := range []string{".gz", ".zst"} {
		withAndWithoutState(t, func(t *testing.T, next func() *feed, kept bool) {
			path := filepath.Join(t.TempDir(), "access.log")
			intaketest.Write(t, path, intaketest.AccessLines(0, 100))
			next().check(t, path, counts{Accepted: 100, Kind: Fresh})
			appendTo(t, path, intaketest.AccessLines(100, 110)) // after the run, before the rename
			rename(t, path, path+".1")
			intaketest.Write(t, path, intaketest.AccessLines(110, 120))
			next().check(t, path, counts{Accepted: 10, Kind: Fresh})
			next().check(t, path+".1", again(kept, 100, 10))
			compress(t, path+".1", path+".2"+compressed)
			next().check(t, path+".2"+compressed, again(kept, 110, 0))
			next().check(t, path+".2"+compressed, again(kept, 110, 0))
		})
	}
}

func TestCopyTruncateCountsOnce(t *testing.T) {
	t.Parallel()
	withAndWithoutState(t, func(t *testing.T, next func() *feed, kept bool) {
		path := filepath.Join(t.TempDir(), "access.log")
		intaketest.Write(t, path, intaketest.AccessLines(0, 100))
		next().check(t, path, counts{Accepted: 100, Kind: Fresh})
		appendTo(t, path, intaketest.AccessLines(100, 105))
		intaketest.Write(t, path+".1", read(t, path)) // a new inode
		intaketest.Write(t, path, "")
		next().check(t, path, counts{Waiting: true})
		appendTo(t, path, intaketest.AccessLines(105, 300)) // and past the old size
		next().check(t, path, counts{Accepted: 195, Kind: Fresh})
		next().check(t, path+".1", again(kept, 100, 5))
	})
}

func TestPartialLineWaits(t *testing.T) {
	t.Parallel()
	withAndWithoutState(t, func(t *testing.T, next func() *feed, kept bool) {
		path := filepath.Join(t.TempDir(), "access.log")
		intaketest.Write(t, path, intaketest.AccessLine(0)[:20])
		next().check(t, path, counts{Waiting: true})
		appendTo(t, path, intaketest.AccessLine(0)[20:]+intaketest.AccessLine(1)[:30])
		next().check(t, path, counts{Accepted: 1, Kind: Fresh, Waiting: true})
		appendTo(t, path, strings.TrimSuffix(intaketest.AccessLine(1)[30:], "\n"))
		want := again(kept, 1, 0)
		want.Waiting = true
		next().check(t, path, want)

		final := *next()
		final.final = true
		final.check(t, path, again(kept, 1, 1))
		if kept { // the line is not passed before it has its newline
			final.check(t, path, counts{Duplicates: 1, Kind: Resumed})
		}
		appendTo(t, path, "\n"+intaketest.AccessLine(2))
		want = again(kept, 2, 1)
		if kept {
			want.Duplicates = 1
		}
		next().check(t, path, want)
	})
}

func TestInterruptedRunResumes(t *testing.T) {
	t.Parallel()
	withAndWithoutState(t, func(t *testing.T, next func() *feed, kept bool) {
		path := filepath.Join(t.TempDir(), "access.log")
		intaketest.Write(t, path, intaketest.AccessLines(0, 100))
		f := *next()
		f.commitAt, f.stop = 10, 47
		f.check(t, path, counts{Accepted: 47, Kind: Fresh})
		want := counts{Accepted: 53, Duplicates: 47, Kind: Fresh}
		if kept {
			want = counts{Accepted: 53, Duplicates: 7, Kind: Resumed}
		}
		next().check(t, path, want)
	})
}

// TestTwoLogsThatStartAlike is the log of two servers, both probed for health
// in the second they were rotated.
func TestTwoLogsThatStartAlike(t *testing.T) {
	t.Parallel()
	a, b := twoLogs(t, 3)
	f := logFeed(t)
	f.check(t, a, counts{Accepted: 103, Kind: Fresh})
	f.check(t, b, counts{Accepted: 53, Kind: forked})
	f.reopen(t).check(t, b, counts{Kind: Resumed})
	f.check(t, a, counts{Kind: Resumed})
	compress(t, b, b+".gz")
	f.check(t, b+".gz", counts{Kind: Resumed})
	// With the state lost nothing is counted twice, in either order.
	f.forget(t).check(t, b+".gz", counts{Duplicates: 53, Kind: Fresh})
	f.forget(t).check(t, a, counts{Duplicates: 103, Kind: Fresh})
	// A third that starts like the second for longer.
	c := filepath.Join(filepath.Dir(a), "c.log")
	intaketest.Write(t, c, intaketest.AccessLines(0, 3)+intaketest.AccessLines(200, 210)+intaketest.AccessLines(900, 910))
	f.forget(t)
	f.check(t, a, counts{Duplicates: 103, Kind: Fresh})
	f.check(t, b+".gz", counts{Duplicates: 53, Kind: forked})
	f.check(t, c, counts{Accepted: 23, Kind: forked})
	f.check(t, c, counts{Kind: Resumed})
	f.forget(t).check(t, c, counts{Duplicates: 23, Kind: Fresh})
}

// TestInterruptedFork dies within the lines that two logs have in common.
func TestInterruptedFork(t *testing.T) {
	t.Parallel()
	a, b := twoLogs(t, 30)
	f := logFeed(t)
	f.check(t, a, counts{Accepted: 130, Kind: Fresh})
	dies := *f
	dies.stop, dies.commitAt = 10, 4
	dies.check(t, b, counts{Accepted: 10, Kind: forked})
	f.reopen(t).check(t, b, counts{Accepted: 70, Duplicates: 2, Kind: Resumed})
}

// TestKilledBeforeTheFirstCommit dies with lines sent and none booked; the
// other log that starts alike is counted all the same.
func TestKilledBeforeTheFirstCommit(t *testing.T) {
	t.Parallel()
	a, b := twoLogs(t, 3)
	f := logFeed(t)
	dies := *f
	dies.stop = 2
	dies.check(t, a, counts{Accepted: 2, Kind: Fresh})
	f.reopen(t).check(t, b, counts{Accepted: 53, Kind: forked})
	f.reopen(t).check(t, a, counts{Accepted: 101, Duplicates: 2, Kind: Resumed})
}

// TestKilledWithinTheSharedLines dies when only lines that both logs have are
// booked, and then the other log takes the place of the first one.
func TestKilledWithinTheSharedLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLines(0, 3)+intaketest.AccessLines(100, 200))
	f := logFeed(t)
	dies := *f
	dies.stop, dies.commitAt = 3, 1
	dies.check(t, path, counts{Accepted: 3, Kind: Fresh})
	intaketest.Write(t, path+".1", read(t, path))
	intaketest.Write(t, path, intaketest.AccessLines(0, 3)+intaketest.AccessLines(200, 210)) // the same inode
	f.reopen(t).check(t, path, counts{Accepted: 13, Kind: forked})
	f.check(t, path+".1", counts{Accepted: 100, Duplicates: 1, Kind: Resumed})
}

// TestOneLogWithinAnother counts a log that is, so far, the beginning of another:
// the lines go to the wrong one of the two until it grows, and none is lost.
func TestOneLogWithinAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	f := logFeed(t)
	intaketest.Write(t, a, intaketest.AccessLines(0, 2))
	f.check(t, a, counts{Accepted: 2, Kind: Fresh})
	intaketest.Write(t, b, intaketest.AccessLines(0, 2)+intaketest.AccessLines(200, 210))
	f.check(t, b, counts{Accepted: 10, Kind: Resumed})
	f.check(t, a, counts{Kind: held})
	appendTo(t, a, intaketest.AccessLines(100, 110))
	f.check(t, a, counts{Accepted: 12, Kind: forked})
	f.check(t, b, counts{Kind: Resumed})
}

// TestCopyTruncateSameFirstLine truncates a log and then writes the same line
// first: in one second a server can write the same line again.
func TestCopyTruncateSameFirstLine(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 10)
	intaketest.Write(t, path+".1", read(t, path))
	intaketest.Write(t, path, intaketest.AccessLines(0, 2)) // the same inode, shorter
	// It may be a copy that is being written again, or a new log: nothing is
	// sent, and it is said.
	f.reopen(t).check(t, path, counts{Kind: held})
	f.check(t, path+".1", counts{Kind: Resumed})
	appendTo(t, path, intaketest.AccessLines(50, 60)) // now it is clear
	f.reopen(t).check(t, path, counts{Accepted: 12, Kind: forked})
	f.check(t, path, counts{Kind: Resumed})
	f.check(t, path+".1", counts{Kind: Resumed})
	appendTo(t, path, intaketest.AccessLines(60, 61))
	f.reopen(t).check(t, path, counts{Accepted: 1, Kind: Resumed})
	f.forget(t).check(t, path, counts{Duplicates: 13, Kind: Fresh})
}

func TestTruncatedAndGrownPastTheOldSize(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 10)
	intaketest.Write(t, path, intaketest.AccessLines(0, 1)+intaketest.AccessLines(70, 100))
	f.check(t, path, counts{Accepted: 31, Kind: forked})
}

// TestCopiedAgain copies a growing log over its earlier copy, as scp does.
func TestCopiedAgain(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 40)
	intaketest.Write(t, path, intaketest.AccessLines(0, 25)) // half of it is there
	f.check(t, path, counts{Kind: held})
	intaketest.Write(t, path, intaketest.AccessLines(0, 60))
	f.check(t, path, counts{Accepted: 20, Kind: Resumed})
}

func TestCopies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "access.log"), filepath.Join(dir, "copy.log")
	f := logFeed(t)
	intaketest.Write(t, path, intaketest.AccessLines(0, 200))
	f.check(t, path, counts{Accepted: 200, Kind: Fresh})
	intaketest.Write(t, other, intaketest.AccessLines(0, 200))
	f.check(t, other, counts{Kind: Resumed})
	// An older copy: the server decides, and would count what is not there.
	intaketest.Write(t, other, intaketest.AccessLines(0, headLines+1))
	f.check(t, other, counts{Duplicates: headLines + 1, Kind: Again})
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	// One that is short enough to be the start of another log.
	f.forget(t).check(t, path, counts{Duplicates: 200, Kind: Fresh})
	intaketest.Write(t, other, intaketest.AccessLines(0, headLines))
	f.check(t, other, counts{Kind: held})
	f.forget(t).check(t, other, counts{Duplicates: headLines, Kind: Fresh})
}

// TestEdited changes one line of a counted file, at and past the last line
// that makes it another log.
func TestEdited(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line   int // from 1
		policy Policy
		want   counts
	}{
		{headLines, Policy{Fork: true}, counts{Accepted: 200, Kind: forked}},
		{headLines + 1, Policy{Fork: true}, counts{Kind: refused}},
		{headLines + 1, Policy{Fork: true, Edit: true}, counts{Accepted: 200 - headLines, Duplicates: headLines, Kind: Again}},
		{headLines, Policy{}, counts{Kind: refused}},
		{2, Policy{}, counts{Kind: refused}},
	} {
		path := filepath.Join(t.TempDir(), "access.log")
		f := logFeed(t)
		intaketest.Write(t, path, intaketest.AccessLines(0, 200))
		f.check(t, path, counts{Accepted: 200, Kind: Fresh})
		intaketest.Write(t, path, intaketest.AccessLines(0, test.line-1)+intaketest.AccessLine(1000+test.line)+intaketest.AccessLines(test.line, 200))
		f.policy = test.policy
		f.check(t, path, test.want)
		if test.want.Kind != refused {
			f.reopen(t).check(t, path, counts{Kind: Resumed})
		}
	}
}

// TestEditedWithinALine changes a counted line for one as long.
func TestEditedWithinALine(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 90)
	intaketest.Write(t, path+".new", intaketest.AccessLines(0, headLines)+intaketest.AccessLine(80)+intaketest.AccessLines(headLines+1, 90))
	f.check(t, path+".new", counts{Kind: refused})
}

// TestCompressedFileGrows writes a compressed file in two parts.
func TestCompressedFileGrows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second, both := filepath.Join(dir, "1.gz"), filepath.Join(dir, "2.gz"), filepath.Join(dir, "access.log.gz")
	intaketest.Write(t, filepath.Join(dir, "a"), intaketest.AccessLines(0, 50))
	intaketest.Write(t, filepath.Join(dir, "b"), intaketest.AccessLines(50, 60))
	compress(t, filepath.Join(dir, "a"), first)
	compress(t, filepath.Join(dir, "b"), second)
	f := logFeed(t)
	intaketest.Write(t, both, read(t, first))
	f.check(t, both, counts{Accepted: 50, Kind: Fresh})
	appendTo(t, both, read(t, second)) // two members are one stream
	f.check(t, both, counts{Accepted: 10, Kind: Resumed})
	f.check(t, both, counts{Kind: Resumed})
	intaketest.Write(t, filepath.Join(dir, "c"), intaketest.AccessLines(0, 1)+intaketest.AccessLines(300, 400))
	compress(t, filepath.Join(dir, "c"), second)
	intaketest.Write(t, both, read(t, second)) // the same inode, another log
	f.check(t, both, counts{Accepted: 101, Kind: forked})
}

func TestTablesOfOneHeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	row := func(n int) string { return fmt.Sprintf("2025-01-02T03:04:%02dZ,acme,%d\n", n, n) }
	table := func(rows ...int) string {
		text := "time,subject,bytes\n"
		for _, n := range rows {
			text += row(n)
		}
		return text
	}
	f := logFeed(t)
	f.decoder, f.policy = func() Decoder { return &CSVDecoder{Type: "t"} }, Policy{}
	monday, tuesday := filepath.Join(dir, "monday.csv"), filepath.Join(dir, "tuesday.csv")
	intaketest.Write(t, monday, table())
	f.check(t, monday, counts{Waiting: true})
	intaketest.Write(t, monday, table(1, 2, 3))
	intaketest.Write(t, tuesday, table(4, 5))
	f.check(t, monday, counts{Accepted: 3, Kind: Fresh})
	f.check(t, tuesday, counts{Accepted: 2, Kind: Fresh})
	intaketest.Write(t, monday, table(1, 2, 3, 6)) // exported again with one more row
	f.reopen(t).check(t, monday, counts{Accepted: 1, Kind: Resumed})
	intaketest.Write(t, monday, table(1, 3, 2, 6)) // in another order
	f.check(t, monday, counts{Kind: refused})
}

func TestEventsWithTheirOwnIDs(t *testing.T) {
	t.Parallel()
	line := func(n int) string { return fmt.Sprintf("{\"id\":\"%d\",\"source\":\"s\"}\n", n) }
	path := filepath.Join(t.TempDir(), "events.ndjson")
	f := logFeed(t)
	f.decoder = func() Decoder { return NDJSONDecoder{} }
	intaketest.Write(t, path, line(1)+"\n[]\n"+line(2))
	f.check(t, path, counts{Accepted: 2, Rejected: 1, Kind: Fresh})
	appendTo(t, path, line(3))
	f.check(t, path, counts{Accepted: 1, Kind: Resumed})
	intaketest.Write(t, path, line(1)+line(4)+line(3)+line(2)+line(5)) // identities are the events' own: no text is suspicious
	f.check(t, path, counts{Accepted: 2, Duplicates: 3, Kind: Fresh})
}

func TestOtherSettingsAreSentAgain(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 10)
	f.decoder = func() Decoder { return &CombinedDecoder{Subject: "acme"} }
	f.check(t, path, counts{Conflicts: 10, Kind: Again})
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	f, path := readLog(t, 10)
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"streams":[null]}`, `{"version":1,"streams":[{"pos":{"offset":-1}}]}`,
		`{"version":1,"streams":[{"pos":{"chain":"00"}}]}`} {
		files, err := filepath.Glob(filepath.Join(f.store.dir, "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		intaketest.Write(t, files[0], text)
		f.reopen(t).check(t, path, counts{Duplicates: 10, Kind: Fresh})
		f.reopen(t).check(t, path, counts{Kind: Resumed})
	}
}

func TestCompressedFileEndsEarly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, path, intaketest.AccessLines(0, 5000))
	compress(t, path, path+".gz")
	intaketest.Write(t, path+".gz", read(t, path+".gz")[:20000])
	in, err := Open(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	r, err := (&Plan{Stream: &Stream{}}).Read(in, &CombinedDecoder{}, ReadOptions{Source: "s"})
	for n := 0; err == nil; n++ {
		var item Item
		if item, err = r.Next(nil); err == nil && item.Err != nil {
			t.Fatalf("line %d: %v", item.Line, item.Err)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

func TestStreamsLimit(t *testing.T) {
	t.Parallel()
	var l Lineage
	for i := range maxStreams {
		l.add(&Stream{Path: fmt.Sprint(i), Updated: time.Unix(int64((i+7)%maxStreams), 0)})
	}
	oldest := maxStreams - 7
	has := func(name string) bool {
		return slices.ContainsFunc(l.Streams, func(s *Stream) bool { return s.Path == name })
	}
	if len(l.Streams) != maxStreams || !has(fmt.Sprint(oldest)) {
		t.Fatalf("%d streams at the limit", len(l.Streams))
	}
	l.add(&Stream{Path: "new"})
	if len(l.Streams) != maxStreams || has(fmt.Sprint(oldest)) || !has("new") {
		t.Errorf("%d streams past the limit", len(l.Streams))
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	t.Parallel()
	if f, err := Open(t.TempDir()); err == nil {
		_ = f.Close()
		t.Error("a folder opens")
	}
}
