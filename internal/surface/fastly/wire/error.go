package wire

import (
	"encoding/json"
	"net/http"
	"strconv"

	"odometer/internal/meter"
)

// Problem is an error answer. All members of its body are strings.
type Problem struct {
	Status            int
	Type, Title, Code string
}

// badToken answers a key that is missing, unknown, expired or not of the
// customer that is asked for: they cannot be told apart.
var badToken = Problem{http.StatusUnauthorized, "unauthorized", "provided credentials are missing or invalid", "invalid_token"}

// problems is the one table from error kind to the vendor's answer. The vendor
// declares 400, 401 and 500 only; clients take 503 for what it is. Title is ""
// where the error's message is for the caller.
var problems = [...]Problem{
	meter.KindInternal:        {http.StatusInternalServerError, "internal_server_error", "the request could not be answered", "internal_error"},
	meter.KindInvalid:         {http.StatusBadRequest, "bad_request", "", "invalid_parameter"},
	meter.KindUnauthenticated: badToken,
	meter.KindForbidden:       badToken,
	meter.KindNotFound:        badToken,
	meter.KindConflict:        {http.StatusBadRequest, "bad_request", "", "invalid_request"},
	meter.KindTooLarge:        {http.StatusBadRequest, "bad_request", "", "invalid_request"},
	meter.KindOverloaded:      {http.StatusServiceUnavailable, "service_unavailable", "", "overloaded"},
	meter.KindStorageFull:     {http.StatusServiceUnavailable, "service_unavailable", "", "unavailable"},
	meter.KindUnavailable:     {http.StatusServiceUnavailable, "service_unavailable", "", "unavailable"},
	meter.KindCorrupt:         {http.StatusInternalServerError, "internal_server_error", "the request could not be answered", "internal_error"},
	meter.KindUnsupported:     {http.StatusBadRequest, "bad_request", "", "invalid_request"},
}

// ProblemOf returns the answer to an error of a kind with a message that the
// caller may read.
func ProblemOf(kind meter.Kind, message string) Problem {
	if int(kind) >= len(problems) {
		kind = meter.KindInternal
	}
	p := problems[kind]
	if p.Title == "" {
		p.Title = message
	}
	return p
}

// Refusal is the answer to a path that is none, 404, or to a method that a
// path does not take, 405. The vendor declares neither.
func Refusal(status int, title string) Problem {
	kind := "method_not_allowed"
	if status == http.StatusNotFound {
		kind = "not_found"
	}
	return Problem{status, kind, title, kind}
}

// Encode returns the body.
func (p Problem) Encode() []byte {
	b, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Code   string `json:"code"`
		Status string `json:"status"`
	}{p.Type, p.Title, p.Code, strconv.Itoa(p.Status)})
	if err != nil { // strings always encode
		return []byte("{}\n")
	}
	return append(b, '\n')
}
