package meter

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an error for callers. Every surface has exactly one table
// from Kind to its own status and body.
type Kind uint8

// The kinds of error. KindInternal is the zero value: whatever is not
// classified is ours to fix and its detail never reaches a caller.
const (
	KindInternal        Kind = iota
	KindInvalid              // the caller sent something malformed or out of range
	KindUnauthenticated      // no credential, or not a valid one
	KindForbidden            // a valid credential without the right
	KindNotFound             // no such thing, or not visible to the caller
	KindConflict             // contradicts what exists
	KindTooLarge             // over a named size limit
	KindOverloaded           // a bounded queue is full; retry after Error.RetryAfter
	KindStorageFull          // free disk below the floor; reads still work
	KindUnavailable          // starting up, shutting down, or stopped for one organization
	KindCorrupt              // stored data fails its checksum or chain
	KindUnsupported          // a content type, encoding or method that is not served
)

// String returns the kind's stable lower-case name, used in problem types and metrics.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict",
		"too_large", "overloaded", "storage_full", "unavailable", "corrupt", "unsupported"}
	if int(k) < len(names) {
		return names[k]
	}
	return "internal"
}

// Error is the one error type that crosses package boundaries.
type Error struct {
	Kind       Kind
	Message    string        // safe to show to the caller; says what, where and the limit
	RetryAfter time.Duration // for KindOverloaded; 0 = unspecified
	Err        error         // inner detail, for the log only
}

// Error returns the message and, if present, the inner detail.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the inner detail.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the given kind with a caller-safe message.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// WrapError makes an Error of the given kind around an inner error that is only logged.
func WrapError(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// MessageOf is an error's text for a caller: the message of the first Error in
// err's chain.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "internal error"
}

// KindOf returns the kind of the first Error in err's chain, or KindInternal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
