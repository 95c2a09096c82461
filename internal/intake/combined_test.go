package intake

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// decoded is what the tests look at in an event.
type decoded struct {
	ID, Source, Type, Time string
	Subject                *string
	Data                   map[string]any
}

func decode(t *testing.T, event []byte) decoded {
	t.Helper()
	var out decoded
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	return out
}

// flat renders data for comparison: "name=value" in the order of a sorted map.
func flat(t *testing.T, data map[string]any) string {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const agent = `"-" "curl/7.88.1"`

func TestCombinedLines(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, line, time, data string }{
		{"nginx", `127.0.0.1 - - [10/Oct/2025:13:55:36 -0700] "GET /a/b?x=1&y=2 HTTP/1.1" 200 612 "http://x/" "Mozilla/5.0 (X11; Linux)"`,
			"2025-10-10T20:55:36Z",
			`{"bytes":612,"client":"127.0.0.1","method":"GET","path":"/a/b","protocol":"HTTP/1.1","query":"x=1\u0026y=2","referer":"http://x/","status":200,"user_agent":"Mozilla/5.0 (X11; Linux)"}`},
		{"no request", `::1 - - [10/Oct/2025:13:55:36 +0000] "-" 400 0 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":0,"client":"::1","status":400}`},
		{"empty request", `::1 - - [10/Oct/2025:13:55:36 +0000] "" 400 0 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":0,"client":"::1","status":400}`},
		{"TLS greeting", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0530] "\x16\x03\x01\x00\xFA\x01" 400 157 "-" "-"`, "2025-10-10T08:25:36Z",
			`{"bytes":157,"client":"10.0.0.1","request":"\\x16\\x03\\x01\\x00\\xFA\\x01","status":400}`},
		{"escaped quotes", `10.0.0.1 - bob [10/Oct/2025:13:55:36 +0000] "GET /\"a\" HTTP/1.0" 404 - "-" "say \"hi\" \\"`, "2025-10-10T13:55:36Z",
			`{"bytes":0,"client":"10.0.0.1","method":"GET","path":"/\\\"a\\\"","protocol":"HTTP/1.0","status":404,"user":"bob","user_agent":"say \\\"hi\\\" \\\\"}`},
		{"user with spaces", `10.0.0.1 - bob the [builder] [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 1 ` + agent, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/","protocol":"HTTP/1.1","status":200,"user":"bob the [builder]","user_agent":"curl/7.88.1"}`},
		{"host before it", `www.example.com:443 10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 1 ` + agent, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","host":"www.example.com:443","method":"GET","path":"/","protocol":"HTTP/1.1","status":200,"user_agent":"curl/7.88.1"}`},
		{"absolute target", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET http://h:81/p?q HTTP/1.1" 200 1 ` + agent, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","host":"h:81","method":"GET","path":"/p","protocol":"HTTP/1.1","query":"q","status":200,"user_agent":"curl/7.88.1"}`},
		{"url in query", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /p?u=http://h/ HTTP/1.1" 200 1 ` + agent, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/p","protocol":"HTTP/1.1","query":"u=http://h/","status":200,"user_agent":"curl/7.88.1"}`},
		{"connect", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "CONNECT h:443 HTTP/1.1" 405 1 ` + agent, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","host":"h:443","method":"CONNECT","protocol":"HTTP/1.1","status":405,"user_agent":"curl/7.88.1"}`},
		{"HTTP/0.9", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /" 009 1 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/","status":9}`},
		{"spaces in target", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a b HTTP/1.1" 400 1 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/a b","protocol":"HTTP/1.1","status":400}`},
		{"more spaces", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET  /a  HTTP/1.1" 200 1 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/a","protocol":"HTTP/1.1","status":200}`},
		{"lower-case garbage", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "hello there you" 400 1 "-" "-"`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","request":"hello there you","status":400}`},
		{"common format", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 1`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/","protocol":"HTTP/1.1","status":200}`},
		{"more fields", `10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 1 "r" "a" "forwarded" 0.003`, "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/","protocol":"HTTP/1.1","referer":"r","status":200,"user_agent":"a"}`},
		{"not UTF-8", "10.0.0.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /\xff\xc3\xa9 HTTP/1.1\" 200 1", "2025-10-10T13:55:36Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/\\xFFé","protocol":"HTTP/1.1","status":200}`},
		{"carriage return", "10.0.0.1 - - [29/Feb/2024:23:59:59 +1400] \"GET / HTTP/1.1\" 200 1\r", "2024-02-29T09:59:59Z",
			`{"bytes":1,"client":"10.0.0.1","method":"GET","path":"/","protocol":"HTTP/1.1","status":200}`},
		{"huge count", `h - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 0012345678901234567890`, "2025-10-10T13:55:36Z",
			`{"bytes":12345678901234567890,"client":"h","method":"GET","path":"/","protocol":"HTTP/1.1","status":200}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			event, err := (&CombinedDecoder{}).Append(nil, []byte(test.line), Identity{"s", "i"})
			if err != nil {
				t.Fatal(err)
			}
			got := decode(t, event)
			if got.ID != "i" || got.Source != "s" || got.Type != defaultAccessType || got.Subject != nil {
				t.Errorf("got %s", event)
			}
			if got.Time != test.time {
				t.Errorf("time = %s, want %s", got.Time, test.time)
			}
			if data := flat(t, got.Data); data != test.data {
				t.Errorf("data = %s\nwant   %s", data, test.data)
			}
		})
	}
}

func TestCombinedRejects(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, reason string }{
		{``, "no [time] field"},
		{`hello`, "no [time] field"},
		{`1.1.1.1 - - [31/Apr/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1`, "time \"31/Apr/2025:00:00:00 +0000\" is not like"},
		{`1.1.1.1 - - [10/Okt/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1`, "is not like"},
		{`1.1.1.1 - - [10/Oct/2025:24:00:00 +0000] "GET / HTTP/1.1" 200 1`, "is not like"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000]`, "request: not in quotes"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET /`, "request: the closing quote is missing"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1\"`, "request: the closing quote is missing"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 2000 1`, "status is not three digits"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200`, "bytes is not a whole number"},
		{`1.1.1.1 - - [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 -5`, "bytes is not a whole number"},
		{`[10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`, "client, ident and user do not precede the time"},
		{` [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`, "client, ident and user do not precede the time"},
	}
	for _, test := range tests {
		_, err := (&CombinedDecoder{}).Append(nil, []byte(test.line), Identity{})
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s\nerror %v, want %q", test.line, err, test.reason)
		}
	}
}

func TestCombinedSubject(t *testing.T) {
	t.Parallel()
	const line = `shop.example 10.0.0.1 - bob [10/Oct/2025:00:00:00 +0000] "GET /p HTTP/1.1" 200 1 "ref" "ua"`
	for field, want := range map[string]string{"user": "bob", "host": "shop.example", "client": "10.0.0.1", "path": "/p", "referer": "ref", "user_agent": "ua"} {
		d := &CombinedDecoder{SubjectField: field, Type: "cdn"}
		event, err := d.Append(nil, []byte(line), Identity{})
		if got := decode(t, event); err != nil || d.Validate() != nil || got.Subject == nil || *got.Subject != want || got.Type != "cdn" {
			t.Errorf("%s: %v %s", field, err, event)
		}
	}
	event, err := (&CombinedDecoder{Subject: "acme"}).Append(nil, []byte(line), Identity{})
	if got := decode(t, event); err != nil || got.Subject == nil || *got.Subject != "acme" {
		t.Errorf("%v %s", err, event)
	}
	if (&CombinedDecoder{Subject: "a", SubjectField: "user"}).Validate() == nil || (&CombinedDecoder{SubjectField: "status"}).Validate() == nil {
		t.Error("bad subject settings pass")
	}
}

func TestAccessTimeAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	start := time.Date(1999, 12, 31, 23, 59, 58, 0, time.FixedZone("", -(3*3600+30*60)))
	for i := range 3000 {
		want := start.Add(time.Duration(i) * 7919 * time.Minute)
		text := want.Format(accessTime)
		got, ok := parseAccessTime([]byte(text))
		if !ok || !got.Equal(want) {
			t.Fatalf("%s: %v %v", text, got, ok)
		}
	}
}

func FuzzCombined(f *testing.F) {
	f.Add([]byte(`127.0.0.1 - - [10/Oct/2025:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 612 "-" "Mozilla \"x\""`))
	f.Add([]byte(`h 1.1.1.1 - u s [10/Oct/2025:13:55:36 -0700] "\x16\x03" 400 - "-" "-" "x"`))
	f.Add([]byte("h - - [10/Oct/2025:13:55:36 +0000] \"GET http://\xff/ HTTP/1.1\" 009 00"))
	f.Fuzz(func(t *testing.T, line []byte) {
		event, err := (&CombinedDecoder{SubjectField: "user"}).Append([]byte("kept"), line, Identity{"s", "i"})
		if err != nil {
			return
		}
		checkEvent(t, event)
	})
}

// checkEvent says whether what was appended to "kept" is one sound event on one line.
func checkEvent(t *testing.T, event []byte) {
	t.Helper()
	rest, ok := bytes.CutPrefix(event, []byte("kept"))
	if !ok || bytes.IndexByte(rest, '\n') >= 0 || !utf8.Valid(rest) || !json.Valid(rest) {
		t.Fatalf("bad event %q", event)
	}
	got := decode(t, rest)
	if _, err := time.Parse(time.RFC3339Nano, got.Time); err != nil {
		t.Fatalf("bad time in %s", rest)
	}
}

func BenchmarkCombined(b *testing.B) {
	line := []byte(`127.0.0.1 - - [10/Oct/2025:13:55:36 -0700] "GET /images/logo.png?v=3 HTTP/1.1" 200 61245 "http://www.example.com/start.html" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	d := &CombinedDecoder{Subject: "acme"}
	var dst []byte
	for b.Loop() {
		dst, _ = d.Append(dst[:0], line, Identity{"file:0123456789abcdef0123456789abcdef", "00000000-0000-8000-8000-000000000000"})
	}
}
