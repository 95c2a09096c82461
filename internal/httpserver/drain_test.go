package httpserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestOversizeBodyIsAnsweredReadably: a client that sends all of a body before
// it reads finds the 413, whether it told the length beforehand or not.
func TestOversizeBodyIsAnsweredReadably(t *testing.T) {
	t.Parallel()
	const size = 24 << 20 // more than the sockets hold
	for _, how := range []string{"length", "chunked"} {
		s := start(t, Options{Limits: Limits{BodyBytes: 1 << 20}}, Route{Method: "POST", Path: "/echo", Handle: echo})
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		head := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
		if how == "chunked" {
			head = fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", size)
		}
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Errorf("%s: sending: %v", how, err)
		}
		if how == "chunked" {
			if _, err := io.WriteString(c, "\r\n0\r\n\r\n"); err != nil {
				t.Errorf("%s: sending: %v", how, err)
			}
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusRequestEntityTooLarge || err != nil || !strings.Contains(string(body), "1048576 bytes") {
			t.Errorf("%s: %d, %v: %s", how, answer.StatusCode, err, body)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
