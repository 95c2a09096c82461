package semanticstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
)

// answered is an answer as it came over the wire.
type answered struct {
	status int
	header http.Header
	body   string
}

// wire sends a request to the listener byte by byte as it is given: no client
// cleans its path.
func (s *server) wire(method, target string, header ...string) answered {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nX-Request-Id: test\r\n", method, target, publicHost)
	for i := 0; i+1 < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	return s.bytes(method, b.String()+"\r\n")
}

// bytes sends bytes and reads the answer to a request of a method.
func (s *server) bytes(method, text string) answered {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.http.Addr().String())
	s.check(err)
	defer conn.Close()
	s.check(conn.SetDeadline(time.Now().Add(30 * time.Minute)))
	_, err = io.WriteString(conn, text)
	s.check(err)
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%.200q: %v", text, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	s.check(err)
	return answered{r.StatusCode, r.Header, string(body)}
}

// signed sends a request with a vendor's form of a key.
func (s *server) signed(vendor string, k credential, method, target string) answered {
	s.t.Helper()
	h := http.Header{}
	s.authorize(vendor, k, method, strings.TrimPrefix(target, "http://"+publicHost), h) // path and query are signed
	var header []string
	for name := range h {
		header = append(header, name, h.Get(name))
	}
	return s.wire(method, target, header...)
}

// inForm checks that an answer is no failure of the server and no redirect,
// and if it refuses that it does so in the vendor's form.
func (s *server) inForm(vendor, what string, a answered) {
	s.t.Helper()
	if a.status >= 500 || a.status >= 300 && a.status < 400 {
		s.t.Errorf("%.200s: %d %s", what, a.status, a.body)
	}
	if a.status < 400 {
		return
	}
	var body map[string]any
	want := map[string]string{"type": "string", "title": "string", "detail": "string", "instance": "string", "status": "float64"}
	kind := "application/problem+json"
	switch {
	case vendor == "fastly":
		want, kind = map[string]string{"type": "string", "title": "string", "code": "string", "status": "string"}, "application/json"
	case vendor == "thousandeyes" && a.status == http.StatusUnauthorized:
		want, kind = map[string]string{"error": "string", "error_description": "string"}, "application/json"
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.header.Get("Content-Type") != kind {
		s.t.Errorf("%.200s: %d, %v, %s: %.200s", what, a.status, err, a.header.Get("Content-Type"), a.body)
		return
	}
	for name, form := range want {
		if got := fmt.Sprintf("%T", body[name]); got != form || body[name] == "" {
			s.t.Errorf("%.200s: %s is %s, want %s: %s", what, name, got, form, a.body)
		}
	}
	if status, ok := body["status"]; ok && fmt.Sprint(status) != fmt.Sprint(a.status) {
		s.t.Errorf("%.200s: status %v in a body of %d", what, status, a.status)
	}
}

// TestBadInput sends what is wrong in every operation of every vendor's
// surface through a real connection, to the operations of the surfaces' own
// tables. Every answer is the contract's, or its error in the vendor's form.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	k := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one"})
	unseen := map[string]int{"fastly": 401, "akamai": 404, "thousandeyes": 403}
	for _, vendor := range vendors {
		for _, path := range operationsOf(s, vendor) {
			own, ok := mine.target(path)
			if !ok {
				t.Errorf("%s serves %s: there is no case for it", vendor, path)
				continue
			}
			want := func(what, method, target string, status int) answered {
				t.Helper()
				a := s.signed(vendor, k, method, target)
				s.inForm(vendor, method+" "+target, a)
				if a.status != status {
					t.Errorf("%s, %s: %s %.200s: %d, want %d: %.300s", vendor, what, method, target, a.status, status, a.body)
				}
				return a
			}
			s.methods(vendor, own, want)
			s.paths(own, want)
			s.queries(vendor, own, want)
			for _, id := range []string{"a%2Fb", "%2F", "%2e%2e", "%C3%B8", "ø", "%FF", "%00", "a%00b", "%0D%0AX:1", strings.Repeat("x", 8000), "K-1%20", "'%20OR%201"} {
				bad := asks{contract: id, group: id, product: id, customer: id, aid: id}
				target, _ := bad.target(path)
				switch before, _, _ := strings.Cut(target, "?"); {
				case id == "%FF" && strings.Contains(before, id):
					want("an id that is no text", "GET", target, 400)
				case strings.Contains(path, "{"):
					want("an id that nobody has", "GET", target, unseen[vendor])
				case strings.Contains(target, "aid=") && before == path: // ids of account groups are numbers
					want("an id that is none", "GET", target, 400)
				}
			}
		}
	}
}

type expectation func(what, method, target string, status int) answered

// methods tries every method on what a GET answers.
func (s *server) methods(vendor, own string, want expectation) {
	s.t.Helper()
	get := want("as it should be", "GET", own, 200)
	if head := want("HEAD", "HEAD", own, 200); head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
		s.t.Errorf("HEAD %s: %v %s", own, head.header, head.body)
	}
	if options := want("OPTIONS", "OPTIONS", own, 204); options.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		s.t.Errorf("OPTIONS %s: %v", own, options.header)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "FOO"} {
		if a := want("another method", method, own, 405); a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
			s.t.Errorf("%s %s: %v", method, own, a.header)
		}
	}
	// Without a key, and with one in the wrong place.
	for _, header := range [][]string{nil, {"Authorization", "Basic eDp5"}, {"Fastly-Key", "x"}, {"Authorization", "EG1-HMAC-SHA256 client_token="}, {"Cookie", "key=x"}} {
		a := s.wire("GET", own, header...)
		s.inForm(vendor, fmt.Sprint("GET ", own, header), a)
		if a.status != 401 && (vendor != "akamai" || a.status != 400) {
			s.t.Errorf("GET %s with %v: %d", own, header, a.status)
		}
	}
}

// paths tries what a client or proxy could make of a path: none is taken for
// another, and none is redirected.
func (s *server) paths(own string, want expectation) {
	s.t.Helper()
	path, query, _ := strings.Cut(own, "?")
	query = "?" + query
	segments := strings.Split(path, "/")
	for i := range segments {
		join := func(with ...string) string {
			return strings.Join(append(append(append([]string{}, segments[:i]...), with...), segments[i:]...), "/") + query
		}
		if i > 0 {
			want("a doubled slash", "GET", join(""), 404)
			want("a dot segment", "GET", join("."), 404)
			want("a dot segment up", "GET", join("x", ".."), 404)
			want("an escaped dot segment up", "GET", join("x", "%2E%2e"), 404)
		}
	}
	want("a slash at the end", "GET", path+"/"+query, 404)
	want("an escaped slash for a slash", "GET", strings.Replace(path, "/usage", "%2Fusage", 1)+query, map[bool]int{true: 404, false: 200}[strings.Contains(path, "/usage")])
	want("another case", "GET", strings.Replace(strings.Replace(path, "/usage", "/Usage", 1), "/contracts", "/Contracts", 1)+query,
		map[bool]int{true: 404, false: 200}[strings.Contains(path, "/usage") || strings.Contains(path, "/contracts")])
	want("escaped where it need not be", "GET", strings.ReplaceAll(strings.ReplaceAll(path, "-usage", "%2Dusage"), "billing", "%62illing")+query, 200)
	want("the absolute form", "GET", "http://"+publicHost+own, 200)
}

// queries tries what is no parameter, and what is no value of one.
func (s *server) queries(vendor, own string, want expectation) {
	s.t.Helper()
	and := own + "?"
	if strings.Contains(own, "?") {
		and = own + "&"
	}
	for _, more := range []string{"unknown=1", "unknown=1&unknown=2", "=", "%zz=%zz", "unknown=%", "%ff=%00", "&&&", "a=b=c", "%E2%82%AC=%F0%9F%98%80", "x=%00", "callback=x;y", "z=" + strings.Repeat("y", 30_000)} {
		want("an unknown parameter", "GET", and+more, 200)
	}
	bad := map[string][]string{
		"start=":      {"2026-13", "2026-00", "0000-00", "2026-1", "2026-10-01", "202610", "", "%zz", "2026%2D10x", "-", "２０２６-10", "9999-12", "2026-11", "2024-01"},
		"end=":        {"2026-13", "2026-10", "2026-09", "2026-1", "", "%", "0000-01"},
		"month=":      {"2026-13", "2026-00", "", "10", "2026-10-01", "2024-01", "%zz"},
		"start_month": {"2026-13", "2026-00", "0000-01", "2026-1", "", "2026-10-01", "%zz", "2026-11", "x"},
		"end_month":   {"2026-13", "2026-00", "2026-09", "2026-1", "", "%zz"},
		"aid=":        {"", "x", "-1", "1.0", strings.Repeat("1", 21), "%zz", "1%202"},
	}
	path, query, _ := strings.Cut(own, "?")
	for name, texts := range bad {
		name = strings.TrimSuffix(name, "=")
		parameters := strings.Split(query, "&")
		for i, p := range parameters {
			if !strings.HasPrefix(p, name+"=") {
				continue
			}
			for _, text := range texts {
				changed := append([]string{}, parameters...)
				changed[i] = name + "=" + text
				if name == "start_month" && strings.HasPrefix(path, "/billing/v3/usage-m") && text == "2026-11" {
					changed[i] = "start_month=2026-12"
				}
				want(name+" that is none", "GET", path+"?"+strings.Join(changed, "&"), 400)
			}
			if name != "month" && name != "start" { // the same value again is no contradiction for Akamai
				want(name+" twice", "GET", and+name+"=2026-08", 400)
			}
		}
	}
	extra := map[string][]string{
		"/billing/v2/account_customers/one/service-usage-metrics": {"limit=0", "limit=101", "limit=-1", "limit=5.0", "limit=x", "limit=", "limit=99999999999999999999",
			"cursor=x", "cursor=%zz", "cursor=" + strings.Repeat("A", 5000), "end_date=2026-10-02", "time_granularity=day", "product_id=cdn"},
		"/billing/v3/service-usage-metrics": {"limit=0", "limit=10001", "cursor=x", "cursor=%00", "product_id=cdn", "usage_type_name=Requests", "product_id=x&usage_type_name=y", "product_id=%FF"},
		"/v7/usage":                         {"expand=unknown", "expand=test,", "expand=tests", "expand=%zz", "aid=111"},
		"/v7/usage/units/tests": {"cursor=", "cursor=x", "cursor=%zz", "startDate=2026-10-01", "startDate=2026-02-30T00:00:00Z", "startDate=2026-10-01T24:00:00Z", "endDate=2026-10-02T00:00:00Z",
			"startDate=2026-10-02T00:00:00Z&endDate=2026-10-02T00:00:00Z", "startDate=2026-10-03T00:00:00Z&endDate=2026-10-02T00:00:00Z", "startDate=2027-01-01T00:00:00Z",
			"startDate=1600000000", "startDate=", "window=0", "window=x", "window=1d&startDate=2026-10-02T00:00:00Z", "startDate=0000-01-01T00:00:00Z", "startDate=2026-10-02T00:00:60Z"},
	}
	extra["/v7/usage/units/enterprise-agents"] = extra["/v7/usage/units/tests"]
	for _, more := range extra[path] {
		want("a value that is none", "GET", and+more, 400)
	}
	if vendor == "akamai" {
		want("another account", "GET", and+"accountSwitchKey=A-2", 403)
		want("an empty switch key", "GET", and+"accountSwitchKey=", 200)
		want("a switch key that cannot be decoded", "GET", and+"accountSwitchKey=%zz", 400)
	}
}

// TestLongRanges: ranges of 400 days and of centuries are answered within
// their contract.
func TestLongRanges(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	k := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one"})
	v2 := "/billing/v2/account_customers/one/service-usage-metrics?product_id=cdn&usage_type_name=Requests&"
	akamai := "/billing/v1/contracts/K-1/products/cdn/"
	for target, status := range map[string]int{
		v2 + "time_granularity=day&start_date=2025-09-25&end_date=2026-10-30":               200,
		v2 + "time_granularity=day&start_date=0001-01-01&end_date=9999-12-31":               200,
		v2 + "time_granularity=month&start_month=0001-01&end_month=9999-12":                 200,
		"/billing/v3/service-usage-metrics?start_month=2025-01&end_month=2026-10":           200,
		"/billing/v3/usage-metrics?start_month=2026-08&end_month=2026-10":                   200,
		"/billing/v3/usage-metrics?start_month=2026-07&end_month=2026-10":                   400, // more than three months
		"/billing/v3/usage-metrics?start_month=9999-10&end_month=9999-12":                   200,
		akamai + "usage/monthly-summary?start=2025-09&end=2026-11":                          200,
		akamai + "usage/monthly-summary?start=2025-04&end=9999-12":                          200,
		akamai + "usage/monthly-summary?start=2025-03&end=2026-11":                          400, // 19 months ago
		akamai + "usage/monthly-summary?start=2026-11&end=2027-12":                          204, // to come
		akamai + "usage/daily?month=2027-01":                                                204,
		"/billing/v1/contracts/K-1/products?start=2025-04&end=2100-01":                      200,
		"/v7/usage/units/tests?startDate=2025-09-25T00:00:00Z&endDate=2026-10-30T00:00:00Z": 200,
		"/v7/usage/units/tests?startDate=1900-01-01T00:00:00Z&endDate=2200-01-01T00:00:00Z": 200,
		"/v7/usage/units/enterprise-agents?window=400d":                                     200,
		"/v7/usage/units/tests?startDate=1899-12-31T23:59:59Z":                              400,
	} {
		vendor := map[string]string{"/billing/v1": "akamai", "/billing/v2": "fastly", "/billing/v3": "fastly"}[target[:11]]
		if vendor == "" {
			vendor = "thousandeyes"
		}
		a := s.signed(vendor, k, "GET", target)
		s.inForm(vendor, target, a)
		if a.status != status {
			t.Errorf("%s: %d, want %d: %.300s", target, a.status, status, a.body)
		}
	}
}

// TestCursorsOfEveryOperation: a cursor may be used again, and gives the same
// page; damaged, of another operation or of another key it is refused.
func TestCursorsOfEveryOperation(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	k := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "one"})
	other := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: "two"})
	all := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, DefaultAID: "111"})
	metrics := "product_id=cdn&usage_type_name=Requests&limit=1"
	paged := []struct{ vendor, target, others string }{
		{"fastly", "/billing/v2/account_customers/one/service-usage-metrics?time_granularity=month&" + metrics, "/billing/v2/account_customers/two/service-usage-metrics?time_granularity=month&" + metrics},
		{"fastly", "/billing/v3/service-usage-metrics?" + metrics, "/billing/v3/service-usage-metrics?" + metrics},
		{"thousandeyes", "/v7/usage/units/tests?", "/v7/usage/units/tests?"},
		{"thousandeyes", "/v7/usage/units/enterprise-agents?", "/v7/usage/units/enterprise-agents?"},
	}
	cursors := make([]string, len(paged))
	for i, p := range paged {
		var answer struct {
			Data struct {
				Meta struct {
					Next string `json:"next_cursor"`
				}
			}
			Links struct{ Next struct{ Href string } } `json:"_links"`
		}
		s.get(p.vendor, k, p.target, &answer)
		cursors[i] = answer.Data.Meta.Next
		if _, after, ok := strings.Cut(answer.Links.Next.Href, "cursor="); ok {
			cursors[i] = after
		}
		if len(cursors[i]) < 20 {
			t.Fatalf("%s: no second page: %+v", p.target, answer)
		}
	}
	for i, p := range paged {
		want := func(what string, k credential, target string, status int) answered {
			t.Helper()
			a := s.signed(p.vendor, k, "GET", target)
			s.inForm(p.vendor, target, a)
			if a.status != status {
				t.Errorf("%s: %s: %d, want %d: %s", what, target, a.status, status, a.body)
			}
			return a
		}
		first := want("a cursor", k, p.target+"&cursor="+cursors[i], 200)
		if again := want("a cursor again", k, p.target+"&cursor="+cursors[i], 200); again.body != first.body {
			t.Errorf("%s: another page the second time", p.target)
		}
		for at := range cursors[i] {
			flipped := "A"
			if cursors[i][at] == 'A' {
				flipped = "B"
			}
			if at%7 == 0 || at > len(cursors[i])-3 {
				want("a damaged cursor", k, p.target+"&cursor="+cursors[i][:at]+flipped+cursors[i][at+1:], 400)
			}
		}
		want("a short cursor", k, p.target+"&cursor="+cursors[i][:len(cursors[i])-4], 400)
		want("a long cursor", k, p.target+"&cursor="+cursors[i]+"AAAA", 400)
		want("a cursor twice", k, p.target+"&cursor="+cursors[i]+"&cursor="+cursors[i], 400)
		for j := range paged {
			if j != i {
				want("a cursor of another operation", k, p.target+"&cursor="+cursors[j], 400)
			}
		}
		want("a cursor of another customer's key", other, p.others+"&cursor="+cursors[i], 400)
		if p.vendor == "thousandeyes" {
			want("a cursor of a key with another sight", all, p.target+"&cursor="+cursors[i], 400)
		}
	}
}

// TestWhatIsNoHTTP: what cannot be read as HTTP, or is over the listener's
// limits, is refused before any surface is found, in plain text.
func TestWhatIsNoHTTP(t *testing.T) {
	t.Parallel()
	s, _ := isolated(t, october)
	for _, c := range []struct {
		name, method, target string
		header               []string
		status               int
	}{
		{"a nul byte", "GET", "/v7/us\x00age", nil, 400},
		{"a control character", "GET", "/v7/us\x7fage", nil, 400},
		{"an escape that is none", "GET", "/v7/%zz", nil, 400},
		{"half an escape", "GET", "/billing/v3/usage-metrics%2", nil, 400},
		{"no method", "", "/v7/usage", nil, 400},
		{"a space in the target", "GET", "/v7/usage?a=b c", nil, 400},
		{"a body of two lengths", "POST", "/v7/usage", []string{"Content-Length", "5", "Transfer-Encoding", "chunked", "Content-Length", "6"}, 400},
	} {
		if a := s.wire(c.method, c.target, c.header...); a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", c.name, a.status, c.status, a.body)
		}
	}
	// As much as the listener reads, and not one byte more, which would reset
	// the connection: 64 KiB and the 4 KiB that net/http adds for itself.
	for _, begins := range []string{"GET /v7/usage?x=", "GET /v7/usage HTTP/1.1\r\nX-Long: ", "GET /v7/usage HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: y\r\n", 5000) + "X-Long: "} {
		if a := s.bytes("GET", begins+strings.Repeat("x", 68<<10-len(begins))); a.status != 431 {
			t.Errorf("%.40q and more: %d %s, want 431", begins, a.status, a.body)
		}
	}
}
