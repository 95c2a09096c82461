// Package akamai serves usage in the form of Akamai's Billing API v1, with
// requests signed as EdgeGrid does, so that the vendor's clients work with
// another base URL.
//
//	request ─► edgegrid ─► Caller ─► wire.Range ─► target ─► metering.ContractUsage ─► wire answer
//
// A month that is closed is answered from its book, see figures.go.
package akamai

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/edgegrid"
	"odometer/internal/surface/akamai/wire"
)

const surfaceName = "akamai" // also in catalog.UsageType.Surfaces

// Caller is who signed a request.
type Caller struct {
	Principal access.Principal
	Accounts  []string // it may switch to these; none = it may not switch
}

// Options configures the surface.
type Options struct {
	Service     *metering.Service
	Credentials edgegrid.Lookup[Caller]
	Limits      edgegrid.Limits
	Nonces      *edgegrid.Journal // nil = they are forgotten when the server ends
	Scheme      string            // that clients use: "http" or "https"
	Host        string            // that clients use, as the public address spells it; "" = it is not known
	Clock       func() time.Time  // says which month and day it is
}

// Credentials looks callers up among the service's EdgeGrid keys.
func Credentials(s *metering.Service) edgegrid.Lookup[Caller] {
	return func(ctx context.Context, clientToken string) (c edgegrid.Credential[Caller], ok bool, err error) {
		k, ok, err := s.EdgeGridKey(ctx, clientToken)
		return edgegrid.Credential[Caller]{AccessToken: k.AccessToken, Secret: k.Secret, Owner: Caller{k.Principal, k.Accounts}}, ok, err
	}
}

// api answers the operations.
type api struct {
	Options
	verifier *edgegrid.Verifier[Caller]
}

// request is one request that was let in.
type request struct {
	*httpserver.Exchange
	reader
	caller Caller
}

// Surface returns the API.
func Surface(o Options) *httpserver.Surface {
	a := api{o, edgegrid.NewVerifier(o.Credentials, o.Clock, o.Limits, o.Nonces)}
	s := &httpserver.Surface{Name: surfaceName, Fail: fail, Under: []string{"/billing/v1/"}, Refuse: refuse}
	for _, r := range []struct {
		path   string
		answer func(r *request, ctx context.Context) (any, error)
	}{
		{wire.PathContractMonthly, (*request).contractMonthly},
		{wire.PathGroupMonthly, (*request).groupMonthly},
		{wire.PathCPCodeMonthly, (*request).cpCodeMonthly},
		{wire.PathContractDaily, (*request).contractDaily},
		{wire.PathGroupDaily, (*request).groupDaily},
		{wire.PathProducts, (*request).products},
	} {
		// The signature says who asks, and to what else than its organization
		// the caller may switch: it is checked here and not by the router.
		s.Routes = append(s.Routes, httpserver.Route{Method: http.MethodGet, Path: r.path, Public: true, Handle: func(x *httpserver.Exchange) error {
			caller, err := a.verify(x)
			if err != nil {
				return a.deny(x, err)
			}
			x.Principal = caller.Principal
			a.Service.KeyUsed(caller.Principal)
			body, err := r.answer(&request{x, reader{service: a.Service, usage: a.Service, now: a.Clock()}, caller}, x.Request.Context())
			if err != nil {
				return err
			}
			return answer(x, body)
		}})
	}
	return s
}

func (a api) verify(x *httpserver.Exchange) (Caller, error) {
	r := x.Request
	return a.verifier.Verify(r.Context(), r.Header["Authorization"],
		edgegrid.Request{Method: r.Method, Scheme: a.Scheme, Host: r.Host, Target: r.RequestURI, PublicHost: a.Host})
}

// deny answers a request that was not let in, in the words of the vendor's gateway.
func (a api) deny(x *httpserver.Exchange, err error) error {
	var refusal edgegrid.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	var p wire.GatewayProblem
	switch refusal {
	case edgegrid.BadHeader, edgegrid.BadTimestamp:
		p = wire.RequestError(refusal.Error())
	case edgegrid.TooManyNonces:
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Minute, Message: refusal.Error()}
	default:
		p = wire.Deny(refusal.Error())
	}
	r := x.Request
	if p.Instance = r.RequestURI; strings.HasPrefix(p.Instance, "/") {
		p.Instance = a.Scheme + "://" + r.Host + r.RequestURI
	}
	p.Method, p.RequestID, p.RequestTime = r.Method, x.ID(), wire.Instant(a.Clock())
	p.ClientIP = ip(r.RemoteAddr)
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.ServerIP = ip(local.String())
	}
	writeProblem(x, p.Status, p)
	return nil
}

func ip(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// answer writes a body, or 204 where there is none.
func answer(x *httpserver.Exchange, body any) error {
	if body == nil {
		x.Header().Set("Cache-Control", "no-store")
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, text)
}

// statuses is the one table from error kind to status; others are 500.
var statuses = map[meter.Kind]int{
	meter.KindInvalid:         http.StatusBadRequest,
	meter.KindUnauthenticated: http.StatusUnauthorized,
	meter.KindForbidden:       http.StatusForbidden,
	meter.KindNotFound:        http.StatusNotFound,
	meter.KindOverloaded:      http.StatusTooManyRequests,
	meter.KindUnavailable:     http.StatusServiceUnavailable,
	meter.KindCorrupt:         http.StatusServiceUnavailable,
}

// fail answers an error in the vendor's form.
func fail(x *httpserver.Exchange, err error) {
	status, detail := http.StatusInternalServerError, "the cause is in the server's log under this instance"
	var known *meter.Error
	if errors.As(err, &known) && statuses[known.Kind] != 0 {
		status, detail = statuses[known.Kind], known.Message
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		status, detail = http.StatusServiceUnavailable, "the request was given up before it was answered"
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		seconds := int64(1)
		if known != nil && known.RetryAfter > time.Second {
			seconds = int64((known.RetryAfter + time.Second - 1) / time.Second)
		}
		x.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	writeProblem(x, status, wire.NewProblem(status, detail, x.ID()))
}

// refuse answers a path or a method that is not served.
func refuse(x *httpserver.Exchange, status int, detail string) {
	writeProblem(x, status, wire.NewProblem(status, detail, x.ID()))
}

func writeProblem(x *httpserver.Exchange, status int, problem any) {
	text, err := json.Marshal(problem)
	if err != nil { // strings and numbers always encode
		text = []byte("{}")
	}
	h := x.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	x.WriteHeader(status)
	_, _ = x.Write(text) // fails only where nobody listens any more
}
