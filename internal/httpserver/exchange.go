package httpserver

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// Exchange is one request and its answer. It is reused: a handler must not
// keep it, or anything Body returned, after it returns.
type Exchange struct {
	http.ResponseWriter
	Request   *http.Request
	Principal access.Principal // set on routes that need a key

	server  *Server
	control *http.ResponseController
	route   *route // nil when no route matched
	values  []string
	id      string
	start   time.Time
	status  int // 0 until the header was written
	counted int // status that the metrics count; 0 = the one written
	written int64
	body    body
	hasBody bool
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// ID is the request's id, in the log and in every error answer.
func (x *Exchange) ID() string { return x.id }

// Start is when the request's headers had arrived.
func (x *Exchange) Start() time.Time { return x.start }

// Param returns the value of a braced path segment, "" if the route has none of that name.
func (x *Exchange) Param(name string) string {
	for i, p := range x.route.params {
		if p == name {
			return x.values[i]
		}
	}
	return ""
}

// Query is the request's query string, whole: what cannot be decoded is
// KindInvalid and not left out, and so is what is not UTF-8.
func (x *Exchange) Query() (url.Values, error) { return ParseQuery(x.Request.URL.RawQuery) }

// ParseQuery is Exchange.Query of a query string.
func ParseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, meter.Errorf(meter.KindInvalid, "query string: %v", err)
	}
	for name, given := range values {
		if !utf8.ValidString(name) {
			return nil, meter.Errorf(meter.KindInvalid, "query parameter %.80q: its name is not percent-encoded UTF-8", name)
		}
		for _, v := range given {
			if !utf8.ValidString(v) {
				return nil, meter.Errorf(meter.KindInvalid, "query parameter %.80q is not percent-encoded UTF-8", name)
			}
		}
	}
	return values, nil
}

// Address is the client's, without its port; a proxy's where one is in between.
func (x *Exchange) Address() string {
	host, _, err := net.SplitHostPort(x.Request.RemoteAddr)
	if err != nil {
		return x.Request.RemoteAddr
	}
	return host
}

// keyRefused notes a key that was given and refused.
func (x *Exchange) keyRefused(err error) {
	service := x.server.served()
	if service == nil || meter.KindOf(err) != meter.KindUnauthenticated || x.Request.Header.Get("Authorization")+x.Request.Header.Get("Fastly-Key") == "" {
		return
	}
	surface := systemName
	if x.route != nil {
		surface = x.route.surface.Name
	}
	service.KeyRefused(x.Request.Context(), surface, x.Address())
}

// CountAs makes the metrics count the answer as one with another status: where
// an API answers what the caller did wrong with a status of the server's failures.
func (x *Exchange) CountAs(status int) { x.counted = status }

// WriteHeader implements http.ResponseWriter.
func (x *Exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *Exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *Exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// JSON answers with an encoded JSON body.
func (x *Exchange) JSON(status int, body []byte) error {
	h := x.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	if status != http.StatusOK {
		x.WriteHeader(status)
	}
	_, err := x.Write(body)
	return err
}

// bearer returns the token of an Authorization: Bearer header.
func (x *Exchange) bearer() (string, error) {
	v := x.Request.Header["Authorization"]
	if len(v) == 0 {
		return "", meter.Errorf(meter.KindUnauthenticated, "no key given: send Authorization: Bearer KEY")
	}
	if len(v) > 1 {
		return "", meter.Errorf(meter.KindUnauthenticated, "more than one Authorization header")
	}
	scheme, token, ok := strings.Cut(v[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", meter.Errorf(meter.KindUnauthenticated, "the Authorization header is not Bearer KEY")
	}
	return token, nil
}

// IdempotencyKey is the key under which the sender may send its request again, "" if it gives none.
func (x *Exchange) IdempotencyKey() (string, error) { return x.once("Idempotency-Key") }

// once returns a header that is left out or has one value. An empty one, or a
// second, was meant to keep a request from something, and would be passed over.
func (x *Exchange) once(name string) (string, error) {
	v := x.Request.Header[name]
	switch {
	case len(v) == 0:
		return "", nil
	case len(v) > 1:
		return "", meter.Errorf(meter.KindInvalid, "header %q is given %d times", name, len(v))
	case v[0] == "":
		return "", meter.Errorf(meter.KindInvalid, "header %q is empty: leave it out, or name what is meant", name)
	}
	return v[0], nil
}

// BearerAuth reads a native key and the operator's choice of organization.
func (x *Exchange) BearerAuth(s Service) (access.Principal, error) {
	token, err := x.bearer()
	if err != nil {
		return access.Principal{}, err
	}
	org, err := x.once("Odometer-Organization")
	if err != nil {
		return access.Principal{}, err
	}
	return s.Authenticate(x.Request.Context(), token, org)
}

// requestIDs makes ids that are unique in this process and, by their random
// start, unlikely to repeat in another.
type requestIDs struct {
	prefix string
	next   atomic.Uint64
}

func newRequestIDs() *requestIDs {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return &requestIDs{prefix: hex.EncodeToString(b[:]) + "-"}
}

// of returns the id the client chose, if it is short and plain, or a new one.
func (g *requestIDs) of(r *http.Request) string {
	if v := r.Header["X-Request-Id"]; len(v) == 1 && plainID(v[0]) {
		return v[0]
	}
	var b [40]byte
	out := append(b[:0], g.prefix...)
	n := g.next.Add(1)
	for shift := 28; shift >= 0; shift -= 4 {
		out = append(out, "0123456789abcdef"[n>>shift&15])
	}
	return string(out)
}

func plainID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
				return false
			}
		}
	}
	return true
}
