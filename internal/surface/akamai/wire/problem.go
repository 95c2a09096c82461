package wire

import "net/http"

// problemType begins the type of every problem.
const problemType = "urn:odometer:problem:akamai/"

// Problem is an error of the API itself.
type Problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"` // id of the request
	Errors   []ProblemFor `json:"errors,omitempty"`
}

// ProblemFor is one of several things that are wrong.
type ProblemFor struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// slugs end the type of a problem, by status.
var slugs = map[int]string{
	http.StatusBadRequest:          "bad-request",
	http.StatusUnauthorized:        "unauthorized",
	http.StatusForbidden:           "forbidden",
	http.StatusNotFound:            "not-found",
	http.StatusMethodNotAllowed:    "method-not-allowed",
	http.StatusTooManyRequests:     "too-many-requests",
	http.StatusServiceUnavailable:  "unavailable",
	http.StatusInternalServerError: "internal-error",
}

// NewProblem words an error of the API. A status that the API does not use
// becomes 500.
func NewProblem(status int, detail, requestID string) Problem {
	slug, ok := slugs[status]
	if !ok {
		status, slug = http.StatusInternalServerError, slugs[http.StatusInternalServerError]
	}
	return Problem{Type: problemType + "billing/" + slug, Title: http.StatusText(status), Status: status, Detail: detail, Instance: requestID}
}

// GatewayProblem is an error of what stands before the API: who asks is not known.
type GatewayProblem struct {
	Type        string  `json:"type"`
	Title       string  `json:"title"`
	Status      int     `json:"status"`
	Detail      string  `json:"detail"`
	Instance    string  `json:"instance"` // URL of the request
	Method      string  `json:"method"`
	ServerIP    string  `json:"serverIp"`
	ClientIP    string  `json:"clientIp"`
	RequestID   string  `json:"requestId"`
	RequestTime Instant `json:"requestTime"`
}

// Deny fills in that a request is not let in; the caller adds what it knows of the request.
func Deny(detail string) GatewayProblem {
	return GatewayProblem{Type: problemType + "pep-authn/deny", Title: "Not authorized", Status: http.StatusUnauthorized, Detail: detail}
}

// RequestError fills in that a request's credentials cannot be read; the
// caller adds what it knows of the request.
func RequestError(detail string) GatewayProblem {
	return GatewayProblem{Type: problemType + "pep-authn/request-error", Title: "Bad request", Status: http.StatusBadRequest, Detail: detail}
}
