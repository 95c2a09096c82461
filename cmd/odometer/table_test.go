package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"odometer/client"
)

func TestTable(t *testing.T) {
	t.Parallel()
	for right, want := range map[bool]string{
		false: "a     bb  c\n日本  e\u0301   d\n😀    x   \n",
		true:  "     a  bbc\n  日本   e\u0301d\n    😀   x\n",
	} {
		var out bytes.Buffer
		table := newTable(&out, right)
		fmt.Fprintf(table, "a\tbb\tc\n日本\te\u0301\td\n😀\tx\t\n")
		if err := table.Flush(); err != nil || out.String() != want {
			t.Errorf("right %v: %v\n%q\nwant\n%q", right, err, out.String(), want)
		}
	}
	for text, want := range map[string]string{"a b": "a b", "a\x1b[2Jb": `a\x1b[2Jb`, "a\tb\n": `a\tb\n`, "\x00\x7f\u0085": `\x00\x7f\u0085`, "a\u202eb": `a\u202eb`, "\u200b": `\u200b`, "é日😀": "é日😀", "\xff": `\xff`, "\ufffd": "\ufffd", "a\u00a0b": `a\u00a0b`} {
		if got := shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// TestUsageTexts: what others send reaches neither the terminal nor a spreadsheet as a command.
func TestUsageTexts(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	row := client.UsageRow{Start: day, End: day.AddDate(0, 0, 1), Group: map[string]string{"=x": "=1+1", "y": "\x1b[2J\ta"}, Value: "-2"}
	for format, want := range map[string]string{
		"table": "                 start                   end    =x           y  value\n  2026-11-01T00:00:00Z  2026-11-02T00:00:00Z  =1+1  \\x1b[2J\\ta     -2\n",
		"csv":   "start,end,'=x,y,value,clipped\n2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,'=1+1,\x1b[2J\ta,-2,false\n",
	} {
		var out bytes.Buffer
		w := (&usageCmd{Format: format, GroupBy: []string{"=x", "y"}}).writer(&out)
		if err := w.row(row); err != nil {
			t.Fatal(err)
		}
		if err := w.end(&client.Usage{}); err != nil || out.String() != want {
			t.Errorf("%v\n%q\nwant\n%q", err, out.String(), want)
		}
	}
}
