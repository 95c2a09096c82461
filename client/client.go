// Package client speaks Odometer's native API: it sends usage events, defines
// meters and reads exact usage. Quantities are decimal texts with all their
// digits; read them with math/big, not as floats.
//
//	Client ─► retry ─► HTTP          429, 503, 507 and lost connections are tried again
//	Batcher ─► Client.Ingest         collects events into requests
//
// Sending the same events again is always safe: what was counted before
// comes back as a duplicate. So after an answer was lost, duplicates are
// success.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options configures a Client. URL and Key are required.
type Options struct {
	URL          string // of the server, such as http://127.0.0.1:8080
	Key          string
	Organization string       // to act on, for a key with the operator right; "" = the key's own
	HTTPClient   *http.Client // nil = one with enough idle connections for concurrent senders
	Compression  Compression  // of event bodies; "" = none
	Retry        Retry
}

// Retry bounds how often and how long a request is tried again. The zero
// value of a field means its default.
type Retry struct {
	Attempts int           // in all, at least 1; default 8
	First    time.Duration // pause after the first attempt, doubled after each; default 100 ms
	Longest  time.Duration // pause at most, also when the server asks for longer; default 15 s

	// OnlyReached: a server that has never answered this client is given up at
	// once, most often because the address is wrong or nothing runs there.
	OnlyReached bool
}

// Client calls one server with one key. Its methods may be called from many
// goroutines. Every call ends when its context does.
type Client struct {
	base  *url.URL
	o     Options
	http  *http.Client
	pause func(ctx context.Context, d time.Duration) error

	reached atomic.Bool // the server has answered once
}

// New checks the options; it does not connect.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("client: URL %q: want http://HOST or https://HOST", o.URL)
	}
	if o.Key == "" {
		return nil, errors.New("client: no key given")
	}
	if !o.Compression.valid() {
		return nil, fmt.Errorf("client: compression %q: want gzip, zstd or nothing", o.Compression)
	}
	fill(&o.Retry.Attempts, 8)
	fill(&o.Retry.First, 100*time.Millisecond)
	fill(&o.Retry.Longest, 15*time.Second)
	base.Path = strings.TrimRight(base.Path, "/")
	c := &Client{base: base, o: o, http: o.HTTPClient, pause: pause}
	if c.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxIdleConns = 64, 64
		c.http = &http.Client{Transport: t}
	}
	return c, nil
}

func fill[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// Kinds of Error, the last part of a problem's type.
const (
	Invalid         = "invalid"
	Unauthenticated = "unauthenticated"
	Forbidden       = "forbidden"
	NotFound        = "not_found"
	Conflict        = "conflict"
	TooLarge        = "too_large"
	Unsupported     = "unsupported"
	Overloaded      = "overloaded"
	StorageFull     = "storage_full"
	Unavailable     = "unavailable"
	Corrupt         = "corrupt"
	Internal        = "internal"
	Refused         = "refused" // the request's events, see Result
)

// Error is what the server said instead of an answer.
type Error struct {
	Status     int
	Kind       string // one of the constants above; "" if something between answered
	Title      string
	Detail     string
	RequestID  string
	RetryAfter time.Duration

	answer []byte // the whole problem
}

// Error says what went wrong and which request it was.
func (e *Error) Error() string {
	text := fmt.Sprintf("odometer: %d %s", e.Status, e.Title)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// KindOf returns the kind of the Error in err's chain, "" if there is none.
func KindOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// temporary tells whether the server asks, in effect, to come again.
func (e *Error) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		return true
	case http.StatusServiceUnavailable:
		return e.Kind != Corrupt
	}
	return false
}

// maxAnswer bounds an answer that is read into memory.
const maxAnswer = 256 << 20

// call is one request, repeatable as often as it takes.
type call struct {
	method, path string
	query        url.Values
	body         []byte
	header       map[string]string
	// once: a second execution would do something else, so a request whose
	// outcome is unknown is not repeated.
	once bool
}

// do makes the call and decodes a JSON answer into out, which may be nil.
func (c *Client) do(ctx context.Context, k call, out any) error {
	answer, err := c.try(ctx, k)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("odometer: cannot read the answer to %s %s: %w", k.method, k.path, err)
	}
	return nil
}

// json is do with a JSON body.
func (c *Client) json(ctx context.Context, k call, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("odometer: %w", err)
	}
	k.body, k.header = body, map[string]string{"Content-Type": "application/json"}
	return c.do(ctx, k, out)
}

// try makes the call until it is answered or there is no point in going on.
func (c *Client) try(ctx context.Context, k call) ([]byte, error) {
	var answer []byte
	err := c.repeat(ctx, k, func() (err error) {
		answer, err = c.once(ctx, k)
		return err
	})
	return answer, err
}

// repeat makes the call by a function as try does.
func (c *Client) repeat(ctx context.Context, k call, once func() error) error {
	for attempt := 1; ; attempt++ {
		err := once()
		if err == nil {
			return nil
		}
		var said *Error
		again := !k.once
		if errors.As(err, &said) {
			again = said.temporary()
		} else if c.o.Retry.OnlyReached && !c.reached.Load() {
			again = false
		}
		if !again || attempt >= c.o.Retry.Attempts || ctx.Err() != nil {
			return err
		}
		if c.pause(ctx, c.o.Retry.after(attempt, said)) != nil {
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, k call) ([]byte, error) {
	resp, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("odometer: the answer broke off: %w", err)
	}
	if resp.StatusCode >= 300 {
		return nil, errorOf(resp, answer)
	}
	if len(answer) > maxAnswer {
		return nil, &Error{Status: resp.StatusCode, Title: "the answer is too large for this client"}
	}
	return answer, nil
}

// send makes the call once; the caller reads and closes the answer.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	u := *c.base
	u.Path, u.RawPath = "", ""
	target := u.String() + c.base.EscapedPath() + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, k.method, target, bytes.NewReader(k.body))
	if err != nil {
		return nil, fmt.Errorf("odometer: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.o.Key)
	if c.o.Organization != "" {
		r.Header.Set("Odometer-Organization", c.o.Organization)
	}
	for name, value := range k.header {
		r.Header.Set(name, value)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("odometer: %w", err)
	}
	c.reached.Store(true)
	return resp, nil
}

func errorOf(resp *http.Response, answer []byte) *Error {
	e := &Error{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), RequestID: resp.Header.Get("X-Request-Id")}
	var p struct{ Type, Title, Detail string }
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(answer, &p) == nil {
		e.Title, e.Detail = p.Title, p.Detail
		e.Kind, _ = strings.CutPrefix(p.Type, "urn:odometer:problem:")
		e.answer = answer
	}
	if s, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil && s > 0 {
		e.RetryAfter = s
	}
	return e
}

// Ready returns nil when the server would serve requests.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.once(ctx, call{method: http.MethodGet, path: "/readyz"})
	return err
}
