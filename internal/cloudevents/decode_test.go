package cloudevents

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// decode reads a body with default limits and returns the rows.
func decode(t testing.TB, body string, mode Mode) *block.Rows {
	t.Helper()
	rows, err := tryDecode(body, mode, Limits{})
	if err != nil {
		t.Fatalf("%.200s: %v", body, err)
	}
	return rows
}

func tryDecode(body string, mode Mode, lim Limits) (*block.Rows, error) {
	b := block.NewBuilder(testKey, "acme", "")
	if err := Decode([]byte(body), mode, testNow, lim, b); err != nil {
		return nil, err
	}
	return b.Rows(), nil
}

// event is a sound event with some members replaced; an empty value removes one.
func event(replace ...string) string {
	members := [][2]string{
		{"specversion", `"1.0"`}, {"id", `"i-1"`}, {"source", `"s"`}, {"type", `"t"`}, {"time", `"2025-06-15T11:59:59Z"`},
	}
	for i := 0; i < len(replace); i += 2 {
		found := false
		for j := range members {
			if members[j][0] == replace[i] {
				members[j][1], found = replace[i+1], true
			}
		}
		if !found {
			members = append(members, [2]string{replace[i], replace[i+1]})
		}
	}
	var parts []string
	for _, m := range members {
		if m[1] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", m[0], m[1]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestDecodeReadsAnEvent(t *testing.T) {
	t.Parallel()
	rows := decode(t, `
	{ "specversion" : "1.0", "id" : "é\u00e9\ud83d\ude00\/", "source":"\u0073rc", "type" :"t.y", "subject":"c\t1",
	  "time": "2025-06-15T13:59:59.5+02:00", "datacontenttype":"application/json; charset=utf-8", "dataschema":null,
	  "traceparent":"00-1-2", "ext":[1,{"b":1.0,"a":2}], "tenantid":"t-\u0031", "shard":7, "sampled":true, "ratio":0.30000000000000004, "data" : { "n": -1.50e1, "i":12 , "s" : "x", "t":true,"f":false,"z":null,
	  "o":{"p":{"q":"deep"},"e":{}}, "dotted.name":1, "a":[1.0,"\u0041",{"b":1e2,"a":[]},null] } } `, Single)
	if rows.N != 1 {
		t.Fatalf("rejected: %+v", rows.Requests[0].Rejections)
	}
	e := rows.Event(0)
	if e.ID != "éé😀/" || e.Source != "src" || e.Type != "t.y" || e.Subject != "c\t1" || !e.HasSubject || e.Customer != "c\t1" ||
		!e.Time.Equal(time.Date(2025, 6, 15, 11, 59, 59, 5e8, time.UTC)) {
		t.Fatalf("%+v", e)
	}
	const want = `{"a":[1,"A",{"a":[],"b":100},null],"dotted.name":1,"f":false,"i":12,"n":-15,"o":{"e":{},"p":{"q":"deep"}},"s":"x","t":true,"z":null}`
	if got := string(rows.DataJSON(0, nil)); got != want {
		t.Fatalf("%s\nwant %s", got, want)
	}
	const extensions = `{"ext":[1,{"a":2,"b":1}],"ratio":0.30000000000000004,"sampled":true,"shard":7,"tenantid":"t-1","traceparent":"00-1-2"}`
	if got := string(rows.ExtensionsJSON(0, nil)); got != extensions {
		t.Fatalf("%s\nwant %s", got, extensions)
	}
	if v := e.Get("tenantid"); v != meter.StringValue("t-1") {
		t.Errorf("tenantid is %+v", v)
	}
}

// TestDataAsBytes: data sent as base64 is the same content as the data itself.
func TestDataAsBytes(t *testing.T) {
	t.Parallel()
	plain := decode(t, event("data", `{"a":{"b":[1,"\u00e9"]},"c":0.1}`), Single)
	for _, text := range []string{`{"a":{"b":[1,"é"]},"c":0.1}`, " {\"c\":1e-1,\n\"a\":{\"b\":[1.0,\"\\u00e9\"]}} \n", "\ufeff" + `{"a":{"b":[1,"é"]},"c":0.1}`} {
		encoded := `"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"`
		for _, s := range []string{event("data_base64", encoded), event("data_base64", encoded, "subject", "null", "datacontenttype", `"application/json"`),
			event("data_base64", strings.ReplaceAll(encoded, "/", `\/`)), event("data_base64", encoded, "data", "null"), event("data", "null", "data_base64", encoded)} {
			rows := decode(t, "["+s+","+event("id", `"2"`, "data", `{"c":2}`)+"]", Batch)
			if rows.N != 2 || rows.Checks[0] != plain.Checks[0] {
				t.Errorf("%s: %d rows, %s, %+v", s, rows.N, rows.DataJSON(0, nil), rows.Requests[0].Rejections)
			}
		}
	}
	empty := decode(t, event(), Single)
	for _, text := range []string{"{}", " null "} {
		rows := decode(t, event("data_base64", `"`+base64.StdEncoding.EncodeToString([]byte(text))+`"`), Single)
		if rows.N != 1 || rows.Checks[0] != empty.Checks[0] {
			t.Errorf("%s is not the same as no data", text)
		}
	}
}

// TestEventsWithoutATime are taken, and are other content than with one.
func TestEventsWithoutATime(t *testing.T) {
	t.Parallel()
	rows := decode(t, "["+event("time", "")+","+event("time", "null")+","+event()+"]", Batch)
	if rows.N != 3 || !rows.Untimed(0) || !rows.Untimed(1) || rows.Untimed(2) {
		t.Fatalf("%+v", rows)
	}
	if rows.Checks[0] != rows.Checks[1] || rows.Checks[0] == rows.Checks[2] {
		t.Errorf("checks %x", rows.Checks)
	}
	rows.SetAccepted(testNow.UnixNano())
	if e := rows.Event(1); !e.Time.Equal(testNow) || !e.Untimed || rows.Event(2).Untimed || rows.Event(2).Time.Equal(testNow) {
		t.Errorf("%+v", e)
	}
	rows, err := tryDecode("["+event("time", "")+","+event("time", "null")+","+event()+"]", Batch, Limits{RequireTime: true})
	if err != nil || rows.N != 1 || len(rows.Requests[0].Rejections) != 2 {
		t.Fatalf("%v, %+v", err, rows)
	}
	for _, x := range rows.Requests[0].Rejections {
		if x.Reason != "time is missing" {
			t.Error(x.Reason)
		}
	}
}

// TestByteOrderMark: one before the body means nothing.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	for body, mode := range map[string]Mode{event(): Single, "[" + event() + "]": Batch, " " + event(): Auto, event() + "\n\n": NDJSON} {
		rows, err := tryDecode("\ufeff"+body, mode, Limits{})
		if err != nil || rows.N != 1 || rows.Rejected() != 0 {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
	for _, body := range []string{"\ufeff", "\ufeff\ufeff" + event(), " \ufeff" + event(), "\ufeff[" + event()} {
		if _, err := tryDecode(body, Auto, Limits{}); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// dataEvent is a sound event with the data given.
func dataEvent(d string) string { return event("data", d) }

// refused are events that are rejected, with a part of the reason.
var refused = []struct{ event, reason string }{
	{event("specversion", ""), "specversion is missing"},
	{event("specversion", "null"), "specversion is missing"},
	{event("specversion", "1.0"), "specversion must be a string"},
	{event("specversion", `"0.3"`), `specversion "0.3" is not supported`},
	{event("specversion", `"10"`), `specversion "10" is not supported`},
	{event("id", ""), "id is missing"},
	{event("id", `""`), "id is empty"},
	{event("id", `5`), "id must be a string"},
	{event("id", `{"a":1}`), "id must be a string"},
	{event("source", ""), "source is missing"},
	{event("source", `""`), "source is empty"},
	{event("source", `true`), "source must be a string"},
	{event("type", ""), "type is missing"},
	{event("type", `""`), "type is empty"},
	{event("type", `[]`), "type must be a string"},
	{event("subject", `5`), "subject must be a string"},
	{event("time", `1750000000`), "time must be a string"},
	{event("time", `"yesterday"`), "time: want RFC 3339"},
	{event("time", `"2025-06-15T11:59:60Z"`), "leap seconds"},
	{event("time", `"2025-06-16T12:00:00.001Z"`), "time is more than 24h0m0s ahead"},
	{event("time", `"2015-06-15T11:59:59Z"`), "time is more than 3653 days in the past"},
	{event("time", `"9999-12-31T23:59:59Z"`), "outside the years"},
	{event("datacontenttype", `"text/xml"`), `datacontenttype "text/xml" is not JSON`},
	{event("datacontenttype", `"json"`), `datacontenttype "json" is not JSON`},
	{event("data_base64", `"AAAA"`), "data_base64 must hold the text of a JSON object"},
	{event("data_base64", `""`), "data_base64 must hold the text of a JSON object"},
	{event("data_base64", `"WzFd"`), "data_base64 must hold the text of a JSON object"},
	{event("data_base64", `"e30=e30="`), "data_base64 is not base64"},
	{event("data_base64", `"e30"`), "data_base64 is not base64"},
	{event("data_base64", `{}`), "data_base64 must be a string"},
	{event("data_base64", `"e30ge30="`), "data_base64: more text after the JSON object"},
	{event("data_base64", `"eyJhIjox"`), "malformed JSON: the text ends inside an object"},
	{event("data_base64", `"eyJhIjoi/yJ9"`), "invalid UTF-8"},
	{event("data_base64", `"eyJhIjoxLCJhIjoyfQ=="`), `duplicate key "a"`},
	{event("data_base64", `"e30="`, "data", `{}`), "data or data_base64, not both"},
	{event("data", `{}`, "data_base64", `"e30="`), "data or data_base64, not both"},
	{event("data_base64", `"e30="`, "datacontenttype", `"application/octet-stream"`), "is not JSON"},
	{dataEvent(`5`), "data must be a JSON object"},
	{dataEvent(`[1]`), "data must be a JSON object"},
	{dataEvent(`"text"`), "data must be a JSON object"},
	{dataEvent(`{"a":1,"a":1}`), `duplicate key "a"`},
	{dataEvent(`{"a":1,"\u0061":1}`), `duplicate key "a"`},
	{dataEvent(`{"o":{"a":1},"o":{"b":1}}`), `duplicate key "o"`},
	{dataEvent(`{"o":{"a":1,"a":{}}}`), `duplicate key "o.a"`},
	{dataEvent(`{"l":[{"a":1,"b":2,"a":3}]}`), `duplicate key "a" in attribute "l"`},
	{event("x", "1", "id", `"i"`)[:1] + `"id":"j",` + event()[1:], `duplicate key "id"`},
	{event("ext", "1")[:1] + `"ext":2,` + event("ext", "1")[1:], `duplicate key "ext"`},
	{event("ext", `{"a":1,"a":2}`), `duplicate key "a" in attribute "ext"`},
	{dataEvent(`{"o":{"q":0.` + strings.Repeat("1", 32<<10) + `}}`), `attribute "o.q" is longer than 32768 bytes`},
	{dataEvent(`{"q":1e` + strings.Repeat("1", 32<<10+1) + `}`), `attribute "q" is longer than 32768 bytes`},
	{event("id", "\"\xff\""), "invalid UTF-8"},
	{dataEvent("{\"a\":\"\xc3\x28\"}"), "invalid UTF-8"},
	{dataEvent("{\"\xed\xa0\x80\":1}"), "invalid UTF-8"},
	{dataEvent("{\"a\":[\"\\n\xff\"]}"), "invalid UTF-8"},
	{event("ext", "\"\xff\""), "invalid UTF-8"},
	{event("ext", "[\"\xff\"]"), "invalid UTF-8"},
	{dataEvent(`{"a":"\ud800"}`), "surrogate"},
	{dataEvent(`{"a":"\ude00\ud83d"}`), "surrogate"},
	{dataEvent(`{"a":"\ud800\u0041"}`), "surrogate"},
	{`5`, "an event must be a JSON object"},
	{`"text"`, "an event must be a JSON object"},
	{`[` + event() + `]`, "an event must be a JSON object"},
	{`null`, "an event must be a JSON object"},
}

func TestDecodeRejectsOneEvent(t *testing.T) {
	t.Parallel()
	for _, c := range refused {
		rows := decode(t, "["+event()+","+c.event+" , "+event("id", `"i-2"`)+"]", Batch)
		rejections := rows.Requests[0].Rejections
		if rows.N != 2 || len(rejections) != 1 {
			t.Errorf("%s: %d rows, %+v", c.event, rows.N, rejections)
			continue
		}
		if x := rejections[0]; x.Index != 1 || !strings.Contains(x.Reason, c.reason) || string(x.Raw) != c.event[:min(len(c.event), block.MaxRawBytes)] {
			t.Errorf("%s: rejected as %+v, want reason %q", c.event, x, c.reason)
		}
		if rows.Index[0] != 0 || rows.Index[1] != 2 {
			t.Errorf("%s: positions %v", c.event, rows.Index)
		}
		// The same on a line of its own.
		rows = decode(t, c.event+"\n", NDJSON)
		if rejections = rows.Requests[0].Rejections; len(rejections) != 1 || !strings.Contains(rejections[0].Reason, c.reason) {
			t.Errorf("%s as a line: %+v", c.event, rejections)
		}
	}
}

func TestDecodeAccepts(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		event("specversion", `"1.1"`), event("subject", "null"), event("subject", `""`), event("data", "null"), event("data", "{}"),
		event("data", "{ }"), event("data_base64", "null"), event("datacontenttype", "null"), event("datacontenttype", `"text/json"`),
		event("datacontenttype", `"Application/CloudEvents+JSON ; charset=utf-8"`), event("dataschema", `"x"`), event("ext", `{"a":[1e999]}`),
		event("data", `{"n":1,"latency_ms":0.30000000000000004}`), event("data", `{"q":123456789012345678901234567}`), event("data", `{"q":1e999999999}`),
		event("data", `{"q":[[{"deep":1e-13}]],"o":{"q":-1e26}}`), event("data", `{"q":1e99999999999999999999}`),
		event("data", `{"q":0.`+strings.Repeat("1", 32_000)+`}`), event("data", `{"q":1e`+strings.Repeat("0", 40_000)+`27}`),
		event("data", `{"q":99999999999999999999999999.999999999999}`), event("data", `{"q":-0}`), event("data", `{"q":1.500000000000000000}`),
		event("data", `{"":1,"o":{"":2}}`), event("data", `{"NaN":"NaN"}`), event("data", `{"a":[],"b":[{}],"c":[[ ]]}`),
		event("time", `"2025-06-16T12:00:00Z"`),
	} {
		if rows := decode(t, s, Single); rows.N != 1 {
			t.Errorf("%s: %+v", s, rows.Requests[0].Rejections)
		}
	}
}

// malformed are texts that are not JSON.
var malformed = []string{
	``, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `{,}`, `{"a":1]`, `{"a":[1}`,
	`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":-Infinity}`, `{"a":-}`, `{"a":+1}`, `{"a":01}`, `{"a":-01}`,
	`{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x1}`, `{"a":1_000}`, `{"a":tru}`, `{"a":trUe}`, `{"a":nul}`, `{"a":"}`, `{"a":"\x"}`,
	`{"a":"\u12g4"}`, `{"a":"\u12"}`, "{\"a\":\"\x01\"}", "{\"a\":\"\n\"}", `{"a":1}}`, `{"a":1}]`, `{} {}`, " \ufeff{}", `{"a":1}x`, `{"a":true1}`,
	`{"a":1,"a"}`, `{"a"::1}`, `{"a":1,,"b":2}`, "\x00", `{"a":1}` + "\x00",
}

func TestMalformedBodyCountsNothing(t *testing.T) {
	t.Parallel()
	for _, bad := range malformed {
		for _, body := range []string{bad, "[" + bad + "]", "[" + event() + "," + bad + "]", "[" + event("data", bad) + "]", event("data", bad), event("x", bad)} {
			if bad == "" && (body == "[]" || body == "{}" || strings.HasPrefix(body, `{"spec`) || strings.HasPrefix(body, `[{"spec`) && !strings.Contains(body, ",]")) {
				continue // nothing bad is left
			}
			if _, err := tryDecode(body, Auto, Limits{}); meter.KindOf(err) != meter.KindInvalid {
				t.Errorf("%q: %v", body, err)
			}
		}
		if strings.TrimSpace(bad) == "" || strings.Contains(bad, "\n") {
			continue
		}
		rows := decode(t, event()+"\n"+bad+"\n"+event("id", `"2"`), NDJSON)
		if x := rows.Requests[0].Rejections; rows.N != 2 || len(x) != 1 || x[0].Index != 1 || !strings.Contains(x[0].Reason, "must be") && !strings.Contains(x[0].Reason, "malformed") && !strings.Contains(x[0].Reason, "missing") {
			t.Errorf("line %q: %d rows, %+v", bad, rows.N, x)
		}
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	one, batch := event(), "["+event()+" ,\n"+event("id", `"2"`)+" ]"
	for _, c := range []struct {
		body string
		mode Mode
		rows int // -1: KindInvalid
	}{
		{one, Single, 1}, {one, Auto, 1}, {one, Batch, -1}, {one, NDJSON, 1}, {" \n" + one + "\r\n ", Single, 1},
		{batch, Batch, 2}, {batch, Auto, 2}, {batch, Single, -1}, {" \t\r\n" + batch + " ", Batch, 2},
		{"[]", Batch, 0}, {" [ ] ", Auto, 0}, {"[]x", Batch, -1}, {"[] []", Batch, -1}, {"[,]", Batch, -1}, {"[", Batch, -1},
		{"", Single, -1}, {"", Batch, -1}, {" ", Auto, -1}, {"", NDJSON, 0}, {"5", Single, -1}, {"5", Auto, -1}, {`"x"`, Single, -1}, {"null", Auto, -1},
		{one + one, Single, -1}, {one + "\n" + one, Auto, -1},
		{one + "\n" + event("id", `"2"`), NDJSON, 2}, {"\n\r\n \t\n" + one + "\r\n\n" + one + "\n", NDJSON, 2}, {"\n\n", NDJSON, 0},
	} {
		rows, err := tryDecode(c.body, c.mode, Limits{})
		if c.rows < 0 {
			if meter.KindOf(err) != meter.KindInvalid {
				t.Errorf("%q in mode %d: %v", c.body, c.mode, err)
			}
			continue
		}
		if err != nil || rows.N != c.rows || rows.Rejected() != 0 {
			t.Errorf("%q in mode %d: %v, %+v", c.body, c.mode, err, rows)
		}
	}
}

func TestLinesAreReadOneByOne(t *testing.T) {
	t.Parallel()
	rows := decode(t, event()+event("id", `"2"`)+"\n"+strings.ReplaceAll(event("id", `"3"`), ",", ",\n")+"\n"+event("id", `"4"`), NDJSON)
	if rows.N != 1 || string(rows.IDs.At(0)) != "4" || rows.Requests[0].Rejected() != 6 {
		t.Fatalf("%d rows, %+v", rows.N, rows.Requests[0].Rejections)
	}
	if x := rows.Requests[0].Rejections[0]; x.Index != 0 || x.ID != "i-1" || x.Source != "s" || !strings.Contains(x.Reason, "more text after the event") {
		t.Fatalf("%+v", x)
	}
}

func TestRejectionSaysWhichEvent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	for _, c := range []struct{ event, id, source string }{
		{event("type", "5"), "i-1", "s"},
		{event("id", "5"), "", "s"},
		{`{"data":{"id":"inner","a":1,"a":2},"source":"\u0041","id":"late"}`, "late", "A"},
		{`{"id":"` + long + `","source":"s"}`, strings.Repeat("é", 128), "s"},
		{`{"id":"` + "\xff" + `","source":"s"}`, "", "s"},
		{`{"id":"a","id":"b"}`, "a", ""},
		{`{}`, "", ""},
		{`7`, "", ""},
	} {
		rows := decode(t, "["+c.event+"]", Batch)
		if x := rows.Requests[0].Rejections[0]; x.ID != c.id || x.Source != c.source {
			t.Errorf("%s: id %q, source %q", c.event, x.ID, x.Source)
		}
	}
}

// TestContentIsComparedByValue: equal contents give equal checks, whatever
// their text; others differ.
func TestContentIsComparedByValue(t *testing.T) {
	t.Parallel()
	check := func(s string) uint64 {
		rows := decode(t, s, Single)
		if rows.N != 1 {
			t.Fatalf("%s: %+v", s, rows.Requests[0].Rejections)
		}
		return rows.Checks[0]
	}
	data := func(d string) string { return event("data", d) }
	for _, same := range [][]string{
		{event(), event("data", "null"), event("data", "{}"), event("traceparent", `"x"`), event("subject", "null"), event("time", `"2025-06-15T13:59:59.000+02:00"`), event("id", `"other"`)},
		{data(`{"a":1,"b":"x"}`), data(` { "b" : "\u0078" , "a" : 1.0 } `), data(`{"\u0061":10e-1,"b":"x"}`)},
		{data(`{"a":100}`), data(`{"a":1e2}`), data(`{"a":100.000}`), data(`{"a":1E+2}`)},
		{data(`{"a":0}`), data(`{"a":-0}`), data(`{"a":0.0e5}`), data(`{"a":0e999999999999999999999}`)},
		{data(`{"a":0.30000000000000004}`), data(`{"a":30000000000000004e-17}`), data(`{"a":0.3000000000000000400E0}`)},
		{data(`{"a":1e999999999}`), data(`{"a":10e999999998}`), data(`{"a":0.001E1000000002}`)},
		{data(`{"a":1e99999999999999999999}`), data(`{"a":10.0e99999999999999999998}`)},
		{data(`{"a":[1e26]}`), data(`{"a":[100000000000000000000000000]}`), data(`{"a":[0.1e27]}`)},
		{event(), event("tenantid", `"a"`), event("tenantid", `"b"`, "shard", "1", "e", `[1]`, "x", "true", "big", "1e99")},
		{data(`{"a":[{"x":1,"y":[2]},3]}`), data(`{"a":[ {"y":[2.0],"x":1e0} , 3 ]}`)},
		{data(`{"o":{"a":1,"b":2},"c":3}`), data(`{"c":3,"o":{"b":2,"a":1}}`)},
		{data(`{"a":["\/\u00e9"]}`), data(`{"a":["/é"]}`)},
	} {
		for _, s := range same[1:] {
			if check(s) != check(same[0]) {
				t.Errorf("%s and %s differ", s, same[0])
			}
		}
	}
	seen := map[uint64]string{}
	for _, s := range []string{
		event(), event("subject", `""`), event("subject", `"t"`), event("type", `"u"`), event("time", `"2025-06-15T11:59:59.000000001Z"`),
		data(`{"a":1}`), data(`{"a":"1"}`), data(`{"a":[1]}`), data(`{"a":"[1]"}`), data(`{"a":{"b":1}}`), data(`{"a.b":1}`), data(`{"a":{}}`), data(`{"a":[]}`),
		data(`{"a":null}`), data(`{"a":""}`), data(`{"a":true}`), data(`{"a":"true"}`), data(`{"a":[1,2]}`), data(`{"a":[2,1]}`), data(`{"a":[[1],2]}`),
		data(`{"a":["1"]}`), data(`{"b":1}`), data(`{"a":1,"b":1}`), data(`{"a":1.000000000001}`),
		data(`{"a":0.30000000000000004}`), data(`{"a":"0.30000000000000004"}`), data(`{"a":-0.30000000000000004}`), data(`{"a":0.300000000000000041}`),
		data(`{"a":[0.30000000000000004]}`), data(`{"a":1e999999999}`), data(`{"a":1e999999998}`), data(`{"a":1e-999999999}`), event("time", ""),
		data(`{"a":1e99999999999999999999}`), data(`{"a":1e99999999999999999998}`),
	} {
		sum := check(s)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have one check", s, other)
		}
		seen[sum] = s
	}
}

func TestDecodeAllocatesNothingPerEvent(t *testing.T) {
	body := benchBatch(1000)
	b := block.NewBuilder(testKey, "acme", "")
	allocs := testing.AllocsPerRun(20, func() {
		b.Reset("acme", "")
		if err := Decode(body, Batch, testNow, Limits{}, b); err != nil {
			t.Fatal(err)
		}
		b.Rows()
	})
	if allocs > 100 { // the pool may be emptied by a collection, and under the race detector it drops things at random
		t.Errorf("%v allocations for 1000 events", allocs)
	}
}
