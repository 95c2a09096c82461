// Package suger serves Suger's metering operations, so that the vendor's Go and
// Python clients report usage against entitlements here with another base URL.
//
//	request ─► Authorization ─► organization of the path ─► wire.Parse... ─► records ─► wire answer
//
// Every success is 200 and every error a line of text; the vendor's own clients
// need both.
package suger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/surface/suger/wire"
)

const (
	surfaceName = "suger"
	// strayHost begins the path of a Go client whose user has set nothing but
	// the host: the client's own base URL is malformed.
	strayHost = "api.suger.cloud"
)

// Options configures the surface.
type Options struct {
	Service *metering.Service // knows the keys
	Records *records.Service
	Clock   func() time.Time // says which day it is
}

// api answers the operations.
type api struct{ Options }

// Surface returns the API.
func Surface(o Options) *httpserver.Surface {
	a := api{o}
	s := &httpserver.Surface{Name: surfaceName, Authenticate: a.authenticate, Fail: fail, Under: []string{"/org/", "/" + strayHost + "/"},
		Refuse: writeText, LoosePaths: true, StraySegment: strayHost}
	for _, r := range []struct {
		method, path string
		handle       httpserver.Handler
	}{
		{http.MethodPost, "/batchCreateUsageRecordGroups", a.reportGroups},
		{http.MethodPost, "/batchValidateUsageRecordGroups", a.validateGroups},
		{http.MethodPost, "/billableMetric", a.createMetric},
		{http.MethodDelete, "/usageRecordGroup/{group}", a.deleteGroup},
		{http.MethodGet, "/billableMetric/{metric}", a.metric},
		{http.MethodGet, "/usageMeteringConfigInfo", a.config},
		{http.MethodGet, "/billableMetric", a.metrics},
		{http.MethodGet, "/usageRecordGroup", a.groups},
		{http.MethodGet, "/usageRecordReport", a.reports},
		{http.MethodGet, "/usageRecordGroup/aggregate", a.aggregateGroups},
		{http.MethodGet, "/usageRecordReport/aggregate", a.aggregateReports},
		{http.MethodPost, "/entitlement/{entitlement}/usageRecordGroup", a.reportGroup},
		{http.MethodPost, "/usageRecordGroup/{group}/retry", a.retryGroup},
		{http.MethodPatch, "/billableMetric/{metric}", a.updateMetric},
		{http.MethodPatch, "/usageMeteringConfigInfo", a.updateConfig},
	} {
		s.Routes = append(s.Routes, httpserver.Route{Method: r.method, Path: "/org/{organization}" + r.path, Handle: r.handle})
	}
	return s
}

// authenticate takes the key's organization, which the path has to name.
func (a api) authenticate(x *httpserver.Exchange) (access.Principal, error) {
	token, ok := wire.Token(x.Request.Header)
	if !ok {
		return access.Principal{}, meter.Errorf(meter.KindUnauthenticated, "no key given: send Authorization: Key KEY")
	}
	p, err := a.Service.Authenticate(x.Request.Context(), token, "")
	if err == nil && p.Organization != x.Param("organization") {
		err = meter.Errorf(meter.KindForbidden, "this key is not one of the organization that the path names")
	}
	return p, err
}

// fail answers an error in the vendor's form.
func fail(x *httpserver.Exchange, err error) {
	var known *meter.Error
	message := "internal error"
	if errors.As(err, &known) && known.Message != "" {
		message = known.Message
		if known.RetryAfter > 0 {
			seconds := (known.RetryAfter + time.Second - 1) / time.Second
			x.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	}
	writeText(x, wire.StatusOf(meter.KindOf(err)), message)
}

// writeText answers a line of text, as both clients read it.
func writeText(x *httpserver.Exchange, status int, message string) {
	x.Header().Set("Content-Type", wire.TextType)
	x.Header().Set("Cache-Control", "no-store")
	x.WriteHeader(status)
	_, _ = x.Write([]byte(message)) // fails only where nobody listens any more
}

// answer sends an encoded answer, or the error of getting there.
func answer(x *httpserver.Exchange, body []byte, err error) error {
	if err != nil {
		return err
	}
	return x.JSON(http.StatusOK, body)
}

// body reads a request's body within the vendor surface's own limit.
func body(x *httpserver.Exchange) ([]byte, error) {
	text, err := x.Body()
	if err == nil && len(text) > wire.MaxBodyBytes {
		err = meter.Errorf(meter.KindTooLarge, "the body is larger than %d bytes", wire.MaxBodyBytes)
	}
	return text, err
}

// idempotency is the caller's key, if the request has one, and what it stands for.
func idempotency(x *httpserver.Exchange, text []byte) (records.Idempotency, error) {
	key, err := x.IdempotencyKey()
	if key == "" || err != nil {
		return records.Idempotency{}, err
	}
	sum := sha256.Sum256(text)
	return records.Idempotency{Key: key, Request: hex.EncodeToString(sum[:])}, nil
}
