package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// FuzzState reads any state file: it is refused, or says the same when it is
// written and read again.
func FuzzState(f *testing.F) {
	p := Pos{Offset: 5, Line: 1, Chain: Chain{}.Next([]byte("line"))}
	text, err := json.Marshal(Lineage{Version: stateVersion, Streams: []*Stream{{Path: "a", Pos: p, Head: []Mark{markOf(p)},
		Fork: &Fork{Shared: 1, Key: p.Chain}, Probes: []Probe{{Offset: 0, Event: json.RawMessage(`{}`)}}, Updated: time.Unix(1, 0)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"streams":[{"pos":{"offset":9223372036854775807}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l, again Lineage
		if err := parseLineage(text, &l); err != nil {
			if l.Version != 0 || l.Streams != nil {
				t.Fatalf("%v, and yet %+v", err, l)
			}
			return
		}
		first, err := json.Marshal(l)
		if err != nil {
			return // a probe that is no JSON value on its own
		}
		if err := parseLineage(first, &again); err != nil {
			t.Fatalf("%v in %s", err, first)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s became %s, %v", first, second, err)
		}
	})
}

// onlyBlanks says whether each line is blank after the NUL bytes that it begins with.
func onlyBlanks(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if !blank([]byte(strings.TrimLeft(line, "\x00"))) {
			return false
		}
	}
	return true
}

// FuzzRecords reads any text as CSV: records follow one another, and together
// they hold every line that is not blank.
func FuzzRecords(f *testing.F) {
	f.Add("a,b\n\"x\ny\",z\n\n\"open\n1,2", true)
	f.Add("\x00\x00\"\"\"\n\"\n", false)
	f.Add("\x00 \n\x00 \na,b\n\x00\t\n \x00", true)
	f.Add("\ufeff\n\ufeffa,b\n", true)
	f.Add("\ufeff", true)
	f.Add("\xff\xfea\x00\n\x00", true)
	f.Add(" \x00 \n\"\x00\n\x00", false)
	f.Fuzz(func(t *testing.T, text string, final bool) {
		d := &CSVDecoder{}
		r := newRecords(newScanner(bytes.NewReader([]byte(text)), Pos{}), d, final)
		var at int64
		for n := 0; ; n++ {
			record, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || record.Start.Offset < at || record.End.Offset <= record.Start.Offset || n > len(text) {
				t.Fatalf("%v, record %+v after %d", err, record, at)
			}
			if !onlyBlanks(text[at:record.Start.Offset]) {
				t.Fatalf("%q is passed over", text[at:record.Start.Offset])
			}
			at = record.End.Offset
		}
		if !onlyBlanks(text[at:]) {
			t.Fatalf("%q is passed over at the end", text[at:])
		}
	})
}
