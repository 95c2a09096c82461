package wire

import (
	"net/http"
	"strings"

	"odometer/internal/meter"
)

// TextType is the content type of every error: the one that both clients read alike.
const TextType = "text/plain; charset=utf-8"

// Token returns the key of a request: Authorization with the scheme Key or
// Bearer, in any case, or the bare key.
func Token(h http.Header) (string, bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	fields := strings.Fields(values[0])
	switch {
	case len(fields) == 1:
		return fields[0], !strings.EqualFold(fields[0], "Key") && !strings.EqualFold(fields[0], "Bearer")
	case len(fields) == 2 && (strings.EqualFold(fields[0], "Key") || strings.EqualFold(fields[0], "Bearer")):
		return fields[1], true
	}
	return "", false
}

// StatusOf is the one table from the kind of an error to its status.
func StatusOf(k meter.Kind) int {
	switch k {
	case meter.KindInvalid:
		return http.StatusBadRequest
	case meter.KindUnauthenticated:
		return http.StatusUnauthorized
	case meter.KindForbidden:
		return http.StatusForbidden
	case meter.KindNotFound:
		return http.StatusNotFound
	case meter.KindConflict:
		return http.StatusConflict
	case meter.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case meter.KindUnsupported:
		return http.StatusUnsupportedMediaType
	case meter.KindOverloaded:
		return http.StatusTooManyRequests
	case meter.KindStorageFull:
		return http.StatusInsufficientStorage
	case meter.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
