package httpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// nobody is a service that knows no key.
type nobody struct{ Service }

func (nobody) KeyRefused(context.Context, string, string) {}

// start runs a server with one surface on a free port until the test ends.
func start(t testing.TB, o Options, routes ...Route) *Server {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Mount(&Surface{Name: "test", Routes: routes, Authenticate: func(x *Exchange) (access.Principal, error) {
		token, err := x.bearer()
		return access.Principal{Organization: "default", KeyID: token, Operator: token == "operator"}, err
	}})
	s.serve(nobody{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// send makes one request and returns its answer with the body read.
func send(t testing.TB, s *Server, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// echo answers the body it was sent.
func echo(x *Exchange) error {
	b, err := x.Body()
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, b)
}

func fail(err error) Handler { return func(*Exchange) error { return err } }

func TestProblemTable(t *testing.T) {
	t.Parallel()
	want := map[meter.Kind]int{
		meter.KindInternal: 500, meter.KindInvalid: 400, meter.KindUnauthenticated: 401, meter.KindForbidden: 403,
		meter.KindNotFound: 404, meter.KindConflict: 409, meter.KindTooLarge: 413, meter.KindOverloaded: 429,
		meter.KindStorageFull: 507, meter.KindUnavailable: 503, meter.KindCorrupt: 503, meter.KindUnsupported: 415,
	}
	if len(want) != len(answers) {
		t.Fatalf("the table has %d kinds, the test %d", len(answers), len(want))
	}
	var routes []Route
	for k := range want {
		err := &meter.Error{Kind: k, Message: "what was wrong", Err: errors.New("SECRET"), RetryAfter: 1500 * time.Millisecond}
		routes = append(routes, Route{Method: "GET", Path: "/" + k.String(), Public: true, Handle: fail(err)})
	}
	s := start(t, Options{}, routes...)
	for k, status := range want {
		resp, text := send(t, s, "GET", "/"+k.String(), nil)
		var p Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("%s: %v in %s", k, err, text)
		}
		if resp.StatusCode != status || p.Status != status || p.Type != "urn:odometer:problem:"+k.String() ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, body %s", k, resp.StatusCode, text)
		}
		if p.RequestID == "" || p.RequestID != resp.Header.Get("X-Request-Id") || p.Instance != "/"+k.String() {
			t.Errorf("%s: request id or instance missing: %s", k, text)
		}
		if strings.Contains(text, "SECRET") || (k == meter.KindInternal) == strings.Contains(text, "what was wrong") {
			t.Errorf("%s: detail %q", k, p.Detail)
		}
		if k == meter.KindUnauthenticated && resp.Header.Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
		if k == meter.KindOverloaded && resp.Header.Get("Retry-After") != "2" {
			t.Errorf("429 with Retry-After %q", resp.Header.Get("Retry-After"))
		}
	}
}

func TestUnclassifiedErrors(t *testing.T) {
	t.Parallel()
	s := start(t, Options{},
		Route{Method: "GET", Path: "/plain", Public: true, Handle: fail(errors.New("SECRET"))},
		Route{Method: "GET", Path: "/wrapped", Public: true, Handle: fail(fmt.Errorf("x: %w", meter.Errorf(meter.KindConflict, "seen")))},
		Route{Method: "GET", Path: "/gone", Public: true, Handle: fail(fmt.Errorf("x: %w", context.Canceled))})
	for path, status := range map[string]int{"/plain": 500, "/wrapped": 409, "/gone": 503} {
		resp, text := send(t, s, "GET", path, nil)
		if resp.StatusCode != status || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	say := func(text string) Handler {
		return func(x *Exchange) error { return x.text(text + ":" + x.Param("key")) }
	}
	s := start(t, Options{},
		Route{Method: "GET", Path: "/m/{key}", Public: true, Handle: say("one")},
		Route{Method: "DELETE", Path: "/m/{key}", Public: true, Handle: say("delete")},
		Route{Method: "GET", Path: "/m/{key}/usage", Public: true, Handle: say("usage")},
		Route{Method: "GET", Path: "/m/all", Public: true, Handle: say("all")},
		Route{Method: "GET", Path: "/m/all/deep/{key}", Public: true, Handle: say("deep")})
	for path, want := range map[string]string{
		"/m/a": "one:a", "/m/all": "all:", "/m/a/usage": "usage:a", "/m/all/usage": "usage:all", "/m/a%2Fb": "one:a/b",
		"/m/%61ll": "all:", "/m/all/deep/x": "deep:x", "/m/a%20b?q=1": "one:a b",
	} {
		if _, text := send(t, s, "GET", path, nil); text != want {
			t.Errorf("%s: %q, want %q", path, text, want)
		}
	}
	for _, path := range []string{"/", "/m", "/m/", "/m//usage", "/m/a/", "/m/a/usage/x", "/M/a", "/m/all/deep"} {
		if resp, text := send(t, s, "GET", path, nil); resp.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	for _, c := range []struct {
		method string
		status int
	}{{"HEAD", 200}, {"OPTIONS", 204}, {"POST", 405}, {"PUT", 405}, {"TRACE", 405}, {"DELETE", 200}} {
		resp, text := send(t, s, c.method, "/m/a", nil)
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.method, resp.StatusCode, text)
		}
		if (c.status == 405 || c.status == 204) && resp.Header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow %q", c.method, resp.Header.Get("Allow"))
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, Route{Method: "GET", Path: "/who", Handle: func(x *Exchange) error { return x.text(x.Principal.KeyID) }})
	for header, want := range map[string]int{"": 401, "Bearer k1": 200, "bearer  k1 ": 200, "Basic k1": 401, "Bearer": 401, "Bearer ": 401, "k1": 401} {
		var h []string
		if header != "" {
			h = []string{"Authorization", header}
		}
		resp, text := send(t, s, "GET", "/who", nil, h...)
		if resp.StatusCode != want || want == 200 && text != "k1" {
			t.Errorf("%q: %d %s", header, resp.StatusCode, text)
		}
	}
}

func TestStartingAnswersHealthOnly(t *testing.T) {
	t.Parallel()
	s := start(t, Options{MetricsAccess: metricsOpen}, Route{Method: "GET", Path: "/x", Public: true, Handle: func(x *Exchange) error { return x.text("x") }})
	s.service.Store(nil)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 200, "/x": 503, "/unknown": 503} {
		if resp, text := send(t, s, "GET", path, nil); resp.StatusCode != want {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
}

func TestPanicIsRecovered(t *testing.T) {
	t.Parallel()
	var log fixedtest.Buffer
	s := start(t, Options{MetricsAccess: metricsOpen, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		Route{Method: "GET", Path: "/before", Public: true, Handle: func(*Exchange) error { panic("SECRET") }},
		Route{Method: "POST", Path: "/after", Public: true, Handle: func(x *Exchange) error {
			_ = x.JSON(200, []byte(`{"half":`))
			panic("SECRET")
		}})
	resp, text := send(t, s, "GET", "/before", nil)
	if resp.StatusCode != 500 || strings.Contains(text, "SECRET") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if !strings.Contains(log.String(), "SECRET") || !strings.Contains(log.String(), resp.Header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell: %s", log.String())
	}
	// A half-written answer must not look like a whole one.
	if resp, err := http.Post(s.URL()+"/after", "", nil); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Error("a panic in the middle of an answer went unnoticed")
		}
	}
	if _, text := send(t, s, "GET", "/metrics", nil); !strings.Contains(text, "odometer_http_panics_total 2") {
		t.Error("panics are not counted")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	seen := map[string]bool{}
	for _, c := range []struct {
		sent string
		kept bool
	}{{"", false}, {"abc-DEF_1.2", true}, {strings.Repeat("a", 64), true}, {strings.Repeat("a", 65), false}, {"a b", false}, {`a"b`, false}, {"", false}} {
		var h []string
		if c.sent != "" {
			h = []string{"X-Request-Id", c.sent}
		}
		resp, _ := send(t, s, "POST", "/", nil, h...)
		got := resp.Header.Get("X-Request-Id")
		if (got == c.sent) != c.kept || got == "" || seen[got] {
			t.Errorf("sent %q, got %q", c.sent, got)
		}
		seen[got] = true
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	var log fixedtest.Buffer
	s := start(t, Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))},
		Route{Method: "GET", Path: "/ok", Public: true, Handle: func(x *Exchange) error { return x.text("ok") }},
		Route{Method: "GET", Path: "/bad", Public: true, Handle: fail(meter.WrapError(meter.KindInvalid, errors.New("inner"), "outer"))},
		Route{Method: "GET", Path: "/broken", Public: true, Handle: fail(errors.New("why"))})
	send(t, s, "GET", "/ok", nil)
	for range linesPerSecond * 3 {
		send(t, s, "GET", "/bad", nil)
	}
	send(t, s, "GET", "/broken", nil)
	text := log.String()
	if strings.Contains(text, `"/ok"`) || !strings.Contains(text, "outer: inner") {
		t.Errorf("log: %.2000s", text)
	}
	if n := strings.Count(text, "\n"); n > 3*linesPerSecond { // generous: the clock may tick in between
		t.Errorf("%d records for %d failed requests", n, linesPerSecond*3)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Listen: "127.0.0.1:0", TLSCert: "missing.pem", TLSKey: "missing.key"}); err == nil {
		t.Error("a missing certificate was accepted")
	}
	cert, key, roots := selfSigned(t)
	s := start(t, Options{TLSCert: cert, TLSKey: key}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	for _, h2 := range []bool{false, true} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: roots.Clone(), ForceAttemptHTTP2: h2}}
		resp, err := c.Post(s.URL()+"/", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		c.CloseIdleConnections()
		if string(text) != "{}" || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("%s %q", resp.Proto, text)
		}
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	t.Parallel()
	o := Options{Listen: "127.0.0.1:0"}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	s.Mount(&Surface{Name: "test", Routes: []Route{{Method: "GET", Path: "/", Public: true, Handle: func(x *Exchange) error {
		close(entered)
		<-leave
		return x.text("done")
	}}}})
	s.serve(nobody{})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL() + "/")
		if err != nil {
			got <- err.Error()
			return
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		got <- string(text)
	}()
	<-entered
	stop()
	close(leave)
	if text := <-got; text != "done" {
		t.Errorf("a request in progress got %q", text)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Limits: Limits{HeaderBytes: 8 << 10}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	if resp, _ := send(t, s, "POST", "/", nil, "X-Big", strings.Repeat("x", 4<<10)); resp.StatusCode != 200 {
		t.Errorf("below the limit: %d", resp.StatusCode)
	}
	r, err := http.NewRequest("POST", s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Big", strings.Repeat("x", 16<<10))
	resp, err := http.DefaultClient.Do(r)
	if err != nil { // the server hung up before all was sent
		return
	}
	resp.Body.Close()
	if resp.StatusCode != 431 {
		t.Errorf("over the limit: %d", resp.StatusCode)
	}
}

func TestListenFails(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	if _, err := New(Options{Listen: s.Addr().String()}); err == nil {
		t.Error("two servers on one port")
	}
}

func BenchmarkSmallPost(b *testing.B) {
	s := start(b, Options{}, Route{Method: "POST", Path: "/api/v1/events", Public: true, Handle: echo})
	body := bytes.Repeat([]byte("x"), 250)
	request := fmt.Appendf(nil, "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestRefusalsAreTheSurfaces(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, Route{Method: "GET", Path: "/native", Public: true, Handle: echo})
	s.Mount(&Surface{Name: "vendor", Under: []string{"/v9/"}, Refuse: func(x *Exchange, status int, detail string) {
		_ = x.JSON(status, []byte("vendor: "+detail))
	}, Routes: []Route{{Method: "GET", Path: "/v9/usage", Public: true, Handle: func(*Exchange) error { panic("as a test") }}},
		Fail: func(x *Exchange, _ error) { _ = x.JSON(http.StatusInternalServerError, []byte("vendor: failed")) }})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v9/nothing", 404, "vendor: no such path"},
		{"GET", "//v9/usage", 404, "vendor: no such path"},
		{"GET", "/x/../v9/usage", 404, "vendor: no such path"},
		{"PUT", "/v9/usage", 405, "vendor: this path answers GET, HEAD, OPTIONS"},
		{"GET", "/v9/usage", 500, "vendor: failed"},
		{"GET", "/v9/../native", 404, `"type":"urn:odometer:problem:not_found"`},
		{"GET", "/v9", 404, `"title":"Not found"`},
		{"PUT", "/native", 405, `"type":"urn:odometer:problem:method_not_allowed"`},
	} {
		resp, body := send(t, s, c.method, c.path, nil)
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) || resp.Header.Get("Allow") == "" != (c.status != 405) {
			t.Errorf("%s %s: %d %s %v", c.method, c.path, resp.StatusCode, body, resp.Header)
		}
	}
}

// FuzzPaths: a path finds a route only if it is that of the route, segment by
// segment, with any one text where the route has a brace.
func FuzzPaths(f *testing.F) {
	for _, path := range []string{"/v9/usage", "/v9/a%2Fb/usage", "//v9/usage", "/v9/../v9/usage", "/v9/%zz/usage", "/v9/x/usage/"} {
		f.Add(path)
	}
	t := newRouter([]*Surface{{Name: "test", Routes: []Route{{Method: "GET", Path: "/v9/usage"}, {Method: "GET", Path: "/v9/{id}/usage"}}}}, NewMetrics())
	f.Fuzz(func(ft *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		n, values := t.find(u)
		if n == nil {
			return
		}
		want := "/v9/usage"
		if len(values) == 1 {
			want = "/v9/" + values[0] + "/usage"
		}
		if u.Path != want || len(values) == 1 && (values[0] == "" || strings.Count(u.EscapedPath(), "/") != 3) {
			ft.Fatalf("%q was taken for %q", target, want)
		}
	})
}

// FuzzParseQuery reads query strings: what is taken is text, and nothing is left out.
func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"a=b&c", "a=%zz", "a=%C0%A0", "%ff=1", "a;b", "a=1&a=2&&", "+=+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := ParseQuery(raw)
		if err != nil {
			if meter.KindOf(err) != meter.KindInvalid {
				t.Errorf("%v", err)
			}
			return
		}
		given, taken := 0, 0
		for part := range strings.SplitSeq(raw, "&") {
			if part != "" {
				given++
			}
		}
		for _, list := range values {
			taken += len(list)
		}
		if again, err := ParseQuery(values.Encode()); err != nil || given != taken || !reflect.DeepEqual(values, again) {
			t.Errorf("%d of %d, %v, %v, %v", taken, given, values, again, err)
		}
	})
}
