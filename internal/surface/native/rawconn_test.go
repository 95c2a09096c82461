package native

import (
	"bytes"
	"fmt"
	"net"
	"testing"
)

// rawConn is an HTTP client that costs little, to measure the server by.
type rawConn struct {
	net.Conn
	head, buf, in []byte
}

func newRawConn(t testing.TB, address, key string) *rawConn {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	head := fmt.Appendf(nil, "POST /api/v1/events HTTP/1.1\r\nHost: odometer\r\nAuthorization: Bearer %s\r\nContent-Type: application/cloudevents+json\r\nContent-Length: ", key)
	return &rawConn{Conn: c, head: head, in: make([]byte, 8192)}
}

func (c *rawConn) post(t testing.TB, body []byte) {
	c.buf = append(append(c.buf[:0], c.head...), fmt.Sprint(len(body))...)
	c.buf = append(append(c.buf, "\r\n\r\n"...), body...)
	if _, err := c.Write(c.buf); err != nil {
		t.Error(err)
		return
	}
	n, err := c.Read(c.in) // the answer is small enough for one segment
	if err != nil || !bytes.HasPrefix(c.in[:n], []byte("HTTP/1.1 200")) {
		t.Errorf("%v %s", err, c.in[:n])
	}
}
