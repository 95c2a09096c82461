package httpserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	askEcho     = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	askBlocking = "GET /block HTTP/1.1\r\nHost: x\r\n\r\n"
)

// closed waits until the server closes a connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes came, %v: want the end", n, err)
	}
}

func ask(t *testing.T, c net.Conn, request string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
}

// TestConnectionLimit fills the server with connections: one without a request
// makes room for a new one, one with a request does not.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := start(t, Options{Limits: Limits{Connections: 2}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo},
		Route{Method: "GET", Path: "/block", Public: true, Handle: func(x *Exchange) error {
			entered <- struct{}{}
			<-leave
			return x.text("ok")
		}})
	silent := dial(t, s) // never sends anything
	idle := dial(t, s)
	ask(t, idle, askEcho)
	readStatus(t, idle, 200)
	busy := dial(t, s)
	ask(t, busy, askBlocking)
	<-entered
	closed(t, idle) // before the one that may still be on its way
	second := dial(t, s)
	ask(t, second, askBlocking)
	<-entered
	closed(t, silent)
	// Both places are at work: the next waits for one.
	waits := dial(t, s)
	ask(t, waits, askEcho)
	close(leave)
	readStatus(t, busy, 200)
	readStatus(t, second, 200)
	readStatus(t, waits, 200)
}

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := start(t, Options{Limits: Limits{Connections: 100, ConnectionsPerAddress: 2}}, Route{Method: "POST", Path: "/", Public: true, Handle: echo},
		Route{Method: "GET", Path: "/block", Public: true, Handle: func(x *Exchange) error {
			entered <- struct{}{}
			<-leave
			return x.text("ok")
		}})
	var busy []net.Conn
	for range 2 {
		c := dial(t, s)
		ask(t, c, askBlocking)
		<-entered
		busy = append(busy, c)
	}
	third := dial(t, s)
	closed(t, third) // one past the limit of this address
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := from.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	ask(t, other, askEcho)
	readStatus(t, other, 200)
	close(leave)
	for _, c := range busy {
		readStatus(t, c, 200)
	}
}

// TestIdleTimeFalls fills a limiter with idle connections: the fuller it is,
// the shorter they may stay.
func TestIdleTimeFalls(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	l := limitConnections(nil, Limits{Connections: 10, ConnectionsPerAddress: 10, IdleTimeout: 100 * time.Second}, func() time.Time { return now })
	add := func() {
		a, b := net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		c := &trackedConn{Conn: a, of: l}
		if !l.admit(c) {
			t.Fatal("no room")
		}
		l.state(c, http.StateActive)
		l.state(c, http.StateIdle)
	}
	for range 5 {
		add()
	}
	now = now.Add(99 * time.Second)
	add() // 5 of 10 were free: 100 s are allowed
	if l.open != 6 {
		t.Errorf("%d connections are open, want 6", l.open)
	}
	add() // 4 were free: 80 s
	if l.open != 2 {
		t.Errorf("%d connections are open, want the 2 new ones", l.open)
	}
	for range 8 {
		add()
	}
	if now = now.Add(time.Second); l.open != 10 {
		t.Errorf("%d are open, want 10", l.open)
	}
	add() // none is free: any idle one goes
	if l.open != 1 {
		t.Errorf("%d are open, want 1", l.open)
	}
}

func TestPprofAnswersLocalNamesOnly(t *testing.T) {
	t.Parallel()
	p, err := newPprofServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.serve() }()
	t.Cleanup(func() { _ = p.http.Close() })
	for host, want := range map[string]int{
		"localhost": 200, "localhost:6060": 200, "127.0.0.1:6060": 200, "[::1]:6060": 200,
		"rebound.example": 421, "rebound.example:6060": 421, "10.0.0.1": 421, "localhost.example": 421,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/cmdline", p.listener.Addr()), strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}
