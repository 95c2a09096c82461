package native

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"odometer/internal/httpserver"
)

// The handshake of the CloudEvents webhook specification: before a sender
// delivers events it asks with OPTIONS whether it may. It needs no key; the
// events that follow do.
const (
	requestOrigin = "Webhook-Request-Origin"
	requestRate   = "Webhook-Request-Rate"
	allowedOrigin = "Webhook-Allowed-Origin"
	allowedRate   = "Webhook-Allowed-Rate"
	anyOrigin     = "*"
)

// webhook answers OPTIONS /api/v1/events. A callback that the sender names is
// not called: nobody makes this server send requests.
func webhook(origins []string) httpserver.Handler {
	return func(x *httpserver.Exchange) error {
		h := x.Header()
		h.Set("Allow", "GET, HEAD, OPTIONS, POST")
		h.Set("Cache-Control", "no-store")
		asked := x.Request.Header[requestOrigin]
		if len(asked) != 1 || !allowsOrigin(origins, asked[0]) {
			x.WriteHeader(http.StatusNoContent)
			return nil
		}
		h.Set(allowedOrigin, asked[0])
		h.Set(allowedRate, anyOrigin)
		if rate, err := strconv.ParseUint(x.Request.Header.Get(requestRate), 10, 31); err == nil && rate > 0 {
			h.Set(allowedRate, strconv.FormatUint(rate, 10))
		}
		x.WriteHeader(http.StatusOK)
		return nil
	}
}

// allowsOrigin tells whether a sender's name, as in DNS, is among the origins.
func allowsOrigin(origins []string, name string) bool {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f }
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return false
	}
	return slices.ContainsFunc(origins, func(o string) bool { return o == anyOrigin || strings.EqualFold(o, name) })
}
