package loadgen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Verdicts counts what the server answered about events.
type Verdicts struct {
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Conflicts  uint64 `json:"conflicts"`
	Rejected   uint64 `json:"rejected"`
}

// Sum is the number of events answered.
func (v Verdicts) Sum() uint64 { return v.Accepted + v.Duplicates + v.Conflicts + v.Rejected }

func (v *Verdicts) add(o Verdicts) {
	v.Accepted += o.Accepted
	v.Duplicates += o.Duplicates
	v.Conflicts += o.Conflicts
	v.Rejected += o.Rejected
}

// conn sends prepared requests over one keep-alive connection and reads just
// enough of the answers. It is not safe for concurrent use.
type conn struct {
	net net.Conn
	buf []byte
}

// answer is one response; body is valid until the next exchange.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte
}

// exchange writes one whole request and reads its answer.
func (c *conn) exchange(request []byte) (answer, error) {
	if _, err := c.net.Write(request); err != nil {
		return answer{}, fmt.Errorf("send: %w", err)
	}
	n := 0
	for {
		read, err := c.net.Read(c.buf[n:])
		n += read
		if end := bytes.Index(c.buf[:n], []byte("\r\n\r\n")); end >= 0 {
			return c.parse(n, end+4)
		}
		if err != nil {
			return answer{}, fmt.Errorf("read answer: %w", err)
		}
		if n == len(c.buf) {
			return answer{}, fmt.Errorf("read answer: head of more than %d bytes", n)
		}
	}
}

var (
	statusLine    = []byte("HTTP/1.1 200")
	contentLength = []byte("\r\nContent-Length: ")
)

// parse reads an answer of which n bytes are in the buffer, head of them its
// head. An answer in plain form is read by hand, any other by net/http.
func (c *conn) parse(n, head int) (answer, error) {
	at := bytes.Index(c.buf[:head], contentLength)
	if !bytes.HasPrefix(c.buf, statusLine) || at < 0 {
		return c.parseAny(n)
	}
	length := 0
	for _, digit := range c.buf[at+len(contentLength) : head] {
		if digit < '0' || digit > '9' {
			break
		}
		length = length*10 + int(digit-'0')
	}
	for len(c.buf) < head+length {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	if n < head+length {
		if _, err := io.ReadFull(c.net, c.buf[n:head+length]); err != nil {
			return answer{}, fmt.Errorf("read answer: %w", err)
		}
	}
	return answer{status: http.StatusOK, body: c.buf[head : head+length]}, nil
}

func (c *conn) parseAny(n int) (answer, error) {
	response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(c.buf[:n]), c.net)), nil)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	a := answer{status: response.StatusCode, body: body}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	return a, nil
}

// refused tells whether the server has judged the events and counts none, or
// the key is strict.
func (a answer) refused() bool {
	return a.status == http.StatusBadRequest && bytes.Contains(a.body, []byte(`"accepted":`))
}

// parseVerdicts reads the four counts from an ingest answer.
func parseVerdicts(body []byte) (Verdicts, error) {
	var v Verdicts
	for _, field := range []struct {
		name string
		into *uint64
	}{
		{`"accepted":`, &v.Accepted}, {`"duplicates":`, &v.Duplicates},
		{`"conflicts":`, &v.Conflicts}, {`"rejected":`, &v.Rejected},
	} {
		at := bytes.Index(body, []byte(field.name))
		if at < 0 {
			return Verdicts{}, fmt.Errorf("answer without %s %.200s", field.name, body)
		}
		for _, digit := range bytes.TrimLeft(body[at+len(field.name):], " ") {
			if digit < '0' || digit > '9' {
				break
			}
			*field.into = *field.into*10 + uint64(digit-'0')
		}
	}
	return v, nil
}
