package httpserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"odometer/internal/access"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstded(t testing.TB, b []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// chunked hides a reader's length, so that it is sent in chunks.
type chunked struct{ io.Reader }

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func readStatus(t testing.TB, c net.Conn, want int) string {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("want status %d: %v", want, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		t.Fatalf("status %d, want %d: %s", resp.StatusCode, want, text)
	}
	return string(text)
}

func TestBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	random := fixedtest.Rand(t)
	for _, size := range []int{0, 1, 250, 4<<10 - 1, 4 << 10, 4<<10 + 1, 300_000, 2<<20 + 1} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = "abcdefgh"[random.IntN(8)]
		}
		for _, c := range []struct {
			encoding string
			body     []byte
		}{{"", plain}, {"identity", plain}, {"gzip", gzipped(t, plain)}, {"x-gzip", gzipped(t, plain)}, {"GZIP", gzipped(t, plain)}, {"zstd", zstded(t, plain)}} {
			for _, r := range []io.Reader{bytes.NewReader(c.body), chunked{bytes.NewReader(c.body)}} {
				var h []string
				if c.encoding != "" {
					h = []string{"Content-Encoding", c.encoding}
				}
				resp, text := send(t, s, "POST", "/", r, h...)
				if resp.StatusCode != 200 || text != string(plain) {
					t.Fatalf("%d bytes as %q: %d, %d bytes came back", size, c.encoding, resp.StatusCode, len(text))
				}
			}
		}
	}
	if n := s.budget.Used(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	const wire, plain = 1000, 5000
	s := start(t, Options{Limits: Limits{BodyBytes: wire, DecompressedBytes: plain}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	zeros := func(n int) []byte { return make([]byte, n) }
	noise := make([]byte, wire+1)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, c := range []struct {
		name, encoding string
		body           []byte
		status         int
		detail         string
	}{
		{"at the limit", "", zeros(wire), 200, ""},
		{"one past it", "", zeros(wire + 1), 413, "body is larger than 1000 bytes"},
		{"gzip at the limit", "gzip", gzipped(t, zeros(plain)), 200, ""},
		{"gzip one past it", "gzip", gzipped(t, zeros(plain+1)), 413, "decompressed body is larger than 5000 bytes"},
		{"zstd at the limit", "zstd", zstded(t, zeros(plain)), 200, ""},
		{"zstd one past it", "zstd", zstded(t, zeros(plain+1)), 413, "decompressed body is larger than 5000 bytes"},
		{"compressed size", "gzip", gzipped(t, noise), 413, "body is larger than 1000 bytes"},
		{"br", "br", zeros(1), 415, "content encoding"},
		{"two encodings", "gzip, zstd", zeros(1), 415, "content encoding"},
		{"not gzip", "gzip", []byte("hello"), 400, "could not be read"},
		{"not zstd", "zstd", []byte("hello"), 400, "could not be read"},
		{"cut gzip", "gzip", gzipped(t, []byte(strings.Repeat("hello", 10)))[:20], 400, "could not be read"},
		{"cut zstd", "zstd", zstded(t, []byte(strings.Repeat("hello", 10)))[:12], 400, "could not be read"},
		{"garbage after gzip", "gzip", append(gzipped(t, []byte("hello")), "garbage"...), 400, "could not be read"},
	} {
		for _, r := range []io.Reader{bytes.NewReader(c.body), chunked{bytes.NewReader(c.body)}} {
			resp, text := send(t, s, "POST", "/", r, "Content-Encoding", c.encoding)
			if resp.StatusCode != c.status || !strings.Contains(text, c.detail) {
				t.Errorf("%s: %d %.300s", c.name, resp.StatusCode, text)
			}
		}
	}
	if n := s.budget.Used(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
}

// TestBodyBombs sends 256 MiB of zeros, well compressed.
func TestBodyBombs(t *testing.T) {
	t.Parallel()
	s := start(t, Options{}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	zeros := make([]byte, 1<<20)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 8 {
		_, _ = g.Write(zeros)
		_, _ = z.Write(zeros)
	}
	_ = g.Close()
	_ = z.Close()
	for encoding, bomb := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		resp, text := send(t, s, "POST", "/", bytes.NewReader(bomb), "Content-Encoding", encoding)
		if resp.StatusCode != 413 || !strings.Contains(text, "67108864") {
			t.Errorf("%s, %d bytes: %d %s", encoding, len(bomb), resp.StatusCode, text)
		}
	}
	window := zstded(t, zeros, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	resp, text := send(t, s, "POST", "/", bytes.NewReader(window), "Content-Encoding", "zstd")
	if resp.StatusCode == 500 {
		t.Errorf("a large window: %d %s", resp.StatusCode, text)
	}
	if n := s.budget.Used(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
}

func TestBodiesInFlightAreBounded(t *testing.T) {
	t.Parallel()
	const most = 64 << 10 // two buffers of a small batch
	held, leave := make(chan struct{}), make(chan struct{})
	s := start(t, Options{Limits: Limits{BodiesInFlight: most}},
		Route{Method: "POST", Path: "/", Public: true, Handle: echo},
		Route{Method: "POST", Path: "/hold", Public: true, Handle: func(x *Exchange) error {
			if _, err := x.Body(); err != nil {
				return err
			}
			held <- struct{}{}
			<-leave
			return x.text("ok")
		}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		send(t, s, "POST", "/hold", bytes.NewReader(make([]byte, most/4)))
	}()
	<-held
	if resp, text := send(t, s, "POST", "/", bytes.NewReader(make([]byte, most/2))); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("over the budget: %d %s", resp.StatusCode, text)
	}
	if resp, _ := send(t, s, "POST", "/", strings.NewReader("{}")); resp.StatusCode != 200 {
		t.Errorf("within the budget: %d", resp.StatusCode)
	}
	close(leave)
	<-done
	if n := s.budget.Used(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
}

// TestSlowBodies sends a part of a body and nothing more.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	l := Limits{BodyGrace: 50 * time.Millisecond, BodyRate: 1 << 20}
	s := start(t, Options{Limits: l},
		Route{Method: "POST", Path: "/", Public: true, Handle: echo},
		Route{Method: "POST", Path: "/unread", Public: true, Handle: func(x *Exchange) error { return x.text("not read") }})
	for name, request := range map[string]string{
		"nothing":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"a part":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
		"chunks":   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"gzip":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n\x1f\x8b",
		"expected": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s)
			_, _ = io.WriteString(c, request)
			if text := readStatus(t, c, 400); !strings.Contains(text, "too slowly") {
				t.Error(text)
			}
		})
	}
	t.Run("nobody reads it", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s)
		_, _ = io.WriteString(c, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		readStatus(t, c, 200)
		if _, err := io.Copy(io.Discard, c); err != nil { // ends because the server hangs up
			t.Log(err)
		}
	})
}

// TestFastBodyThenSlowAnswer: the body's deadline must not end a slow handler.
func TestFastBodyThenSlowAnswer(t *testing.T) {
	t.Parallel()
	l := Limits{BodyGrace: 2 * time.Second} // the body comes along with the headers; a busy machine may be late to read it
	s := start(t, Options{Limits: l}, Route{Method: "POST", Path: "/", Public: true, Handle: func(x *Exchange) error {
		if _, err := x.Body(); err != nil {
			return err
		}
		select {
		case <-x.Request.Context().Done():
			return x.Request.Context().Err()
		case <-time.After(2 * l.BodyGrace):
			return x.text("ok")
		}
	}})
	if resp, text := send(t, s, "POST", "/", strings.NewReader("{}")); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Limits: Limits{HeaderTimeout: 20 * time.Millisecond}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	c := dial(t, s)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\n")
	if _, err := io.ReadAll(c); err != nil { // the server hangs up
		t.Log(err)
	}
}

func FuzzBodies(f *testing.F) {
	s := start(f, Options{Limits: Limits{DecompressedBytes: 1 << 16}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo})
	f.Add("gzip", gzipped(f, []byte("hello")))
	f.Add("zstd", zstded(f, []byte("hello")))
	f.Add("gzip", gzipped(f, make([]byte, 1<<17)))
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		if strings.ContainsAny(encoding, "\r\n\x00") {
			return
		}
		r, err := http.NewRequest("POST", s.URL(), bytes.NewReader(body))
		if err != nil {
			return
		}
		r.Header["Content-Encoding"] = []string{encoding}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode >= 500 {
			t.Errorf("status %d", resp.StatusCode)
		}
		if n := s.budget.Used(); n != 0 {
			t.Errorf("%d bytes were not given back", n)
		}
	})
}

// Slow bodies of one key, as many as it may have and more, leave room to other
// keys of its organization and to other organizations.
func TestBodiesAreShared(t *testing.T) {
	t.Parallel()
	const most, slow = 64 << 10, 30 // the smallest buffer has a sixteenth
	refused := make(chan string, 4*slow)
	s := start(t, Options{Limits: Limits{BodiesInFlight: most, BodyGrace: time.Hour, BodyTimeout: time.Hour, ShutdownGrace: time.Millisecond}})
	s.Mount(&Surface{
		Name: "shared",
		Routes: []Route{{Method: "POST", Path: "/shared", Handle: func(x *Exchange) error {
			if _, err := x.Body(); err != nil {
				refused <- meter.KindOf(err).String()
				return err
			}
			return x.text("ok")
		}}},
		Authenticate: func(x *Exchange) (access.Principal, error) {
			token, err := x.bearer()
			organization, key, _ := strings.Cut(token, "/")
			return access.Principal{Organization: organization, KeyID: key}, err
		},
	})
	flood := func(token string, held int) {
		for range slow {
			fmt.Fprintf(dial(t, s), "POST /shared HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", token)
		}
		for range slow - held {
			if kind := <-refused; kind != "overloaded" {
				t.Errorf("one past the share of %s: %s", token, kind)
			}
		}
	}
	served := func(when string, tokens ...string) {
		for _, token := range tokens {
			if resp, text := send(t, s, "POST", "/shared", strings.NewReader("{}"), "Authorization", "Bearer "+token); resp.StatusCode != 200 {
				t.Errorf("%s %s: %d %s", token, when, resp.StatusCode, text)
			}
		}
	}
	flood("a/1", 9)
	if used := s.budget.Used(); used != 9*most/16 {
		t.Errorf("one key holds %d of %d bytes", used, most)
	}
	served("beside the flood of a key", "a/2", "b/1", "c/1")
	if resp, _ := send(t, s, "POST", "/shared", strings.NewReader("{}"), "Authorization", "Bearer a/1"); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the flooding key itself: %d", resp.StatusCode)
	}
	<-refused
	flood("a/2", 2)
	served("beside the flood of an organization", "b/1", "c/1")
}
