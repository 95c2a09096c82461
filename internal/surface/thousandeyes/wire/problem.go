package wire

import (
	"encoding/json"
	"net/http"
	"strings"

	"odometer/internal/meter"
)

// FieldError says what is wrong with one parameter.
type FieldError struct {
	Code    string `json:"code"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// The codes of field errors.
const (
	codeInvalid  = "invalid"  // cannot be read, or out of range
	CodeMissing  = "missing"  // needed beside what was given
	codeConflict = "conflict" // contradicts another parameter
)

// InvalidError is a request that cannot be answered because of its
// parameters: KindInvalid, with one entry or more.
type InvalidError struct{ Fields []FieldError }

// Error joins the messages.
func (e *InvalidError) Error() string {
	var texts []string
	for _, f := range e.Fields {
		texts = append(texts, f.Field+": "+f.Message)
	}
	return strings.Join(texts, "; ")
}

// Unwrap classifies the error.
func (e *InvalidError) Unwrap() error { return meter.Errorf(meter.KindInvalid, "%s", e.Error()) }

// Invalid returns an InvalidError about one field.
func Invalid(code, field, message string) *InvalidError {
	return &InvalidError{[]FieldError{{code, field, message}}}
}

// Problem is the body of every error but 401: RFC 9457 with the status as an
// integer, or clients lose the decoded body.
type Problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"`         // path of the request
	Errors   []FieldError `json:"errors,omitempty"` // of a 400
}

// NewProblem returns the problem of a status.
func NewProblem(status int, detail, instance string, fields []FieldError) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Instance: instance, Errors: fields}
}

// TokenError is the body of a 401, which is not a problem object.
type TokenError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// InvalidToken is the one TokenError: it says the same of an unknown, an
// expired and a missing token.
var InvalidToken = TokenError{"invalid_token", "Invalid access token"}

// Encode returns v as JSON. Text is not escaped for HTML.
func Encode(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}
