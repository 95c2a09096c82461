package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"odometer/internal/meter"
)

// Problem is the body of an error answer, RFC 9457.
type Problem struct {
	Type      string `json:"type"` // "urn:odometer:problem:" and the kind
	Kind      string `json:"-"`    // for Exchange.Problem, instead of Type
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Instance  string `json:"instance,omitempty"` // path of the request
	RequestID string `json:"request_id,omitempty"`
}

// problemType prefixes the kind in Problem.Type.
const problemType = "urn:odometer:problem:"

// answers is the one table from error kind to status and title.
var answers = [...]struct {
	status int
	title  string
}{
	meter.KindInternal:        {http.StatusInternalServerError, "Internal error"},
	meter.KindInvalid:         {http.StatusBadRequest, "Invalid request"},
	meter.KindUnauthenticated: {http.StatusUnauthorized, "Unauthenticated"},
	meter.KindForbidden:       {http.StatusForbidden, "Forbidden"},
	meter.KindNotFound:        {http.StatusNotFound, "Not found"},
	meter.KindConflict:        {http.StatusConflict, "Conflict"},
	meter.KindTooLarge:        {http.StatusRequestEntityTooLarge, "Too large"},
	meter.KindOverloaded:      {http.StatusTooManyRequests, "Overloaded"},
	meter.KindStorageFull:     {http.StatusInsufficientStorage, "Storage full"},
	meter.KindUnavailable:     {http.StatusServiceUnavailable, "Unavailable"},
	meter.KindCorrupt:         {http.StatusServiceUnavailable, "Stored data is damaged"},
	meter.KindUnsupported:     {http.StatusUnsupportedMediaType, "Unsupported media type"},
}

// kindOf is meter.KindOf with a context's end counted as unavailable: the
// caller left, or the server is stopping.
func kindOf(err error) meter.Kind {
	k := meter.KindOf(err)
	if k == meter.KindInternal && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return meter.KindUnavailable
	}
	if int(k) >= len(answers) {
		return meter.KindInternal
	}
	return k
}

// detailOf returns what the caller may read of an error.
func detailOf(err error, k meter.Kind) string {
	var e *meter.Error
	if k != meter.KindInternal && errors.As(err, &e) {
		return e.Message
	}
	if k == meter.KindUnavailable {
		return "the request was given up before it was answered"
	}
	return "the cause is in the server's log under this request_id"
}

// WriteProblem answers x with err as application/problem+json.
func WriteProblem(x *Exchange, err error) {
	k := kindOf(err)
	a := answers[k]
	h := x.Header()
	switch k {
	case meter.KindUnauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="odometer"`)
	case meter.KindOverloaded, meter.KindUnavailable:
		h.Set("Retry-After", retryAfter(err))
	case meter.KindTooLarge:
		h.Set("Connection", "close") // the rest of the body is not worth reading
	}
	writeProblem(x, Problem{Type: problemType + k.String(), Title: a.title, Status: a.status, Detail: detailOf(err, k)})
}

func writeProblem(x *Exchange, p Problem) {
	p.Instance, p.RequestID = x.Request.URL.Path, x.id
	body, err := json.Marshal(p)
	if err != nil { // strings and an int always encode
		body = []byte("{}")
	}
	h := x.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	x.WriteHeader(p.Status)
	_, _ = x.Write(append(body, '\n'))
}

// Problem answers with p and further members of the same object, which are
// encoded already: `"name":value,...`.
func (x *Exchange) Problem(p Problem, members []byte) error {
	p.Type, p.Instance, p.RequestID = problemType+p.Kind, x.Request.URL.Path, x.id
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if len(members) > 0 {
		body = append(append(body[:len(body)-1], ','), append(members, '}')...)
	}
	h := x.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	x.WriteHeader(p.Status)
	_, err = x.Write(append(body, '\n'))
	return err
}

// retryAfter renders Error.RetryAfter in whole seconds, at least one.
func retryAfter(err error) string {
	var e *meter.Error
	s := int64(1)
	if errors.As(err, &e) && e.RetryAfter > time.Second {
		s = int64((e.RetryAfter + time.Second - 1) / time.Second)
	}
	return strconv.FormatInt(s, 10)
}
