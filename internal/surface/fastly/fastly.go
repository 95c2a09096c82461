// Package fastly serves usage in the form of Fastly's billing usage metrics
// API, v2 and v3, so that the vendor's clients work with another base URL.
//
//	request ─► Fastly-Key ─► account ─► wire.Parse... ─► metering.ProductUsage ─► wire answer
//
// Rows are of the services that the catalog says are the customer's. Usage
// of any other is in the account totals of v3 usage-metrics and in no row.
// A month that is closed is answered from its book, see closed.go.
package fastly

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"odometer/internal/access"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/fastly/wire"
)

// Options configures the surface.
type Options struct {
	Service   *metering.Service
	CursorKey []byte           // secret; a cursor ends when it changes
	Clock     func() time.Time // says which month and day it is
}

// api answers the operations.
type api struct {
	Options
	cursors *wire.Cursors
}

// Surface returns the API.
func Surface(o Options) *httpserver.Surface {
	a := api{o, wire.NewCursors(o.CursorKey)}
	s := &httpserver.Surface{Name: surfaceName, Authenticate: a.authenticate, Fail: fail,
		Under: []string{"/billing/v2/", "/billing/v3/"}, Refuse: refuse}
	for _, r := range []struct {
		path   string
		handle httpserver.Handler
	}{
		{"/billing/v2/account_customers/{customer_id}/service-usage-metrics", a.metricsV2},
		{"/billing/v2/account_customers/{customer_id}/service-usage-types", a.usageTypes},
		{"/billing/v3/service-usage-metrics", a.metricsV3},
		{"/billing/v3/usage-metrics", a.monthly},
	} {
		s.Routes = append(s.Routes, httpserver.Route{Method: http.MethodGet, Path: r.path, Handle: r.handle})
	}
	return s
}

func (a api) authenticate(x *httpserver.Exchange) (access.Principal, error) {
	token, ok := wire.Token(x.Request.Header)
	if !ok {
		return access.Principal{}, meter.Errorf(meter.KindUnauthenticated, "no key given: send Fastly-Key: KEY")
	}
	return a.Service.Authenticate(x.Request.Context(), token, "")
}

// refuse answers a path or a method that is not served.
func refuse(x *httpserver.Exchange, status int, detail string) {
	p := wire.Refusal(status, detail)
	_ = x.JSON(p.Status, p.Encode()) // fails only where nobody listens any more
}

// fail answers an error in the vendor's form.
func fail(x *httpserver.Exchange, err error) {
	message := ""
	var known *meter.Error
	if errors.As(err, &known) {
		message = known.Message
		if known.RetryAfter > 0 {
			seconds := (known.RetryAfter + time.Second - 1) / time.Second
			x.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	}
	p := wire.ProblemOf(meter.KindOf(err), message)
	_ = x.JSON(p.Status, p.Encode()) // fails only where nobody listens any more
}
