package intake

import (
	"strings"
	"testing"
)

const (
	clock = `[20/Nov/2026:10:00:00 +0000]`
	tail  = `"GET /a HTTP/1.1" 200 5 "-" "curl"`
)

// TestWhoIsBilled reads heads of lines: who asked, and of which host.
func TestWhoIsBilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ head, client, host, user string }{
		{`203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`203.0.113.9 - bob`, "203.0.113.9", "", "bob"},
		{`203.0.113.9 frank bob`, "203.0.113.9", "", "bob"},
		{`203.0.113.9 frank john smith`, "203.0.113.9", "", "john smith"},
		{`2001:db8::1 - -`, "2001:db8::1", "", "-"},
		{`client.example - -`, "client.example", "", "-"},
		{`- - -`, "-", "", "-"},
		{`unix: - -`, "unix:", "", "-"},
		{`203.0.113.9:5123 - -`, "203.0.113.9:5123", "", "-"},
		{`www.example.com 203.0.113.9 - -`, "203.0.113.9", "www.example.com", "-"},
		{`www.example.com:80 203.0.113.9 - bob`, "203.0.113.9", "www.example.com:80", "bob"},
		{`www.example.com:80 2001:db8::1 frank bob`, "2001:db8::1", "www.example.com:80", "bob"},
		{`_ 203.0.113.9 - -`, "203.0.113.9", "_", "-"},
		{`- 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`[2001:db8::2]:8443 2001:db8::1 - -`, "2001:db8::1", "[2001:db8::2]:8443", "-"},
		{`198.51.100.7:80 203.0.113.9 - -`, "203.0.113.9", "198.51.100.7:80", "-"},
		{`www.example.com client.example - -`, "client.example", "www.example.com", "-"},
		{`a!b.example 203.0.113.9 - -`, "203.0.113.9", "a!b.example", "-"},
		// forwarded lists: the first is the client, the rest are proxies
		{`192.1.2.12, 192.68.33.17 - -`, "192.1.2.12", "", "-"},
		{`192.1.2.12,192.68.33.17 - -`, "192.1.2.12", "", "-"},
		{`192.1.2.12, unknown, 10.0.0.1 - bob`, "192.1.2.12", "", "bob"},
		{`2001:db8::1, 10.0.0.1 - -`, "2001:db8::1", "", "-"},
		{`www.example.com 192.1.2.12, 192.68.33.17 - -`, "192.1.2.12", "www.example.com", "-"},
		// prefixes
		{`Nov 20 10:00:01 web1 nginx: 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`Nov  2 10:00:01 web1 nginx[12]: www.example.com 203.0.113.9 - -`, "203.0.113.9", "www.example.com", "-"},
		{`<190>Nov 20 10:00:01 web1 nginx: 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`2026-11-20T10:00:01.5+00:00 web1 nginx[12]: 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`<190>1 2026-11-20T10:00:01Z web1 nginx 12 - - 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`<190>1 2026-11-20T10:00:01Z web1 nginx 12 id [a@1 b="c"] 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`2026-11-20T10:00:01.123456789Z stdout F 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`2026-11-20T10:00:01.123456789Z 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`web-1  | 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`web-1  | 2026-11-20T10:00:01.123456789Z 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		{`[pod/web-1/nginx] 203.0.113.9 - -`, "203.0.113.9", "", "-"},
		// white space
		{`203.0.113.9  -  -`, "203.0.113.9", "", "-"},
		{"203.0.113.9\t-\t-", "203.0.113.9", "", "-"},
		{`  203.0.113.9 - - `, "203.0.113.9", "", "-"},
		{"www.example.com\t203.0.113.9 - john  smith", "203.0.113.9", "www.example.com", "john  smith"},
	} {
		line, err := parseCombined([]byte(c.head + " " + clock + " " + tail))
		if err != nil || string(line.client) != c.client || string(line.host) != c.host || string(line.user) != c.user {
			t.Errorf("%s: client %q, host %q, user %q, %v", c.head, line.client, line.host, line.user, err)
		}
	}
}

// TestNobodyIsBilled refuses heads that are no such thing, and lines cut anywhere
// that the next one was glued to.
func TestNobodyIsBilled(t *testing.T) {
	t.Parallel()
	for head, reason := range map[string]string{
		`203.0.113.300 - -`:                               "neither an address nor a host name",
		`203.0.113 - -`:                                   "neither an address nor a host name",
		`what? - -`:                                       "neither an address nor a host name",
		`192.1.2.12, proxy.example - -`:                   "is no list of addresses",
		`192.1.2.12, - -`:                                 "is no list of addresses",
		`203.0.113.9 10.0.0.1 -`:                          "client, ident and user do not precede the time",
		`203.0.113.9 -198.51.100.3 - -`:                   "is no ident",
		`203.0.113.9 - 198.51.100.3 - -`:                  "another line seems to begin",
		`203.0.113.9 - -198.51.100.3 - -`:                 "another line seems to begin",
		`203.0.113.9 - - [20/No198.51.100.3 - -`:          "another line seems to begin",
		`203.0.113.9 - - [198.51.100.3 - -`:               "another line seems to begin",
		`203.0.113.9 - bob [20/Nov/2026:10:00:00 +0000]`:  "another line seems to begin",
		`203.0.113.9 - - x`:                               "another line seems to begin",
		`203.0.113.9 -`:                                   "client, ident and user do not precede the time",
		`203.0.113.9`:                                     "client, ident and user do not precede the time",
		`2026-11-20T10:00:01.1Z stdout P 203.0.113.9 - -`: "another line seems to begin",
		`Nov 20 10:00:01 web1 nginx 203.0.113.9 - -`:      "",
		`{"log":"203.0.113.9 - -`:                         "neither an address nor a host name",
	} {
		line, err := parseCombined([]byte(head + " " + clock + " " + tail))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: client %q, host %q, %v; want %q", head, line.client, line.host, err, reason)
		}
	}
	one := `www.example.com 198.51.100.2 - bob [20/Nov/2026:10:00:01 +0000] "GET /a b HTTP/1.1" 200 512 "https://x.example/" "Mozilla/5.0 (X11) x"`
	two := `www.other.example 203.0.113.3 - - [20/Nov/2026:10:00:02 +0000] "GET /b HTTP/1.1" 200 7 "-" "curl"`
	for _, next := range []string{two, strings.TrimPrefix(two, "www.other.example ")} {
		for cut := 1; cut < len(one); cut++ {
			line, err := parseCombined([]byte(one[:cut] + next))
			if err != nil || one[:cut] == "www.example.com " && next != two { // a host that got another's line cannot be told
				continue
			}
			// Where the cut leaves no trace the line must be one of the two, whole.
			of := string(line.host) + " " + string(line.client) + " " + string(line.path)
			if string(line.client) != "203.0.113.3" || string(line.path) != "/b" || line.forwarded != nil ||
				string(line.host) != "" && !strings.HasSuffix(string(line.host), "www.other.example") {
				t.Errorf("%s|%s is counted for %s", one[:cut], next, of)
			}
		}
	}
}

func TestFieldsAfterTheBytes(t *testing.T) {
	t.Parallel()
	const head = `203.0.113.9 - - ` + clock + ` "GET /a HTTP/1.1" 200 5`
	for rest, want := range map[string]string{
		``:                           "nil nil",
		` `:                          "nil nil",
		` "r" "a"`:                   "r a",
		"\t\"r\"\t\"a\"\t":           "r a",
		`  "r"  "a"  `:               "r a",
		` - -`:                       "nil nil",
		` "-" -`:                     "- nil",
		` - "a"`:                     "nil a",
		` 1234 "r" "a"`:              "r a", // %D behind %b
		` 0.005 0.004 "r" "a" "x" 7`: "r a",
		` "r"`:                       "r nil",
		` "r" "a"b"`:                 "r nil",
		` "r" "a`:                    "r nil",
		` "r" "a" "203.0.113.3 - - ` + clock + ` x"`: "r a",
		` "r" "say [20/Nov/2026:10:00:02 +0000]"`:    "r say [20/Nov/2026:10:00:02 +0000]",
		` "r" ` + clock: "another line begins in this one",
		` "r" "Moz203.0.113.3 - - ` + clock + ` "GET /b HTTP/1.1" 200 7 "-" "-"`: "another line begins in this one",
	} {
		line, err := parseCombined([]byte(head + rest))
		show := func(b []byte) string {
			if b == nil {
				return "nil"
			}
			return string(b)
		}
		got := show(line.referer) + " " + show(line.agent)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", rest, got, want)
		}
	}
}

// TestHostOfTheLog holds the log's own host against what the client asked for.
func TestHostOfTheLog(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`www.example.com:80 203.0.113.9 - - ` + clock + ` "GET http://rival.example/x HTTP/1.1" 200 5`: "www.example.com:80 /x",
		`www.example.com 203.0.113.9 - - ` + clock + ` "CONNECT rival.example:443 HTTP/1.1" 200 5`:     "www.example.com ",
		`203.0.113.9 - - ` + clock + ` "GET http://rival.example/x HTTP/1.1" 200 5`:                    "rival.example /x",
		`- 203.0.113.9 - - ` + clock + ` "GET http://rival.example/x HTTP/1.1" 200 5`:                  "rival.example /x",
	} {
		got, err := parseCombined([]byte(line))
		if text := string(got.host) + " " + string(got.path); err != nil || text != want {
			t.Errorf("%s: %q, %v, want %q", line, text, err, want)
		}
	}
}
