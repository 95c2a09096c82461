package intake

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// readCSV returns one text per record: data as JSON, or "line N: reason".
func readCSV(t *testing.T, d *CSVDecoder, text string, final bool) []string {
	t.Helper()
	r, err := ReadStream(strings.NewReader(text), d, ReadOptions{Source: "in", Final: final})
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for {
		item, err := r.Next(nil)
		if errors.Is(err, io.EOF) {
			return out
		}
		switch {
		case err != nil:
			t.Fatal(err)
		case item.Err != nil:
			out = append(out, "line "+string(rune('0'+item.Line))+": "+item.Err.Error())
		default:
			got := decode(t, item.Event)
			subject := ""
			if got.Subject != nil {
				subject = *got.Subject
			}
			out = append(out, strings.Join([]string{got.ID, got.Source, got.Type, subject, got.Time, flat(t, got.Data)}, " "))
		}
	}
}

func TestCSVMapping(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		decoder CSVDecoder
		text    string
		want    []string
	}{
		{"by name", CSVDecoder{}, "id,source,type,subject,time,bytes,region\n1,s,t,acme,2025-01-02T03:04:05Z,12.50,eu\n",
			[]string{`1 s t acme 2025-01-02T03:04:05Z {"bytes":"12.50","region":"eu"}`}},
		{"by map", CSVDecoder{Map: map[string]string{"id": "n", "time": "when", "subject": "who", "type": "const:api.call", "data.bytes": "b", "data.tier": "const:gold"}, Source: "x"},
			"n,when,who,b,ignored\n7,2025-01-02 03:04:05.5+02:00,acme,1099511627776,z\n",
			[]string{`7 x api.call acme 2025-01-02T01:04:05.5Z {"bytes":1099511627776,"tier":"gold"}`}},
		{"quotes", CSVDecoder{Type: "t", Source: "s"}, "id,time,a,b\r\n1,2025-01-02T03:04:05Z,\"x, \"\"y\"\"\r\nz\",\"\"\r\n",
			[]string{`1 s t  2025-01-02T03:04:05Z {"a":"x, \"y\"\r\nz"}`}},
		{"numbers", CSVDecoder{Type: "t", Source: "s"}, "id,time,a,b,c,d,e,f,g,h\n1,2025-01-02T03:04:05Z,007,1e5,-0,-0.5,0.1,12345678901234567890123456.123456789012,1234567890123456789012345678,1.\n",
			[]string{`1 s t  2025-01-02T03:04:05Z {"a":"007","b":"1e5","c":"-0","d":-0.5,"e":0.1,"f":12345678901234567890123456.123456789012,"g":"1234567890123456789012345678","h":"1."}`}},
		{"semicolons, byte order mark", CSVDecoder{Type: "t", Source: "s", Comma: ';'}, "\xef\xbb\xbfid;time;a,b\n1;2025-01-02T03:04:05Z;1,5\n",
			[]string{`1 s t  2025-01-02T03:04:05Z {"a,b":"1,5"}`}},
		{"seconds", CSVDecoder{Type: "t", Source: "s", Time: timeUnix}, "id,time\n1,1700000000.000000001\n2,-1\n",
			[]string{`1 s t  2023-11-14T22:13:20.000000001Z {}`, `line 3: time "-1" is not a time since 1970`}},
		{"milliseconds", CSVDecoder{Type: "t", Source: "s", Time: timeUnixMilli}, "id,time\n1,1700000000123.5\n2,1.1234567\n",
			[]string{`1 s t  2023-11-14T22:13:20.1235Z {}`, `line 3: time "1.1234567" is not a time since 1970`}},
		{"no zone", CSVDecoder{Type: "t", Source: "s"}, "id,time\n1,2025-01-02 03:04:05\n2,yesterday\n",
			[]string{`line 2: time "2025-01-02 03:04:05" has no zone; give --tz`, `line 3: time "yesterday" is not like 2006-01-02T15:04:05Z`}},
		{"zone given", CSVDecoder{Type: "t", Source: "s", Zone: time.FixedZone("x", 19800)}, "id,time\n1,2025-01-02 03:04:05\n",
			[]string{`1 s t  2025-01-01T21:34:05Z {}`}},
		{"local times that are skipped or come twice", CSVDecoder{Type: "t", Source: "s", Zone: zone(t, "America/Santiago")},
			"id,time\n1,2026-09-06 00:30:00\n2,2026-09-06T01:00:00.5\n3,2026-04-04 23:30:00\n",
			[]string{`1 s t  2026-09-06T04:00:00Z {}`, `2 s t  2026-09-06T04:00:00.5Z {}`, `3 s t  2026-04-05T02:30:00Z {}`}},
		{"bad records do not stop the rest", CSVDecoder{Type: "t", Source: "s"},
			"id,time,a\n1,2025-01-02T03:04:05Z\n2,2025-01-02T03:04:05Z,\"a\"b\n3,2025-01-02T03:04:05Z,a\"b\n\n5,2025-01-02T03:04:05Z,ok\n",
			[]string{"line 2: 2 fields; the header has 3", "line 3: field 3: text follows the closing quote",
				"line 4: field 3: a quote inside a field that does not start with one", `5 s t  2025-01-02T03:04:05Z {"a":"ok"}`}},
		{"a quote left open rejects its line only", CSVDecoder{Type: "t", Source: "s"},
			"id,time,a\n1,2025-01-02T03:04:05Z,\"open\n2,2025-01-02T03:04:05Z,ok\n",
			[]string{"line 2: a quote that opens on this line is never closed", `2 s t  2025-01-02T03:04:05Z {"a":"ok"}`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.decoder.Validate(); err != nil {
				t.Fatal(err)
			}
			got := readCSV(t, &test.decoder, test.text, true)
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestCSVHeaderErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		decoder CSVDecoder
		header  string
		reason  string
	}{
		{CSVDecoder{Type: "t"}, "id,source", "no column holds the time"},
		{CSVDecoder{}, "id,source,time", "no column holds the type"},
		{CSVDecoder{Type: "t"}, "id,time", "ids need a source"},
		{CSVDecoder{Type: "t", Map: map[string]string{"time": "when"}}, "id,time", `map: time=when: the header has no column "when"`},
		{CSVDecoder{Type: "t", Map: map[string]string{"data.x": "y"}}, "time,a", `map: data.x=y`},
		{CSVDecoder{Type: "t"}, "time,a,a", `two columns are named "a"`},
		{CSVDecoder{Type: "t"}, "time,\"a", "the closing quote is missing"},
	}
	for _, test := range tests {
		err := test.decoder.Header([]byte(test.header))
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: error %v, want %q", test.header, err, test.reason)
		}
	}
	for _, m := range []map[string]string{{"what": "x"}, {"data.": "x"}, {"id": ""}} {
		if (&CSVDecoder{Map: m}).Validate() == nil {
			t.Errorf("map %v passes", m)
		}
	}
	if (&CSVDecoder{Time: "noon"}).Validate() == nil {
		t.Error("time format passes")
	}
}

func TestCSVRecordLimit(t *testing.T) {
	t.Parallel()
	const head = "id,time,a\n"
	record := func(n int) string { // a record of n bytes over two lines
		text := "1,2025-01-02T03:04:05Z,\"x\n"
		return text + strings.Repeat("y", n-len(text)-1) + "\"\n"
	}
	d := func() *CSVDecoder { return &CSVDecoder{Type: "t", Source: "s"} }
	if got := readCSV(t, d(), head+record(maxLineBytes), false); len(got) != 1 || strings.HasPrefix(got[0], "line") {
		t.Errorf("at the limit: %.80q", got)
	}
	got := readCSV(t, d(), head+record(maxLineBytes+1)+"3,2025-01-02T03:04:05Z,ok\n", false)
	if len(got) != 3 || !strings.Contains(got[0], "never closed") || !strings.HasPrefix(got[2], "3 ") {
		t.Errorf("past the limit: %.80q", got)
	}
}

func TestCSVWaits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Waiting{
		"id,time,a\n1,2025-01-02T03:04:05Z,x":          {Line: 2},
		"id,time,a\n1,2025-01-02T03:04:05Z,\"x\n":      {Line: 2, Open: true},
		"id,time,a\n1,2025-01-02T03:04:05Z,\"x\ny\",z": {Line: 2, Open: true},
	} {
		r, err := ReadStream(strings.NewReader(text), &CSVDecoder{Type: "t", Source: "s"}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if item, err := r.Next(nil); !errors.Is(err, io.EOF) || r.Waiting == nil || *r.Waiting != want {
			t.Errorf("%q: %+v %v %+v, want %+v", text, item, err, r.Waiting, want)
		}
	}
}

// TestCSVQuoting writes random fields as RFC 4180 wants them and reads them back.
func TestCSVQuoting(t *testing.T) {
	t.Parallel()
	rnd := fixedtest.Rand(t)
	for range 2000 {
		const letters = "a,\"\n\r1 é"
		value := ""
		for range 1 + rnd.IntN(8) {
			r := []rune(letters)
			value += string(r[rnd.IntN(len(r))])
		}
		text := "id,time,a\n1,2025-01-02T03:04:05Z,\"" + strings.ReplaceAll(value, `"`, `""`) + "\"\n2,2025-01-02T03:04:05Z,ok\n"
		r, err := ReadStream(strings.NewReader(text), &CSVDecoder{Type: "t", Source: "s"}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		item, err := r.Next(nil)
		if err != nil || item.Err != nil {
			t.Fatalf("%q: %v %v", text, err, item.Err)
		}
		if got := fmt.Sprint(decode(t, item.Event).Data["a"]); got != value { // as text or as a number
			t.Fatalf("%q read as %q", value, got)
		}
		if next, err := r.Next(nil); err != nil || next.Err != nil {
			t.Fatalf("after %q: %v %v", text, err, next.Err)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("id,time,a", "1,2025-01-02T03:04:05Z,\"x\"\"\ny\"")
	f.Add("time,a,b", "2025-01-02 03:04:05,12.5,")
	f.Fuzz(func(t *testing.T, header, record string) {
		d := &CSVDecoder{Type: "t", Source: "s", Zone: time.UTC}
		if d.Header([]byte(header)) != nil {
			return
		}
		event, err := d.Append([]byte("kept"), []byte(record), Identity{"s", "i"})
		if err != nil {
			return
		}
		checkEvent(t, event)
		if d.continues(false, []byte(record)) && !strings.Contains(record, "\n") {
			t.Fatalf("%q decodes and yet goes on", record)
		}
	})
}

func FuzzNDJSON(f *testing.F) {
	f.Add([]byte(` {"specversion":"1.0"} `))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		event, err := NDJSONDecoder{}.Append([]byte("kept"), line, Identity{})
		if err == nil && (len(event) < 6 || event[4] != '{' || event[len(event)-1] != '}') {
			t.Fatalf("%q became %q", line, event)
		}
	})
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := meter.LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}
