package intake

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"odometer/internal/fixedtest"
	"odometer/internal/intake/intaketest"
)

func scan(t *testing.T, r io.Reader, at Pos) (lines []Line, end Pos) {
	t.Helper()
	s := newScanner(r, at)
	for {
		line, err := s.Next()
		if errors.Is(err, io.EOF) {
			return lines, s.Pos()
		}
		if err != nil {
			t.Fatal(err)
		}
		line.Text = bytes.Clone(line.Text)
		lines = append(lines, line)
	}
}

func TestScannerLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{maxLineBytes, maxLineBytes + 1, 3*maxLineBytes + 17} {
		text := strings.Repeat("x", n) + "\nnext\n"
		lines, end := scan(t, strings.NewReader(text), Pos{})
		if len(lines) != 2 || lines[0].Long != (n > maxLineBytes) || len(lines[0].Text) != maxLineBytes || string(lines[1].Text) != "next" {
			t.Fatalf("%d bytes: %d lines", n, len(lines))
		}
		want := Chain{}.Next([]byte(strings.Repeat("x", n))).Next([]byte("next"))
		if end.Chain != want || end.Offset != int64(len(text)) || end.Line != 2 {
			t.Errorf("%d bytes: end %+v", n, end)
		}
	}
}

// TestScannerHole reads a file as copytruncate leaves it when the web server
// goes on writing at its old place.
func TestScannerHole(t *testing.T) {
	t.Parallel()
	hole := strings.Repeat("\x00", 3*maxLineBytes)
	lines, end := scan(t, strings.NewReader(hole+"first\na\x00b\n"), Pos{})
	if len(lines) != 2 || lines[0].Long || string(lines[0].Text) != "first" || string(lines[1].Text) != "a\x00b" {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	if end.Chain != (Chain{}).Next([]byte(hole+"first")).Next([]byte("a\x00b")) {
		t.Error("the chain leaves out the hole")
	}
}

func TestScannerPartialLine(t *testing.T) {
	t.Parallel()
	lines, end := scan(t, strings.NewReader("one\ntwo"), Pos{})
	whole, wholeEnd := scan(t, strings.NewReader("one\ntwo\n"), Pos{})
	if len(lines) != 2 || !lines[1].Partial || end != lines[1].Start || wholeEnd != whole[1].End {
		t.Fatalf("%+v, end %+v", lines, end)
	}
	if lines[1].End.Chain != whole[1].End.Chain {
		t.Error("the newline alone changes the chain")
	}
}

// TestScannerResumes cuts a text anywhere: reading on gives the same lines.
func TestScannerResumes(t *testing.T) {
	t.Parallel()
	rnd := fixedtest.Rand(t)
	for range 200 {
		var text strings.Builder
		for range rnd.IntN(20) {
			text.WriteString(strings.Repeat("ab", rnd.IntN(20)) + "\n")
		}
		all, end := scan(t, iotest.OneByteReader(strings.NewReader(text.String())), Pos{})
		for _, line := range all {
			rest, restEnd := scan(t, strings.NewReader(text.String()[line.End.Offset:]), line.End)
			if restEnd != end || len(rest) != len(all)-int(line.End.Line) {
				t.Fatalf("from line %d: %+v, want %+v", line.End.Line, restEnd, end)
			}
		}
	}
}

func TestIDHoldsOffsetAndChain(t *testing.T) {
	t.Parallel()
	chain := Chain{}.Next([]byte("line"))
	id := ID(0x123456789abc, chain)
	if len(id) != 36 || !strings.HasPrefix(id, "12345678-9abc-8") || !strings.ContainsAny(id[19:20], "89ab") {
		t.Errorf("id %s", id)
	}
	if id == ID(0x123456789abd, chain) || id == ID(0x123456789abc, chain.Next(nil)) {
		t.Error("ids of different places are equal")
	}
	if got := ID(maxOffset, chain); !strings.HasPrefix(got, "ffffffff-ffff-8") {
		t.Errorf("greatest offset: %s", got)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	const access = `1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`
	tests := []struct {
		name, first string
		want        Format
	}{
		{"a.ndjson", "", NDJSON}, {"a.jsonl.gz", "", NDJSON}, {"usage.csv", "", CSV}, {"usage.csv.2.gz", "", CSV}, {"u.TSV-20250101.zst", "", CSV},
		{"access.log", access, Combined}, {"access.log.1", access + "\r", Combined}, {"-", "{\"a\":1}", NDJSON}, {"-", "\xef\xbb\xbf {", NDJSON},
		{"access.log", "what", ""}, {"-", "", ""},
		{"access.log", "# a comment\n" + access, Combined}, {"access.log", access[30:] + "\n" + access + "\n" + access, Combined},
		{"access.log", `1.1.1.1 - a [10/Oct/2025:00:00:00 +0000] b ` + access[12:] + "\n" + access, Combined},
		{"access.log", "\xef\xbb\xbf" + access, Combined}, {"-", "# a comment\n{\"a\":1}\n", NDJSON},
		{"app.log", "{\"a\":1}\n{\"a\":2}\n" + access, NDJSON}, {"app.log", "starting\nready", ""},
	}
	for _, test := range tests {
		got, err := Detect(test.name, bytes.Split([]byte(test.first), []byte("\n")))
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s %q: %q %v, want %q", test.name, test.first, got, err, test.want)
		}
	}
}

func TestOffsetLimit(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]string{maxOffset: "", maxOffset + 1: "starts past 281474976710655 bytes"} {
		r := newReader(newScanner(strings.NewReader(intaketest.AccessLine(0)), Pos{Offset: at}), &CombinedDecoder{}, ReadOptions{Source: "s"})
		item, err := r.Next(nil)
		if err != nil || (want == "") != (item.Err == nil) || item.Err != nil && item.Err.Error() != want {
			t.Errorf("offset %d: %v %v", at, err, item.Err)
		}
	}
}
